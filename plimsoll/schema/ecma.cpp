#include "plimsoll/schema/ecma.hpp"

#include "plimsoll/json/utf8.hpp"

#include <algorithm>
#include <optional>
#include <span>

namespace plimsoll::schema {
namespace {

struct Range {
  std::uint32_t from, to;
};

constexpr std::uint32_t kLastCharacter = 0x10FFFF;
// ECMA-262, WhiteSpace and LineTerminator; the complement is written out because a class cannot hold a negated set.
constexpr Range kSpaces[] = {{0x9, 0xD},       {0x20, 0x20},     {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
                             {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
constexpr Range kDigits[] = {{'0', '9'}};
constexpr Range kWords[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};

struct Category {
  std::string_view name, code;
};
// General_Category as ECMA-262 (table 70) takes it, by the short names that PCRE2 knows.
constexpr Category kCategories[] = {{"Cased_Letter", "L&"},
                                    {"Close_Punctuation", "Pe"},
                                    {"Connector_Punctuation", "Pc"},
                                    {"Control", "Cc"},
                                    {"cntrl", "Cc"},
                                    {"Currency_Symbol", "Sc"},
                                    {"Dash_Punctuation", "Pd"},
                                    {"Decimal_Number", "Nd"},
                                    {"digit", "Nd"},
                                    {"Enclosing_Mark", "Me"},
                                    {"Final_Punctuation", "Pf"},
                                    {"Format", "Cf"},
                                    {"Initial_Punctuation", "Pi"},
                                    {"Letter", "L"},
                                    {"Letter_Number", "Nl"},
                                    {"Line_Separator", "Zl"},
                                    {"Lowercase_Letter", "Ll"},
                                    {"Mark", "M"},
                                    {"Combining_Mark", "M"},
                                    {"Math_Symbol", "Sm"},
                                    {"Modifier_Letter", "Lm"},
                                    {"Modifier_Symbol", "Sk"},
                                    {"Nonspacing_Mark", "Mn"},
                                    {"Number", "N"},
                                    {"Open_Punctuation", "Ps"},
                                    {"Other", "C"},
                                    {"Other_Letter", "Lo"},
                                    {"Other_Number", "No"},
                                    {"Other_Punctuation", "Po"},
                                    {"Other_Symbol", "So"},
                                    {"Paragraph_Separator", "Zp"},
                                    {"Private_Use", "Co"},
                                    {"Punctuation", "P"},
                                    {"punct", "P"},
                                    {"Separator", "Z"},
                                    {"Space_Separator", "Zs"},
                                    {"Spacing_Mark", "Mc"},
                                    {"Surrogate", "Cs"},
                                    {"Symbol", "S"},
                                    {"Titlecase_Letter", "Lt"},
                                    {"Unassigned", "Cn"},
                                    {"Uppercase_Letter", "Lu"},
                                    {"LC", "L&"}};
constexpr std::string_view kShortCategories[] = {
    "C",  "Cc", "Cf", "Cn", "Co", "Cs", "L",  "Ll", "Lm", "Lo", "Lt", "Lu", "M",  "Mc", "Me", "Mn", "N",  "Nd", "Nl",
    "No", "P",  "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S",  "Sc", "Sk", "Sm", "So", "Z",  "Zl", "Zp", "Zs"};
constexpr std::string_view kBinaryProperties[] = {"ASCII",
                                                  "ASCII_Hex_Digit",
                                                  "AHex",
                                                  "Alphabetic",
                                                  "Alpha",
                                                  "Bidi_Control",
                                                  "Bidi_C",
                                                  "Bidi_Mirrored",
                                                  "Bidi_M",
                                                  "Case_Ignorable",
                                                  "CI",
                                                  "Cased",
                                                  "Changes_When_Casefolded",
                                                  "CWCF",
                                                  "Changes_When_Casemapped",
                                                  "CWCM",
                                                  "Changes_When_Lowercased",
                                                  "CWL",
                                                  "Changes_When_Titlecased",
                                                  "CWT",
                                                  "Changes_When_Uppercased",
                                                  "CWU",
                                                  "Dash",
                                                  "Default_Ignorable_Code_Point",
                                                  "DI",
                                                  "Deprecated",
                                                  "Dep",
                                                  "Diacritic",
                                                  "Dia",
                                                  "Emoji",
                                                  "Emoji_Component",
                                                  "EComp",
                                                  "Emoji_Modifier",
                                                  "EMod",
                                                  "Emoji_Modifier_Base",
                                                  "EBase",
                                                  "Emoji_Presentation",
                                                  "EPres",
                                                  "Extended_Pictographic",
                                                  "ExtPict",
                                                  "Extender",
                                                  "Ext",
                                                  "Grapheme_Base",
                                                  "Gr_Base",
                                                  "Grapheme_Extend",
                                                  "Gr_Ext",
                                                  "Hex_Digit",
                                                  "Hex",
                                                  "IDS_Binary_Operator",
                                                  "IDSB",
                                                  "IDS_Trinary_Operator",
                                                  "IDST",
                                                  "ID_Continue",
                                                  "IDC",
                                                  "ID_Start",
                                                  "IDS",
                                                  "Ideographic",
                                                  "Ideo",
                                                  "Join_Control",
                                                  "Join_C",
                                                  "Logical_Order_Exception",
                                                  "LOE",
                                                  "Lowercase",
                                                  "Lower",
                                                  "Math",
                                                  "Noncharacter_Code_Point",
                                                  "NChar",
                                                  "Pattern_Syntax",
                                                  "Pat_Syn",
                                                  "Pattern_White_Space",
                                                  "Pat_WS",
                                                  "Quotation_Mark",
                                                  "QMark",
                                                  "Radical",
                                                  "Regional_Indicator",
                                                  "RI",
                                                  "Sentence_Terminal",
                                                  "STerm",
                                                  "Soft_Dotted",
                                                  "SD",
                                                  "Terminal_Punctuation",
                                                  "Term",
                                                  "Unified_Ideograph",
                                                  "UIdeo",
                                                  "Uppercase",
                                                  "Upper",
                                                  "Variation_Selector",
                                                  "VS",
                                                  "White_Space",
                                                  "space",
                                                  "XID_Continue",
                                                  "XIDC",
                                                  "XID_Start",
                                                  "XIDS"};

struct Untranslatable {
  std::size_t at;
  std::string message;
};

void append_code(std::string& out, std::uint32_t code) {
  constexpr char kHex[] = "0123456789abcdef";
  if (code < 0x80 && ((code >= '0' && code <= '9') || ((code | 0x20) >= 'a' && (code | 0x20) <= 'z'))) {
    out += static_cast<char>(code);
    return;
  }
  char digits[8];
  int count = 0;
  do digits[count++] = kHex[code & 15];
  while (code >>= 4);
  out += "\\x{";
  while (count > 0) out += digits[--count];
  out += '}';
}

void append_ranges(std::string& out, std::span<const Range> ranges, bool inverted) {
  const auto append = [&](std::uint32_t from, std::uint32_t to) {
    append_code(out, from);
    if (from == to) return;
    out += '-';
    append_code(out, to);
  };
  if (!inverted) {
    for (const auto& range : ranges) append(range.from, range.to);
    return;
  }
  std::uint32_t next = 0;
  for (const auto& range : ranges) {
    if (range.from > next) append(next, range.from - 1);
    next = range.to + 1;
  }
  append(next, kLastCharacter);
}

/// One atom or element of a class: a single code point, or a set.
struct Element {
  std::optional<std::uint32_t> code;
  std::string text{};  ///< for PCRE2, as it stands in a class
  CharacterSet set{};
};

class Translator {
 public:
  explicit Translator(std::string_view pattern) : in_(pattern) {}

  Translation run() {
    if (!json::valid_utf8(in_)) stop("it is not UTF-8");
    count_groups();
    disjunction(0);
    if (at_ < in_.size()) stop("')' closes nothing");
    return std::move(result_);
  }

 private:
  static constexpr int kMostNested = 200;
  static constexpr std::uint32_t kMostTimes = 65535;  // PCRE2's bound of one quantifier
  static constexpr std::uint32_t kMostWritten = 100'000'000;
  static constexpr std::uint32_t kMostAlternatives = 150;  // PCRE2 takes groups 250 deep
  static constexpr std::size_t kMostOut = 1 << 20;         // far beyond what PCRE2 compiles

  [[noreturn]] void stop(std::string message) const { throw Untranslatable{at_, std::move(message)}; }
  bool end() const { return at_ == in_.size(); }
  char peek(std::size_t ahead = 0) const { return at_ + ahead < in_.size() ? in_[at_ + ahead] : '\0'; }
  bool starts(std::string_view text) const { return in_.substr(at_).starts_with(text); }
  bool take(std::string_view text) {
    if (!starts(text)) return false;
    at_ += text.size();
    return true;
  }
  std::string& out() { return result_.pcre; }

  void count_groups() {
    bool in_class = false;
    for (std::size_t i = 0; i < in_.size(); ++i) {
      if (in_[i] == '\\') {
        ++i;
      } else if (in_class) {
        in_class = in_[i] != ']';
      } else if (in_[i] == '[') {
        in_class = true;
      } else if (in_[i] == '(') {
        const auto rest = in_.substr(i + 1);
        const bool named = rest.starts_with("?<") && !rest.starts_with("?<=") && !rest.starts_with("?<!");
        if (rest.starts_with('?') && !named) continue;
        names_.emplace_back(named ? rest.substr(2, rest.find('>') - 2) : std::string_view{});
        if (named && std::ranges::count(names_, names_.back()) > 1) stop("a group's name appears twice");
      }
    }
  }

  void disjunction(int depth) {
    if (depth > kMostNested) stop("it is nested too deeply");
    if (depth == 0) result_.sequence = true;
    for (;;) {
      while (!end() && peek() != '|' && peek() != ')') term(depth);
      if (!take("|")) return;
      result_.sequence = false;
      out() += '|';
    }
  }

  void complex() { result_.sequence = false; }

  void term(int depth) {
    if (take("^")) {
      out() += '^';
      if (depth > 0 || !result_.atoms.empty()) return complex();
      result_.from_start = true;
      return;
    }
    if (take("$")) {
      out() += '$';
      if (depth > 0 || at_ != in_.size()) return complex();
      result_.to_end = true;
      return;
    }
    if (peek() == '\\' && (peek(1) == 'b' || peek(1) == 'B')) {
      out() += in_.substr(at_, 2);
      at_ += 2;
      return complex();
    }
    if (peek() == '(') return group(depth);
    if (peek() == '\\' && ((peek(1) >= '1' && peek(1) <= '9') || peek(1) == 'k')) return back_reference();
    const auto begin = out().size();
    const auto set = atom();
    const auto [least, most] = quantifier(begin);
    if (depth == 0) result_.atoms.push_back({set, least, most});
    if (!set.exact) complex();
  }

  void group(int depth) {
    complex();
    bool quantifiable = true;
    if (take("(?:")) {
      out() += "(?:";
    } else if (take("(?=")) {
      out() += "(?=";
      quantifiable = false;
    } else if (take("(?!")) {
      out() += "(?!";
      quantifiable = false;
    } else if (take("(?<=")) {
      out() += "(?<=";
      quantifiable = false;
    } else if (take("(?<!")) {
      out() += "(?<!";
      quantifiable = false;
    } else if (take("(?<")) {
      const auto close = in_.find('>', at_);
      if (close == in_.npos || close == at_) stop("a group's name is missing");
      if (!is_name(in_.substr(at_, close - at_))) stop("a group's name is an identifier");
      at_ = close + 1;
      out() += '(';
    } else if (starts("(?")) {
      stop("this kind of group is not in ECMA-262");
    } else {
      ++at_;
      out() += '(';
    }
    disjunction(depth + 1);
    if (!take(")")) stop("')' is missing");
    out() += ')';
    if (quantifiable)
      quantifier();
    else if (starts("*") || starts("+") || starts("?"))
      stop("a look-around cannot be repeated");
  }

  /// An identifier: letters, digits, `$`, `_`, and beyond ASCII whatever is written there.
  static bool is_name(std::string_view text) {
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    return !is_digit(text.front()) && std::ranges::all_of(text, [&](char c) {
      return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_' || c == '$' ||
             static_cast<unsigned char>(c) >= 128;
    });
  }

  void back_reference() {
    complex();
    ++at_;
    std::size_t number = 0;
    if (take("k")) {
      const auto close = in_.find('>', at_);
      if (peek() != '<' || close == in_.npos) stop("\\k wants the name of a group");
      const auto name = in_.substr(at_ + 1, close - at_ - 1);
      const auto found = std::ranges::find(names_, name);
      if (name.empty() || found == names_.end()) stop("no group has this name");
      number = static_cast<std::size_t>(found - names_.begin()) + 1;
      at_ = close + 1;
    } else {
      while (peek() >= '0' && peek() <= '9' && number < 100000)
        number = number * 10 + static_cast<unsigned>(in_[at_++] - '0');
      if (number > names_.size()) stop("there is no group of this number");
    }
    out() += "\\g{" + std::to_string(number) + "}";
    quantifier();
  }

  std::optional<std::uint32_t> bound() {
    if (peek() < '0' || peek() > '9') return std::nullopt;
    std::uint32_t number = 0;
    for (; peek() >= '0' && peek() <= '9'; ++at_)
      number = std::min<std::uint32_t>(number * 10 + static_cast<unsigned>(peek() - '0'), kMostWritten + 1);
    return number;
  }

  /// `{2}`, `{2,}`, `{2,3}`; nothing, and nothing read, when the brace is a literal.
  std::optional<std::pair<std::uint32_t, std::uint32_t>> braces() {
    const auto start = at_;
    if (!take("{")) return std::nullopt;
    const auto least = bound();
    std::optional<std::uint32_t> most = least;
    if (least && take(",")) {
      most = bound();
      if (!most) most = kUnlimited;
    }
    if (!least || !take("}")) {
      at_ = start;
      return std::nullopt;
    }
    if (*most < *least) stop("the numbers of the quantifier are out of order");
    return std::pair{*least, *most};
  }

  static std::string times_of(std::uint32_t least, std::uint32_t most) {
    return '{' + std::to_string(least) + ',' + (most == kUnlimited ? "" : std::to_string(most)) + '}';
  }

  /// More times than one quantifier of PCRE2 takes: so many that must be, one quantifier behind the other; then either
  /// so many once more and the rest, or fewer. Each number of times can be read in one way only, so that nothing is
  /// tried twice.
  void repeat_often(std::size_t begin, std::uint32_t least, std::uint32_t most) {
    if (least > kMostWritten || (most > kMostWritten && most != kUnlimited))
      stop("a quantifier goes up to " + std::to_string(kMostWritten));
    const auto one = out().substr(begin);
    out().resize(begin);
    const auto append = [&](std::uint32_t from, std::uint32_t to) {
      out() += one + times_of(from, to);
      if (out().size() > kMostOut) stop("it is too large");
    };
    for (; least >= kMostTimes; least -= kMostTimes) {
      append(kMostTimes, kMostTimes);
      if (most != kUnlimited) most -= kMostTimes;
    }
    std::string closing;
    for (std::size_t nested = 0; most > kMostTimes && most != kUnlimited; most -= kMostTimes, least = 0) {
      if (++nested > kMostAlternatives)
        stop("a quantifier goes up to " + std::to_string(kMostAlternatives * kMostTimes));
      out() += "(?:";
      append(kMostTimes, kMostTimes);
      closing.insert(0, '|' + one + times_of(least, kMostTimes - 1) + ')');
    }
    append(least, most);
    out() += closing;
  }

  /// `atom`: where what is repeated begins, unless it is a group, which cannot stand there twice.
  std::pair<std::uint32_t, std::uint32_t> quantifier(std::optional<std::size_t> atom = std::nullopt) {
    std::pair<std::uint32_t, std::uint32_t> times{1, 1};
    if (take("*"))
      times = {0, kUnlimited};
    else if (take("+"))
      times = {1, kUnlimited};
    else if (take("?"))
      times = {0, 1};
    else if (const auto given = braces())
      times = *given;
    else
      return times;
    const auto [least, most] = times;
    const bool lazy = take("?");  // how much is taken first decides nothing about whether it is found
    if (least > kMostTimes || (most > kMostTimes && most != kUnlimited)) {
      if (!atom) stop("a group is repeated up to " + std::to_string(kMostTimes) + " times");
      repeat_often(*atom, least, most);
    } else {
      out() += times_of(least, most);
      if (lazy) out() += '?';
    }
    if (starts("*") || starts("+") || starts("?") || starts("{")) stop("there is nothing to repeat");
    return times;
  }

  CharacterSet atom() {
    if (peek() == '[') return character_class();
    if (take(".")) {
      out() += "[^\\x{a}\\x{d}\\x{2028}\\x{2029}]";
      CharacterSet set;
      set.add('\n', '\n');
      set.add('\r', '\r');
      set.invert();
      set.exact = false;
      return set;
    }
    if (starts("*") || starts("+") || starts("?")) stop("there is nothing to repeat");
    if (peek() == '{') {
      const auto start = at_;
      if (braces()) stop("there is nothing to repeat");
      at_ = start;
    }
    const auto element = peek() == '\\' ? escape(false) : literal();
    if (element.code && is_surrogate(*element.code)) return surrogates({{*element.code, *element.code}});
    if (element.code)
      append_code(out(), *element.code);
    else
      out() += '[' + element.text + ']';
    return element.set;
  }

  Element single(std::uint32_t code) {
    Element element{.code = code};
    if (is_surrogate(code)) return element;
    append_code(element.text, code);
    element.set.add(code, code);
    return element;
  }

  /// Halves of pairs of UTF-16, which expressions written without the `u` flag name one by one.
  static bool is_surrogate(std::uint32_t code) { return code >= 0xD800 && code < 0xE000; }
  static bool are_within(std::span<const Range> ranges, std::uint32_t from, std::uint32_t to) {
    return std::ranges::all_of(ranges, [&](const Range& range) { return range.from >= from && range.to <= to; });
  }

  /// A class of nothing but such halves has been read: first halves with a class of second halves behind it stand for
  /// the characters that the pairs encode; alone, neither is ever found in UTF-8.
  CharacterSet surrogates(const std::vector<Range>& high) {
    CharacterSet set;
    set.exact = false;
    const auto back = at_;
    const auto low = are_within(high, 0xD800, 0xDBFF) ? low_surrogates() : std::vector<Range>{};
    if (low.empty()) {
      at_ = back;
      out() += "(?!)";
      return set;
    }
    constexpr std::size_t kMostRanges = 10'000;
    std::size_t ranges = 0;
    out() += '[';
    for (const auto& first : high)
      for (const auto& second : low) {
        ranges += first.to - first.from + 1;
        if (ranges > kMostRanges) stop("the halves of surrogate pairs make too many ranges");
        const bool all = second.from == 0xDC00 && second.to == 0xDFFF;  // then what the first halves give is one range
        for (auto code = first.from; code <= first.to; code = all ? first.to + 1 : code + 1) {
          append_code(out(), 0x10000 + ((code - 0xD800) << 10) + (second.from - 0xDC00));
          out() += '-';
          append_code(out(), 0x10000 + (((all ? first.to : code) - 0xD800) << 10) + (second.to - 0xDC00));
        }
      }
    out() += ']';
    return set;
  }
  /// What follows, where it is a class or an escape of nothing but second halves; else nothing, and at_ is anywhere.
  std::vector<Range> low_surrogates() {
    std::vector<Range> found;
    if (take("[")) {
      if (take("^")) return {};
      while (!take("]")) {
        if (!starts("\\u")) return {};
        const auto first = *escape(true).code;
        auto last = first;
        if (peek() == '-' && peek(1) == '\\') {
          ++at_;
          if (!starts("\\u")) return {};
          last = *escape(true).code;
        }
        if (last < first) return {};
        found.push_back({first, last});
      }
    } else if (starts("\\u")) {
      const auto code = *escape(false).code;
      found.push_back({code, code});
    }
    if (!are_within(found, 0xDC00, 0xDFFF)) return {};
    return found;
  }

  Element literal() {
    const auto length = json::utf8_length(in_.substr(at_));
    std::uint32_t code = static_cast<unsigned char>(in_[at_]);
    if (length > 1) {
      code &= 0xFFu >> (length + 1);
      for (std::size_t i = 1; i < length; ++i) code = code << 6 | (static_cast<unsigned char>(in_[at_ + i]) & 0x3F);
    }
    at_ += length;
    return single(code);
  }

  Element ranges(std::span<const Range> ranges, bool inverted) {
    Element element;
    append_ranges(element.text, ranges, inverted);
    for (const auto& range : ranges) element.set.add(range.from, range.to);
    if (inverted) element.set.invert();
    return element;
  }

  Element escape(bool in_class) {
    ++at_;
    if (end()) stop("it ends with a backslash");
    const char c = in_[at_++];
    switch (c) {
      case 'd': return ranges(kDigits, false);
      case 'D': return ranges(kDigits, true);
      case 'w': return ranges(kWords, false);
      case 'W': return ranges(kWords, true);
      case 's': return ranges(kSpaces, false);
      case 'S': return ranges(kSpaces, true);
      case 't': return single('\t');
      case 'n': return single('\n');
      case 'v': return single('\v');
      case 'f': return single('\f');
      case 'r': return single('\r');
      case 'b':
        if (in_class) return single('\b');
        break;
      case '0':
        if (peek() >= '0' && peek() <= '9') stop("octal escapes are not in ECMA-262");
        return single(0);
      case 'c':
        if ((peek() | 0x20) < 'a' || (peek() | 0x20) > 'z') stop("\\c wants a letter");
        return single(static_cast<std::uint32_t>(in_[at_++]) & 31);
      case 'x': return single(hex(2));
      case 'u': return single(unicode());
      case 'p':
      case 'P': return property(c == 'P');
      default:
        if (c >= 0x20 && c < 0x7F && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && !(c >= '0' && c <= '9'))
          return single(static_cast<std::uint32_t>(c));
    }
    stop(std::string("\\") + c + " is no escape of ECMA-262");
  }

  std::uint32_t hex(std::size_t count) {
    std::uint32_t code = 0;
    for (std::size_t i = 0; i < count; ++i, ++at_) {
      const char c = peek(), lower = static_cast<char>(c | 0x20);
      if (c >= '0' && c <= '9')
        code = code * 16 + static_cast<unsigned>(c - '0');
      else if (lower >= 'a' && lower <= 'f')
        code = code * 16 + static_cast<unsigned>(lower - 'a' + 10);
      else
        stop("hexadecimal digits are expected");
    }
    return code;
  }

  std::uint32_t unicode() {
    if (take("{")) {
      std::uint32_t code = 0;
      do {
        code = code * 16 + hex(1);
        if (code > kLastCharacter) stop("there is no such character");
      } while (!take("}"));
      return code;
    }
    const auto high = hex(4);
    if (high < 0xD800 || high >= 0xDC00 || !starts("\\u") || peek(2) == '{') return high;
    const auto back = at_;
    at_ += 2;
    const auto low = hex(4);
    if (low >= 0xDC00 && low < 0xE000) return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
    at_ = back;
    return high;
  }

  Element property(bool inverted) {
    const auto close = in_.find('}', at_);
    if (peek() != '{' || close == in_.npos) stop("\\p wants a property in braces");
    const auto name = in_.substr(at_ + 1, close - at_ - 1);
    Element element;
    element.set.exact = false;
    element.text = std::string(inverted ? "\\P{" : "\\p{") + property_name(name) + '}';
    at_ = close + 1;
    return element;
  }

  std::string property_name(std::string_view name) {
    for (const auto prefix : {"General_Category=", "gc="})
      if (name.starts_with(prefix)) return category(name.substr(std::string_view(prefix).size()));
    for (const auto& [prefix, code] :
         {std::pair{"Script=", "sc:"}, {"sc=", "sc:"}, {"Script_Extensions=", "scx:"}, {"scx=", "scx:"}})
      if (name.starts_with(prefix)) {
        const auto script = name.substr(std::string_view(prefix).size());
        if (script.empty() ||
            !std::ranges::all_of(script, [](char c) { return c == '_' || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'); }))
          stop("there is no such script");
        return code + std::string(script);
      }
    if (name == "Any" || std::ranges::find(kBinaryProperties, name) != std::end(kBinaryProperties))
      return std::string(name);
    return category(name);
  }

  std::string category(std::string_view name) {
    if (std::ranges::find(kShortCategories, name) != std::end(kShortCategories)) return std::string(name);
    const auto found = std::ranges::find(kCategories, name, &Category::name);
    if (found == std::end(kCategories)) stop("the property " + std::string(name) + " is not known");
    return std::string(found->code);
  }

  static void range(std::string& text, CharacterSet& set, std::uint32_t from, std::uint32_t to) {
    if (from > to) return;
    append_code(text, from);
    text += '-';
    append_code(text, to);
    set.add(from, to);
  }

  CharacterSet character_class() {
    ++at_;
    const bool inverted = take("^");
    std::string text;
    CharacterSet set;
    std::vector<Range> halves;  // of surrogate pairs
    while (peek() != ']' || end()) {
      if (end()) stop("']' is missing");
      const auto first = peek() == '\\' ? escape(true) : literal();
      if (peek() != '-' || peek(1) == ']' || at_ + 1 >= in_.size()) {
        if (first.code && is_surrogate(*first.code)) halves.push_back({*first.code, *first.code});
        text += first.text;
        set.add(first.set);
        continue;
      }
      ++at_;
      const auto last = peek() == '\\' ? escape(true) : literal();
      if (!first.code || !last.code) {  // `[\w-.]`: the hyphen is one, as without the u flag
        text += first.text + "\\x{2d}" + last.text;
        set.add(first.set);
        set.add(last.set);
        set.add('-', '-');
        continue;
      }
      if (*last.code < *first.code) stop("the range is out of order");
      if (*last.code >= 0xD800 && *first.code < 0xE000)
        halves.push_back({std::max(*first.code, 0xD800u), std::min(*last.code, 0xDFFFu)});
      range(text, set, *first.code, std::min(*last.code, 0xD7FFu));
      range(text, set, std::max(*first.code, 0xE000u), *last.code);
    }
    ++at_;
    if (text.empty() && !halves.empty() && !inverted) return surrogates(halves);
    if (text.empty()) {
      out() += inverted ? "(?s:.)" : "(?!)";
    } else {
      out() += inverted ? "[^" : "[";
      out() += text + ']';
    }
    if (inverted) set.invert();
    return set;
  }

  std::string_view in_;
  std::size_t at_ = 0;
  std::vector<std::string_view> names_;  // of the capturing groups, empty where they have none
  Translation result_;
};

std::uint64_t bits(std::uint32_t from, std::uint32_t to) {  // both within 0..63
  return (~std::uint64_t{0} >> (63 - to)) & (~std::uint64_t{0} << from);
}

}  // namespace

void CharacterSet::add(std::uint32_t from, std::uint32_t to) {
  if (from < 64) low |= bits(from, std::min(to, 63u));
  if (to >= 64 && from < 128) high |= bits(from < 64 ? 0 : from - 64, std::min(to, 127u) - 64);
  if (to < 128) return;
  if (from <= 128 && to == kLastCharacter)
    beyond = true;
  else
    exact = false;
}

void CharacterSet::add(const CharacterSet& other) {
  low |= other.low;
  high |= other.high;
  beyond = beyond || other.beyond;
  exact = exact && other.exact;
}

void CharacterSet::invert() {
  low = ~low;
  high = ~high;
  beyond = !beyond;
}

Result<Translation> translate_ecma(std::string_view pattern) try {
  return Translator(pattern).run();
} catch (const Untranslatable& error) {
  return fail(kInvalidPattern, "byte " + std::to_string(error.at + 1) + ": " + error.message);
}

}  // namespace plimsoll::schema
