#include "plimsoll/json/yaml.hpp"

#include "plimsoll/json/number.hpp"
#include "plimsoll/json/utf8.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>
#include <algorithm>
#include <charconv>
#include <memory>
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>

namespace plimsoll::json {
namespace {

/// Values that aliases may add to a document: enough for any real one, a bound on those that double at every level.
constexpr std::size_t kMostExpanded = 200'000;

struct Stopped {
  Position at;
  std::string message;
};

Position position(const YAML::Mark& mark) {
  if (mark.is_null()) return {};
  return {static_cast<std::uint32_t>(mark.line + 1), static_cast<std::uint32_t>(mark.column + 1)};
}

[[noreturn]] void stop(Position at, std::string message) { throw Stopped{at, std::move(message)}; }

bool is_any(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::ranges::find(words, text) != words.end();
}

std::size_t digits(std::string_view text, std::size_t from) {
  std::size_t at = from;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
  return at - from;
}

/// JSON's form of a decimal number of YAML 1.2's core schema (section 10.3.2), or empty when it is none.
std::string decimal(std::string_view text) {
  std::string out;
  if (text.starts_with('-')) out = '-';
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  const auto whole = digits(text, 0);
  auto at = whole;
  std::string_view fraction;
  if (at < text.size() && text[at] == '.') {
    const auto length = digits(text, at + 1);
    fraction = text.substr(at + 1, length);
    at += 1 + length;
  }
  if (whole == 0 && fraction.empty()) return {};
  const auto mantissa_end = at;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    const auto length = digits(text, at);
    if (length == 0 || length > 9) return {};
    at += length;
  }
  if (at != text.size()) return {};
  auto integer = text.substr(0, whole);
  while (integer.size() > 1 && integer.front() == '0') integer.remove_prefix(1);
  out += integer.empty() ? "0" : integer;
  if (!fraction.empty()) out.append(".").append(fraction);
  return out.append(text.substr(mantissa_end));
}

/// `0o17` and `0x1F` as decimals, or empty.
std::string based(std::string_view text) {
  const int base = text.starts_with("0o") ? 8 : text.starts_with("0x") ? 16 : 0;
  std::uint64_t number = 0;
  if (base == 0 || text.size() == 2) return {};
  const auto* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data() + 2, end, number, base);
  if (stopped != end || error != std::errc{} || text[2] == '-') return {};
  return std::to_string(number);
}

class Builder final : public YAML::EventHandler {
 public:
  Builder(Arena& arena, std::size_t depth) : arena_(arena), depth_(depth) {}

  const Value& value() const { return root_; }
  bool ended() const { return ended_; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (ended_) stop(position(mark), "only one document may stand in a file");
  }
  void OnDocumentEnd() override { ended_ = true; }

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (wants_key()) return take_key("null", position(mark), false);
    add(Value(), position(mark), anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto at = position(mark);
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) stop(at, "an alias may not stand inside what it names");
    const auto& [value, size] = found->second;
    if (wants_key()) {
      if (!value.is(Type::string)) stop(at, "a key must be a scalar");
      return take_key(value.string(), at, false);
    }
    expanded_ += size, made_ += size - 1;
    if (expanded_ > kMostExpanded) stop(at, "the aliases expand to too much");
    add(value.clone(arena_), at, YAML::NullAnchor);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    const auto at = position(mark);
    if (wants_key()) {
      if (anchor != YAML::NullAnchor) anchors_[anchor] = {Value::of(arena_.keep(text)), 1};
      return take_key(text, at, tag == "?");
    }
    add(scalar(tag, text, at), at, anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(Type::array, mark, tag, "tag:yaml.org,2002:seq", anchor);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(Type::object, mark, tag, "tag:yaml.org,2002:map", anchor);
  }

  void OnSequenceEnd() override {
    auto& frame = frames_.back();
    const auto count = values_.size() - frame.base;
    auto* kept = arena_.array<Value>(count);
    std::uninitialized_copy_n(values_.begin() + static_cast<std::ptrdiff_t>(frame.base), count, kept);
    values_.resize(frame.base);
    close(Value::array({kept, count}));
  }

  void OnMapEnd() override {
    auto& frame = frames_.back();
    if (!frame.merges.empty()) merge(frame);
    const std::span<Member> members(members_.data() + frame.base, members_.size() - frame.base);
    refuse_repeated(members);
    auto* kept = arena_.array<Member>(members.size());
    std::ranges::uninitialized_copy(members, std::span(kept, members.size()));
    const auto count = members.size();
    members_.resize(frame.base);
    close(Value::object({kept, count}));
  }

 private:
  struct Frame {
    Type type;
    Position at;
    YAML::anchor_t anchor;
    std::size_t base;     // of its items on the stack
    std::size_t counted;  // values made before it
    bool has_key = false;
    bool merging = false;  // the value that comes is a merge key's
    std::string_view key{};
    Position key_at{};
    std::vector<Value> merges{};
  };
  struct Anchored {
    Value value;
    std::size_t size;  ///< values in it
  };

  bool wants_key() const { return !frames_.empty() && frames_.back().type == Type::object && !frames_.back().has_key; }

  void take_key(std::string_view text, Position at, bool plain) {
    auto& frame = frames_.back();
    frame.has_key = true;
    frame.merging = plain && text == "<<";
    frame.key = arena_.keep(text);
    frame.key_at = at;
  }

  void open(Type type, const YAML::Mark& mark, const std::string& tag, std::string_view own, YAML::anchor_t anchor) {
    const auto at = position(mark);
    if (!is_any(tag, {"", "?", "!", own})) stop(at, "the tag " + tag + " does not fit here");
    if (wants_key()) stop(at, "a key must be a scalar");
    if (frames_.size() >= depth_) stop(at, "it is nested too deeply");
    frames_.push_back({type, at, anchor, type == Type::array ? values_.size() : members_.size(), made_});
  }

  void close(Value value) {
    const auto frame = std::move(frames_.back());
    frames_.pop_back();
    value.set_position(frame.at);
    if (frame.anchor != YAML::NullAnchor) anchors_[frame.anchor] = {value, made_ - frame.counted + 1};
    add(value, frame.at, YAML::NullAnchor);
  }

  void add(Value value, Position at, YAML::anchor_t anchor) {
    ++made_;
    value.set_position(at);
    if (anchor != YAML::NullAnchor) anchors_[anchor] = {value, 1};
    if (frames_.empty()) {
      root_ = value;
      return;
    }
    auto& frame = frames_.back();
    if (frame.type == Type::array) {
      values_.push_back(value);
      return;
    }
    frame.has_key = false;
    if (frame.merging)
      add_merge(frame, value, at);
    else
      members_.push_back({frame.key, value, frame.key_at});
  }

  static void add_merge(Frame& frame, const Value& value, Position at) {
    if (value.is(Type::object)) {
      frame.merges.push_back(value);
      return;
    }
    if (!value.is(Type::array)) stop(at, "a merge key takes a map or a list of maps");
    for (const auto& map : value.array()) {
      if (!map.is(Type::object)) stop(map.position(), "a merge key takes a map or a list of maps");
      frame.merges.push_back(map);
    }
  }

  /// What is written wins over what is merged, and what is merged first over what is merged later.
  void merge(const Frame& frame) {
    for (const auto& map : frame.merges)
      for (const auto& member : map.object())
        if (std::none_of(members_.begin() + static_cast<std::ptrdiff_t>(frame.base), members_.end(),
                         [&](const Member& own) { return own.key == member.key; }))
          members_.push_back(member);
  }

  static void refuse_repeated(std::span<const Member> members) {
    std::unordered_map<std::string_view, Position> seen;
    seen.reserve(members.size());
    for (const auto& member : members) {
      const auto [first, fresh] = seen.try_emplace(member.key, member.at);
      if (!fresh)
        stop(member.at, "the key \"" + std::string(member.key) + "\" stands already in line " +
                            std::to_string(first->second.line));
    }
  }

  Value text_value(std::string_view text) { return Value::of(arena_.keep(text)); }

  Value scalar(std::string_view tag, std::string_view text, Position at) {
    constexpr std::string_view kCore = "tag:yaml.org,2002:";
    if (tag == "?" || tag.empty()) return plain(text, at);
    if (tag == "!") return text_value(text);
    if (!tag.starts_with(kCore)) stop(at, "the tag " + std::string(tag) + " is not known");
    const auto kind = tag.substr(kCore.size());
    if (kind == "str") return text_value(text);
    const auto value = plain(text, at);
    const bool fits = (kind == "null" && value.is(Type::null)) || (kind == "bool" && value.is(Type::boolean)) ||
                      (kind == "int" && value.is(Type::number) && is_integer(value)) ||
                      (kind == "float" && value.is(Type::number));
    if (!fits) stop(at, "\"" + std::string(text) + "\" does not fit the tag !!" + std::string(kind));
    return value;
  }

  Value plain(std::string_view text, Position at) {
    if (text.empty() || is_any(text, {"null", "Null", "NULL", "~"})) return {};
    if (is_any(text, {"true", "True", "TRUE"})) return Value::of(true);
    if (is_any(text, {"false", "False", "FALSE"})) return Value::of(false);
    const char c = text.front();
    if ((c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.') {
      auto number = decimal(text);
      if (number.empty()) number = based(text);
      if (!number.empty()) return Value::number(arena_.keep(number));
      auto word = text;
      if (c == '-' || c == '+') word.remove_prefix(1);
      if (is_any(word, {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"}))
        stop(at, std::string(text) + " cannot be said in JSON; quote it if it is text");
    }
    return text_value(text);
  }

  Arena& arena_;
  std::size_t depth_;
  std::vector<Frame> frames_;
  std::vector<Value> values_;
  std::vector<Member> members_;
  std::unordered_map<YAML::anchor_t, Anchored> anchors_;
  std::size_t made_ = 0, expanded_ = 0;
  Value root_;
  bool ended_ = false;
};

std::unexpected<Error> malformed(Position at, const std::string& message) {
  return fail(kMalformedYaml,
              "line " + std::to_string(at.line) + ", column " + std::to_string(at.column) + ": " + message);
}

Result<Value> read(std::string_view text, Arena& arena, std::size_t depth) try {
  std::istringstream stream{std::string(text)};
  YAML::Parser parser(stream);
  Builder builder(arena, depth);
  while (parser.HandleNextDocument(builder)) {}
  return builder.value();
} catch (const Stopped& stopped) {
  return malformed(stopped.at, stopped.message);
} catch (const YAML::Exception& error) { return malformed(position(error.mark), error.msg); }

}  // namespace

Result<Value> parse_yaml(std::string_view text, Arena& arena, const ParseLimits& limits) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first != text.npos && (text[first] == '{' || text[first] == '[')) return parse(text, arena, limits);
  if (!valid_utf8(text)) {
    std::size_t at = 0;
    while (const auto length = utf8_length(text.substr(at))) at += length;
    const auto before = text.substr(0, at);
    const auto start = before.rfind('\n');
    return malformed({static_cast<std::uint32_t>(1 + std::ranges::count(before, '\n')),
                      static_cast<std::uint32_t>(at - (start == before.npos ? 0 : start + 1) + 1)},
                     "this is no UTF-8");
  }
  return read(text, arena, std::min<std::size_t>(limits.depth, 200));
}

}  // namespace plimsoll::json
