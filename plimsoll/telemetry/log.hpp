#pragma once

#include "plimsoll/base/clock.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace plimsoll::telemetry {

enum class Level : std::uint8_t { debug, info, warning, error, off };

/// A line of log under construction: members are added, then it is handed over. JSON is escaped here; a name that is
/// redacted (authorization, cookie, password, secret, token and their like) never has its value formatted.
class Line {
 public:
  explicit Line(std::string& out) : out_(out) {}
  Line& add(std::string_view name, std::string_view value);
  Line& add(std::string_view name, const char* value) { return add(name, std::string_view(value)); }
  Line& add(std::string_view name, std::int64_t value);
  Line& add(std::string_view name, double value);
  Line& add(std::string_view name, bool value);

 private:
  std::string& out_;
};

/// Where lines go: one background writer, per-thread buffers, never a wait on the caller's thread. When the writer
/// cannot keep up lines are dropped and counted, and a line says how many.
class Log {
 public:
  enum class Format : std::uint8_t { json, text };  ///< text: for a terminal
  /// Writes to `descriptor` (2: standard error, 1: standard output).
  Log(int descriptor, Level level, Format format, const Clock& clock = system_clock());
  ~Log();  ///< writes what is left
  bool enabled(Level level) const noexcept;
  void level(Level level) noexcept;
  /// `write(Level::info, "listening", [&](Line& line) { line.add("address", address); });`
  template <class F>
  void write(Level level, std::string_view event, F&& members) {
    if (!enabled(level)) return;
    auto& out = begin(level, event);
    Line line{out};
    members(line);
    end(out);
  }
  void write(Level level, std::string_view event) {
    write(level, event, [](Line&) {});
  }
  void flush();

 private:
  std::string& begin(Level level, std::string_view event);
  void end(std::string& out);
  struct State;
  std::unique_ptr<State> state_;
};

/// True for names whose values are never logged.
bool redacted(std::string_view name) noexcept;

}  // namespace plimsoll::telemetry
