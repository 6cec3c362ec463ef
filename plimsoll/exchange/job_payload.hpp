#pragma once

#include "plimsoll/http/message.hpp"

#include <string>

namespace plimsoll {

class Context;
struct Principal;

/// What a job is told of the exchange that asked for it:
/// `{"operation": …, "parameters": {…}, "caller": {"subject": …, "tenant": …}, "body": …}`, and `"response": …` where
/// an answer is there already. Absent parts are left out.
std::string job_payload(const Context&, const Response* response = nullptr);

/// Who may see a job: `["tenant","subject"]`, or `*` where nobody vouched for the caller, so that whoever knows the id
/// sees it.
std::string job_owner(const Principal*);

}  // namespace plimsoll
