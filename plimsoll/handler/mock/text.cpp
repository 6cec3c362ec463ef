#include "plimsoll/handler/mock/text.hpp"

#include <algorithm>
#include <cstdio>

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

}  // namespace

std::optional<std::string> text_of_format(std::string_view format, Random& r) {
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
  if (format == "byte") return "cGxpbXNvbGw=";
  return std::nullopt;
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
