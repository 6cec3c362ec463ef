#include "plimsoll/handler/mock/preference.hpp"

#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/prefer.hpp"

#include <charconv>
#include <utility>

namespace plimsoll::handler::mocking {

Preference read_preference(std::string_view field) {
  Preference wish;
  bool code_said = false, example_said = false, dynamic_said = false;
  const auto first = [](bool& said) { return !std::exchange(said, true); };
  for (http::PreferReader part{field}; part.next();) {
    const auto name = part.name, value = part.value;
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
