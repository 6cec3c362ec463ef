#pragma once

#include "plimsoll/base/function_ref.hpp"
#include "plimsoll/handler/table/change.hpp"
#include "plimsoll/handler/table/form_files.hpp"
#include "plimsoll/handler/table/operation.hpp"
#include "plimsoll/handler/table/references.hpp"

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace plimsoll::table {

using Row = std::vector<database::Cell>;  ///< every column of the table, in its order

/// Whether a table's schema may judge members of a row together, and not each alone.
bool judges_together(const Table& table);

/// Whether the request says `Prefer: return=minimal` (RFC 7240, section 4.2).
bool wants_minimal(const Request& request);

/// Of a table, the same for all operations that change its rows: what is read of a row, and how that is written.
struct RowForms {
  explicit RowForms(const Table& table);
  Selection shown, unseen;  ///< what callers see, and what is stored beside it
  Selection all, keys;      ///< every column, and those of the key
  RowWriter shown_writer, unseen_writer, all_writer;
};

/// New rows of one request.
struct NewRows {
  std::span<const Change> changes;
  FunctionRef<std::string(std::size_t)> prefix;  ///< of the pointers of each
  bool valid = true;                             ///< `check_sent` has found none of them wrong
  bool judged = true;  ///< it was true of all others, so what comes out as it was sent need not be checked again
};

/// Ends a savepoint that a query has begun; what was done since is kept or rolled back.
Task<Result<>> end_savepoint(database::Session& session, std::string_view name, bool keeps);

/// What all operations that change rows share: the statements, the check of the row that comes out, and the answer.
class Writing : public Operation {
 public:
  Writing(std::shared_ptr<const Model> model, Plan plan, const Build& build);

 protected:
  Task<Result<std::optional<Row>>> current(database::Session& session, const Wanted& wanted) const;
  Task<Result<Row>> insert(database::Session& session, const Change& change, const Caller& caller,
                           std::string_view prefix) const;
  /// What became of a new row: as it is stored, or why it is not. False: the others do not matter.
  using Became = FunctionRef<bool(std::size_t, Result<Row>)>;
  /// Stores new rows with the outcome of inserting one after another, by as few statements as may be: those that are
  /// refused are found by one statement that leaves them out, and inserted alone to learn why. `became` is told of each
  /// in their order; it ends with an error of the server's (5xx), behind which nothing can be stored.
  Task<Result<>> insert_all(database::Session& session, const NewRows& rows, const Caller& caller, Became became) const;
  /// Whether each item of a batch may fail alone.
  bool has_savepoints() const { return plan_.batch && !plan_.batch->all_or_nothing; }
  /// The work on one item, in a savepoint of its own where items may fail alone.
  template <class T>
  Task<Result<T>> alone(database::Session& session, Task<Result<T>> work) const {
    if (has_savepoints())
      if (auto nested = co_await session.query("SAVEPOINT item", {}); !nested)
        co_return std::unexpected(std::move(nested).error());
    auto made = co_await std::move(work);
    if (!has_savepoints() || (!made && made.error().problem->status >= 500)) co_return made;
    if (auto ended = co_await end_savepoint(session, "item", made.has_value()); !ended)
      co_return std::unexpected(std::move(ended).error());
    co_return made;
  }
  /// Whether the caller sees each row that references of new rows name; each of those is looked at once.
  Task<Result<bool>> sees_all(database::Session& session, std::span<const Change> changes, const Caller& caller) const;
  /// `before` is needed where whole JSON values are merged; without it they are replaced.
  Task<Result<Row>> change(database::Session& session, const Wanted& wanted, Change change, const Row* before,
                           std::string_view prefix) const;
  /// Stores a file, or removes it; the row that comes out is held against the schema where `before` is given. Its time
  /// of change is `wall`.
  Task<Result<Row>> assign_file(database::Session& session, const Wanted& wanted, const FileCells& cells,
                                const Row* before, Nanoseconds wall) const;
  Task<Result<>> erase(database::Session& session, const Wanted& wanted) const;

  /// The row must satisfy the table's schema; what was wrong in `before` already is not held against a change.
  Result<> check(const Row& row, const Row* before, std::string_view prefix) const;
  /// The same of a new row as it is sent. False: that depends on what was not sent, and the database may fill that in,
  /// so the row is to be checked as it is stored.
  Result<bool> check_sent(const Change& sent, std::string_view prefix) const;
  /// Whether a row that is sent without its key is as valid as with any number from 1 upwards, by which the database
  /// may count it.
  bool counts_key() const { return counts_key_; }
  /// A body that could not be read into a change: with what the schema says against its other members. `merging`: it is
  /// a merge patch. `before`: the row that is to be changed; null: a new one, or it is not known.
  Error all_told(Error error, const json::Value& body, std::string_view prefix, bool merging,
                 const Row* before = nullptr) const;
  /// Whether what comes out of members of a body depends on the row that is there.
  bool needs_row(const json::Value& body, bool merging) const;
  Result<> precondition(const Request& request, const Context& context, const Row& row) const;
  static bool conditional(const Request& request);
  /// Whether a change is held against the row as it was.
  bool compares() const { return validator_ != nullptr || !guarded_.empty(); }
  std::string shown(const Row& row) const;
  /// What the caller gets who asked for no body: `ETag` and `Location` alone say what came out.
  static Response minimal_response(Context& context);
  /// The tag of a row of which `shown` is what the caller sees.
  EntityTag tag_of_row(const Row& row, std::string_view shown, const Context& context) const;
  /// The path at which the row can be read; empty where no operation of the contract reads it.
  std::string location_of(const Row& row) const;

  /// A refusal of the database (violations.cpp) with the fields that are to blame; `change` null: a row was to go.
  Task<Result<Row>> explained(database::Session& session, Error error, const Change* change, const Row* before,
                              std::string_view prefix) const;

 private:
  /// The INSERT of a row. Rows with values for the same columns have the same text, which is taken from the last one.
  database::Statement insert_of(std::span<const std::optional<database::Cell>> cells) const;
  /// The members of a body that clients can write, as they come out of a change of the row that was there `before`.
  json::Value coming_out(const json::Value& body, bool merging, const Row* before, Arena& arena) const;
  /// Takes away what was wrong with the row before.
  void forget_known(std::vector<schema::Failure>& failures, const Row& before, Arena& arena) const;
  /// The column that a pointer into a row begins with.
  std::optional<std::size_t> column_of(std::string_view instance) const;
  /// Takes away what points to no column of the contract: the name of a rule, or a column that it does not know.
  void keep_columns(Error& error) const;
  /// Makes the session usable after a statement has failed, where the database refuses all until then.
  Task<Result<>> go_back(database::Session& session) const;
  /// The columns that a violation is about which names none itself. `cause`: the database's words for it.
  Task<Result<std::vector<std::size_t>>> columns_to_blame(database::Session& session, const Change& change,
                                                          const database::Violation& violation,
                                                          std::string_view cause) const;
  /// Of these columns of an index, or where there are none of all that may be, those whose text is too long for it.
  /// `words`: it is the index of `q`.
  std::vector<std::size_t> longest(const Change& change, std::vector<std::size_t> columns, bool words) const;
  /// Whether the caller sees the row that a reference names.
  Task<Result<bool>> sees(database::Session& session, const GuardedReference& reference,
                          std::vector<database::Cell> values, const Caller& caller) const;
  /// Refuses references to rows that the caller does not see as those to rows that do not exist; `before` null: a new
  /// row. What stays as it was is not looked at.
  Task<Result<>> check_references(database::Session& session, const Change& change, const Row* before,
                                  const Caller& caller, std::string_view prefix) const;
  /// What a change makes a reference say; nothing where it says nothing new.
  std::optional<std::vector<database::Cell>> new_reference(const GuardedReference& reference, const Change& change,
                                                           const Row* before, const Caller& caller) const;
  /// New rows by as few statements as may be, in their order; or none, and nothing is stored: the database or the
  /// schema refuses one of them, one refers to what its caller does not see, or it cannot be told which row is which.
  Task<Result<std::optional<std::vector<Row>>>> insert_together(database::Session& session,
                                                                std::span<const Change> changes, const Caller& caller,
                                                                bool judged) const;
  /// Which of these rows may be refused when each is inserted in its turn. Stores nothing.
  Task<Result<std::vector<bool>>> doubtful_rows(database::Session& session, std::span<const Change> changes,
                                                const Caller& caller) const;
  /// Which of these new rows refer only to rows that are there before all of them, and that the caller sees; each of
  /// those is looked at once.
  Task<Result<std::vector<bool>>> refer_to_rows(database::Session& session, std::span<const Change> changes,
                                                const Caller& caller) const;
  /// The same of what the caller sees alone.
  Task<Result<std::vector<bool>>> refer_to_seen(database::Session& session, std::span<const Change> changes,
                                                const Caller& caller) const;
  /// One statement of `insert_together`; false: refused.
  Task<Result<bool>> insert_alike(database::Session& session, std::span<const Change> changes, std::vector<Row>& stored,
                                  bool judged) const;
  /// The columns of what a change says anew that refer to no row, added to `broken`, each once; what it does not name
  /// is as it was `before`.
  Task<Result<std::vector<std::size_t>>> broken_references(database::Session& session, const Change& change,
                                                           const Row* before,
                                                           std::vector<std::size_t> broken = {}) const;

  std::shared_ptr<const RowForms> forms_;

 protected:
  std::vector<GuardedReference> guarded_;

 private:
  std::shared_ptr<const schema::Validator> validator_;
  struct Inserted {
    std::string given;  ///< of each column, whether there was a value, a null or nothing
    std::string sql;
  };
  mutable std::atomic<std::shared_ptr<const Inserted>> last_insert_;
  bool counts_key_ = false;
  const Location* location_ = nullptr;  ///< where rows are read; null: nowhere
};

}  // namespace plimsoll::table
