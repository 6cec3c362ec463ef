#pragma once

#include "plimsoll/contract/contract.hpp"

#include <unordered_map>
#include <unordered_set>

namespace plimsoll::contract {

/// A contract as its author wrote it, without what the server adds to it; and with the targets of its references in
/// their place, as tools that resolve before they look see it. What several references lead to is made once and shared.
/// A reference that leads back to what it stands in stays one. A reference with more members beside it is replaced too,
/// and stands for itself.
class Resolved {
 public:
  enum class References : std::uint8_t { replaced, kept };
  Resolved(const Contract& contract, References references);

  json::Value& root() { return root_; }
  /// The value of the contract that this one, of root(), stands for; other values stand for themselves.
  const json::Value* origin(const json::Value* value) const {
    const auto found = origins_.find(value);
    return found == origins_.end() ? value : found->second;
  }

 private:
  struct Made {
    json::Value value;
    const json::Value* origin;
  };
  Made make(const json::Value& raw, int depth);
  bool is_written(const json::Value& raw) const { return raw.position().line || !positioned_; }

  static constexpr int kDeepest = 2'000;  ///< references further in stay as they are
  const Contract& contract_;
  References references_;
  bool positioned_;  ///< what was written has a position
  Arena arena_{64 * 1024};
  std::unordered_map<const json::Value*, json::Value> made_;
  std::unordered_set<const json::Value*> within_;  ///< what is being made
  std::unordered_map<const json::Value*, const json::Value*> origins_;
  json::Value root_;
};

}  // namespace plimsoll::contract
