#include "plimsoll/contract/json_path_syntax.hpp"

#include "plimsoll/contract/json_path_script.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/utf8.hpp"

#include <algorithm>
#include <charconv>

namespace plimsoll::contract::json_path {

using json::Value;

bool Query::singular() const {
  return std::ranges::all_of(segments, [](const Segment& segment) {
    return !segment.descend && segment.selectors.size() == 1 &&
           (segment.selectors[0].kind == Selector::Kind::name || segment.selectors[0].kind == Selector::Kind::index);
  });
}

namespace {

constexpr int kDeepest = 64;
constexpr std::int64_t kLargestInteger = (std::int64_t{1} << 53) - 1;  // I-JSON

constexpr std::pair<std::string_view, Filter::Op> kComparisons[] = {
    {"==", Filter::Op::equal},    {"!=", Filter::Op::unequal}, {"<=", Filter::Op::at_most},
    {">=", Filter::Op::at_least}, {"<", Filter::Op::less},     {">", Filter::Op::more}};

struct Signature {
  std::string_view name;
  Function::Name function;
  std::size_t arguments;
  bool nodes;  ///< it takes all nodes of a query; otherwise one value
};
constexpr Signature kFunctions[] = {{"length", Function::Name::length, 1, false},
                                    {"count", Function::Name::count, 1, true},
                                    {"match", Function::Name::match, 2, false},
                                    {"search", Function::Name::search, 2, false},
                                    {"value", Function::Name::value, 1, true}};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }

class Reader {
 public:
  Reader(std::string_view text, JsonPath::Syntax syntax, Arena& literals)
      : text_(text), script_(syntax == JsonPath::Syntax::script), literals_(literals) {}

  bool run(Query& query) {
    if (!json::valid_utf8(text_)) return wrong("the path is not UTF-8");
    if (!take('$')) return wrong("a path begins with $");
    return segments(query) && (text_.empty() || wrong("`.name` or `[…]` is expected"));
  }
  std::string error;

 private:
  bool wrong(std::string what) {
    if (!error.empty()) return false;
    constexpr std::size_t kShown = 60;
    auto size = std::min(text_.size(), kShown);
    while (size > 0 && size < text_.size() && (static_cast<unsigned char>(text_[size]) & 0xC0) == 0x80) --size;
    error = std::move(what);
    error += text_.empty() ? " at the end" : " at \"" + std::string(text_.substr(0, size)) + "\"";
    return false;
  }
  void blank() {
    while (!text_.empty() && std::string_view(" \t\n\r").contains(text_[0])) text_.remove_prefix(1);
  }
  bool take(char c) { return take(std::string_view(&c, 1)); }
  bool take(std::string_view word) {
    if (!text_.starts_with(word)) return false;
    text_.remove_prefix(word.size());
    return true;
  }
  bool at_quote() const { return text_.starts_with('\'') || text_.starts_with('"'); }
  bool at_digit() const { return !text_.empty() && is_digit(text_[0]); }

  /// Blanks may stand before a segment, not behind the last.
  bool segments(Query& query) {
    for (;;) {
      const auto before = text_;
      blank();
      if (script_ && !query.segments.empty() && !query.segments.back().parent && take('^')) {
        query.segments.push_back({.parent = true});
        continue;
      }
      if (!text_.starts_with('.') && !text_.starts_with('[')) {
        text_ = before;
        return true;
      }
      auto& segment = query.segments.emplace_back();
      segment.descend = take("..");
      const bool dot = segment.descend || take('.');
      if ((!dot || segment.descend) && take('[') ? !bracket(segment) : !dotted(segment)) return false;
    }
  }
  bool dotted(Segment& segment) {
    auto& selector = segment.selectors.emplace_back();
    if (take('*')) {
      selector.kind = Selector::Kind::wildcard;
      return true;
    }
    return name(selector.name);
  }
  bool name(std::string& out) {
    const auto first = [this](char c) {
      return is_letter(c) || c == '_' || static_cast<unsigned char>(c) >= 0x80 ||
             (script_ && (c == '$' || is_digit(c)));
    };
    std::size_t size = 0;
    while (size < text_.size() && (first(text_[size]) || (size > 0 && (is_digit(text_[size]) || text_[size] == '-'))))
      ++size;
    if (size == 0) return wrong("a name is expected");
    out = text_.substr(0, size);
    text_.remove_prefix(size);
    return true;
  }
  bool bracket(Segment& segment) {
    do {
      blank();
      if (!selector(segment.selectors.emplace_back())) return false;
      blank();
    } while (take(','));
    return take(']') || wrong("] is expected");
  }
  bool selector(Selector& out) {
    if (take('*')) {
      out.kind = Selector::Kind::wildcard;
      return true;
    }
    if (at_quote()) return quoted(out.name);
    if (take('?')) {
      if (script_) return script(out);
      out.kind = Selector::Kind::filter;
      out.filter = std::make_unique<Filter>();
      return logic(*out.filter, Filter::Op::any);
    }
    if (script_ && !text_.empty() && (is_letter(text_[0]) || text_[0] == '_' || text_[0] == '$')) return name(out.name);
    return index_or_slice(out);
  }
  bool script(Selector& out) {
    out.kind = Selector::Kind::script;
    out.script = std::make_shared<Script>();
    auto problem = read_script(text_, literals_, *out.script);
    return !problem || wrong(*std::move(problem));
  }
  bool index_or_slice(Selector& out) {
    const auto bound = [&](std::optional<std::int64_t>& into) {
      if (!at_digit() && !text_.starts_with('-')) return true;
      return integer(into.emplace());
    };
    if (!bound(out.from)) return false;
    const auto after_from = text_;
    blank();
    if (!take(':')) {
      text_ = after_from;
      out.kind = Selector::Kind::index;
      out.index = out.from.value_or(0);
      return out.from || wrong("a name, an index, * or a filter is expected");
    }
    out.kind = Selector::Kind::slice;
    blank();
    if (!bound(out.to)) return false;
    blank();
    if (!take(':')) return true;
    blank();
    std::optional<std::int64_t> step;
    if (!bound(step)) return false;
    out.step = step.value_or(1);
    return true;
  }
  /// Without leading zeros, and no -0.
  bool integer(std::int64_t& out) {
    const auto* const end = text_.data() + text_.size();
    const bool odd = text_.starts_with("-0") || (text_.starts_with('0') && text_.size() > 1 && is_digit(text_[1]));
    const auto [last, problem] = std::from_chars(text_.data(), end, out);
    if (odd || problem != std::errc{} || out > kLargestInteger || out < -kLargestInteger)
      return wrong("an integer within ±2^53, without leading zeros, is expected");
    text_.remove_prefix(static_cast<std::size_t>(last - text_.data()));
    return true;
  }

  bool quoted(std::string& out) {
    const char quote = text_[0];
    text_.remove_prefix(1);
    while (!text_.empty() && text_[0] != quote) {
      if (static_cast<unsigned char>(text_[0]) < 0x20) return wrong("a control character must be written as \\u00XX");
      if (take('\\')) {
        if (!escape(quote, out)) return false;
      } else {
        out += text_[0];
        text_.remove_prefix(1);
      }
    }
    return take(quote) || wrong("a quote is not closed");
  }
  bool escape(char quote, std::string& out) {
    if (take('u')) return unicode(out);
    constexpr std::string_view letters = "bfnrt/\\", meant = "\b\f\n\r\t/\\";
    const auto known = text_.empty() ? letters.npos : letters.find(text_[0]);
    if (known == letters.npos && !text_.starts_with(quote)) return wrong("this is no escape");
    out += known == letters.npos ? quote : meant[known];
    text_.remove_prefix(1);
    return true;
  }
  bool unicode(std::string& out) {
    std::uint32_t code = 0, low = 0;
    if (!four_digits(code)) return false;
    if (code >= 0xD800 && code < 0xE000) {
      if (code >= 0xDC00 || !take("\\u")) return wrong("half of a surrogate pair");
      if (!four_digits(low)) return false;
      if (low < 0xDC00 || low > 0xDFFF) return wrong("half of a surrogate pair");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    json::append_utf8(out, code);
    return true;
  }
  bool four_digits(std::uint32_t& code) {
    const auto digits = text_.substr(0, 4);
    const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
    if (digits.size() < 4 || problem != std::errc{} || end != digits.data() + 4)
      return wrong("four hexadecimal digits are expected after \\u");
    text_.remove_prefix(4);
    return true;
  }

  bool deeper(int& depth) { return ++depth <= kDeepest || wrong("the filter is nested too deeply"); }

  /// Parts between `||`, each of them parts between `&&`.
  bool logic(Filter& out, Filter::Op op) {
    out.op = op;
    do {
      blank();
      auto& part = out.parts.emplace_back();
      if (op == Filter::Op::any ? !logic(part, Filter::Op::all) : !term(part)) return false;
      blank();
    } while (take(op == Filter::Op::any ? "||" : "&&"));
    return true;
  }
  bool term(Filter& out) {
    if (!take('!')) return text_.starts_with('(') ? parenthesis(out) : comparison_or_test(out);
    out.op = Filter::Op::negate;
    blank();
    auto& part = out.parts.emplace_back();
    return text_.starts_with('(') ? parenthesis(part) : operand(part.left) && test(part);
  }
  bool parenthesis(Filter& out) {
    take('(');
    if (!deeper(depth_) || !logic(out, Filter::Op::any)) return false;
    --depth_;
    return take(')') || wrong(") is expected");
  }
  bool comparison_or_test(Filter& out) {
    if (!operand(out.left)) return false;
    const auto before = text_;
    blank();
    for (auto& [sign, op] : kComparisons)
      if (take(sign)) {
        out.op = op;
        blank();
        return comparable(out.left, before) && operand(out.right) && comparable(out.right, text_);
      }
    text_ = before;
    return test(out);
  }
  bool comparable(const Operand& operand, std::string_view behind) {
    if ((!operand.query || operand.query->singular()) && (!operand.function || !operand.function->logical()))
      return true;
    text_ = behind;
    return wrong(operand.query ? "only a path to a single value can be compared; it ends"
                               : "the result of match and search is not compared; it ends");
  }
  bool test(Filter& out) {
    if (out.left.query) {
      out.op = Filter::Op::exists;
      return true;
    }
    out.op = Filter::Op::test;
    if (out.left.function && out.left.function->logical()) return true;
    return wrong(out.left.function ? "the result of the function must be compared" : "a comparison is expected");
  }

  bool operand(Operand& out) {
    if (text_.starts_with('@') || text_.starts_with('$')) {
      out.query = std::make_unique<Query>();
      out.query->from_root = text_[0] == '$';
      text_.remove_prefix(1);
      if (!deeper(depth_) || !segments(*out.query)) return false;
      --depth_;
      return true;
    }
    if (at_quote()) {
      std::string text;
      if (!quoted(text)) return false;
      out.literal = Value::of(literals_.keep(text));
      return true;
    }
    if (at_digit() || text_.starts_with('-')) return number(out.literal);
    return word(out);
  }
  bool number(Value& out) {
    std::size_t size = 0;
    while (size < text_.size() && (is_digit(text_[size]) || std::string_view("+-.eE").contains(text_[size]))) ++size;
    const auto literal = json::parse(literals_.keep(text_.substr(0, size)), literals_);
    if (!literal) return wrong("this is no number");
    out = *literal;
    text_.remove_prefix(size);
    return true;
  }
  /// `true`, `false`, `null`, or a function.
  bool word(Operand& out) {
    std::size_t size = 0;
    while (size < text_.size() && (is_letter(text_[size]) || is_digit(text_[size]) || text_[size] == '_')) ++size;
    const auto word = text_.substr(0, size);
    if (text_.substr(size).starts_with('(')) return function(word, out);
    if (word == "true" || word == "false")
      out.literal = Value::of(word == "true");
    else if (word != "null")
      return wrong("a literal, a path or a function is expected");
    text_.remove_prefix(size);
    return true;
  }
  bool function(std::string_view name, Operand& out) {
    const auto* const known = std::ranges::find(kFunctions, name, &Signature::name);
    if (known == std::end(kFunctions))
      return wrong("length, count, match, search and value are the functions there are");
    text_.remove_prefix(name.size() + 1);
    out.function = std::make_unique<Function>();
    out.function->name = known->function;
    if (!deeper(depth_)) return false;
    do {
      blank();
      if (!operand(out.function->arguments.emplace_back())) return false;
      if (!suits(*known, out.function->arguments.back())) return false;
      blank();
    } while (take(','));
    --depth_;
    if (!take(')')) return wrong(") is expected");
    return out.function->arguments.size() == known->arguments ||
           wrong(std::string(name) + " has " + (known->arguments == 1 ? "one argument" : "two arguments"));
  }
  bool suits(const Signature& function, const Operand& argument) {
    const std::string name(function.name);
    if (function.nodes) return argument.query || wrong("the argument of " + name + " is a path");
    if (argument.query && !argument.query->singular())
      return wrong("an argument of " + name + " is a single value; this path may lead to several");
    if (argument.function && argument.function->logical())
      return wrong("an argument of " + name + " is a value; match and search have none");
    return true;
  }

  std::string_view text_;
  bool script_;
  Arena& literals_;
  int depth_ = 0;
};

}  // namespace

std::optional<std::string> read(std::string_view text, JsonPath::Syntax syntax, Arena& literals, Query& into) {
  Reader reader{text, syntax, literals};
  if (reader.run(into)) return std::nullopt;
  return std::move(reader.error);
}

}  // namespace plimsoll::contract::json_path
