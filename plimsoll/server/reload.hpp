#pragma once

#include "plimsoll/base/clock.hpp"
#include "plimsoll/server/instance.hpp"

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

namespace plimsoll::server {

/// The first ten, and how many more there are: `getPet, listPets and 3 more`.
std::string in_short(const std::vector<std::string>& names);
/// `{"changed": true, "operations": {"added": […], "removed": […], "changed": […]}, "listeners": {"opened": […],
/// "closed": […]}, "needs-restart": […]}`.
std::string to_json(const Reloaded& reloaded);

/// Files by name, size and time of their last change. One that cannot be read counts as changed when it can be again.
class WatchedFiles {
 public:
  /// They were read at `since` (wall clock) or later: one that was changed then or later may have been read before.
  void watch(std::vector<std::string> files, Nanoseconds since);
  /// Since `watch`, or since the last time this said so.
  bool changed();

 private:
  using Stamp = std::tuple<std::int64_t, std::int64_t, std::uint64_t>;  ///< nanoseconds, bytes, inode
  static Stamp stamp(const std::string& file);
  std::vector<std::string> files_;
  std::vector<Stamp> stamps_;
  bool changed_ = false;
};

}  // namespace plimsoll::server
