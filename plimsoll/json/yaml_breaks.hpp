#pragma once

#include "plimsoll/json/utf8.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace plimsoll::json {

/// The line breaks that YAML 1.1 had and 1.2 has not, and for each a character of the same length that occurs nowhere
/// in the text: so no place moves.
class StandIns {
 public:
  /// The text to be parsed: `text` itself where there is nothing to replace.
  std::string_view hide(std::string_view text) {
    for (auto& pair : pairs_)
      if (text.contains(pair.breaks)) choose(pair, text), any_ = true;
    if (!any_) return text;
    hidden_ = replaced(text, true);
    return hidden_;
  }
  bool any() const { return any_; }
  std::string shown(std::string_view text) const { return replaced(text, false); }

 private:
  struct Pair {
    std::string_view breaks;
    std::uint32_t first;  ///< the first code that may stand in
    std::string stand_in{};
  };

  /// Neither the character nor an escape that could make it is in the text. A text that holds each of so many was made
  /// to hold them, and keeps its breaks.
  static void choose(Pair& pair, std::string_view text) {
    constexpr std::uint32_t kMost = 64;
    for (auto code = pair.first; code < pair.first + kMost; ++code) {
      char hex[5];
      std::snprintf(hex, sizeof hex, "%04x", static_cast<unsigned>(code));
      const auto same = [](char a, char b) { return (a | 0x20) == (b | 0x20); };
      std::string character;
      append_utf8(character, code);
      const std::string_view digits(hex, 4);
      if (text.contains(character) || !std::ranges::search(text, digits, same).empty()) continue;
      pair.stand_in = character;
      return;
    }
  }

  std::string replaced(std::string_view text, bool hide) const {
    std::string out(text);
    for (const auto& [breaks, first, stand_in] : pairs_) {
      if (stand_in.empty()) continue;
      const auto from = hide ? breaks : std::string_view(stand_in), to = hide ? std::string_view(stand_in) : breaks;
      for (auto at = out.find(from); at != out.npos; at = out.find(from, at + to.size()))
        std::ranges::copy(to, out.begin() + static_cast<std::ptrdiff_t>(at));
    }
    return out;
  }

  // Of two bytes from NKo, of three from the area for private use.
  Pair pairs_[3] = {{"\xC2\x85", 0x7C0}, {"\xE2\x80\xA8", 0xE000}, {"\xE2\x80\xA9", 0xE100}};
  std::string hidden_;
  bool any_ = false;
};

}  // namespace plimsoll::json
