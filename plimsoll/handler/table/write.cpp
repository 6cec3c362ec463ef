#include "plimsoll/handler/table/write.hpp"

#include "plimsoll/base/percent.hpp"
#include "plimsoll/base/timestamp.hpp"
#include "plimsoll/contract/body.hpp"
#include "plimsoll/contract/parameters.hpp"
#include "plimsoll/handler/table/file_upload.hpp"
#include "plimsoll/http/conditional.hpp"
#include "plimsoll/http/negotiate.hpp"
#include "plimsoll/http/prefer.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/pointer.hpp"
#include "plimsoll/json/write.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>

namespace plimsoll::table {

using database::Cell;
using database::Session;
using database::Statement;

namespace {

/// The whole row, hidden columns too: what is checked against the schema.
Selection all_columns(const Table& table) {
  Selection made;
  for (std::size_t i = 0; i < table.columns.size(); ++i) made.columns.push_back(i);
  return made;
}

std::string text_of(const Cell& cell) {
  if (auto* text = std::get_if<std::string>(&cell)) return *text;
  if (auto* integer = std::get_if<std::int64_t>(&cell)) return std::to_string(*integer);
  return {};
}

/// The start has seen that the key is unique; another program may have dropped that index since. Nothing is stored.
std::unexpected<Error> several_rows() {
  return std::unexpected(
      Error{&kInternal}.because("several rows have this key: the index that made it unique is gone"));
}

}  // namespace

bool judges_together(const Table& table) {
  constexpr std::string_view kWords[] = {"allOf",       "anyOf", "oneOf", "not", "if", "$ref", "dependentSchemas",
                                         "$dynamicRef", "const", "enum"};
  return !table.schema || !table.schema->is(json::Type::object) ||
         std::ranges::any_of(kWords, [&](auto word) { return table.schema->find(word) != nullptr; });
}

namespace {

/// Whether the key is one integer of which the schema says no more than that it is 1 or more.
bool takes_any_number(const Table& table) {
  constexpr std::string_view kWords[] = {"type", "readOnly", "format", "minimum", "title", "description", "examples"};
  if (judges_together(table) || table.keys.size() != 1) return false;
  const auto& key = table.columns[table.keys.front()];
  if (key.kind != Kind::integer || !key.schema || !key.schema->is(json::Type::object)) return false;
  for (const auto& member : key.schema->object()) {
    if (member.key.starts_with("x-")) continue;
    if (std::ranges::find(kWords, member.key) == std::end(kWords)) return false;
    if (member.key == "format" && !(member.value.is(json::Type::string) && member.value.string() == "int64"))
      return false;
    if (member.key == "minimum" && !(member.value.is(json::Type::number) && member.value.number() <= 1)) return false;
  }
  return true;
}

}  // namespace

RowForms::RowForms(const Table& table)
    : shown(everything(table)),
      unseen(table::unseen(table)),
      all(all_columns(table)),
      shown_writer(table, shown),
      unseen_writer(table, unseen, RowWriter::Hidden::shown),
      all_writer(table, all, RowWriter::Hidden::shown) {
  keys.columns = table.keys;
}

namespace {

/// The forms of the tables of a plan; each is there as long as an operation that has it, and its table with it.
struct FormsOfPlan {
  std::mutex mutex;
  std::map<const Table*, std::weak_ptr<const RowForms>> by_table;

  std::shared_ptr<const RowForms> of(const Table& table) {
    const std::scoped_lock lock(mutex);
    auto& known = by_table[&table];
    auto forms = known.lock();
    if (!forms) known = forms = std::make_shared<const RowForms>(table);
    return forms;
  }
};

}  // namespace

bool wants_minimal(const Request& request) {
  return request.headers.contains("prefer") && http::prefers(request.headers.joined("prefer"), "return", "minimal");
}

Writing::Writing(std::shared_ptr<const Model> model, Plan plan, const Build& build)
    : Operation(std::move(model), std::move(plan), build),
      forms_(build.services.of_plan->of<FormsOfPlan>()->of(table())),
      guarded_(guarded_references(*model_, table(), *build.services.of_plan->of<ForeignKeys>())) {
  if (auto compiled = build.contract.validator(*table().schema, schema::CompileOptions::Direction::none))
    validator_ = std::move(*compiled);
  counts_key_ = takes_any_number(table());
  if (const auto location = model_->locations.find(table().name); location != model_->locations.end())
    location_ = &location->second;
}

Task<Result<>> end_savepoint(Session& session, std::string_view name, bool keeps) {
  if (!keeps)
    if (auto undone = co_await session.query("ROLLBACK TO " + std::string(name), {}); !undone)
      co_return std::unexpected(std::move(undone).error());
  auto released = co_await session.query("RELEASE " + std::string(name), {});
  if (!released) co_return std::unexpected(std::move(released).error());
  co_return Result<>{};
}

Task<Result<std::optional<Row>>> Writing::current(Session& session, const Wanted& wanted) const {
  auto statement = row_statement(database_.dialect(), wanted, forms_->all);
  if (!statement) co_return std::nullopt;
  auto rows = co_await session.query(statement->sql, statement->cells);
  if (!rows) co_return std::unexpected(std::move(rows).error());
  if (rows->empty()) co_return std::nullopt;
  co_return std::optional<Row>(std::move(rows->front()));
}

std::string Writing::shown(const Row& row) const {
  if (forms_->shown.columns.size() == forms_->all.columns.size()) return to_json(forms_->shown_writer, row);
  Row visible;
  for (auto column : forms_->shown.columns) visible.push_back(row[column]);
  return to_json(forms_->shown_writer, visible);
}

EntityTag Writing::tag_of_row(const Row& row, std::string_view shown, const Context& context) const {
  if (forms_->unseen.columns.empty()) return tag_of(shown, context);
  Row beside;
  for (auto column : forms_->unseen.columns) beside.push_back(row[column]);
  return tag_of(shown, context, to_json(forms_->unseen_writer, beside));
}

Result<> Writing::check(const Row& row, const Row* before, std::string_view prefix) const {
  if (!validator_) return {};
  Arena arena{4096};
  const auto text = to_json(forms_->all_writer, row);
  auto value = json::parse(text, arena);
  if (!value || validator_->valid(*value)) return {};
  auto failures = validator_->validate(*value);
  if (before) forget_known(failures, *before, arena);
  if (failures.empty()) return {};
  std::vector<FieldError> fields;
  for (auto& failure : failures) fields.push_back(contract::field_error("body", prefix, failure));
  return std::unexpected(wrong_fields(kInvalidRow, std::move(fields)));
}

void Writing::forget_known(std::vector<schema::Failure>& failures, const Row& before, Arena& arena) const {
  const auto text = to_json(forms_->all_writer, before);
  const auto old = json::parse(text, arena);
  if (!old) return;
  for (auto& known : validator_->validate(*old))
    std::erase_if(failures, [&](auto& f) {
      return f.instance == known.instance && f.keyword == known.keyword && f.missing == known.missing;
    });
}

Result<bool> Writing::check_sent(const Change& sent, std::string_view prefix) const {
  if (!validator_) return true;
  Row row;
  row.reserve(sent.cells.size());
  for (const auto& cell : sent.cells) row.push_back(cell.value_or(Cell{}));
  if (counts_key_ && !sent.cells[table().keys.front()]) row[table().keys.front()] = std::int64_t{1};
  Arena arena{4096};
  const auto text = to_json(forms_->all_writer, row);
  auto value = json::parse(text, arena);
  if (!value || validator_->valid(*value)) return true;
  // Of a row without its key nothing is said as a whole either.
  const bool keyless = std::ranges::any_of(table().keys, [&](auto key) { return !sent.cells[key]; });
  std::vector<FieldError> fields;
  for (auto& failure : validator_->validate(*value)) {
    const auto column = failure.instance.empty() ? table().column(failure.missing) : column_of(failure.instance);
    const bool open = column ? !sent.cells[*column] : keyless && failure.instance.empty();
    if (!open) fields.push_back(contract::field_error("body", prefix, failure));
  }
  if (fields.empty()) return false;
  return std::unexpected(wrong_fields(kInvalidRow, std::move(fields)));
}

std::optional<std::size_t> Writing::column_of(std::string_view instance) const {
  const auto token = instance.substr(0, instance.find('/', 1));
  const auto name = token.empty() ? std::nullopt : json::unescape_token(token.substr(1));
  return name ? table().column(*name) : std::nullopt;
}

namespace {

/// An object of a patch is merged into what is there.
bool is_merged(const Column& column, const json::Value& member) {
  return column.kind == Kind::json && member.is(json::Type::object);
}

Cell merged_cell(const Cell& there, std::string_view patch) {
  const auto* text = std::get_if<std::string>(&there);
  return Cell{merged_json(text ? std::string_view(*text) : "{}", patch)};
}

}  // namespace

bool Writing::needs_row(const json::Value& body, bool merging) const {
  return body.is(json::Type::object) && std::ranges::any_of(body.object(), [&](auto& member) {
           const auto index = table().column(member.key);
           return index &&
                  (table().columns[*index].kept || (merging && is_merged(table().columns[*index], member.value)));
         });
}

json::Value Writing::coming_out(const json::Value& body, bool merging, const Row* before, Arena& arena) const {
  auto* members = arena.array<json::Member>(body.object().size());
  std::size_t size = 0;
  for (const auto& member : body.object()) {
    const auto index = table().column(member.key);
    if (!index || table().columns[*index].read_only || member.value.is(json::Type::null)) continue;
    const auto& column = table().columns[*index];
    const bool merges = merging && is_merged(column, member.value);
    if (merges && !before) continue;
    auto value = member.value;
    if (merges || column.kept) {
      auto cell = Cell{json::to_string(value)};
      if (merges) cell = merged_cell((*before)[*index], std::get<std::string>(cell));
      cell = keep_members(column, cell, before ? (*before)[*index] : Cell{}, contract::Misfit::left);
      const auto* text = std::get_if<std::string>(&cell);
      const auto read = text ? json::parse(arena.keep(*text), arena) : Result<json::Value>(json::Value{});
      if (!text || !read) continue;
      value = *read;
    }
    ::new (&members[size++]) json::Member{member.key, value};
  }
  return json::Value::object({members, size});
}

Error Writing::all_told(Error error, const json::Value& body, std::string_view prefix, bool merging,
                        const Row* before) const {
  if (!validator_ || !error.more_ || !body.is(json::Type::object)) return error;
  auto fields = std::move(error.more_->fields);
  const auto known = fields.size();
  Arena arena{4096};
  auto failures = validator_->validate(coming_out(body, merging, before, arena));
  if (before) forget_known(failures, *before, arena);
  for (auto& failure : failures) {
    if (!column_of(failure.instance)) continue;
    const auto pointer = std::string(prefix) + failure.instance;
    const auto told = std::span(fields).first(known);
    if (std::ranges::none_of(told, [&](auto& field) { return field.pointer == pointer; }))
      fields.push_back(contract::field_error("body", prefix, failure));
  }
  return wrong_fields(*error.problem, std::move(fields));
}

Statement Writing::insert_of(std::span<const std::optional<Cell>> cells) const {
  std::string given;
  given.reserve(cells.size());
  std::size_t count = 0;
  for (const auto& cell : cells) {
    given += !cell ? '-' : cell->index() == 0 ? 'n' : 'v';
    count += cell.has_value();
  }
  if (const auto last = last_insert_.load(); last && last->given == given) {
    Statement same{last->sql, {}};
    same.cells.reserve(count);
    for (const auto& cell : cells)
      if (cell) same.cells.push_back(*cell);
    return same;
  }
  auto made = insert_statement(database_.dialect(), table(), cells, forms_->all);
  // Some databases say a value several times.
  if (made.cells.size() == count) last_insert_.store(std::make_shared<const Inserted>(std::move(given), made.sql));
  return made;
}

Task<Result<Row>> Writing::insert(Session& session, const Change& change, const Caller& caller,
                                  std::string_view prefix) const {
  if (!guarded_.empty())
    if (auto seen = co_await check_references(session, change, nullptr, caller, prefix); !seen)
      co_return std::unexpected(std::move(seen).error());
  const auto statement = insert_of(change.cells);
  auto rows = co_await session.query(statement.sql, statement.cells);
  if (!rows) {
    auto told = co_await explained(session, std::move(rows).error(), &change, nullptr, prefix);
    co_return told;
  }
  if (rows->empty()) co_return fail(kInternal, "nothing was inserted");
  if (auto valid = check(rows->front(), nullptr, prefix); !valid) co_return std::unexpected(std::move(valid).error());
  co_return std::move(rows->front());
}

Task<Result<Row>> Writing::change(Session& session, const Wanted& wanted, Change change, const Row* before,
                                  std::string_view prefix) const {
  for (auto column : change.merged)
    if (before) change.cells[column] = merged_cell((*before)[column], std::get<std::string>(*change.cells[column]));
  std::vector<std::pair<std::size_t, Cell>> misfits;  // sent in place of objects that stay for their members' sake
  for (std::size_t i = 0; before && i < change.cells.size(); ++i)
    if (change.cells[i] && table().columns[i].kept) {
      auto stays = keep_members(table().columns[i], *change.cells[i], (*before)[i]);
      auto judged = keep_members(table().columns[i], *change.cells[i], (*before)[i], contract::Misfit::left);
      if (judged != stays) misfits.emplace_back(i, std::move(judged));
      change.cells[i] = std::move(stays);
    }
  bool meant = false;  // something beside the time of the change
  for (std::size_t i = 0; i < change.cells.size(); ++i)
    meant |= change.cells[i].has_value() && table().columns[i].filled != Filled::updated && !table().is_key(i);
  if (!meant) {
    auto same = co_await current(session, wanted);
    if (!same) co_return std::unexpected(std::move(same).error());
    if (!*same) co_return fail(kNoSuchRow);
    co_return std::move(**same);
  }
  if (!guarded_.empty())
    if (auto seen = co_await check_references(session, change, before, *wanted.caller, prefix); !seen)
      co_return std::unexpected(std::move(seen).error());
  const auto statement = update_statement(database_.dialect(), wanted, change.cells, forms_->all);
  if (!statement) co_return fail(kNoSuchRow);
  auto rows = co_await session.query(statement->sql, statement->cells);
  if (!rows) {
    auto told = co_await explained(session, std::move(rows).error(), &change, before, prefix);
    co_return told;
  }
  if (rows->empty()) co_return fail(kNoSuchRow);
  if (rows->size() > 1) co_return several_rows();
  if (!misfits.empty()) {
    auto sent = rows->front();
    for (auto& [column, cell] : misfits) sent[column] = std::move(cell);
    if (auto valid = check(sent, before, prefix); !valid) co_return std::unexpected(std::move(valid).error());
  }
  if (auto valid = check(rows->front(), before, prefix); !valid) co_return std::unexpected(std::move(valid).error());
  co_return std::move(rows->front());
}

Task<Result<Row>> Writing::assign_file(Session& session, const Wanted& wanted, const FileCells& cells,
                                       const Row* before, Nanoseconds wall) const {
  const auto& file = *cells.file;
  std::vector<database::Assigned> values{
      {.column = &file.bytes, .value = &cells.bytes},
      {.column = &file.digest, .value = &cells.digest},
      {.column = &file.type, .value = &cells.type},
  };
  if (file.file_name) values.push_back({.column = &*file.file_name, .value = &cells.name});
  if (file.size) values.push_back({.column = &*file.size, .value = &cells.size});
  std::vector<Cell> times;
  times.reserve(table().columns.size());
  for (const auto& column : table().columns)
    if (column.filled == Filled::updated) {
      times.push_back(time_cell(column, rfc3339(wall)));
      values.push_back({.column = &column, .value = &times.back()});
    }
  const auto statement = assign_statement(database_.dialect(), wanted, values, forms_->all);
  if (!statement) co_return fail(kNoSuchRow);
  auto rows = co_await session.query(statement->sql, statement->cells);
  if (!rows) {
    auto told = co_await explained(session, std::move(rows).error(), nullptr, nullptr, {});
    co_return told;
  }
  if (rows->empty()) co_return fail(kNoSuchRow);
  if (rows->size() > 1) co_return several_rows();
  if (before)
    if (auto valid = check(rows->front(), before, {}); !valid) co_return std::unexpected(std::move(valid).error());
  co_return std::move(rows->front());
}

Task<Result<>> Writing::erase(Session& session, const Wanted& wanted) const {
  const auto statement = delete_statement(database_.dialect(), wanted);
  if (!statement) co_return fail(kNoSuchRow);
  auto rows = co_await session.query(statement->sql, statement->cells);
  if (!rows) {
    auto told = co_await explained(session, std::move(rows).error(), nullptr, nullptr, {});
    co_return std::unexpected(std::move(told).error());
  }
  if (rows->empty()) co_return fail(kNoSuchRow);
  if (rows->size() > 1) co_return several_rows();
  co_return Result<>{};
}

Result<> Writing::precondition(const Request& request, const Context& context, const Row& row) const {
  const auto tag = tag_of_row(row, shown(row), context);
  const auto verdict = http::evaluate(request.method, request.headers, {.etag = tag}, context.wall / kSecond);
  if (verdict == http::Precondition::failed || verdict == http::Precondition::not_modified)
    return fail(kPreconditionFailed);
  return {};
}

Response Writing::minimal_response(Context& context) {
  Response response{.status = 204, .headers = Headers{context.arena}};
  response.headers.add("preference-applied", "return=minimal");
  return response;
}

bool Writing::conditional(const Request& request) {
  return request.headers.contains("if-match") || request.headers.contains("if-none-match");
}

std::string Writing::location_of(const Row& row) const {
  std::string location;
  if (!location_) return location;
  const std::string_view path = location_->path;
  const auto names = path_parameters(path);
  std::size_t at = 0;
  for (std::size_t i = 0; i < names.size() && i < location_->columns.size(); ++i) {
    const auto open = static_cast<std::size_t>(names[i].data() - path.data()) - 1;
    const auto text = text_of(row[location_->columns[i]]);
    if (!is_segment(text)) return {};
    location += path.substr(at, open - at);
    append_encoded(location, text);
    at = open + names[i].size() + 2;
  }
  location.append(path.substr(at));
  return location.size() > longest_target_ ? std::string{} : location;
}

namespace {

/// POST on the collection: 201, `Location` and the row.
class Create final : public Writing {
 public:
  Create(std::shared_ptr<const Model> model, Plan plan, const Build& build)
      : Writing(std::move(model), std::move(plan), build) {
    if (table().files.empty()) return;
    sent_ = SentTypes{build.contract, *model_, table()};
    memory_ = build.services.shared->of<BodyMemory>();
    folder_ = build.services.of_plan->of<PlanFolder>()->folder;
  }
  Task<Result<Response>> handle(Request& request, Context& context) override {
    const bool minimal = wants_minimal(request);
    auto who = caller(context);
    if (!who) co_return std::unexpected(std::move(who).error());
    auto fixed = path_conditions(context);
    if (!fixed) co_return fail(kNoSuchRow);
    if (!context.input.body) co_return std::unexpected(wrong(kInvalidRow, "body", "", "required", "a row is required"));
    auto body = *context.input.body;
    std::vector<FileCells> files;
    std::optional<BodyShare> taken_memory;  // of copies: all that the form has may be files
    if (!table().files.empty() && context.input.media_type == "multipart/form-data") {
      taken_memory.emplace(*memory_, request.peer);
      if (!taken_memory->take_memory(context.input.body_text.size()))
        co_return std::unexpected(taken_memory->refused());
      auto taken = take_files(table(), sent_, context.input.body_text, request.headers.find("content-type"), body,
                              context.arena);
      if (!taken) co_return std::unexpected(std::move(taken).error());
      files = std::move(*taken);
    }
    Uploads uploads;
    auto kept = co_await to_folder(request.peer, context, files, uploads);
    if (!kept) {
      discard(uploads);
      co_return std::unexpected(std::move(kept).error());
    }
    auto change = new_row(table(), body, {.caller = &*who, .fixed = *fixed, .wall = context.wall});
    if (!change) {
      discard(uploads);
      co_return std::unexpected(all_told(std::move(change).error(), body, {}, false));
    }
    context.wrote(table().name);
    auto answer = co_await context.unit().answer([&](Session& session) -> Task<Result<Response>> {
      auto row = co_await insert(session, *change, *who, {});
      if (!row) co_return std::unexpected(std::move(row).error());
      if (!files.empty()) {
        auto stored = co_await store_files(session, *row, *who, files, context.wall);
        if (!stored) co_return std::unexpected(std::move(stored).error());
        *row = std::move(*stored);
      }
      auto text = shown(*row);
      if (!minimal)
        if (auto fits = within_budget(text); !fits) co_return std::unexpected(std::move(fits).error());
      const auto tag = context.kept(tag_of_row(*row, text, context));
      auto response = minimal ? minimal_response(context) : json_response(context, 201, std::move(text));
      if (const auto location = location_of(*row); !location.empty())
        response.headers.add("location", context.kept(location));
      response.headers.add("etag", tag);
      co_return response;
    });
    if (answer ? answer->status >= 400 : answer.error().problem != &database::kOutcomeUnknown) discard(uploads);
    co_return answer;
  }

 private:
  using Uploads = std::deque<Upload>;
  /// Those of the files whose bytes are not kept in their rows.
  Task<Result<>> to_folder(const Peer& peer, Context& context, std::vector<FileCells>& files, Uploads& uploads) const {
    constexpr std::size_t kPiece = 256 * 1024;
    for (auto& file : files) {
      if (!file.file->in_folder()) continue;
      const auto bytes = std::move(std::get<std::string>(file.bytes));
      auto& upload =
          uploads.emplace_back(context, peer, folder_, *memory_, FileFolder::area_of(table().name, file.file->name));
      auto begun = co_await upload.begin();
      if (!begun) co_return begun;
      for (std::string_view rest = bytes; !rest.empty(); rest.remove_prefix(std::min(kPiece, rest.size()))) {
        auto added = co_await upload.add(rest.substr(0, kPiece));
        if (!added) co_return added;
      }
      auto published = co_await upload.publish();
      if (!published) co_return published;
      file.bytes = upload.name();
      file.size = static_cast<std::int64_t>(upload.size());
    }
    co_return Result<>{};
  }
  static void discard(Uploads& uploads) noexcept {
    for (auto& upload : uploads) upload.discard();
  }

  /// Into the row that was made just now.
  Task<Result<Row>> store_files(Session& session, const Row& made, const Caller& who,
                                const std::vector<FileCells>& files, Nanoseconds wall) const {
    Wanted wanted{.model = model_.get(), .table = &table(), .conditions = {}, .search = {}, .caller = &who};
    for (const auto key : table().keys) wanted.conditions.push_back({.column = key, .values = {made[key]}});
    auto row = made;
    for (const auto& file : files) {
      auto stored = co_await assign_file(session, wanted, file, &row, wall);
      if (!stored) co_return std::unexpected(std::move(stored).error());
      row = std::move(*stored);
    }
    co_return row;
  }

  SentTypes sent_;
  std::shared_ptr<BodyMemory> memory_;  ///< null: the table has no files
  std::shared_ptr<FileFolder> folder_;  ///< null: no table has files in one
};

/// PATCH (RFC 7396), PUT and DELETE of a row.
class ChangeOne final : public Writing {
 public:
  using Writing::Writing;
  Task<Result<Response>> handle(Request& request, Context& context) override {
    auto who = caller(context);
    if (!who) co_return std::unexpected(std::move(who).error());
    const auto conditions = row_conditions(context);
    if (!conditions) co_return fail(kNoSuchRow);
    const bool matched = request.headers.contains("if-match");
    if (table().require_match && !matched) co_return fail(kPreconditionRequired);
    const Wanted wanted{
        .model = model_.get(), .table = &table(), .conditions = *conditions, .search = {}, .caller = &*who};
    Result<Change> change;
    if (plan_.action != Action::remove) {
      if (!context.input.body)
        co_return std::unexpected(wrong(kInvalidRow, "body", "", "required", "a body is required"));
      const auto& body = *context.input.body;
      const bool merging = plan_.action == Action::update;
      const ChangeBy by{.caller = &*who, .fixed = *conditions, .wall = context.wall};
      change = merging ? merge_patch(table(), body, by) : replacement(table(), body, by);
      if (!change && !needs_row(body, merging))
        co_return std::unexpected(all_told(std::move(change).error(), body, {}, merging));
    }
    context.wrote(table().name);
    auto answer = co_await context.unit().answer([&](Session& session) -> Task<Result<Response>> {
      if (!change) {
        auto told = co_await refused(context, session, wanted, change.error());
        co_return std::unexpected(std::move(told));
      }
      auto done = co_await in_transaction(request, context, session, wanted, *change);
      co_return done;
    });
    co_return answer;
  }

 private:
  /// What is wrong with a body depends on the row that is there.
  Task<Error> refused(Context& context, Session& session, const Wanted& wanted, const Error& error) const {
    auto before = co_await current(session, wanted);
    if (!before) co_return std::move(before).error();
    co_return all_told(error, *context.input.body, {}, plan_.action == Action::update, *before ? &**before : nullptr);
  }
  Task<Result<Response>> in_transaction(const Request& request, Context& context, Session& session,
                                        const Wanted& wanted, const Change& asked) const {
    std::optional<Row> before;
    const bool needed = compares() || !asked.merged.empty() || table().keeps_members();
    if (conditional(request) || (plan_.action != Action::remove && needed)) {
      auto there = co_await current(session, wanted);
      if (!there) co_return std::unexpected(std::move(there).error());
      if (!*there) co_return fail(kNoSuchRow);
      before = std::move(*there);
      if (auto holds = precondition(request, context, *before); !holds)
        co_return std::unexpected(std::move(holds).error());
    }
    if (plan_.action == Action::remove) {
      auto done = co_await erase(session, wanted);
      if (!done) co_return std::unexpected(std::move(done).error());
      co_return Response{.status = 204, .headers = Headers{context.arena}};
    }
    auto row = co_await change(session, wanted, asked, before ? &*before : nullptr, {});
    if (!row) co_return std::unexpected(std::move(row).error());
    auto text = shown(*row);
    const bool minimal = wants_minimal(request);
    if (!minimal)
      if (auto fits = within_budget(text); !fits) co_return std::unexpected(std::move(fits).error());
    const auto tag = context.kept(tag_of_row(*row, text, context));
    auto response = minimal ? minimal_response(context) : json_response(context, 200, std::move(text));
    response.headers.add("etag", tag);
    co_return response;
  }
};

/// The body that an operation takes, as it is written in a contract.
std::string written_body(const Plan& plan) {
  const auto action = plan.batch ? plan.batch->action : plan.action;
  const auto* schema = plan.table->at->find("schema");
  std::string item;
  if (action == Action::update)
    item = "{type: object}";
  else if (action != Action::remove && schema && schema->is(json::Type::string))
    item = "{$ref: '" + std::string(schema->string()) + "'}";
  if (plan.batch) item = "{type: array" + (item.empty() ? "" : ", items: " + item) + "}";
  return "requestBody: {required: true, content: {application/json: {" + (item.empty() ? "" : "schema: " + item) +
         "}}}";
}

/// Rows come in the body: without its value no request could succeed.
Result<> check_body(const Plan& plan, const Build& build) {
  if (plan.action == Action::remove) return {};
  const auto& operation = build.operation;
  const auto refuse = [&](const json::Value& at, std::string_view what, std::string_view remedy) {
    return config::wrong(at, "operation " + operation.id + ": " + std::string(what), remedy);
  };
  const auto remedy = [&] { return "Declare it: `" + written_body(plan) + "`."; };
  if (!operation.body)
    return refuse(*operation.raw, "what it stores comes in the body, and it declares no `requestBody`", remedy());
  const auto has_value = [](const contract::MediaType& media) {
    const auto kind = contract::body_kind(http::essence(media.name));
    return media.name.contains('*') || (kind != contract::BodyKind::text && kind != contract::BodyKind::binary);
  };
  if (std::ranges::none_of(operation.body->content, has_value))
    return refuse(config::member_or(*operation.raw, "requestBody"),
                  "what it stores comes in the body, and no media type of its `requestBody` is JSON or a form",
                  remedy());
  const auto* validate = operation.extension("validate");
  const auto mode = Part::mode_of(validate);
  const auto* way = validate ? validate->find("body") : nullptr;
  const bool streamed = way && way->is(json::Type::string) && way->string() == "stream";
  if (streamed || (mode && *mode == Mode::off))
    return refuse(streamed ? *way : *validate, "what it stores comes in the body, which `validate` leaves unread here",
                  "Remove `validate: " + std::string(streamed ? "{body: stream}" : "off") + "` from the operation.");
  return {};
}

}  // namespace

std::unique_ptr<Handler> make_batch(std::shared_ptr<const Model> model, Plan plan, const Build& build);
Result<std::unique_ptr<Handler>> make_import(std::shared_ptr<const Model> model, Plan plan, const Build& build);

Result<std::unique_ptr<Handler>> make_write(std::shared_ptr<const Model> model, Plan plan, const Build& build) {
  if (plan.batch && plan.batch->import) return make_import(std::move(model), std::move(plan), build);
  if (auto read = check_body(plan, build); !read) return std::unexpected(std::move(read).error());
  if (plan.action == Action::batch) return make_batch(std::move(model), std::move(plan), build);
  if (plan.action == Action::create) return std::make_unique<Create>(std::move(model), std::move(plan), build);
  return std::make_unique<ChangeOne>(std::move(model), std::move(plan), build);
}

}  // namespace plimsoll::table
