#include "plimsoll/json/utf8.hpp"
#include "plimsoll/schema/format.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

namespace plimsoll::schema {
namespace {

enum Class : std::uint8_t {
  kAlpha = 1,
  kDigit = 2,
  kHex = 4,
  kUnreserved = 8,  // RFC 3986, section 2.3
  kSubDelims = 16,  // RFC 3986, section 2.2
  kAtext = 32,      // RFC 5321, section 4.1.2
  kLiteral = 64,    // RFC 6570, section 2.1, ASCII
};

constexpr std::array<std::uint8_t, 128> classes() {
  std::array<std::uint8_t, 128> table{};
  for (int c = 0; c < 128; ++c) {
    const int lower = c | 0x20;
    const bool alpha = lower >= 'a' && lower <= 'z' && c >= 'A', digit = c >= '0' && c <= '9';
    int flags = 0;
    if (alpha) flags |= kAlpha | kUnreserved | kAtext;
    if (digit) flags |= kDigit | kHex | kUnreserved | kAtext;
    if (alpha && lower <= 'f') flags |= kHex;
    if (std::string_view("-._~").contains(static_cast<char>(c))) flags |= kUnreserved;
    if (std::string_view("!$&'()*+,;=").contains(static_cast<char>(c)) && c != 0) flags |= kSubDelims;
    if (std::string_view("!#$%&'*+-/=?^_`{|}~").contains(static_cast<char>(c)) && c != 0) flags |= kAtext;
    if (c > 0x20 && c != 0x7F && !std::string_view("\"%<>\\^`{|}").contains(static_cast<char>(c))) flags |= kLiteral;
    table[static_cast<std::size_t>(c)] = static_cast<std::uint8_t>(flags);
  }
  return table;
}
constexpr auto kClasses = classes();

bool is(char c, int flags) {
  return static_cast<unsigned char>(c) < 128 && (kClasses[static_cast<unsigned char>(c)] & flags);
}

bool is_percent_encoded(std::string_view text) {
  return text.size() >= 3 && text[0] == '%' && is(text[1], kHex) && is(text[2], kHex);
}

bool is_octet(std::string_view text) {
  if (text.empty() || text.size() > 3 || (text.size() > 1 && text[0] == '0')) return false;
  int value = 0;
  for (const char c : text) {
    if (!is(c, kDigit)) return false;
    value = value * 10 + (c - '0');
  }
  return value <= 255;
}

std::uint32_t decode(std::string_view text, std::size_t length) {
  std::uint32_t code = static_cast<unsigned char>(text[0]) & (0xFFu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) code = code << 6 | (static_cast<unsigned char>(text[i]) & 0x3F);
  return code;
}

/// ucschar and, in a query, iprivate (RFC 3987, section 2.2).
bool is_iri_character(std::uint32_t code, bool query) {
  if (code < 0xA0) return false;
  if (code >= 0xE000 && code <= 0xF8FF) return query;
  if (code < 0x10000) return code <= 0xD7FF || (code >= 0xF900 && code <= 0xFDCF) || (code >= 0xFDF0 && code <= 0xFFEF);
  if ((code & 0xFFFF) >= 0xFFFE) return false;
  if (code >= 0xF0000) return query;
  return code < 0xE0000 || code >= 0xE1000;
}

/// A URI or IRI, read from left to right.
class Reference {
 public:
  Reference(std::string_view text, bool international) : text_(text), international_(international) {}

  bool valid(bool absolute) {
    const auto colon = text_.find_first_of(":/?#");
    const bool scheme = colon != text_.npos && text_[colon] == ':' && is_scheme(text_.substr(0, colon));
    if (scheme)
      at_ = colon + 1;
    else if (absolute || (colon != text_.npos && text_[colon] == ':'))
      return false;  // the first segment of a relative path holds no colon
    if (rest().starts_with("//")) {
      at_ += 2;
      if (!authority()) return false;
      if (at_ < text_.size() && !std::string_view("/?#").contains(text_[at_])) return false;
    }
    characters(kUnreserved | kSubDelims, ":@/", false);
    if (at_ < text_.size() && text_[at_] == '?') ++at_, characters(kUnreserved | kSubDelims, ":@/?", true);
    if (at_ < text_.size() && text_[at_] == '#') ++at_, characters(kUnreserved | kSubDelims, ":@/?", false);
    return at_ == text_.size();
  }

 private:
  std::string_view rest() const { return text_.substr(at_); }

  static bool is_scheme(std::string_view text) {
    if (text.empty() || !is(text[0], kAlpha)) return false;
    return std::ranges::all_of(text, [](char c) { return is(c, kAlpha | kDigit) || c == '+' || c == '-' || c == '.'; });
  }

  /// Moves over all characters that are allowed.
  void characters(int flags, std::string_view others, bool query) {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (is(c, flags) || (static_cast<unsigned char>(c) < 128 && others.contains(c))) {
        ++at_;
      } else if (is_percent_encoded(rest())) {
        at_ += 3;
      } else if (international_ && static_cast<unsigned char>(c) >= 128) {
        const auto length = json::utf8_length(rest());
        if (length == 0 || !is_iri_character(decode(rest(), length), query)) return;
        at_ += length;
      } else {
        return;
      }
    }
  }

  bool authority() {
    const auto whole = rest().substr(0, rest().find_first_of("/?#"));
    const auto end = at_ + whole.size();
    if (const auto sign = whole.rfind('@'); sign != whole.npos) {
      const auto start = at_;
      characters(kUnreserved | kSubDelims, ":", false);
      if (at_ != start + sign) return false;
      ++at_;
    }
    if (at_ < text_.size() && text_[at_] == '[') {
      const auto close = text_.find(']', at_);
      if (close == text_.npos || !ip_literal(text_.substr(at_ + 1, close - at_ - 1))) return false;
      at_ = close + 1;
    } else {
      characters(kUnreserved | kSubDelims, "", false);
    }
    if (at_ < text_.size() && text_[at_] == ':') do
        ++at_;
      while (at_ < text_.size() && is(text_[at_], kDigit));
    return at_ == end;
  }

  static bool ip_literal(std::string_view text) {
    if (text.empty() || (text[0] | 0x20) != 'v') return is_ipv6(text);
    const auto dot = text.find('.');
    if (dot == text.npos || dot < 2 || dot + 1 == text.size()) return false;
    return std::ranges::all_of(text.substr(1, dot - 1), [](char c) { return is(c, kHex); }) &&
           std::ranges::all_of(text.substr(dot + 1),
                               [](char c) { return is(c, kUnreserved | kSubDelims) || c == ':'; });
  }

  std::string_view text_;
  bool international_;
  std::size_t at_ = 0;
};

bool is_ascii(std::string_view text) {
  return std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) >= 128; });
}

bool is_ldh_label(std::string_view label) {
  if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
  return std::ranges::all_of(label, [](char c) { return is(c, kAlpha | kDigit) || c == '-'; });
}

/// A label of ASCII: letters, digits, hyphens; hyphens in third and fourth place belong to A-labels.
bool is_ascii_label(std::string_view label) {
  if (!is_ldh_label(label)) return false;
  if (label.size() < 4 || label.substr(2, 2) != "--") return true;
  const bool a_label = (label[0] | 0x20) == 'x' && (label[1] | 0x20) == 'n';
  return a_label && is_idna_label(label);
}

bool local_part(std::string_view text, bool international) {
  const auto beyond = [&](char c) { return international && static_cast<unsigned char>(c) >= 128; };
  if (text.empty()) return false;
  if (text.front() != '"') {
    bool after_dot = true;
    for (const char c : text) {
      if (c == '.' ? after_dot : !is(c, kAtext) && !beyond(c)) return false;
      after_dot = c == '.';
    }
    return !after_dot;
  }
  if (text.size() < 2 || text.back() != '"') return false;
  for (std::size_t i = 1; i + 1 < text.size(); ++i) {
    const auto printable = [&](char c) { return (c >= ' ' && c <= '~') || beyond(c); };
    if (text[i] == '\\' && i + 2 < text.size())
      ++i;
    else if (text[i] == '"' || text[i] == '\\')
      return false;
    if (!printable(text[i])) return false;
  }
  return true;
}

bool address_literal(std::string_view text) {
  if (is_ipv4(text)) return true;
  constexpr std::string_view kIpv6 = "IPv6:";
  if (text.size() > kIpv6.size() &&
      std::ranges::equal(text.substr(0, kIpv6.size()), kIpv6, [](char a, char b) { return (a | 0x20) == (b | 0x20); }))
    return is_ipv6(text.substr(kIpv6.size()));
  const auto colon = text.find(':');  // General-address-literal
  return colon != text.npos && colon + 1 < text.size() && is_ldh_label(text.substr(0, colon)) &&
         std::ranges::all_of(text.substr(colon + 1),
                             [](char c) { return c >= 33 && c <= 126 && c != '[' && c != '\\' && c != ']'; });
}

bool mailbox(std::string_view text, bool international) {
  const auto sign = text.rfind('@');
  if (sign == text.npos || !local_part(text.substr(0, sign), international)) return false;
  const auto domain = text.substr(sign + 1);
  if (domain.starts_with('[') && domain.ends_with(']')) return address_literal(domain.substr(1, domain.size() - 2));
  if (!international || is_ascii(domain)) return is_hostname(domain);
  // RFC 6531 takes U-labels; what a registry would say of them (NFC among it) is not asked of an address.
  if (domain.empty() || domain.size() > 255) return false;
  std::size_t at = 0;
  for (;;) {
    const auto label = domain.substr(at, domain.find('.', at) - at);
    if (label.empty() || label.front() == '-' || label.back() == '-' || !std::ranges::all_of(label, [](char c) {
          return static_cast<unsigned char>(c) >= 128 || is(c, kAlpha | kDigit) || c == '-';
        }))
      return false;
    at += label.size();
    if (at == domain.size()) return true;
    ++at;
  }
}

bool variable_name(std::string_view name) {
  bool after_dot = true;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '.') {
      if (after_dot) return false;
      after_dot = true;
      continue;
    }
    if (is_percent_encoded(name.substr(i)))
      i += 2;
    else if (!is(name[i], kAlpha | kDigit) && name[i] != '_')
      return false;
    after_dot = false;
  }
  return !after_dot;
}

bool variable(std::string_view spec) {
  if (spec.ends_with('*')) return variable_name(spec.substr(0, spec.size() - 1));
  const auto colon = spec.find(':');
  if (colon == spec.npos) return variable_name(spec);
  const auto length = spec.substr(colon + 1);
  return !length.empty() && length.size() <= 4 && length.front() != '0' &&
         std::ranges::all_of(length, [](char c) { return is(c, kDigit); }) && variable_name(spec.substr(0, colon));
}

bool expression(std::string_view text) {
  if (!text.empty() && std::string_view("+#./;?&").contains(text.front())) text.remove_prefix(1);
  for (;;) {
    const auto comma = text.find(',');
    if (!variable(text.substr(0, comma))) return false;
    if (comma == text.npos) return true;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace

bool is_ipv4(std::string_view text) {
  for (int part = 0; part < 3; ++part) {
    const auto dot = text.find('.');
    if (dot == text.npos || !is_octet(text.substr(0, dot))) return false;
    text.remove_prefix(dot + 1);
  }
  return is_octet(text);
}

bool is_ipv6(std::string_view text) {
  int groups = 0;
  bool gap = false;
  if (text.starts_with("::")) {
    gap = true;
    text.remove_prefix(2);
    if (text.empty()) return true;
  }
  for (;;) {
    const auto end = std::min(text.find(':'), text.size());
    const auto group = text.substr(0, end);
    if (group.contains('.')) {
      groups += 2;
      return end == text.size() && is_ipv4(group) && (gap ? groups <= 7 : groups == 8);
    }
    if (group.empty() || group.size() > 4 || !std::ranges::all_of(group, [](char c) { return is(c, kHex); }))
      return false;
    ++groups;
    text.remove_prefix(end);
    if (text.empty()) return gap ? groups <= 7 : groups == 8;
    text.remove_prefix(1);
    if (text.starts_with(':')) {
      if (gap) return false;
      gap = true;
      text.remove_prefix(1);
      if (text.empty()) return groups <= 7;
    } else if (text.empty()) {
      return false;
    }
  }
}

bool is_hostname(std::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  for (;;) {
    const auto dot = text.find('.');
    if (!is_ascii_label(text.substr(0, dot))) return false;
    if (dot == text.npos) return true;
    text.remove_prefix(dot + 1);
  }
}

bool is_email(std::string_view text) { return mailbox(text, false); }
bool is_idn_email(std::string_view text) { return mailbox(text, true); }
bool is_uri(std::string_view text) { return Reference(text, false).valid(true); }
bool is_uri_reference(std::string_view text) { return Reference(text, false).valid(false); }
bool is_iri(std::string_view text) { return Reference(text, true).valid(true); }
bool is_iri_reference(std::string_view text) { return Reference(text, true).valid(false); }

bool is_uri_template(std::string_view text) {
  while (!text.empty()) {
    const char c = text.front();
    if (c == '{') {
      const auto close = text.find('}');
      if (close == text.npos || !expression(text.substr(1, close - 1))) return false;
      text.remove_prefix(close + 1);
    } else if (static_cast<unsigned char>(c) >= 128) {
      const auto length = json::utf8_length(text);
      if (length == 0 || !is_iri_character(decode(text, length), true)) return false;
      text.remove_prefix(length);
    } else if (is(c, kLiteral)) {
      text.remove_prefix(1);
    } else if (is_percent_encoded(text)) {
      text.remove_prefix(3);
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace plimsoll::schema
