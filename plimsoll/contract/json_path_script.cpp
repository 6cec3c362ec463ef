#include "plimsoll/contract/json_path_script.hpp"

#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/utf8.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

namespace plimsoll::contract::json_path {

using json::Type;
using json::Value;
using Op = Script::Op;

namespace {

constexpr int kDeepest = 64;
constexpr std::uint64_t kSearchCost = 8;

constexpr std::pair<std::string_view, Op> kComparisons[] = {
    {"===", Op::identical}, {"!==", Op::different}, {"==", Op::equal}, {"!=", Op::unequal},
    {"<=", Op::at_most},    {">=", Op::at_least},   {"<", Op::less},   {">", Op::more}};

struct Method {
  std::string_view name;
  Op op;
  bool takes_argument;
};
constexpr Method kMethods[] = {{"match", Op::match, true},
                               {"test", Op::match, true},
                               {"includes", Op::includes, true},
                               {"indexOf", Op::index_of, true},
                               {"startsWith", Op::starts_with, true},
                               {"endsWith", Op::ends_with, true},
                               {"toLowerCase", Op::lower, false},
                               {"toUpperCase", Op::upper, false}};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool begins_name(char c) {
  return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_' || c == '$' || static_cast<unsigned char>(c) >= 0x80;
}

class Reader {
 public:
  Reader(std::string_view& text, Arena& literals) : text_(text), literals_(literals) {}

  bool logic(Script& out, Op op = Op::any) {
    if (!deeper()) return false;
    const bool any = op == Op::any;
    std::vector<Script> parts;
    do {
      auto& part = parts.emplace_back();
      if (any ? !logic(part, Op::all) : !comparison(part)) return false;
      blank();
    } while (take(any ? "||" : "&&"));
    --depth_;
    if (parts.size() == 1) {
      out = std::move(parts[0]);
    } else {
      out.op = op;
      out.parts = std::move(parts);
    }
    return true;
  }
  std::string error;

 private:
  static Script wrap(Op op, Script part) {
    Script made{.op = op};
    made.parts.push_back(std::move(part));
    return made;
  }
  bool wrong(std::string what) {
    if (error.empty()) error = std::move(what);
    return false;
  }
  bool deeper() { return ++depth_ <= kDeepest || wrong("the filter is nested too deeply"); }
  void blank() {
    while (!text_.empty() && std::string_view(" \t\n\r").contains(text_[0])) text_.remove_prefix(1);
  }
  bool take(std::string_view word) {
    if (!text_.starts_with(word)) return false;
    text_.remove_prefix(word.size());
    return true;
  }

  bool comparison(Script& out) {
    if (!unary(out)) return false;
    blank();
    for (const auto& [sign, op] : kComparisons)
      if (take(sign)) {
        out = wrap(op, std::move(out));
        return unary(out.parts.emplace_back());
      }
    return true;
  }
  bool unary(Script& out) {
    blank();
    if (!text_.starts_with("!=") && take("!")) {
      if (!deeper()) return false;
      out.op = Op::negate;
      if (!unary(out.parts.emplace_back())) return false;
      --depth_;
      return true;
    }
    return primary(out) && behind(out);
  }
  bool primary(Script& out) {
    if (take("(")) {
      if (!logic(out)) return false;
      blank();
      return take(")") || wrong(") is expected");
    }
    if (text_.starts_with('@')) return current(out);
    if (text_.starts_with('$')) {
      text_.remove_prefix(1);
      out.op = Op::root;
      return true;
    }
    if (text_.starts_with('/')) return regex(out);
    if (text_.starts_with('[')) return list(out);
    return literal(out);
  }
  bool current(Script& out) {
    text_.remove_prefix(1);
    const auto word = name();
    out.op = word.empty() ? Op::current : word == "property" ? Op::property : word == "root" ? Op::root : Op::undefined;
    return out.op != Op::undefined || wrong("@" + std::string(word) + " is not known; @ and @property are,");
  }
  std::string_view name() {
    std::size_t size = 0;
    while (size < text_.size() && (begins_name(text_[size]) || (size > 0 && is_digit(text_[size])))) ++size;
    const auto found = text_.substr(0, size);
    text_.remove_prefix(size);
    return found;
  }
  /// Members and methods.
  bool behind(Script& out) {
    for (;;) {
      blank();
      if (take("?.") || take(".")) {
        const auto word = name();
        if (word.empty()) return wrong("a name is expected");
        blank();
        if (take("(")) {
          if (!method(word, out)) return false;
        } else {
          member(out, Value::of(literals_.keep(word)));
        }
      } else if (take("[")) {
        Script at;
        blank();
        if (!literal(at)) return false;
        blank();
        if (!take("]")) return wrong("] is expected");
        member(out, at.literal);
      } else {
        return true;
      }
      if (++links_ > 1'000) return wrong("the filter is too long");
    }
  }
  static void member(Script& out, Value name) {
    out = wrap(Op::member, std::move(out));
    out.literal = name;
  }
  bool method(std::string_view word, Script& out) {
    const auto* const known = std::ranges::find(kMethods, word, &Method::name);
    if (known == std::end(kMethods)) return wrong("the method " + std::string(word) + " is not known");
    out = wrap(known->op, std::move(out));
    if (known->takes_argument && !logic(out.parts.emplace_back())) return false;
    blank();
    if (!take(")")) return wrong(") is expected");
    if (known->op != Op::match) return true;
    // The expression is read once: what is matched comes first, whichever of the two is written first.
    if (word == "test") std::swap(out.parts[0], out.parts[1]);
    auto& expression = out.parts[1];
    if (expression.op == Op::regex) return true;
    if (expression.op != Op::literal || !expression.literal.is(Type::string))
      return wrong(std::string(word) + " needs an expression between slashes");
    return compile(expression.literal.string(), {}, expression);
  }

  bool regex(Script& out) {
    std::size_t end = 1;
    bool in_class = false;
    while (end < text_.size() && (in_class || text_[end] != '/')) {
      if (text_[end] == '[') in_class = true;
      if (text_[end] == ']') in_class = false;
      end += text_[end] == '\\' ? 2 : 1;
    }
    if (end >= text_.size()) return wrong("an expression ends with /");
    const auto pattern = text_.substr(1, end - 1);
    text_.remove_prefix(end + 1);
    const auto flags = name();
    return compile(pattern, flags, out);
  }
  bool compile(std::string_view pattern, std::string_view flags, Script& out) {
    auto made = script_regex(pattern, flags);
    if (!made) return wrong(std::move(made).error());
    out.op = Op::regex;
    out.regex = std::move(*made);
    return true;
  }
  bool list(Script& out) {
    text_.remove_prefix(1);
    std::vector<Value> items;
    blank();
    while (!take("]")) {
      Script item;
      if (!literal(item)) return false;
      items.push_back(item.literal);
      blank();
      if (!take(",") && !text_.starts_with(']')) return wrong("] is expected");
      blank();
    }
    out.op = Op::literal;
    out.literal = Value::array({});
    for (const auto& item : items) out.literal.push(literals_, item);
    return true;
  }
  bool literal(Script& out) {
    out.op = Op::literal;
    if (text_.starts_with('\'') || text_.starts_with('"')) return quoted(out.literal);
    if (!text_.empty() && (is_digit(text_[0]) || text_[0] == '-')) return number(out.literal);
    const auto before = text_;
    const auto word = name();
    if (word == "true" || word == "false") {
      out.literal = Value::of(word == "true");
    } else if (word == "undefined") {
      out.op = Op::undefined;
    } else if (word != "null") {
      text_ = before;
      return wrong("@, @property, $, a literal or an expression is expected");
    }
    return true;
  }
  bool number(Value& out) {
    std::size_t size = 1;
    while (size < text_.size() && (is_digit(text_[size]) || text_[size] == '.')) ++size;
    const auto made = json::parse(literals_.keep(text_.substr(0, size)), literals_);
    if (!made) return wrong("this is no number");
    out = *made;
    text_.remove_prefix(size);
    return true;
  }
  bool quoted(Value& out) {
    const char quote = text_[0];
    std::string text;
    std::size_t at = 1;
    for (; at < text_.size() && text_[at] != quote; ++at) {
      constexpr std::string_view letters = "bfnrt", meant = "\b\f\n\r\t";
      if (text_[at] != '\\') {
        text += text_[at];
      } else if (++at < text_.size()) {
        const auto known = letters.find(text_[at]);
        text += known == letters.npos ? text_[at] : meant[known];
      }
    }
    if (at >= text_.size()) return wrong("a quote is not closed");
    text_.remove_prefix(at + 1);
    out = Value::of(literals_.keep(text));
    return true;
  }

  std::string_view& text_;
  Arena& literals_;
  int depth_ = 0, links_ = 0;
};

double number_of(const std::optional<Value>& value) {
  if (!value) return std::nan("");
  if (value->is(Type::number)) return value->number();
  if (value->is(Type::boolean)) return value->boolean() ? 1 : 0;
  if (value->is(Type::null)) return 0;
  if (!value->is(Type::string)) return std::nan("");
  const auto text = value->string();
  if (text.empty()) return 0;
  double number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  return problem == std::errc{} && end == text.data() + text.size() ? number : std::nan("");
}

/// Objects and lists are identical to nothing, as those of JavaScript are that are not one and the same.
bool identical(const std::optional<Value>& a, const std::optional<Value>& b) {
  if (!a || !b) return !a && !b;
  return a->type() == b->type() && !a->is(Type::object) && !a->is(Type::array) && json::equal(*a, *b);
}
bool equal(const std::optional<Value>& a, const std::optional<Value>& b) {
  const bool no_a = !a || a->is(Type::null), no_b = !b || b->is(Type::null);
  if (no_a || no_b) return no_a && no_b;
  return a->type() == b->type() ? identical(a, b) : number_of(a) == number_of(b);
}
bool less(const std::optional<Value>& a, const std::optional<Value>& b, bool or_equal) {
  if (a && b && a->is(Type::string) && b->is(Type::string))
    return or_equal ? a->string() <= b->string() : a->string() < b->string();
  const auto x = number_of(a), y = number_of(b);
  return or_equal ? x <= y : x < y;
}

}  // namespace

std::size_t utf16_count(std::string_view text) {
  return json::utf8_count(text) + static_cast<std::size_t>(std::ranges::count_if(
                                      text, [](char c) { return static_cast<unsigned char>(c) >= 0xF0; }));
}

bool is_truthy(const Value* value) {
  if (!value || value->is(Type::null)) return false;
  if (value->is(Type::boolean)) return value->boolean();
  if (value->is(Type::string)) return !value->string().empty();
  if (value->is(Type::number)) return value->number() != 0;
  return true;
}

std::expected<schema::Regex, std::string> script_regex(std::string_view text, std::string_view flags) {
  for (const char flag : flags)
    if (!std::string_view("gimsuy").contains(flag))
      return std::unexpected("the flag `" + std::string(1, flag) + "` of an expression is not known");
  std::string pattern;
  for (std::size_t i = 0; i < text.size(); ++i) {
    constexpr std::string_view needless = "\"#%&',:;<=>@_`~! ";
    if (text[i] == '\\' && i + 1 < text.size()) {
      if (!needless.contains(text[i + 1])) pattern += text[i];
      ++i;
    }
    pattern += text[i];
  }
  auto made = schema::Regex::compile(
      pattern, flags.contains('i') ? schema::Regex::Letters::either_case : schema::Regex::Letters::as_written);
  if (!made) return std::unexpected("the expression cannot be read: " + made.error().detail);
  return std::move(*made);
}

std::optional<std::string> read_script(std::string_view& text, Arena& literals, Script& into) {
  Reader reader{text, literals};
  if (reader.logic(into)) return std::nullopt;
  return std::move(reader.error);
}

bool ScriptEvaluation::holds(const Script& script, const JsonPath::Node& current) {
  const auto made = value(script, current);
  gave_up_expression |= std::exchange(schema::Regex::exhausted(), false);
  return made && is_truthy(&*made);
}

ScriptEvaluation::Result ScriptEvaluation::value(const Script& script, const JsonPath::Node& current) {
  if (!steps_.spend(1)) return std::nullopt;
  const auto part = [&](std::size_t i) { return value(script.parts[i], current); };
  switch (script.op) {
    case Op::literal: return script.literal;
    case Op::undefined: return std::nullopt;
    case Op::regex: return Value::of(true);
    case Op::current: return *current.value;
    case Op::root: return root_;
    case Op::property:
      if (current.key.data()) return Value::of(current.key);
      return current.parent ? Result(Value::of(current.index, made_)) : std::nullopt;
    case Op::member: return member(part(0), script.literal);
    case Op::any:
    case Op::all: {
      Result last;
      for (const auto& each : script.parts) {
        last = value(each, current);
        if (is_truthy(last ? &*last : nullptr) == (script.op == Op::any)) break;
      }
      return last;
    }
    case Op::negate: return Value::of(!holds(script.parts[0], current));
    case Op::equal: return Value::of(equal(part(0), part(1)));
    case Op::unequal: return Value::of(!equal(part(0), part(1)));
    case Op::identical: return Value::of(identical(part(0), part(1)));
    case Op::different: return Value::of(!identical(part(0), part(1)));
    case Op::less: return Value::of(less(part(0), part(1), false));
    case Op::at_most: return Value::of(less(part(0), part(1), true));
    case Op::more: return Value::of(less(part(1), part(0), false));
    case Op::at_least: return Value::of(less(part(1), part(0), true));
    default: return method(script, current);
  }
}

ScriptEvaluation::Result ScriptEvaluation::member(const Result& of, const Value& name) {
  if (!of) return std::nullopt;
  if (name.is(Type::number)) {
    const auto at = name.integer();
    if (of->is(Type::array) && at && *at >= 0 && static_cast<std::size_t>(*at) < of->array().size())
      return of->array()[static_cast<std::size_t>(*at)];
    const auto* found = of->find(name.number_text());
    return found ? Result(*found) : std::nullopt;
  }
  if (!name.is(Type::string)) return std::nullopt;
  if (!steps_.spend(of->object().size() / 8)) return std::nullopt;
  if (const auto* found = of->find(name.string())) return *found;
  if (name.string() != "length") return std::nullopt;
  if (of->is(Type::array)) return Value::of(of->array().size(), made_);
  return of->is(Type::string) ? Result(Value::of(utf16_count(of->string()), made_)) : std::nullopt;
}

ScriptEvaluation::Result ScriptEvaluation::method(const Script& script, const JsonPath::Node& current) {
  const auto of = value(script.parts[0], current);
  const bool text = of && of->is(Type::string);
  if (!of || (!text && !of->is(Type::array)) || !steps_.spend(kSearchCost + of->string().size() / 32))
    return std::nullopt;
  if (script.op == Op::match)
    return text ? Result(Value::of(script.parts[1].regex->search(of->string(), steps_))) : std::nullopt;
  if (script.op == Op::lower || script.op == Op::upper) {
    if (!text) return std::nullopt;
    std::string changed(of->string());
    for (auto& c : changed)
      if (script.op == Op::lower ? c >= 'A' && c <= 'Z' : c >= 'a' && c <= 'z') c ^= 0x20;
    return Value::of(made_.keep(changed));
  }
  const auto what = value(script.parts[1], current);
  if (!text) {
    const auto items = of->array();
    if (!steps_.spend(items.size()) || (script.op != Op::includes && script.op != Op::index_of)) return std::nullopt;
    const auto found = std::ranges::find_if(items, [&](const Value& item) { return identical(item, what); });
    if (script.op == Op::includes) return Value::of(found != items.end());
    return Value::of(found == items.end() ? std::int64_t{-1} : found - items.begin(), made_);
  }
  if (!what || !what->is(Type::string)) return std::nullopt;
  const auto in = of->string(), part = what->string();
  switch (script.op) {
    case Op::includes: return Value::of(in.contains(part));
    case Op::starts_with: return Value::of(in.starts_with(part));
    case Op::ends_with: return Value::of(in.ends_with(part));
    default: {
      const auto at = in.find(part);
      return Value::of(at == in.npos ? std::int64_t{-1} : static_cast<std::int64_t>(utf16_count(in.substr(0, at))),
                       made_);
    }
  }
}

}  // namespace plimsoll::contract::json_path
