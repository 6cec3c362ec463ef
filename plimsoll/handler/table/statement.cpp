#include "plimsoll/handler/table/statement.hpp"

#include "plimsoll/handler/table/access_plan.hpp"
#include "plimsoll/handler/table/value.hpp"

#include <algorithm>
#include <forward_list>
#include <ranges>
#include <utility>

namespace plimsoll::table {
namespace {

using database::Bound;
using database::Cell;
using database::Dialect;
using database::Order;
using database::Relation;

Relation relation_of(const Table& table) {
  Relation made{.name = table.name, .key = {}, .tenant = table.key_in_tenant ? &table.columns[*table.tenant] : nullptr};
  made.key.reserve(table.keys.size());
  for (auto column : table.keys) made.key.push_back(&table.columns[column]);
  return made;
}

std::vector<const database::Column*> columns_of(const Table& table, const Selection& selection) {
  std::vector<const database::Column*> columns;
  columns.reserve(selection.columns.size());
  for (auto column : selection.columns) columns.push_back(&table.columns[column]);
  return columns;
}

/// Puts together what a dialect renders, and keeps the values it points to.
class Composer {
 public:
  explicit Composer(const Caller* caller) : caller_(caller) {}

  /// The conditions of the rows wanted; false when the caller can have none.
  bool add(std::vector<database::Condition>& where, const Wanted& rows) {
    if (!rows.conditions.empty()) where.reserve(rows.conditions.size() + 2);
    if (!add_caller(where, *rows.table)) return false;
    for (auto& condition : rows.conditions)
      where.push_back({.column = &rows.table->columns[condition.column],
                       .op = condition.op,
                       .values = condition.values,
                       .negated = condition.negated});
    return true;
  }
  /// The rows that exist for the caller; false when there are none.
  bool add_caller(std::vector<database::Condition>& where, const Table& table) {
    const auto add = [&](std::size_t column, std::optional<Cell> cell) {
      if (!cell) return false;
      kept_.push_front(std::move(*cell));
      where.push_back({.column = &table.columns[column], .values = {&kept_.front(), 1}, .exact = true});
      return true;
    };
    if (table.tenant &&
        !add(*table.tenant, caller_ ? caller_cell(table.columns[*table.tenant], caller_->tenant) : std::nullopt))
      return false;
    return !table.owner || (caller_ && caller_->sees_all_owners(table)) ||
           add(*table.owner, caller_ ? caller_cell(table.columns[*table.owner], caller_->subject) : std::nullopt);
  }
  std::vector<database::Embedded> embeds(const Table& table, const Selection& selection) {
    std::vector<database::Embedded> all;
    all.reserve(selection.embeds.size());
    for (auto& one : selection.embeds) all.push_back(embedded(table, one));
    return all;
  }

 private:
  static std::vector<const database::Column*> keys(const Table& table) { return relation_of(table).key; }
  static std::vector<const database::Column*> named(const Table& table, const std::vector<std::string>& names) {
    std::vector<const database::Column*> columns;
    for (auto& name : names) columns.push_back(&table.columns[*table.column(name)]);
    return columns;
  }
  /// Whether an index that was found begins with these columns.
  static bool entered_by(const Table& table, const std::vector<std::string>& names) {
    const auto among = [&](std::size_t column) {
      return std::ranges::find(names, table.columns[column].name) != names.end();
    };
    return std::ranges::any_of(table.present, [&](auto& index) {
      return index.columns.size() >= names.size() &&
             std::ranges::all_of(index.columns | std::views::take(names.size()), among);
    });
  }
  database::Embedded embedded(const Table& table, const Selection::Embedded& one) {
    const auto& other = *one.table;
    const auto& embed = *one.embed;
    database::Embedded made{.of = relation_of(other),
                            .name = embed.name,
                            .more = embed.many() ? std::string_view(embed.more) : std::string_view{},
                            .inside = embed.many() ? named(other, embed.by) : keys(other),
                            .outside = embed.many() ? keys(table) : named(table, embed.on),
                            .columns = columns_of(other, one.selection),
                            .embeds = embeds(other, one.selection),
                            .limit = embed.limit};
    made.none = !add_caller(made.where, other);
    // SQLite would take an index of the tenant, all of whose rows it walks then, for as good as that of the reference.
    if (embed.many() && entered_by(other, embed.by))
      for (auto& condition : made.where) condition.aside = true;
    return made;
  }

  const Caller* caller_;
  std::forward_list<Cell> kept_;
};

/// Whether the value of a sort column is read beside what is shown.
bool beside(const Table& table, const Selection& selection, std::size_t column) {
  return table.columns[column].foreign || std::ranges::find(selection.columns, column) == selection.columns.end();
}

/// The rows wanted, without their order.
struct Asked {
  Composer composer;
  database::Select select;
  database::Search search;

  explicit Asked(const Wanted& rows) : composer(rows.caller), select{.from = relation_of(*rows.table)} {}
  Asked(const Asked&) = delete;

  bool add(const Wanted& rows) {
    if (!composer.add(select.where, rows)) return false;
    if (rows.search.empty()) return true;
    for (auto column : rows.table->search) search.columns.push_back(&rows.table->columns[column]);
    search.words = &rows.search;
    select.search = &search;
    return true;
  }
  void show(const Table& table, const Selection& selection) {
    select.columns = columns_of(table, selection);
    select.embeds = composer.embeds(table, selection);
  }
  /// The rows of a page and their places in its order, which is not said.
  void show_page(const Table& table, const Selection& selection, const Page& page) {
    show(table, selection);
    for (auto& by : page.sort)
      if (beside(table, selection, by.column)) select.places.push_back(&table.columns[by.column]);
    select.limit = page.limit;
    select.offset = page.offset;
  }
};

/// The order in which rows are walked: as asked, or the other way round.
struct Walk {
  const Table& table;
  const std::vector<Sort>& sort;
  bool backward;

  bool descending(std::size_t i) const { return sort[i].descending != backward; }
  bool nullable(std::size_t i) const { return !by(i).required || by(i).foreign; }
  const Column& by(std::size_t i) const { return table.columns[sort[i].column]; }
  /// The order; the column of `plain` has no nulls among the rows meant. Nulls are last in the order as asked.
  std::vector<Order> order(std::size_t plain) const {
    using enum Order::Nulls;
    std::vector<Order> all;
    all.reserve(sort.size());
    for (std::size_t i = 0; i < sort.size(); ++i)
      all.push_back({.column = &by(i),
                     .descending = descending(i),
                     .nulls = !nullable(i) || i == plain ? none
                              : backward                 ? first
                                                         : last});
    return all;
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

/// `begin`: the first columns of the order in which all rows are equal, whatever bounds them.
std::vector<Bound> bounds_of(const Walk& walk, const Position& from, const Range& range, std::size_t begin = 0) {
  using enum Bound::Beyond;
  std::vector<Bound> bounds;
  bounds.reserve(range.level + 1);
  for (std::size_t i = begin; i < range.level; ++i)
    bounds.push_back({.column = &walk.by(i), .beyond = equal, .value = &from.values[i]});
  const auto i = range.level;
  switch (range.beyond) {
    case Range::Beyond::at: break;
    case Range::Beyond::null: bounds.push_back({.column = &walk.by(i), .beyond = null}); break;
    case Range::Beyond::not_null: bounds.push_back({.column = &walk.by(i), .beyond = not_null}); break;
    case Range::Beyond::after:
      bounds.push_back(
          {.column = &walk.by(i), .beyond = walk.descending(i) ? less : greater, .value = &from.values[i]});
      break;
  }
  return bounds;
}

}  // namespace

bool Caller::sees_all_owners(const Table& table) const {
  return std::ranges::any_of(table.owner_except,
                             [&](auto& role) { return std::ranges::find(roles, role) != roles.end(); });
}

std::vector<Sort> total_order(const Table& table, std::vector<Sort> sort) {
  std::size_t missing = table.keys.size();
  for (std::size_t i = 0; i < sort.size(); ++i)
    if (table.is_key(sort[i].column) && --missing == 0) {
      sort.resize(i + 1);  // what stands behind the key changes nothing
      return sort;
    }
  const bool descending = !sort.empty() && sort.back().descending;
  for (auto key : table.keys)
    if (std::ranges::find(sort, key, &Sort::column) == sort.end()) sort.push_back({key, descending});
  return sort;
}

std::optional<std::vector<Statement>> list_statements(const Dialect& dialect, const Wanted& rows,
                                                      const Selection& selection, const Page& page,
                                                      std::optional<std::int64_t> most) {
  using enum Range::Beyond;
  const Walk walk{*rows.table, page.sort, page.from && page.from->backward};
  std::vector<Range> ranges;
  if (page.from)
    ranges = ranges_behind(walk, *page.from);
  else if (page.offset == 0 && walk.nullable(0) && dialect.nulls_first(page.sort[0].descending))
    ranges = {{not_null, 0}, {null, 0}};
  Asked asked{rows};
  if (!asked.add(rows)) return std::nullopt;
  asked.show_page(*rows.table, selection, page);
  auto& select = asked.select;
  select.most = most;
  std::vector<Statement> all;
  all.reserve(std::max<std::size_t>(ranges.size(), 1));
  if (ranges.empty() && !page.from) {
    select.order = walk.order(page.sort.size());
    all.push_back(dialect.select(select));
    return all;
  }
  static const Position kNowhere;
  for (auto& range : ranges) {
    const bool fixed = range.beyond == null;
    select.bounds = bounds_of(walk, page.from ? *page.from : kNowhere, range);
    select.order = walk.order(range.level);
    select.fixed = range.level + (fixed ? 1 : 0);
    all.push_back(dialect.select(select));
  }
  return all;
}

std::vector<std::size_t> key_places(const Table& table, const std::vector<Sort>& sort) {
  std::vector<std::size_t> places;
  places.reserve(table.keys.size());
  for (auto key : table.keys)
    places.push_back(static_cast<std::size_t>(std::ranges::find(sort, key, &Sort::column) - sort.begin()));
  return places;
}

std::optional<Statement> place_statement(const Dialect& dialect, const Wanted& rows, const std::vector<Sort>& sort,
                                         const std::vector<Cell>& key) {
  const auto& table = *rows.table;
  Asked asked{rows};
  if (!asked.composer.add_caller(asked.select.where, table)) return std::nullopt;
  for (std::size_t i = 0; i < table.keys.size(); ++i)
    asked.select.bounds.push_back(
        {.column = &table.columns[table.keys[i]], .beyond = Bound::Beyond::equal, .value = &key[i]});
  for (auto& by : sort) asked.select.places.push_back(&table.columns[by.column]);
  return dialect.select(asked.select);
}

std::optional<Statement> count_statement(const Dialect& dialect, const Wanted& rows) {
  Asked asked{rows};
  if (!asked.add(rows)) return std::nullopt;
  asked.select.count = true;
  return dialect.select(asked.select);
}

std::optional<Statement> row_statement(const Dialect& dialect, const Wanted& rows, const Selection& selection,
                                       std::optional<std::int64_t> most) {
  Asked asked{rows};
  if (!asked.add(rows)) return std::nullopt;
  asked.select.most = most;
  asked.show(*rows.table, selection);
  return dialect.select(asked.select);
}

std::optional<Statement> lock_statement(const Dialect& dialect, const Wanted& rows) {
  Asked asked{rows};
  if (!asked.add(rows)) return std::nullopt;
  for (auto key : rows.table->keys) asked.select.order.push_back({.column = &rows.table->columns[key]});
  asked.select.lock = true;
  return dialect.select(asked.select);
}

Statement rows_statement(const Dialect& dialect, const Table& table, const Selection& selection, std::int64_t limit) {
  return dialect.select(
      {.from = relation_of(table), .columns = columns_of(table, selection), .odd = true, .limit = limit});
}

Statement insert_statement(const Dialect& dialect, const Table& table, std::span<const std::optional<Cell>> cells,
                           const Selection& returning) {
  return insert_rows_statement(dialect, table, {&cells, 1}, returning);
}

Statement insert_rows_statement(const Dialect& dialect, const Table& table,
                                std::span<const std::span<const std::optional<Cell>>> rows, const Selection& returning,
                                database::Insert::Taken taken) {
  database::Insert insert{
      .into = relation_of(table), .rows = rows.size(), .taken = taken, .returning = columns_of(table, returning)};
  for (const auto& cells : rows)
    for (std::size_t i = 0; i < cells.size(); ++i)
      if (cells[i]) insert.values.push_back({.column = &table.columns[i], .value = &*cells[i]});
  return dialect.insert(insert);
}

std::optional<Statement> update_statement(const Dialect& dialect, const Wanted& rows,
                                          std::span<const std::optional<Cell>> cells, const Selection& returning) {
  const auto& table = *rows.table;
  Composer composer{rows.caller};
  database::Update update{.of = relation_of(table), .returning = columns_of(table, returning)};
  for (std::size_t i = 0; i < cells.size(); ++i)
    if (cells[i] && !table.is_key(i)) update.values.push_back({.column = &table.columns[i], .value = &*cells[i]});
  if (!composer.add(update.where, rows)) return std::nullopt;
  return dialect.update(update);
}

std::optional<Statement> file_statement(const Dialect& dialect, const Wanted& rows, const FileColumns& file,
                                        const std::optional<database::SelectFile::Piece>& piece) {
  Composer composer{rows.caller};
  database::SelectFile select{.from = relation_of(*rows.table), .bytes = &file.bytes, .digest = &file.digest};
  select.beside.push_back(&file.type);
  if (file.file_name) select.beside.push_back(&*file.file_name);
  if (file.in_folder()) {
    select.length = &*file.size;
    select.beside.push_back(&file.bytes);
  }
  select.piece = piece;
  if (!composer.add(select.where, rows)) return std::nullopt;
  return dialect.select_file(select);
}

std::optional<Statement> assign_statement(const Dialect& dialect, const Wanted& rows,
                                          std::span<const database::Assigned> values, const Selection& returning) {
  Composer composer{rows.caller};
  database::Update update{.of = relation_of(*rows.table), .returning = columns_of(*rows.table, returning)};
  update.values.assign(values.begin(), values.end());
  if (!composer.add(update.where, rows)) return std::nullopt;
  return dialect.update(update);
}

std::optional<Statement> delete_statement(const Dialect& dialect, const Wanted& rows) {
  Composer composer{rows.caller};
  database::Delete remove{.from = relation_of(*rows.table)};
  if (!composer.add(remove.where, rows)) return std::nullopt;
  return dialect.remove(remove);
}

std::vector<std::size_t> sort_places(const Table& table, const Selection& selection, const std::vector<Sort>& sort) {
  std::vector<std::size_t> places;
  auto next = width(selection);
  for (auto& by : sort) {
    const auto shown = std::ranges::find(selection.columns, by.column);
    places.push_back(beside(table, selection, by.column) ? next++
                                                         : static_cast<std::size_t>(shown - selection.columns.begin()));
  }
  return places;
}

namespace {

/// Columns known by name, as conditions need them.
std::vector<database::Column> named_columns(std::span<const Named> values) {
  std::vector<database::Column> columns;
  columns.reserve(values.size());
  for (auto& value : values) {
    columns.push_back(*value.like);
    columns.back().name = value.column;
    columns.back().compared = database::Compared::plain;
  }
  return columns;
}

void add_named(std::vector<database::Condition>& where, std::span<const database::Column> columns,
               std::span<const Named> values) {
  for (std::size_t i = 0; i < values.size(); ++i)
    where.push_back({.column = &columns[i], .values = {&values[i].value, 1}});
}

}  // namespace

Statement there_statement(const Dialect& dialect, std::string_view table, std::span<const Named> values) {
  const auto columns = named_columns(values);
  database::Select select{.from = {.name = table}};
  add_named(select.where, columns, values);
  return dialect.select(select);
}

std::optional<Statement> visible_statement(const Dialect& dialect, const Table& table, std::span<const Named> values,
                                           const Caller& caller) {
  const auto columns = named_columns(values);
  Composer composer{&caller};
  database::Select select{.from = relation_of(table)};
  add_named(select.where, columns, values);
  if (!composer.add_caller(select.where, table)) return std::nullopt;
  return dialect.select(select);
}

std::string query_identity(const Wanted& rows, const std::vector<Sort>& sort) {
  std::string identity = rows.table->name;
  for (auto& by : sort) (identity += by.descending ? " -" : " +") += rows.table->columns[by.column].name;
  const auto add = [&](const Cell& cell) {
    identity += '\0';
    std::visit(
        [&]<class T>(const T& value) {
          if constexpr (std::is_same_v<T, std::string>)
            (identity += std::to_string(value.size()) + ":") += value;
          else if constexpr (!std::is_same_v<T, std::monostate>)
            identity += std::to_string(value);
        },
        cell);
  };
  Composer composer{rows.caller};
  std::vector<database::Condition> where;
  (void)composer.add(where, rows);
  for (auto& condition : where) {
    ((identity += '\0') += condition.column->name) += condition.exact ? " is " : " ";
    identity += kOperatorNames[static_cast<std::size_t>(condition.op)];
    if (condition.op == Operator::is_null) identity += condition.negated ? " false" : " true";
    for (auto& value : condition.values) add(value);
  }
  if (!rows.search.empty()) {
    identity += std::string_view("\0q", 2);
    add(rows.search);
  }
  return identity;
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

namespace {

/// Rows behind a bound meet this condition all the same: those of the position do.
bool is_implied(const database::Condition& condition, std::span<const Bound> bounds) {
  return std::ranges::any_of(bounds, [&](const Bound& bound) {
    if (bound.column != condition.column) return false;
    const bool least = condition.op == Operator::gt || condition.op == Operator::ge;
    const bool most = condition.op == Operator::lt || condition.op == Operator::le;
    switch (bound.beyond) {
      case Bound::Beyond::equal: return least || most;
      case Bound::Beyond::greater: return least;
      case Bound::Beyond::less: return most;
      case Bound::Beyond::null:
      case Bound::Beyond::not_null: break;
    }
    return false;
  });
}

/// The ranges that a walk of an index reads one after the other; empty: one, of all rows.
std::vector<Range> ranges_walked(const Dialect& dialect, const Walk& walk, const Page& page, const AccessPlan& plan) {
  using enum Range::Beyond;
  std::vector<Range> ranges;
  if (page.from && !page.from->values.empty()) {
    for (auto& range : ranges_behind(walk, *page.from))
      if (range.level >= plan.level) ranges.push_back(range);
  } else if (page.offset == 0 && plan.level < page.sort.size() && walk.nullable(plan.level) &&
             dialect.nulls_first(walk.descending(plan.level)) != walk.backward) {
    ranges = {{not_null, plan.level}, {Range::Beyond::null, plan.level}};
    if (walk.backward) std::ranges::reverse(ranges);
  }
  return ranges;
}

}  // namespace

std::optional<std::vector<Statement>> planned_statements(const Dialect& dialect, const Wanted& rows,
                                                         const Selection& selection, const Page& page,
                                                         const AccessPlan& plan) {
  using Way = AccessPlan::Way;
  const Walk walk{*rows.table, page.sort, page.from && page.from->backward};
  Asked asked{rows};
  if (!asked.add(rows)) return std::nullopt;
  asked.show_page(*rows.table, selection, page);
  auto& select = asked.select;
  for (std::size_t i = 0; i < select.where.size(); ++i) select.where[i].aside = (plan.indexed >> i & 1) == 0;
  database::AccessPath path{.numbered = plan.way != Way::walk, .sorted = plan.way == Way::range, .words = plan.words};
  select.path = &path;
  asked.search.aside = !plan.words;
  std::vector<database::Condition> each, rest;
  if (plan.merged) {
    for (std::size_t i = 0; i < select.where.size(); ++i)
      (plan.merged >> i & 1 ? each : rest).push_back(std::move(select.where[i]));
    select.where = std::move(rest);
  }
  path.each = each;
  const auto is_equal = [&](const database::Column* column) {
    return std::ranges::any_of(select.where, [&](const database::Condition& condition) {
      return condition.column == column &&
             (condition.op == Operator::eq || (condition.op == Operator::is_null && !condition.negated));
    });
  };
  // A column in which all rows are equal orders none.
  const auto order = [&](std::size_t plain, std::size_t fixed) {
    select.order = walk.order(plain);
    for (auto i = plan.order; i < select.order.size(); ++i) select.order[i].aside = true;
    select.order.erase(select.order.begin(), select.order.begin() + static_cast<std::ptrdiff_t>(fixed));
    std::erase_if(select.order, [&](const Order& by) { return is_equal(by.column); });
  };
  const bool placed = page.from && !page.from->values.empty();
  const auto ranges = ranges_walked(dialect, walk, page, plan);
  std::vector<Statement> all;
  static const Position kNowhere;
  const auto& from = placed ? *page.from : kNowhere;
  if (plan.way == Way::range) {
    if (placed && ranges.empty()) return all;
    if (placed)
      for (auto& range : ranges) path.behind.push_back(bounds_of(walk, from, range, plan.level));
    order(page.sort.size(), plan.level);
    all.push_back(dialect.select(select));
    return all;
  }
  if (ranges.empty() && !placed) {
    order(page.sort.size(), plan.level);
    all.push_back(dialect.select(select));
    return all;
  }
  const auto conditions = select.where;
  for (auto& range : ranges) {
    select.bounds = bounds_of(walk, from, range, plan.level);
    select.where = conditions;
    for (auto& condition : select.where) condition.aside |= is_implied(condition, select.bounds);
    for (auto i = plan.order - std::min(plan.order, plan.level); i < select.bounds.size(); ++i)
      select.bounds[i].aside = true;
    order(range.level, range.level + (range.beyond == Range::Beyond::null ? 1 : 0));
    all.push_back(dialect.select(select));
  }
  return all;
}

std::optional<Statement> beyond_statement(const Dialect& dialect, const Wanted& rows, const AccessPlan& plan,
                                          std::int64_t count) {
  Asked asked{rows};
  if (!asked.add(rows)) return std::nullopt;
  auto& select = asked.select;
  std::size_t i = 0;
  std::erase_if(select.where, [&](const database::Condition&) { return (plan.indexed >> i++ & 1) == 0; });
  if (!plan.words) select.search = nullptr;
  const database::AccessPath path{.words = plan.words, .counted = true};
  select.path = &path;
  select.limit = 1;
  select.offset = count;
  return dialect.select(select);
}

std::optional<Statement> next_value_statement(const Dialect& dialect, const Wanted& rows, const Sort& by,
                                              const std::optional<Cell>& after) {
  const auto& column = rows.table->columns[by.column];
  Asked asked{rows};
  if (!asked.composer.add_caller(asked.select.where, *rows.table)) return std::nullopt;
  auto& select = asked.select;
  select.places = {&column};
  select.order = {{.column = &column, .descending = by.descending}};
  using enum Bound::Beyond;
  select.bounds = {after ? Bound{.column = &column, .beyond = by.descending ? less : greater, .value = &*after}
                         : Bound{.column = &column, .beyond = not_null}};
  select.limit = 1;
  return dialect.select(select);
}

}  // namespace plimsoll::table
