#include "plimsoll/json/pointer.hpp"

#include <charconv>

namespace plimsoll::json {
namespace {

const Value* item(const Value& array, std::string_view token) {
  if (token.empty() || (token.size() > 1 && token.front() == '0')) return nullptr;
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), index);
  if (error != std::errc{} || end != token.data() + token.size() || index >= array.array().size()) return nullptr;
  return &array.array()[index];
}

const Value* step(const Value& from, std::string_view token) {
  if (from.is(Type::array)) return item(from, token);
  if (!token.contains('~')) return from.find(token);
  const auto name = unescape_token(token);
  return name ? from.find(*name) : nullptr;
}

}  // namespace

const Value* resolve(const Value& root, std::string_view pointer) {
  const Value* at = &root;
  while (at && !pointer.empty()) {
    if (pointer.front() != '/') return nullptr;
    pointer.remove_prefix(1);
    const auto token = pointer.substr(0, pointer.find('/'));
    at = step(*at, token);
    pointer.remove_prefix(token.size());
  }
  return at;
}

Value* resolve(Value& root, std::string_view pointer) {
  return const_cast<Value*>(resolve(static_cast<const Value&>(root), pointer));
}

void append_token(std::string& pointer, std::string_view name) {
  pointer += '/';
  for (const char c : name) {
    if (c == '~')
      pointer += "~0";
    else if (c == '/')
      pointer += "~1";
    else
      pointer += c;
  }
}

void append_token(std::string& pointer, std::size_t index) {
  pointer += '/';
  pointer += std::to_string(index);
}

std::optional<std::string> unescape_token(std::string_view token) {
  std::string name;
  for (std::size_t i = 0; i < token.size(); ++i) {
    if (token[i] != '~') {
      name += token[i];
      continue;
    }
    if (++i == token.size() || (token[i] != '0' && token[i] != '1')) return std::nullopt;
    name += token[i] == '0' ? '~' : '/';
  }
  return name;
}

}  // namespace plimsoll::json
