#pragma once

#include "plimsoll/telemetry/redact.hpp"

#include <string>
#include <string_view>

namespace plimsoll::telemetry {

/// Whether redaction keeps its promises for any text: a secret value of a well-formed member put behind it does not
/// come out, and the output stays within its limit. Shared by the fuzz target and the test that replays its corpus.
inline bool redaction_holds(std::string_view text) {
  constexpr std::string_view kSecret = "k7Qz9vX2";
  if (text.contains(kSecret)) return true;
  const std::string members = R"({"note":"a","password":")" + std::string(kSecret) + R"(","inner":{"api_key":[")" +
                              std::string(kSecret) + R"("]},"rest":)" + std::string(text) + "}";
  const std::string pairs = "note=a&password=" + std::string(kSecret) + "&" + std::string(text);
  const std::string more[] = {"iban"};
  for (const std::size_t limit : {std::size_t{0}, std::size_t{7}, std::size_t{60}, std::size_t{1} << 20}) {
    const auto json = redact_json(members, more, limit), form = redact_form(pairs, more, limit);
    if (json.size() > limit || form.size() > limit) return false;
    if (json.contains(kSecret) || form.contains(kSecret)) return false;
    if (redact_json(text, more, limit).size() > limit) return false;
  }
  // Alone, with a secret name in front: nothing of what belongs to the value may come out.
  const auto alone = redact_json("{\"token\":\"" + std::string(kSecret) + std::string(text), more, 1 << 20);
  return !alone.contains(kSecret);
}

}  // namespace plimsoll::telemetry
