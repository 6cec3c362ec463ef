#include "plimsoll/async/pause.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/body_memory.hpp"
#include "plimsoll/handler/table/import_store.hpp"
#include "plimsoll/http/body_problems.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <algorithm>

namespace plimsoll::table {
namespace {

using database::Session;

constexpr std::size_t kPiece = 64 * 1024;  ///< of a body that is there, read in one go
constexpr std::string_view kFormatKeyword = "format";

/// Many rows of CSV or NDJSON, all or none. Each row is checked as it arrives, while the body is gathered (memory and
/// disk of all bodies have their budgets); when all of them are well they are stored in one transaction.
class ImportOf final : public Importing {
 public:
  ImportOf(std::shared_ptr<const Model> model, Plan plan, const Build& build, contract::Sanitizer sanitizer)
      : Importing(std::move(model), std::move(plan), build, std::move(sanitizer)),
        memory_(build.services.shared->of<BodyMemory>()) {
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
  /// The whole body, every row of which is as the table wants it, as far as that can be told (`judged`) before it is
  /// stored.
  Task<Result<std::string_view>> receive(Request& request, Context& context, ImportRows::Format format,
                                         const ChangeBy& by, bool& judged) const {
    ImportRows rows{table(), format, sanitizer_};
    ImportReport report{static_cast<std::size_t>(plan_.batch->errors)};
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
      auto& whole = context.keep<WholeBody>(context, *memory_, request.peer, limit, request.content_length);
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
  Result<> look(ImportRows& rows, ChangeBy by, ImportReport& report, bool& judged) const {
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

  std::shared_ptr<BodyMemory> memory_;
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
