#pragma once

#include "plimsoll/http/message.hpp"

namespace plimsoll {

class Context;

/// The answer that tells an Error: RFC 9457, `application/problem+json`, in the exchange's arena. `instance` is the
/// path of the request; the cause of an Error is never in it.
Response problem_document(const Error&, Context&);

}  // namespace plimsoll
