#include "plimsoll/contract/report.hpp"

namespace plimsoll::contract {

void Report::add(const LoadError& error, const json::Value* at, std::string pointer, std::string what,
                 std::string remedy) {
  if (out_.size() >= kMost) return;
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

}  // namespace plimsoll::contract
