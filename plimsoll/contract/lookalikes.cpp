#include "plimsoll/contract/lookalikes.hpp"

#include "plimsoll/base/percent.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/json/utf8.hpp"

#include <unicase.h>
#include <unictype.h>
#include <unistr.h>
#include <algorithm>
#include <cstdlib>
#include <memory>

namespace plimsoll::contract {
namespace {

/// Decodes what can be, once; whether there was anything.
bool decode(std::string& text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool coded =
        text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0;
    out += coded ? static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2])) : text[i];
    if (coded) i += 2;
  }
  const bool changed = out.size() != text.size();
  text = std::move(out);
  return changed;
}

/// Overlong and otherwise invalid sequences, which some servers read as `.` or `/`, and controls (C0, DEL, C1).
bool is_obscure(std::string_view text) {
  if (!json::valid_utf8(text)) return true;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x20 || c == 0x7F) return true;
    if (c == 0xC2 && static_cast<unsigned char>(text[i + 1]) < 0xA0) return true;
  }
  return false;
}

/// NFKC_Casefold (Unicode, chapter 3.13); false where there is no memory.
bool fold_letters(std::string& text) {
  if (std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; })) {
    std::ranges::transform(text, text.begin(), lower);
    return true;
  }
  std::string seen;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
  for (std::size_t i = 0; i < text.size();) {
    ucs4_t letter = 0;
    const auto length = static_cast<std::size_t>(u8_mbtouc(&letter, bytes + i, text.size() - i));
    if (!uc_is_property_default_ignorable_code_point(letter)) seen.append(text, i, length);
    i += length;
  }
  std::size_t size = 0;
  const std::unique_ptr<std::uint8_t, decltype([](std::uint8_t* made) { std::free(made); })> folded{u8_casefold(
      reinterpret_cast<const std::uint8_t*>(seen.data()), seen.size(), nullptr, UNINORM_NFKC, nullptr, &size)};
  if (!folded) return false;
  text.assign(reinterpret_cast<const char*>(folded.get()), size);
  return true;
}

}  // namespace

std::optional<std::string> fold_path(std::string_view path) {
  std::string whole(path);
  // However often a server decodes.
  do {
    if (is_obscure(whole)) return std::nullopt;
  } while (decode(whole));
  whole.resize(std::min(whole.find_first_of("?#"), whole.size()));
  if (!fold_letters(whole)) return std::nullopt;
  // Letters in full width may have become what parts a path.
  whole.resize(std::min(whole.find_first_of("?#"), whole.size()));
  std::ranges::replace(whole, '\\', '/');
  std::string folded;
  for (std::string_view rest = whole; !rest.empty();) {
    const auto slash = std::min(rest.find('/'), rest.size());
    auto segment = rest.substr(0, slash);
    rest.remove_prefix(std::min(slash + 1, rest.size()));
    segment = segment.substr(0, segment.find(';'));
    while (segment.starts_with(' ')) segment.remove_prefix(1);
    while (segment.ends_with(' ')) segment.remove_suffix(1);
    if (segment == "." || segment == "..") return std::nullopt;
    while (segment.ends_with('.') || segment.ends_with(' ')) segment.remove_suffix(1);
    if (segment.empty()) continue;
    folded += '/';
    for (const char c : segment) c == '%' ? folded += "%25" : folded += c;
  }
  if (folded.empty()) folded = "/";
  return folded;
}

std::optional<std::string> fold_template(std::string_view path) {
  // Names may hold anything that folding takes away: letters that no template has stand for them.
  std::string plain;
  std::size_t names = 0;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '{') {
      plain += path[i];
      continue;
    }
    const auto close = path.find('}', i);
    if (close == path.npos) return std::nullopt;
    plain.append("{").append(std::to_string(names++)).append("}");
    i = close;
  }
  return fold_path(plain);
}

void Lookalikes::add(std::string_view path) {
  const auto folded = fold_template(path);
  if (!folded) return;
  std::vector<std::string> names;
  // Refused where another folds to the same, which is all that matters here.
  (void)router_.add("GET", *folded, &any_, names);
}

bool Lookalikes::has(std::string_view path) const {
  const auto folded = fold_path(path);
  if (!folded) return true;
  return router_.match("GET", *folded).kind != Match::Kind::not_found;
}

}  // namespace plimsoll::contract
