#include "plimsoll/handler/upstream/learned_shape.hpp"

#include "plimsoll/base/percent.hpp"
#include "plimsoll/schema/format.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace plimsoll::handler::forwarding {
namespace {

constexpr int kDeepest = 12;
constexpr std::size_t kMostMembers = 128;       ///< then the object is a map
constexpr std::size_t kLongestName = 128;       ///< bytes; a longer one is a value
constexpr std::size_t kLongestFormatted = 256;  ///< bytes; a longer text has no format

struct Format {
  std::string_view name;
  bool (*is)(std::string_view);
};
constexpr Format kFormats[] = {
    {"date-time", schema::is_date_time}, {"date", schema::is_date}, {"uuid", schema::is_uuid},
    {"email", schema::is_email},         {"uri", schema::is_uri},
};

constexpr std::uint8_t bit(json::Type type) { return static_cast<std::uint8_t>(1u << static_cast<unsigned>(type)); }

}  // namespace

bool looks_like_value(std::string_view text) {
  if (text.empty() || text.size() > kLongestName) return true;
  std::size_t digits = 0, hexadecimal = 0;
  for (const char c : text) {
    digits += c >= '0' && c <= '9';
    hexadecimal += hex_value(c) >= 0;
    if (!is_unreserved(c) && c != '$' && c != ':' && c != '+') return true;
  }
  if (digits == text.size() || schema::is_uuid(text) || schema::is_date(text)) return true;
  if (hexadecimal == text.size() && text.size() >= 12 && digits > 0) return true;
  return digits >= 3 && (digits * 2 >= text.size() || text.size() >= 16);
}

void LearnedShape::take(const json::Value& value, std::size_t& left, int depth) {
  ++seen_;
  types_ |= bit(value.type());
  switch (value.type()) {
    case json::Type::number: fractions_ |= value.number_text().find_first_of(".eE") != std::string_view::npos; break;
    case json::Type::string: {
      const auto text = value.string();
      for (std::size_t i = 0; i < std::size(kFormats); ++i)
        if (formats_ & (1u << i) && (text.size() > kLongestFormatted || !kFormats[i].is(text)))
          formats_ = static_cast<std::uint8_t>(formats_ & ~(1u << i));
      break;
    }
    case json::Type::array:
      if (depth == kDeepest) return;
      for (const auto& item : value.array()) {
        if (!items_) {
          if (left == 0) return;
          --left;
          items_ = std::make_unique<LearnedShape>();
        }
        items_->take(item, left, depth + 1);
      }
      break;
    case json::Type::object: take_object(value, left, depth); break;
    default: break;
  }
}

void LearnedShape::take_object(const json::Value& value, std::size_t& left, int depth) {
  ++objects_;
  if (depth == kDeepest) return;
  for (const auto& member : value.object()) {
    const auto known = map_ ? members_.end() : members_.find(member.key);
    if (known != members_.end()) {
      known->second.take(member.value, left, depth + 1);
      continue;
    }
    if (!map_ && (members_.size() == kMostMembers || looks_like_value(member.key))) {
      map_ = true;
      if (!items_) items_ = std::make_unique<LearnedShape>();
      for (auto& each : members_) items_->merge(std::move(each.second));
      members_.clear();
    }
    if (map_) {
      items_->take(member.value, left, depth + 1);
    } else if (left > 0) {
      --left;
      members_[std::string(member.key)].take(member.value, left, depth + 1);
    }
  }
}

void LearnedShape::merge(LearnedShape&& other) {
  seen_ += other.seen_, objects_ += other.objects_;
  types_ |= other.types_;
  fractions_ |= other.fractions_;
  formats_ &= other.formats_;
  if (other.items_) {
    if (items_)
      items_->merge(std::move(*other.items_));
    else
      items_ = std::move(other.items_);
  }
  if (map_ != other.map_) {
    if (!items_) items_ = std::make_unique<LearnedShape>();
    auto& named = map_ ? other.members_ : members_;
    for (auto& each : named) items_->merge(std::move(each.second));
    named.clear();
    map_ = true;
    return;
  }
  for (auto& [name, shape] : other.members_) members_[name].merge(std::move(shape));
}

std::string LearnedShape::member_names() const {
  if (items_ && !map_) return "[" + items_->member_names() + "]";
  std::string all;
  for (const auto& each : members_) all += each.first + "\n";
  return all;
}

void LearnedShape::write(json::Writer& out, bool requires_members) const {
  constexpr std::pair<json::Type, std::string_view> kTypes[] = {
      {json::Type::object, "object"}, {json::Type::array, "array"},     {json::Type::string, "string"},
      {json::Type::number, "number"}, {json::Type::boolean, "boolean"}, {json::Type::null, "null"},
  };
  const auto name_of = [&](const auto& type) {
    return type.first == json::Type::number && !fractions_ ? std::string_view("integer") : type.second;
  };
  const auto has = [&](json::Type type) { return (types_ & bit(type)) != 0; };
  const auto count = std::ranges::count_if(kTypes, [&](const auto& type) { return has(type.first); });
  out.begin_object();
  if (types_ == bit(json::Type::null)) {  // what it is when it is there was not seen
    out.end_object();
    return;
  }
  if (count == 1) {
    for (const auto& type : kTypes)
      if (has(type.first)) out.key("type").string(name_of(type));
  } else if (count > 1) {
    out.key("type").begin_array();
    for (const auto& type : kTypes)
      if (has(type.first)) out.string(name_of(type));
    out.end_array();
  }
  if (has(json::Type::string))
    for (std::size_t i = 0; i < std::size(kFormats); ++i)
      if (formats_ & (1u << i)) {
        out.key("format").string(kFormats[i].name);
        break;
      }
  if (has(json::Type::object) && map_) {
    out.key("additionalProperties");
    items_->write(out, requires_members);
  } else if (has(json::Type::object) && !members_.empty()) {
    const auto always = [&](const LearnedShape& shape) { return shape.seen_ == objects_; };
    if (requires_members && std::ranges::any_of(members_, [&](const auto& each) { return always(each.second); })) {
      out.key("required").begin_array();
      for (const auto& [name, shape] : members_)
        if (always(shape)) out.string(name);
      out.end_array();
    }
    out.key("properties").begin_object();
    for (const auto& [name, shape] : members_) {
      out.key(name);
      shape.write(out, requires_members);
    }
    out.end_object();
  }
  if (has(json::Type::array) && items_ && !map_) {
    out.key("items");
    items_->write(out, requires_members);
  }
  out.end_object();
}

}  // namespace plimsoll::handler::forwarding
