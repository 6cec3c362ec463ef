#include "plimsoll/handler/mock/preference.hpp"

#include "plimsoll/http/characters.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace plimsoll::handler::mocking {

Preference read_preference(std::string_view field) {
  Preference wish;
  bool code_said = false, example_said = false, dynamic_said = false;
  const auto first = [](bool& said) { return !std::exchange(said, true); };
  const auto trim = [](std::string_view text) {
    while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
    while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
    return text;
  };
  while (!field.empty()) {
    bool quoted = false;
    std::size_t end = 0;
    for (; end < field.size() && (quoted || (field[end] != ',' && field[end] != ';')); ++end)
      if (field[end] == '"') quoted = !quoted;
    const auto part = trim(field.substr(0, end));
    field.remove_prefix(std::min(end + 1, field.size()));
    const auto equals = part.find('=');
    const auto name = trim(part.substr(0, equals));
    auto value = equals == part.npos ? std::string_view{} : trim(part.substr(equals + 1));
    if (value.size() >= 2 && value.starts_with('"') && value.ends_with('"')) value = value.substr(1, value.size() - 2);
    if (same_as_lower(name, "code") && first(code_said)) {
      std::uint16_t code = 0;
      const auto [stop, error] = std::from_chars(value.data(), value.data() + value.size(), code);
      if (error == std::errc{} && stop == value.data() + value.size() && code >= 200 && code < 600) wish.code = code;
    } else if (same_as_lower(name, "example") && first(example_said)) {
      wish.example = value;
    } else if (same_as_lower(name, "dynamic") && first(dynamic_said)) {
      wish.dynamic = value.empty() || value == "true";
    }
  }
  return wish;
}

}  // namespace plimsoll::handler::mocking
