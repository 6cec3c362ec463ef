#include "plimsoll/handler/table/plan.hpp"

#include <algorithm>

namespace plimsoll::config {
template <>
struct Words<plimsoll::table::Action> {
  static constexpr std::span<const std::string_view> words = plimsoll::table::kActionNames;
};
}  // namespace plimsoll::config

namespace plimsoll::table {
namespace {

using config::field;
using json::Type;

struct Options {
  std::string name;
  config::Raw action = nullptr;
  config::RawObject path{};
};
constexpr config::Field kOptions[] = {
    field<&Options::name>("name", "The table, an entry of the document's `tables`."),
    config::shaped(
        field<&Options::action>(
            "action", "list, read, create, update, replace, delete or batch, if method and path do not determine it."),
        R"("enum":["list","read","create","update","replace","delete","batch"])"),
    config::shaped(
        field<&Options::path>("path", "Columns of the path parameters, `{order: order_id}`, where the names differ."),
        R"("type":"object","additionalProperties":{"type":"string"})", "{order: order_id}"),
};

struct ItemOptions {
  std::int64_t max = 100;
  std::string on_error = "abort";
};
constexpr config::Field kItem[] = {
    field<&ItemOptions::max>("max", "The most items of one request.", {1, 100'000}),
    field<&ItemOptions::on_error>("on-error", "abort: one failure undoes all; continue: each item has its own result."),
};

struct ImportOptions {
  std::int64_t max = 1'000'000;
  config::Size body = config::mebibytes(256);
  std::int64_t errors = 100;
};
constexpr config::Field kImport[] = {
    field<&ImportOptions::max>("max", "The most rows of one request.", {1, 100'000'000}),
    field<&ImportOptions::body>("body", "The longest body.", {1 << 10, std::int64_t{64} << 30}),
    field<&ImportOptions::errors>("errors", "The most errors that a response tells.", {1, 1'000}),
};

struct BatchOptions {
  config::Raw create = nullptr, update = nullptr, remove = nullptr, import = nullptr;
};
constexpr config::Field kBatch[] = {
    config::object_of<ItemOptions>(
        field<&BatchOptions::create>("create", "Rows to create: {max, on-error: abort | continue}."), kItem),
    config::object_of<ItemOptions>(
        field<&BatchOptions::update>("update", "Merge patches, each with its key: {max, on-error: abort | continue}."),
        kItem),
    config::object_of<ItemOptions>(
        field<&BatchOptions::remove>("delete", "Keys of rows to delete: {max, on-error: abort | continue}."), kItem),
    config::object_of<ImportOptions>(
        field<&BatchOptions::import>("import", "Rows of CSV or NDJSON to create, all or none: {max, body, errors}."),
        kImport),
};

struct FileOptions {
  std::string name;
  config::Size max{};
};
constexpr config::Field kFile[] = {
    config::shown(field<&FileOptions::name>("name", "The file, an entry of the table's `files`."), "image"),
    config::shown(field<&FileOptions::max>("max",
                                           "The largest file that is stored; 0: `limits.body` of the "
                                           "deployment.",
                                           {0, std::int64_t{1} << 30}),
                  "10MiB"),
};

/// A sentence with its place in the contract.
std::unexpected<std::string> at(const json::Value& place, std::string_view what, std::string_view remedy = {}) {
  return std::unexpected(config::wrong(place, what, remedy).error().detail);
}

constexpr std::string_view kOneOf = "a batch is one of create, update, delete and import; give each a path of its own";

std::expected<Batch, std::string> read_batch(const json::Value& from) {
  BatchOptions options;
  if (auto read = config::read(from, kBatch, &options); !read) return std::unexpected(read.error().detail);
  std::optional<Batch> made;
  const std::pair<config::Raw, Action> kinds[] = {
      {options.create, Action::create}, {options.update, Action::update}, {options.remove, Action::remove}};
  for (auto& [raw, action] : kinds) {
    if (!raw) continue;
    if (made) return std::unexpected(std::string(kOneOf));
    ItemOptions item;
    if (auto read = config::read(*raw, kItem, &item); !read) return std::unexpected(read.error().detail);
    if (item.max < 1 || item.max > 100'000) return std::unexpected("`max` of a batch is from 1 to 100000");
    if (item.on_error != "abort" && item.on_error != "continue")
      return at(config::member_or(*raw, "on-error"), "`on-error` is one of abort, continue",
                "abort: one failure undoes all; continue: each item has its own result.");
    made = Batch{.action = action, .max = item.max, .all_or_nothing = item.on_error == "abort"};
  }
  if (options.import) {
    if (made) return std::unexpected(std::string(kOneOf));
    ImportOptions import;
    if (auto read = config::read(*options.import, kImport, &import); !read) return std::unexpected(read.error().detail);
    made = Batch{
        .max = import.max, .all_or_nothing = false, .import = true, .body = import.body.bytes, .errors = import.errors};
  }
  if (!made) return std::unexpected("a batch names one of create, update, delete and import");
  return *made;
}

std::expected<Plan::File, std::string> read_file(const Table& table, std::string_view method, const json::Value& from) {
  FileOptions options;
  if (from.is(Type::string))
    options.name = from.string();
  else if (auto read = config::read(from, kFile, &options); !read)
    return std::unexpected(read.error().detail);
  using enum Plan::File::Does;
  Plan::File made{.is = table.file(options.name), .max = options.max.bytes};
  if (!made.is) {
    std::vector<std::string_view> names;
    for (auto& file : table.files) names.push_back(file.name);
    const auto near = config::nearest(options.name, names);
    return at(config::member_or(from, "name"),
              "table \"" + table.name + "\" has no file \"" + options.name + "\"" +
                  (near.empty() ? "" : "; did you mean \"" + std::string(near) + "\"?"),
              "Declare it in the entry of the table: `files: {image: {}}`.");
  }
  if (method == "PUT")
    made.does = store;
  else if (method == "DELETE")
    made.does = remove;
  else if (method != "GET")
    return at(from, "a file of a row is not served by " + std::string(method),
              "GET sends it, PUT stores it and DELETE removes it.");
  if (options.max.bytes && made.does != store)
    return at(config::member_or(from, "max"), "`max` has no effect on " + std::string(method),
              "Say it at the operation that stores the file (PUT).");
  return made;
}

std::expected<Action, std::string> action_of(std::string_view method, bool item, bool batch, const Options& options) {
  if (batch) return Action::batch;
  if (options.action) {
    auto word = config::read_word(*options.action, kActionNames);
    if (!word) return std::unexpected(word.error().detail);
    return static_cast<Action>(*word);
  }
  if (method == "GET") return item ? Action::read : Action::list;
  if (method == "POST" && !item) return Action::create;
  if (item && method == "PATCH") return Action::update;
  if (item && method == "PUT") return Action::replace;
  if (item && method == "DELETE") return Action::remove;
  return std::unexpected("a table does not answer " + std::string(method) +
                         (item ? " on one row" : " on the collection") + "; say `action` or use another method");
}

/// The column a path parameter stands for: by the mapping, by its own name, or `orderId` for `order_id`.
std::optional<std::size_t> column_for(const Table& table, std::string_view parameter, const Options& options) {
  if (options.path)
    if (auto* column = options.path->find(parameter))
      return column->is(Type::string) ? table.column(column->string()) : std::nullopt;
  return table.column(parameter);
}

}  // namespace

constinit const std::span<const config::Field> kOptionFields = kOptions;
constinit const std::span<const config::Field> kBatchFields = kBatch;
constinit const std::span<const config::Field> kFileFields = kFile;
const void* file_defaults() { return config::defaults_of<FileOptions>(); }
const void* option_defaults() { return config::defaults_of<Options>(); }
const void* batch_defaults() { return config::defaults_of<BatchOptions>(); }

std::vector<std::size_t> open_keys(const Plan& plan) {
  auto open = plan.table->keys;
  std::erase_if(open, [&](auto column) {
    return std::ranges::find(plan.fixed, column, &Plan::Fixed::column) != plan.fixed.end();
  });
  return open;
}

std::vector<std::string_view> path_parameters(std::string_view path) {
  std::vector<std::string_view> names;
  for (auto open = path.find('{'); open != path.npos; open = path.find('{', open + 1)) {
    const auto close = path.find('}', open);
    if (close == path.npos) break;
    names.push_back(path.substr(open + 1, close - open - 1));
  }
  return names;
}

std::expected<Plan, std::string> plan(const Model& model, std::string_view method, std::string_view path,
                                      const json::Value& from, const json::Value* batch, const json::Value* file) {
  Options options;
  if (from.is(Type::string))
    options.name = from.string();
  else if (auto read = config::read(from, kOptions, &options); !read)
    return std::unexpected(read.error().detail);
  Plan made{.table = model.find(options.name)};
  if (!made.table) {
    std::vector<std::string_view> names;
    for (auto& table : model.tables) names.push_back(table.name);
    const auto near = config::nearest(options.name, names);
    return at(config::member_or(from, "name"),
              "there is no table \"" + options.name + "\"" +
                  (near.empty() ? "" : "; did you mean \"" + std::string(near) + "\"?"),
              "Declare it under `tables` of the document's `x-plimsoll`, or correct the name.");
  }
  if (batch) {
    auto read = read_batch(*batch);
    if (!read) return std::unexpected(std::move(read).error());
    made.batch = *read;
    if (made.table->require_match && (read->action == Action::update || read->action == Action::remove))
      return at(config::member_or(*batch, read->action == Action::update ? "update" : "delete"),
                "table \"" + made.table->name +
                    "\" has `require-match`, and an item of a batch cannot carry the tag of its row",
                "Leave out `require-match` or the batch: single changes carry `If-Match`.");
  }
  const auto names = path_parameters(path);
  const bool item = path.ends_with('}');
  if (file) {
    if (batch) return at(*file, "`file` and `batch` are two things", "Give each a path of its own.");
    if (options.action)
      return at(*options.action, "`action` has no effect beside `file`", "Remove it: the method says what is done.");
    auto read = read_file(*made.table, method, *file);
    if (!read) return std::unexpected(std::move(read).error());
    made.file = *read;
    made.action = Action::file;
  } else {
    auto action = action_of(method, item, made.batch.has_value(), options);
    if (!action) return std::unexpected(std::move(action).error());
    made.action = *action;
  }
  const bool one = made.action == Action::file || made.action == Action::read || made.action == Action::update ||
                   made.action == Action::replace || made.action == Action::remove;
  if (one && names.empty()) return std::unexpected("the path names no row: it has no parameter");
  if (made.action == Action::batch && !made.batch)
    return std::unexpected("a batch says what it does: `batch: {create: {max: 1000}}`");
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto& keys = made.table->keys;
    if (one && keys.size() == 1 && i + 1 == names.size() && !(options.path && options.path->find(names[i]))) {
      made.key = {{i, keys[0]}};
      continue;
    }
    const auto column = column_for(*made.table, names[i], options);
    if (!column)
      return std::unexpected("path parameter \"" + std::string(names[i]) + "\" is no column of table \"" +
                             options.name + "\"; say which: `table: {name: " + options.name + ", path: {" +
                             std::string(names[i]) + ": …}}`");
    if (!one || !made.table->is_key(*column)) {
      made.fixed.push_back({i, *column});
      continue;
    }
    if (const auto twice = std::ranges::find(made.key, *column, &Plan::Fixed::column); twice != made.key.end())
      return std::unexpected("path parameters \"" + std::string(names[twice->parameter]) + "\" and \"" +
                             std::string(names[i]) + "\" both stand for column \"" + made.table->columns[*column].name +
                             "\"");
    made.key.push_back({i, *column});
  }
  if (options.path)
    for (const auto& member : options.path->object())
      if (std::ranges::find(names, member.key) == names.end()) {
        json::Value place = member.value;
        if (member.at.line) place.set_position(member.at);
        return at(place, "the path " + std::string(path) + " has no parameter {" + std::string(member.key) + "}",
                  "`path` maps parameters of the path to columns: name one of its parameters, or remove it.");
      }
  for (auto column : one ? made.table->keys : std::vector<std::size_t>{})
    if (std::ranges::find(made.key, column, &Plan::Fixed::column) == made.key.end()) {
      if (made.table->keys.size() == 1) return std::unexpected("no path parameter stands for the key of the row");
      const auto& name = made.table->columns[column].name;
      return std::unexpected("no path parameter stands for \"" + name + "\", and the key of a row of table \"" +
                             options.name + "\" is [" + made.table->names_of(made.table->keys) + "]; add `{" + name +
                             "}` to the path, or say which parameter it is: `table: {name: " + options.name +
                             ", path: {…: " + name + "}}`");
    }
  return made;
}

}  // namespace plimsoll::table
