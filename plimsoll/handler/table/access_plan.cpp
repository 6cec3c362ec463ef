#include "plimsoll/handler/table/access_plan.hpp"

#include "plimsoll/base/letters.hpp"
#include "plimsoll/handler/table/indexes.hpp"

#include <algorithm>
#include <atomic>
#include <bit>

namespace plimsoll::table {
namespace {

using database::Cell;
using Way = AccessPlan::Way;
using Conditions = std::uint64_t;

constexpr std::int64_t kStepsOfRow = 16;  ///< of SQLite's virtual machine, for a row of a page
constexpr std::size_t kMostMerged = 16;   ///< combinations of values of `in` that are walked one by one
constexpr std::int64_t kLargeGroup = 2;   ///< pages of rows; those of smaller groups are sorted as they are walked
constexpr std::size_t kFewGroups = 12;    ///< that are walked before all else has been counted
constexpr std::size_t kMostGroups = 64;   ///< values of the first column of an order that are walked one by one
constexpr std::int64_t kStepsWhereItStands = 20'000;

constexpr std::int64_t kFew = 100;  ///< rows equal in a filter, or with words, that are read without a try at the order
constexpr std::int64_t kFirstTry = 3;    ///< pages that a walk may cost before anything is counted
constexpr std::int64_t kFirstMerge = 9;  ///< the same of merged ranges, which give no row before they have all

/// One round of the choice, in pages: what a walk may be expected to cost, and how many rows a range may have. Each
/// round costs several times the one before, so that all of them cost little more than the last.
struct Round {
  std::int64_t walk, range;
};
constexpr Round kRounds[] = {{12, 28}, {40, 96}, {160, 320}, {640, 1'280}};
constexpr std::size_t kAllRounds = std::size(kRounds);

std::atomic<int> forced_way{-1};
std::array<std::atomic<std::uint64_t>, kAccessWays> counted{};

constexpr Conditions bit(std::size_t i) { return Conditions{1} << i; }

}  // namespace

void force_access(std::optional<Way> way) noexcept {
  forced_way.store(way ? static_cast<int>(*way) : -1, std::memory_order_relaxed);
}

std::array<std::uint64_t, kAccessWays> access_counts() noexcept {
  std::array<std::uint64_t, kAccessWays> now{};
  for (std::size_t i = 0; i < kAccessWays; ++i) now[i] = counted[i].load(std::memory_order_relaxed);
  return now;
}

void note_indexes(const database::Dialect& dialect, Table& table, const database::FoundTable& found) {
  table.present.clear();
  table.numbered = false;
  if (dialect.has_statistics() || found.view) return;
  // A column of that name hides the number.
  table.numbered = !found.rowless && std::ranges::none_of(found.columns, [](auto& column) {
    return same_as_lower(column.name, "_rowid_");
  });
  const bool with_key = end_with_key(dialect, table, found);
  for (auto& index : found.indexes) {
    PresentIndex made{.ends_with_key = with_key && index.whole};
    for (std::size_t i = 0; i < index.columns.size(); ++i) {
      const auto column = table.column(index.columns[i]);
      if (!column || table.columns[*column].compared != database::Compared::plain) {
        made.ends_with_key = false;
        break;
      }
      made.columns.push_back(*column);
      made.descending.push_back(index.descending[i]);
    }
    if (!made.columns.empty()) table.present.push_back(std::move(made));
  }
}

AccessPlanner::AccessPlanner(const database::Dialect& dialect, const Wanted& rows, const Page& page, std::size_t level)
    : dialect_(dialect), rows_(rows), page_(page), level_(level) {
  const auto& table = *rows.table;
  if (!table.numbered || table.present.empty()) return;
  if (rows.conditions.empty() && rows.search.empty() && page.sort.size() <= 1) return;
  const auto add = [&](std::size_t column, const Condition* condition) {
    using enum Fact::Kind;
    if (count_ < kMostFacts) {
      auto& fact = facts_[count_] = {.kind = equal, .values = 0, .column = column};
      const auto& held = table.columns[column];
      if (condition) switch (condition->op) {
          case Operator::eq: break;
          case Operator::is_null: fact.kind = condition->negated ? other : equal; break;
          case Operator::in:
            fact.kind = several;
            // Values that are told apart where they are compared, so that no row is walked twice.
            if (condition->values.size() <= kMostMerged && !held.foreign && !page.offset &&
                (held.kind == Kind::text || held.kind == Kind::integer || held.kind == Kind::boolean))
              fact.values = static_cast<std::uint8_t>(condition->values.size());
            break;
          case Operator::lt:
          case Operator::le:
          case Operator::gt:
          case Operator::ge: fact.kind = range; break;
          case Operator::ne:
          case Operator::like: fact.kind = other; break;
        }
      if (held.compared != database::Compared::plain) fact.kind = other;
    }
    ++count_;
  };
  if (table.tenant) add(*table.tenant, nullptr);
  if (table.owner && !(rows.caller && rows.caller->sees_all_owners(table))) add(*table.owner, nullptr);
  for (auto& condition : rows.conditions) add(condition.column, &condition);
  if (count_ > kMostFacts) return;
  choose_walk();
  const auto all = bit(count_) - 1;
  const auto is_range = [](auto& fact) { return fact.kind == Fact::Kind::range; };
  const bool bounded = page.from && std::ranges::any_of(facts(), is_range);
  if (whole_ && walk_.indexed == all && walk_.way == Way::walk && rows.search.empty() && !bounded) return;
  find_ranges();
  open_ = true;
}

AccessPlanner::Served AccessPlanner::served_by(const PresentIndex& index, bool merges) const {
  using enum Fact::Kind;
  Served served;
  const auto facts = this->facts();
  const auto use = [&](std::size_t column, Fact::Kind kind) {
    bool any = false;
    for (std::size_t i = 0; i < facts.size(); ++i)
      if (facts[i].column == column && facts[i].kind == kind) served.used |= bit(i), any = true;
    return any;
  };
  const auto fixed = [&](std::size_t column) {
    return std::ranges::any_of(facts, [&](auto& fact) { return fact.column == column && fact.kind == equal; });
  };
  const auto sorted = [&](std::size_t column) {
    return std::ranges::find(page_.sort, column, &Sort::column) != page_.sort.end();
  };
  std::size_t at = 0, combinations = 1;
  for (; at < index.columns.size(); ++at) {
    const auto column = index.columns[at];
    if (use(column, equal)) continue;
    if (!merges || sorted(column)) break;
    const auto in = std::ranges::find_if(facts, [&](auto& fact) { return fact.column == column && fact.values; });
    if (in == facts.end() || (combinations *= in->values) > kMostMerged) break;
    served.merged |= bit(static_cast<std::size_t>(in - facts.begin()));
  }
  served.used |= served.merged;
  std::optional<bool> reversed;
  const auto turns = [&](bool one) {
    if (reversed && *reversed != one) return true;
    reversed = one;
    return false;
  };
  const auto begin = at;
  for (auto& by : page_.sort) {
    if (!fixed(by.column)) {
      if (at < index.columns.size() && index.columns[at] == by.column) {
        if (turns(index.descending[at] != by.descending)) break;
        if (at == begin) use(by.column, range);
        ++at;
      } else if (at < index.columns.size() || !index.ends_with_key || !rows_.table->is_key(by.column) ||
                 turns(by.descending)) {
        break;
      }
    }
    ++served.order;
  }
  served.whole = served.order == page_.sort.size();
  return served;
}

void AccessPlanner::choose_walk() {
  Served best, unmerged;
  const auto better = [](const Served& one, const Served& than) {
    if (one.whole != than.whole) return one.whole;
    if (!one.whole && one.order != than.order) return one.order > than.order;
    const auto used = std::popcount(one.used), before = std::popcount(than.used);
    return used != before ? used > before : std::popcount(one.merged) < std::popcount(than.merged);
  };
  const bool several = std::ranges::any_of(facts(), [](auto& fact) { return fact.values != 0; });
  for (auto& index : rows_.table->present)
    for (const bool merges : {false, true}) {
      if (merges && !several) break;
      const auto one = served_by(index, merges);
      if (merges && !(one.merged && one.whole)) continue;
      if (better(one, best)) best = one;
      if (!merges && better(one, unmerged)) unmerged = one;
    }
  walk_ = {.way = best.merged ? Way::merge : Way::walk,
           .indexed = best.used,
           .merged = best.merged,
           .order = best.order,
           .level = level_};
  unmerged_ = {.indexed = unmerged.used, .order = unmerged.order, .level = level_};
  whole_ = best.whole;
}

std::uint64_t AccessPlanner::entered_by(const PresentIndex& index) const {
  using enum Fact::Kind;
  Conditions used = 0;
  for (auto column : index.columns) {
    Conditions equals = 0, more = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      if (facts_[i].column != column) continue;
      if (facts_[i].kind == equal) equals |= bit(i);
      if (facts_[i].kind == range || facts_[i].kind == several) more |= bit(i);
    }
    used |= equals ? equals : more;
    if (!equals) break;
  }
  return used;
}

void AccessPlanner::find_ranges() {
  const auto add = [&](AccessPlan plan) {
    if (range_count_ < kMostRanges) ranges_[range_count_++] = plan;
  };
  for (auto& index : rows_.table->present) {
    const auto used = entered_by(index);
    // A walk that enters by the same conditions reads the same rows, in their order.
    if (used == 0 || (whole_ && (used & ~walk_.indexed) == 0)) continue;
    const auto ranges = std::span(ranges_).first(range_count_);
    const auto covers = [&](const AccessPlan& one) { return !one.words && (used & ~one.indexed) == 0; };
    if (std::ranges::any_of(ranges, covers)) continue;
    const auto narrower =
        std::ranges::find_if(ranges, [&](const AccessPlan& one) { return !one.words && (one.indexed & ~used) == 0; });
    if (narrower != ranges.end())
      narrower->indexed = used;
    else
      add({.way = Way::range, .indexed = used, .level = level_});
  }
  // The walk itself, where it reads few rows in all.
  if (whole_ && (walk_.indexed & ~of_caller())) add(walk_);
  if (!rows_.search.empty()) add({.way = Way::range, .words = true, .level = level_});
}

std::vector<AccessPlan> AccessPlanner::ways() const {
  std::vector<AccessPlan> all{walk_};
  if (walk_.merged) all.push_back(unmerged_);
  all.insert(all.end(), ranges_.begin(), ranges_.begin() + static_cast<std::ptrdiff_t>(range_count_));
  return all;
}

std::vector<std::vector<std::size_t>> AccessPlanner::missing_indexes() const {
  using enum Fact::Kind;
  std::vector<std::size_t> equals;
  const auto once = [](std::vector<std::size_t>& into, std::size_t column) {
    if (std::ranges::find(into, column) == into.end()) into.push_back(column);
  };
  for (auto& fact : facts())
    if (fact.kind == equal) once(equals, fact.column);
  std::size_t combinations = 1;
  for (auto& fact : facts())
    if (fact.values && combinations * fact.values <= kMostMerged &&
        std::ranges::find(page_.sort, fact.column, &Sort::column) == page_.sort.end()) {
      combinations *= fact.values;
      once(equals, fact.column);
    }
  std::vector<std::vector<std::size_t>> all{equals};
  for (auto& by : page_.sort) once(all[0], by.column);
  // Where rows are equal in something, those of them that are in a range as well may be few.
  const auto bounded = std::ranges::find(facts(), range, &Fact::kind);
  if (bounded != facts().end() && !equals.empty()) once(all.emplace_back(equals), bounded->column);
  std::erase_if(all, [&](auto& columns) { return has_index(columns); });
  return all;
}

bool AccessPlanner::has_index(const std::vector<std::size_t>& columns) const {
  return std::ranges::any_of(rows_.table->present, [&](const PresentIndex& index) {
    auto whole = index.columns;
    if (index.ends_with_key) whole.insert(whole.end(), rows_.table->keys.begin(), rows_.table->keys.end());
    return whole.size() >= columns.size() && std::equal(columns.begin(), columns.end(), whole.begin());
  });
}

/// What one read works with, and what it puts back where an attempt is broken off.
struct AccessPlanner::Attempt {
  database::Database& database;
  Loop& loop;
  const Selection& selection;
  const database::Reading& reading;
  PageRows& rows;
  PageRows::Mark mark = rows.mark();
  AccessPlan walk{};
  bool wide = false;                  ///< what the first round allows was not enough
  std::int64_t found = 0;             ///< rows, of the last attempt that was broken off
  std::int64_t expected = INT64_MAX;  ///< steps that the walk would take in all, as far as a try has shown
};

/// False: it was broken off after `steps`; 0: any number.
Task<Result<bool>> AccessPlanner::attempt(Attempt& at, AccessPlan plan, std::int64_t steps) const {
  auto statements = plan.way == Way::own ? list_statements(dialect_, rows_, at.selection, page_)
                                         : planned_statements(dialect_, rows_, at.selection, page_, plan);
  at.rows.rewind(at.mark);
  if (!statements) co_return true;
  auto reading = at.reading;
  reading.steps = steps;
  reading.quick = reading.quick && steps <= kStepsWhereItStands;
  const auto budget = reading.budget ? *reading.budget : database::ReadBudget{};
  auto done = co_await read_page(at.database, at.loop, std::move(*statements), page_, reading, at.rows);
  if (!done && steps > 0 && done.error().problem == &database::kOverBudget) {
    if (reading.budget) *reading.budget = budget;
    at.found = std::ssize(at.rows.ends) - static_cast<std::int64_t>(at.mark.rows);
    co_return false;
  }
  if (!done) co_return std::unexpected(std::move(done).error());
  counted[static_cast<std::size_t>(plan.way)].fetch_add(1, std::memory_order_relaxed);
  co_return true;
}

namespace {

/// Whether there was a row.
class Any final : public database::RowSink {
 public:
  void begin() override { any = false; }
  bool row(std::span<const database::Field>) override { return any = true, false; }
  bool any = false;
};

}  // namespace

Task<Result<bool>> AccessPlanner::is_within(Attempt& at, const AccessPlan& range, std::int64_t count) const {
  const auto statement = beyond_statement(dialect_, rows_, range, count);
  if (!statement) co_return true;
  auto reading = at.reading;
  reading.steps = 4 * count + 1'000;  // of an index; without one the range is taken for a wide one
  reading.quick = reading.quick && reading.steps <= kStepsWhereItStands;
  reading.budget = nullptr;
  Any beyond;
  auto done = co_await at.database.read(at.loop, statement->sql, statement->cells, reading, beyond);
  if (!done && done.error().problem == &database::kOverBudget) co_return false;
  if (!done) co_return std::unexpected(std::move(done).error());
  co_return !beyond.any;
}

Task<Result<std::optional<AccessPlan>>> AccessPlanner::narrow_range(Attempt& at, std::int64_t count) const {
  for (auto& range : std::span(ranges_).first(range_count_)) {
    auto within = co_await is_within(at, range, range.words ? count / 3 : count);  // of which each row costs more
    if (!within) co_return std::unexpected(std::move(within).error());
    if (*within) co_return range;
  }
  co_return std::optional<AccessPlan>{};
}

Task<Result<bool>> AccessPlanner::forced(Attempt& at, Way way) const {
  auto plan = walk_;
  if (way == Way::own) plan.way = Way::own;
  if (way == Way::range && range_count_ > 0) plan = ranges_[range_count_ - 1];
  if (way == Way::walk && walk_.merged) plan = unmerged_;
  if (way == Way::groups && has_groups()) {
    auto grouped = co_await read_groups(at, 0, kAllRounds + 1);
    if (!grouped || *grouped) co_return grouped;
  }
  auto done = co_await attempt(at, plan, 0);
  co_return done;
}

Task<Result<>> AccessPlanner::read(database::Database& database, Loop& loop, const Selection& selection,
                                   const database::Reading& reading, PageRows& rows) {
  Attempt at{database, loop, selection, reading, rows};
  const auto way = forced_way.load(std::memory_order_relaxed);
  auto done = way >= 0 ? co_await forced(at, static_cast<Way>(way)) : co_await choose(at, 0, kAllRounds + 1);
  wide_ = at.wide;
  if (!done) co_return std::unexpected(std::move(done).error());
  co_return Result<>{};
}

Task<Result<bool>> AccessPlanner::try_walk(Attempt& at, std::int64_t steps) const {
  auto done = co_await attempt(at, at.walk, steps);
  const auto wanted = page_.offset + page_.limit - static_cast<std::int64_t>(at.mark.rows);
  if (done && !*done) at.expected = at.found > 0 ? steps * wanted / at.found : INT64_MAX;
  co_return done;
}

/// The first try of the walk, and where values of `in` are merged, which costs more for each row and enters by fewer of
/// them, of that without: it goes on where it has found rows, and says then what it would cost.
Task<Result<bool>> AccessPlanner::try_walks(Attempt& at, std::int64_t page) const {
  at.walk = walk_;
  auto done = co_await try_walk(at, (walk_.merged ? kFirstMerge : kFirstTry) * page);
  if (!done || *done || !walk_.merged) co_return done;
  at.walk = unmerged_;
  done = co_await try_walk(at, kFirstTry * page);
  if (!done || *done || at.expected < INT64_MAX) co_return done;
  at.walk = walk_;
  co_return done;
}

/// False: no way costs as little as the rounds before `rounds` allow, and nothing is read.
Task<Result<bool>> AccessPlanner::choose(Attempt& at, std::size_t first, std::size_t rounds) const {
  const auto ranges = std::span(ranges_).first(range_count_);
  bool groups = has_groups();
  at.walk = walk_;
  if (ranges.empty() && !groups) {
    auto done = co_await attempt(at, walk_, 0);
    co_return done;
  }
  const auto page = (page_.offset + page_.limit) * kStepsOfRow;
  constexpr AccessPlan kOwn{.way = Way::own};
  const auto is_equal = [&](const AccessPlan& range) {
    for (std::size_t i = 0; i < count_; ++i)
      if ((range.indexed & bit(i)) && facts_[i].kind != Fact::Kind::equal) return false;
    return range.indexed != 0;
  };
  for (const auto& range : ranges) {
    if (!is_equal(range) && !range.words && !walk_.merged) continue;
    auto few = co_await is_within(at, range, kFew);
    if (few && *few) few = co_await attempt(at, range, 0);
    if (!few || *few) co_return few;
  }
  if (walk_.order > level_) {
    auto done = co_await try_walks(at, page);
    if (!done || *done) co_return done;
  }
  if (groups) {
    auto large = co_await has_large_groups(at);
    if (!large) co_return std::unexpected(std::move(large).error());
    groups = *large;
    if (groups) at.expected = INT64_MAX;  // it says what sorting the first of them costs
  }
  for (auto round = first; round < std::min(rounds, kAllRounds); ++round) {
    if (const auto steps = kRounds[round].walk * page; at.expected <= steps) {
      auto done = co_await try_walk(at, steps + steps / 3);
      if (!done || *done) co_return done;
    }
    at.wide |= round > 0;
    if (round > 0 && level_ == 0) {
      auto done = co_await attempt(at, kOwn, kRounds[round].walk * page);
      if (!done || *done) co_return done;
    }
    auto narrow = co_await narrow_range(at, kRounds[round].range * page / kStepsOfRow);
    if (!narrow) co_return std::unexpected(std::move(narrow).error());
    if (*narrow) {
      auto done = co_await attempt(at, **narrow, 0);
      co_return done;
    }
    if (groups) {
      auto done = co_await read_groups(at, round, round + 1);
      if (!done || *done) co_return done;
    } else if (round > 0 && at.expected == INT64_MAX && walk_.order > level_) {
      // Nothing yet, and perhaps all of it further on.
      auto done = co_await try_walk(at, kRounds[round].walk * page);
      if (!done || *done) co_return done;
    }
  }
  if (rounds <= kAllRounds) co_return false;
  if (groups) {
    auto done = co_await read_groups(at, kAllRounds, kAllRounds + 1);
    if (!done || *done) co_return done;
  }
  auto done = co_await attempt(at, level_ == 0 ? kOwn : at.walk, 0);
  co_return done;
}

/// The value of the first column of the order in the group to begin with; null: the group of nulls. Nothing: there is
/// none.
Task<Result<std::optional<Cell>>> AccessPlanner::next_group(Attempt& at, const std::optional<Cell>& after) const {
  const auto& by = page_.sort[level_];
  const auto& column = rows_.table->columns[by.column];
  const bool backward = page_.from && page_.from->backward;
  const bool nullable = !column.required || column.foreign;
  const bool was_null = after && after->index() == 0;
  // Nulls come last, and backward first.
  if (!after && nullable && backward) co_return Cell{};
  if (was_null && !backward) co_return std::optional<Cell>{};
  const auto statement = next_value_statement(dialect_, rows_, {by.column, by.descending != backward},
                                              was_null ? std::optional<Cell>{} : after);
  if (!statement) co_return std::optional<Cell>{};
  auto reading = at.reading;
  reading.budget = nullptr;
  database::RowKeeper kept;
  auto found = co_await at.database.read(at.loop, statement->sql, statement->cells, reading, kept);
  if (!found) co_return std::unexpected(std::move(found).error());
  if (!kept.rows.empty()) co_return kept.rows[0][0];
  co_return nullable && !backward && !was_null ? std::optional<Cell>{Cell{}} : std::nullopt;
}

Task<Result<std::optional<Cell>>> AccessPlanner::first_group(Attempt& at) const {
  if (page_.from && !page_.from->values.empty()) co_return page_.from->values[level_];
  auto first = co_await next_group(at, {});
  co_return first;
}

Wanted AccessPlanner::in_group(const Cell& value) const {
  auto wanted = rows_;
  auto& condition = wanted.conditions.emplace_back();
  condition.column = page_.sort[level_].column;
  condition.op = value.index() == 0 ? Operator::is_null : Operator::eq;
  if (value.index() != 0) condition.values.push_back(value);
  return wanted;
}

Task<Result<bool>> AccessPlanner::has_large_groups(Attempt& at) const {
  auto first = co_await first_group(at);
  if (!first) co_return std::unexpected(std::move(first).error());
  if (!*first) co_return false;
  const auto wanted = in_group(**first);
  AccessPlanner inner{dialect_, wanted, page_, level_ + 1};
  AccessPlan group{.way = Way::range, .indexed = bit(inner.count_ - 1) | inner.of_caller()};
  auto small = co_await inner.is_within(at, group, kLargeGroup * (page_.offset + page_.limit));
  if (!small) co_return small;
  co_return !*small;
}

/// One list for each value of the first column of the order. False: they cost more than so many rounds, or are too
/// many, and nothing is read.
Task<Result<bool>> AccessPlanner::read_groups(Attempt& at, std::size_t first, std::size_t rounds) const {
  at.rows.rewind(at.mark);
  auto page = page_;
  auto value = co_await first_group(at);
  for (std::size_t groups = 0; value && *value; ++groups) {
    if (groups == kMostGroups) co_return false;
    // So few rows in each that there will be too many of them.
    const auto found = static_cast<std::size_t>(std::ssize(at.rows.ends)) - at.mark.rows;
    if (rounds <= kAllRounds && groups > 1 && found * kFewGroups < groups * static_cast<std::size_t>(page_.limit))
      co_return false;
    const auto wanted = in_group(**value);
    AccessPlanner inner{dialect_, wanted, page, level_ + 1};
    at.rows.next_range();
    Attempt within{at.database, at.loop, at.selection, at.reading, at.rows};
    auto done = co_await inner.choose(within, first, rounds);
    if (!done || !*done) co_return done;
    if (at.rows.more) break;
    page.from.reset();
    if (page_.from && page_.from->backward) page.from = Position{.values = {}, .backward = true};
    value = co_await next_group(at, **value);
  }
  if (!value) co_return std::unexpected(std::move(value).error());
  counted[static_cast<std::size_t>(Way::groups)].fetch_add(1, std::memory_order_relaxed);
  co_return true;
}

}  // namespace plimsoll::table
