#pragma once

#include "plimsoll/database/database.hpp"

#include <cstdint>
#include <string>
#include <vector>

/// All tables of a database that other programs have made, for a contract that is written from them (`plimsoll init
/// --from`). What the server asks of the tables that a contract names is Dialect::find_table.
namespace plimsoll::database {

struct CatalogueColumn {
  std::string name;
  std::string declared;  ///< its type as the database shows it
  std::string type;      ///< without length and precision; of a domain the type below
  std::string comment{};
  char category = '\0';  ///< PostgreSQL: pg_type.typcategory
  bool not_null = false;
  bool filled = false;               ///< the database fills it where nothing is sent
  bool generated = false;            ///< and takes no other value
  bool counted = false;              ///< by a sequence
  std::int64_t length = 0;           ///< the most characters; 0: any number
  std::vector<std::string> words{};  ///< of an enumeration
};

struct CatalogueReference {
  std::string table;
  std::vector<std::string> from, to;
};

struct CatalogueTable {
  enum class What : std::uint8_t { table, view, materialized_view, foreign_table };
  std::string schema{};  ///< PostgreSQL
  std::string name;
  What what = What::table;
  std::string comment{};
  bool visible = true;   ///< found by its name alone
  bool readable = true;  ///< by the role that asks
  bool writable = true;
  bool guarded = false;  ///< a policy of the server keeps its rows apart
  std::string broken{};  ///< why the database itself cannot read it; empty: it can
  std::vector<CatalogueColumn> columns{};
  std::vector<std::string> primary{};               ///< columns of the primary key
  std::vector<std::vector<std::string>> unique{};   ///< further columns of which no two rows are equal
  std::vector<std::vector<std::string>> indexes{};  ///< in whose order rows can be read, by columns
  std::vector<CatalogueReference> references{};

  bool view() const { return what == What::view || what == What::materialized_view; }
  const CatalogueColumn* column(std::string_view named) const {
    for (const auto& each : columns)
      if (each.name == named) return &each;
    return nullptr;
  }
};

/// Tables and views by name, those of the server itself left out. The session is of a database of the kind that the
/// function names.
Task<Result<std::vector<CatalogueTable>>> read_postgres_catalogue(Session& session);
Task<Result<std::vector<CatalogueTable>>> read_sqlite_catalogue(Session& session);

/// What the values of a column are in JSON: the type of a schema (`any`: all of them) and its format; no type where
/// they cannot be served.
struct ColumnSchema {
  std::string_view type, format;
};
ColumnSchema postgres_schema_of(const CatalogueColumn& column);
/// By the words that SQLite itself looks for in a type, and those that programs write.
ColumnSchema sqlite_schema_of(const CatalogueColumn& column);

}  // namespace plimsoll::database
