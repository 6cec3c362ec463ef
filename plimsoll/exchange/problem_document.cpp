#include "plimsoll/exchange/problem_document.hpp"

#include "plimsoll/base/arena_text.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/json/string_text.hpp"

namespace plimsoll {

namespace {

/// Every 503 that may pass tells when to come back: what knows no better time says this.
constexpr std::int64_t kRetryAfter = 2;

std::int64_t retry_after(const Error& error, std::uint16_t status) {
  if (error.more_ && error.more_->retry_after >= 0) return error.more_->retry_after;
  return status == 503 && error.problem->retryable ? kRetryAfter : -1;
}

/// Bytes that a text takes as a JSON string, at most. Only a long one is measured.
std::size_t room_for(std::string_view text) {
  constexpr std::size_t kLong = 64;
  return text.size() < kLong ? json::longest_string(text.size()) : json::string_size(text);
}

/// Bytes of the document, at most.
std::size_t room_for(const Error& error, const Context& context) {
  constexpr std::size_t kNames = 256, kNamesOfField = 64;  // with what stands around them, and numbers
  const auto& problem = *error.problem;
  auto room = kNames + 2 * room_for(problem.code) + room_for(problem.title) + room_for(error.detail) +
              room_for(context.path) + room_for(context.trace_id);
  if (!error.more_) return room;
  room += room_for(error.more_->policy);
  for (const auto& field : error.more_->fields)
    room += kNamesOfField + room_for(field.in) + room_for(field.pointer) + room_for(field.keyword) +
            room_for(field.message);
  return room;
}

/// JSON in memory that has room for it. A member is given as what stands before its value, such as `,"code":`.
struct Members {
  char* at;
  [[gnu::always_inline]] void put(std::string_view json) { at = json::write_text(at, json); }
  [[gnu::always_inline]] void add(std::string_view before, std::string_view text) {
    put(before);
    at = json::write_string(at, text);
  }
  [[gnu::always_inline]] void add(std::string_view before, std::int64_t number) {
    put(before);
    at = put_digits(at, number);
  }
};

/// The document itself, in the arena. A rejection must cost less than what it rejects: no string grows here.
std::string_view written(const Error& error, Context& context, std::uint16_t status, std::int64_t again) {
  const auto& problem = *error.problem;
  constexpr std::string_view kType = R"({"type":"/problems/)";
  auto* const begin = context.arena.array<char>(room_for(error, context));
  Members out{json::write_string(begin + kType.size() - 1, problem.code)};
  json::write_text(begin, kType);  // over the quote before the code
  out.add(R"(,"title":)", problem.title);
  out.add(R"(,"status":)", std::int64_t{status});
  // A 5xx of ours tells nothing of the inside: its detail goes to the log.
  if (const auto detail = error.shown_detail(); !detail.empty()) out.add(R"(,"detail":)", detail);
  if (!context.path.empty()) out.add(R"(,"instance":)", context.path);
  out.add(R"(,"code":)", problem.code);
  if (!context.trace_id.empty()) out.add(R"(,"trace_id":)", context.trace_id);
  if (again >= 0) out.add(R"(,"retry_after":)", again);
  if (error.more_) {
    const auto& more = *error.more_;
    if (!more.policy.empty()) out.add(R"(,"policy":)", more.policy);
    for (std::string_view before = R"(,"errors":[{"in":)"; const auto& field : more.fields) {
      out.add(std::exchange(before, R"(,{"in":)"), field.in);
      out.add(R"(,"pointer":)", field.pointer);
      out.add(R"(,"keyword":)", field.keyword);
      out.add(R"(,"message":)", field.message);
      out.put("}");
    }
    if (!more.fields.empty()) out.put("]");
  }
  out.put("}");
  return {begin, out.at};
}

}  // namespace

Response problem_document(const Error& error, Context& context) {
  const auto& problem = *error.problem;
  const auto status = problem.status == 499 ? std::uint16_t{503} : problem.status;
  const auto again = retry_after(error, status);
  Response response{
      .status = status, .headers = Headers{context.arena}, .body = lasting(written(error, context, status, again))};
  response.headers.add("content-type", "application/problem+json");
  response.headers.add("cache-control", "no-store");
  if (again >= 0)
    response.headers.add("retry-after", lasting((ArenaText{context.arena, ArenaText::kNumber} << again).text()));
  context.outcome.problem = problem.code;
  if (error.more_) context.outcome.policy = error.more_->policy;
  context.outcome.detail = context.arena.keep(log_text(error));
  return response;
}

}  // namespace plimsoll
