#pragma once

#include "plimsoll/config/options.hpp"
#include "plimsoll/contract/contract.hpp"

#include <string>

namespace plimsoll::handler::job {

/// What an operation with `job` does.
enum class Action : std::uint8_t { start, status, result, cancel };

/// `job: generate_report`, or `job: {kind: generate_report, action: result}`. Without an action the method tells: GET
/// is the status document, DELETE cancels, anything else starts.
struct Declaration {
  std::string kind;
  Action action = Action::start;
};
Result<Declaration> read(const json::Value& options, std::string_view method);

struct Options {
  std::string kind;
  std::string action;
};
inline constexpr config::Field kDeclarationFields[] = {
    config::field<&Options::kind>("kind", "Kind of the job, as `jobs:` of the deployment names it."),
    config::field<&Options::action>(
        "action",
        "start, status, result or cancel. By default the method decides: POST starts, GET is status, DELETE cancels."),
};
const void* defaults();
inline constexpr std::string_view kShortForm = R"("type":"string")";

/// The last path parameter of an operation on one job, which holds the job's id.
inline constexpr std::string_view kIdParameter = "job_id";

/// Gives each operation that starts a job what the contract did not write: the status document at
/// `<path>/{job_id}/status`, the download at `…/result`, the cancellation at DELETE `<path>/{job_id}`.
void augment(contract::Draft& draft);

}  // namespace plimsoll::handler::job
