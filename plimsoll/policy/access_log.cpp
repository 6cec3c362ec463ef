#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/telemetry/log.hpp"
#include "plimsoll/telemetry/redact.hpp"

namespace plimsoll::policy {
namespace {

/// Of one body in the log. A line and what stands around it must fit into the buffer of a thread.
constexpr config::Size kLargestBody = config::kibibytes(64);

/// One line for each exchange, written when its last byte has gone. Queries are left out: they may hold what is secret.
class AccessLog final : public Check {
 public:
  struct Options {
    bool successes = true;
    bool failure_headers = false;
    config::Size failure_bodies{};
    std::vector<std::string> redact{};
  };
  static constexpr config::Field fields[] = {
      config::field<&Options::successes>("successes",
                                         "Whether responses below 400 are logged too; false logs only failures."),
      config::field<&Options::failure_headers>(
          "failure-headers",
          "Whether request and response headers of responses of 400 and above are logged, redacted."),
      config::field<&Options::failure_bodies>(
          "failure-bodies",
          "Bytes of the request and the response body that are logged for responses "
          "of 400 and above, up to 64KiB; JSON and form bodies only, redacted.",
          {0, static_cast<std::int64_t>(kLargestBody.bytes)}),
      config::field<&Options::redact>("redact",
                                      "Names of members and headers whose values are not logged, in addition to those "
                                      "that are never logged (password, token, secret and similar)."),
  };
  static constexpr std::string_view example = "{successes: false, failure-headers: true}";
  static constexpr std::span<const Problem* const> problems{};

  static Result<std::unique_ptr<Policy>> build(Options options, const Build& build) {
    if (!build.services.log) return nullptr;
    return std::make_unique<AccessLog>(std::move(options), *build.services.log);
  }
  AccessLog(Options options, telemetry::Log& log) : options_(std::move(options)), log_(log) {}

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
      if (!context.services.version.empty()) line.add("version", context.services.version);
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
      if (outcome.status >= 400) [[unlikely]]
        add_failure(line, request, context);
      else if (outcome.status == 101) [[unlikely]]
        line.add("bytes_received", static_cast<std::int64_t>(outcome.received));
    });
  }

  /// What was asked and answered, where the operator wants to see it.
  void add_failure(telemetry::Line& line, const Request& request, const Context& context) const {
    const auto& outcome = context.outcome;
    if (options_.failure_headers) {
      line.add("request_headers", text_of(request.headers));
      if (outcome.failure_headers) line.add("response_headers", text_of(*outcome.failure_headers));
    }
    if (options_.failure_bodies.bytes == 0) return;
    const auto asked = body_of(context.input.body_text, request.headers);
    if (!asked.empty()) line.add("request_body", asked);
    if (!outcome.failure_headers) return;
    const auto answered = body_of(outcome.failure_body, *outcome.failure_headers);
    if (!answered.empty()) line.add("response_body", answered);
  }

  std::string text_of(const Headers& headers) const {
    std::string text;
    for (const auto& [name, value] : headers) {
      if (!text.empty()) text += "; ";
      text += name;
      text += ": ";
      text += telemetry::secret_name(name, options_.redact) ? "[redacted]" : value;
      if (text.size() > kLargestBody.bytes) break;
    }
    return text;
  }

  /// Of a media type in which members can be told apart, and so redacted; of another nothing.
  std::string body_of(std::string_view body, const Headers& headers) const {
    const auto type = headers.find("content-type");
    const auto essence = type.substr(0, type.find(';'));
    if (essence.ends_with("json") && !body.empty()) {
      // In what is not JSON, a quote too many turns names into values: nothing of it is shown.
      Arena arena;
      if (!json::parse(body, arena)) return "[not JSON]";
      return telemetry::redact_json(body, options_.redact, options_.failure_bodies.bytes);
    }
    if (essence == "application/x-www-form-urlencoded")
      return telemetry::redact_form(body, options_.redact, options_.failure_bodies.bytes);
    return {};
  }

  Options options_;
  telemetry::Log& log_;
};

}  // namespace

extern constinit const Part access_log = part<AccessLog>("access-log", "Writes one log line for each request.");

}  // namespace plimsoll::policy
