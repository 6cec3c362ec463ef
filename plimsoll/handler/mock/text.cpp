#include "plimsoll/handler/mock/text.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace plimsoll::handler::mocking {
namespace {

constexpr std::string_view kWords[] = {"anchor", "beacon", "cargo", "deck",    "ebb",    "ferry", "galley", "harbour",
                                       "island", "jetty",  "keel",  "lantern", "mast",   "north", "oar",    "pilot",
                                       "quay",   "rudder", "sail",  "tide",    "vessel", "wharf", "yard",   "buoy"};

std::string_view word(Random& random) { return kWords[random.below(std::size(kWords))]; }

template <class... A>
std::string print(const char* format, A... arguments) {
  char text[128];
  const auto size = std::snprintf(text, sizeof text, format, arguments...);
  return {text, static_cast<std::size_t>(size)};
}

std::string date(Random& r) {
  return print("20%02d-%02d-%02d", static_cast<int>(r.between(20, 29)), static_cast<int>(r.between(1, 12)),
               static_cast<int>(r.between(1, 28)));
}
std::string time(Random& r) {
  return print("%02d:%02d:%02dZ", static_cast<int>(r.below(24)), static_cast<int>(r.below(60)),
               static_cast<int>(r.below(60)));
}
std::string uuid(Random& r) {
  const auto a = r.next(), b = r.next();
  return print("%08x-%04x-4%03x-%04x-%012llx", static_cast<unsigned>(a >> 32), static_cast<unsigned>(a >> 16 & 0xFFFF),
               static_cast<unsigned>(a & 0xFFF), static_cast<unsigned>(0x8000 | (b >> 48 & 0x3FFF)),
               static_cast<unsigned long long>(b & 0xFFFFFFFFFFFF));
}
std::string host(Random& r) { return std::string(word(r)) + ".example.com"; }

std::optional<std::string> text_of(std::string_view format, Random& r) {
  if (format == "date-time") return date(r) + "T" + time(r);
  if (format == "date") return date(r);
  if (format == "time") return time(r);
  if (format == "duration") return print("P%dDT%dH", static_cast<int>(r.between(1, 30)), static_cast<int>(r.below(24)));
  if (format == "email" || format == "idn-email") return std::string(word(r)) + "@" + host(r);
  if (format == "hostname" || format == "idn-hostname") return host(r);
  if (format == "ipv4") return print("192.0.2.%d", static_cast<int>(r.between(1, 254)));
  if (format == "ipv6") return print("2001:db8::%x", static_cast<unsigned>(r.between(1, 0xFFFF)));
  if (format == "uri" || format == "iri" || format == "url") return "https://" + host(r) + "/" + std::string(word(r));
  if (format == "uri-reference" || format == "iri-reference")
    return "/" + std::string(word(r)) + "/" + std::string(word(r));
  if (format == "uri-template") return "https://" + host(r) + "/{" + std::string(word(r)) + "}";
  if (format == "uuid") return uuid(r);
  if (format == "json-pointer") return "/" + std::string(word(r)) + "/" + std::to_string(r.below(10));
  if (format == "relative-json-pointer") return std::to_string(r.below(3)) + "/" + std::string(word(r));
  if (format == "regex") return "^" + std::string(word(r)) + "$";
  if (format == "decimal") return print("%d.%02d", static_cast<int>(r.below(1000)), static_cast<int>(r.below(100)));
  if (format == "byte") return "cGxpbXNvbGw=";
  return std::nullopt;
}

/// The shortest text of a format whose texts are of any length.
std::string_view shortest(std::string_view format) {
  constexpr std::pair<std::string_view, std::string_view> kShortest[] = {{"email", "a@b.example"},
                                                                         {"idn-email", "a@b.example"},
                                                                         {"hostname", "a"},
                                                                         {"idn-hostname", "a"},
                                                                         {"uri", "a:b"},
                                                                         {"iri", "a:b"},
                                                                         {"uri-reference", "/"},
                                                                         {"iri-reference", "/"},
                                                                         {"uri-template", "a"},
                                                                         {"ipv4", "1.1.1.1"},
                                                                         {"ipv6", "::1"},
                                                                         {"duration", "P1D"},
                                                                         {"decimal", "0"},
                                                                         {"json-pointer", "/"},
                                                                         {"relative-json-pointer", "0"},
                                                                         {"regex", "a"}};
  const auto* found = std::ranges::find(kShortest, format, &std::pair<std::string_view, std::string_view>::first);
  return found == std::end(kShortest) ? std::string_view{} : found->second;
}

/// Longer by `more` characters, where that is easy.
void lengthen(std::string_view format, std::string& text, std::size_t more) {
  if (format.ends_with("email"))
    text.insert(0, std::min<std::size_t>(more, 50), 'a');
  else if (format.ends_with("hostname"))
    for (std::size_t i = 0; i < more; ++i) text.insert(0, 1, i % 20 == 19 && i + 1 < more ? '.' : 'a');
  else if (format.starts_with("uri") || format.starts_with("iri") || format == "url" || format.ends_with("pointer"))
    text.append(more, 'a');
  else if (format == "regex")
    text.insert(1, more, 'a');
  else if (format == "decimal")
    text.append(more, '0');
  else if (format == "duration")
    text.insert(1, more, '0');
  else if ((format == "date-time" || format == "time") && more > 1)
    text.insert(text.size() - 1, "." + std::string(more - 1, '0'));
}

}  // namespace

std::optional<std::string> text_of_format(std::string_view format, Random& random, std::size_t least,
                                          std::size_t most) {
  auto text = text_of(format, random);
  if (!text) return text;
  if (text->size() > most) {
    const auto shorter = shortest(format);
    if (!shorter.empty()) text = shorter;
  }
  if (text->size() < least && least < 10'000) lengthen(format, *text, least - text->size());
  return text;
}

std::string words(Random& random, std::size_t least, std::size_t most) {
  std::string text(word(random));
  const auto wished = std::clamp<std::size_t>(least + random.below(12), least, most);
  while (text.size() < wished && text.size() < least + 8) text += " " + std::string(word(random));
  while (text.size() < least) text += " " + std::string(word(random));
  if (text.size() > most) text.resize(most);
  if (!text.empty() && text.back() == ' ') text.back() = 'e';
  return text;
}

}  // namespace plimsoll::handler::mocking
