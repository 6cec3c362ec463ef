#include "plimsoll/server/problems.hpp"

#include "plimsoll/async/scope.hpp"
#include "plimsoll/base/out_of_memory.hpp"
#include "plimsoll/client/problems.hpp"
#include "plimsoll/client/quota.hpp"
#include "plimsoll/client/response_reader.hpp"
#include "plimsoll/client/service.hpp"
#include "plimsoll/database/database.hpp"
#include "plimsoll/edge/problems.hpp"
#include "plimsoll/exchange/body_memory.hpp"
#include "plimsoll/http/body_problems.hpp"
#include "plimsoll/http/h1_head.hpp"
#include "plimsoll/http/multipart.hpp"
#include "plimsoll/server/chain.hpp"
#include "plimsoll/server/faults_page.hpp"
#include "plimsoll/server/handlers.hpp"
#include "plimsoll/server/html.hpp"
#include "plimsoll/server/learned_page.hpp"
#include "plimsoll/server/log_level.hpp"
#include "plimsoll/server/reload_desk.hpp"
#include "plimsoll/server/site.hpp"
#include "plimsoll/server/versions.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <algorithm>
#include <map>

namespace plimsoll::server {
namespace {

/// Problems of the rooms that are no parts.
constexpr const Problem* kHouse[] = {
    &kInternal, &kNotFound, &kUnknownVersion, &kMethodNotAllowed, &kMisdirected, &kDeadlineExceeded, &kDraining,
    &kOutOfMemory, &kTooManyBodies, &kBadLogLevel, &kBadFault, &kFaultsNotAllowed, &kNotLearning, &kNotReloaded,
    &kReloadUnanswered,
    // For handlers in C++ that read such bodies, or call others, themselves.
    &http::kMultipartMalformed, &http::kMultipartTooLarge, &http::kMultipartStorage, &client::kUnreachable,
    &client::kBadAnswer, &client::kAnswerTooLarge, &client::kCircuitOpen, &client::kTooManyCalls,
    &client::kQuotaExhausted, &database::kUnavailable, &database::kBusy, &database::kWriteTooLong,
    &database::kOutcomeUnknown, &edge::kHeadTooSlow, &edge::kBodyTooSlow, &http::kBodyTooLarge, &edge::kBodyBroken,
    &h1::kMalformed, &h1::kTargetTooLong, &h1::kHeadTooLarge, &h1::kUnknownCoding, &h1::kMethodUnknown,
    &h1::kVersionUnknown, &h1::kExpectationUnknown};

}  // namespace

std::vector<ProblemEntry> problem_table(std::span<const Problem* const> more) {
  std::map<std::string_view, ProblemEntry> all;
  const auto entry = [&](const Problem* problem) -> ProblemEntry& {
    return all.try_emplace(problem->code, ProblemEntry{problem, {}, {}}).first->second;
  };
  const auto name = [](std::vector<std::string_view>& names, std::string_view one) {
    if (std::ranges::find(names, one) == names.end()) names.push_back(one);
  };
  for (const auto* problem : kHouse) entry(problem);
  for (const auto& row : rows())
    for (const auto* problem : row.part->problems) name(entry(problem).policies, row.part->key.name);
  for (const auto* each : handlings())
    for (const auto* problem : each->problems) name(entry(problem).handlers, each->key.name);
  for (const auto* problem : more) name(entry(problem).handlers, "c++");
  std::vector<ProblemEntry> table;
  for (auto& [code, one] : all) table.push_back(std::move(one));
  return table;
}

ProblemCounts::ProblemCounts(telemetry::Registry* registry) : registry_(registry) {
  if (!registry_) return;
  for (const auto& [problem, policies, handlers] : problem_table())
    counters_.emplace(problem->code, &telemetry::problem_counter(*registry_, problem->code));
}

void ProblemCounts::add(std::string_view code) noexcept {
  if (const auto found = counters_.find(code); found != counters_.end()) return found->second->add();
  try {  // of a program that links the library
    if (registry_) telemetry::problem_counter(*registry_, code).add();
  } catch (...) {}  // no memory: this one is not counted
}

namespace {

/// `<code>rate-limit</code>, <code>shed</code>`
std::string listed(const std::vector<std::string_view>& names) {
  std::string out;
  for (const auto name : names) out += (out.empty() ? "<code>" : ", <code>") + escaped_html(name) + "</code>";
  return out;
}

}  // namespace

std::string problem_page(const ProblemEntry& entry) {
  const auto& problem = *entry.problem;
  std::string body = "<h1>" + escaped_html(problem.title) + "</h1>\n<p>Code <code>" + escaped_html(problem.code) +
                     "</code>, status " + std::to_string(problem.status) +
                     (problem.retryable ? "; the same request may succeed later" : "") + ".</p>\n";
  if (!entry.policies.empty()) body += "<p>Returned by the policy " + listed(entry.policies) + ".</p>\n";
  if (!entry.handlers.empty()) body += "<p>Returned by operations of " + listed(entry.handlers) + ".</p>\n";
  if (!problem.remedy.empty()) body += "<h2>What to do</h2>\n<p>" + escaped_html(problem.remedy) + "</p>\n";
  return html_page(problem.title, body + "<p><a href=\"/problems\">All problems</a></p>\n");
}

std::string problem_index(std::span<const ProblemEntry> table) {
  std::string body = "<h1>Problems</h1>\n<table><tr><th>Status</th><th>Code</th><th>Title</th></tr>\n";
  for (const auto& [problem, policies, handlers] : table)
    body += "<tr><td>" + std::to_string(problem->status) + "</td><td><a href=\"/problems/" +
            escaped_html(problem->code) + "\"><code>" + escaped_html(problem->code) + "</code></a></td><td>" +
            escaped_html(problem->title) + "</td></tr>\n";
  return html_page("Problems", body + "</table>\n");
}

}  // namespace plimsoll::server
