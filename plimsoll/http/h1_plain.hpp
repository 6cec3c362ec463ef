#pragma once

// For tests and fuzzing: a second reading of RFC 9112, written for clearness alone and from the text alone. It shares
// no code with the machine it is compared with, and needs all bytes at once.

#include "plimsoll/http/h1_drive.hpp"

#include <cctype>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plimsoll::h1 {

class PlainReading {
 public:
  explicit PlainReading(std::string_view bytes) : rest_(bytes) {}

  /// The messages read; `status` 400 for a refusal of any kind; `incomplete` when the bytes end within a message.
  Seen read() {
    while (true) {
      while (rest_.starts_with("\r\n")) rest_.remove_prefix(2);
      if (rest_.empty() || rest_ == "\r") return seen_;
      if (!message()) return seen_;
    }
  }

 private:
  using Text = std::string_view;
  bool refuse() {
    seen_.status = 400;
    return false;
  }
  bool cut_off() {
    seen_.incomplete = true;
    return false;
  }
  static bool token(Text text) {
    if (text.empty()) return false;
    for (const unsigned char c : text)
      if (!std::isalnum(c) && Text("!#$%&'*+-.^_`|~").find(static_cast<char>(c)) == Text::npos) return false;
    for (const unsigned char c : text)
      if (c >= 128) return false;
    return true;
  }
  static bool clean(Text text) {
    for (const unsigned char c : text)
      if ((c < 32 && c != '\t') || c == 127) return false;
    return true;
  }
  static std::string lowered(Text text) {
    std::string out{text};
    for (auto& c : out)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
  }
  static Text strip(Text text) {
    const auto first = text.find_first_not_of(" \t");
    if (first == Text::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
  }
  static std::vector<Text> split(Text text, char by) {
    std::vector<Text> parts;
    for (std::size_t at = 0;;) {
      const auto next = text.find(by, at);
      parts.push_back(text.substr(at, next == Text::npos ? Text::npos : next - at));
      if (next == Text::npos) return parts;
      at = next + 1;
    }
  }
  /// Lines of `block`, each of which ends with CR LF; nothing when one ends otherwise or holds a control character.
  static std::optional<std::vector<Text>> lines(Text block) {
    std::vector<Text> all;
    while (!block.empty()) {
      const auto end = block.find("\r\n");
      if (end == Text::npos || !clean(block.substr(0, end))) return std::nullopt;
      all.push_back(block.substr(0, end));
      block.remove_prefix(end + 2);
    }
    return all;
  }
  static bool ipv4(Text text) {
    const auto parts = split(text, '.');
    for (const auto part : parts) {
      if (part.empty() || part.size() > 3 || (part.size() > 1 && part[0] == '0')) return false;
      if (part.find_first_not_of("0123456789") != Text::npos || std::stoi(std::string(part)) > 255) return false;
    }
    return parts.size() == 4;
  }
  /// h16 groups with at most one `::`; an IPv4 address may stand for the last two (RFC 3986, section 3.2.2).
  static std::optional<int> groups(Text text, bool last) {
    if (text.empty()) return 0;
    int count = 0;
    const auto parts = split(text, ':');
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (last && i + 1 == parts.size() && ipv4(parts[i])) {
        ++count;
      } else if (parts[i].empty() || parts[i].size() > 4) {
        return std::nullopt;
      } else {
        for (const char c : parts[i])
          if (!hex(c)) return std::nullopt;
      }
      ++count;
    }
    return count;
  }
  static bool literal(Text text) {
    if (text[0] == 'v' || text[0] == 'V') {
      const auto dot = text.find('.');
      if (dot == Text::npos || dot < 2 || dot + 1 == text.size()) return false;
      for (const char c : text.substr(1, dot - 1))
        if (!hex(c)) return false;
      return text.find('%') == Text::npos && characters(text.substr(dot + 1), "-._~!$&'()*+,;=:");
    }
    const auto gap = text.find("::");
    if (gap == Text::npos) return groups(text, true) == 8;
    const auto left = groups(text.substr(0, gap), false), right = groups(text.substr(gap + 2), true);
    return left && right && *left + *right <= 7;
  }
  static bool authority(Text text) {
    auto host = text;
    Text port;
    if (text.starts_with('[')) {
      const auto close = text.find(']');
      if (close == Text::npos || close < 3) return false;
      host = "h";
      port = text.substr(close + 1);
      if (!port.empty() && port[0] != ':') return false;
      if (!port.empty()) port.remove_prefix(1);
      if (!literal(text.substr(1, close - 1))) return false;
    } else if (const auto colon = text.find(':'); colon != Text::npos) {
      host = text.substr(0, colon);
      port = text.substr(colon + 1);
    }
    if (host.empty() || port.size() > 5) return false;
    long number = 0;
    for (const char c : port) {
      if (c < '0' || c > '9') return false;
      number = number * 10 + (c - '0');
    }
    return number <= 65535 && characters(host, "-._~!$&'()*+,;=");
  }
  static bool hex(char c) { return Text("0123456789abcdefABCDEF").find(c) != Text::npos; }
  /// Letters, digits, those listed, and `%` with two hexadecimal digits.
  static bool characters(Text text, Text listed, bool loose_percent = false) {
    for (std::size_t i = 0; i < text.size(); ++i) {
      const auto c = static_cast<unsigned char>(text[i]);
      if (c == '%') {
        if (!loose_percent && !(i + 2 < text.size() && hex(text[i + 1]) && hex(text[i + 2]))) return false;
      } else if (c >= 128 || (!std::isalnum(c) && listed.find(text[i]) == Text::npos)) {
        return false;
      }
    }
    return true;
  }
  static bool target_is_right(Text method, Text target) {
    if (method == "CONNECT") return false;
    if (target == "*") return method == "OPTIONS";
    if (!target.starts_with('/')) {
      const auto colon = target.find("://");
      if (colon == Text::npos) return false;
      const auto scheme = lowered(target.substr(0, colon));
      if (scheme != "http" && scheme != "https") return false;
      target.remove_prefix(colon + 3);
      const auto end = std::min(target.find_first_of("/?"), target.size());
      if (!authority(target.substr(0, end))) return false;
      target.remove_prefix(end);
    }
    const auto question = std::min(target.find('?'), target.size());
    constexpr Text kPath = "-._~!$&'()*+,;=:@/[]^|";
    if (!characters(target.substr(0, question), kPath)) return false;
    return characters(target.substr(question), std::string(kPath) + "?{}\\`", true);
  }

  bool message() {
    const auto end = rest_.find("\r\n\r\n");
    if (end == Text::npos) return cut_off();
    const auto head = lines(rest_.substr(0, end + 2));
    if (!head || head->empty()) return refuse();
    const auto words = split(head->front(), ' ');
    if (words.size() != 3 || !token(words[0])) return refuse();
    const auto version = words[2];
    if (version.size() != 8 || version.substr(0, 7) != "HTTP/1." || version[7] < '0' || version[7] > '9')
      return refuse();
    const bool old = version[7] == '0';
    if (words[1].empty() || !target_is_right(words[0], words[1])) return refuse();
    std::optional<std::string> host, length, coding;
    bool expects_other = false;
    for (std::size_t i = 1; i < head->size(); ++i) {
      const auto line = (*head)[i];
      const auto colon = line.find(':');
      if (colon == Text::npos || !token(line.substr(0, colon))) return refuse();
      const auto name = lowered(line.substr(0, colon));
      const std::string value{strip(line.substr(colon + 1))};
      if (name == "host") {
        if (host) return refuse();
        host = value;
      } else if (name == "content-length") {
        if (length) return refuse();
        length = value;
      } else if (name == "transfer-encoding") {
        coding = coding ? *coding + "," + value : value;
        if (strip(value).find_first_not_of(", \t") == Text::npos) return refuse();
      } else if (name == "expect" && lowered(value) != "100-continue") {
        expects_other = true;
      }
    }
    if ((!host && !old) || (host && !host->empty() && !authority(*host))) return refuse();
    if (expects_other && !old) return refuse();
    const auto line = std::string(words[0]) + " " + std::string(words[1]);
    rest_.remove_prefix(end + 4);
    if (coding) {
      if (old || length) return refuse();
      std::vector<std::string> codings;
      for (const auto part : split(*coding, ','))
        if (const auto one = strip(part); !one.empty()) codings.push_back(lowered(one));
      if (codings != std::vector<std::string>{"chunked"}) return refuse();
      return chunked(line);
    }
    std::size_t size = 0;
    if (length) {
      if (length->empty() || length->find_first_not_of("0123456789") != std::string::npos) return refuse();
      auto digits = length->substr(std::min(length->find_first_not_of('0'), length->size() - 1));
      // A number that a signed word of 64 bits holds.
      const std::string most = "9223372036854775807";
      if (digits.size() > most.size() || (digits.size() == most.size() && digits > most)) return refuse();
      size = std::stoull(digits);
    }
    if (rest_.size() < size) return cut_off();
    done(line, rest_.substr(0, size));
    rest_.remove_prefix(size);
    return true;
  }

  void done(const std::string& line, Text body) {
    seen_.messages.push_back(body.empty() ? line : line + " " + std::string(body));
  }

  static bool extensions(Text text) {
    // *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )
    const auto blanks = [&] { text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size())); };
    const auto word = [&] {
      std::size_t size = 0;
      while (size < text.size() && token(text.substr(size, 1))) ++size;
      text.remove_prefix(size);
      return size > 0;
    };
    while (!text.empty()) {
      blanks();
      if (!text.starts_with(';')) return false;
      text.remove_prefix(1);
      blanks();
      if (!word()) return false;
      const auto before = text;
      blanks();
      if (!text.starts_with('=')) {
        text = before;
        continue;
      }
      text.remove_prefix(1);
      blanks();
      if (text.starts_with('"')) {
        std::size_t at = 1;
        while (at < text.size() && text[at] != '"') at += text[at] == '\\' ? 2 : 1;
        if (at >= text.size()) return false;
        text.remove_prefix(at + 1);
      } else if (!word()) {
        return false;
      }
    }
    return true;
  }

  bool chunked(const std::string& line) {
    std::string body;
    for (;;) {
      const auto end = rest_.find("\r\n");
      if (end == Text::npos) return cut_off();
      const auto control = rest_.substr(0, end);
      std::size_t digits = 0;
      while (digits < control.size() && hex(control[digits])) ++digits;
      const auto number = control.substr(0, digits);
      const auto significant = number.substr(std::min(number.find_first_not_of('0'), number.size()));
      if (digits == 0 || significant.size() > 15 || !clean(control) || !extensions(control.substr(digits)))
        return refuse();
      const auto size = significant.empty() ? 0 : std::stoull(std::string(significant), nullptr, 16);
      rest_.remove_prefix(end + 2);
      if (size == 0) break;
      if (rest_.size() < size + 2) {
        if (rest_.size() == size + 1 && rest_.back() != '\r') return refuse();
        return cut_off();
      }
      if (rest_.substr(size, 2) != "\r\n") return refuse();
      body += rest_.substr(0, size);
      rest_.remove_prefix(size + 2);
    }
    std::string trailers;
    std::size_t count = 0;
    for (;;) {
      const auto end = rest_.find("\r\n");
      if (end == Text::npos) return cut_off();
      const auto trailer = rest_.substr(0, end);
      if (!clean(trailer)) return refuse();
      rest_.remove_prefix(end + 2);
      if (trailer.empty()) break;
      const auto colon = trailer.find(':');
      if (colon == Text::npos || !token(trailer.substr(0, colon))) return refuse();
      for (const char c : trailer.substr(0, colon)) trailers += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
      auto value = trailer.substr(colon + 1);
      while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
      while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
      trailers.append("=").append(value).append(";");
      ++count;
    }
    if (count <= BodyReader::kMostTrailers) seen_.trailers += trailers;
    done(line, body);
    return true;
  }

  Text rest_;
  Seen seen_;
};

/// Where the machine and the plain reading differ, or the machine and itself when the bytes come in pieces; empty:
/// nowhere. The machine may refuse sooner: the plain reading sees what is wrong with a part only when the part is
/// whole.
inline std::string disagreement(std::string_view bytes) {
  const HeadLimits limits{.head = 1 << 20, .target = 1 << 20, .fields = 1 << 20};
  const auto machine = drive(bytes, {}, limits);
  const std::size_t one[] = {1}, few[] = {3, 1, 7, 2, 15};
  if (drive(bytes, one, limits) != machine) return "byte by byte gives another result";
  if (drive(bytes, few, limits) != machine) return "in pieces gives another result";
  const auto plain = PlainReading{bytes}.read();
  if (machine.messages != plain.messages) return "other messages are read";
  if (machine.trailers != plain.trailers) return "other fields are read behind a body";
  const bool refused = machine.status != 0;
  if (plain.status && !refused) return "what the plain reading refuses is not refused";
  if (refused && !plain.status && !plain.incomplete) return "what the plain reading takes is refused";
  if (machine.incomplete && !plain.incomplete) return "what the plain reading sees whole is incomplete";
  return {};
}

}  // namespace plimsoll::h1
