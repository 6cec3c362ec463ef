#pragma once

#include "plimsoll/database/dialect.hpp"
#include "plimsoll/handler/table/page_rows.hpp"
#include "plimsoll/handler/table/statement.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

/// How the rows of a list are reached on a database that keeps no statistics to decide by: chosen for each request, by
/// counting ranges of indexes up to a bound (docs/design/lists.md).
namespace plimsoll::table {

/// One way to the rows of a page. Conditions are those of the caller (tenant, owner), then those of `Wanted`.
struct AccessPlan {
  enum class Way : std::uint8_t {
    own,     ///< as the database chooses, without a look at the values asked for: `list_statements`
    walk,    ///< an index in the order asked for, from the position on, until the page is full
    range,   ///< all rows of one range of an index, which are sorted
    merge,   ///< one walk for each value of `in`, or each combination of several, merged by the order
    groups,  ///< one list for each value of the first column of the order
  };
  Way way = Way::walk;
  std::uint64_t indexed = 0;  ///< a bit for each condition by which an index is entered
  std::uint64_t merged = 0;   ///< merge: the conditions of these whose values are walked one by one
  bool words = false;         ///< range: the rows that the index of `q` finds
  std::size_t order = 0;      ///< columns of the order that its index gives
  std::size_t level = 0;      ///< the first columns of the order in which all rows of this read are equal
};
inline constexpr std::size_t kAccessWays = 5;
inline constexpr std::string_view kAccessWords[kAccessWays] = {"own", "walk", "range", "merge", "groups"};

/// The statements of a page by a plan, as `list_statements` gives them. Nothing when the caller can have no rows.
std::optional<std::vector<Statement>> planned_statements(const database::Dialect& dialect, const Wanted& rows,
                                                         const Selection& selection, const Page& page,
                                                         const AccessPlan& plan);
/// Gives a row where the range of a plan has more than `count` rows, however they meet the other conditions.
std::optional<Statement> beyond_statement(const database::Dialect& dialect, const Wanted& rows, const AccessPlan& plan,
                                          std::int64_t count);
/// The next value of a column behind `after` (nothing: the first) among the rows that the caller sees, filters aside;
/// no null. Nothing when the caller can have no rows.
std::optional<Statement> next_value_statement(const database::Dialect& dialect, const Wanted& rows, const Sort& by,
                                              const std::optional<database::Cell>& after);

/// Notes in a table which indexes of it rows can be reached by; nothing for a database that chooses by itself.
void note_indexes(const database::Dialect& dialect, Table& table, const database::FoundTable& found);

/// The choice for one page. Reads nothing before `read`, and costs no allocation where there is nothing to choose.
class AccessPlanner {
 public:
  AccessPlanner(const database::Dialect& dialect, const Wanted& rows, const Page& page, std::size_t level = 0);

  /// There is something to choose: else the statements of `list_statements` are as good as any.
  bool open() const noexcept { return open_; }
  /// Reads the page, by whichever way turns out to be cheap: an attempt that takes more steps than another way could
  /// is broken off, and the page begun anew. Gives the rows, the order and the errors of `read_page`.
  Task<Result<>> read(database::Database& database, Loop& loop, const Selection& selection,
                      const database::Reading& reading, PageRows& rows);
  /// The ways that it chooses from, but for groups and what the database chooses itself.
  std::vector<AccessPlan> ways() const;
  /// What was read cost much more than a page: no index serves it.
  bool wide() const noexcept { return wide_; }
  /// The columns of indexes that are not there and of which one makes the list cheap, if any can: one gives the rows
  /// that meet the conditions by equality in the order, another has the narrowest range of the first condition that
  /// bounds a column as well.
  std::vector<std::vector<std::size_t>> missing_indexes() const;

 private:
  struct Attempt;
  struct Served {
    std::uint64_t used = 0;
    std::uint64_t merged = 0;
    std::size_t order = 0;  ///< columns of the order that the index gives
    bool whole = false;     ///< all of them
  };
  Served served_by(const PresentIndex& index, bool merges) const;
  std::uint64_t entered_by(const PresentIndex& index) const;
  bool has_index(const std::vector<std::size_t>& columns) const;
  /// An index gives the order of the first column, and not that of all.
  bool has_groups() const noexcept {
    return !whole_ && page_.offset == 0 && level_ + 1 < page_.sort.size() && walk_.order > level_ &&
           count_ < kMostFacts;
  }
  void choose_walk();
  void find_ranges();

  Task<Result<bool>> attempt(Attempt& at, AccessPlan plan, std::int64_t steps) const;
  Task<Result<bool>> is_within(Attempt& at, const AccessPlan& range, std::int64_t count) const;
  Task<Result<std::optional<AccessPlan>>> narrow_range(Attempt& at, std::int64_t count) const;
  Task<Result<bool>> try_walk(Attempt& at, std::int64_t steps) const;
  Task<Result<bool>> try_walks(Attempt& at, std::int64_t page) const;
  Task<Result<bool>> choose(Attempt& at, std::size_t first, std::size_t rounds) const;
  Task<Result<bool>> read_groups(Attempt& at, std::size_t first, std::size_t rounds) const;
  Task<Result<bool>> has_large_groups(Attempt& at) const;
  Task<Result<std::optional<database::Cell>>> first_group(Attempt& at) const;
  Task<Result<std::optional<database::Cell>>> next_group(Attempt& at, const std::optional<database::Cell>& after) const;
  Wanted in_group(const database::Cell& value) const;
  Task<Result<bool>> forced(Attempt& at, AccessPlan::Way way) const;
  /// The conditions that say which rows the caller has.
  std::uint64_t of_caller() const noexcept { return (std::uint64_t{1} << (count_ - rows_.conditions.size())) - 1; }

  static constexpr std::size_t kMostFacts = 16, kMostRanges = 4;
  struct Fact {
    enum class Kind : std::uint8_t { equal, several, range, other } kind;
    std::uint8_t values;  ///< of `in`, as many as can be walked one by one; 0: they cannot
    std::size_t column;
  };
  const database::Dialect& dialect_;
  const Wanted& rows_;
  const Page& page_;
  const std::size_t level_;
  std::array<Fact, kMostFacts> facts_{};
  std::size_t count_ = 0;
  std::span<const Fact> facts() const noexcept { return std::span(facts_).first(count_); }
  AccessPlan walk_{}, unmerged_{};  ///< the best walk, and the best that merges nothing
  bool whole_ = false, open_ = false, wide_ = false;
  std::array<AccessPlan, kMostRanges> ranges_{};
  std::size_t range_count_ = 0;
};

/// For tests: pages are read by this way where it exists, else by walking; nothing: as it is chosen.
void force_access(std::optional<AccessPlan::Way> way) noexcept;
/// How many pages were read by each way, since the process began.
std::array<std::uint64_t, kAccessWays> access_counts() noexcept;

}  // namespace plimsoll::table
