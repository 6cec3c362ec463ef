#include "plimsoll/handler/table/file_fields.hpp"

#include "plimsoll/base/letters.hpp"
#include "plimsoll/base/percent.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/negotiate.hpp"
#include "plimsoll/json/utf8.hpp"

#include <algorithm>

namespace plimsoll::table {
namespace {

constexpr std::size_t kLongestName = 255;  ///< bytes: what file systems take
constexpr std::size_t kLongestType = 127;  ///< of each half (RFC 6838, section 4.2)
constexpr std::size_t kLongestCharset = 40;

/// What browsers show without running anything of it. SVG, HTML, XML and PDF are not among them.
constexpr std::string_view kShown[] = {"image/png",  "image/jpeg", "image/gif", "image/webp", "image/avif",
                                       "audio/mpeg", "audio/ogg",  "audio/wav", "audio/mp4",  "audio/webm",
                                       "video/mp4",  "video/webm", "video/ogg", "text/plain"};

bool is_control(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return first < 0x20 || first == 0x7F;
  if (character.size() == 2) return first == 0xC2 && static_cast<unsigned char>(character[1]) < 0xA0;
  // Marks that turn the direction of a text hide the end of a name: U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069.
  if (character.size() != 3 || first != 0xE2) return false;
  const auto second = static_cast<unsigned char>(character[1]), third = static_cast<unsigned char>(character[2]);
  return (second == 0x80 && (third == 0x8E || third == 0x8F || (third >= 0xAA && third <= 0xAE))) ||
         (second == 0x81 && third >= 0xA6 && third <= 0xA9);
}

/// A quoted string without its escapes.
std::string unescaped(std::string_view text) {
  std::string made;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    made += text[i];
  }
  return made;
}

bool is_media_type(std::string_view type) {
  const auto slash = type.find('/');
  if (slash == type.npos) return false;
  const auto fits = [](std::string_view half) { return half.size() <= kLongestType && is_token(half); };
  return fits(type.substr(0, slash)) && fits(type.substr(slash + 1));
}

}  // namespace

std::string clean_file_name(std::string_view name) {
  if (const auto slash = name.find_last_of("/\\"); slash != name.npos) name.remove_prefix(slash + 1);
  std::string made;
  while (!name.empty()) {
    const auto size = json::utf8_length(name);
    if (size == 0) return {};
    const auto character = name.substr(0, size);
    name.remove_prefix(size);
    if (is_control(character)) continue;
    if (made.size() + size > kLongestName) break;
    made += character;
  }
  const auto begin = made.find_first_not_of(' '), end = made.find_last_not_of(' ');
  made = begin == made.npos ? std::string{} : made.substr(begin, end - begin + 1);
  return made == "." || made == ".." ? std::string{} : made;
}

std::string sent_file_name(std::string_view content_disposition) {
  if (const auto extended = http::media_type_parameter(content_disposition, "filename*")) {
    constexpr std::string_view kUtf8 = "utf-8'";
    std::string made;
    if (extended->size() > kUtf8.size() && same_as_lower(extended->substr(0, kUtf8.size()), kUtf8))
      if (const auto quote = extended->find('\'', kUtf8.size());
          quote != extended->npos && append_decoded(made, extended->substr(quote + 1)))
        if (auto name = clean_file_name(made); !name.empty()) return name;
  }
  const auto plain = http::media_type_parameter(content_disposition, "filename");
  return plain ? clean_file_name(unescaped(*plain)) : std::string{};
}

std::string disposition_of(std::string_view media_type, std::string_view name) {
  const auto type = http::essence(media_type);
  std::string made = std::ranges::find(kShown, type) != std::end(kShown) ? "inline" : "attachment";
  const auto safe = clean_file_name(name);
  if (safe.empty()) return made;
  bool plain = true;
  made += "; filename=\"";
  for (const char c : safe) {
    const bool as_it_is = c >= ' ' && c <= '~' && c != '"' && c != '\\' && c != '%';
    plain &= as_it_is;
    if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) made += as_it_is ? c : '_';  // one for each character
  }
  made += '"';
  if (plain) return made;
  made += "; filename*=UTF-8''";
  append_encoded(made, safe);
  return made;
}

std::optional<std::string> kept_media_type(std::string_view content_type) {
  auto made = http::essence(content_type);
  if (!is_media_type(made)) return std::nullopt;
  if (!made.starts_with("text/")) return made;
  if (const auto charset = http::media_type_parameter(content_type, "charset");
      charset && charset->size() <= kLongestCharset && is_token(*charset))
    made += "; charset=" + lowered(*charset);
  return made;
}

}  // namespace plimsoll::table
