#include "plimsoll/http/key_text.hpp"

#include "plimsoll/base/letters.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

namespace plimsoll {
namespace {

void put_count(std::string& key, char kind, std::size_t many) {
  put_part(key, kind, {reinterpret_cast<const char*>(&many), sizeof many});
}

}  // namespace

void put_part(std::string& key, char kind, std::string_view text) {
  const auto size = static_cast<std::uint32_t>(text.size());
  char head[1 + sizeof size] = {kind};
  std::memcpy(head + 1, &size, sizeof size);
  key.append(head, sizeof head).append(text);
}

void put_authority(std::string& key, char kind, std::string_view authority) {
  put_part(key, kind, authority);
  for (auto& c : std::span(key).last(authority.size())) c = lower(c);
}

void put_value(std::string& key, const json::Value* value) {
  if (!value) return put_part(key, '-', {});
  switch (value->type()) {
    case json::Type::string: return put_part(key, 's', value->string());
    case json::Type::number:
      // 1, 1.0 and 1e0 are one number; what is no integer keeps its text.
      if (auto integer = value->integer()) return put_part(key, 'i', std::to_string(*integer));
      return put_part(key, 'n', value->number_text());
    case json::Type::boolean: return put_part(key, value->boolean() ? 't' : 'f', {});
    case json::Type::null: return put_part(key, '0', {});
    case json::Type::array:
      put_count(key, '[', value->array().size());
      for (const auto& item : value->array()) put_value(key, &item);
      return;
    case json::Type::object:
      put_count(key, '{', value->object().size());
      for (const auto& member : value->object()) put_part(key, 'k', member.key), put_value(key, &member.value);
      return;
  }
}

void put_sorted(std::string& key, char kind, std::span<const std::string_view> words) {
  std::vector<std::string_view> all(words.begin(), words.end());
  std::ranges::sort(all);
  for (auto word : all) put_part(key, kind, word);
}

}  // namespace plimsoll
