#include "plimsoll/contract/router.hpp"

#include "plimsoll/contract/percent.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

namespace plimsoll::contract {
namespace {

constexpr std::string_view kNames[] = {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"};
constexpr std::size_t kGet = 1, kHead = 2, kOptions = 3;

std::size_t index_of(std::string_view method) {
  return static_cast<std::size_t>(std::ranges::find(kNames, method) - std::begin(kNames));
}

/// Both halves of the product: a difference in any bit reaches all of them.
std::uint64_t mix(std::uint64_t h, std::uint64_t word) {
  const auto product = static_cast<unsigned __int128>(h ^ word) * 0x9E3779B97F4A7C15;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

std::uint64_t hash(std::uint32_t from, std::string_view text) {
  auto h = mix(from + 1, text.size());
  const char* at = text.data();
  std::size_t left = text.size();
  for (; left >= 8; at += 8, left -= 8) {
    std::uint64_t word;
    std::memcpy(&word, at, 8);
    h = mix(h, word);
  }
  std::uint64_t word = 0;
  if (left > 0 && text.size() >= 8) {
    std::memcpy(&word, text.data() + text.size() - 8, 8);  // with some of what was taken already
  } else if (left >= 4) {
    std::uint32_t first, last;
    std::memcpy(&first, at, 4);
    std::memcpy(&last, at + left - 4, 4);
    word = static_cast<std::uint64_t>(first) << 32 | last;
  } else if (left > 0) {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint64_t>(static_cast<unsigned char>(at[i])); };
    word = byte(0) << 16 | byte(left / 2) << 8 | byte(left - 1);
  }
  return mix(h, word);
}

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

bool is_dots(std::string_view canonical_segment) { return canonical_segment == "." || canonical_segment == ".."; }

}  // namespace

Router::Router() : literals_(16) { new_node(); }

std::uint32_t Router::new_node() {
  nodes_.emplace_back();
  return static_cast<std::uint32_t>(nodes_.size() - 1);
}

void Router::insert(std::vector<Literal>& table, Literal entry) const {
  auto at = entry.hash & (table.size() - 1);
  while (table[at].to != kNone) at = (at + 1) & (table.size() - 1);
  table[at] = std::move(entry);
}

std::uint32_t Router::literal_child(std::uint32_t from, std::string_view segment) const {
  const auto h = hash(from, segment);
  for (auto at = h & (literals_.size() - 1);; at = (at + 1) & (literals_.size() - 1)) {
    const auto& entry = literals_[at];
    if (entry.to == kNone) return kNone;
    if (entry.hash == h && entry.from == from && entry.text == segment) return entry.to;
  }
}

std::uint32_t Router::add_literal(std::uint32_t from, std::string_view segment) {
  if (const auto child = literal_child(from, segment); child != kNone) return child;
  if (++used_ * 4 > literals_.size()) {
    std::vector<Literal> larger(literals_.size() * 2);
    for (auto& entry : literals_)
      if (entry.to != kNone) insert(larger, std::move(entry));
    literals_ = std::move(larger);
  }
  const auto child = new_node();
  insert(literals_, {from, child, hash(from, segment), std::string(segment)});
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

std::expected<void, Router::Refusal> Router::add(std::string_view method, std::string_view path,
                                                 const Operation* operation, std::vector<std::string>& names) {
  const auto index = index_of(method);
  if (!path.starts_with('/') || index == kMethods) return std::unexpected(Refusal::malformed);
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
  if (node.operations[index]) return std::unexpected(Refusal::ambiguous);
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
  }
}

bool Router::into(std::uint32_t child, std::string_view rest, Search& search) const {
  if (!rest.empty()) return walk(child, rest.substr(1), search);
  if (!nodes_[child].ends) return false;
  search.found = child;
  return true;
}

bool Router::walk(std::uint32_t at, std::string_view rest, Search& search) const {
  auto& match = search.match;
  for (;;) {
    const auto* slash = static_cast<const char*>(rest.empty() ? nullptr : std::memchr(rest.data(), '/', rest.size()));
    const auto segment = slash ? rest.substr(0, static_cast<std::size_t>(slash - rest.data())) : rest;
    rest.remove_prefix(segment.size());
    char room[kLongestLiteral];
    std::optional<std::string_view> plain = segment;
    if (search.encoded) [[unlikely]] {
      plain = canonical(segment, room);
      if (!plain && segment.size() <= kLongestLiteral) return false;
    }
    if (plain && is_dots(*plain)) return false;
    const auto& node = nodes_[at];
    const auto literal = plain ? literal_child(at, *plain) : kNone;
    if (!node.branches) {  // no choice: no way back is needed
      if (literal == kNone) return false;
      if (rest.empty()) {
        search.found = literal;
        return nodes_[literal].ends;
      }
      at = literal;
      rest.remove_prefix(1);
      continue;
    }
    if (literal != kNone && into(literal, rest, search)) return true;
    if (segment.empty()) return false;
    const auto count = match.count;
    for (const auto& partial : node.partials)
      if (capture(partial, segment, match)) {
        if (into(partial.child, rest, search)) return true;
        match.count = count;
      }
    if (node.whole == kNone) return false;
    match.captured[match.count++] = segment;
    if (rest.empty()) {
      if (nodes_[node.whole].ends) {
        search.found = node.whole;
        return true;
      }
    } else if (walk(node.whole, rest.substr(1), search)) {
      return true;
    }
    match.count = count;
    return false;
  }
}

Match Router::match(std::string_view method, std::string_view path) const {
  Match match;
  Search search{match, path.contains('%')};
  if (!path.starts_with('/') || !walk(0, path.substr(1), search)) {
    match.count = 0;
    return match;
  }
  const auto& node = nodes_[search.found];
  match.allow = node.allow;
  const auto index = index_of(method);
  if (index < kMethods) {
    match.operation = node.operations[index];
    if (!match.operation && index == kHead) match.operation = node.operations[kGet];
  }
  match.kind = match.operation ? Match::Kind::found : Match::Kind::method_not_allowed;
  return match;
}

}  // namespace plimsoll::contract
