#include "plimsoll/contract/router.hpp"

#include "plimsoll/base/percent.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace plimsoll::contract {
namespace {

constexpr std::string_view kNames[] = {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"};
constexpr std::size_t kGet = 1, kHead = 2, kOptions = 3;

/// Among kNames; their number when it is none of them.
inline std::size_t index_of(std::string_view method) {
  switch (method.size()) {
    case 3: return method == "GET" ? 1 : method == "PUT" ? 6 : std::size(kNames);
    case 4: return method == "POST" ? 5 : method == "HEAD" ? 2 : std::size(kNames);
    case 5: return method == "PATCH" ? 4 : method == "QUERY" ? 7 : method == "TRACE" ? 8 : std::size(kNames);
    case 6: return method == "DELETE" ? 0 : std::size(kNames);
    case 7: return method == "OPTIONS" ? 3 : std::size(kNames);
    default: return std::size(kNames);
  }
}

/// Both halves of the product: a difference in any bit reaches all of them.
std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

/// Of what `print` does not hold.
[[gnu::noinline]] std::uint64_t middle(std::string_view text) {
  std::uint64_t h = 0;
  for (std::size_t at = 8; at + 8 < text.size(); at += 8) {
    std::uint64_t word;
    std::memcpy(&word, text.data() + at, 8);
    h = mix(h ^ word, 0x9E3779B97F4A7C15);
  }
  return h;
}

std::uint64_t hash(std::uint32_t from, std::string_view text, const Fingerprint& print) {
  auto first = print.first ^ (from + 1) * 0x9E3779B97F4A7C15;
  if (print.size > 16) [[unlikely]]
    first ^= middle(text);
  return mix(first, print.last ^ print.size ^ 0xD6E8FEB86659FD93);
}

[[gnu::noinline]] bool same(std::string_view a, std::string_view b) { return a == b; }

/// A segment as literals are stored: percent-decoded, except for what would change its meaning: `/`, `%` and controls.
/// Null: malformed, or longer than `room`.
std::optional<std::string_view> canonical(std::string_view segment, std::span<char> room) {
  std::size_t size = 0;
  if (segment.size() > room.size()) return std::nullopt;
  for (std::size_t i = 0; i < segment.size(); ++i) {
    if (segment[i] != '%') {
      room[size++] = segment[i];
      continue;
    }
    if (i + 2 >= segment.size()) return std::nullopt;
    const int high = hex_value(segment[i + 1]), low = hex_value(segment[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    const auto byte = static_cast<unsigned char>(high * 16 + low);
    if (byte == '/' || byte == '%' || byte < 0x20 || byte == 0x7F) {
      constexpr std::string_view digits = "0123456789ABCDEF";
      room[size++] = '%';
      room[size++] = digits[byte >> 4];
      room[size++] = digits[byte & 15];
    } else {
      room[size++] = static_cast<char>(byte);
    }
    i += 2;
  }
  return std::string_view(room.data(), size);
}

constexpr std::size_t kLongestLiteral = 1024;
constexpr std::size_t kDeepest = 128;  // segments of a template

/// `{a}` and literals of one segment: literals[0] {0} literals[1] {1} … literals[n].
struct Segment {
  std::vector<std::string> literals{""};
  std::vector<std::string> names;
};

std::optional<Segment> parse_segment(std::string_view text) {
  Segment segment;
  while (!text.empty()) {
    if (text[0] == '{') {
      const auto end = text.find('}');
      if (end == text.npos || end == 1 || text.substr(1, end - 1).contains('{')) return std::nullopt;
      segment.names.emplace_back(text.substr(1, end - 1));
      segment.literals.emplace_back();
      text.remove_prefix(end + 1);
    } else {
      if (text[0] == '}') return std::nullopt;
      segment.literals.back() += text[0];
      text.remove_prefix(1);
    }
  }
  for (auto& literal : segment.literals) {
    char room[kLongestLiteral];
    const auto same = canonical(literal, room);
    if (!same) return std::nullopt;
    literal = *same;
  }
  return segment;
}

/// Captures what stands between the literals: the first place where each is found, the last one at the end.
template <class P>
bool capture(const P& partial, std::string_view segment, Match& match) {
  if (segment.size() <= partial.before.size() + partial.after.size() || !segment.starts_with(partial.before) ||
      !segment.ends_with(partial.after))
    return false;
  segment.remove_prefix(partial.before.size());
  segment.remove_suffix(partial.after.size());
  auto count = match.count;
  for (const auto& literal : partial.between) {
    const auto at = segment.find(literal, 1);
    if (at == segment.npos || at + literal.size() >= segment.size()) return false;
    match.captured[count++] = segment.substr(0, at);
    segment.remove_prefix(at + literal.size());
  }
  match.captured[count++] = segment;
  match.count = count;
  return true;
}

bool is_dots(std::string_view segment) {
  return segment.size() - 1 <= 1 && segment.front() == '.' && segment.back() == '.';
}

/// Takes a path apart, sixteen bytes at a time where they can be read.
class Segments {
 public:
  explicit Segments(std::string_view path) : begin_(path.data()), end_(path.data() + path.size()) {}
  /// The first slash at or behind `at`, or the end; `encoded`: whether there is a percent sign before it.
  const char* next(const char* at, bool& encoded) const {
#if defined(__SSE2__)
    if (end_ - begin_ >= 16) [[likely]] {
      const char* const from = std::min(at, end_ - 16);  // what lies before `at` is shifted out
      const auto bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
      const auto all = [&](char c) {
        return static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(c)))) >> (at - from);
      };
      const auto index = std::countr_zero(all('/') | 0x80000000);  // of the first, or beyond what was read
      encoded = (all('%') & ((1u << index) - 1)) != 0;
      if (at + index < from + 16) return at + index;
      if (from + 16 == end_) [[likely]]
        return end_;
    }
#endif
    const auto rest = std::string_view(at, end_);
    const auto segment = rest.substr(0, rest.find('/'));
    encoded = segment.contains('%');
    return segment.data() + segment.size();
  }

 private:
  const char *begin_, *end_;
};

}  // namespace

Router::Router() : literals_(16), mask_(literals_.size() - 1) { new_node(); }

std::uint32_t Router::new_node() {
  nodes_.emplace_back();
  return static_cast<std::uint32_t>(nodes_.size() - 1);
}

void Router::insert(std::vector<Literal>& table, Literal entry) const {
  auto at = entry.hash & (table.size() - 1);
  while (table[at].to != kNone) at = (at + 1) & (table.size() - 1);
  table[at] = std::move(entry);
}

[[gnu::always_inline]] inline std::uint32_t Router::literal_child(std::uint32_t from, std::string_view segment) const {
  const auto print = Fingerprint::of(segment);
  for (auto at = hash(from, segment, print) & mask_;; at = (at + 1) & mask_) {
    const auto& entry = literals_[at];
    if (entry.from == from && entry.print == print && (print.size <= 16 || same(entry.text, segment))) return entry.to;
    if (entry.to == kNone) return kNone;
  }
}

std::uint32_t Router::add_literal(std::uint32_t from, std::string_view segment) {
  if (const auto child = literal_child(from, segment); child != kNone) return child;
  if (++used_ * 4 > literals_.size()) {
    std::vector<Literal> larger(literals_.size() * 2);
    for (auto& entry : literals_)
      if (entry.to != kNone) insert(larger, std::move(entry));
    literals_ = std::move(larger);
    mask_ = literals_.size() - 1;
  }
  const auto child = new_node();
  ++nodes_[from].literals;
  const auto print = Fingerprint::of(segment);
  insert(literals_, {from, child, hash(from, segment, print), print, std::string(segment)});
  return child;
}

std::uint32_t Router::add_partial(std::uint32_t from, Partial partial) {
  for (const auto& known : nodes_[from].partials)
    if (known.before == partial.before && known.after == partial.after && known.between == partial.between)
      return known.child;
  const auto child = partial.child = new_node();
  auto& partials = nodes_[from].partials;
  partials.insert(std::ranges::find_if(partials, [&](auto& p) { return p.literal < partial.literal; }),
                  std::move(partial));
  return child;
}

const Operation* Router::other(const Node& node, std::string_view method) {
  for (const auto& [name, operation] : node.others)
    if (name == method) return operation;
  return nullptr;
}

std::expected<void, Router::Refusal> Router::add(std::string_view method, std::string_view path,
                                                 const Operation* operation, std::vector<std::string>& names) {
  const auto index = index_of(method);
  if (!path.starts_with('/')) return std::unexpected(Refusal::malformed);
  names.clear();
  std::vector<Segment> segments;
  for (auto rest = path.substr(1);;) {
    const auto end = std::min(rest.find('/'), rest.size());
    auto segment = parse_segment(rest.substr(0, end));
    if (!segment) return std::unexpected(Refusal::malformed);
    for (std::size_t i = 1; i + 1 < segment->literals.size(); ++i)
      if (segment->literals[i].empty()) return std::unexpected(Refusal::adjacent);
    for (auto& name : segment->names) {
      if (std::ranges::find(names, name) != names.end()) return std::unexpected(Refusal::duplicate_name);
      names.push_back(name);
    }
    segments.push_back(std::move(*segment));
    if (end == rest.size()) break;
    rest.remove_prefix(end + 1);
  }
  if (names.size() > std::size(Match{}.captured) || segments.size() > kDeepest)
    return std::unexpected(Refusal::too_many);

  std::uint32_t at = 0;
  for (auto& segment : segments) {
    auto& literals = segment.literals;
    if (segment.names.empty()) {
      at = add_literal(at, literals[0]);
    } else if (segment.names.size() == 1 && literals[0].empty() && literals[1].empty()) {
      if (nodes_[at].whole == kNone) {
        const auto child = new_node();
        nodes_[at].whole = child;
      }
      at = nodes_[at].whole;
    } else {
      Partial partial{.before = literals.front(), .after = literals.back()};
      partial.between.assign(literals.begin() + 1, literals.end() - 1);
      for (auto& literal : literals) partial.literal += literal.size();
      at = add_partial(at, std::move(partial));
    }
  }
  auto& node = nodes_[at];
  if (index == kMethods ? other(node, method) != nullptr : node.operations[index] != nullptr)
    return std::unexpected(Refusal::ambiguous);
  if (index == kMethods)
    node.others.emplace_back(method, operation);
  else
    node.operations[index] = operation;
  node.ends = true;
  return {};
}

void Router::finish() {
  for (auto& node : nodes_) {
    node.branches = node.whole != kNone || !node.partials.empty();
    node.allow.clear();
    for (std::size_t i = 0; i < kMethods; ++i)
      if (node.operations[i] || (node.ends && i == kOptions) || (i == kHead && node.operations[kGet]))
        node.allow += (node.allow.empty() ? "" : ", ") + std::string(kNames[i]);
    for (const auto& [method, operation] : node.others) node.allow += (node.allow.empty() ? "" : ", ") + method;
  }
  find_prefixes();
}

/// Where one literal segment is all that can come, it need not be looked up.
void Router::find_prefixes() {
  std::vector<const Literal*> only(nodes_.size());
  for (const auto& literal : literals_)
    if (literal.to != kNone && nodes_[literal.from].literals == 1 && !nodes_[literal.from].branches &&
        !is_dots(literal.text))
      only[literal.from] = &literal;
  for (std::size_t from = 0; from < nodes_.size(); ++from) {
    auto& node = nodes_[from];
    node.prefix.clear();
    for (node.behind = static_cast<std::uint32_t>(from); const auto* literal = only[node.behind];
         node.behind = literal->to)
      node.prefix += literal->text + '/';
  }
}

struct Router::Search {
  explicit Search(Match& match) : match(match) {}
  Match& match;
  std::size_t open = 0;
  Choice choices[kDeepest];  ///< one for each segment at most
};

/// The next of the templates of a node that a segment fits, or none; what is left of them remains a choice.
inline std::uint32_t Router::take(const Choice& choice, Search& search) const {
  const auto& node = nodes_[choice.node];
  auto& match = search.match;
  match.count = choice.count;
  const std::string_view segment(choice.at, choice.end);
  for (auto next = choice.next; next < node.partials.size(); ++next) {
    if (!capture(node.partials[next], segment, match)) continue;
    search.choices[search.open] = choice;
    search.choices[search.open++].next = next + 1;
    return node.partials[next].child;
  }
  if (node.whole != kNone) match.captured[match.count++] = segment;
  return node.whole;
}

/// The node at the end of `path`, or none.
std::uint32_t Router::walk(std::string_view path, Match& match) const {
  const Segments segments(path);
  const auto* const nodes = nodes_.data();
  const char *at = path.data() + 1, *const end = path.data() + path.size();
  Search search(match);
  for (std::uint32_t from = 0;;) {
    if (const auto& node = nodes[from]; !node.prefix.empty() && std::string_view(at, end).starts_with(node.prefix)) {
      at += node.prefix.size();
      from = node.behind;
    }
    const auto& node = nodes[from];
    bool encoded = false, literal = node.literals != 0;
    const char* slash = segments.next(at, encoded);
    const std::string_view segment(at, slash);
    std::string_view plain = segment;
    char room[kLongestLiteral];
    if (encoded) [[unlikely]] {
      const auto decoded = canonical(segment, room);
      if (!decoded && segment.size() <= kLongestLiteral) return kNone;
      literal = literal && decoded;
      plain = decoded.value_or("");
    }
    if (is_dots(plain)) return kNone;
    auto child = literal ? literal_child(from, plain) : kNone;
    if (node.branches && !segment.empty()) {
      if (child != kNone)
        search.choices[search.open++] = {from, 0, match.count, at, slash};
      else if (node.partials.empty())
        match.captured[match.count++] = segment, child = node.whole;
      else
        child = take({from, 0, match.count, at, slash}, search);
    }
    while (child == kNone || (slash == end && !nodes[child].ends)) {
      if (search.open == 0) return kNone;  // else back to where another way can be taken
      const auto choice = search.choices[--search.open];
      child = take(choice, search);
      slash = choice.end;
    }
    if (slash == end) return child;
    from = child;
    at = slash + 1;
  }
}

Match Router::match(std::string_view method, std::string_view path) const {
  Match match;
  const auto found = path.starts_with('/') ? walk(path, match) : kNone;
  if (found == kNone) {
    match.count = 0;
    return match;
  }
  const auto& node = nodes_[found];
  match.allow = node.allow;
  const auto index = index_of(method);
  if (index < kMethods) {
    match.operation = node.operations[index];
    if (!match.operation && index == kHead) match.operation = node.operations[kGet];
  } else if (!node.others.empty()) [[unlikely]] {
    match.operation = other(node, method);
  }
  match.kind = match.operation ? Match::Kind::found : Match::Kind::method_not_allowed;
  return match;
}

}  // namespace plimsoll::contract
