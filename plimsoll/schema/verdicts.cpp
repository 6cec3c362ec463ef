#include "plimsoll/schema/verdicts.hpp"

#include <utility>

namespace plimsoll::schema {

// Addresses and places of schemas are not chosen by callers, so that a multiplication mixes them well enough.
std::size_t Verdicts::slot(std::uint64_t schema, const json::Value& instance) const {
  auto hash = (reinterpret_cast<std::uintptr_t>(&instance) >> 4) * 0x9E3779B97F4A7C15ull;
  hash = (hash ^ hash >> 32 ^ schema) * 0xD1342543DE82EF95ull;
  const auto mask = entries_.size() - 1;
  for (auto at = static_cast<std::size_t>(hash >> 32) & mask;; at = (at + 1) & mask) {
    const auto& entry = entries_[at];
    if (!entry.instance || (entry.instance == &instance && entry.schema == schema)) return at;
  }
}

std::uint32_t Verdicts::find(std::uint64_t schema, const json::Value& instance) const {
  if (entries_.empty()) return kUnknown;
  const auto& entry = entries_[slot(schema, instance)];
  return entry.instance ? entry.failures : kUnknown;
}

void Verdicts::add(std::uint64_t schema, const json::Value& instance, std::uint32_t failures) {
  if (size_ == kMost) return;
  if (2 * size_ >= entries_.size()) grow();
  auto& entry = entries_[slot(schema, instance)];
  if (!entry.instance) ++size_;
  entry = {schema, &instance, failures};
}

void Verdicts::grow() {
  const auto before = std::exchange(entries_, std::vector<Entry>(entries_.empty() ? 64 : 2 * entries_.size()));
  for (const auto& entry : before)
    if (entry.instance) entries_[slot(entry.schema, *entry.instance)] = entry;
}

}  // namespace plimsoll::schema
