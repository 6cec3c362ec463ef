#include "plimsoll/handler/mock/pattern.hpp"

#include "plimsoll/json/utf8.hpp"

#include <algorithm>
#include <charconv>
#include <memory>
#include <vector>

namespace plimsoll::handler::mocking {
namespace {

constexpr std::size_t kLongest = 4096;
constexpr int kDeepest = 64;

struct Range {
  std::uint32_t from, to;
};

/// A node of the pattern: a set of characters, a sequence, a choice, a group or a reference to one.
struct Node {
  enum class Kind : std::uint8_t { set, sequence, choice, group, reference, nothing } kind = Kind::nothing;
  std::vector<Range> set;
  std::vector<Node> parts;
  std::size_t number = 0;  ///< of the group
  std::size_t least = 1, most = 1;
};

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}
  std::optional<Node> run() {
    auto node = choice(0);
    return ok_ && text_.empty() ? std::optional(std::move(node)) : std::nullopt;
  }
  /// What must be ahead somewhere: `(?=.*\d)`.
  const std::vector<Node>& looks() const { return looks_; }

 private:
  Node fail() {
    ok_ = false;
    text_ = {};
    return {};
  }
  bool take(std::string_view word) {
    if (!text_.starts_with(word)) return false;
    text_.remove_prefix(word.size());
    return true;
  }
  Node choice(int depth) {
    if (depth > kDeepest) return fail();
    Node node{.kind = Node::Kind::choice};
    do node.parts.push_back(sequence(depth));
    while (take("|"));
    return node;
  }
  Node sequence(int depth) {
    Node node{.kind = Node::Kind::sequence};
    while (ok_ && !text_.empty() && text_[0] != '|' && text_[0] != ')') {
      node.parts.push_back(term(depth));
      quantifier(node.parts.back());
    }
    return node;
  }
  Node term(int depth) {
    if (take("^") || take("$") || take("\\b") || take("\\B")) return {};
    if (take("(")) return group(depth);
    if (take("[")) return set();
    if (take(".")) return of({{'a', 'z'}});
    if (take("\\")) return escape();
    return of(character());
  }
  Node group(int depth) {
    const bool ahead = take("?=");
    const bool skipped = ahead || take("?!") || take("?<=") || take("?<!");
    Node node{.kind = Node::Kind::group};
    if (!skipped && !take("?:")) {
      node.number = ++groups_;
      if (take("?<")) text_.remove_prefix(std::min(text_.find('>') + 1, text_.size()));
    }
    node.parts.push_back(choice(depth + 1));
    if (!take(")")) return fail();
    if (ahead) looks_.push_back(std::move(node.parts[0]));
    return skipped ? Node{} : node;
  }
  static Node of(std::vector<Range> set) { return {.kind = Node::Kind::set, .set = std::move(set)}; }

  std::vector<Range> character() {
    const auto size = json::utf8_length(text_);
    if (size == 0) return fail(), std::vector<Range>{};
    std::uint32_t code = static_cast<unsigned char>(text_[0]);
    if (size > 1) {
      code &= 0xFFu >> (size + 1);
      for (std::size_t i = 1; i < size; ++i) code = code << 6 | (static_cast<unsigned char>(text_[i]) & 0x3F);
    }
    text_.remove_prefix(size);
    return {{code, code}};
  }
  std::optional<std::uint32_t> hex(std::size_t digits) {
    std::uint32_t value = 0;
    if (text_.size() < digits) return std::nullopt;
    const auto [end, error] = std::from_chars(text_.data(), text_.data() + digits, value, 16);
    if (error != std::errc{} || end != text_.data() + digits) return std::nullopt;
    text_.remove_prefix(digits);
    return value;
  }
  /// What stands behind a backslash, as a set.
  std::vector<Range> escaped() {
    if (text_.empty()) return fail(), std::vector<Range>{};
    const char c = text_[0];
    text_.remove_prefix(1);
    switch (c) {
      case 'd': return {{'0', '9'}};
      case 'w': return {{'a', 'z'}, {'A', 'Z'}, {'0', '9'}};
      case 's': return {{' ', ' '}};
      case 'D': return {{'a', 'z'}};
      case 'W': return {{'-', '-'}, {' ', ' '}};
      case 'S': return {{'a', 'z'}, {'0', '9'}};
      case 'n': return {{'\n', '\n'}};
      case 'r': return {{'\r', '\r'}};
      case 't': return {{'\t', '\t'}};
      case 'f': return {{'\f', '\f'}};
      case 'v': return {{'\v', '\v'}};
      case '0': return {{0, 0}};
      case 'x':
        if (const auto code = hex(2)) return {{*code, *code}};
        break;
      case 'u':
        if (take("{")) {
          const auto end = text_.find('}');
          if (end == text_.npos || end > 6) break;
          const auto code = hex(end);
          if (!code || !take("}")) break;
          return {{*code, *code}};
        }
        if (const auto code = hex(4)) return {{*code, *code}};
        break;
      case 'p':
      case 'P': return property(c == 'P');
      default:
        if (!std::isalnum(static_cast<unsigned char>(c)))
          return {{static_cast<unsigned char>(c), static_cast<unsigned char>(c)}};
    }
    return fail(), std::vector<Range>{};
  }
  std::vector<Range> property(bool negated) {
    const auto end = text_.find('}');
    if (!take("{") || end == text_.npos) return fail(), std::vector<Range>{};
    const auto name = text_.substr(0, end - 1);
    text_.remove_prefix(end);
    if (negated) return name.starts_with('L') ? std::vector<Range>{{'0', '9'}} : std::vector<Range>{{'a', 'z'}};
    if (name == "Lu" || name == "Uppercase_Letter") return {{'A', 'Z'}};
    if (name.starts_with('N')) return {{'0', '9'}};
    if (name.starts_with('Z')) return {{' ', ' '}};
    if (name.starts_with('P')) return {{'!', '!'}, {'.', '.'}, {'-', '-'}};
    if (name.starts_with("Script=Cyr") || name == "Cyrillic") return {{0x430, 0x44F}};
    if (name.starts_with("Script=Greek")) return {{0x3B1, 0x3C9}};
    return {{'a', 'z'}};
  }
  Node escape() {
    if (!text_.empty() && text_[0] >= '1' && text_[0] <= '9') {
      Node node{.kind = Node::Kind::reference, .number = static_cast<std::size_t>(text_[0] - '0')};
      text_.remove_prefix(1);
      return node;
    }
    return of(escaped());
  }
  Node set() {
    const bool negated = take("^");
    std::vector<Range> ranges;
    while (ok_ && !text_.empty() && text_[0] != ']') {
      const auto one = [&] { return take("\\") ? (take("b") ? std::vector<Range>{{8, 8}} : escaped()) : character(); };
      auto from = one();
      if (from.size() == 1 && text_.size() > 1 && text_[0] == '-' && text_[1] != ']' && from[0].from == from[0].to) {
        take("-");
        const auto to = one();
        if (to.size() != 1 || to[0].to < from[0].from) return fail();
        from[0].to = to[0].to;
      }
      ranges.insert(ranges.end(), from.begin(), from.end());
    }
    if (!take("]")) return fail();
    if (!negated) return ranges.empty() ? fail() : of(std::move(ranges));
    std::vector<Range> rest;
    for (std::uint32_t c = ' '; c < 0x7F; ++c)
      if (std::ranges::none_of(ranges, [&](auto& r) { return c >= r.from && c <= r.to; })) rest.push_back({c, c});
    if (rest.empty()) rest.push_back({0x4E00, 0x4E00});
    return of(std::move(rest));
  }
  std::size_t number(std::size_t otherwise) {
    std::size_t value = otherwise;
    const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
    if (error == std::errc{}) text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
    return value;
  }
  void quantifier(Node& node) {
    constexpr std::size_t unbounded = SIZE_MAX;
    if (take("*"))
      node.least = 0, node.most = unbounded;
    else if (take("+"))
      node.least = 1, node.most = unbounded;
    else if (take("?"))
      node.least = 0, node.most = 1;
    else if (text_.size() > 1 && text_[0] == '{' && std::isdigit(static_cast<unsigned char>(text_[1]))) {
      take("{");
      node.least = node.most = number(0);
      if (take(",")) node.most = number(unbounded);
      if (!take("}") || node.most < node.least) fail();
    } else {
      return;
    }
    take("?");  // lazy
  }

  std::string_view text_;
  std::vector<Node> looks_;
  std::size_t groups_ = 0;
  bool ok_ = true;
};

class Writer {
 public:
  Writer(Random& random, std::size_t extra) : random_(random), extra_(extra) {}
  bool write(const Node& node) {
    auto times = node.least;
    if (node.most > node.least) times += random_.below(std::min(node.most - node.least, extra_) + 1);
    for (; times > 0; --times)
      if (!once(node)) return false;
    return true;
  }
  std::string out;

 private:
  bool once(const Node& node) {
    if (out.size() > kLongest) return false;
    switch (node.kind) {
      case Node::Kind::nothing: return true;
      case Node::Kind::set: {
        const auto& range = node.set[random_.below(node.set.size())];
        json::append_utf8(out, range.from + static_cast<std::uint32_t>(random_.below(range.to - range.from + 1)));
        return true;
      }
      case Node::Kind::sequence: return std::ranges::all_of(node.parts, [&](auto& part) { return write(part); });
      case Node::Kind::choice: return write(node.parts[random_.below(node.parts.size())]);
      case Node::Kind::group: {
        const auto from = out.size();
        if (!write(node.parts[0])) return false;
        if (captured_.size() <= node.number) captured_.resize(node.number + 1);
        captured_[node.number] = out.substr(from);
        return true;
      }
      case Node::Kind::reference:
        if (node.number < captured_.size()) out += captured_[node.number];
        return true;
    }
    return false;
  }
  Random& random_;
  std::size_t extra_;
  std::vector<std::string> captured_;
};

}  // namespace

std::optional<std::string> text_for(std::string_view pattern, Random& random, std::size_t extra) {
  Parser parser{pattern};
  const auto node = parser.run();
  if (!node) return std::nullopt;
  Writer writer{random, extra};
  if (!writer.write(*node)) return std::nullopt;
  // What is looked for ahead is put at the beginning, at its shortest; now and then not, where that is right already.
  Writer ahead{random, 0};
  for (auto& look : parser.looks())
    if (!ahead.write(look)) return std::nullopt;
  if (ahead.out.size() <= writer.out.size() && !random.one_in(4)) writer.out.replace(0, ahead.out.size(), ahead.out);
  return std::move(writer.out);
}

}  // namespace plimsoll::handler::mocking
