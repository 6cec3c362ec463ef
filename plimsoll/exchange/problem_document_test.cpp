#include "plimsoll/exchange/problem_document.hpp"

#include "plimsoll/exchange/context.hpp"
#include "plimsoll/json/write.hpp"

#include <gtest/gtest.h>

#include <random>

namespace plimsoll {
namespace {

constexpr Problem kPlain{"plain", 400, "Something is wrong", ""};
constexpr Problem kRetryable{"try-\"again\"", 503, "A title with \"quotes\" and \\", "", true};

/// The document as the writer of JSON makes it, member after member.
std::string written_slowly(const Error& error, const Context& context, std::int64_t again) {
  std::string text;
  json::Writer out{text};
  out.begin_object().key("type").string("/problems/" + std::string(error.problem->code));
  out.key("title").string(error.problem->title).key("status").integer(error.problem->status);
  if (!error.detail.empty()) out.key("detail").string(error.detail);
  if (!context.path.empty()) out.key("instance").string(context.path);
  out.key("code").string(error.problem->code);
  if (!context.trace_id.empty()) out.key("trace_id").string(context.trace_id);
  if (again >= 0) out.key("retry_after").integer(again);
  if (error.more_ && !error.more_->policy.empty()) out.key("policy").string(error.more_->policy);
  if (error.more_ && !error.more_->fields.empty()) {
    out.key("errors").begin_array();
    for (const auto& [in, pointer, keyword, message] : error.more_->fields) {
      out.begin_object().key("in").string(in).key("pointer").string(pointer);
      out.key("keyword").string(keyword).key("message").string(message).end_object();
    }
    out.end_array();
  }
  out.end_object();
  return text;
}

TEST(ProblemDocument, IsTheSameForTextsOfAnyKind) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const auto text = [&] {
    constexpr std::string_view kSome[] = {"a",    " ",    "\"", "\\",   "\n",
                                          "\x01", "\x7f", "é",  "\xff", "plain text of some length"};
    std::string made;
    // Most are short; some are as long as a path may be.
    for (auto left = random() % (random() % 50 ? 12 : 4000); left > 0; --left)
      made += kSome[random() % std::size(kSome)];
    return made;
  };
  Services services;
  Loop loop;
  for (int i = 0; i < 3000; ++i) {
    Arena arena{512};  // small: a room that is too small is found by the sanitizer
    const auto path = text(), trace = text(), policy = text();
    Context context{arena, loop, services};
    context.path = path;
    context.trace_id = trace;
    Error error{declared(random() % 2 ? kPlain : kRetryable), text()};
    auto again = error.problem->retryable ? 2 : -1;
    if (random() % 2) error.more().policy = policy;
    if (random() % 2)
      again = static_cast<int>(error.more().retry_after = static_cast<std::int64_t>(random() % 100'000));
    if (random() % 4 == 0)
      for (auto left = random() % 4; left > 0; --left) error.more().fields.push_back({text(), text(), text(), text()});
    const auto response = problem_document(error, context);
    EXPECT_EQ(response.status, error.problem->status);
    EXPECT_EQ(std::get<std::string_view>(response.body), written_slowly(error, context, again)) << i;
    EXPECT_EQ(response.headers.find("retry-after"), again >= 0 ? std::to_string(again) : "");
    arena.release();
  }
}

}  // namespace
}  // namespace plimsoll
