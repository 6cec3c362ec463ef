#include "plimsoll/handler/table/statement.hpp"

#include "plimsoll/handler/table/search_index.hpp"
#include "plimsoll/handler/table/value.hpp"

#include <algorithm>

namespace plimsoll::table {
namespace {

using database::Cell;

std::string column_of(const Table& table, std::size_t column, std::string_view alias) {
  std::string text;
  if (!alias.empty()) (text += alias) += '.';
  return text + quoted(table.columns[column].name);
}

/// The column as its values are compared: where another has made it, perhaps not as it declares it.
std::string compared_of(const Table& table, std::size_t column, std::string_view alias) {
  auto name = column_of(table, column, alias);
  switch (table.columns[column].compared) {
    case Compared::plain: break;
    case Compared::collated: return name + " COLLATE decimal";
    case Compared::by_value: return "plimsoll_decimal(" + name + ") COLLATE decimal";
  }
  return name;
}

/// The value of a row by which it has its place in an order, and that value as a parameter.
std::string place_of(const Table& table, std::size_t column, std::string_view alias) {
  auto name = column_of(table, column, alias);
  const auto& one = table.columns[column];
  if (one.compared == Compared::by_value) return "plimsoll_decimal(" + name + ")";
  return one.foreign ? "plimsoll_place(" + name + ")" : name;
}
std::string_view place_parameter(const Column& column) {
  return column.foreign && column.compared != Compared::by_value ? "plimsoll_placed(?)" : "?";
}

/// Collects `a AND b AND …`.
class And {
 public:
  explicit And(Statement& out, std::string_view before = " WHERE ") : out_(out), before_(before) {}
  Statement& next() {
    out_.sql += before_;
    before_ = " AND ";
    return out_;
  }
  void equal(const std::string& column, Cell value, std::string_view parameter = "?") {
    if (value.index() == 0) {
      next().sql += column + " IS NULL";
    } else {
      (next().sql += column + "=") += parameter;
      out_.cells.push_back(std::move(value));
    }
  }
  /// A text byte by byte, also where the column compares without regard to case, or as numbers.
  void exactly(const Column& column, const std::string& name, Cell value) {
    equal(name, std::move(value));
    if (column.kind != Kind::integer) out_.sql += " COLLATE BINARY";
  }

 private:
  Statement& out_;
  std::string_view before_;
};

/// The rows that exist for the caller; false when there are none.
bool append_caller(And& where, const Table& table, const Caller* caller, std::string_view alias) {
  if (table.tenant) {
    const auto cell = caller ? caller_cell(table.columns[*table.tenant], caller->tenant) : std::nullopt;
    if (!cell) return false;
    where.exactly(table.columns[*table.tenant], column_of(table, *table.tenant, alias), *cell);
  }
  if (table.owner && !(caller && caller->sees_all_owners(table))) {
    const auto cell = caller ? caller_cell(table.columns[*table.owner], caller->subject) : std::nullopt;
    if (!cell) return false;
    where.exactly(table.columns[*table.owner], column_of(table, *table.owner, alias), *cell);
  }
  return true;
}

/// `?,?,…` of a number from a short list, so that few statements differ by it; the last value is repeated.
void append_list(Statement& out, const std::vector<Cell>& values) {
  std::size_t room = 1;
  while (room < values.size()) room *= 2;
  for (std::size_t i = 0; i < room; ++i) {
    out.sql += i ? ",?" : "?";
    out.cells.push_back(values[std::min(i, values.size() - 1)]);
  }
}

void append_condition(Statement& out, const Table& table, const Condition& condition, std::string_view alias) {
  const bool compared = condition.op != Operator::like && condition.op != Operator::is_null;
  const auto column =
      compared ? compared_of(table, condition.column, alias) : column_of(table, condition.column, alias);
  switch (condition.op) {
    case Operator::eq: out.sql += column + "=?"; break;
    case Operator::ne: out.sql += column + " IS NOT ?"; break;
    case Operator::lt: out.sql += column + "<?"; break;
    case Operator::le: out.sql += column + "<=?"; break;
    case Operator::gt: out.sql += column + ">?"; break;
    case Operator::ge: out.sql += column + ">=?"; break;
    case Operator::like: out.sql += column + " LIKE ? ESCAPE '\\'"; break;
    case Operator::is_null: out.sql += column + (condition.negated ? " IS NOT NULL" : " IS NULL"); return;
    case Operator::in:
      out.sql += column + " IN (";
      append_list(out, condition.values);
      out.sql += ')';
      return;
  }
  out.cells.push_back(condition.values.at(0));
}

bool append_where(And& where, Statement& out, const Wanted& rows, std::string_view alias) {
  if (!append_caller(where, *rows.table, rows.caller, alias)) return false;
  for (auto& condition : rows.conditions) {
    where.next();
    append_condition(out, *rows.table, condition, alias);
  }
  if (!rows.search.empty()) {
    const auto index = quoted(rows.table->name + "_search");
    const auto numbers = quoted(rows.table->name + "_search_rows");
    const auto joined = index + " JOIN " + numbers + " ON " + numbers + ".number=" + index + ".rowid";
    const auto key = column_of(*rows.table, rows.table->key, alias);
    where.next().sql +=
        (rows.table->key_in_tenant ? "(" + column_of(*rows.table, *rows.table->tenant, alias) + "," + key +
                                         ") IN (SELECT " + numbers + ".tenant," + numbers + ".key FROM " + joined
         : is_numbered(*rows.table) ? key + " IN (SELECT rowid FROM " + index
                                    : key + " IN (SELECT " + numbers + ".key FROM " + joined) +
        " WHERE " + index + " MATCH ?)";
    out.cells.push_back(rows.search);
  }
  return true;
}

/// A column at the top: written as JSON by ourselves, so only whole JSON values need care.
std::string plain_column(const Table& table, std::size_t column, std::string_view alias) {
  const auto name = column_of(table, column, alias);
  if (table.columns[column].kind != Kind::json || table.columns[column].foreign) return name;
  // NULL stays NULL. (In RETURNING of a table without rowid SQLite 3.40 takes `IS NOT NULL` for true.)
  return "iif(json_valid(" + name + ")," + name + ",nullif(json_quote(" + name + "),'null'))";
}

/// Writes what is selected; embeds are correlated subqueries that give one JSON text each.
class Columns {
 public:
  Columns(Statement& out, const Wanted& rows) : out_(out), rows_(rows) {}

  bool append(const Table& table, const Selection& selection, const std::string& alias) {
    std::string_view before;
    for (auto column : selection.columns) {
      (out_.sql += before) += plain_column(table, column, alias);
      before = ",";
    }
    for (auto& embedded : selection.embeds) {
      out_.sql += before;
      if (!append_embed(table, embedded, alias)) return false;
      before = ",";
      if (!embedded.embed->many()) continue;
      out_.sql += before;
      append_more(table, embedded, alias);
    }
    return true;
  }

 private:
  /// A column inside an embed: an argument of json_object.
  static std::string inner(const Table& table, std::size_t column, const std::string& alias) {
    const auto name = column_of(table, column, alias);
    if (table.columns[column].foreign) return foreign(table.columns[column].kind, name);
    switch (table.columns[column].kind) {
      case Kind::boolean: return "json(iif(" + name + " IS NULL,'null',iif(" + name + ",'true','false')))";
      case Kind::json: return "json(iif(json_valid(" + name + ")," + name + ",json_quote(" + name + ")))";
      case Kind::number: return "json(iif(json_valid(" + name + ")," + name + ",json_quote(" + name + ")))";
      case Kind::real:
        // json_object writes doubles with 15 digits; 17 lose nothing. Infinities are null, as at the top.
        return "json(iif(abs(" + name + ")<=1.7976931348623157e308,iif(CAST(printf('%!.15g'," + name +
               ") AS REAL)=" + name + ",printf('%!.15g'," + name + "),printf('%!.17g'," + name + ")),'null'))";
      case Kind::integer: return name;
      default: return "CAST(" + name + " AS TEXT)";
    }
  }
  /// The same where it may hold what other programs stored: as `append_stored` shows it. (json_quote refuses blobs.)
  static std::string foreign(Kind kind, const std::string& name) {
    const auto text = "json_quote(CAST(" + name + " AS TEXT))";
    const auto is = [&](std::string_view types) { return "typeof(" + name + ") IN (" + std::string(types) + ")"; };
    const auto real = "iif(abs(" + name + ")<=1.7976931348623157e308,iif(CAST(printf('%!.15g'," + name +
                      ") AS REAL)=" + name + ",printf('%!.15g'," + name + "),printf('%!.17g'," + name + ")),'null')";
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
      case Kind::text:
      case Kind::decimal: return "iif(" + endless + ",NULL,plimsoll_decimal(" + name + "))";
      case Kind::number:
        return "json(CASE WHEN " + is("'integer','real'") + " THEN iif(" + endless + ",'null',plimsoll_decimal(" +
               name + ")) WHEN json_valid(" + name + ") AND " + is("'text'") + " THEN " + name + " ELSE " + number +
               " END)";
    }
    return "CAST(" + name + " AS TEXT)";
  }
  /// The name under which an embed's text is selected beside the columns of its row.
  static std::string name_beside(const Table& table, const Embed& embed, const std::string& what = "embed ") {
    auto name = what + embed.name;
    while (table.column(name)) name += '_';
    return quoted(name);
  }
  /// The rows are selected first, with their own embeds as columns, and made JSON around that: so what is embedded
  /// stands in a FROM instead of an argument, and SQLite's parser, whose stack is 100 deep, reads six levels of it.
  /// Each row goes through `plimsoll_row(s)`, which counts it against the budget of the exchange.
  bool append_embed(const Table& table, const Selection::Embedded& embedded, const std::string& alias) {
    const auto& other = *embedded.table;
    const auto& embed = *embedded.embed;
    const auto inside = "e" + std::to_string(++aliases_);
    ++level_;
    out_.sql += embed.many() ? "(SELECT plimsoll_rows(" : "(SELECT plimsoll_row(";
    out_.sql += std::to_string(level_) + ",";
    append_object(other, embedded.selection, inside);
    out_.sql += ") FROM (SELECT ";
    std::string_view before;
    for (auto column : embedded.selection.columns) {
      (out_.sql += before) += column_of(other, column, inside);
      before = ",";
    }
    for (auto& deeper : embedded.selection.embeds) {
      out_.sql += before;
      if (!append_embed(other, deeper, inside)) return false;
      out_.sql += " AS " + name_beside(other, *deeper.embed);
      before = ",";
      if (!deeper.embed->many()) continue;
      out_.sql += before;
      append_more(other, deeper, inside);
      out_.sql += " AS " + name_beside(other, *deeper.embed, "more ");
    }
    if (before.empty()) out_.sql += "1";
    out_.sql += " FROM " + quoted(other.name) + " " + inside;
    And where{out_};
    where.next().sql +=
        embed.many() ? column_of(other, *other.column(embed.by), inside) + "=" + column_of(table, table.key, alias)
                     : column_of(other, other.key, inside) + "=" + column_of(table, *table.column(embed.on), alias);
    if (!append_caller(where, other, rows_.caller, inside)) where.next().sql += "0";
    if (embed.many()) {
      out_.sql += " ORDER BY " + column_of(other, other.key, inside) + " LIMIT ?";
      out_.cells.push_back(embed.limit);
    }
    out_.sql += ") " + inside + ")";
    --level_;
    return true;
  }
  /// 1 where there are more rows than are shown, else NULL.
  void append_more(const Table& table, const Selection::Embedded& embedded, const std::string& alias) {
    const auto& other = *embedded.table;
    const auto inside = "e" + std::to_string(++aliases_);
    out_.sql += "(SELECT 1 FROM " + quoted(other.name) + " " + inside;
    And where{out_};
    where.next().sql +=
        column_of(other, *other.column(embedded.embed->by), inside) + "=" + column_of(table, table.key, alias);
    if (!append_caller(where, other, rows_.caller, inside)) where.next().sql += "0";
    out_.sql += " LIMIT 1 OFFSET ?)";
    out_.cells.push_back(embedded.embed->limit);
  }
  /// json_object takes at most 63 pairs (127 arguments), and leaves none out: rows that are wider, or have columns that
  /// may be absent, are joined as text.
  void append_object(const Table& table, const Selection& selection, const std::string& alias) {
    constexpr std::size_t kPairs = 60;
    const auto total = selection.columns.size() + selection.embeds.size();
    const bool joined =
        total > kPairs ||
        std::ranges::any_of(selection.columns, [&](auto column) { return table.columns[column].absent_when_null(); }) ||
        std::ranges::any_of(selection.embeds, [](auto& embedded) { return embedded.embed->many(); });
    if (joined) return append_joined(table, selection, alias);
    std::string_view before = "json_object(";
    for (auto index : selection.columns) {
      const auto& column = table.columns[index];
      ((((out_.sql += before) += text(column.name)) += ',') += inner(table, index, alias));
      before = ",";
    }
    for (auto& embedded : selection.embeds) {
      (((out_.sql += before) += text(embedded.embed->name)) += ",json(") +=
          alias + "." + name_beside(table, *embedded.embed) + ")";
      before = ",";
    }
    out_.sql += total ? ")" : "json_object()";
  }
  /// Every member brings its comma; that of the first is cut off.
  void append_joined(const Table& table, const Selection& selection, const std::string& alias) {
    out_.sql += "'{'||substr(''";
    for (auto index : selection.columns) {
      const auto& column = table.columns[index];
      const auto member =
          "','||json_quote(" + text(column.name) + ")||':'||json_quote(" + inner(table, index, alias) + ")";
      out_.sql +=
          "||" + (column.absent_when_null() ? "iif(" + column_of(table, index, alias) + " IS NULL,''," + member + ")"
                                            : member);
    }
    for (auto& embedded : selection.embeds) {
      const auto& embed = *embedded.embed;
      out_.sql += "||','||json_quote(" + text(embed.name) + ")||':'||coalesce(" + alias + "." +
                  name_beside(table, embed) + ",'null')";
      if (embed.many())
        out_.sql += "||iif(" + alias + "." + name_beside(table, embed, "more ") + " IS NULL,'',','||json_quote(" +
                    text(embed.more) + ")||':true')";
    }
    out_.sql += ",2)||'}'";
  }
  static std::string text(std::string_view name) {
    std::string made = "'";
    for (char c : name) made += c == '\'' ? "''" : std::string(1, c);
    return made + "'";
  }

  Statement& out_;
  const Wanted& rows_;
  int aliases_ = 0, level_ = 0;
};

/// What stands between SELECT and FROM.
bool append_columns(Statement& out, const Wanted& rows, const Selection& selection, const std::vector<Sort>& sort) {
  Columns columns{out, rows};
  if (!columns.append(*rows.table, selection, "t")) return false;
  bool any = !selection.columns.empty() || !selection.embeds.empty();
  for (auto& by : sort)
    if (rows.table->columns[by.column].foreign ||
        std::ranges::find(selection.columns, by.column) == selection.columns.end()) {
      out.sql += (any ? "," : "") + place_of(*rows.table, by.column, "t");
      any = true;
    }
  if (!any) out.sql += "1";
  return true;
}

/// The order in which rows are walked: as asked, or the other way round.
struct Walk {
  const Table& table;
  const std::vector<Sort>& sort;
  bool backward;

  bool ascending(std::size_t i) const { return sort[i].descending == backward; }
  bool nullable(std::size_t i) const { return !by(i).required || by(i).foreign; }
  std::string column(std::size_t i) const { return compared_of(table, sort[i].column, "t"); }
  const Column& by(std::size_t i) const { return table.columns[sort[i].column]; }
  std::string_view parameter(std::size_t i) const { return place_parameter(by(i)); }
  /// ` ORDER BY` the columns from `first` on; that of `plain` cannot be null here.
  void append_order(std::string& sql, std::size_t first, std::size_t plain) const {
    std::string_view before = " ORDER BY ";
    for (auto i = first; i < sort.size(); ++i) {
      (sql += before) += column(i) + (ascending(i) ? "" : " DESC");
      // Nulls are last in the order as asked: SQLite has them first, ascending, unless told.
      if (nullable(i) && i != plain && !sort[i].descending) sql += backward ? " NULLS FIRST" : " NULLS LAST";
      before = ",";
    }
  }
};

/// A range of the index: rows equal to the position in the first columns and beyond it in the next.
struct Range {
  enum class Beyond : std::uint8_t { at, after, null, not_null } beyond;
  std::size_t level;
};

/// All rows behind the position, as ranges in the order of the walk. (One range `(a, b) > (?, ?)` would do for columns
/// of one direction, but SQLite then compares each row again: 750 steps a page instead of 480.)
std::vector<Range> ranges_behind(const Walk& walk, const Position& from) {
  using enum Range::Beyond;
  std::vector<Range> ranges;
  if (from.inclusive) ranges.push_back({at, walk.sort.size()});
  for (auto i = walk.sort.size(); i-- > 0;) {
    const bool null = from.values[i].index() == 0;
    if (null) {
      if (walk.backward) ranges.push_back({not_null, i});
      continue;
    } else {
      ranges.push_back({after, i});
    }
    if (walk.nullable(i) && !walk.backward) ranges.push_back({Range::Beyond::null, i});
  }
  return ranges;
}

void append_range(And& where, Statement& out, const Walk& walk, const Position& from, const Range& range) {
  using enum Range::Beyond;
  for (std::size_t i = 0; i < range.level; ++i) where.equal(walk.column(i), from.values[i], walk.parameter(i));
  const auto i = range.level;
  const auto compare = [&] { return walk.ascending(i) ? ">" : "<"; };
  switch (range.beyond) {
    case at: break;
    case null: where.next().sql += walk.column(i) + " IS NULL"; break;
    case not_null: where.next().sql += walk.column(i) + " IS NOT NULL"; break;
    case after:
      ((where.next().sql += walk.column(i)) += compare()) += walk.parameter(i);
      out.cells.push_back(from.values[i]);
      break;
  }
}

bool append_select(Statement& out, const Wanted& rows, const Selection& selection, const std::vector<Sort>& sort) {
  out.sql += "SELECT ";
  if (!append_columns(out, rows, selection, sort)) return false;
  out.sql += " FROM " + quoted(rows.table->name) + " t";
  return true;
}

}  // namespace

bool Caller::sees_all_owners(const Table& table) const {
  return std::ranges::any_of(table.owner_except,
                             [&](auto& role) { return std::ranges::find(roles, role) != roles.end(); });
}

std::string quoted(std::string_view name) {
  std::string made = "\"";
  for (char c : name) made += c == '"' ? "\"\"" : std::string(1, c);
  return made + "\"";
}

std::vector<Sort> total_order(const Table& table, std::vector<Sort> sort) {
  for (std::size_t i = 0; i < sort.size(); ++i)
    if (sort[i].column == table.key) {
      sort.resize(i + 1);  // what stands behind the key changes nothing
      return sort;
    }
  sort.push_back({table.key, !sort.empty() && sort.back().descending});
  return sort;
}

std::optional<std::vector<Statement>> list_statements(const Wanted& rows, const Selection& selection,
                                                      const Page& page) {
  using enum Range::Beyond;
  const Walk walk{*rows.table, page.sort, page.from && page.from->backward};
  std::vector<Range> ranges;
  if (page.from)
    ranges = ranges_behind(walk, *page.from);
  else if (page.offset == 0 && walk.nullable(0) && !page.sort[0].descending)
    ranges = {{not_null, 0}, {null, 0}};
  std::vector<Statement> all(page.from || !ranges.empty() ? ranges.size() : 1);
  for (std::size_t i = 0; i < all.size(); ++i) {
    auto& out = all[i];
    const auto* range = ranges.empty() ? nullptr : &ranges[i];
    if (!append_select(out, rows, selection, page.sort)) return std::nullopt;
    And where{out};
    if (!append_where(where, out, rows, "t")) return std::nullopt;
    static const Position kNowhere;
    if (range) append_range(where, out, walk, page.from ? *page.from : kNowhere, *range);
    const bool fixed = range && range->beyond == null;
    const auto first = !range ? 0 : range->level + (fixed ? 1 : 0);
    walk.append_order(out.sql, first, range && !fixed ? range->level : walk.sort.size());
    out.sql += " LIMIT ?";
    out.cells.push_back(page.limit);
    if (page.offset > 0) {
      out.sql += " OFFSET ?";
      out.cells.push_back(page.offset);
    }
  }
  return all;
}

std::optional<Statement> count_statement(const Wanted& rows) {
  Statement out{"SELECT count(*) FROM " + quoted(rows.table->name) + " t", {}};
  And where{out};
  if (!append_where(where, out, rows, "t")) return std::nullopt;
  return out;
}

std::optional<Statement> row_statement(const Wanted& rows, const Selection& selection) {
  Statement out;
  if (!append_select(out, rows, selection, {})) return std::nullopt;
  And where{out};
  if (!append_where(where, out, rows, "t")) return std::nullopt;
  return out;
}

std::string rows_statement(const Table& table, const Selection& selection) {
  std::string sql;
  for (auto column : selection.columns) (sql += sql.empty() ? "SELECT " : ",") += plain_column(table, column, {});
  sql += ",0";
  for (auto column : selection.columns)
    if (table.columns[column].foreign) sql += "+(typeof(" + column_of(table, column, {}) + ")='blob')";
  return sql + " FROM " + quoted(table.name);
}

bool append_where(Statement& statement, const Wanted& rows, std::string_view alias) {
  And where{statement};
  return append_where(where, statement, rows, alias);
}

void append_returning(Statement& statement, const Table& table, const Selection& selection) {
  std::string_view before = " RETURNING ";
  for (auto column : selection.columns) {
    statement.sql += before;
    // In RETURNING SQLite 3.40 takes the type of the table's first column for that of every column: where it is REAL,
    // integers become doubles. `+` makes an expression of the column, which has no type.
    if (table.columns[column].kind != Kind::json) statement.sql += '+';
    statement.sql += plain_column(table, column, {});
    before = ",";
  }
}

std::vector<std::size_t> sort_places(const Table& table, const Selection& selection, const std::vector<Sort>& sort) {
  std::vector<std::size_t> places;
  auto next = width(selection);
  for (auto& by : sort) {
    const auto shown = std::ranges::find(selection.columns, by.column);
    const bool beside = shown == selection.columns.end() || table.columns[by.column].foreign;
    places.push_back(beside ? next++ : static_cast<std::size_t>(shown - selection.columns.begin()));
  }
  return places;
}

std::optional<Statement> visible_statement(const Table& table, std::span<const std::string> columns,
                                           std::vector<database::Cell> values, const Caller& caller) {
  Statement out{"SELECT 1 FROM " + quoted(table.name), {}};
  And where{out};
  for (std::size_t i = 0; i < columns.size(); ++i) where.equal(quoted(columns[i]), std::move(values[i]));
  if (!append_caller(where, table, &caller, {})) return std::nullopt;
  return out;
}

std::string query_identity(const Wanted& rows, const std::vector<Sort>& sort) {
  Statement identity{rows.table->name, {}};
  for (auto& by : sort) identity.sql += (by.descending ? " -" : " +") + rows.table->columns[by.column].name;
  And where{identity};
  (void)append_where(where, identity, rows, "t");
  for (auto& cell : identity.cells) {
    identity.sql += '\0';
    std::visit(
        [&]<class T>(const T& value) {
          if constexpr (std::is_same_v<T, std::string>)
            identity.sql += std::to_string(value.size()) + ":" + value;
          else if constexpr (!std::is_same_v<T, std::monostate>)
            identity.sql += std::to_string(value);
        },
        cell);
  }
  return std::move(identity.sql);
}

std::string search_expression(std::string_view words) {
  std::string made;
  while (!words.empty()) {
    const auto start = words.find_first_not_of(" \t\r\n");
    if (start == words.npos) break;
    words.remove_prefix(start);
    auto word = words.substr(0, words.find_first_of(" \t\r\n"));
    words.remove_prefix(word.size());
    const bool beginning = word.size() > 1 && word.ends_with('*');
    if (beginning) word.remove_suffix(1);
    if (word.find('\0') != word.npos) return {};
    if (!made.empty()) made += ' ';
    made += quoted(word);
    if (beginning) made += '*';
  }
  return made;
}

std::string like_pattern(std::string_view pattern) {
  std::string made;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    made += pattern[i] == '*' ? '%' : pattern[i];
    if (pattern[i] != '\\') continue;
    made += ++i < pattern.size() ? pattern[i] : '\\';  // one at the end stands for itself
  }
  return made;
}

}  // namespace plimsoll::table
