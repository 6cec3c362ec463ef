#pragma once

#include "plimsoll/exchange/policy.hpp"
#include "plimsoll/exchange/services.hpp"

#include <memory>
#include <string_view>

namespace plimsoll::handler {

/// Passes requests on to the server at `url` (`http://host:port`, https, perhaps with a path that goes before the
/// request's) and its answers back. Method, path, query, fields and body go as they came, without what belongs to the
/// connection alone (RFC 9110, section 7.6.1); `Via`, `X-Forwarded-*`, `traceparent` and `X-Request-Id` are ours.
/// Bodies of requests that nobody has read yet pass through as they come, and so do those of answers, unless they can
/// be held against the contract (JSON, lines of JSON, text): these are held whole, up to 16 MiB. Refusals:
/// `unreachable`, `bad-answer`, `answer-too-large` (502), `deadline-exceeded` (504), `payload-too-large`. Error:
/// `bad-url`.
Result<std::unique_ptr<Handler>> upstream(std::string_view url, const Services& services);

}  // namespace plimsoll::handler
