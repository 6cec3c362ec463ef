#include "plimsoll/contract/report.hpp"

#include "plimsoll/contract/complaint.hpp"

namespace plimsoll::contract {

void Report::add(const LoadError& error, const json::Value* at, std::string pointer, std::string what,
                 std::string remedy) {
  if (counts_[static_cast<std::size_t>(error.severity)]++ >= kMostComplaints) return;
  Complaint made{.severity = error.severity, .code = std::string(error.code)};
  const std::size_t source = at ? at->source() : 0;
  made.file = source < sources_.size() ? sources_[source].file : std::string{};
  if (at) made.at = at->position();
  if (at && at->position().line) said_.insert(place_of(*at));
  made.pointer = std::move(pointer);
  made.what = what.empty() ? std::string(error.what) : std::move(what);
  made.remedy = remedy.empty() ? std::string(error.remedy) : std::move(remedy);
  out_.push_back(std::move(made));
}

void Report::add(const LoadError& error, const json::Member& at, std::string pointer, std::string what,
                 std::string remedy) {
  json::Value place = at.value;
  if (at.at.line) place.set_position(at.at);
  add(error, &place, std::move(pointer), std::move(what), std::move(remedy));
}

namespace {

/// The sentence without what differs where one cause is met on several ways: the method of the operation that led
/// there, the pointer to a keyword that stands in one place.
std::string_view cause_of(const Complaint& complaint) {
  std::string_view what = complaint.what;
  if (complaint.code == load_error::kInvalidSchema.code) return what.substr(what.rfind('/') + 1);
  const auto word = what.substr(0, what.find(' '));
  const bool method = word.size() > 1 && std::ranges::all_of(word, [](char c) { return c >= 'A' && c <= 'Z'; });
  return method ? what.substr(word.size()) : what;
}

}  // namespace

void Report::keep_causes() {
  const auto follows = [&](const Complaint& each) {
    return std::ranges::any_of(lost_, [&](const std::string& pointer) {
      if (each.what.contains("\"#" + pointer + "/")) return true;  // a reference to what stands there
      return each.code == load_error::kUnknownSecurityScheme.code &&
             std::string_view("/components/securitySchemes").starts_with(pointer);
    });
  };
  std::set<std::tuple<std::string, std::uint32_t, std::uint32_t, std::string, std::string>> seen;
  std::erase_if(out_, [&](const Complaint& each) {
    if (follows(each)) return true;
    return each.at.line &&
           !seen.emplace(each.file, each.at.line, each.at.column, each.code, std::string(cause_of(each))).second;
  });
}

}  // namespace plimsoll::contract
