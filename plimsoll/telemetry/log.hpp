#pragma once

#include "plimsoll/base/clock.hpp"

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

namespace plimsoll::telemetry {

enum class Level : std::uint8_t { debug, info, warning, error, off };
/// The names of the levels, in their order.
inline constexpr std::string_view kLevelNames[] = {"debug", "info", "warning", "error", "off"};

/// True for names whose values are never logged: authorization, cookie, password, secret, token and their like.
constexpr bool redacted(std::string_view name) noexcept {
  constexpr std::string_view kSecret[] = {"authorization", "cookie",  "passw",  "secret",    "token",
                                          "api-key",       "api_key", "apikey", "signature", "credential"};
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  for (const auto secret : kSecret)
    for (std::size_t at = 0; at + secret.size() <= name.size(); ++at) {
      std::size_t same = 0;
      while (same < secret.size() && lower(name[at + same]) == secret[same]) ++same;
      if (same == secret.size()) return true;
    }
  return false;
}

/// The name of a member. Whether its value may be written is decided where it is compiled.
struct Name {
  std::string_view text;
  bool secret;
  template <std::size_t N>
  consteval Name(const char (&name)[N]) : text(name, N - 1), secret(redacted(text)) {}  // NOLINT: implicit on purpose
  /// A name that is known only at run time: plain letters, as header names are.
  static Name of(std::string_view name) { return {name, redacted(name)}; }

 private:
  Name(std::string_view text, bool secret) : text(text), secret(secret) {}
};

/// A line of log under construction: members are added, then it is handed over. JSON is escaped here, and so is what
/// would change how a terminal shows the line; a value under a name that is redacted is never formatted.
class Line {
 public:
  Line& add(Name name, std::string_view value) {
    if (name.secret) value = "[redacted]";
    if (value.size() > kLongest) [[unlikely]]
      return add_beginning(name, value);
    if (begin(name.text, value.size())) string(value);
    return *this;
  }
  Line& add(Name name, const char* value) { return add(name, std::string_view(value)); }
  Line& add(Name name, std::int64_t value) {
    if (begin(name.text, 0)) number(value);
    return *this;
  }
  Line& add(Name name, double value);
  Line& add(Name name, bool value);

 private:
  friend class Log;
  Line(void* buffer, char* at, char* end, bool text) : buffer_(buffer), at_(at), end_(end), text_(text) {}
  static constexpr std::size_t kRoom = 48;  ///< for a number, and what stands around a member
  /// Of a value, in bytes. What is longer ends with `…`: nobody keeps a line out of the log by what it says. Bodies of
  /// failed requests (64 KiB) are below.
  static constexpr std::size_t kLongest = 128 << 10;
  Line& add_beginning(Name name, std::string_view value);
  bool room(std::size_t size) {
    if (static_cast<std::size_t>(end_ - at_) < size) full_ = true;
    return !full_;
  }
  /// The name of a member; false when there is no room for it and its value of so many bytes. Here, because the name
  /// is known where it is compiled, and a copy of known length costs next to nothing.
  bool begin(std::string_view name, std::size_t value) {
    if (!room(name.size() + value + kRoom)) return false;
    if (text_) [[unlikely]] {
      in_text(name);
      return true;
    }
    auto* at = at_;  // not the member: the compiler must think that each character written may change it
    *at++ = ',', *at++ = '"';
    std::memcpy(at, name.data(), name.size());
    at += name.size();
    *at++ = '"', *at++ = ':';
    at_ = at;
    return true;
  }
  void put(std::string_view text) {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  void in_text(std::string_view name);
  void string(std::string_view value);
  void quoted(std::string_view value);
  [[gnu::noinline]] void escaped(std::string_view value);
  void number(std::int64_t value);
  void* buffer_;
  char *at_, *end_;
  bool text_;
  bool full_ = false;
};

/// Where lines go: one background writer, per-thread buffers, never a wait on the caller's thread. When the writer
/// cannot keep up lines are dropped and counted, and a line says how many. Nothing throws for want of memory.
class Log {
 public:
  enum class Format : std::uint8_t { json, text };  ///< text: for a terminal
  /// Writes to `descriptor` (2: standard error, 1: standard output).
  Log(int descriptor, Level level, Format format, const Clock& clock = system_clock());
  ~Log();  ///< writes what is left, for at most a second: a reader that takes nothing does not hold up the end
  bool enabled(Level level) const noexcept;
  void level(Level level) noexcept;
  Level level() const noexcept;
  /// Another level for a while, after which the one before is back; `span` is positive.
  void level(Level level, Nanoseconds span);
  /// Lines that were dropped because their buffer was full or the line was too long, or that could not be written.
  std::uint64_t lost() const noexcept;
  /// `write(Level::info, "listening", [&](Line& line) { line.add("address", address); });`
  template <class F>
  void write(Level level, std::string_view event, F&& members) {
    if (enabled(level)) write_at(now(), level, event, members);
  }
  /// The same where the time (Unix, nanoseconds) is known already.
  template <class F>
  void write_at(Nanoseconds wall, Level level, std::string_view event, F&& members) {
    if (!enabled(level)) return;
    auto line = begin(wall, level, event);
    members(line);
    end(line);
  }
  void write(Level level, std::string_view event) {
    write(level, event, [](Line&) {});
  }
  /// Waits until what was said before is written, for at most a second.
  void flush();
  /// Where the descriptor is a file: opens its path again, in place of the file that is open (which somebody has moved
  /// away). False: it is no file, or cannot be opened, and nothing has changed; `why` says which.
  bool reopen(std::string& why);

 private:
  Nanoseconds now() const noexcept;
  Line begin(Nanoseconds wall, Level level, std::string_view event);
  void end(Line& line);
  struct State;
  std::shared_ptr<State> state_;  ///< the writer keeps it when it has to be left behind
};

}  // namespace plimsoll::telemetry
