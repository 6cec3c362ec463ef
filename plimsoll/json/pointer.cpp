#include "plimsoll/json/pointer.hpp"

#include "plimsoll/base/hash.hpp"

#include <bit>
#include <charconv>
#include <cstdint>
#include <iterator>
#include <span>
#include <vector>

namespace plimsoll::json {
namespace {

const Value* item(const Value& array, std::string_view token) {
  if (token.empty() || (token.size() > 1 && token.front() == '0')) return nullptr;
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), index);
  if (error != std::errc{} || end != token.data() + token.size() || index >= array.array().size()) return nullptr;
  return &array.array()[index];
}

/// The members of large objects by name: the references of a document lead through the same few, each reference once
/// through all their members otherwise. A thread keeps an index of those it has seen last. It only says where to look:
/// the name there is compared, so that an object that has changed since costs time and nothing else.
class LargeObjects {
 public:
  static constexpr std::size_t kLarge = 64;

  const Value* find(const Value& object, std::string_view name) {
    const auto members = object.object();
    auto& index = of(members);
    const auto mask = index.slots.size() - 1;
    for (auto at = hash64(name) & mask; index.slots[at] != 0; at = (at + 1) & mask)
      if (const auto& member = members[index.slots[at] - 1]; member.key == name) return &member.value;
    return object.find(name);
  }

 private:
  struct Index {
    const Member* members = nullptr;
    std::size_t size = 0;
    std::vector<std::uint32_t> slots{};  ///< open addressing: a member's place + 1
  };
  Index& of(std::span<const Member> members) {
    for (auto& index : kept_)
      if (index.members == members.data() && index.size == members.size()) return index;
    auto& index = kept_[next_++ % std::size(kept_)];
    index = {members.data(), members.size(), std::vector<std::uint32_t>(std::bit_ceil(2 * members.size()))};
    const auto mask = index.slots.size() - 1;
    for (std::uint32_t i = 0; i < members.size(); ++i) {
      auto at = hash64(members[i].key) & mask;
      while (index.slots[at] != 0) at = (at + 1) & mask;
      index.slots[at] = i + 1;
    }
    return index;
  }
  Index kept_[4];
  std::size_t next_ = 0;
};

const Value* named(const Value& object, std::string_view name) {
  if (object.object().size() < LargeObjects::kLarge) return object.find(name);
  static thread_local LargeObjects large;
  return large.find(object, name);
}

const Value* step(const Value& from, std::string_view token) {
  if (from.is(Type::array)) return item(from, token);
  if (!token.contains('~')) return named(from, token);
  const auto name = unescape_token(token);
  return name ? named(from, *name) : nullptr;
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

void append_told_token(std::string& pointer, std::string_view name) {
  constexpr std::size_t kLongest = 1'000;
  append_token(pointer, name.size() > kLongest ? "…" : name);
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
