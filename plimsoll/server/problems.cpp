#include "plimsoll/server/problems.hpp"

#include "plimsoll/async/scope.hpp"
#include "plimsoll/database/database.hpp"
#include "plimsoll/edge/problems.hpp"
#include "plimsoll/http/h1_head.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/server/chain.hpp"
#include "plimsoll/server/handlers.hpp"
#include "plimsoll/server/site.hpp"
#include "plimsoll/store/store.hpp"

#include <algorithm>

namespace plimsoll::server {
namespace {

/// Problems of the rooms that are no parts.
constexpr const Problem* kHouse[] = {&kInternal,
                                     &kNotFound,
                                     &kMethodNotAllowed,
                                     &kDeadlineExceeded,
                                     &kDraining,
                                     &kUnavailable,
                                     &database::kUnavailable,
                                     &database::kConflict,
                                     &json::kMalformed,
                                     &store::kUnavailable,
                                     &edge::kHeadTooSlow,
                                     &edge::kBodyTooSlow,
                                     &edge::kBodyTooLarge,
                                     &edge::kBodyBroken,
                                     &h1::kMalformed,
                                     &h1::kTargetTooLong,
                                     &h1::kHeadTooLarge,
                                     &h1::kUnknownCoding,
                                     &h1::kMethodUnknown,
                                     &h1::kVersionUnknown,
                                     &h1::kExpectationUnknown};

std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string page(std::string_view title, const std::string& body) {
  return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
         "content=\"width=device-width\"><title>" +
         escaped(title) + "</title></head>\n<body>\n" + body + "</body></html>\n";
}

}  // namespace

std::vector<const Problem*> all_problems() {
  std::vector<const Problem*> all(std::begin(kHouse), std::end(kHouse));
  for (const auto& row : rows()) all.insert(all.end(), row.part->problems.begin(), row.part->problems.end());
  for (const auto* each : handlings()) all.insert(all.end(), each->problems.begin(), each->problems.end());
  std::ranges::sort(all, {}, &Problem::code);
  const auto [first, last] = std::ranges::unique(all, {}, &Problem::code);
  all.erase(first, last);
  return all;
}

std::string problem_page(const Problem& problem) {
  std::string body = "<h1>" + escaped(problem.title) + "</h1>\n<p>Code <code>" + escaped(problem.code) +
                     "</code>, status " + std::to_string(problem.status) +
                     (problem.retryable ? "; the same request may succeed later" : "") + ".</p>\n";
  if (!problem.remedy.empty()) body += "<h2>What to do</h2>\n<p>" + escaped(problem.remedy) + "</p>\n";
  return page(problem.title, body + "<p><a href=\"/problems\">All problems</a></p>\n");
}

std::string problem_index() {
  std::string body = "<h1>Problems</h1>\n<table><tr><th>Status</th><th>Code</th><th>Title</th></tr>\n";
  for (const auto* problem : all_problems())
    body += "<tr><td>" + std::to_string(problem->status) + "</td><td><a href=\"/problems/" + escaped(problem->code) +
            "\"><code>" + escaped(problem->code) + "</code></a></td><td>" + escaped(problem->title) + "</td></tr>\n";
  return page("Problems", body + "</table>\n");
}

}  // namespace plimsoll::server
