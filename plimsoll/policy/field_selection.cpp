#include "plimsoll/policy/field_selection.hpp"

#include <algorithm>

namespace plimsoll::policy {
namespace {

constexpr std::size_t kDepth = 8, kNames = 256;

class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  std::optional<std::vector<Selection>> all() {
    auto list = names(1);
    if (!list || !rest_.empty()) return std::nullopt;
    return list;
  }

 private:
  std::optional<std::vector<Selection>> names(std::size_t depth) {
    if (depth > kDepth) return std::nullopt;
    std::vector<Selection> list;
    for (;;) {
      const auto end = std::min(rest_.find_first_of(",()"), rest_.size());
      if (end == 0 || ++count_ > kNames) return std::nullopt;
      list.push_back({std::string(rest_.substr(0, end)), {}});
      rest_.remove_prefix(end);
      if (take('(')) {
        auto children = names(depth + 1);
        if (!children || !take(')')) return std::nullopt;
        list.back().children = std::move(*children);
      }
      if (!take(',')) return list;
    }
  }
  bool take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  std::string_view rest_;
  std::size_t count_ = 0;
};

void write(json::Writer& out, const json::Value& value, const std::vector<Selection>& selection) {
  if (value.is(json::Type::array)) {
    out.begin_array();
    for (const auto& item : value.array()) write(out, item, selection);
    out.end_array();
  } else if (value.is(json::Type::object) && !selection.empty()) {
    out.begin_object();
    for (const auto& member : value.object()) {
      const auto chosen = std::ranges::find(selection, member.key, &Selection::name);
      if (chosen == selection.end()) continue;
      out.key(member.key);
      write(out, member.value, chosen->children);
    }
    out.end_object();
  } else {
    out.value(value);
  }
}

}  // namespace

std::optional<std::vector<Selection>> parse_fields(std::string_view text) { return Reader{text}.all(); }

void write_selected(json::Writer& out, const json::Value& value, const std::vector<Selection>& selection) {
  const auto* data = value.find("data");
  if (!data || !data->is(json::Type::array)) return write(out, value, selection);
  out.begin_object();
  for (const auto& member : value.object()) {
    out.key(member.key);
    if (&member.value == data)
      write(out, member.value, selection);
    else
      out.value(member.value);
  }
  out.end_object();
}

}  // namespace plimsoll::policy
