#pragma once

#include "plimsoll/base/function_ref.hpp"
#include "plimsoll/database/versions.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace plimsoll {
class Loop;
}

namespace plimsoll::database {

inline constexpr Problem kUnavailable{"database-unavailable", 503, "The database is not available", "Ask again later.",
                                      true};
inline constexpr Problem kConflict{"conflict", 409, "The data says otherwise",
                                   "Read the current state and decide anew."};

using Cell = std::variant<std::monostate, std::int64_t, double, std::string>;
using Rows = std::vector<std::vector<Cell>>;

/// Statements inside a transaction that somebody else begins and ends. On PostgreSQL a query waits on the I/O thread;
/// on SQLite it is answered at once, on the writer's thread. Whoever writes the statements does not see the difference.
/// Parameters are `?` in order; statements are prepared once and kept.
class Session {
 public:
  virtual ~Session() = default;
  virtual Task<Result<Rows>> query(std::string_view sql, std::span<const Cell> parameters) = 0;
};

/// One unit of work: all of it becomes durable, or none. Must wait for nothing but its session.
using Work = FunctionRef<Task<Result<>>(Session&)>;

/// A transaction over several waits; rolls back unless committed. On SQLite it holds the one writer: keep it short.
class Transaction : public Session {
 public:
  virtual Task<Result<>> end(bool commit) = 0;
};

/// A database. Constraint violations are `conflict` (409) or `invalid` (422) and name the column in the error's fields;
/// a database that is locked, full, read-only or gone is `database-unavailable`.
class Database {
 public:
  virtual ~Database() = default;
  /// Runs and commits `work`, perhaps in one commit with the work of others, each in its own savepoint. Resumes after
  /// the commit.
  virtual Task<Result<>> write(Loop&, Work work) = 0;
  virtual Task<Result<std::unique_ptr<Transaction>>> begin(Loop&) = 0;
  /// A read outside any transaction: sees every commit acknowledged before. `quick`: the plan knows it to be short (a
  /// key, an indexed page), and it may run where it stands, under a step budget.
  virtual Task<Result<Rows>> read(Loop&, std::string_view sql, std::span<const Cell> parameters, bool quick) = 0;
  /// Which tables were written when. Kept by whoever commits: the unit of work for the tables its exchange names
  /// (Context::wrote), an implementation for those it sees by itself.
  TableVersions& versions() noexcept { return versions_; }

 private:
  TableVersions versions_;
};

}  // namespace plimsoll::database
