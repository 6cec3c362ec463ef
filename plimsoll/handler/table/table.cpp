#include "plimsoll/contract/load_errors.hpp"
#include "plimsoll/handler/table/access_plan.hpp"
#include "plimsoll/handler/table/effective.hpp"
#include "plimsoll/handler/table/file_sweep.hpp"
#include "plimsoll/handler/table/file_upload.hpp"
#include "plimsoll/handler/table/folder_probe.hpp"
#include "plimsoll/handler/table/merge.hpp"
#include "plimsoll/handler/table/operation.hpp"
#include "plimsoll/handler/table/parameters.hpp"
#include "plimsoll/handler/table/prepare.hpp"

#include "plimsoll/database/secret.hpp"
#include "plimsoll/exchange/handling.hpp"
#include "plimsoll/exchange/permission.hpp"
#include "plimsoll/telemetry/log.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <algorithm>
#include <cctype>
#include <utility>

namespace plimsoll::table {
namespace {

Result<std::shared_ptr<const CursorKey>> read_secrets(const Services& services) {
  auto shared = services.shared->of<Secrets>();
  const std::scoped_lock lock(shared->mutex);
  if (!shared->cursors) {
    auto secret = database::secret_of(*services.database, "cursor");
    if (!secret) return std::unexpected(std::move(secret).error());
    shared->cursors = std::make_shared<const CursorKey>(*secret);
    shared->tags = EntityTags{*secret};
  }
  return shared->cursors;
}

/// The tables of the contract for which a plan is being made: read once for all its operations, which keep them.
struct Models {
  std::mutex mutex;
  const json::Value* root = nullptr;
  std::weak_ptr<const Model> model;
};

/// Whether the key is the number of the row, which SQLite counts on from the greatest there is.
bool counts_keys(const Table& table, const database::FoundTable& found) {
  if (table.keys.size() != 1 || table.columns[table.keys.front()].filled != Filled::key) return false;
  const auto key =
      std::ranges::find(found.columns, table.columns[table.keys.front()].name, &database::FoundColumn::name);
  return key != found.columns.end() && key->is_rowid;
}

/// What the start has seen of the tables that were there.
void note_tables(Model& model, const Services& services) {
  const auto& tables = *services.of_plan->of<StandingTables>();
  const auto& known = tables.found;
  for (auto& table : model.tables) {
    const auto found = known.find(table.name);
    note_storage(services.database->dialect(), table, found != known.end() ? &found->second : nullptr);
    const auto made = tables.made.find(table.name);
    if (found == known.end() && made == tables.made.end()) continue;
    const auto& now = found != known.end() ? found->second : made->second;
    note_indexes(services.database->dialect(), table, now);
    table.counts_keys = counts_keys(table, now);
  }
  // A column that the server makes has the type of the key that it refers to.
  for (auto& table : model.tables)
    for (std::size_t i = 0; !known.contains(table.name) && i < table.columns.size(); ++i)
      if (const auto* to = refers_to(model, table, i); to && to->kind == table.columns[i].kind) {
        table.columns[i].type = to->type;
        table.columns[i].uuid = to->uuid;
      }
}

Result<std::shared_ptr<const Model>> model_of(const Build& build) {
  const auto shared = build.services.of_plan->of<Models>();
  const std::scoped_lock lock(shared->mutex);
  const auto* root = &*build.contract.root;
  if (auto known = shared->root == root ? shared->model.lock() : nullptr) return known;
  std::vector<Wrong> wrong;
  auto made = read_model(*root, wrong);
  if (!wrong.empty()) return config::wrong(*wrong[0].at, wrong[0].what);
  note_tables(made, build.services);
  for (auto& table : made.tables)
    if (std::ranges::any_of(table.columns, &Column::foreign))
      table.odd = std::make_shared<OddRows>(build.services, table.name);
  for (auto& operation : build.contract.operations) {
    const auto* options = operation.extension("table");
    if (!options || operation.method != "GET") continue;
    const auto read = plan(made, operation.method, operation.path, *options, nullptr, operation.extension("file"));
    if (!read || read->action != Action::read) continue;
    Location found{operation.path, std::vector(path_parameters(operation.path).size(), read->table->keys[0])};
    for (auto* part : {&read->fixed, &read->key})
      for (auto& one : *part) found.columns[one.parameter] = one.column;
    const auto [known, first] = made.locations.try_emplace(read->table->name, found);
    if (!first && found.columns.size() < known->second.columns.size()) known->second = std::move(found);
  }
  auto kept = std::make_shared<const Model>(std::move(made));
  shared->root = root;
  shared->model = kept;
  return kept;
}

/// Where something is declared.
struct Place {
  const json::Value* at = nullptr;
  std::string pointer{};  ///< where it is known
};
Place place_of(const Table* table) { return table ? Place{table->at, table->pointer} : Place{}; }
/// The column that it is about, where there is one; else the table.
Place place_of(const Disagreement& one) {
  const auto column = one.table && !one.column.empty() ? one.table->column(one.column) : std::nullopt;
  return column ? Place{one.table->columns[*column].schema} : place_of(one.table);
}

void complain(contract::Complaints& complaints, const contract::Contract& contract,
              contract::Complaint::Severity severity, std::string_view code, Place place, std::string what,
              std::string remedy) {
  complaints.push_back({.severity = severity,
                        .code = std::string(code),
                        .file = contract::file_of(contract.files, place.at),
                        .at = place.at ? place.at->position() : json::Position{},
                        .pointer = std::move(place.pointer),
                        .what = std::move(what),
                        .remedy = std::move(remedy)});
}

/// What is a comment is said as it is: no statement helps.
std::string remedy_of(const Disagreement& one) {
  if (!one.migration.starts_with("-- "))
    return "Write a migration (migrations/*.sql; `plimsoll migrate new NAME` writes it):\n" + one.migration;
  auto sentence = one.migration.substr(3);
  sentence[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(sentence[0])));
  return sentence.ends_with(';') ? sentence : sentence + ".";
}

/// A default that is no value of its column would refuse every new row that leaves the member out.
void check_defaults(const contract::Contract& contract, const Model& model, contract::Complaints& complaints) {
  for (const auto& table : model.tables)
    for (const auto& column : table.columns) {
      const auto* value = column.default_value;
      if (!value || value->is(json::Type::null)) continue;
      const auto holds = [&](const json::Value* schema) {
        const auto validator = contract.validator(*schema, schema::CompileOptions::Direction::none);
        return !validator || (*validator)->valid(*value);
      };
      if (std::ranges::all_of(column.schemas, holds) && to_cell(column, *value)) continue;
      complain(
          complaints, contract, contract::Complaint::Severity::error, contract::load_error::kInvalidDefault.code,
          {value},
          "the default of column \"" + column.name + "\" of table \"" + table.name + "\" does not satisfy its schema",
          "Correct the default or the schema: each new row without the member gets it.");
    }
}

/// Rows that others wrote are served as they are; who starts the server is told how many break the schema.
void tell_broken_rows(const contract::Contract& contract, const Services& services, Model& model,
                      contract::Complaints& complaints) {
  using enum contract::Complaint::Severity;
  note_tables(model, services);
  auto broken = find_broken_rows(*services.database, model, *services.of_plan->of<StandingTables>(), contract);
  if (!broken)
    return complain(complaints, contract, database::is_refused_statement(broken.error()) ? error : warning,
                    "table-rows", {},
                    "the rows could not be validated against their schemas: " + database::reason_of(broken.error()),
                    database::remedy_of(broken.error()));
  for (auto& one : *broken) {
    if (services.log)
      services.log->write(one.broken > 0 ? telemetry::Level::warning : telemetry::Level::info, "table-rows-checked",
                          [&](telemetry::Line& line) {
                            line.add("table", one.table->name).add("checked", one.looked).add("broken", one.broken);
                            line.add("all", one.all);
                          });
    if (one.broken > 0)
      complain(complaints, contract, warning, "table-rows", place_of(one.table),
               std::to_string(one.broken) + " of the " + (one.all ? "" : "first ") + std::to_string(one.looked) +
                   (one.looked == 1 ? " row" : " rows") + " of table \"" + one.table->name +
                   "\" break its schema; the first is " + one.example,
               "Correct the rows or the schema. They are served as they are stored.");
  }
}

/// Makes the tables that several contracts declare, each with all that any of them needs. Each contract is then held
/// against what is there, like any other.
void prepare_together(const Services& services, contract::Complaints& complaints) {
  using enum contract::Complaint::Severity;
  Merged merged;
  for (const auto* each : services.contracts) {
    std::vector<Wrong> wrong;
    const auto model = read_model(*each->root, wrong);
    if (!wrong.empty()) return;  // said where that contract is prepared
    merged.add(model, *each, complaints);
  }
  merged.finish();
  if (!complaints.empty() || !services.database) return;
  ForeignKeys keys;
  StandingTables tables;
  auto disagreements = prepare_tables(*services.database, merged.model, keys, tables);
  if (!disagreements)
    return complain(complaints, *services.contracts.front(), error, "tables-not-prepared", {},
                    "the tables could not be prepared: " + database::reason_of(disagreements.error()),
                    database::remedy_of(disagreements.error()));
  for (auto& one : *disagreements) {
    if (one.warning) continue;
    const auto later = merged.later.find({one.table->name, one.column});
    const auto& declares = later != merged.later.end() ? *later->second : *merged.first.find(one.table->name)->second;
    complain(complaints, declares, error, "table-disagrees", place_of(one), std::move(one.what), remedy_of(one));
  }
}

/// The folder of files of the process: opened, and perhaps marked, at the start alone. What stands at its path at a
/// reload may be a place where nothing is mounted.
struct OpenFolder {
  std::mutex mutex;
  std::shared_ptr<FileFolder> folder;
};
Result<std::shared_ptr<FileFolder>> folder_of(const Services& services, const std::string& path) {
  const auto open = services.shared->of<OpenFolder>();
  const std::scoped_lock lock(open->mutex);
  if (open->folder && open->folder->path() == path) return open->folder;
  auto secret = database::secret_of(*services.database, "files");
  if (!secret) return std::unexpected(std::move(secret).error());
  auto made = FileFolder::open(path, *secret);
  if (made) open->folder = *made;
  return made;
}

/// Of a generation: its folder has a probe, for all its plans.
struct Probed {
  bool done = false;
};

/// Opens the folder of files where a table has some in it, and keeps it swept.
void open_folder(const contract::Contract& contract, const Services& services, const Model& model,
                 contract::Complaints& complaints) {
  using enum contract::Complaint::Severity;
  const auto has = [](const Table& table) { return std::ranges::any_of(table.files, &FileColumns::in_folder); };
  const auto found = std::ranges::find_if(model.tables, has);
  if (found == model.tables.end()) return;
  const auto refuse = [&](std::string what, std::string remedy) {
    complain(complaints, contract, error, "files-folder", place_of(&*found), std::move(what), std::move(remedy));
  };
  const auto options = read_section<FolderOptions>(services, kFilesSection);
  if (!options) return refuse(options.error().detail, {});
  if (options->folder.empty())
    return refuse("table \"" + found->name + "\" has files that are `stored: folder`, and there is no folder",
                  "Name one in the deployment: `files: {folder: /var/lib/shop/files}`.");
  const auto refuse_folder = [&](const Error& failed) {
    const auto own = database::own_remedy_of(failed);
    refuse(database::reason_of(failed),
           own.empty() ? "Give the user of the server the right to write there, or name another folder."
                       : std::string(own));
  };
  if (services.trial) {  // the database of a trial is a copy with secrets of its own: the folder would be marked by it
    if (auto could = FileFolder::could_open(options->folder); !could) refuse_folder(could.error());
    return;
  }
  auto folder = folder_of(services, options->folder);
  if (!folder) return refuse_folder(folder.error());
  services.of_plan->of<PlanFolder>()->folder = *folder;
  const Clock& clock = services.clock ? *services.clock : system_clock();
  if (!std::exchange(services.of_generation->of<Probed>()->done, true)) {
    auto* up = services.metrics ? &services.metrics->gauge("plimsoll_files_up",
                                                           "1 while the folder of files is there and takes files.")
                                : nullptr;
    services.backgrounds->add(
        std::make_unique<FolderProbe>(*folder, services.shared->of<FolderState>(), clock, services.log, up));
  }
  auto* removed = services.metrics
                      ? &services.metrics->counter("plimsoll_table_files_removed_total",
                                                   "Files of the folder that no row named any more, and were removed.")
                      : nullptr;
  services.backgrounds->add(std::make_unique<FileSweep>(*services.database, *folder, options->keep.nanoseconds, model,
                                                        clock, services.log, removed));
}

void prepare(const contract::Contract& contract, const Services& services, contract::Complaints& complaints) {
  using enum contract::Complaint::Severity;
  std::vector<Wrong> wrong;
  auto model = read_model(*contract.root, wrong);
  for (auto& fault : wrong) complaints.push_back(complaint(fault, contract.files));
  if (!wrong.empty()) return;
  if (services.contracts.size() > 1 && services.contracts.front() == &contract) {
    prepare_together(services, complaints);
    if (!complaints.empty()) return;
  }
  if (model.tables.empty()) return;
  check_defaults(contract, model, complaints);
  services.of_plan->of<EmbedAccessInForce>()->access = std::make_shared<const EmbedAccess>(*contract.root, model);
  if (!services.database) {
    complain(complaints, contract, error, "no-database", place_of(&model.tables[0]),
             "tables are declared and there is no database",
             "Name one in the deployment: `database: {url: 'sqlite:shop.db'}`.");
    return;
  }
  auto disagreements = prepare_tables(*services.database, model, *services.of_plan->of<ForeignKeys>(),
                                      *services.of_plan->of<StandingTables>());
  if (!disagreements) {
    const auto& failed = disagreements.error();
    complain(complaints, contract, error, "tables-not-prepared", {},
             "the tables could not be prepared: " + database::reason_of(failed), database::remedy_of(failed));
    return;
  }
  for (auto& one : *disagreements)
    complain(complaints, contract, one.warning ? warning : error, one.warning ? "table-advice" : "table-disagrees",
             place_of(one), std::move(one.what), remedy_of(one));
  const bool sound = std::ranges::all_of(*disagreements, &Disagreement::warning);
  if (sound) tell_broken_rows(contract, services, model, complaints);
  if (sound) open_folder(contract, services, model, complaints);
}

/// The first table with an owner or tenant that an answer may show rows of: the table itself, or one of its embeds.
const Table* owned(const Model& model, const Table& table, int depth = 0) {
  if (table.owner || table.tenant) return &table;
  if (depth > 3) return nullptr;  // as deep as `fields` may nest
  for (auto& embed : table.embeds)
    if (auto* other = model.find(embed.table))
      if (auto* found = owned(model, *other, depth + 1)) return found;
  return nullptr;
}

/// Nobody reads a table with an owner without being somebody.
Result<> check_security(const Model& model, const Plan& plan, const contract::Operation& operation) {
  const auto* table = owned(model, *plan.table);
  if (!table) return {};
  bool anybody = operation.security.empty();
  for (auto& alternative : operation.security) anybody |= alternative.all.empty();
  const auto refuse = [&](const json::Value* place, std::string_view why, std::string_view remedy) {
    return config::wrong(place ? *place : *operation.raw,
                         "operation " + operation.id + ": table \"" + table->name + "\"" +
                             (table == plan.table ? "" : ", which its embeds show,") + " has an owner or tenant, and " +
                             std::string(why),
                         remedy);
  };
  if (anybody)
    return refuse(operation.raw->find("security"), "the operation can be called without credentials",
                  "Give the operation a `security` that authenticates every caller, or the table no `owner` and no "
                  "`tenant`.");
  const auto* authentication = operation.extension("authentication");
  const auto mode = Part::mode_of(authentication);
  if (mode && *mode != Mode::enforce)
    return refuse(authentication, "`authentication` is not enforced: callers without credentials would be let in",
                  "Remove `authentication`, or say `mode: enforce`.");
  return {};
}

Result<std::unique_ptr<Handler>> build(const json::Value& options, const Build& build) {
  if (!build.services.database)
    return fail(config::kConfiguration, "operation " + build.operation.id + ": there is no database");
  auto shared = model_of(build);
  if (!shared) return std::unexpected(std::move(shared).error());
  auto model = std::move(*shared);
  auto made = plan(*model, build.operation.method, build.operation.path, options, build.operation.extension("batch"),
                   build.operation.extension("file"));
  if (!made && config::located(made.error()).at.line) return fail(config::kConfiguration, made.error());
  if (!made) return config::wrong(options, "operation " + build.operation.id + ": " + made.error());
  if (auto secure = check_security(*model, *made, build.operation); !secure)
    return std::unexpected(std::move(secure).error());
  if (auto budgets = budgets_of(build.operation); !budgets) return std::unexpected(std::move(budgets).error());
  auto cursors = read_secrets(build.services);
  if (!cursors) return std::unexpected(std::move(cursors).error());
  if (made->action == Action::file) return make_file(std::move(model), std::move(*made), build);
  if (made->action == Action::read) return make_read(std::move(model), std::move(*made), build);
  if (made->action != Action::list) return make_write(std::move(model), std::move(*made), build);
  return make_list(std::move(model), std::move(*made), build, std::move(*cursors));
}

constexpr const Problem* kTableProblems[] = {&kForbidden,
                                             &kNoSuchRow,
                                             &kInvalidQuery,
                                             &kInvalidCursor,
                                             &kPreconditionFailed,
                                             &kPreconditionRequired,
                                             &kInvalidRow,
                                             &kBatchTooLarge,
                                             &kRangeNotSatisfiable,
                                             &kFilesUnavailable,
                                             &database::kUnavailable,
                                             &database::kConflict,
                                             &database::kConstraint,
                                             &database::kResponseTooLarge,
                                             &database::kBusy,
                                             &database::kWriteTooLong,
                                             &database::kOutcomeUnknown};

constexpr std::string_view kShortForm = R"("type":"string","description":"The table.")";

constexpr config::Key kTables{.name = "tables",
                              .sentence = "Tables that operations serve, by name.",
                              .example = "{orders: {schema: '#/components/schemas/Order', sort: [created_at]}}",
                              .scopes = config::Scopes::document,
                              .entries = [] { return kTableFields; },
                              .entry_defaults = table_defaults};
constexpr config::Key kBatch{.name = "batch",
                             .sentence = "Many changes of a table in one request.",
                             .defaults = batch_defaults,
                             .fields_elsewhere = [] { return kBatchFields; },
                             .example = "{create: {max: 1000, on-error: abort}}",
                             .scopes = config::Scopes::operation,
                             .methods = config::Methods::unsafe};
constexpr config::Key kFile{.name = "file",
                            .sentence = "A file of a row of the table: GET sends it, PUT stores it, DELETE removes it.",
                            .defaults = file_defaults,
                            .short_form = R"("type":"string","description":"An entry of the table's `files`.")",
                            .fields_elsewhere = [] { return kFileFields; },
                            .example = "image"};
constexpr config::Key kMoreKeys[] = {kTables, kBatch, kFile};
constexpr config::Section kSections[] = {kFilesSection};

}  // namespace
}  // namespace plimsoll::table

namespace plimsoll::handler {

extern constinit const Handling table = {
    .key = {.name = "table",
            .sentence = "Serves a table of the database; method and path determine the action.",
            .defaults = plimsoll::table::option_defaults,
            .short_form = plimsoll::table::kShortForm,
            .fields_elsewhere = [] { return plimsoll::table::kOptionFields; },
            .example = "orders"},
    .problems = plimsoll::table::kTableProblems,
    .more_keys = plimsoll::table::kMoreKeys,
    .deployment = plimsoll::table::kSections,
    .augment = plimsoll::table::augment,
    .prepare = plimsoll::table::prepare,
    .build = plimsoll::table::build,
    .describe = plimsoll::table::describe};

}  // namespace plimsoll::handler
