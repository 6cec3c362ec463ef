#pragma once

#include "plimsoll/base/result.hpp"
#include "plimsoll/http/message.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace plimsoll {
class Context;
}

namespace plimsoll::client {

/// What of a request calls of consistent hashing are told apart by: `header:NAME`, `cookie:NAME`, `claim:NAME` of the
/// caller's token, or `caller`.
class HashKey {
 public:
  /// Error: a sentence without a place.
  static std::expected<HashKey, std::string> read(std::string_view text);
  /// The same in every process. Nothing where the request has none.
  std::optional<std::uint64_t> of(const Request& request, const Context& context) const;

 private:
  enum class Source : std::uint8_t { header, cookie, claim, caller };
  Source source_ = Source::caller;
  std::string name_;
};

/// Who calls, by tenant and subject, else by where the client is (IPv6 by /64): the same in every process, and another
/// one for each service, so that it is not always the same callers that try what is new. Nothing where nobody is known.
std::optional<std::uint64_t> caller_hash(std::string_view service, const Request& request, const Context& context);

/// The value of a cookie in a `Cookie` field (RFC 6265, section 5.4); the first of that name.
std::optional<std::string_view> cookie_in(std::string_view field, std::string_view name);

}  // namespace plimsoll::client
