#include "plimsoll/http/field_block.hpp"

#include <algorithm>

namespace plimsoll {

bool FieldBlock::add(std::string_view name, std::string_view value) {
  const bool lower_case = std::ranges::none_of(name, [](char c) { return c >= 'A' && c <= 'Z'; });
  if (!is_token(name) || !lower_case || is_framing(name)) return false;
  if (find_control(value.data(), 0, value.size()) != value.size()) return false;

  std::vector<char> lines;
  lines.reserve(lines_.size() + name.size() + value.size() + 4);
  std::vector<Header> fields;
  const auto put = [&](std::string_view text) {
    const auto at = lines.size();
    lines.insert(lines.end(), text.begin(), text.end());
    return std::string_view{lines.data() + at, text.size()};
  };
  const auto field = [&](const Header& from) {
    put("\r\n");
    const auto its_name = put(from.name);
    put(": ");
    fields.push_back({its_name, put(from.value)});
  };
  for (const auto& each : fields_) field(each);
  field({name, value});
  lines_ = std::move(lines);  // which keeps its memory, and so the views
  fields_ = std::move(fields);
  marks_ |= Headers::mark(name);
  return true;
}

}  // namespace plimsoll
