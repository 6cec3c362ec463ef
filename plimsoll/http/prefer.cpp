#include "plimsoll/http/prefer.hpp"

#include "plimsoll/http/characters.hpp"

#include <algorithm>
#include <utility>

namespace plimsoll::http {

bool PreferReader::next() {
  if (rest_.empty()) return false;
  bool quoted = false;
  std::size_t end = 0;
  for (; end < rest_.size() && (quoted || (rest_[end] != ',' && rest_[end] != ';')); ++end)
    if (rest_[end] == '"') quoted = !quoted;
  parameter = std::exchange(semicolon_, end < rest_.size() && rest_[end] == ';');
  const auto part = rest_.substr(0, end);
  rest_.remove_prefix(std::min(end + 1, rest_.size()));
  const auto equals = part.find('=');
  name = trimmed(part.substr(0, equals));
  value = equals == part.npos ? std::string_view{} : trimmed(part.substr(equals + 1));
  if (value.size() >= 2 && value.starts_with('"') && value.ends_with('"')) value = value.substr(1, value.size() - 2);
  return true;
}

bool prefers(std::string_view field, std::string_view name, std::string_view value) {
  for (PreferReader reader{field}; reader.next();)
    if (!reader.parameter && same_as_lower(reader.name, name)) return reader.value == value;
  return false;
}

}  // namespace plimsoll::http
