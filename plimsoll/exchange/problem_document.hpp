#pragma once

#include "plimsoll/base/result.hpp"
#include "plimsoll/http/message.hpp"

#include <string_view>

namespace plimsoll {

class Context;

/// The answer that tells an Error: RFC 9457, `application/problem+json`, in the exchange's arena. `instance` is the
/// path of the request; the cause of an Error is never in it.
Response problem_document(const Error&, Context&);

/// What the log says of an Error: its cause, and where there is none what the caller is told.
inline std::string_view log_text(const Error& error) {
  return error.more_ && !error.more_->cause.empty() ? error.more_->cause : error.detail;
}

}  // namespace plimsoll
