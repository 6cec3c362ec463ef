#pragma once

#include "plimsoll/http/message.hpp"

#include <span>
#include <string>

namespace plimsoll {

class Context;
struct Principal;

/// What a job is told of the exchange that asked for it:
/// `{"operation": …, "parameters": {…}, "caller": {"subject": …, "tenant": …, "claims": {…}}, "body": …}`, and
/// `"response": …` where there is a JSON response already. Absent parts are left out. `claims` names those of the
/// caller's token that the job reads; no other is kept.
std::string job_payload(const Context&, std::span<const std::string> claims, const Response* response = nullptr);

/// Who may see a job: `["tenant","scheme","subject"]`, because a subject is a caller only together with who vouches for
/// it; `*` where nobody vouched for the caller, so that whoever knows the id sees it.
std::string job_owner(const Principal*);

}  // namespace plimsoll
