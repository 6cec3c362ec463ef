#include "plimsoll/handler/table/change.hpp"

#include "plimsoll/base/hash.hpp"
#include "plimsoll/base/timestamp.hpp"
#include "plimsoll/base/uuid.hpp"
#include "plimsoll/handler/table/operation.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/pointer.hpp"
#include "plimsoll/json/write.hpp"

#include <algorithm>
#include <unordered_map>

namespace plimsoll::table {
namespace {

using database::Cell;
using json::Type;
using json::Value;

/// Reads a body into a Change, gathering all that is wrong.
class Reader {
 public:
  Reader(const Table& table, const ChangeBy& by) : table_(table), by_(by) {
    change_.cells.resize(table.columns.size());
  }

  bool open(const Value& body) {
    if (body.is(Type::object)) return true;
    complain({}, "type", "must be an object");
    return false;
  }
  void members(const Value& body, bool creating, bool merging) {
    for (auto& member : body.object()) {
      const auto index = table_.column(member.key);
      if (!index) {
        complain(member.key, "additionalProperties", "the table has no such column");
        continue;
      }
      const auto& column = table_.columns[*index];
      if (!creating && table_.is_key(*index)) {
        said_keys_.emplace_back(*index, &member.value);
      } else if (column.filled == Filled::owner || column.filled == Filled::tenant) {
        said_caller(*index, member.value);
      } else if (!column.read_only) {
        if (merging && column.kind == Kind::json && member.value.is(Type::object)) change_.merged.push_back(*index);
        put(*index, member.value, merging);
        auto& cell = change_.cells[*index];
        if (creating && column.kept && cell) cell = keep_members(column, *cell, Cell{});
      }
    }
  }
  /// The path wins over nothing: a body that says otherwise is an error.
  void fixed() {
    for (auto& condition : by_.fixed) {
      auto& cell = change_.cells[condition.column];
      if (cell && *cell != condition.values[0])
        complain(table_.columns[condition.column].name, "const", "is not what the path says");
      cell = condition.values[0];
    }
  }
  void fill(bool creating) {
    for (std::size_t i = 0; i < table_.columns.size(); ++i) {
      const auto& column = table_.columns[i];
      auto& cell = change_.cells[i];
      switch (column.filled) {
        case Filled::key:
          if (creating && !cell && column.kind == Kind::text) cell = Cell{uuid7(by_.wall).to_string()};
          break;
        case Filled::created:
          if (creating) cell = time_cell(column, rfc3339(by_.wall));
          break;
        case Filled::updated: cell = time_cell(column, rfc3339(by_.wall)); break;
        case Filled::owner:
          if (creating && !cell) cell = own(column, by_.caller->subject, "subject");
          break;
        case Filled::tenant:
          if (creating) cell = own(column, by_.caller->tenant, "tenant");
          break;
        case Filled::no: break;
      }
    }
  }
  /// What a whole row must have: defaults, and what is required.
  void complete(bool creating) {
    for (std::size_t i = 0; i < table_.columns.size(); ++i) {
      const auto& column = table_.columns[i];
      auto& cell = change_.cells[i];
      if (cell || (!creating && (column.read_only || column.filled != Filled::no))) continue;
      if (complained(i)) continue;
      if (column.default_value && (column.nullable || !column.default_value->is(Type::null)))
        put(i, *column.default_value, false);
      else if (column.required && column.filled == Filled::no && !column.read_only)
        complain(column.name, "required", "is required");
      else if (!creating)
        cell = Cell{};
    }
  }
  /// A new row must have an address, and a place where a page can end.
  void addressable() {
    std::size_t size = 0;
    for (auto index : table_.keys) {
      const auto& cell = change_.cells[index];
      const auto* text = cell ? std::get_if<std::string>(&*cell) : nullptr;
      if (!text) continue;
      if (!is_segment(*text))
        complain(table_.columns[index].name, "pattern",
                 text->empty() ? "must not be empty: it stands in the address of the row"
                               : "must not be \".\" or \"..\": clients take these out of the address of the row");
      else if ((size += text->size()) > CursorKey::kLongestKey)
        complain(table_.columns[index].name, "maxLength",
                 "must have at most " + std::to_string(CursorKey::kLongestKey) + " bytes" +
                     (table_.keys.size() > 1 ? " with the other columns of the key" : "") +
                     ": it stands in the address of the row");
    }
  }
  /// One that takes the last number would leave none for the rows of others.
  void countable() {
    if (!table_.counts_keys) return;
    const auto& cell = change_.cells[table_.keys.front()];
    if (const auto* number = cell ? std::get_if<std::int64_t>(&*cell) : nullptr; number && *number > kLargestChosenKey)
      complain(table_.columns[table_.keys.front()].name, "maximum",
               "must be at most " + std::to_string(kLargestChosenKey) + ": keys that the server makes are greater");
  }
  /// A key that is sent along must be that of the path.
  void same_key() {
    for (auto& [index, value] : said_keys_) {
      const auto named = std::ranges::find(by_.fixed, index, &Condition::column);
      if (named == by_.fixed.end()) continue;
      const auto said = to_cell(table_.columns[index], *value);
      if (!said || *said != named->values[0])
        complain(table_.columns[index].name, "const", "the key of a row does not change");
    }
  }
  Result<Change> take() {
    if (errors_.empty()) return std::move(change_);
    return std::unexpected(wrong_fields(kInvalidRow, std::move(errors_)));
  }

 private:
  void complain(std::string_view name, std::string_view keyword, std::string message) {
    if (errors_.size() >= 64) return;
    std::string pointer{by_.prefix};
    if (!name.empty()) json::append_told_token(pointer, name);
    errors_.push_back({"body", std::move(pointer), std::string(keyword), std::move(message)});
  }
  bool complained(std::size_t index) const {
    std::string pointer{by_.prefix};
    json::append_token(pointer, table_.columns[index].name);
    return std::ranges::any_of(errors_, [&](auto& error) { return error.pointer == pointer; });
  }
  /// Null in a merge patch takes the member away (RFC 7396), which is no question of the member's type.
  void put(std::size_t index, const Value& value, bool merging) {
    const auto& column = table_.columns[index];
    if (value.is(Type::null) && (merging ? column.required : !column.nullable)) {
      complain(column.name, merging ? "required" : "type", "must not be null");
      return;
    }
    auto cell = value.is(Type::null) ? std::expected<Cell, Misfit>{Cell{}} : to_cell(column, value);
    if (cell)
      change_.cells[index] = std::move(*cell);
    else
      complain(column.name, cell.error().keyword, cell.error().sentence);
  }
  /// Nobody makes rows for others, or gives them away, unless the table excepts the caller.
  void said_caller(std::size_t index, const Value& value) {
    const auto& column = table_.columns[index];
    const bool owner = column.filled == Filled::owner;
    if (owner && by_.caller->sees_all_owners(table_)) return put(index, value, false);
    const auto said = to_cell(column, value);
    const auto own = caller_cell(column, owner ? by_.caller->subject : by_.caller->tenant);
    if (!said || !own || *said != *own)
      complain(column.name, "const", owner ? "must be yourself" : "must be your tenant");
  }
  /// The caller's `what` as the column holds it.
  std::optional<Cell> own(const Column& column, std::string_view caller, std::string_view what) {
    auto cell = caller_cell(column, caller);
    if (!cell)
      complain(column.name, "const",
               caller.empty() ? "you have no " + std::string(what) + ": your token or key names none"
                              : "your " + std::string(what) + " is no value of this column, which holds " +
                                    std::string(column.kind == Kind::integer ? "integers" : "other texts"));
    return cell;
  }

  const Table& table_;
  const ChangeBy& by_;
  Change change_;
  std::vector<std::pair<std::size_t, const Value*>> said_keys_;
  std::vector<FieldError> errors_;
};

/// Members of a patch by name, found in time that does not grow with their number.
class PatchMembers {
 public:
  explicit PatchMembers(std::span<const json::Member> members) : members_(members) {
    if (members.size() <= kFew) return;
    by_name_.reserve(members.size());
    for (std::size_t i = 0; i < members.size(); ++i) by_name_.insert_or_assign(members[i].key, i);
  }
  /// The last of that name, or the number of members.
  std::size_t find(std::string_view name) const {
    if (members_.size() > kFew) {
      const auto found = by_name_.find(name);
      return found == by_name_.end() ? members_.size() : found->second;
    }
    for (auto i = members_.size(); i-- > 0;)
      if (members_[i].key == name) return i;
    return members_.size();
  }

 private:
  static constexpr std::size_t kFew = 8;
  std::span<const json::Member> members_;
  std::unordered_map<std::string_view, std::size_t, Hash64> by_name_;
};

/// RFC 7396, section 2; `target` null: there is no object. What both have is looked up once, so the time is that of
/// reading both: the only writer waits for it.
Value merged(const Value* target, const Value& patch, Arena& arena) {
  const auto changes = patch.object();
  const PatchMembers by_name{changes};
  const auto there = target ? target->object() : std::span<const json::Member>{};
  auto* members = arena.array<json::Member>(there.size() + changes.size());
  std::size_t size = 0;
  std::vector<bool> used(changes.size());
  const auto apply = [&](std::string_view key, const Value* old, const Value& change) {
    if (change.is(Type::null)) return;
    auto& made = members[size++];
    made.key = key;
    made.value = change.is(Type::object) ? merged(old && old->is(Type::object) ? old : nullptr, change, arena) : change;
  };
  for (auto& member : there) {
    const auto change = by_name.find(member.key);
    if (change == changes.size()) {
      members[size++] = member;
    } else {
      used[change] = true;
      apply(member.key, &member.value, changes[change].value);
    }
  }
  for (std::size_t i = 0; i < changes.size(); ++i)
    if (!used[i] && by_name.find(changes[i].key) == i) apply(changes[i].key, nullptr, changes[i].value);
  return Value::object({members, size});
}

}  // namespace

Result<Change> new_row(const Table& table, const Value& body, const ChangeBy& by) {
  Reader reader{table, by};
  if (reader.open(body)) {
    reader.members(body, true, false);
    reader.fixed();
    reader.fill(true);
    reader.complete(true);
    reader.addressable();
    reader.countable();
  }
  return reader.take();
}

Result<Change> merge_patch(const Table& table, const Value& body, const ChangeBy& by) {
  Reader reader{table, by};
  if (reader.open(body)) {
    reader.members(body, false, true);
    reader.same_key();
    reader.fixed();
    reader.fill(false);
  }
  return reader.take();
}

Result<Change> replacement(const Table& table, const Value& body, const ChangeBy& by) {
  Reader reader{table, by};
  if (reader.open(body)) {
    reader.members(body, false, false);
    reader.same_key();
    reader.fixed();
    reader.complete(false);
    reader.fill(false);
  }
  return reader.take();
}

std::string merged_json(std::string_view current, std::string_view patch) {
  Arena arena{1024};
  auto target = json::parse(current, arena);
  auto change = json::parse(patch, arena);
  if (!change) return std::string(current);
  const auto made = merged(target && target->is(Type::object) ? &*target : nullptr, *change, arena);
  return json::to_string(made);
}

Cell keep_members(const Column& column, const Cell& wanted, const Cell& current, contract::Misfit misfit) {
  if (!column.kept) return wanted;
  Arena arena{4096};
  const auto read = [&](const Cell& cell) -> std::optional<Value> {
    const auto* text = std::get_if<std::string>(&cell);
    auto value = text ? json::parse(*text, arena) : Result<Value>(Value{});
    return text && value ? std::optional(*value) : std::nullopt;
  };
  const auto sent = read(wanted), stored = read(current);
  const auto kept =
      contract::keep_marked(*column.kept, sent ? &*sent : nullptr, stored ? &*stored : nullptr, arena, misfit);
  return kept ? Cell{json::to_string(*kept)} : Cell{};
}

}  // namespace plimsoll::table
