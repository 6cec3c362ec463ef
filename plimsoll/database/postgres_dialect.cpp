#include "plimsoll/database/postgres_dialect.hpp"

#include "plimsoll/database/postgres_error.hpp"
#include "plimsoll/database/renderer.hpp"
#include "plimsoll/json/write.hpp"

#include <algorithm>
#include <utility>

namespace plimsoll::database {
namespace {

std::string_view type_of(const Column& column) {
  if (!column.type.empty()) return column.type;
  return column.uuid ? "uuid" : postgres_type(column);
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
    case Kind::bytes: return "'null'";  // not in rows
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

/// How many rows there are in each row with these embeds, itself included, as far as their limits say.
std::int64_t most_inside(std::span<const Embedded> embeds) {
  constexpr std::int64_t kMany = std::int64_t{1} << 40;
  std::int64_t most = 1;
  for (auto& embed : embeds) {
    const auto inside = most_inside(embed.embeds);
    const auto times = embed.many() ? std::clamp<std::int64_t>(embed.limit, 0, kMany) : 1;
    most = times > kMany / inside ? kMany : std::min(kMany, most + times * inside);
  }
  return most;
}

/// Whether a statement counts the rows that it makes: there could be more than it may give.
bool counts(const Select& rows) {
  if (!rows.most || rows.embeds.empty() || rows.count || rows.odd) return false;
  return std::max<std::int64_t>(rows.limit.value_or(1), 1) > *rows.most / most_inside(rows.embeds);
}

/// A condition, always true, that takes a number of rows off those which the statement may still give. They are in a
/// setting of the transaction that the statement is: nothing else of PostgreSQL changes while a statement runs. Where
/// they do not suffice the setting is no number, and the statement ends with that.
constexpr std::string_view kLeft = "'plimsoll.rows'";
std::string spend(std::string_view rows) {
  return "set_config(" + std::string(kLeft) + ",replace((current_setting(" + std::string(kLeft) + ")::bigint-" +
         std::string(rows) + ")::text,'-'," + literal(kMoreThanAllowed) + "),true)::bigint";
}
/// Sets it before the first row is looked for: a subquery that is the same for all rows.
std::string may_spend() { return "(SELECT set_config(" + std::string(kLeft) + ",?::bigint::text,true)) IS NOT NULL"; }

/// Writes what is selected; embeds are correlated subqueries that give one JSON text each.
class Columns {
 public:
  /// `most`: what the statement may give, where it counts the rows.
  Columns(const Renderer& renderer, std::vector<Cell>& cells, std::optional<std::int64_t> most = {})
      : renderer_(renderer), cells_(cells), most_(most) {}

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
    renderer_.append_inside(where, out, embed, inside, alias);
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
    if (!embed.many())
      return "coalesce((SELECT " + counted("1", std::move(row)) + from(embed, inside, alias) + "),'null')";
    auto made = "(SELECT " + counted("count(*)", "'['||coalesce(string_agg(" + inside + ".row,','),'')||']'") +
                " FROM (SELECT " + row + " AS row" + from(embed, inside, alias) + " ORDER BY ";
    append_columns(made, embed.of.key, inside);
    made += " LIMIT ?) " + inside + ")";
    cells_.emplace_back(most_ && *most_ < embed.limit ? *most_ + 1 : embed.limit);
    return made;
  }
  /// `text`, for which so many rows are taken off.
  std::string counted(std::string_view rows, std::string text) const {
    return most_ ? "CASE WHEN " + spend(rows) + ">=0 THEN " + text + " END" : text;
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

  const Renderer& renderer_;
  std::vector<Cell>& cells_;
  std::optional<std::int64_t> most_;
  int aliases_ = 0;
};

/// Characters of ASCII that are neither letters, digits nor blanks.
constexpr std::string_view kMarks = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

class PostgresRenderer final : public Renderer {
 public:
  /// Embeds are made for the rows that are given, and for none that an offset passes over or an order puts behind
  /// them: the rows are selected first, where the embeds of others would cost time or be counted.
  Statement select_embeds(const Select& rows) const {
    const bool counted = counts(rows);
    Statement out{"SELECT ", {}};
    Columns{*this, out.cells, counted ? rows.most : std::nullopt}.append(out.sql, rows.columns, rows.embeds, kAlias);
    for (const auto* column : rows.places) append_column(out.sql += ',', *column, kAlias);
    if (counted) (out.sql += ',') += spend("1");
    std::vector<const Column*> needed;
    const auto need = [&](std::span<const Column* const> columns) {
      for (const auto* column : columns)
        if (std::ranges::find(needed, column->name, &Column::name) == needed.end()) needed.push_back(column);
    };
    need(rows.columns);
    need(rows.places);
    for (auto& embed : rows.embeds) need(embed.outside);
    out.sql += " FROM (SELECT ";
    append_columns(out.sql, needed, kAlias);
    if (counted) {
      out.counted = out.cells.size();
      out.cells.emplace_back(*rows.most);
    }
    append_rows(out, rows, counted ? may_spend() : std::string{});
    (out.sql += ") ") += kAlias;
    return out;
  }

 private:
  void append_length(std::string& out, const std::string& bytes) const override {
    out += "octet_length(" + bytes + ")";
  }
  void append_digest(std::string& out, const std::string& bytes) const override {
    out += "encode(sha256(" + bytes + "),'hex')";
  }
  void append_piece(Statement& out, const SelectFile& file, std::string_view alias) const override {
    out.sql += "substring(" + column_of(*file.bytes, alias) + " FROM ?::int+1 FOR ?::int)";
    out.cells.emplace_back(file.piece->offset);
    out.cells.emplace_back(file.piece->length);
  }
  /// A parameter that is compared with a column or stored in it. Integers and texts are not given the exact type of the
  /// column, so that a value which it cannot hold is compared instead of refused.
  void append_parameter(std::string& out, const Column& column) const override {
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
  /// The same text as the caller's name. A type that converts what it is given (`uuid`, `citext`), and a collation that
  /// takes other texts for equal, are asked twice: by an index, and byte by byte.
  void append_exact(Statement& out, const Column& column, const Cell& value, std::string_view alias) const {
    append_column(out.sql, column, alias);
    append_parameter(out.sql += '=', column);
    out.cells.push_back(value);
    const auto type = type_of(column);
    const bool plain = !column.folds && (type == "text" || type == "character varying");
    if (column.kind == Kind::integer || column.type.empty() || plain) return;
    append_column(out.sql += " AND ", column, alias);
    out.sql += "::text COLLATE \"C\"=?::text";
    out.cells.push_back(value);
  }
  void append_condition(Statement& out, const Condition& condition, std::string_view alias) const override {
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
  void append_selected(Statement& out, const Select& rows, std::string_view alias) const override {
    Columns{*this, out.cells}.append(out.sql, rows.columns, rows.embeds, alias);
  }
  void append_search(And& where, Statement& out, const Select& rows, std::string_view alias) const override {
    where.next() += postgres_words(rows.search->columns, alias) + " @@ to_tsquery('simple',?::text)";
    out.cells.emplace_back(*rows.search->words);
  }
  /// The columns in which all rows are equal are named too: PostgreSQL passes over those that are equal to a value, and
  /// reads those that are NULL in the order of an index only where they are named.
  void append_order(std::string& sql, const Select& rows, std::string_view alias) const override {
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
  /// A number that is chosen moves the sequence behind it, as SQLite does: else it would be counted once more. (Another
  /// one that is counted at this very moment may still be the same; then that row is refused.)
  void append_new_key(std::string& places, Statement& out, const Insert& row, const Cell& key) const override {
    const auto& column = *row.into.key.front();
    if (column.kind != Kind::integer) return Renderer::append_new_key(places, out, row, key);
    const auto sequence =
        "pg_get_serial_sequence(" + literal(quoted(row.into.name)) + "," + literal(column.name) + ")::regclass";
    places += "coalesce(CASE WHEN has_sequence_privilege(" + sequence + ",'USAGE') AND has_sequence_privilege(" +
              sequence + ",'UPDATE') THEN CASE WHEN ?::bigint>coalesce(pg_sequence_last_value(" + sequence +
              "),0) THEN setval(" + sequence + ",?::bigint) END END,?::bigint)";
    out.cells.insert(out.cells.end(), 3, key);
  }
  /// As UPDATE does that changes no key: rows that refer to these can still be stored.
  void append_lock(std::string& sql) const override { sql += " FOR NO KEY UPDATE"; }
  void append_returning(std::string& sql, std::span<const Column* const> columns) const override {
    std::string_view before = " RETURNING ";
    for (const auto* column : columns) {
      append_column(sql += before, *column, {});
      before = ",";
    }
  }
  /// A word such as `a/b` is its parts, one behind the other; only the last may be a beginning.
  void append_word(std::string& made, std::string_view word, bool beginning) const override {
    if (!made.empty()) made += " & ";
    if (word.find_first_not_of(kMarks) == word.npos) {
      made += "'-'";  // no word: PostgreSQL passes over it
      return;
    }
    std::string_view before = "('";
    while (!word.empty()) {  // quotes and backslashes are marks
      const auto part = word.substr(0, word.find_first_of(kMarks));
      word.remove_prefix(std::min(part.size() + 1, word.size()));
      if (!part.empty()) (made += std::exchange(before, "' <-> '")) += part;
    }
    made += beginning ? "':*)" : "')";
  }
};
constexpr PostgresRenderer kRenderer;

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
    case Kind::bytes: return "bytea";
    case Kind::text: break;
  }
  return column.format == "uuid" && !column.verbatim ? "uuid" : "text COLLATE \"C\"";
}

std::string postgres_words(std::span<const Column* const> columns, std::string_view alias) {
  std::string text;
  for (const auto* column : columns)
    text += (text.empty() ? "coalesce(" : "||' '||coalesce(") + column_of(*column, alias) + "::text,'')";
  // Marks part words, as on SQLite; PostgreSQL's own reading makes one word of a path, a host or an address.
  // The columns may have several collations, of which a regular expression takes none.
  return "to_tsvector('simple'::regconfig,regexp_replace((" + text + R"() COLLATE "C",'[!-/:-@[-`{-~]+',' ','g')))";
}

Statement PostgresDialect::select(const Select& rows) const {
  const bool passes_over = rows.offset > 0 && !rows.embeds.empty() && !rows.count && !rows.odd;
  return passes_over || counts(rows) ? kRenderer.select_embeds(rows) : kRenderer.select(rows);
}
Statement PostgresDialect::select_file(const SelectFile& file) const { return kRenderer.select_file(file); }
Statement PostgresDialect::insert(const Insert& row) const { return kRenderer.insert(row); }
Statement PostgresDialect::update(const Update& rows) const { return kRenderer.update(rows); }
Statement PostgresDialect::remove(const Delete& rows) const { return kRenderer.remove(rows); }
std::string PostgresDialect::search_words(std::string_view typed) const { return kRenderer.search_words(typed); }

/// As postgres_error.cpp writes the cause: `postgres 23514 orders_total_check: …`.
Violation PostgresDialect::violation_of(const Error& error) const {
  using enum Violation::What;
  const auto state = sqlstate_of(error);
  if (state.empty()) return {};
  const auto cause = std::string_view(error.more_->cause).substr(error.more_->cause.find(state) + state.size());
  Violation made{.what = state == "23514" ? check : state == "23503" ? reference : state == "42501" ? policy : other};
  if (cause.starts_with(' ')) made.rule = std::string(cause.substr(1, cause.find(": ") - 1));
  // The name of the type is the same in every language.
  if (state == kTooLong) made.what = cause.find("tsvector") != cause.npos ? words : length;
  if (made.what == policy && error.problem != &kConstraint) made.what = other;  // of the table, not of a row
  return made;
}

const PostgresDialect& postgres_dialect() {
  static constexpr PostgresDialect dialect;
  return dialect;
}

}  // namespace plimsoll::database
