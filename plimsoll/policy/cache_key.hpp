#pragma once

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/context.hpp"

#include <string>

namespace plimsoll::policy {

/// What answers to a request are kept under: the operation, the values of the parameters the contract declares (in its
/// order, however they were written; unknown ones count for nothing), the media types accepted where the operation has
/// several, and of the caller exactly what `audience` says the answer depends on. Each part stands behind its length,
/// so that no two requests share a key.
class CacheKey {
 public:
  CacheKey(const contract::Operation& operation, const Audience& audience);
  void write(std::string& key, const Request& request, const Context& context) const;
  /// The same, told apart by the request headers that the answer varies by.
  static void vary(std::string& key, const std::vector<std::string>& names, const Request& request);

 private:
  const contract::Operation& operation_;
  const Audience audience_;
  bool negotiated_ = false;
};

}  // namespace plimsoll::policy
