#pragma once

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/context.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace plimsoll::policy {

/// Of the effective document, computed once for a plan.
struct DocumentIdentity {
  explicit DocumentIdentity(const json::Value& root);
  std::uint64_t hash;
};

/// Whether the answer depends on `Accept`: a success of the operation has several media types.
bool is_negotiated(const contract::Operation& operation);
/// The value of the first pair of that name in a `Cookie` line, as it was sent; nothing where there is none.
std::optional<std::string_view> cookie_as_sent(std::string_view line, std::string_view name);
/// Whether somebody has read the parameters of the request. Else they count as they were sent.
bool has_parameters(const contract::Operation& operation, const Context& context);

/// What answers to a request are kept under: the document and the operation, the values of the parameters the contract
/// declares (in its order, however they were written; unknown ones count for nothing), the media types accepted where
/// the operation has several, the name by which the server was reached, and of the caller exactly what `audience` says
/// the answer depends on. Each part stands
/// behind its length, so that no two requests share a key.
class CacheKey {
 public:
  /// `document`: tells the effective document from every other. Answers are kept in a store that outlives a plan: what
  /// one document has answered is no answer of another, whose operations, parameters and schemas may differ.
  /// `hosts`: the answer may depend on the scheme and the name by which the caller has reached the server.
  CacheKey(const contract::Operation& operation, const Audience& audience, std::uint64_t document, bool hosts = true);
  void write(std::string& key, const Request& request, const Context& context) const;
  /// The same, told apart by the request headers that the answer varies by.
  static void vary(std::string& key, const std::vector<std::string>& names, const Request& request);

 private:
  const contract::Operation& operation_;
  const Audience audience_;
  const std::uint64_t identity_;  ///< of the operation in its document
  const bool negotiated_, hosts_;
};

}  // namespace plimsoll::policy
