#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What the rows of a list must be, by plain loops over values in memory: for tests. Shares no code with the server, so
/// that an error is not made twice.
namespace plimsoll::table::reference {

enum class Type : std::uint8_t { text, integer, real, boolean, instant, decimal, number };
/// A value as a client writes it, without quotes; nothing: null.
using Value = std::optional<std::string>;
using Row = std::vector<Value>;

struct Test {
  std::size_t column;
  std::string op;  ///< as in the query
  std::vector<std::string> values;
};
struct Order {
  std::size_t column;
  bool descending;
};

inline bool digits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

/// Sign, exponent and digits of `0.digits × 10^exponent`, without zeros at either end.
struct Decimal {
  int sign = 0;
  long exponent = 0;
  std::string digits;
};
inline std::optional<Decimal> decimal_of(std::string_view text) {
  Decimal made{.sign = 1, .exponent = 0, .digits = {}};
  if (text.starts_with('-')) made.sign = -1, text.remove_prefix(1);
  if (const auto e = text.find_first_of("eE"); e != text.npos) {
    auto power = text.substr(e + 1);
    const bool down = power.starts_with('-');
    if (down || power.starts_with('+')) power.remove_prefix(1);
    if (!digits(power) || power.size() > 6) return std::nullopt;
    made.exponent = std::atol(std::string(power).c_str()) * (down ? -1 : 1);
    text = text.substr(0, e);
  }
  const auto point = text.find('.');
  const auto whole = text.substr(0, point);
  if (!digits(whole)) return std::nullopt;
  made.digits = whole;
  made.exponent += static_cast<long>(whole.size());
  if (point != text.npos) {
    if (!digits(text.substr(point + 1))) return std::nullopt;
    made.digits += text.substr(point + 1);
  }
  while (made.digits.starts_with('0')) made.digits.erase(0, 1), --made.exponent;
  while (made.digits.ends_with('0')) made.digits.pop_back();
  if (made.digits.empty()) return Decimal{};
  return made;
}
/// As JSON writes numbers: no zeros in front.
inline bool json_number(std::string_view text) {
  const auto plain = text.substr(text.starts_with('-'));
  return decimal_of(text) && !(plain.size() > 1 && plain[0] == '0' && plain[1] >= '0' && plain[1] <= '9');
}
inline int compare(const Decimal& a, const Decimal& b) {
  if (a.sign != b.sign) return a.sign < b.sign ? -1 : 1;
  if (a.exponent != b.exponent && a.sign) return (a.exponent < b.exponent ? -1 : 1) * a.sign;
  const int order = a.digits.compare(b.digits);
  return order == 0 ? 0 : (order < 0 ? -1 : 1) * a.sign;
}

/// Minutes since 1970, seconds (to 60), digits of the fraction.
struct Instant {
  std::int64_t minutes = 0;
  int second = 0;
  std::string fraction;
  friend auto operator<=>(const Instant&, const Instant&) = default;
};
inline std::optional<Instant> instant_of(const std::string& given) {
  const auto text = given.size() == 10 ? given + "T00:00:00Z" : given;
  std::tm parts{};
  int read = 0;
  if (text.size() < 20 || !std::strchr("Tt ", text[10]) ||
      std::sscanf(text.c_str(), "%4d-%2d-%2d%*c%2d:%2d:%2d%n", &parts.tm_year, &parts.tm_mon, &parts.tm_mday,
                  &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &read) != 6 ||
      read != 19)
    return std::nullopt;
  Instant made{.minutes = 0, .second = parts.tm_sec, .fraction = {}};
  auto rest = text.substr(19);
  if (rest.starts_with('.')) {
    while (rest.size() > 1 && std::isdigit(static_cast<unsigned char>(rest[1])))
      made.fraction += rest[1], rest.erase(1, 1);
    if (made.fraction.empty()) return std::nullopt;
    rest.erase(0, 1);
  }
  while (made.fraction.ends_with('0')) made.fraction.pop_back();
  int hours = 0, minutes = 0;
  char sign = 0;
  if (rest != "Z" && rest != "z" &&
      (rest.size() != 6 || std::sscanf(rest.c_str(), "%c%2d:%2d", &sign, &hours, &minutes) != 3))
    return std::nullopt;
  parts.tm_sec = 0;
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  const auto day = parts.tm_mday;
  made.minutes = ::timegm(&parts) / 60 - (hours * 60 + minutes) * (sign == '-' ? -1 : 1);
  if (parts.tm_mday != day) return std::nullopt;  // 30 February
  return made;
}

/// A text of a query as a value of the type; nothing: it is none, and the server must not take it for one.
inline Value read(Type type, const std::string& text) {
  switch (type) {
    case Type::text: return text;
    case Type::boolean: return text == "true" || text == "false" ? Value{text} : Value{};
    case Type::instant: return instant_of(text) ? Value{text} : Value{};
    case Type::decimal: return decimal_of(text) && text.find_first_of("eE") == text.npos ? Value{text} : Value{};
    case Type::number:
    case Type::real: return json_number(text) ? Value{text} : Value{};
    case Type::integer: {
      const auto decimal = decimal_of(text);
      if (!json_number(text)) return std::nullopt;
      if (!decimal->sign) return "0";
      if (decimal->exponent > 19 || static_cast<long>(decimal->digits.size()) > decimal->exponent) return std::nullopt;
      auto whole = decimal->digits;
      whole.resize(static_cast<std::size_t>(decimal->exponent), '0');
      return (decimal->sign < 0 ? "-" : "") + whole;
    }
  }
  return std::nullopt;
}

inline int compare(Type type, const std::string& a, const std::string& b) {
  const auto three = [](const auto& x, const auto& y) { return x < y ? -1 : y < x ? 1 : 0; };
  switch (type) {
    case Type::integer:
    case Type::decimal:
    case Type::number: return compare(*decimal_of(a), *decimal_of(b));
    case Type::real: return three(std::strtod(a.c_str(), nullptr), std::strtod(b.c_str(), nullptr));
    case Type::instant: return three(*instant_of(a), *instant_of(b));
    default: return three(a, b);  // bytes; "false" is before "true"
  }
}

inline std::vector<std::string> characters(std::string_view text) {
  std::vector<std::string> all;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (!all.empty() && (static_cast<unsigned char>(text[i]) & 0xc0) == 0x80)
      all.back() += text[i];
    else
      all.emplace_back(1, text[i]);
  return all;
}
inline std::string lower(std::string text) {
  for (auto& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

/// `%` and `*` any text, `_` one character, `\` before what is itself; a table of which prefix fits which.
inline bool like(std::string_view text, std::string_view pattern) {
  const auto letters = characters(lower(std::string(text)));
  struct Piece {
    enum { any, one, itself } kind;
    std::string letter;
  };
  std::vector<Piece> pieces;
  const auto given = characters(lower(std::string(pattern)));
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (given[i] == "\\")
      pieces.push_back({Piece::itself, i + 1 < given.size() ? given[++i] : "\\"});
    else
      pieces.push_back({given[i] == "%" || given[i] == "*" ? Piece::any
                        : given[i] == "_"                  ? Piece::one
                                                           : Piece::itself,
                        given[i]});
  }
  std::vector<char> fits(letters.size() + 1, 0);
  fits[0] = 1;
  for (auto& piece : pieces) {
    std::vector<char> next(letters.size() + 1, 0);
    for (std::size_t i = 0; i <= letters.size(); ++i) {
      if (piece.kind == Piece::any) next[i] = fits[i] || (i && next[i - 1]);
      if (piece.kind != Piece::any && i)
        next[i] = fits[i - 1] && (piece.kind == Piece::one || letters[i - 1] == piece.letter);
    }
    fits = std::move(next);
  }
  return fits.back();
}

/// Words as a full-text index sees them: letters and digits, without case and accents.
inline std::vector<std::string> words(std::string_view text) {
  static const std::map<std::string, std::string> kAccents = {{"é", "e"}, {"É", "e"}, {"ü", "u"}, {"Ü", "u"}};
  std::vector<std::string> all{""};
  for (auto& character : characters(text)) {
    const auto plain = kAccents.find(character);
    const auto letter = lower(plain == kAccents.end() ? character : plain->second);
    const bool separates = letter.size() == 1 ? !std::isalnum(static_cast<unsigned char>(letter[0]))
                                              : letter == "\xe2\x80\xae" || letter == "𝄞";
    if (!separates)
      all.back() += letter;
    else if (!all.back().empty())
      all.emplace_back();
  }
  if (all.back().empty()) all.pop_back();
  return all;
}

/// All that is asked for occurs: what stands between blanks as words in a row, the last as a beginning with `*`.
inline bool finds(const std::vector<Value>& texts, std::string_view asked) {
  bool any = false;
  const auto occurs = [&](const std::vector<std::string>& phrase, bool beginning) {
    for (auto& text : texts) {
      const auto in = words(text.value_or(""));
      for (std::size_t at = 0; at + phrase.size() <= in.size(); ++at) {
        bool same = true;
        for (std::size_t i = 0; i < phrase.size(); ++i)
          same &= beginning && i + 1 == phrase.size() ? in[at + i].starts_with(phrase[i]) : in[at + i] == phrase[i];
        if (same) return true;
      }
    }
    return false;
  };
  while (!asked.empty()) {
    const auto end = std::min(asked.find_first_of(" \t\r\n"), asked.size());
    const auto word = asked.substr(0, end);
    asked.remove_prefix(std::min(end + 1, asked.size()));
    const auto phrase = words(word);
    if (phrase.empty()) continue;  // punctuation only
    any = true;
    if (!occurs(phrase, word.size() > 1 && word.ends_with('*'))) return false;
  }
  return any;
}

inline bool passes(const Row& row, const std::vector<Type>& types, const Test& test) {
  const auto& value = row[test.column];
  if (test.op == "is-null") return value.has_value() == (test.values[0] == "false");
  if (test.op == "ne") return !value || compare(types[test.column], *value, test.values[0]) != 0;
  if (!value) return false;
  if (test.op == "like") return like(*value, test.values[0]);
  if (test.op == "eq" || test.op == "in")
    return std::ranges::any_of(test.values, [&](auto& v) { return compare(types[test.column], *value, v) == 0; });
  const int order = compare(types[test.column], *value, test.values[0]);
  return test.op == "lt" ? order < 0 : test.op == "le" ? order <= 0 : test.op == "gt" ? order > 0 : order >= 0;
}

/// Nulls last in either direction; ties by the key, in the direction of the last column.
inline bool before(const Row& a, const Row& b, const std::vector<Type>& types, const std::vector<Order>& orders,
                   std::size_t key) {
  for (auto& order : orders) {
    const auto &x = a[order.column], &y = b[order.column];
    if (x.has_value() != y.has_value()) return x.has_value();
    const int found = x ? compare(types[order.column], *x, *y) : 0;
    if (found) return (found < 0) != order.descending;
  }
  return (compare(types[key], *a[key], *b[key]) < 0) != (!orders.empty() && orders.back().descending) &&
         a[key] != b[key];
}

}  // namespace plimsoll::table::reference
