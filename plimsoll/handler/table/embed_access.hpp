#pragma once

#include "plimsoll/base/result.hpp"
#include "plimsoll/exchange/principal.hpp"
#include "plimsoll/handler/table/selection.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace plimsoll::table {

/// Who may embed rows of a table: whoever may read it directly, as the contract's own GET operations on it say. One row
/// needs what reading or listing needs, many rows what listing needs (or reading, where nothing lists). A table that no
/// operation reads is shown by its embeds only: what the operation around them asks for is enough.
class EmbedAccess {
 public:
  /// One way in: an alternative of `security`, with the scopes and roles that `authorization` adds.
  struct Way {
    std::vector<std::string> schemes, scopes, roles;
    bool open() const { return schemes.empty() && scopes.empty() && roles.empty(); }
  };
  /// Reads the operations of a document whose references lead into itself.
  EmbedAccess(const json::Value& root, const Model& model);

  /// Refuses (403) what the caller may not read directly, at any depth of a selection. `assured`: schemes by which
  /// every caller of the operation is known.
  Result<> check(const Selection& selection, const Principal* caller, const std::vector<std::string>& assured) const;
  /// The ways to an embed; empty: nothing more is needed.
  const std::vector<Way>& ways(const Embed& embed) const;
  /// What an embed needs, as words for the contract: `` `payments:read` ``; empty: nothing more. `known`: nobody is let
  /// in whom no scheme knows, so that this goes without saying.
  std::string words(const Embed& embed, bool known = false) const;
  /// Whether what an embed of the table shows, at any depth, depends on who calls.
  bool depends(const Model& model, const Table& table, int depth = 0) const;

 private:
  std::map<std::string, std::vector<Way>, std::less<>> one_, many_;
};

/// That of the contract in force; made before any operation is built.
struct EmbedAccessInForce {
  std::shared_ptr<const EmbedAccess> access;
};

}  // namespace plimsoll::table
