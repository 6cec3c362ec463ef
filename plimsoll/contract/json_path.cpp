#include "plimsoll/contract/json_path.hpp"

#include "plimsoll/json/number.hpp"
#include "plimsoll/json/parse.hpp"

#include <charconv>
#include <deque>
#include <optional>

namespace plimsoll::contract {

using json::Type;
using json::Value;

namespace {

constexpr int kDeepest = 64;

/// `a.b[0]` behind `@` or `$`.
struct Query {
  bool from_root = false;
  std::vector<std::pair<std::string, std::int64_t>> steps;  ///< a name, or with an empty name an index
};

/// A tree of comparisons and logic; operands are queries or literals.
struct Filter {
  enum class Op : std::uint8_t { all, any, negate, exists, equal, unequal, less, at_most, more, at_least } op;
  std::vector<Filter> parts;
  struct Operand {
    std::optional<Query> query;
    Value literal;
  } left, right;
};

struct Selector {
  enum class Kind : std::uint8_t { name, index, slice, wildcard, filter } kind;
  std::string name;
  std::int64_t index = 0;
  std::optional<std::int64_t> from, to;
  std::int64_t step = 1;
  std::optional<Filter> filter;
};

struct Segment {
  bool descend = false;
  std::vector<Selector> selectors;
};

const Value* at_index(const Value& value, std::int64_t index) {
  const auto size = static_cast<std::int64_t>(value.array().size());
  if (index < 0) index += size;
  return index >= 0 && index < size ? &value.array()[static_cast<std::size_t>(index)] : nullptr;
}

const Value* evaluate(const Query& query, const Value& root, const Value& current) {
  const Value* at = query.from_root ? &root : &current;
  for (auto& [name, index] : query.steps) {
    at = name.empty() ? at_index(*at, index) : at->find(name);
    if (!at) return nullptr;
  }
  return at;
}

bool compare(Filter::Op op, const Value* a, const Value* b) {
  const bool same = a && b ? json::equal(*a, *b) : a == b;
  if (op == Filter::Op::equal) return same;
  if (op == Filter::Op::unequal) return !same;
  if (same && (op == Filter::Op::at_most || op == Filter::Op::at_least)) return true;
  if (!a || !b || a->type() != b->type()) return false;
  bool less = false, more = false;
  if (a->is(Type::number)) {
    const auto order = json::compare(*a, *b);
    less = order < 0, more = order > 0;
  } else if (a->is(Type::string)) {
    less = a->string()<b->string(), more = a->string()> b->string();
  }
  return op == Filter::Op::less || op == Filter::Op::at_most ? less : more;
}

bool holds(const Filter& filter, const Value& root, const Value& current) {
  using Op = Filter::Op;
  const auto value = [&](const Filter::Operand& operand) {
    return operand.query ? evaluate(*operand.query, root, current) : &operand.literal;
  };
  switch (filter.op) {
    case Op::all:
      for (auto& part : filter.parts)
        if (!holds(part, root, current)) return false;
      return true;
    case Op::any:
      for (auto& part : filter.parts)
        if (holds(part, root, current)) return true;
      return false;
    case Op::negate: return !holds(filter.parts[0], root, current);
    case Op::exists: return value(filter.left) != nullptr;
    default: return compare(filter.op, value(filter.left), value(filter.right));
  }
}

class Parser {
 public:
  Parser(std::string_view text, Arena& literals) : text_(text), literals_(literals) {}

  bool run(std::vector<Segment>& segments) {
    if (!take('$')) return wrong("a path begins with $");
    for (blank(); !text_.empty(); blank()) {
      auto& segment = segments.emplace_back();
      if (take("..")) {
        segment.descend = true;
        if (text_.starts_with('[') ? !bracket(segment) : !dotted(segment)) return false;
      } else if (take('.')) {
        if (!dotted(segment)) return false;
      } else if (!text_.starts_with('[') || !bracket(segment)) {
        return wrong("`.name` or `[…]` is expected");
      }
    }
    return true;
  }
  std::string error;

 private:
  bool wrong(std::string what) {
    if (error.empty()) error = std::move(what) + (text_.empty() ? " at the end" : " at \"" + std::string(text_) + "\"");
    return false;
  }
  void blank() {
    while (!text_.empty() && (text_[0] == ' ' || text_[0] == '\t' || text_[0] == '\n' || text_[0] == '\r'))
      text_.remove_prefix(1);
  }
  bool take(char c) { return take(std::string_view(&c, 1)); }
  bool take(std::string_view word) {
    if (!text_.starts_with(word)) return false;
    text_.remove_prefix(word.size());
    return true;
  }
  static bool name_character(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || static_cast<unsigned char>(c) >= 0x80;
  }
  bool name(std::string& out) {
    std::size_t size = 0;
    while (size < text_.size() && (name_character(text_[size]) || (size > 0 && text_[size] == '-'))) ++size;
    if (size == 0) return wrong("a name is expected");
    out = text_.substr(0, size);
    text_.remove_prefix(size);
    return true;
  }
  bool dotted(Segment& segment) {
    auto& selector = segment.selectors.emplace_back();
    if (take('*')) {
      selector.kind = Selector::Kind::wildcard;
      return true;
    }
    selector.kind = Selector::Kind::name;
    return name(selector.name);
  }
  bool quoted(std::string& out) {
    const char quote = text_[0];
    text_.remove_prefix(1);
    while (!text_.empty() && text_[0] != quote) {
      if (text_[0] == '\\' && text_.size() > 1) {
        text_.remove_prefix(1);
        constexpr std::string_view letters = "bfnrt", meant = "\b\f\n\r\t";
        const auto known = letters.find(text_[0]);
        if (text_[0] == 'u') return wrong("\\u is not understood; write the character itself");
        out += known == letters.npos ? text_[0] : meant[known];
      } else {
        out += text_[0];
      }
      text_.remove_prefix(1);
    }
    return take(quote) || wrong("a quote is not closed");
  }
  std::optional<std::int64_t> integer() {
    std::int64_t value = 0;
    const auto [end, problem] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
    if (problem != std::errc{}) return std::nullopt;
    text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
    return value;
  }
  bool bracket(Segment& segment) {
    take('[');
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
    } else if (text_.starts_with('\'') || text_.starts_with('"')) {
      out.kind = Selector::Kind::name;
      return quoted(out.name);
    } else if (take('?')) {
      out.kind = Selector::Kind::filter;
      out.filter.emplace();
      blank();
      return any(*out.filter, 0);
    } else {
      out.kind = Selector::Kind::index;
      const auto from = integer();
      blank();
      if (!take(':')) {
        out.index = from.value_or(0);
        return from || wrong("a name, an index, * or a filter is expected");
      }
      out.kind = Selector::Kind::slice;
      out.from = from;
      blank();
      out.to = integer();
      blank();
      if (take(':')) {
        blank();
        out.step = integer().value_or(1);
        if (out.step < 1) return wrong("steps of a slice go forward");
      }
    }
    return true;
  }
  bool any(Filter& out, int depth) { return sequence(out, Filter::Op::any, "||", depth); }
  bool sequence(Filter& out, Filter::Op op, std::string_view between, int depth) {
    if (depth > kDeepest) return wrong("the filter is nested too deeply");
    out.op = op;
    do {
      blank();
      auto& part = out.parts.emplace_back();
      if (op == Filter::Op::any ? !sequence(part, Filter::Op::all, "&&", depth + 1) : !term(part, depth + 1))
        return false;
      blank();
    } while (take(between));
    return true;
  }
  bool term(Filter& out, int depth) {
    blank();
    if (take('!')) {
      out.op = Filter::Op::negate;
      return depth < kDeepest ? term(out.parts.emplace_back(), depth + 1) : wrong("the filter is nested too deeply");
    }
    if (take('(')) {
      if (!any(out, depth + 1)) return false;
      blank();
      return take(')') || wrong(") is expected");
    }
    if (!operand(out.left)) return false;
    blank();
    static constexpr std::pair<std::string_view, Filter::Op> kOperators[] = {
        {"==", Filter::Op::equal},    {"!=", Filter::Op::unequal}, {"<=", Filter::Op::at_most},
        {">=", Filter::Op::at_least}, {"<", Filter::Op::less},     {">", Filter::Op::more}};
    for (auto& [text, op] : kOperators)
      if (take(text)) {
        out.op = op;
        blank();
        return operand(out.right);
      }
    out.op = Filter::Op::exists;
    return out.left.query ? true : wrong("a comparison is expected");
  }
  bool operand(Filter::Operand& out) {
    if (text_.starts_with('@') || text_.starts_with('$')) {
      out.query = Query{.from_root = text_[0] == '$'};
      text_.remove_prefix(1);
      return steps(*out.query);
    }
    if (text_.starts_with('\'') || text_.starts_with('"')) {
      std::string text;
      if (!quoted(text)) return false;
      out.literal = Value::of(literals_.keep(text));
      return true;
    }
    std::size_t size = 0;
    while (size < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[size])) || text_[size] == '-' ||
                                   text_[size] == '+' || text_[size] == '.'))
      ++size;
    if (text_.substr(size).starts_with('(')) return wrong("functions are not understood");
    auto literal = json::parse(literals_.keep(text_.substr(0, size)), literals_);
    if (!literal) return wrong("a literal or a path is expected");
    out.literal = *literal;
    text_.remove_prefix(size);
    return true;
  }
  bool steps(Query& query) {
    for (;;) {
      auto& step = query.steps.emplace_back();
      if (text_.starts_with("..")) return wrong("a path within a filter names one value");
      if (take('.')) {
        if (!name(step.first)) return false;
      } else if (take('[')) {
        blank();
        if (text_.starts_with('\'') || text_.starts_with('"')) {
          if (!quoted(step.first)) return false;
        } else if (const auto index = integer()) {
          step.second = *index;
        } else {
          return wrong("a path within a filter names one value");
        }
        blank();
        if (!take(']')) return wrong("] is expected");
      } else {
        query.steps.pop_back();
        return true;
      }
    }
  }

  std::string_view text_;
  Arena& literals_;
};

}  // namespace

struct JsonPath::Program {
  Arena literals{1024};
  std::vector<Segment> segments;
};

JsonPath::JsonPath(std::unique_ptr<Program> program) : program_(std::move(program)) {}
JsonPath::JsonPath(JsonPath&&) noexcept = default;
JsonPath::~JsonPath() = default;

std::expected<JsonPath, std::string> JsonPath::parse(std::string_view text) {
  auto program = std::make_unique<Program>();
  Parser parser{text, program->literals};
  if (!parser.run(program->segments)) return std::unexpected(std::move(parser.error));
  return JsonPath{std::move(program)};
}

namespace {

using Nodes = std::vector<JsonPath::Node>;

JsonPath::Node member(JsonPath::Node& parent, json::Member& m) {
  return {.value = &m.value, .parent = parent.value, .key = m.key, .depth = parent.depth + 1};
}
JsonPath::Node item(JsonPath::Node& parent, std::size_t index) {
  return {.value = &parent.value->array()[index],
          .parent = parent.value,
          .key = {},
          .index = index,
          .depth = parent.depth + 1};
}

template <class F>
void each_child(JsonPath::Node& node, F&& take) {
  for (std::size_t i = 0; i < node.value->array().size(); ++i) take(item(node, i));
  for (auto& m : node.value->object()) take(member(node, m));
}

void apply(const Selector& selector, JsonPath::Node& node, const Value& root, Nodes& out) {
  const auto size = static_cast<std::int64_t>(node.value->array().size());
  switch (selector.kind) {
    case Selector::Kind::name:
      for (auto& m : node.value->object())
        if (m.key == selector.name) out.push_back(member(node, m));
      break;
    case Selector::Kind::index: {
      const auto at = selector.index < 0 ? selector.index + size : selector.index;
      if (at >= 0 && at < size) out.push_back(item(node, static_cast<std::size_t>(at)));
      break;
    }
    case Selector::Kind::slice: {
      const auto bound = [&](std::optional<std::int64_t> given, std::int64_t otherwise) {
        const auto at = given.value_or(otherwise);
        return std::clamp<std::int64_t>(at < 0 ? at + size : at, 0, size);
      };
      for (auto at = bound(selector.from, 0); at < bound(selector.to, size); at += selector.step)
        out.push_back(item(node, static_cast<std::size_t>(at)));
      break;
    }
    case Selector::Kind::wildcard: each_child(node, [&](const JsonPath::Node& child) { out.push_back(child); }); break;
    case Selector::Kind::filter:
      each_child(node, [&](const JsonPath::Node& child) {
        if (holds(*selector.filter, root, *child.value)) out.push_back(child);
      });
      break;
  }
}

/// The node and all below it, parents first.
void descend(JsonPath::Node node, Nodes& out) {
  if (out.size() >= JsonPath::kMost) return;
  out.push_back(node);
  each_child(node, [&](const JsonPath::Node& child) { descend(child, out); });
}

}  // namespace

std::vector<JsonPath::Node> JsonPath::select(Value& root) const {
  Nodes nodes{{.value = &root, .parent = nullptr, .key = {}}};
  for (auto& segment : program_->segments) {
    Nodes from, next;
    if (segment.descend)
      for (auto& node : nodes) descend(node, from);
    else
      from = std::move(nodes);
    for (auto& node : from)
      for (auto& selector : segment.selectors)
        if (next.size() < kMost) apply(selector, node, root, next);
    nodes = std::move(next);
  }
  return nodes;
}

}  // namespace plimsoll::contract
