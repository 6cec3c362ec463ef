#include "plimsoll/contract/json_path.hpp"

#include "plimsoll/contract/i_regexp.hpp"
#include "plimsoll/contract/json_path_script.hpp"
#include "plimsoll/contract/json_path_syntax.hpp"
#include "plimsoll/json/number.hpp"
#include "plimsoll/json/utf8.hpp"
#include "plimsoll/schema/regex.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <unordered_set>

namespace plimsoll::contract {

using json::Type;
using json::Value;
using json_path::Filter;
using json_path::Function;
using json_path::Operand;
using json_path::Query;
using json_path::Segment;
using json_path::Selector;

namespace {

using Node = JsonPath::Node;
using Nodes = JsonPath::Nodes;

/// One query over one document. Every loop ends when the steps are spent; what it found until then is not used.
class Evaluation {
 public:
  Evaluation(Value& root, Steps& steps, bool once) : root_(root), steps_(steps), once_(once), scripts_(root, steps) {}

  Nodes select(const Query& query, const Node& current) {
    Nodes nodes;
    push(nodes, query.from_root ? Node{.value = &root_, .parent = nullptr} : current);
    for (const auto& segment : query.segments) {
      Nodes from, next;
      entered_.clear();
      if (segment.descend)
        for (const auto& node : nodes) descend(node, from);
      else
        from = std::move(nodes);
      if (segment.parent)
        for (const auto& node : from)
          if (node.parent) push(next, {.value = node.parent, .parent = nullptr});
      for (const auto& node : from)
        for (const auto& selector : segment.selectors) apply(selector, node, next);
      nodes = std::move(next);
      if (once_) keep_first(nodes);
    }
    return nodes;
  }
  bool gave_up() const { return gave_up_expression_ || scripts_.gave_up_expression; }

 private:
  static void keep_first(Nodes& nodes) {
    std::unordered_set<const Value*> seen;
    std::erase_if(nodes, [&](const Node& node) { return !seen.insert(node.value).second; });
  }
  bool push(Nodes& nodes, const Node& node) {
    if (!steps_.spend(JsonPath::kNodeCost)) return false;
    nodes.push_back(node);
    return true;
  }

  static Node item(const Node& parent, std::size_t index) {
    return {.value = &parent.value->array()[index], .parent = parent.value, .index = index, .depth = parent.depth + 1};
  }
  static Node member(const Node& parent, json::Member& member) {
    return {.value = &member.value, .parent = parent.value, .key = member.key, .depth = parent.depth + 1};
  }
  template <class F>
  void each_child(const Node& node, F&& take) {
    for (std::size_t i = 0; i < node.value->array().size() && !steps_.exhausted(); ++i) take(item(node, i));
    for (auto& m : node.value->object()) {
      if (steps_.exhausted()) return;
      take(member(node, m));
    }
  }
  /// The node and all below it, parents first.
  void descend(const Node& node, Nodes& out) {
    // Values that are equal by reference share their parts.
    const void* parts = nullptr;
    if (!node.value->array().empty()) parts = node.value->array().data();
    if (!node.value->object().empty()) parts = node.value->object().data();
    if (once_ && parts && !entered_.insert(parts).second) return;
    if (push(out, node)) each_child(node, [&](const Node& child) { descend(child, out); });
  }

  void apply(const Selector& selector, const Node& node, Nodes& out) {
    switch (selector.kind) {
      case Selector::Kind::name: {
        if (once_ && node.value->is(Type::array)) return numbered(selector.name, node, out);
        const auto members = node.value->object();
        if (!steps_.spend(1 + members.size() / 8)) return;
        if (const auto found = std::ranges::find(members, selector.name, &json::Member::key); found != members.end())
          push(out, member(node, *found));
        return;
      }
      case Selector::Kind::index: {
        if (once_ && node.value->is(Type::object)) {
          const auto members = node.value->object();
          const auto found = std::ranges::find(members, std::to_string(selector.index), &json::Member::key);
          if (steps_.spend(1 + members.size() / 8) && found != members.end()) push(out, member(node, *found));
          return;
        }
        const auto size = static_cast<std::int64_t>(node.value->array().size());
        const auto at = selector.index < 0 ? selector.index + size : selector.index;
        if (at >= 0 && at < size) push(out, item(node, static_cast<std::size_t>(at)));
        return;
      }
      case Selector::Kind::slice: return slice(selector, node, out);
      case Selector::Kind::wildcard: return each_child(node, [&](const Node& child) { push(out, child); });
      case Selector::Kind::filter:
        return each_child(node, [&](const Node& child) {
          if (steps_.spend(1) && holds(*selector.filter, child)) push(out, child);
        });
      case Selector::Kind::script:
        return each_child(node, [&](const Node& child) {
          if (scripts_.holds(*selector.script, child)) push(out, child);
        });
    }
  }
  /// An index that is written as a name.
  void numbered(std::string_view name, const Node& node, Nodes& out) {
    std::size_t index = 0;
    const auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), index);
    if (problem == std::errc{} && end == name.data() + name.size() && index < node.value->array().size())
      push(out, item(node, index));
  }
  /// RFC 9535, section 2.3.4.2.2
  void slice(const Selector& selector, const Node& node, Nodes& out) {
    const auto size = static_cast<std::int64_t>(node.value->array().size());
    const auto step = selector.step;
    if (step == 0) return;
    const auto bound = [&](std::optional<std::int64_t> given, std::int64_t otherwise) {
      const auto at = given.value_or(otherwise);
      const auto low = step > 0 ? std::int64_t{0} : std::int64_t{-1};
      return std::clamp(given && at < 0 ? at + size : at, low, step > 0 ? size : size - 1);
    };
    const auto from = bound(selector.from, step > 0 ? 0 : size - 1), to = bound(selector.to, step > 0 ? size : -1);
    for (auto at = from; step > 0 ? at < to : at > to; at += step)
      if (!push(out, item(node, static_cast<std::size_t>(at)))) return;
  }

  bool holds(const Filter& filter, const Node& current) {
    using Op = Filter::Op;
    const auto part_holds = [&](const Filter& part) { return holds(part, current); };
    switch (filter.op) {
      case Op::all: return std::ranges::all_of(filter.parts, part_holds);
      case Op::any: return std::ranges::any_of(filter.parts, part_holds);
      case Op::negate: return !holds(filter.parts[0], current);
      case Op::exists: return !select(*filter.left.query, current).empty();
      case Op::test: return matches(*filter.left.function, current);
      default: return compare(filter.op, value(filter.left, current), value(filter.right, current));
    }
  }

  /// Nothing where the path cannot be resolved, or a function has no result.
  std::optional<Value> value(const Operand& operand, const Node& current) {
    if (operand.function) return value(*operand.function, current);
    if (!operand.query) return operand.literal;
    const auto nodes = select(*operand.query, current);
    if (nodes.size() != 1) return std::nullopt;
    return *nodes[0].value;
  }
  std::optional<Value> value(const Function& function, const Node& current) {
    const auto& argument = function.arguments[0];
    if (function.name == Function::Name::value) return value(argument, current);
    if (function.name == Function::Name::count) return count_of(select(*argument.query, current).size());
    const auto of = value(argument, current);
    if (!of) return std::nullopt;
    if (of->is(Type::array)) return count_of(of->array().size());
    if (of->is(Type::object)) return count_of(of->object().size());
    if (!of->is(Type::string) || !steps_.spend(of->string().size() / 32)) return std::nullopt;
    return count_of(json::utf8_count(of->string()));
  }
  Value count_of(std::size_t count) { return Value::of(count, numbers_); }

  bool matches(const Function& function, const Node& current) {
    const auto text = value(function.arguments[0], current), pattern = value(function.arguments[1], current);
    if (!text || !pattern || !text->is(Type::string) || !pattern->is(Type::string)) return false;
    const auto* expression = expression_of(pattern->string(), function.name == Function::Name::match);
    if (!expression) return false;
    const bool found = expression->search(text->string(), steps_);
    gave_up_expression_ |= std::exchange(schema::Regex::exhausted(), false);
    return found;
  }
  /// Null where it is no I-Regexp. Patterns may stand in the document, another one for each item.
  const schema::Regex* expression_of(std::string_view pattern, bool whole) {
    constexpr std::size_t kCompilation = 1'000;
    auto key = (whole ? "^" : " ") + std::string(pattern);
    const auto known = expressions_.find(key);
    if (known != expressions_.end()) return known->second ? &*known->second : nullptr;
    if (!steps_.spend(kCompilation + 10 * pattern.size())) return nullptr;
    auto& made = expressions_[std::move(key)];
    if (const auto ecma = ecma_of_i_regexp(pattern))
      if (auto compiled = schema::Regex::compile(whole ? "^(?:" + *ecma + ")$" : *ecma)) made = *std::move(compiled);
    return made ? &*made : nullptr;
  }

  bool compare(Filter::Op op, const std::optional<Value>& a, const std::optional<Value>& b) {
    using Op = Filter::Op;
    switch (op) {
      case Op::equal: return same(a, b);
      case Op::unequal: return !same(a, b);
      case Op::less: return less(a, b);
      case Op::more: return less(b, a);
      case Op::at_most: return less(a, b) || same(a, b);
      default: return less(b, a) || same(a, b);
    }
  }
  bool same(const std::optional<Value>& a, const std::optional<Value>& b) { return a && b ? equal(*a, *b) : !a && !b; }
  bool less(const std::optional<Value>& a, const std::optional<Value>& b) {
    if (!a || !b || a->type() != b->type()) return false;
    if (a->is(Type::number)) return spend_texts(*a, *b) && json::compare(*a, *b) < 0;
    return a->is(Type::string) && spend_texts(*a, *b) && a->string() < b->string();
  }
  bool spend_texts(const Value& a, const Value& b) {
    return steps_.spend(1 + std::min(a.string().size(), b.string().size()) / 32);
  }
  /// json::equal, counted: both sides may be large, and compared for each of many items.
  bool equal(const Value& a, const Value& b) {
    if (a.type() != b.type()) return false;
    if (a.is(Type::string) || a.is(Type::number)) return spend_texts(a, b) && json::equal(a, b);
    if (!steps_.spend(1 + a.object().size())) return false;
    if (a.is(Type::array))
      return std::ranges::equal(a.array(), b.array(), [&](auto& x, auto& y) { return equal(x, y); });
    if (!a.is(Type::object)) return json::equal(a, b);
    return a.object().size() == b.object().size() && std::ranges::all_of(a.object(), [&](const json::Member& m) {
             const auto* other = steps_.spend(a.object().size() / 8) ? b.find(m.key) : nullptr;
             return other && equal(m.value, *other);
           });
  }

  Value& root_;
  Steps& steps_;
  bool once_;
  bool gave_up_expression_ = false;
  json_path::ScriptEvaluation scripts_;
  std::unordered_set<const void*> entered_;  ///< objects and lists that `..` has entered
  Arena numbers_{1024};
  std::map<std::string, std::optional<schema::Regex>, std::less<>> expressions_;
};

}  // namespace

struct JsonPath::Program {
  Syntax syntax;
  Arena literals{1024};
  Query query;
};

JsonPath::JsonPath(std::unique_ptr<Program> program) : program_(std::move(program)) {}
JsonPath::JsonPath(JsonPath&&) noexcept = default;
JsonPath::~JsonPath() = default;

std::expected<JsonPath, std::string> JsonPath::parse(std::string_view text, Syntax syntax) {
  auto program = std::make_unique<Program>();
  program->syntax = syntax;
  if (auto error = json_path::read(text, syntax, program->literals, program->query))
    return std::unexpected(*std::move(error));
  return JsonPath{std::move(program)};
}

std::expected<JsonPath::Nodes, std::string> JsonPath::select(Value& root, Steps& steps) const {
  Evaluation evaluation{root, steps, program_->syntax == Syntax::script};
  auto nodes = evaluation.select(program_->query, {.value = &root, .parent = nullptr});
  if (steps.exhausted()) return std::unexpected("the path selects or compares too much in this document");
  if (evaluation.gave_up()) return std::unexpected("an expression of match or search backtracks without end");
  return nodes;
}

}  // namespace plimsoll::contract
