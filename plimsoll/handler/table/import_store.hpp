#pragma once

#include "plimsoll/database/row_copier.hpp"
#include "plimsoll/handler/table/import_report.hpp"
#include "plimsoll/handler/table/import_rows.hpp"
#include "plimsoll/handler/table/write.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::table {

/// How the rows of an import are stored: many to a statement, copied where the database has that for them
/// (`database::RowCopier`) and else inserted. Where the database refuses one that is copied, rows are copied in ever
/// smaller parts and then inserted, so that each is told that is refused.
class Importing : public Writing {
 public:
  Importing(std::shared_ptr<const Model> model, Plan plan, const Build& build, contract::Sanitizer sanitizer);

 protected:
  /// Stores all rows of a body that has been checked; how many there are. `judged`: `check_sent` has been true of all.
  /// A row that the database refuses is an error, with all that are, up to so many as the operation reports.
  Task<Result<std::int64_t>> store(database::Session& session, std::string_view text, ImportRows::Format format,
                                   ChangeBy by, bool judged) const;

  const contract::Sanitizer sanitizer_;

 private:
  struct Part {
    std::size_t begin, end;
    std::size_t size() const { return end - begin; }
  };
  /// Rows that are held, to be stored together.
  struct Block {
    struct Source {
      std::int64_t number, line;
      std::string prefix() const { return "/" + std::to_string(number); }
    };
    std::vector<Change> all{};
    std::vector<Source> sources{};
    std::size_t bytes = 0;            ///< of their values
    std::string text{};               ///< the rows, as they are copied
    std::vector<std::size_t> ends{};  ///< of each of them in it

    bool empty() const { return all.empty(); }
    Part whole() const { return {0, all.size()}; }
    std::span<const Change> changes(Part part) const { return std::span(all).subspan(part.begin, part.size()); }
    std::string_view copied(Part part) const {
      const auto begin = part.begin ? ends[part.begin - 1] : 0;
      return std::string_view(text).substr(begin, ends[part.end - 1] - begin);
    }
  };

  /// The progress of an import in its transaction, block by block.
  struct Storing {
    database::Session& session;
    const Caller& caller;
    const bool judged;  ///< `check_sent` has been true of all rows
    ImportReport report;
    bool asked = false;                             ///< whether rows of this table can be copied
    std::unique_ptr<database::RowCopier> copier{};  ///< null: they cannot, or that was not asked
    Block block{};                                  ///< is filled
    Block sent{};                                   ///< is copied meanwhile; empty: none is

    bool has_room(std::size_t bytes) const;
  };

  /// Stores the rows that are held, behind which others follow where it is `full`; or sends them to be copied while
  /// the next ones are read. An error ends the import; what is wrong with single rows is reported.
  Task<Result<>> flush(Storing& to, bool full) const;
  /// Writes a block as it is copied. False: one of its rows may come out otherwise than it is sent.
  bool write_copied(const database::RowCopier& copier, Block& block) const;
  /// Begins to copy a part of a block. False: one of its rows is refused, and none is stored.
  Task<Result<bool>> send(Storing& to, const Block& block, Part part) const;
  /// Waits for what was sent. False: the same.
  Task<Result<bool>> copied(Storing& to) const;
  /// Ends the savepoint of a part by what has become of it.
  static Task<Result<bool>> release(Storing& to, Result<> stored);
  /// Waits for the block that was sent, if any.
  Task<Result<>> settle(Storing& to) const;
  /// Copies the halves of a block that was refused, and theirs, the first one first, so that the rows are found that
  /// are to blame.
  Task<Result<>> copy_halves(Storing& to, const Block& block) const;
  /// Inserts rows, many to a statement, and reports those that are refused.
  Task<Result<>> insert_part(Storing& to, const Block& block, Part part) const;

  const database::CopiedRows copied_;
};

}  // namespace plimsoll::table
