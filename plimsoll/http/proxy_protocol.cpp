#include "plimsoll/http/proxy_protocol.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace plimsoll {
namespace {

using State = ProxyHeader::State;

constexpr std::string_view kSignature{"\r\n\r\n\0\r\nQUIT\n", 12};
constexpr std::size_t kLongestLine = 107;  // version 1, CR LF included (section 2.1)

ProxyHeader refused(std::string_view problem) { return {.state = State::refused, .problem = problem}; }

std::string text_of(int family, const char* bytes) {
  char text[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(family, bytes, text, sizeof text);
  return text;
}
std::uint16_t number_of(const char* bytes) {
  return static_cast<std::uint16_t>(static_cast<unsigned char>(bytes[0]) << 8 | static_cast<unsigned char>(bytes[1]));
}

/// A decimal without sign, blanks or leading zeros.
bool read_port(std::string_view text, std::uint16_t& port) {
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return false;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), port);
  return code == std::errc{} && end == text.data() + text.size();
}
bool is_address(int family, std::string_view text) {
  char copy[INET6_ADDRSTRLEN] = {}, parsed[16];
  if (text.size() >= sizeof copy || text.contains('\0')) return false;  // it would end there for inet_pton
  text.copy(copy, text.size());
  return ::inet_pton(family, copy, parsed) == 1;
}

ProxyHeader read_line(std::string_view bytes) {
  const auto within = bytes.substr(0, kLongestLine);
  const auto end = within.find('\n');
  if (end == within.npos) {
    if (within.size() == kLongestLine) return refused("The PROXY line is too long.");
    return {};
  }
  if (end == 0 || within[end - 1] != '\r') return refused("The PROXY line does not end with CR LF.");
  const auto line = within.substr(0, end - 1);
  ProxyHeader header{.state = State::complete, .size = end + 1};
  if (line == "PROXY UNKNOWN" || line.starts_with("PROXY UNKNOWN ")) return header;
  std::array<std::string_view, 6> words;
  std::size_t count = 0, at = 0;
  for (; count < words.size() && at <= line.size(); ++count) {
    const auto blank = std::min(line.find(' ', at), line.size());
    words[count] = line.substr(at, blank - at);
    at = blank + 1;
  }
  if (count != 6 || at <= line.size()) return refused("The PROXY line has not six words.");
  const int family = words[1] == "TCP4" ? AF_INET : words[1] == "TCP6" ? AF_INET6 : 0;
  if (!family) return refused("The PROXY line names no protocol that is known.");
  std::uint16_t to = 0;
  if (!is_address(family, words[2]) || !is_address(family, words[3]))
    return refused("An address of the PROXY line is wrong.");
  if (!read_port(words[4], header.port) || !read_port(words[5], to))
    return refused("A port of the PROXY line is wrong.");
  header.known = true;
  header.address = words[2];
  return header;
}

ProxyHeader read_binary(std::string_view bytes) {
  if (bytes.size() < 16) return {};
  const auto version = static_cast<unsigned char>(bytes[12]), family = static_cast<unsigned char>(bytes[13]);
  const std::size_t length = number_of(bytes.data() + 14);
  if (version >> 4 != 2 || (version & 15) > 1) return refused("The PROXY header is of no version that is known.");
  if (length + 16 > kProxyHeaderLimit) return refused("The PROXY header is too long.");
  if (bytes.size() < 16 + length) return {};
  ProxyHeader header{.state = State::complete, .size = 16 + length};
  if ((version & 15) == 0) return header;  // LOCAL: a health check of the proxy
  const auto* at = bytes.data() + 16;
  switch (family) {
    case 0x11:  // TCP over IPv4
      if (length < 12) return refused("The PROXY header is shorter than its addresses.");
      header.address = text_of(AF_INET, at);
      header.port = number_of(at + 8);
      break;
    case 0x21:  // TCP over IPv6
      if (length < 36) return refused("The PROXY header is shorter than its addresses.");
      header.address = text_of(AF_INET6, at);
      header.port = number_of(at + 32);
      break;
    case 0x31:
      if (length < 216) return refused("The PROXY header is shorter than its addresses.");
      header.address = "unix";
      break;
    case 0x00: return header;
    default: return refused("The PROXY header names no protocol that is known.");
  }
  header.known = true;
  return header;
}

}  // namespace

ProxyHeader read_proxy_header(std::string_view bytes) {
  const auto begins = [&](std::string_view word) {
    return bytes.substr(0, word.size()) == word.substr(0, bytes.size());
  };
  if (begins(kSignature)) return bytes.size() < kSignature.size() ? ProxyHeader{} : read_binary(bytes);
  constexpr std::string_view kWord = "PROXY ";
  if (begins(kWord)) return bytes.size() < kWord.size() ? ProxyHeader{} : read_line(bytes);
  return refused("The connection does not begin with a PROXY header.");
}

}  // namespace plimsoll
