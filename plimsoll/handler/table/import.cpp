#include "plimsoll/async/pause.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/database/row_copier.hpp"
#include "plimsoll/exchange/body_memory.hpp"
#include "plimsoll/handler/table/import_rows.hpp"
#include "plimsoll/handler/table/write.hpp"
#include "plimsoll/http/body_problems.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <algorithm>
#include <utility>

namespace plimsoll::table {
namespace {

using database::Cell;
using database::Session;

constexpr std::size_t kPiece = 64 * 1024;  ///< of a body that is there, read in one go
constexpr std::size_t kTogether = 512;     ///< rows that are held to be inserted together,
constexpr std::size_t kHeld = 512 * 1024;  ///< or fewer, with so many bytes of values
constexpr std::size_t kCopied = 2048;      ///< rows that are copied together,
constexpr std::size_t kSent = 128 * 1024;  ///< or fewer: most sockets take so many bytes at once
constexpr std::size_t kAlone = 4;          ///< rows of which one is refused, that are no longer copied
constexpr std::string_view kFormatKeyword = "format";

/// What is wrong with the rows of an import, up to so many lines of report.
class Report {
 public:
  explicit Report(std::size_t most) : most_(most) {}
  void add(const Error& error, std::string_view prefix, std::int64_t line) {
    if (!problem_) problem_ = error.problem;
    if (error.more_ && !error.more_->fields.empty()) {
      for (const auto& field : error.more_->fields) add(field, line);
      return;
    }
    add(FieldError{"body", std::string(prefix), std::string(error.problem->code),
                   error.detail.empty() ? std::string(error.problem->title) : error.detail},
        line);
  }
  void add(FieldError field, std::int64_t line) {
    if (!problem_) problem_ = &kInvalidRow;
    if (full()) return;
    field.message.insert(0, "line " + std::to_string(line) + ": ");
    fields_.push_back(std::move(field));
  }
  bool empty() const { return problem_ == nullptr; }
  /// Nothing more is looked at.
  bool full() const { return ended_ || fields_.size() >= most_; }
  void end() { ended_ = true; }
  Error error() && {
    auto made = wrong_fields(*problem_, std::move(fields_));
    return made;
  }

 private:
  std::size_t most_;
  bool ended_ = false;
  const Problem* problem_ = nullptr;  ///< of the first row that is wrong
  std::vector<FieldError> fields_;
};

/// What the values of a row take.
std::size_t bytes_of(const Change& change) {
  std::size_t size = 0;
  for (const auto& cell : change.cells)
    if (const auto* text = cell ? std::get_if<std::string>(&*cell) : nullptr) size += text->size();
  return size;
}

/// Whether a schema says something by one of these words.
bool says(const json::Value* schema, std::span<const std::string_view> words) {
  return schema && schema->is(json::Type::object) &&
         std::ranges::any_of(words, [&](auto word) { return schema->find(word) != nullptr; });
}

/// What rows of a table are copied as.
database::CopiedRows copied_rows(const Table& table, bool counted) {
  constexpr std::string_view kText[] = {"pattern", "const", "enum", "minLength", "maxLength", "allOf",
                                        "anyOf",   "oneOf", "not",  "if",        "$ref",      "$dynamicRef"};
  const bool all = judges_together(table);
  database::CopiedRows made{.table = table.name};
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    const auto& column = table.columns[i];
    made.columns.push_back({.column = &column,
                            .verbatim = column.kind == Kind::instant && (all || says(column.schema, kText)),
                            .counted = counted && table.is_key(i)});
  }
  return made;
}

/// Many rows of CSV or NDJSON, all or none. Each row is checked as it arrives, while the body is gathered (memory and
/// disk of all bodies have their budgets); when all of them are well they are stored in one transaction, many to a
/// statement. Where the database refuses one of those, its rows are stored in ever smaller parts and one by one, so
/// that each is told that is refused.
class ImportOf final : public Writing {
 public:
  ImportOf(std::shared_ptr<const Model> model, Plan plan, const Build& build, contract::Sanitizer sanitizer)
      : Writing(std::move(model), std::move(plan), build),
        copied_(copied_rows(table(), counts_key())),
        memory_(build.services.shared->of<BodyMemory>()),
        sanitizer_(std::move(sanitizer)) {
    if (!build.services.metrics) return;
    const telemetry::Label labels[] = {{"table", table().name}};
    counter_ = &build.services.metrics->counter("plimsoll_table_imported_rows_total", "Rows that imports have stored.",
                                                labels);
  }

  Task<Result<Response>> handle(Request& request, Context& context) override {
    auto who = caller(context);
    if (!who) co_return std::unexpected(std::move(who).error());
    auto fixed = path_conditions(context);
    if (!fixed) co_return fail(kNoSuchRow);
    const auto format = ImportRows::format_of(context.input.media_type);
    if (!format || (!request.body && !context.input.body_text.data()))
      co_return std::unexpected(wrong(kInvalidRow, "body", "", "required", "rows are required"));
    const ChangeBy by{.caller = &*who, .fixed = *fixed, .wall = context.wall};
    bool judged = true;
    auto text = co_await receive(request, context, *format, by, judged);
    if (!text) co_return std::unexpected(std::move(text).error());
    context.wrote(table().name);
    std::int64_t stored = 0;
    auto answer = co_await context.unit().answer(
        [&](Session& session) -> Task<Result<Response>> {
          // Of two that store the same values in other orders each would wait for the other.
          session.alone("plimsoll.import." + table().name + "." + (table().tenant ? who->tenant : std::string{}));
          auto count = co_await store(session, *text, *format, by, judged);
          if (!count) co_return std::unexpected(std::move(count).error());
          stored = *count;
          co_return json_response(context, 200, "{\"imported\":" + std::to_string(stored) + "}");
        },
        database::Hold::patient);
    if (counter_ && answer && answer->status == 200) counter_->add(static_cast<std::uint64_t>(stored));
    co_return answer;
  }

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

  /// The whole body, every row of which is as the table wants it, as far as that can be told (`judged`) before it is
  /// stored.
  Task<Result<std::string_view>> receive(Request& request, Context& context, ImportRows::Format format,
                                         const ChangeBy& by, bool& judged) const {
    ImportRows rows{table(), format, sanitizer_};
    Report report{static_cast<std::size_t>(plan_.batch->errors)};
    const auto limit = plan_.batch->body;
    std::string_view text = context.input.body_text;
    if (text.data()) {  // somebody has read it before, within the limit of other bodies
      for (auto rest = text; !rest.empty() && !report.full(); rest.remove_prefix(std::min(kPiece, rest.size()))) {
        rows.feed(rest.substr(0, kPiece));
        if (auto fits = look(rows, by, report, judged); !fits) co_return std::unexpected(std::move(fits).error());
        co_await next_turn(context.loop);
      }
    } else {
      context.body_limit = limit;
      auto& whole = context.keep<WholeBody>(context, *memory_, limit, request.content_length);
      while (whole.fits() && !report.full()) {
        auto piece = co_await request.body->read();
        if (!piece) co_return std::unexpected(std::move(piece).error());
        if (piece->empty()) break;
        whole.add(*piece);
        if (whole.spools()) co_await whole.spool();
        if (const auto* failed = whole.error()) co_return std::unexpected(*failed);
        rows.feed(as_text(*piece));
        if (auto fits = look(rows, by, report, judged); !fits) co_return std::unexpected(std::move(fits).error());
        co_await next_turn(context.loop);  // what a fast client sends is always there: others have their turn too
      }
      if (!whole.fits())
        co_return fail(http::kBodyTooLarge,
                       "imports of at most " + config::to_string(config::Size{limit}) + " are taken");
      if (!report.full()) request.body = nullptr;  // read
      text = whole.text();
      if (const auto* failed = whole.error()) co_return std::unexpected(*failed);
    }
    if (!report.full()) {
      rows.end();
      if (auto fits = look(rows, by, report, judged); !fits) co_return std::unexpected(std::move(fits).error());
    }
    if (!report.empty()) co_return std::unexpected(std::move(report).error());
    co_return text;
  }

  /// Checks the rows that have arrived. An error: there are more than allowed.
  Result<> look(ImportRows& rows, ChangeBy by, Report& report, bool& judged) const {
    while (!report.full()) {
      Arena arena{4096};
      const auto state = rows.next(arena);
      if (state == ImportRows::State::more) return {};
      const auto prefix = "/" + std::to_string(std::max<std::int64_t>(rows.count(), 1) - 1);
      if (state == ImportRows::State::wrong || state == ImportRows::State::wrong_row) {
        report.add({"body", state == ImportRows::State::wrong ? "" : prefix, std::string(kFormatKeyword),
                    std::string(rows.why())},
                   rows.line());
        if (state == ImportRows::State::wrong) report.end();
        continue;
      }
      if (rows.count() > plan_.batch->max)
        return fail(kBatchTooLarge, "at most " + std::to_string(plan_.batch->max) + " rows");
      by.prefix = prefix;
      auto change = new_row(table(), rows.row(), by);
      if (!change)
        report.add(all_told(std::move(change).error(), rows.row(), prefix, false), prefix, rows.line());
      else if (auto valid = check_sent(*change, prefix); !valid)
        report.add(valid.error(), prefix, rows.line());
      else
        judged &= *valid;
    }
    return {};
  }

  /// What is stored in one transaction, block by block.
  struct Storing {
    Session& session;
    const Caller& caller;
    const bool judged;  ///< `check_sent` has been true of all rows
    Report report;
    bool asked = false;                             ///< whether rows of this table can be copied
    std::unique_ptr<database::RowCopier> copier{};  ///< null: they cannot, or that was not asked
    Block block{};                                  ///< is filled
    Block sent{};                                   ///< is copied meanwhile; empty: none is

    bool has_room(std::size_t bytes) const {
      const bool inserts = !judged || (asked && !copier);
      return block.empty() ||
             (block.all.size() < (inserts ? kTogether : kCopied) && block.bytes + bytes <= (inserts ? kHeld : kSent));
    }
  };

  /// Stores all rows; how many there are.
  Task<Result<std::int64_t>> store(Session& session, std::string_view text, ImportRows::Format format, ChangeBy by,
                                   bool judged) const {
    ImportRows rows{table(), format, sanitizer_};
    Storing to{.session = session,
               .caller = *by.caller,
               .judged = judged,
               .report = Report{static_cast<std::size_t>(plan_.batch->errors)}};
    for (bool ended = false; !ended && !to.report.full();) {
      rows.feed(text.substr(0, kPiece));
      if (text.empty()) rows.end();
      ended = text.empty();
      text.remove_prefix(std::min(kPiece, text.size()));
      for (;;) {
        Arena arena{4096};
        if (rows.next(arena) != ImportRows::State::row) break;
        const Block::Source source{.number = rows.count() - 1, .line = rows.line()};
        const auto prefix = source.prefix();
        by.prefix = prefix;
        auto change = new_row(table(), rows.row(), by);
        if (!change) co_return std::unexpected(std::move(change).error());
        const auto size = bytes_of(*change);
        if (!to.has_room(size)) {
          auto stored = co_await flush(to, true);
          if (!stored) co_return std::unexpected(std::move(stored).error());
          if (to.report.full()) break;
        }
        to.block.bytes += size;
        to.block.all.push_back(std::move(*change));
        to.block.sources.push_back(source);
      }
    }
    if (!to.report.full()) {
      auto stored = co_await flush(to, false);
      if (stored) stored = co_await settle(to);
      if (!stored) co_return std::unexpected(std::move(stored).error());
    }
    if (!to.report.empty()) co_return std::unexpected(std::move(to.report).error());
    co_return rows.count();
  }

  /// Stores the rows that are held, behind which others follow where it is `full`; or sends them to be copied while
  /// the next ones are read. An error ends the import; what is wrong with single rows is reported.
  Task<Result<>> flush(Storing& to, bool full) const {
    if (to.judged && !to.asked && (full || to.block.all.size() >= kTogether)) {
      to.asked = true;
      auto copier = co_await to.session.copier(copied_);
      if (!copier) co_return std::unexpected(std::move(copier).error());
      to.copier = std::move(*copier);
    }
    const bool copies = to.copier && write_copied(*to.copier, to.block);
    auto block = std::exchange(to.block, {});
    auto settled = co_await settle(to);
    if (!settled || to.report.full() || block.empty()) co_return settled;
    if (copies) {
      auto sent = co_await send(to, block, block.whole());
      if (!sent) co_return std::unexpected(std::move(sent).error());
      if (*sent) {
        to.sent = std::move(block);
        co_return Result<>{};
      }
      auto done = co_await copy_halves(to, block);
      co_return done;
    }
    for (Part part{0, 0}; part.end < block.all.size() && !to.report.full();) {
      part = {part.end, std::min(part.end + kTogether, block.all.size())};
      auto done = co_await insert_part(to, block, part);
      if (!done) co_return done;
    }
    co_return Result<>{};
  }

  /// Writes a block as it is copied. False: one of its rows may come out otherwise than it is sent.
  bool write_copied(const database::RowCopier& copier, Block& block) const {
    std::vector<const Cell*> values(table().columns.size());
    for (const auto& change : block.all) {
      for (std::size_t i = 0; i < values.size(); ++i) {
        const auto& cell = change.cells[i];
        if (!cell && table().columns[i].required && !copied_.columns[i].counted) return false;
        values[i] = cell ? &*cell : nullptr;
      }
      if (!copier.append(block.text, values)) return false;
      block.ends.push_back(block.text.size());
    }
    return true;
  }

  /// Begins to copy a part of a block. False: one of its rows is refused, and none is stored.
  Task<Result<bool>> send(Storing& to, const Block& block, Part part) const {
    auto seen = co_await sees_all(to.session, block.changes(part), to.caller);
    if (!seen || !*seen) co_return seen;
    auto nested = co_await to.session.query("SAVEPOINT together", {});
    if (!nested) co_return std::unexpected(std::move(nested).error());
    auto sent = co_await to.copier->send(block.copied(part), part.size());
    if (sent) co_return true;
    auto undone = co_await release(to, std::move(sent));
    co_return undone;
  }
  /// What has become of what was sent, which is the same.
  Task<Result<bool>> copied(Storing& to) const {
    auto stored = co_await to.copier->stored();
    auto released = co_await release(to, std::move(stored));
    co_return released;
  }
  static Task<Result<bool>> release(Storing& to, Result<> stored) {
    if (!stored && stored.error().problem->status >= 500) co_return std::unexpected(std::move(stored).error());
    if (!stored)
      if (auto undone = co_await to.session.query("ROLLBACK TO together", {}); !undone)
        co_return std::unexpected(std::move(undone).error());
    if (auto released = co_await to.session.query("RELEASE together", {}); !released)
      co_return std::unexpected(std::move(released).error());
    co_return stored.has_value();
  }

  /// Waits for the block that was sent, if any.
  Task<Result<>> settle(Storing& to) const {
    if (to.sent.empty()) co_return Result<>{};
    const auto block = std::exchange(to.sent, {});
    auto stored = co_await copied(to);
    if (!stored) co_return std::unexpected(std::move(stored).error());
    if (*stored) co_return Result<>{};
    auto done = co_await copy_halves(to, block);
    co_return done;
  }

  /// Copies the halves of a block that was refused, and theirs, the first one first, so that the rows are found that
  /// are to blame.
  Task<Result<>> copy_halves(Storing& to, const Block& block) const {
    std::vector<Part> parts;
    const auto halve = [&](Part part) {
      const auto middle = part.begin + part.size() / 2;
      parts.push_back({middle, part.end});
      parts.push_back({part.begin, middle});
    };
    halve(block.whole());
    while (!parts.empty() && !to.report.full()) {
      const auto part = parts.back();
      parts.pop_back();
      if (part.size() <= kAlone) {
        auto done = co_await insert_each(to, block, part);
        if (!done) co_return done;
        continue;
      }
      auto stored = co_await send(to, block, part);
      if (stored && *stored) stored = co_await copied(to);
      if (!stored) co_return std::unexpected(std::move(stored).error());
      if (!*stored) halve(part);
    }
    co_return Result<>{};
  }

  Task<Result<>> insert_part(Storing& to, const Block& block, Part part) const {
    auto together = co_await insert_together(to.session, block.changes(part), to.caller, to.judged);
    if (!together) co_return std::unexpected(std::move(together).error());
    if (*together) co_return Result<>{};
    auto done = co_await insert_each(to, block, part);
    co_return done;
  }

  Task<Result<>> insert_each(Storing& to, const Block& block, Part part) const {
    auto& session = to.session;
    for (auto i = part.begin; i < part.end && !to.report.full(); ++i) {
      const auto& source = block.sources[i];
      const auto prefix = source.prefix();
      auto nested = co_await session.query("SAVEPOINT item", {});
      if (!nested) co_return std::unexpected(std::move(nested).error());
      auto stored = co_await insert(session, block.all[i], to.caller, prefix);
      if (!stored) {
        if (stored.error().problem->status >= 500) co_return std::unexpected(std::move(stored).error());
        to.report.add(stored.error(), prefix, source.line);
        auto undone = co_await session.query("ROLLBACK TO item", {});
        if (!undone) co_return std::unexpected(std::move(undone).error());
      }
      auto released = co_await session.query("RELEASE item", {});
      if (!released) co_return std::unexpected(std::move(released).error());
    }
    co_return Result<>{};
  }

  database::CopiedRows copied_;
  std::shared_ptr<BodyMemory> memory_;
  contract::Sanitizer sanitizer_;
  telemetry::Counter* counter_ = nullptr;
};

}  // namespace

Result<std::unique_ptr<Handler>> make_import(std::shared_ptr<const Model> model, Plan plan, const Build& build) {
  const auto* body = build.operation.body ? &*build.operation.body : nullptr;
  bool any = false;
  for (const auto& media : body ? std::span(body->content) : std::span<const contract::MediaType>{}) {
    any = true;
    if (!ImportRows::format_of(media.name))
      return config::wrong(
          *build.operation.raw,
          "operation " + build.operation.id + ": an import takes no bodies of the type \"" + media.name + "\"",
          "Declare `text/csv`, `application/x-ndjson`, or both.");
  }
  if (!any)
    return config::wrong(*build.operation.raw, "operation " + build.operation.id + ": an import declares no body",
                         "Declare `text/csv`, `application/x-ndjson`, or both under `requestBody.content`.");
  const auto outer = contract::sanitizing_of(build.operation);
  if (!outer) return std::unexpected(outer.error());
  auto sanitizer = contract::Sanitizer::of(build.contract, *plan.table->schema, *outer);
  if (!sanitizer) return std::unexpected(std::move(sanitizer).error());
  return std::make_unique<ImportOf>(std::move(model), std::move(plan), build, std::move(*sanitizer));
}

}  // namespace plimsoll::table
