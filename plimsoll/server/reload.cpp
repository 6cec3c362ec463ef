#include "plimsoll/server/reload.hpp"

#include "plimsoll/json/write.hpp"

#include <sys/stat.h>

#include <utility>

namespace plimsoll::server {

std::string in_short(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 10;
  std::string all;
  for (std::size_t i = 0; i < names.size() && i < kMost; ++i) all += (i ? ", " : "") + names[i];
  if (names.size() > kMost) all += " and " + std::to_string(names.size() - kMost) + " more";
  return all;
}

std::string to_json(const Reloaded& reloaded) {
  std::string text;
  json::Writer out{text};
  const auto list = [&](std::string_view key, const std::vector<std::string>& names) {
    out.key(key).begin_array();
    for (const auto& name : names) out.string(name);
    out.end_array();
  };
  out.begin_object().key("changed").boolean(reloaded.documents_changed).key("operations").begin_object();
  list("added", reloaded.added);
  list("removed", reloaded.removed);
  list("changed", reloaded.changed);
  out.end_object();
  out.key("listeners").begin_object();
  list("opened", reloaded.opened);
  list("closed", reloaded.closed);
  out.end_object();
  list("needs-restart", reloaded.restart);
  out.end_object();
  return text;
}

void WatchedFiles::watch(std::vector<std::string> files, Nanoseconds since) {
  constexpr Nanoseconds kTick = 10 * kMillisecond;  // times of files are those of the last tick
  files_ = std::move(files);
  stamps_.clear();
  changed_ = false;
  for (const auto& file : files_) {
    stamps_.push_back(stamp(file));
    changed_ |= std::get<0>(stamps_.back()) >= since - kTick;
  }
}

bool WatchedFiles::changed() {
  bool any = std::exchange(changed_, false);
  for (std::size_t i = 0; i < files_.size(); ++i)
    if (const auto now = stamp(files_[i]); now != stamps_[i]) stamps_[i] = now, any = true;
  return any;
}

WatchedFiles::Stamp WatchedFiles::stamp(const std::string& file) {
  struct stat found{};
  if (::stat(file.c_str(), &found) != 0) return {};
  return {found.st_mtim.tv_sec * kSecond + found.st_mtim.tv_nsec, found.st_size, found.st_ino};
}

}  // namespace plimsoll::server
