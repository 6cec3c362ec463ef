#include "plimsoll/handler/table/import_store.hpp"

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
constexpr std::size_t kFew = 64;           ///< rows of which one is refused, that are inserted and no longer copied

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

}  // namespace

Importing::Importing(std::shared_ptr<const Model> model, Plan plan, const Build& build, contract::Sanitizer sanitizer)
    : Writing(std::move(model), std::move(plan), build),
      sanitizer_(std::move(sanitizer)),
      copied_(copied_rows(table(), counts_key())) {}

bool Importing::Storing::has_room(std::size_t bytes) const {
  const bool inserts = !judged || (asked && !copier);
  return block.empty() ||
         (block.all.size() < (inserts ? kTogether : kCopied) && block.bytes + bytes <= (inserts ? kHeld : kSent));
}

Task<Result<std::int64_t>> Importing::store(Session& session, std::string_view text, ImportRows::Format format,
                                            ChangeBy by, bool judged) const {
  ImportRows rows{table(), format, sanitizer_};
  Storing to{.session = session,
             .caller = *by.caller,
             .judged = judged,
             .report = ImportReport{static_cast<std::size_t>(plan_.batch->errors)}};
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

Task<Result<>> Importing::flush(Storing& to, bool full) const {
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

bool Importing::write_copied(const database::RowCopier& copier, Block& block) const {
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

Task<Result<bool>> Importing::send(Storing& to, const Block& block, Part part) const {
  auto seen = co_await sees_all(to.session, block.changes(part), to.caller);
  if (!seen || !*seen) co_return seen;
  auto nested = co_await to.session.query("SAVEPOINT together", {});
  if (!nested) co_return std::unexpected(std::move(nested).error());
  auto sent = co_await to.copier->send(block.copied(part), part.size());
  if (sent) co_return true;
  auto undone = co_await release(to, std::move(sent));
  co_return undone;
}

Task<Result<bool>> Importing::copied(Storing& to) const {
  auto stored = co_await to.copier->stored();
  auto released = co_await release(to, std::move(stored));
  co_return released;
}

Task<Result<bool>> Importing::release(Storing& to, Result<> stored) {
  if (!stored && stored.error().problem->status >= 500) co_return std::unexpected(std::move(stored).error());
  if (auto ended = co_await end_savepoint(to.session, "together", stored.has_value()); !ended)
    co_return std::unexpected(std::move(ended).error());
  co_return stored.has_value();
}

Task<Result<>> Importing::settle(Storing& to) const {
  if (to.sent.empty()) co_return Result<>{};
  const auto block = std::exchange(to.sent, {});
  auto stored = co_await copied(to);
  if (!stored) co_return std::unexpected(std::move(stored).error());
  if (*stored) co_return Result<>{};
  auto done = co_await copy_halves(to, block);
  co_return done;
}

Task<Result<>> Importing::copy_halves(Storing& to, const Block& block) const {
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
    if (part.size() <= kFew) {
      auto done = co_await insert_part(to, block, part);
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

Task<Result<>> Importing::insert_part(Storing& to, const Block& block, Part part) const {
  const auto prefix = [&](std::size_t i) { return block.sources[part.begin + i].prefix(); };
  std::optional<Error> failed;
  const auto became = [&](std::size_t i, Result<Row> row) {
    if (row) return true;
    if (row.error().problem->status >= 500)
      failed = std::move(row).error();
    else
      to.report.add(row.error(), prefix(i), block.sources[part.begin + i].line);
    return !failed && !to.report.full();
  };
  const NewRows rows{.changes = block.changes(part), .prefix = prefix, .judged = to.judged};
  auto done = co_await insert_all(to.session, rows, to.caller, became);
  if (failed) co_return std::unexpected(std::move(*failed));
  co_return done;
}

}  // namespace plimsoll::table
