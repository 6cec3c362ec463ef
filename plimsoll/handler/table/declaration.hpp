#pragma once

#include "plimsoll/config/options.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/database/relation.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::table {

using database::Kind;
using database::Operator;

/// What the server itself writes into a column.
enum class Filled : std::uint8_t { no, key, created, updated, owner, tenant };

/// A kind in words: `an integer`.
std::string_view name_of(Kind kind);

/// A property of the table's schema.
struct Column : database::Column {
  bool read_only = false;                         ///< clients cannot write it
  bool write_only = false;                        ///< never shown
  const contract::MarkedPlace* kept = nullptr;    ///< members of its JSON value that clients cannot write
  const contract::MarkedPlace* hidden = nullptr;  ///< members of its JSON value that are never shown
  Filled filled = Filled::no;
  const json::Value* schema = nullptr;         ///< as it is declared
  std::vector<const json::Value*> schemas{};   ///< all that declare it: each of them holds
  const json::Value* default_value = nullptr;  ///< where a client says nothing
  std::optional<std::int64_t> longest{};       ///< characters that `maxLength` admits; none: it does not say
  bool mistaken = false;                       ///< its `type` is none, which is refused where the schema is compiled
};

inline constexpr std::string_view kOperatorNames[] = {"eq", "ne", "lt", "le", "gt", "ge", "in", "like", "is-null"};

struct Filter {
  std::size_t column;
  std::vector<Operator> operators;
  bool has(Operator op) const {
    for (auto o : operators)
      if (o == op) return true;
    return false;
  }
};

/// Rows of another table shown inside: the one that `on` refers to, or the many that refer here `by` columns. There are
/// as many of them as the key that they hold has, in its order.
struct Embed {
  std::string name;
  std::string table;
  std::vector<std::string> on;  ///< columns of this table holding the other's key
  std::vector<std::string> by;  ///< columns of the other table holding this key
  std::int64_t limit = 100;
  std::string more;  ///< the member that says that there are more than `limit`: `items_has_more`
  bool many() const { return on.empty(); }
};

/// A file that each row may have: the columns that hold it. None of them but `type` and `file_name` can be a property
/// of the schema, where it is `readOnly`: rows then show it.
struct FileColumns {
  std::string name;
  Column bytes, digest, type;
  std::optional<Column> file_name;
  std::optional<Column> size;  ///< the bytes are in the folder of files, and `bytes` holds the name of theirs there
  bool in_folder() const { return size.has_value(); }
};

/// An index that a start has found, as far as rows can be read in the order of its columns.
struct PresentIndex {
  std::vector<std::size_t> columns{};
  std::vector<bool> descending{};  ///< of each of them
  bool ends_with_key = false;      ///< the key comes behind them, ascending
};

class OddRows;

/// An entry of `tables`, checked against its schema.
struct Table {
  std::string name;
  std::vector<Column> columns;
  std::vector<std::size_t> keys{};  ///< the columns that together name a row, in the order of the declaration
  bool key_from_client = false;     ///< the key may be sent, or a part of it; else the server makes it
  bool key_in_tenant = false;       ///< keys are unique within the tenant: two tenants may choose the same
  std::optional<std::size_t> owner, tenant;
  std::vector<std::string> owner_except;  ///< roles that see all owners' rows
  std::vector<Filter> filters;
  std::vector<std::size_t> sort;
  std::vector<std::size_t> search;
  std::vector<std::vector<std::size_t>> unique{};   ///< columns of which no two rows have the same values
  std::vector<std::vector<std::size_t>> indexes{};  ///< declared beside those that follow from filters and sorts
  std::vector<PresentIndex> present{};              ///< where the server chooses how rows are reached; else none
  bool numbered = false;                            ///< rows have numbers by which the database finds them
  bool counts_keys = false;  ///< a new key that the server makes is greater than all before, those of clients too
  std::vector<Embed> embeds;
  std::vector<FileColumns> files{};
  std::int64_t page_default = 50, page_max = 100;
  bool camel = false;
  bool require_match = false;
  const json::Value* schema = nullptr;
  const json::Value* at = nullptr;  ///< where it is declared
  std::string pointer;
  std::shared_ptr<OddRows> odd;  ///< counts rows with values that are not of their column's kind; null: nobody does
  std::shared_ptr<const contract::Marked> read_only, write_only;  ///< what `kept` and `hidden` of columns belong to

  std::optional<std::size_t> column(std::string_view name) const {
    for (std::size_t i = 0; i < columns.size(); ++i)
      if (columns[i].name == name) return i;
    return std::nullopt;
  }
  const Filter* filter(std::size_t column) const {
    for (auto& f : filters)
      if (f.column == column) return &f;
    return nullptr;
  }
  bool is_key(std::size_t column) const {
    for (auto key : keys)
      if (key == column) return true;
    return false;
  }
  /// Names of columns, with `between` between them.
  std::string names_of(const std::vector<std::size_t>& which, std::string_view between = ", ") const {
    std::string text;
    for (auto column : which) (text += text.empty() ? std::string_view{} : between) += columns[column].name;
    return text;
  }
  const FileColumns* file(std::string_view name) const {
    for (auto& one : files)
      if (one.name == name) return &one;
    return nullptr;
  }
  /// Whether JSON values of it hold members that clients cannot write.
  bool keeps_members() const {
    for (auto& c : columns)
      if (c.kept) return true;
    return false;
  }
};

/// A path template at which rows are read, and the column that each of its parameters is.
struct Location {
  std::string path;
  std::vector<std::size_t> columns;
};

/// Columns whose values are the key of a row of a table, in its order: `on` of an embed here, or `by` of one of the
/// other table. From that table's side: the table and columns that refer to it.
struct Reference {
  std::string table;
  std::vector<std::size_t> columns;
  friend bool operator==(const Reference&, const Reference&) = default;
};

/// All tables of a document. Refers to the document.
struct Model {
  std::vector<Table> tables{};
  std::map<std::string, std::size_t, std::less<>> places{};  ///< of the tables, by name
  /// By table, where an operation reads one row: of several the one with the fewest parameters.
  std::map<std::string, Location, std::less<>> locations{};
  /// By table, the columns that refer to others, and those of others that refer to it, as embeds say.
  std::map<std::string, std::vector<Reference>, std::less<>> references{}, referrers{};
  const Table* find(std::string_view name) const {
    const auto place = places.find(name);
    return place == places.end() ? nullptr : &tables[place->second];
  }
};

/// What is wrong with a declaration, before it is known in which file it stands.
struct Wrong {
  const json::Value* at;
  std::string pointer;
  std::string what, remedy;
};

/// What a table refers to, as embeds say: each table and its columns once.
const std::vector<Reference>& references(const Model& model, const Table& table);
/// The table whose key a column holds, or a part of it, and the column of that; null: none.
const Column* refers_to(const Model& model, const Table& table, std::size_t column);
/// All columns of tables that refer to this one.
const std::vector<Reference>& referrers(const Model& model, const Table& table);

/// Reads the references off the embeds: first `on`, then `by` of the other table, as the first is that of the foreign
/// key.
void note_references(Model& model);

/// Reads `x-plimsoll.tables` of a document whose references lead into itself.
Model read_model(const json::Value& root, std::vector<Wrong>& wrong);

/// Follows `$ref`s into the document.
const json::Value& follow(const json::Value& root, const json::Value& value);

/// The options of an entry, for the schema of the language and its documentation.
extern const std::span<const config::Field> kTableFields;
const void* table_defaults();

/// Words of the query string that mean something else than a filter.
inline constexpr std::string_view kReservedParameters[] = {"sort",   "limit", "cursor", "page",
                                                           "fields", "embed", "count",  "q"};

}  // namespace plimsoll::table
