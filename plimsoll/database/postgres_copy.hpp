#pragma once

#include "plimsoll/database/postgres_value.hpp"
#include "plimsoll/database/row_copier.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::database {

/// Asks for each column of a table, by its quoted name, what `PostgresCopyText::of` must know. No rows: there is
/// something at the table that COPY passes by or refuses (triggers, rules, row-level security for this role), or it is
/// no table.
inline constexpr std::string_view kCopiedColumns =
    "SELECT a.attname::text,b.oid::bigint,(CASE t.typtype WHEN 'd' THEN t.typtypmod ELSE a.atttypmod END)::bigint,"
    "a.atthasdef OR t.typdefault IS NOT NULL,"
    "a.attgenerated<>'' OR a.attidentity<>'' OR pg_get_serial_sequence(?1::text,a.attname::text) IS NOT NULL,"
    "a.attgenerated='' AND (a.attidentity<>'' OR coalesce(pg_get_expr(d.adbin,d.adrelid) LIKE 'nextval(%',false)) AND "
    "EXISTS(SELECT 1 FROM pg_sequence s WHERE s.seqmin>0 AND "
    "s.seqrelid=pg_get_serial_sequence(?1::text,a.attname::text)::regclass) "
    "FROM pg_class c JOIN pg_attribute a ON a.attrelid=c.oid JOIN pg_type t ON t.oid=a.atttypid "
    "JOIN pg_type b ON b.oid=CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END "
    "LEFT JOIN pg_attrdef d ON d.adrelid=a.attrelid AND d.adnum=a.attnum "
    "WHERE c.oid=to_regclass(?1::text) AND c.relkind IN ('r','p') AND a.attnum>0 AND NOT a.attisdropped AND "
    "NOT c.relhasrules AND NOT row_security_active(c.oid) AND NOT EXISTS(SELECT 1 FROM pg_trigger g "
    "WHERE NOT g.tgisinternal AND g.tgenabled<>'D' AND g.tgtype&4<>0 AND (g.tgrelid=c.oid OR g.tgrelid IN "
    "(SELECT p.relid FROM pg_partition_tree(c.oid) p))) AND NOT EXISTS(SELECT 1 FROM pg_partition_tree(c.oid) p "
    "JOIN pg_class f ON f.oid=p.relid WHERE f.relkind='f')";

/// Rows in the text format of COPY (PostgreSQL documentation, COPY, File Formats), as values that come out of the table
/// as they go in.
class PostgresCopyText {
 public:
  /// `catalogue`: what `kCopiedColumns` gave. Nothing: rows of this table have to be inserted.
  static std::optional<PostgresCopyText> of(const CopiedRows& rows, const Rows& catalogue);
  /// `COPY … FROM STDIN`.
  const std::string& sql() const { return sql_; }
  /// As RowCopier::append.
  bool append(std::string& rows, std::span<const Cell* const> values) const;

 private:
  struct Place {
    PostgresType type{};
    bool plain = false;  ///< the type gives back what it is given
    bool fills = false;  ///< has a default
    bool verbatim = false;
    bool counted = false;  ///< by the database; it is not among the columns that are copied
  };
  static bool append_value(std::string& rows, const Place& place, const Cell& value);
  std::string sql_;
  std::vector<Place> places_;
};

}  // namespace plimsoll::database
