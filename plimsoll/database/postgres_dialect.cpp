#include "plimsoll/database/postgres_dialect.hpp"

#include "plimsoll/json/write.hpp"

#include <algorithm>

namespace plimsoll::database {
namespace {

constexpr std::size_t kUsual = 480;  ///< bytes of a SELECT without embeds

void append_column(std::string& out, const Column& column, std::string_view alias) {
  if (!alias.empty()) (out += alias) += '.';
  append_quoted(out, column.name);
}
std::string column_of(const Column& column, std::string_view alias) {
  std::string text;
  append_column(text, column, alias);
  return text;
}

std::string_view type_of(const Column& column) {
  if (!column.type.empty()) return column.type;
  return column.uuid ? "uuid" : postgres_type(column);
}
bool is_json(std::string_view type) { return type == "json" || type == "jsonb"; }

/// A parameter that is compared with a column or stored in it. Integers and texts are not given the exact type of the
/// column, so that a value which it cannot hold is compared instead of refused.
void append_parameter(std::string& out, const Column& column) {
  const auto type = type_of(column);
  if (type == "timestamp without time zone") {
    out += "(?::timestamptz AT TIME ZONE 'UTC')";
    return;
  }
  out += "?::";
  if (column.kind == Kind::integer)
    out += "bigint";
  else if (column.type.empty() && column.kind == Kind::text && !column.uuid)
    out += "text";
  else if (type == "character varying" || type == "name" || type == "text COLLATE \"C\"")
    out += "text";
  else if (type == "character")
    out += "bpchar";
  else
    out += type;
}

/// Collects ` WHERE a AND b AND …`.
class And {
 public:
  explicit And(Statement& out) : out_(out) {}
  std::string& next() {
    out_.sql += before_;
    before_ = " AND ";
    return out_.sql;
  }

 private:
  Statement& out_;
  std::string_view before_ = " WHERE ";
};

/// A list of a number of parameters from a short list, so that few statements differ by it; the last value is repeated.
void append_list(Statement& out, const Column& column, std::span<const Cell> values) {
  std::size_t room = 1;
  while (room < values.size()) room *= 2;
  for (std::size_t i = 0; i < room; ++i) {
    if (i) out.sql += ',';
    append_parameter(out.sql, column);
    out.cells.push_back(values[std::min(i, values.size() - 1)]);
  }
}

/// The same text as the caller's name. A type that converts what it is given (`uuid`, `citext`) is asked twice: by an
/// index, and byte by byte.
void append_exact(Statement& out, const Column& column, const Cell& value, std::string_view alias) {
  append_column(out.sql, column, alias);
  append_parameter(out.sql += '=', column);
  out.cells.push_back(value);
  const auto type = type_of(column);
  if (column.kind == Kind::integer || column.type.empty() || type == "text" || type == "character varying") return;
  append_column(out.sql += " AND ", column, alias);
  out.sql += "::text=?::text";
  out.cells.push_back(value);
}

void append_condition(Statement& out, const Condition& condition, std::string_view alias) {
  const auto& column = *condition.column;
  if (condition.op == Operator::is_null || (condition.op == Operator::eq && condition.values[0].index() == 0)) {
    append_column(out.sql, column, alias);
    out.sql += condition.negated ? " IS NOT NULL" : " IS NULL";
    return;
  }
  if (condition.exact) return append_exact(out, column, condition.values[0], alias);
  append_column(out.sql, column, alias);
  switch (condition.op) {
    case Operator::eq: out.sql += '='; break;
    case Operator::ne: out.sql += " IS DISTINCT FROM "; break;
    case Operator::lt: out.sql += '<'; break;
    case Operator::le: out.sql += "<="; break;
    case Operator::gt: out.sql += '>'; break;
    case Operator::ge: out.sql += ">="; break;
    case Operator::is_null: return;
    case Operator::like:
      // The collation C ignores the case of ASCII letters and of no others.
      out.sql += "::text COLLATE \"C\" ILIKE ?::text ESCAPE '\\'";
      out.cells.push_back(condition.values[0]);
      return;
    case Operator::in:
      out.sql += " IN (";
      append_list(out, column, condition.values);
      out.sql += ')';
      return;
  }
  append_parameter(out.sql, column);
  out.cells.push_back(condition.values[0]);
}

void append_conditions(And& where, Statement& out, std::span<const Condition> conditions, std::string_view alias) {
  for (auto& condition : conditions) {
    where.next();
    append_condition(out, condition, alias);
  }
}

/// A text in SQL. Backslashes are themselves.
std::string literal(std::string_view text) {
  std::string made = "'";
  for (char c : text) {
    made += c;
    if (c == '\'') made += c;
  }
  return made + "'";
}

/// An instant as RFC 3339 in UTC, without zeros at the end of a fraction.
std::string instant_text(const std::string& name, bool zoned) {
  return "rtrim(rtrim(to_char(" + name + (zoned ? " AT TIME ZONE 'UTC'" : "") +
         ",'YYYY-MM-DD\"T\"HH24:MI:SS.US'),'0'),'.')||'Z'";
}

/// A column inside an embed, as JSON text; never NULL.
std::string inner_value(const Column& column, std::string_view alias) {
  const auto name = column_of(column, alias);
  const auto type = type_of(column);
  const auto finite = [&](std::string_view between) {
    return "CASE WHEN " + name + ">'-Infinity' AND " + name + "<'Infinity' THEN " + std::string(between) + name +
           "::text" + std::string(between.empty() ? "" : "||'\"'") + " ELSE 'null' END";
  };
  switch (column.kind) {
    case Kind::integer: return "coalesce(" + name + "::text,'null')";
    case Kind::boolean: return "CASE " + name + " WHEN true THEN 'true' WHEN false THEN 'false' ELSE 'null' END";
    case Kind::real:
    case Kind::number: return finite("");
    case Kind::decimal: return finite("'\"'||");
    case Kind::json: return "coalesce(" + name + "::text,'null')";
    case Kind::instant:
      return "coalesce('\"'||" + instant_text(name, type != "timestamp without time zone") + "||'\"','null')";
    case Kind::text: return "coalesce(to_json(" + name + "::text)::text,'null')";
  }
  return "'null'";
}

/// Joins texts and expressions to one text.
class Joined {
 public:
  void text(std::string_view more) { text_ += more; }
  void expression(std::string_view more) {
    flush();
    (sql_ += sql_.empty() ? "" : "||") += more;
  }
  std::string take() {
    flush();
    return std::move(sql_);
  }

 private:
  void flush() {
    if (text_.empty()) return;
    (sql_ += sql_.empty() ? "" : "||") += literal(text_);
    text_.clear();
  }
  std::string sql_, text_;
};

/// `"name":`
std::string member(std::string_view name) {
  std::string made;
  json::append_string(made, name);
  return made + ":";
}

/// Writes what is selected; embeds are correlated subqueries that give one JSON text each.
class Columns {
 public:
  explicit Columns(std::vector<Cell>& cells) : cells_(cells) {}

  void append(std::string& out, std::span<const Column* const> columns, std::span<const Embedded> embeds,
              std::string_view alias) {
    std::string_view before;
    for (const auto* column : columns) {
      append_column(out += before, *column, alias);
      before = ",";
    }
    for (auto& embedded : embeds) {
      (out += before) += rows(embedded, alias);
      before = ",";
      if (embedded.many()) (out += before) += "(SELECT 1" + beyond(embedded, alias) + ")";
    }
  }

 private:
  /// ` FROM … WHERE …`; what is selected before it has its parameters first.
  std::string from(const Embedded& embed, std::string_view inside, std::string_view alias) {
    Statement out;
    append_quoted(out.sql += " FROM ", embed.of.name);
    (out.sql += ' ') += inside;
    And where{out};
    append_column(where.next(), *embed.inside, inside);
    append_column(out.sql += '=', *embed.outside, alias);
    append_conditions(where, out, embed.where, inside);
    if (embed.none) where.next() += "false";
    std::ranges::move(out.cells, std::back_inserter(cells_));
    return std::move(out.sql);
  }
  /// The rows behind those that are shown.
  std::string beyond(const Embedded& embed, std::string_view alias) {
    const auto inside = next_alias();
    auto made = from(embed, inside, alias) + " LIMIT 1 OFFSET ?";
    cells_.emplace_back(embed.limit);
    return made;
  }
  /// One JSON text: an object, null, or an array.
  std::string rows(const Embedded& embed, std::string_view alias) {
    const auto inside = next_alias();
    auto row = object(embed, inside);
    if (!embed.many()) return "coalesce((SELECT " + row + from(embed, inside, alias) + "),'null')";
    auto made = "(SELECT '['||coalesce(string_agg(" + inside + ".row,','),'')||']' FROM (SELECT " + row + " AS row" +
                from(embed, inside, alias) + " ORDER BY " + column_of(*embed.of.key, inside) + " LIMIT ?) " + inside +
                ")";
    cells_.emplace_back(embed.limit);
    return made;
  }
  /// Members that may be absent bring their commas; that of the first member is cut off where it is not known which it
  /// is.
  std::string object(const Embedded& row, const std::string& alias) {
    const bool unsure = !row.columns.empty() && row.columns.front()->absent_when_null();
    Joined made, rest;
    auto& members = unsure ? rest : made;
    if (!unsure) made.text("{");
    std::string_view comma = unsure ? "," : "";
    for (const auto* column : row.columns) {
      const auto value = inner_value(*column, alias);
      if (column->absent_when_null()) {
        members.expression("CASE WHEN " + column_of(*column, alias) + " IS NULL THEN '' ELSE " +
                           literal(std::string(comma) + member(column->name)) + "||" + value + " END");
      } else {
        members.text(comma);
        members.text(member(column->name));
        members.expression(value);
      }
      comma = ",";
    }
    for (auto& embed : row.embeds) {
      members.text(comma);
      comma = ",";
      members.text(member(embed.name));
      members.expression(rows(embed, alias));
      if (embed.many())
        members.expression("CASE WHEN EXISTS(SELECT 1" + beyond(embed, alias) + ") THEN " +
                           literal("," + member(embed.more) + "true") + " ELSE '' END");
    }
    if (!unsure) {
      made.text("}");
      return made.take();
    }
    return "'{'||substr(" + rest.take() + ",2)||'}'";
  }
  std::string next_alias() { return "e" + std::to_string(++aliases_); }

  std::vector<Cell>& cells_;
  int aliases_ = 0;
};

void append_bound(Statement& out, const Bound& bound, std::string_view alias) {
  using enum Bound::Beyond;
  append_column(out.sql, *bound.column, alias);
  switch (bound.beyond) {
    case equal:
      if (bound.value->index() == 0) {
        out.sql += " IS NULL";
        return;
      }
      out.sql += '=';
      break;
    case less: out.sql += '<'; break;
    case greater: out.sql += '>'; break;
    case null: out.sql += " IS NULL"; return;
    case not_null: out.sql += " IS NOT NULL"; return;
  }
  append_parameter(out.sql, *bound.column);
  out.cells.push_back(*bound.value);
}

/// The columns in which all rows are equal are named too: PostgreSQL passes over those that are equal to a value, and
/// reads those that are NULL in the order of an index only where they are named.
void append_order(std::string& sql, const Select& rows, std::string_view alias) {
  using enum Order::Nulls;
  std::string_view before = " ORDER BY ";
  for (std::size_t i = 0; i < rows.order.size() && rows.fixed < rows.order.size(); ++i) {
    const auto& by = rows.order[i];
    append_column(sql += before, *by.column, alias);
    if (by.descending) sql += " DESC";
    before = ",";
    if (i < rows.fixed) continue;
    if (by.nulls == first && !by.descending) sql += " NULLS FIRST";
    if (by.nulls == last && by.descending) sql += " NULLS LAST";
  }
}

void append_returning(std::string& sql, std::span<const Column* const> columns) {
  std::string_view before = " RETURNING ";
  for (const auto* column : columns) {
    append_column(sql += before, *column, {});
    before = ",";
  }
}

/// A word for to_tsquery.
void append_word(std::string& out, std::string_view word, bool beginning) {
  out += '\'';
  for (char c : word) {
    out += c;
    if (c == '\'' || c == '\\') out += c;
  }
  out += beginning ? "':*" : "'";
}

}  // namespace

std::string_view postgres_type(const Column& column) {
  switch (column.kind) {
    case Kind::integer: return "bigint";
    case Kind::boolean: return "boolean";
    case Kind::real: return "double precision";
    case Kind::decimal:
    case Kind::number: return "numeric";
    case Kind::instant: return "timestamp with time zone";
    case Kind::json: return "json";  // `jsonb` would change the order of members
    case Kind::text: break;
  }
  return column.format == "uuid" && !column.verbatim ? "uuid" : "text COLLATE \"C\"";
}

std::string postgres_words(std::span<const Column* const> columns, std::string_view alias) {
  std::string text;
  for (const auto* column : columns)
    text += (text.empty() ? "coalesce(" : "||' '||coalesce(") + column_of(*column, alias) + "::text,'')";
  return "to_tsvector('simple'::regconfig," + text + ")";
}

Statement PostgresDialect::select(const Select& rows) const {
  constexpr std::string_view kAlias = "t";
  Statement out;
  out.sql.reserve(kUsual);
  out.sql += "SELECT ";
  if (rows.count) {
    out.sql += "count(*)";
  } else {
    Columns{out.cells}.append(out.sql, rows.columns, rows.embeds, kAlias);
    bool any = !rows.columns.empty() || !rows.embeds.empty();
    for (const auto* column : rows.places) {
      if (any) out.sql += ',';
      append_column(out.sql, *column, kAlias);
      any = true;
    }
    if (rows.odd)
      out.sql += any ? ",0" : "0";
    else if (!any)
      out.sql += '1';
  }
  append_quoted(out.sql += " FROM ", rows.from.name);
  (out.sql += ' ') += kAlias;
  And where{out};
  append_conditions(where, out, rows.where, kAlias);
  if (rows.search) {
    where.next() += postgres_words(rows.search->columns, kAlias) + " @@ to_tsquery('simple',?::text)";
    out.cells.emplace_back(*rows.search->words);
  }
  for (auto& bound : rows.bounds) {
    where.next();
    append_bound(out, bound, kAlias);
  }
  append_order(out.sql, rows, kAlias);
  if (rows.limit) {
    out.sql += " LIMIT ?";
    out.cells.emplace_back(*rows.limit);
  }
  if (rows.offset > 0) {
    out.sql += " OFFSET ?";
    out.cells.emplace_back(rows.offset);
  }
  return out;
}

Statement PostgresDialect::insert(const Insert& row) const {
  Statement out{"INSERT INTO " + quoted(row.into.name), {}};
  if (row.values.empty()) {
    out.sql += " DEFAULT VALUES";
  } else {
    std::string places;
    for (auto& value : row.values) {
      append_quoted(out.sql += out.cells.empty() ? "(" : ",", value.column->name);
      if (!out.cells.empty()) places += ',';
      append_parameter(places, *value.column);
      out.cells.push_back(*value.value);
    }
    ((out.sql += ") VALUES(") += places) += ')';
  }
  append_returning(out.sql, row.returning);
  return out;
}

Statement PostgresDialect::update(const Update& rows) const {
  Statement out{"UPDATE " + quoted(rows.of.name), {}};
  for (auto& value : rows.values) {
    append_quoted(out.sql += out.cells.empty() ? " SET " : ",", value.column->name);
    append_parameter(out.sql += '=', *value.column);
    out.cells.push_back(*value.value);
  }
  And where{out};
  append_conditions(where, out, rows.where, {});
  append_returning(out.sql, rows.returning);
  return out;
}

Statement PostgresDialect::remove(const Delete& rows) const {
  Statement out{"DELETE FROM " + quoted(rows.from.name), {}};
  And where{out};
  append_conditions(where, out, rows.where, {});
  out.sql += " RETURNING 1";
  return out;
}

std::string PostgresDialect::search_words(std::string_view typed) const {
  std::string made;
  while (!typed.empty()) {
    const auto start = typed.find_first_not_of(" \t\r\n");
    if (start == typed.npos) break;
    typed.remove_prefix(start);
    auto word = typed.substr(0, typed.find_first_of(" \t\r\n"));
    typed.remove_prefix(word.size());
    const bool beginning = word.size() > 1 && word.ends_with('*');
    if (beginning) word.remove_suffix(1);
    if (word.find('\0') != word.npos) return {};
    if (!made.empty()) made += " & ";
    append_word(made, word, beginning);
  }
  return made;
}

Violation PostgresDialect::violation_of(const Error& error) const {
  using enum Violation::What;
  const auto cause = error.more_ ? std::string_view(error.more_->cause) : std::string_view{};
  if (cause.starts_with("postgres 23514")) return {.what = check};
  return {.what = cause.starts_with("postgres 23503") ? reference : other};
}

const PostgresDialect& postgres_dialect() {
  static constexpr PostgresDialect dialect;
  return dialect;
}

}  // namespace plimsoll::database
