#pragma once

// For tests and fuzzing: what must hold for any target and any encoded text.

#include "plimsoll/http/target.hpp"

#include <string>
#include <string_view>

namespace plimsoll {

/// What does not hold; empty: all holds.
inline std::string target_fault(std::string_view text) {
  if (const auto target = split_target(text)) {
    std::string again;
    if (target->form == Target::Form::absolute)
      again = std::string(target->scheme) + "://" + std::string(target->authority);
    const bool invented = target->form == Target::Form::absolute && target->path == "/" &&
                          (text.size() == again.size() || text[again.size()] != '/');
    if (!invented) again += target->path;
    if (target->has_query) again += "?" + std::string(target->query);
    if (again != text) return "the parts do not make the whole";
    if (target->form != Target::Form::asterisk && !target->path.starts_with('/'))
      return "the path does not begin with /";
    if (text.find_first_of(std::string_view("\0\r\n \t#\"<>", 9)) != text.npos) return "a character was let through";
    std::size_t names = 0;
    for (QueryPairs pairs{target->query}; const auto pair = pairs.next();)
      names += pair->name.size() + pair->value.size() + (pair->has_value ? 1 : 0);
    if (names > target->query.size()) return "the pairs are longer than the query";
  }
  Arena arena;
  for (const bool plus : {false, true}) {
    const auto decoded = percent_decode(text, arena, plus);
    if (!decoded) continue;
    std::size_t encoded = 0;
    for (const char c : text) encoded += c == '%';
    if (decoded->size() + 2 * encoded != text.size()) return "the decoded text has the wrong length";
  }
  if (is_authority(text) && text.find_first_of("/?#@ \r\n") != text.npos) return "an authority holds what it cannot";
  return {};
}

}  // namespace plimsoll
