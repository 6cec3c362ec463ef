#include "plimsoll/exchange/problem_document.hpp"

#include "plimsoll/exchange/context.hpp"
#include "plimsoll/json/write.hpp"

namespace plimsoll {

namespace {

/// Every 503 that may pass tells when to come back: what knows no better time says this.
constexpr std::int64_t kRetryAfter = 2;

std::int64_t retry_after(const Error& error, std::uint16_t status) {
  if (error.more_ && error.more_->retry_after >= 0) return error.more_->retry_after;
  return status == 503 && error.problem->retryable ? kRetryAfter : -1;
}

}  // namespace

Response problem_document(const Error& error, Context& context) {
  const auto& problem = *error.problem;
  const auto status = problem.status == 499 ? std::uint16_t{503} : problem.status;
  std::string text;
  text.reserve(1024);  // room for texts as if all of their characters were escaped
  json::Writer out{text};
  out.begin_object();
  out.key("type").string("/problems/" + std::string(problem.code));
  out.key("title").string(problem.title);
  out.key("status").integer(status);
  // A 5xx of ours tells nothing of the inside: its detail goes to the log.
  if (!error.detail.empty() && &problem != &kInternal) out.key("detail").string(error.detail);
  if (!context.path.empty()) out.key("instance").string(context.path);
  out.key("code").string(problem.code);
  if (!context.trace_id.empty()) out.key("trace_id").string(context.trace_id);
  const auto again = retry_after(error, status);
  if (again >= 0) out.key("retry_after").integer(again);
  if (error.more_) {
    const auto& more = *error.more_;
    if (!more.policy.empty()) out.key("policy").string(more.policy);
    if (!more.fields.empty()) {
      out.key("errors").begin_array();
      for (const auto& field : more.fields) {
        out.begin_object();
        out.key("in").string(field.in).key("pointer").string(field.pointer);
        out.key("keyword").string(field.keyword).key("message").string(field.message);
        out.end_object();
      }
      out.end_array();
    }
  }
  out.end_object();
  Response response{.status = status, .headers = Headers{context.arena}, .body = context.kept(text)};
  response.headers.add("content-type", "application/problem+json");
  response.headers.add("cache-control", "no-store");
  if (again >= 0) response.headers.add("retry-after", context.kept(std::to_string(again)));
  context.outcome.problem = problem.code;
  if (error.more_) context.outcome.policy = error.more_->policy;
  context.outcome.detail = context.arena.keep(log_text(error));
  return response;
}

}  // namespace plimsoll
