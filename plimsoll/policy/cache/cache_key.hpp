#pragma once

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/context.hpp"

#include <string>

namespace plimsoll::policy {

/// Of the effective document, computed once for a plan.
struct DocumentIdentity {
  explicit DocumentIdentity(const json::Value& root);
  std::uint64_t hash;
};

/// What answers to a request are kept under: the document and the operation, the values of the parameters the contract
/// declares (in its order, however they were written; unknown ones count for nothing), the media types accepted where
/// the operation has several, and of the caller exactly what `audience` says the answer depends on. Each part stands
/// behind its length, so that no two requests share a key.
class CacheKey {
 public:
  /// `document`: tells the effective document from every other. Answers are kept in a store that outlives a plan: what
  /// one document has answered is no answer of another, whose operations, parameters and schemas may differ.
  CacheKey(const contract::Operation& operation, const Audience& audience, std::uint64_t document);
  void write(std::string& key, const Request& request, const Context& context) const;
  /// The same, told apart by the request headers that the answer varies by.
  static void vary(std::string& key, const std::vector<std::string>& names, const Request& request);

 private:
  const contract::Operation& operation_;
  const Audience audience_;
  const std::uint64_t identity_;  ///< of the operation in its document
  bool negotiated_ = false;
};

}  // namespace plimsoll::policy
