#include "plimsoll/json/yaml.hpp"

#include "plimsoll/json/utf8.hpp"
#include "plimsoll/json/yaml_breaks.hpp"
#include "plimsoll/json/yaml_scalar.hpp"

#include <yaml.h>
#include <algorithm>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

// The parser of libyaml gives events; here they become values. It reads YAML 1.1, which for documents differs in what
// plain scalars mean (decided here, by 1.2's core schema), and in three line breaks that 1.2 has as characters like
// any other: it is shown others in their place.
namespace plimsoll::json {
namespace {

/// Values that aliases may add to a document: enough for any real one, a bound on those that double at every level.
constexpr std::size_t kMostExpanded = 200'000;

struct Complaint {
  Position at;
  std::string message;
};

bool is_continuation(char c) { return (c & 0xC0) == 0x80; }

/// Places of events in bytes. libyaml counts characters, which is the same only where all is ASCII.
class Places {
 public:
  explicit Places(std::string_view text)
      : text_(text), ascii_(std::ranges::none_of(text, [](char c) { return c < 0; })) {}

  std::size_t offset(const yaml_mark_t& mark) {
    if (ascii_) return std::min(mark.index, text_.size());
    for (; index_ < mark.index && byte_ < text_.size(); ++index_) step();
    for (; index_ > mark.index; --index_) step_back(byte_);
    return byte_;
  }

  Position position(const yaml_mark_t& mark) {
    const auto line = static_cast<std::uint32_t>(mark.line + 1);
    if (ascii_) return {line, static_cast<std::uint32_t>(mark.column + 1)};
    const auto at = offset(mark);
    if (line != line_) {  // found once a line: a line may be as long as the document
      line_ = line;
      line_start_ = at;
      for (auto left = mark.column; left > 0 && line_start_ > 0; --left) step_back(line_start_);
    }
    return {line, static_cast<std::uint32_t>(at - std::min(line_start_, at) + 1)};
  }

 private:
  void step() {
    do ++byte_;
    while (byte_ < text_.size() && is_continuation(text_[byte_]));
  }
  void step_back(std::size_t& byte) const {
    while (byte > 0 && is_continuation(text_[--byte])) {}
  }

  std::string_view text_;
  bool ascii_;
  std::size_t index_ = 0, byte_ = 0;  // the same place, in characters and in bytes; it moves with the events
  std::uint32_t line_ = 0;
  std::size_t line_start_ = 0;
};

std::string_view view(const yaml_char_t* text) {
  return text ? std::string_view(reinterpret_cast<const char*>(text)) : std::string_view();
}

/// Makes a value of events. Each of its functions returns false when it refuses, and then `complaint` says why.
class Builder {
 public:
  Builder(std::string_view text, const StandIns& stand_ins, Arena& arena, std::size_t depth)
      : places_(text), stand_ins_(stand_ins), arena_(arena), depth_(depth) {}

  const Value& value() const { return root_; }
  const Complaint& complaint() const { return complaint_; }

  bool take(const yaml_event_t& event) {
    switch (event.type) {
      case YAML_DOCUMENT_START_EVENT:
        if (documents_++ > 0) return stop(at(event), "only one document may stand in a file");
        return true;
      case YAML_ALIAS_EVENT: return alias(event);
      case YAML_SCALAR_EVENT: return scalar(event);
      case YAML_SEQUENCE_START_EVENT:
        return open(Type::array, event, event.data.sequence_start.anchor, event.data.sequence_start.tag, ":seq");
      case YAML_MAPPING_START_EVENT:
        return open(Type::object, event, event.data.mapping_start.anchor, event.data.mapping_start.tag, ":map");
      case YAML_SEQUENCE_END_EVENT: return end_sequence();
      case YAML_MAPPING_END_EVENT: return end_mapping();
      default: return true;
    }
  }

  Position position(const yaml_mark_t& mark) { return places_.position(mark); }

 private:
  struct Frame {
    Type type;
    Position at;
    std::string_view anchor;
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
    std::size_t size;  ///< values in it; 0: it is still open
  };

  Position at(const yaml_event_t& event) { return places_.position(event.start_mark); }

  bool stop(Position at, std::string message) {
    complaint_ = {at, std::move(message)};
    return false;
  }

  bool wants_key() const { return !frames_.empty() && frames_.back().type == Type::object && !frames_.back().has_key; }

  std::string_view named(const yaml_char_t* anchor) { return anchor ? arena_.keep(view(anchor)) : std::string_view(); }

  bool alias(const yaml_event_t& event) {
    const auto where = at(event);
    const auto name = view(event.data.alias.anchor);
    const auto found = anchors_.find(name);
    if (found == anchors_.end()) return stop(where, "no anchor &" + std::string(name) + " stands before");
    const auto& [value, size] = found->second;
    if (size == 0) return stop(where, "an alias may not stand inside what it names");
    if (wants_key()) {
      if (!value.is(Type::string)) return stop(where, "a key must be a scalar");
      return take_key(value.string(), where, false);
    }
    expanded_ += size, made_ += size - 1;
    if (expanded_ > kMostExpanded) return stop(where, "the aliases expand to too much");
    return add(value.clone(arena_), where, {});
  }

  bool scalar(const yaml_event_t& event) {
    const auto& scalar = event.data.scalar;
    const auto where = at(event);
    std::string_view text(reinterpret_cast<const char*>(scalar.value), scalar.length);
    if (stand_ins_.any()) text = arena_.keep(stand_ins_.shown(text));
    const auto tag = view(scalar.tag);
    const bool plain = tag.empty() && scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (wants_key()) {
      const auto key = plain && text.empty() ? std::string_view("null") : arena_.keep(text);
      if (scalar.anchor) anchors_[named(scalar.anchor)] = {Value::of(key), 1};
      return take_key(key, where, plain);
    }
    auto value = plain                       ? plain_scalar(text, arena_)
                 : tag.empty() || tag == "!" ? Value::of(arena_.keep(text))
                                             : tagged_scalar(tag, text, arena_);
    if (!value) return stop(where, std::move(value.error()));
    return add(*value, where, named(scalar.anchor));
  }

  bool take_key(std::string_view key, Position where, bool plain) {
    auto& frame = frames_.back();
    frame.has_key = true;
    frame.merging = plain && key == "<<";
    frame.key = key;
    frame.key_at = where;
    return true;
  }

  bool open(Type type, const yaml_event_t& event, const yaml_char_t* anchor, const yaml_char_t* tag_text,
            std::string_view own) {
    const auto where = at(event);
    const auto tag = view(tag_text);
    if (!tag.empty() && tag != "!" && tag != "tag:yaml.org,2002" + std::string(own))
      return stop(where, "the tag " + std::string(tag) + " does not fit here");
    if (wants_key()) return stop(where, "a key must be a scalar");
    if (frames_.size() >= depth_) return stop(where, "it is nested too deeply");
    const auto name = named(anchor);
    if (!name.empty()) anchors_[name] = {Value(), 0};
    frames_.push_back({type, where, name, type == Type::array ? values_.size() : members_.size(), made_});
    return true;
  }

  bool end_sequence() {
    const auto base = frames_.back().base;
    const auto count = values_.size() - base;
    auto* kept = arena_.array<Value>(count);
    std::uninitialized_copy_n(values_.begin() + static_cast<std::ptrdiff_t>(base), count, kept);
    values_.resize(base);
    return close(Value::array({kept, count}));
  }

  bool end_mapping() {
    const auto base = frames_.back().base;
    if (!refuse_repeated(base)) return false;
    if (!frames_.back().merges.empty()) merge(frames_.back());
    const auto count = members_.size() - base;
    auto* kept = arena_.array<Member>(count);
    std::uninitialized_copy_n(members_.begin() + static_cast<std::ptrdiff_t>(base), count, kept);
    members_.resize(base);
    return close(Value::object({kept, count}));
  }

  bool close(Value value) {
    const auto frame = std::move(frames_.back());
    frames_.pop_back();
    value.set_position(frame.at);
    if (!frame.anchor.empty()) anchors_[frame.anchor] = {value, made_ - frame.counted + 1};
    return add(value, frame.at, {});
  }

  bool add(Value value, Position where, std::string_view anchor) {
    ++made_;
    value.set_position(where);
    if (!anchor.empty()) anchors_[anchor] = {value, 1};
    if (frames_.empty()) {
      root_ = value;
      return true;
    }
    auto& frame = frames_.back();
    if (frame.type == Type::array) {
      values_.push_back(value);
      return true;
    }
    frame.has_key = false;
    if (frame.merging) return add_merge(frame, value, where);
    members_.push_back({frame.key, value, frame.key_at});
    return true;
  }

  bool add_merge(Frame& frame, const Value& value, Position where) {
    constexpr auto kWanted = "a merge key takes a map or a list of maps";
    if (value.is(Type::object)) {
      frame.merges.push_back(value);
      return true;
    }
    if (!value.is(Type::array)) return stop(where, kWanted);
    for (const auto& map : value.array()) {
      if (!map.is(Type::object)) return stop(map.position(), kWanted);
      frame.merges.push_back(map);
    }
    return true;
  }

  /// What is written wins over what is merged, and what is merged first over what is merged later.
  void merge(const Frame& frame) {
    keys_.clear();
    for (auto i = frame.base; i < members_.size(); ++i) keys_.try_emplace(members_[i].key, Position{});
    for (const auto& map : frame.merges)
      for (const auto& member : map.object())
        if (keys_.try_emplace(member.key, Position{}).second) members_.push_back(member);
  }

  bool refuse_repeated(std::size_t base) {
    const std::span<const Member> members(members_.data() + base, members_.size() - base);
    const auto repeated = [&](const Member& first, const Member& second) {
      return stop(second.at, "the key \"" + std::string(second.key) + "\" stands already in line " +
                                 std::to_string(first.at.line));
    };
    constexpr std::size_t kFew = 16;
    if (members.size() <= kFew) {
      for (std::size_t i = 1; i < members.size(); ++i)
        for (std::size_t j = 0; j < i; ++j)
          if (members[i].key == members[j].key) return repeated(members[j], members[i]);
      return true;
    }
    keys_.clear();
    for (const auto& member : members)
      if (const auto [first, fresh] = keys_.try_emplace(member.key, member.at); !fresh)
        return repeated({.key = member.key, .value = {}, .at = first->second}, member);
    return true;
  }

  Places places_;
  const StandIns& stand_ins_;
  Arena& arena_;
  std::size_t depth_;
  std::vector<Frame> frames_;
  std::vector<Value> values_;
  std::vector<Member> members_;
  std::unordered_map<std::string_view, Anchored> anchors_;
  std::unordered_map<std::string_view, Position> keys_;  // of the map at hand
  std::size_t made_ = 0, expanded_ = 0, documents_ = 0;
  Value root_;
  Complaint complaint_;
};

std::unexpected<Error> malformed(const Complaint& complaint) {
  return fail(kMalformedYaml, "line " + std::to_string(complaint.at.line) + ", column " +
                                  std::to_string(complaint.at.column) + ": " + complaint.message);
}

Position position_of(std::string_view text, std::size_t offset) {
  const auto before = text.substr(0, offset);
  const auto start = before.rfind('\n');
  return {static_cast<std::uint32_t>(1 + std::ranges::count(before, '\n')),
          static_cast<std::uint32_t>(before.size() - (start == before.npos ? 0 : start + 1) + 1)};
}

/// What libyaml says, as a person would say it, for the mistakes that people make.
struct Phrase {
  std::string_view problem, said;
  bool where_it_began = false;  ///< tell the place of what was being read, not of what ended it
};
constexpr std::string_view kMisplacedKey = "mapping values are not allowed in this context";
constexpr Phrase kPhrases[] = {
    {"could not find expected ':'", "':' is expected after this key", true},
    {kMisplacedKey, "a key may not stand here"},
    {"did not find expected key", "a key of the map is expected: is the line indented as those before it?"},
    {"did not find expected '-' indicator", "'-' is expected: is the line indented as those before it?"},
    {"did not find expected ',' or '}'", "',' or '}' is expected"},
    {"did not find expected ',' or ']'", "',' or ']' is expected"},
    {"did not find expected <document start>", "only one document may stand in a file"},
    {"found unexpected end of stream", "the quoted text does not end", true},
    {"found unexpected document indicator", "the quoted text does not end", true},
    {"found character that cannot start any token", "no value starts so: quote it if it is text"},
    {"found a tab character where an indentation space is expected", "a tab cannot indent: write spaces"},
    {"found a tab character that violates indentation", "a tab cannot indent: write spaces"},
    {"found unknown escape character", "this is no escape of YAML"},
    {"control characters are not allowed", "a control character must be escaped in double quotes"},
};

/// Why a key may not stand at a place: it is the second of its line, or the line before it reads on into this one.
std::string line_before(std::string_view text, const yaml_mark_t& mark) {
  std::vector<std::string_view> lines;  // as far as the place
  for (std::size_t begin = 0; lines.size() <= mark.line && begin <= text.size();) {
    const auto end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  const auto own = lines.empty() ? std::string_view{} : lines.back().substr(0, mark.column);
  for (auto i = own.contains(": ") ? 0 : lines.size() - 1; i-- > 0;) {
    const auto first = lines[i].find_first_not_of(" \t\r");
    if (first == std::string_view::npos || lines[i][first] == '#') continue;
    return ": line " + std::to_string(i + 1) + " before it is indented otherwise, or has no colon";
  }
  return "; quote a text in which \": \" stands";
}

Complaint complaint_of(const yaml_parser_t& parser, std::string_view text, Builder& builder) {
  const std::string_view problem = parser.problem ? parser.problem : "it cannot be read";
  const auto* const phrase = std::ranges::find(kPhrases, problem, &Phrase::problem);
  const bool known = phrase != std::end(kPhrases);
  std::string said(known ? phrase->said : problem);
  if (parser.error == YAML_READER_ERROR) return {position_of(text, parser.problem_offset), std::move(said)};
  if (problem == kMisplacedKey) said += line_before(text, parser.problem_mark);
  const bool began = known && phrase->where_it_began && parser.context;
  const auto& mark = began ? parser.context_mark : parser.problem_mark;
  const auto at = builder.position(mark);
  if (problem == "found character that cannot start any token") {
    Places places(text);
    if (const auto offset = places.offset(mark); offset < text.size() && text[offset] == '\t')
      said = "a tab cannot indent: write spaces";
  }
  return {at, std::move(said)};
}

struct Parser {
  yaml_parser_t parser;
  Parser(const Parser&) = delete;
  explicit Parser(std::string_view text) {
    if (!yaml_parser_initialize(&parser)) throw std::bad_alloc();
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  }
  ~Parser() { yaml_parser_delete(&parser); }
};

struct Event {
  yaml_event_t event{};
  Event() = default;
  Event(const Event&) = delete;
  ~Event() { yaml_event_delete(&event); }
};

Result<Value> read(std::string_view given, Arena& arena, std::size_t depth) {
  StandIns stand_ins;
  const auto text = stand_ins.hide(given);
  Parser parser(text);
  Builder builder(text, stand_ins, arena, depth);
  for (;;) {
    Event event;
    if (!yaml_parser_parse(&parser.parser, &event.event)) {
      if (parser.parser.error == YAML_MEMORY_ERROR) throw std::bad_alloc();
      return malformed(complaint_of(parser.parser, text, builder));
    }
    if (event.event.type == YAML_STREAM_END_EVENT) return builder.value();
    if (!builder.take(event.event)) return malformed(builder.complaint());
  }
}

/// A map in braces is JSON when its first key stands in quotes, or it has none.
bool is_json(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const auto first = text.find_first_not_of(kBlanks);
  if (first == text.npos || (text[first] != '{' && text[first] != '[')) return false;
  const auto second = text.find_first_not_of(kBlanks, first + 1);
  return text[first] == '[' || second == text.npos || text[second] == '"' || text[second] == '}';
}

}  // namespace

Result<Value> parse_yaml(std::string_view text, Arena& arena, const ParseLimits& limits) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (is_json(text)) return parse(text, arena, limits);
  if (!valid_utf8(text)) {
    std::size_t at = 0;
    while (const auto length = utf8_length(text.substr(at))) at += length;
    return malformed({position_of(text, at), "this is not UTF-8"});
  }
  return read(text, arena, std::min<std::size_t>(limits.depth, 200));
}

}  // namespace plimsoll::json
