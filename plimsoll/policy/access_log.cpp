#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/telemetry/log.hpp"

namespace plimsoll::policy {
namespace {

/// One line for each exchange, written when its last byte has gone. Queries are left out: they may hold what is secret.
class AccessLog final : public Check {
 public:
  struct Options {
    bool successes = true;
  };
  static constexpr config::Field fields[] = {
      config::field<&Options::successes>("successes",
                                         "Whether answers below 400 are logged too; false logs only failures."),
  };
  static constexpr std::span<const Problem* const> problems{};

  static Result<std::unique_ptr<Policy>> build(Options options, const Build& build) {
    if (!build.services.log) return nullptr;
    return std::make_unique<AccessLog>(options, *build.services.log);
  }
  AccessLog(Options options, telemetry::Log& log) : options_(options), log_(log) {}

  Result<> check(Request& request, Context& context) override {
    context.keep<Entry>(*this, request, context);
    return {};
  }

 private:
  struct Entry {
    const AccessLog& policy;
    const Request& request;
    const Context& context;
    Entry(const AccessLog& policy, const Request& request, const Context& context)
        : policy(policy), request(request), context(context) {}
    ~Entry() {
      try {
        policy.write(request, context);
      } catch (const std::bad_alloc&) {  // no memory for the line
      }
    }
  };

  void write(const Request& request, const Context& context) const {
    const auto& outcome = context.outcome;
    if (outcome.status < 400 && !options_.successes) return;
    const auto level = outcome.status >= 500 ? telemetry::Level::error : telemetry::Level::info;
    const auto duration = context.ended() - context.started;
    log_.write_at(context.wall + duration, level, "request", [&](telemetry::Line& line) {
      line.add("method", request.method).add("path", request.path).add("status", std::int64_t{outcome.status});
      if (context.operation && !context.operation->id.empty()) line.add("operation", context.operation->id);
      line.add("duration_us", duration / 1000);
      line.add("bytes", static_cast<std::int64_t>(outcome.sent));
      line.add("client", request.peer.address);
      if (context.principal) line.add("principal", context.principal->subject);
      line.add("trace_id", context.trace_id);
      if (context.request_id != context.trace_id) line.add("request_id", context.request_id);
      if (!outcome.problem.empty()) line.add("problem", outcome.problem);
      if (!outcome.policy.empty()) line.add("policy", outcome.policy);
      if (!outcome.detail.empty()) line.add("detail", outcome.detail);
      if (outcome.client_gone) line.add("client_gone", true);
    });
  }

  Options options_;
  telemetry::Log& log_;
};

}  // namespace

extern constinit const Part access_log = part<AccessLog>("access-log", "Writes one line of log for each request.");

}  // namespace plimsoll::policy
