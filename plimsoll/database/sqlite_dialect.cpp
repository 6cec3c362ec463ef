#include "plimsoll/database/sqlite_dialect.hpp"

#include "plimsoll/database/renderer.hpp"

#include <algorithm>

namespace plimsoll::database {
namespace {

/// Whether FTS5 knows the rows by their keys.
bool is_numbered(const Relation& table) {
  return table.key.size() == 1 && table.key[0]->kind == Kind::integer && !table.tenant;
}

/// A column at the top: written as JSON by ourselves, so only whole JSON values need care.
void append_plain(std::string& out, const Column& column, std::string_view alias) {
  if (column.kind != Kind::json || column.foreign) return append_column(out, column, alias);
  const auto name = column_of(column, alias);
  // NULL stays NULL. (In RETURNING of a table without rowid SQLite 3.40 takes `IS NOT NULL` for true.)
  out += "iif(json_valid(" + name + ")," + name + ",nullif(json_quote(" + name + "),'null'))";
}

/// A column inside an embed, where it may hold what other programs stored: as it is shown at the top. (json_quote
/// refuses blobs.)
std::string foreign_value(Kind kind, const std::string& name) {
  const auto text = "json_quote(CAST(" + name + " AS TEXT))";
  const auto is = [&](std::string_view types) { return "typeof(" + name + ") IN (" + std::string(types) + ")"; };
  const auto real = "plimsoll_real(" + name + ")";
  const auto endless = is("'real'") + " AND abs(" + name + ")>1.7976931348623157e308";
  const auto number = "CASE typeof(" + name + ") WHEN 'null' THEN 'null' WHEN 'integer' THEN CAST(" + name +
                      " AS TEXT) WHEN 'real' THEN " + real + " ELSE " + text + " END";
  switch (kind) {
    case Kind::boolean:
      return "json(CASE WHEN " + name + " IS 1 THEN 'true' WHEN " + name + " IS 0 THEN 'false' ELSE " + number +
             " END)";
    case Kind::integer:
    case Kind::real: return "json(" + number + ")";
    case Kind::json:
      return "json(CASE WHEN " + is("'text'") + " AND json_valid(" + name + ") THEN " + name + " ELSE " + number +
             " END)";
    case Kind::instant: return "plimsoll_instant(" + name + ")";
    case Kind::bytes:  // not in rows
    case Kind::text:
    case Kind::decimal: return "iif(" + endless + ",NULL,plimsoll_decimal(" + name + "))";
    case Kind::number:
      return "json(CASE WHEN " + is("'integer','real'") + " THEN iif(" + endless + ",'null',plimsoll_decimal(" + name +
             ")) WHEN json_valid(" + name + ") AND " + is("'text'") + " THEN " + name + " ELSE " + number + " END)";
  }
  return "CAST(" + name + " AS TEXT)";
}

/// A column inside an embed: an argument of json_object.
std::string inner_value(const Column& column, std::string_view alias) {
  const auto name = column_of(column, alias);
  if (column.foreign) return foreign_value(column.kind, name);
  switch (column.kind) {
    case Kind::boolean: return "json(iif(" + name + " IS NULL,'null',iif(" + name + ",'true','false')))";
    case Kind::json: return "json(iif(json_valid(" + name + ")," + name + ",json_quote(" + name + ")))";
    case Kind::number: return "json(iif(json_valid(" + name + ")," + name + ",json_quote(" + name + ")))";
    // json_object writes doubles with 15 digits, and SQLite's printf rounds large and small ones wrongly at 17.
    case Kind::real: return "json(plimsoll_real(" + name + "))";
    case Kind::integer: return name;
    default: return "CAST(" + name + " AS TEXT)";
  }
}

/// Writes what is selected; embeds are correlated subqueries that give one JSON text each.
class Columns {
 public:
  Columns(const Renderer& renderer, Statement& out) : renderer_(renderer), out_(out) {}

  void append(std::span<const Column* const> columns, std::span<const Embedded> embeds, std::string_view alias) {
    std::string_view before;
    for (const auto* column : columns) {
      append_plain(out_.sql += before, *column, alias);
      before = ",";
    }
    for (auto& embedded : embeds) {
      out_.sql += before;
      append_embed(embedded, alias);
      before = ",";
      if (!embedded.many()) continue;
      out_.sql += before;
      append_more(embedded, alias);
    }
  }

 private:
  /// The name under which an embed's text is selected beside the columns of its row.
  static std::string name_beside(const Embedded& around, const Embedded& embed, const std::string& what = "embed ") {
    auto name = what + std::string(embed.name);
    while (std::ranges::any_of(around.columns, [&](auto* column) { return column->name == name; })) name += '_';
    return quoted(name);
  }
  /// The rows are selected first, with their own embeds as columns, and made JSON around that: so what is embedded
  /// stands in a FROM instead of an argument, and SQLite's parser, whose stack is 100 deep, reads six levels of it.
  /// Each row goes through `plimsoll_row(s)`, which counts it against the budget of the exchange.
  void append_embed(const Embedded& embed, std::string_view alias) {
    const auto inside = "e" + std::to_string(++aliases_);
    ++level_;
    out_.sql += embed.many() ? "(SELECT plimsoll_rows(" : "(SELECT plimsoll_row(";
    out_.sql += std::to_string(level_) + ",";
    append_object(embed, inside);
    out_.sql += ") FROM (SELECT ";
    std::string_view before;
    for (const auto* column : embed.columns) {
      append_column(out_.sql += before, *column, inside);
      before = ",";
    }
    for (auto& deeper : embed.embeds) {
      out_.sql += before;
      append_embed(deeper, inside);
      out_.sql += " AS " + name_beside(embed, deeper);
      before = ",";
      if (!deeper.many()) continue;
      out_.sql += before;
      append_more(deeper, inside);
      out_.sql += " AS " + name_beside(embed, deeper, "more ");
    }
    if (before.empty()) out_.sql += "1";
    append_from(embed, inside, alias);
    if (embed.many()) {
      out_.sql += " ORDER BY ";
      append_columns(out_.sql, embed.of.key, inside);
      out_.sql += " LIMIT ?";
      out_.cells.push_back(embed.limit);
    }
    out_.sql += ") " + inside + ")";
    --level_;
  }
  /// 1 where there are more rows than are shown, else NULL.
  void append_more(const Embedded& embed, std::string_view alias) {
    const auto inside = "e" + std::to_string(++aliases_);
    out_.sql += "(SELECT 1";
    append_from(embed, inside, alias);
    out_.sql += " LIMIT 1 OFFSET ?)";
    out_.cells.push_back(embed.limit);
  }
  void append_from(const Embedded& embed, std::string_view inside, std::string_view alias) {
    append_quoted(out_.sql += " FROM ", embed.of.name);
    (out_.sql += ' ') += inside;
    And where{out_};
    renderer_.append_inside(where, out_, embed, inside, alias);
    if (embed.none) where.next() += '0';
  }
  /// json_object takes at most 63 pairs (127 arguments), and leaves none out: rows that are wider, or have columns that
  /// may be absent, are joined as text.
  void append_object(const Embedded& row, const std::string& alias) {
    constexpr std::size_t kPairs = 60;
    const auto total = row.columns.size() + row.embeds.size();
    const bool joined = total > kPairs || std::ranges::any_of(row.columns, &Column::absent_when_null) ||
                        std::ranges::any_of(row.embeds, &Embedded::many);
    if (joined) return append_joined(row, alias);
    std::string_view before = "json_object(";
    for (const auto* column : row.columns) {
      ((((out_.sql += before) += literal(column->name)) += ',') += inner_value(*column, alias));
      before = ",";
    }
    for (auto& embedded : row.embeds) {
      (((out_.sql += before) += literal(embedded.name)) += ",json(") += alias + "." + name_beside(row, embedded) + ")";
      before = ",";
    }
    out_.sql += total ? ")" : "json_object()";
  }
  /// Every member brings its comma; that of the first is cut off.
  void append_joined(const Embedded& row, const std::string& alias) {
    out_.sql += "'{'||substr(''";
    for (const auto* column : row.columns) {
      const auto member =
          "','||json_quote(" + literal(column->name) + ")||':'||json_quote(" + inner_value(*column, alias) + ")";
      out_.sql +=
          "||" +
          (column->absent_when_null() ? "iif(" + column_of(*column, alias) + " IS NULL,''," + member + ")" : member);
    }
    for (auto& embed : row.embeds) {
      out_.sql += "||','||json_quote(" + literal(embed.name) + ")||':'||coalesce(" + alias + "." +
                  name_beside(row, embed) + ",'null')";
      if (embed.many())
        out_.sql += "||iif(" + alias + "." + name_beside(row, embed, "more ") + " IS NULL,'',','||json_quote(" +
                    literal(embed.more) + ")||':true')";
    }
    out_.sql += ",2)||'}'";
  }

  const Renderer& renderer_;
  Statement& out_;
  int aliases_ = 0, level_ = 0;
};

class SqliteRenderer final : public Renderer {
 public:
  /// The numbers of the rows of a page are found first, by the path that is said: so what is sorted is short, and only
  /// the rows of the page are read whole.
  Statement select_numbered(const Select& rows) const {
    Statement out;
    out.sql += "SELECT ";
    append_row(out, rows, kAlias);
    append_quoted(out.sql += " FROM ", rows.from.name);
    ((((out.sql += ' ') += kAlias) += " WHERE ") += kAlias) += "._rowid_ IN (";
    if (!rows.path->each.empty())
      append_merged(out, rows);
    else
      append_numbers(out, rows);
    out.sql += ')';
    append_sorted(out.sql, rows, kAlias);
    return out;
  }
  /// As many rows of the index of `q` as are asked for, without those of the table.
  Statement select_words(const Select& rows) const {
    const auto index = quoted(std::string(rows.from.name) + "_search");
    Statement out{"SELECT 1 FROM " + index + " WHERE " + index + " MATCH ?", {*rows.search->words}};
    append_page(out, rows);
    return out;
  }

 private:
  /// A condition that no index is entered by: `+` makes an expression of the column. Where its type decides how values
  /// are compared, the comparison is made one instead.
  void append_aside(Statement& out, Condition condition, std::string_view alias) const {
    const auto& column = *condition.column;
    condition.aside = false;
    const bool simple = !column.foreign && !column.as_number && column.compared == Compared::plain;
    out.sql += simple ? "+" : "+(";
    append_condition(out, condition, alias);
    if (!simple) out.sql += ')';
  }
  static void append_direction(std::string& sql, const Order& by) {
    using enum Order::Nulls;
    if (by.descending) sql += " DESC";
    if (by.nulls == first && by.descending) sql += " NULLS FIRST";
    if (by.nulls == last && !by.descending) sql += " NULLS LAST";
  }
  /// The order, which no index gives.
  void append_sorted(std::string& sql, const Select& rows, std::string_view alias) const {
    std::string_view before = " ORDER BY +";
    for (auto i = rows.fixed; i < rows.order.size(); ++i) {
      append_compared(sql += before, *rows.order[i].column, alias);
      append_direction(sql, rows.order[i]);
      before = ",+";
    }
  }
  void append_wanted(And& where, Statement& out, const Select& rows) const {
    append_conditions(where, out, rows.where, "i");
    for (auto& bound : rows.bounds) {
      where.next();
      append_bound(out, bound, "i");
    }
    if (rows.path->behind.empty()) return;
    where.next() += "+(";
    std::string_view before;
    for (auto& range : rows.path->behind) {
      out.sql += before;
      before = " OR ";
      if (range.empty()) out.sql += '1';
      for (auto& bound : range) {
        if (&bound != &range.front()) out.sql += " AND ";
        append_bound(out, bound, "i");
      }
    }
    out.sql += ')';
  }
  /// The numbers of the rows of a page in one range.
  void append_numbers(Statement& out, const Select& rows) const {
    const auto& table = rows.from;
    const auto name = quoted(table.name);
    out.sql += "SELECT i._rowid_ FROM ";
    const auto index = quoted(std::string(table.name) + "_search");
    if (rows.path->words) {
      // CROSS JOIN: in this order.
      if (is_numbered(table)) {
        out.sql += index + " CROSS JOIN " + name + " i ON i." + quoted(table.key[0]->name) + "=" + index + ".rowid";
      } else {
        const auto numbers = quoted(std::string(table.name) + "_search_rows");
        out.sql +=
            index + " CROSS JOIN " + numbers + " n ON n.number=" + index + ".rowid CROSS JOIN " + name + " i ON ";
        if (table.tenant) out.sql += column_of(*table.tenant, "i") + " IS n.tenant AND ";
        for (std::size_t k = 0; k < table.key.size(); ++k)
          out.sql += (k ? " AND " : "") + column_of(*table.key[k], "i") + "=n.key" +
                     (table.key.size() > 1 ? std::to_string(k + 1) : std::string());
      }
    } else {
      out.sql += name + " i";
    }
    And where{out};
    if (rows.path->words) {
      where.next() += index + " MATCH ?";
      out.cells.push_back(*rows.search->words);
    }
    append_wanted(where, out, rows);
    if (rows.search && !rows.path->words) append_search(where, out, rows, "i");
    append_sorted(out.sql, rows, "i");
    append_page(out, rows);
  }
  /// The same of several ranges, each read in order: SQLite merges them as far as the page needs.
  void append_merged(Statement& out, const Select& rows) const {
    out.sql += "SELECT n FROM (";
    std::vector<Condition> one(rows.path->each.begin(), rows.path->each.end());
    std::string_view before;
    append_each(out, rows, one, 0, before);
    before = " ORDER BY ";
    for (auto i = rows.fixed; i < rows.order.size(); ++i) {
      (out.sql += before) += "o" + std::to_string(i);
      append_direction(out.sql, rows.order[i]);
      before = ",";
    }
    append_page(out, rows);
    out.sql += ')';
  }
  /// The ranges of all combinations of values of the conditions from `at` on; those before it have one value each.
  void append_each(Statement& out, const Select& rows, std::vector<Condition>& one, std::size_t at,
                   std::string_view& before) const {
    if (at == one.size()) {
      append_range(out, rows, one, before);
      before = " UNION ALL ";
      return;
    }
    const auto values = rows.path->each[at].values;
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (std::ranges::find(values.first(i), values[i]) != values.first(i).end()) continue;
      one[at].op = Operator::eq;
      one[at].values = values.subspan(i, 1);
      one[at].aside = false;
      append_each(out, rows, one, at + 1, before);
    }
  }
  void append_range(Statement& out, const Select& rows, std::span<const Condition> one, std::string_view before) const {
    (out.sql += before) += "SELECT i._rowid_ n";
    for (auto i = rows.fixed; i < rows.order.size(); ++i) {
      append_column(out.sql += ',', *rows.order[i].column, "i");
      out.sql += " o" + std::to_string(i);
    }
    append_quoted(out.sql += " FROM ", rows.from.name);
    out.sql += " i";
    And where{out};
    append_conditions(where, out, one, "i");
    append_wanted(where, out, rows);
    if (rows.search) append_search(where, out, rows, "i");
  }

  /// Bytes come as texts do, and STRICT tables tell them apart.
  void append_parameter(std::string& out, const Column& column) const override {
    out += column.kind == Kind::bytes ? "CAST(? AS BLOB)" : "?";
  }
  /// Of a blob it is known without a look at the bytes; another program may have stored a text, whose characters
  /// `length` counts.
  void append_length(std::string& out, const std::string& bytes) const override {
    out += "iif(typeof(" + bytes + ")='blob',length(" + bytes + "),length(CAST(" + bytes + " AS BLOB)))";
  }
  void append_digest(std::string& out, const std::string& bytes) const override {
    out += "plimsoll_digest(" + bytes + ")";
  }
  void append_piece(Statement& out, const SelectFile& file, std::string_view alias) const override {
    if (file.bytes->pieces)
      out.sql += "plimsoll_piece(" + literal(file.from.name) + "," + literal(file.bytes->name) + "," +
                 std::string(alias) + "._rowid_,?,?)";
    else
      out.sql += "substr(CAST(" + column_of(*file.bytes, alias) + " AS BLOB),?+1,?)";
    out.cells.emplace_back(file.piece->offset);
    out.cells.emplace_back(file.piece->length);
  }
  /// The column as its values are compared: where another has made it, perhaps not as it declares it.
  void append_compared(std::string& out, const Column& column, std::string_view alias) const override {
    switch (column.compared) {
      case Compared::plain: append_column(out, column, alias); break;
      case Compared::collated:
        append_column(out, column, alias);
        out += " COLLATE decimal";
        break;
      case Compared::by_value:
        out += "plimsoll_decimal(";
        append_column(out, column, alias);
        out += ") COLLATE decimal";
        break;
    }
  }
  /// The value of a row by which it has its place in an order, and that value as a parameter.
  void append_place(std::string& out, const Column& column, std::string_view alias) const override {
    const bool by_value = column.compared == Compared::by_value;
    if (by_value || column.foreign) out += by_value ? "plimsoll_decimal(" : "plimsoll_place(";
    append_column(out, column, alias);
    if (by_value || column.foreign) out += ')';
  }
  void append_place_parameter(std::string& out, const Column& column) const override {
    out += column.foreign && column.compared != Compared::by_value ? "plimsoll_placed(?)" : "?";
  }
  void append_condition(Statement& out, const Condition& condition, std::string_view alias) const override {
    const auto& column = *condition.column;
    if (condition.aside) return append_aside(out, condition, alias);
    if (condition.op == Operator::is_null) {
      append_column(out.sql, column, alias);
      out.sql += condition.negated ? " IS NOT NULL" : " IS NULL";
      return;
    }
    if (condition.op == Operator::like || condition.exact)
      append_column(out.sql, column, alias);
    else
      append_compared(out.sql, column, alias);
    switch (condition.op) {
      case Operator::eq:
        if (condition.values[0].index() == 0) {
          out.sql += " IS NULL";
          return;
        }
        out.sql += "=?";
        break;
      case Operator::ne: out.sql += " IS NOT ?"; break;
      case Operator::lt: out.sql += "<?"; break;
      case Operator::le: out.sql += "<=?"; break;
      case Operator::gt: out.sql += ">?"; break;
      case Operator::ge: out.sql += ">=?"; break;
      case Operator::like: out.sql += " LIKE ? ESCAPE '\\'"; break;
      case Operator::is_null: return;
      case Operator::in:
        out.sql += " IN (";
        append_list(out, column, condition.values);
        out.sql += ')';
        return;
    }
    out.cells.push_back(condition.values[0]);
    // Also where the column compares without regard to case, or as numbers.
    if (condition.exact && column.kind != Kind::integer) out.sql += " COLLATE BINARY";
  }
  void append_selected(Statement& out, const Select& rows, std::string_view alias) const override {
    Columns{*this, out}.append(rows.columns, rows.embeds, alias);
  }
  void append_odd(std::string& sql, const Select& rows, std::string_view alias) const override {
    for (const auto* column : rows.columns)
      if (column->foreign) sql += "+(typeof(" + column_of(*column, alias) + ")='blob')";
  }
  void append_search(And& where, Statement& out, const Select& rows, std::string_view alias) const override {
    const auto& table = rows.from;
    if (rows.search->aside) {
      where.next() += "plimsoll_finds(?";
      out.cells.push_back(*rows.search->words);
      for (const auto* column : rows.search->columns) append_column(out.sql += ',', *column, alias);
      out.sql += ')';
      return;
    }
    const auto name = std::string(table.name);
    const auto index = quoted(name + "_search"), numbers = quoted(name + "_search_rows");
    const auto joined = index + " JOIN " + numbers + " ON " + numbers + ".number=" + index + ".rowid";
    std::string here, there;
    const auto add = [&](const Column& column, const std::string& name) {
      (here += here.empty() ? "" : ",") += column_of(column, alias);
      (there += there.empty() ? "" : ",") += numbers + "." + name;
    };
    if (table.tenant) add(*table.tenant, "tenant");
    for (std::size_t i = 0; i < table.key.size(); ++i)
      add(*table.key[i], table.key.size() > 1 ? "key" + std::to_string(i + 1) : std::string("key"));
    const bool several = table.tenant || table.key.size() > 1;
    where.next() += (several ? "(" + here + ")" : here) + " IN (SELECT " +
                    (is_numbered(table) ? "rowid FROM " + index : there + " FROM " + joined) + " WHERE " + index +
                    " MATCH ?)";
    out.cells.push_back(*rows.search->words);
  }
  void append_order(std::string& sql, const Select& rows, std::string_view alias) const override {
    std::string_view before = " ORDER BY ";
    for (auto i = rows.fixed; i < rows.order.size(); ++i) {
      sql += before;
      if (rows.order[i].aside) sql += '+';
      append_compared(sql, *rows.order[i].column, alias);
      append_direction(sql, rows.order[i]);
      before = ",";
    }
  }
  /// In RETURNING SQLite 3.40 takes the type of the table's first column for that of every column: where it is REAL,
  /// integers become doubles. `+` makes an expression of the column, which has no type.
  void append_returning(std::string& sql, std::span<const Column* const> columns) const override {
    std::string_view before = " RETURNING ";
    for (const auto* column : columns) {
      sql += before;
      if (column->kind != Kind::json) sql += '+';
      append_plain(sql, *column, {});
      before = ",";
    }
  }
  void append_word(std::string& made, std::string_view word, bool beginning) const override {
    if (!made.empty()) made += ' ';
    append_quoted(made, word);
    if (beginning) made += '*';
  }
};
constexpr SqliteRenderer kRenderer;

}  // namespace

Statement SqliteDialect::select(const Select& rows) const {
  if (rows.path && rows.path->counted && rows.path->words) return kRenderer.select_words(rows);
  return rows.path && rows.path->numbered ? kRenderer.select_numbered(rows) : kRenderer.select(rows);
}
Statement SqliteDialect::select_file(const SelectFile& file) const { return kRenderer.select_file(file); }
Statement SqliteDialect::insert(const Insert& row) const { return kRenderer.insert(row); }
Statement SqliteDialect::update(const Update& rows) const { return kRenderer.update(rows); }
Statement SqliteDialect::remove(const Delete& rows) const { return kRenderer.remove(rows); }
std::string SqliteDialect::search_words(std::string_view typed) const { return kRenderer.search_words(typed); }

Violation SqliteDialect::violation_of(const Error& error) const {
  using enum Violation::What;
  const auto cause = error.more_ ? std::string_view(error.more_->cause) : std::string_view{};
  constexpr std::string_view kCheck = "CHECK constraint failed: ";
  if (cause.starts_with(kCheck)) return {.what = check, .expression = std::string(cause.substr(kCheck.size()))};
  constexpr std::string_view kIndex = "UNIQUE constraint failed: index '";  // of an expression
  if (cause.starts_with(kIndex) && cause.ends_with('\''))
    return {.what = other, .rule = std::string(cause.substr(kIndex.size(), cause.size() - kIndex.size() - 1))};
  return {.what = cause.contains("FOREIGN KEY") ? reference : other};
}

const SqliteDialect& sqlite_dialect() {
  static constexpr SqliteDialect dialect;
  return dialect;
}

}  // namespace plimsoll::database
