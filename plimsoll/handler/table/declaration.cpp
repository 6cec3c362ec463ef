#include "plimsoll/handler/table/declaration.hpp"

#include "plimsoll/json/pointer.hpp"

#include <algorithm>

namespace plimsoll::config {
enum class Naming : std::uint8_t { snake, camel };
enum class Stored : std::uint8_t { column, folder };
template <>
struct Words<Stored> {
  static constexpr std::string_view words[] = {"column", "folder"};
};
template <>
struct Words<Naming> {
  static constexpr std::string_view words[] = {"snake", "camel"};
};
}  // namespace plimsoll::config

namespace plimsoll::table {
namespace {

using config::field;
using config::Raw;
using json::Type;

struct TableOptions {
  Raw schema = nullptr;
  std::vector<std::string> key;
  Raw unique = nullptr, indexes = nullptr;
  Raw owner = nullptr;
  std::string tenant;
  Raw filters = nullptr;
  std::vector<std::string> sort;
  std::vector<std::string> search;
  config::RawObject embeds{};
  Raw files = nullptr;
  Raw page = nullptr;
  config::Naming naming = config::Naming::snake;
  bool require_match = false;
};

struct EmbedOptions {
  std::string table;
  std::vector<std::string> on, by;
  std::int64_t limit = 100;
};
constexpr config::Field kEmbedFields[] = {
    field<&EmbedOptions::table>("table", "The other table."),
    field<&EmbedOptions::on>(
        "on",
        "The column of this table that contains the key of the other table; a list for a key of several columns."),
    field<&EmbedOptions::by>(
        "by", "The column of the other table that contains the key of this row; a list for a key of several columns."),
    field<&EmbedOptions::limit>("limit", "The most rows that are embedded.", {1, 1'000}),
};

struct FileOptions {
  config::Stored stored = config::Stored::column;
  std::string column, type, digest, name, size;
};
constexpr config::Field kFileFields[] = {
    field<&FileOptions::stored>("stored",
                                "column: the bytes are in the row. folder: they are in the folder that `files` of the "
                                "deployment names."),
    config::shown(field<&FileOptions::column>("column",
                                              "The column of the bytes, or of their name in the folder; default: the "
                                              "name of the file."),
                  "image"),
    config::shown(field<&FileOptions::size>("size",
                                            "With `stored: folder` the column of the length in bytes; default: that "
                                            "name with `_size` (`Size`)."),
                  "image_size"),
    config::shown(field<&FileOptions::type>("type",
                                            "The column of the media type, which may be a `readOnly` property of the "
                                            "schema; default: that name with `_type` (`Type` with `naming: camel`)."),
                  "image_type"),
    config::shown(field<&FileOptions::digest>("digest",
                                              "The column of the SHA-256 of the bytes, from which the entity tag is "
                                              "made; default: that name with `_digest` (`Digest`)."),
                  "image_digest"),
    config::shown(field<&FileOptions::name>("name",
                                            "The column of the file name that the caller sent, which may be a "
                                            "`readOnly` property of the schema; without it none is stored."),
                  "image_name"),
};

struct PageOptions {
  std::int64_t standard = 50, max = 100;
};
constexpr config::Field kPageFields[] = {
    field<&PageOptions::standard>("default", "Rows of a page if the caller does not send `limit`.", {1, 10'000}),
    field<&PageOptions::max>("max", "The most rows of a page that a caller may request.", {1, 10'000}),
};

struct OwnerOptions {
  std::string column;
  std::vector<std::string> except_roles;
};
constexpr config::Field kOwnerFields[] = {
    field<&OwnerOptions::column>("column", "The column that holds the caller."),
    field<&OwnerOptions::except_roles>(
        "except-roles", "Roles that see, change and delete the rows of all owners, and may give them to others."),
};

constexpr std::string_view kLists =
    R"("type":"array","items":{"anyOf":[{"type":"string"},{"type":"array","minItems":1,"items":{"type":"string"}}]})";

constexpr config::Field kFields[] = {
    config::shaped(
        field<&TableOptions::schema>("schema", "The schema of a row, by reference; its properties are the columns."),
        R"("type":"string")", "'#/components/schemas/Order'"),
    field<&TableOptions::key>("key",
                              "The column that identifies a row, or the columns that together do; default: `id`."),
    config::shaped(
        field<&TableOptions::unique>(
            "unique",
            "Columns, or lists of columns, of which no two rows have the same values; within the tenant where there is "
            "one."),
        kLists, "[[order_id, position], code]"),
    config::shaped(
        field<&TableOptions::indexes>(
            "indexes", "Columns, or lists of columns, to index in addition to those that filters and sorts need."),
        kLists, "[[status, created_at]]"),
    config::object_of<OwnerOptions>(
        field<&TableOptions::owner>(
            "owner",
            "The column that names the caller who owns the row; rows of other owners are not visible. "
            "Long form: {column, except-roles}."),
        kOwnerFields, R"("type":"string")"),
    field<&TableOptions::tenant>("tenant",
                                 "The column that holds the caller's tenant; rows of other tenants are not visible."),
    config::shaped(
        field<&TableOptions::filters>("filters", "Columns that lists can be filtered by, each with its operators."),
        R"("type":"object","additionalProperties":{"anyOf":[{"type":"string"},{"type":"array","items":{"type":"string"}}]})",
        "{status: [eq, in], total: [ge, le]}"),
    field<&TableOptions::sort>("sort", "Columns that lists can be sorted by."),
    field<&TableOptions::search>("search", "Text columns that `q` searches."),
    config::map_of<EmbedOptions>(
        field<&TableOptions::embeds>("embeds",
                                     "Rows of other tables that can be embedded: {table, on} or {table, by}."),
        kEmbedFields),
    config::map_of<FileOptions>(
        field<&TableOptions::files>("files",
                                    "Files of a row, by name, which operations with `file` store, send and remove: "
                                    "{stored, column, type, digest, name}."),
        kFileFields),
    config::object_of<PageOptions>(field<&TableOptions::page>("page", "Rows of a page: {default, max}."), kPageFields),
    field<&TableOptions::naming>("naming", "Naming style of the fields that the server adds: `snake` or `camel`."),
    field<&TableOptions::require_match>("require-match",
                                        "Changes must send `If-Match`; without it the response is 428."),
};

constexpr int kDeepest = 16;          ///< parts and references within each other
constexpr std::size_t kMostKeys = 8;  ///< columns of a key

/// An item of what may be a list or one value alone.
const json::Value* item(const json::Value* list, std::size_t at) {
  return list && list->is(Type::array) && at < list->array().size() ? &list->array()[at] : list;
}

/// What a `$ref` leads to, one step; the schema itself where there is none.
const json::Value& follow_once(const json::Value& root, const json::Value& schema) {
  auto* reference = schema.find("$ref");
  if (!reference || !reference->is(Type::string) || !reference->string().starts_with("#")) return schema;
  auto* target = json::resolve(root, reference->string().substr(1));
  return target ? *target : schema;
}

/// Reads one entry, complaining into `wrong`.
class Reader {
 public:
  Reader(const json::Value& root, std::string pointer, const json::Value& at, std::vector<Wrong>& wrong)
      : root_(root), at_(at), pointer_(std::move(pointer)), wrong_(wrong) {}

  std::optional<Table> read(std::string_view name);

 private:
  void complain(const json::Value* at, std::string_view key, std::string what, std::string remedy) {
    auto pointer = pointer_;
    if (!key.empty()) json::append_token(pointer, key);
    wrong_.push_back({at ? at : &at_, std::move(pointer), std::move(what), std::move(remedy)});
    failed_ = true;
  }
  bool options_of(const json::Value* from, std::string_view key, std::span<const config::Field> fields, void* into) {
    if (!from) return true;
    if (auto done = config::read(*from, fields, into); !done) {
      complain(from, key, done.error().detail, "Correct the entry; docs/tables.md lists what it may hold.");
      return false;
    }
    return true;
  }
  std::optional<std::size_t> known(const Table& table, std::string_view column, const json::Value* at,
                                   std::string_view key);
  void columns(Table& table, const json::Value& schema);
  Column column(std::string_view name, std::span<const json::Value* const> declarations);
  void keys(Table& table, const TableOptions& options);
  void groups(const Table& table, const json::Value* from, std::string_view key,
              std::vector<std::vector<std::size_t>>& into);
  void filters(Table& table, const json::Value* from);
  void embeds(Table& table, const json::Value* from, bool camel);
  void files(Table& table, const json::Value* from, bool camel);
  void marks(Table& table, const json::Value& schema);
  void check_hidden(const Table& table);
  void fill(Table& table);

  const json::Value& root_;
  const json::Value& at_;
  std::string pointer_;
  std::vector<Wrong>& wrong_;
  bool failed_ = false;
};

/// The types a schema names, `null` apart.
struct Types {
  std::vector<std::string_view> names;
  bool null = false;
};
Types types_of(const json::Value& schema) {
  Types types;
  const auto add = [&](const json::Value& type) {
    if (!type.is(Type::string)) return;
    if (type.string() == "null")
      types.null = true;
    else
      types.names.push_back(type.string());
  };
  if (auto* type = schema.find("type")) {
    if (type->is(Type::array))
      for (auto& one : type->array()) add(one);
    else
      add(*type);
  }
  if (auto* nullable = schema.find("nullable"); nullable && nullable->is(Type::boolean) && nullable->boolean())
    types.null = true;
  return types;
}

/// What all schemas that apply to a value say together: of `allOf` and `$ref` each part, of `anyOf` and `oneOf` what
/// the alternatives have in common. `null` apart, which `admits_null` knows.
struct Description {
  std::optional<std::vector<std::string_view>> types;  ///< nothing: any
  std::string_view format;
  const json::Value* words = nullptr;  ///< `enum`
  const json::Value* default_value = nullptr;
  std::optional<std::int64_t> longest;  ///< `maxLength`

  /// Both hold.
  void and_also(Description other) {
    if (!types)
      types = std::move(other.types);
    else if (other.types)
      types = both(*types, *other.types);
    if (format.empty()) format = other.format;
    if (!words) words = other.words;
    if (!default_value) default_value = other.default_value;
    if (other.longest) longest = std::min(longest.value_or(*other.longest), *other.longest);
  }
  /// One of them holds.
  void or_else(const Description& other) {
    if (!types || !other.types) {
      types.reset();
    } else {
      for (auto type : *other.types)
        if (std::ranges::find(*types, type) == types->end()) types->push_back(type);
    }
    if (format != other.format) format = {};
    if (words != other.words) words = nullptr;
    if (longest && other.longest)
      longest = std::max(*longest, *other.longest);
    else
      longest.reset();
    if (default_value != other.default_value) default_value = nullptr;
  }
  static std::vector<std::string_view> both(const std::vector<std::string_view>& a,
                                            const std::vector<std::string_view>& b) {
    const auto takes = [](const std::vector<std::string_view>& types, std::string_view type) {
      return std::ranges::any_of(types,
                                 [&](auto one) { return one == type || (one == "number" && type == "integer"); });
    };
    std::vector<std::string_view> made;
    for (auto* list : {&a, &b})
      for (auto type : *list)
        if (takes(a, type) && takes(b, type) && std::ranges::find(made, type) == made.end()) made.push_back(type);
    return made;
  }
};

Description describe(const json::Value& root, const json::Value& schema, int depth = 0) {
  Description made;
  if (depth > kDeepest || !schema.is(Type::object)) return made;
  if (auto types = types_of(schema); !types.names.empty()) made.types = std::move(types.names);
  if (auto* format = schema.find("format"); format && format->is(Type::string)) made.format = format->string();
  made.words = schema.find("enum");
  if (auto* longest = schema.find("maxLength"); longest && longest->is(Type::number)) made.longest = longest->integer();
  made.default_value = schema.find("default");
  if (const auto& target = follow_once(root, schema); &target != &schema)
    made.and_also(describe(root, target, depth + 1));
  if (auto* parts = schema.find("allOf"))
    for (auto& part : parts->array()) made.and_also(describe(root, part, depth + 1));
  for (std::string_view keyword : {"anyOf", "oneOf"}) {
    std::optional<Description> choice;
    if (auto* parts = schema.find(keyword))
      for (auto& part : parts->array()) {
        // `anyOf: [X, {type: null}]` is how 3.1 says that a reference may be null.
        if (auto types = types_of(follow(root, part)); types.names.empty() && types.null) continue;
        auto one = describe(root, part, depth + 1);
        if (choice)
          choice->or_else(one);
        else
          choice = std::move(one);
      }
    if (choice) made.and_also(std::move(*choice));
  }
  return made;
}

/// Whether null is valid, as far as types, listed values and combinations of schemas say.
bool admits_null(const json::Value& root, const json::Value& schema, int depth = 0) {
  if (depth > kDeepest) return true;
  if (const auto& target = follow_once(root, schema); &target != &schema && !admits_null(root, target, depth + 1))
    return false;
  if (schema.is(Type::boolean)) return schema.boolean();
  const auto types = types_of(schema);
  if (!types.names.empty() && !types.null) return false;
  if (auto* one = schema.find("const"); one && !one->is(Type::null)) return false;
  const auto is_null = [](auto& word) { return word.is(Type::null); };
  if (auto* words = schema.find("enum"); words && std::ranges::none_of(words->array(), is_null)) return false;
  const auto admits = [&](auto& part) { return admits_null(root, part, depth + 1); };
  if (auto* parts = schema.find("allOf"); parts && !std::ranges::all_of(parts->array(), admits)) return false;
  for (std::string_view keyword : {"anyOf", "oneOf"})
    if (auto* parts = schema.find(keyword); parts && std::ranges::none_of(parts->array(), admits)) return false;
  return true;
}

bool is_type(std::string_view name) {
  constexpr std::string_view kTypes[] = {"string", "integer", "number", "boolean", "array", "object"};
  return std::ranges::find(kTypes, name) != std::end(kTypes);
}

/// Whether it holds a whole JSON value, as far as its type can be known.
bool is_whole(const Column& column) { return column.kind == Kind::json && !column.mistaken; }

Kind kind_of(const Description& described) {
  const auto format = described.format;
  if (!described.types || described.types->size() != 1) {
    if (!described.types && described.words && !described.words->array().empty() &&
        std::ranges::all_of(described.words->array(), [](auto& w) { return w.is(Type::string); }))
      return Kind::text;
    return Kind::json;
  }
  const auto type = described.types->front();
  if (type == "string") return format == "decimal" ? Kind::decimal : format == "date-time" ? Kind::instant : Kind::text;
  if (type == "integer") return Kind::integer;
  if (type == "number") return format == "decimal" ? Kind::number : Kind::real;
  if (type == "boolean") return Kind::boolean;
  return Kind::json;
}

std::optional<std::size_t> Reader::known(const Table& table, std::string_view column, const json::Value* at,
                                         std::string_view key) {
  if (auto found = table.column(column)) return found;
  std::vector<std::string_view> names;
  for (auto& c : table.columns) names.push_back(c.name);
  const auto near = config::nearest(column, names);
  complain(at, key,
           "table \"" + table.name + "\" has no column \"" + std::string(column) + "\"" +
               (near.empty() ? "" : "; did you mean \"" + std::string(near) + "\"?"),
           "Name a property of the table's schema, or add it there.");
  return std::nullopt;
}

/// All that the parts of a schema declare for each property.
using Declarations = std::vector<const json::Value*>;
void gather(const json::Value& root, const json::Value& schema,
            std::vector<std::pair<std::string_view, Declarations>>& into, int depth = 0) {
  if (depth > kDeepest) return;
  if (const auto& target = follow_once(root, schema); &target != &schema) gather(root, target, into, depth + 1);
  if (auto* parts = schema.find("allOf"))
    for (auto& part : parts->array()) gather(root, part, into, depth + 1);
  if (auto* properties = schema.find("properties"))
    for (auto& property : properties->object()) {
      const auto known = std::ranges::find(into, property.key, &std::pair<std::string_view, Declarations>::first);
      if (known != into.end())
        known->second.push_back(&property.value);
      else
        into.emplace_back(property.key, Declarations{&property.value});
    }
}

Column Reader::column(std::string_view name, std::span<const json::Value* const> declarations) {
  Description described;
  for (const auto* declared : declarations) described.and_also(describe(root_, *declared));
  Column made;
  made.name = name;
  made.kind = kind_of(described);
  made.mistaken = described.types && !std::ranges::all_of(*described.types, is_type);
  made.nullable = std::ranges::all_of(declarations, [&](auto* declared) { return admits_null(root_, *declared); });
  made.format = described.format;
  made.words = described.words;
  made.schema = declarations.front();
  made.schemas.assign(declarations.begin(), declarations.end());
  made.default_value = described.default_value;
  made.longest = described.longest;
  return made;
}

void Reader::columns(Table& table, const json::Value& schema) {
  std::vector<std::pair<std::string_view, Declarations>> found;
  gather(root_, schema, found);
  table.columns.reserve(found.size());
  for (auto& [name, declarations] : found) table.columns.push_back(column(name, declarations));
}

/// A property is required where any part says so.
void require(const json::Value& root, const json::Value& schema, std::vector<std::string_view>& names, int depth = 0) {
  if (depth > kDeepest) return;
  if (auto* list = schema.find("required"))
    for (auto& name : list->array())
      if (name.is(Type::string)) names.push_back(name.string());
  if (const auto& target = follow_once(root, schema); &target != &schema) require(root, target, names, depth + 1);
  if (auto* parts = schema.find("allOf"))
    for (auto& part : parts->array()) require(root, part, names, depth + 1);
}

void Reader::keys(Table& table, const TableOptions& options) {
  const auto* declared = at_.find("key");
  if (declared && options.key.empty())
    complain(declared, "key", "`key` names no column", "Name one, or several: `key: [order_id, line]`.");
  if (options.key.size() > kMostKeys)
    complain(declared, "key", "a key has at most " + std::to_string(kMostKeys) + " columns", "Name fewer of them.");
  const auto names = options.key.empty() ? std::vector<std::string>{"id"} : options.key;
  const bool several = names.size() > 1;
  std::vector<const json::Value*> places;  // of the columns of the key that are good
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto* place = item(declared, i);
    const auto found = known(table, names[i], place, "key");
    if (!found) continue;
    if (table.is_key(*found)) {
      complain(place, "key", "`key` names \"" + names[i] + "\" twice", "Name each column once.");
      continue;
    }
    table.keys.push_back(*found);
    places.push_back(place);
    auto& key = table.columns[*found];
    if (key.kind == Kind::instant || key.kind == Kind::decimal)
      complain(several ? place : key.schema, "key",
               "the key \"" + names[i] + "\" has a format whose values are not compared as text",
               "Leave out `format: " + std::string(key.kind == Kind::instant ? "date-time" : "decimal") +
                   "`, or name another column.");
    else if (key.kind != Kind::text && key.kind != Kind::integer && !key.mistaken)
      complain(several ? place : key.schema, "key", "the key \"" + names[i] + "\" is neither text nor an integer",
               "Give it `type: string` or `type: integer`.");
    table.key_from_client |= !key.read_only;
    key.required = true;
    // Of several columns those that clients can write must be sent: none of them is made up.
    if (!several || key.read_only) key.filled = Filled::key;
  }
  OwnerOptions owner;
  if (options.owner && options.owner->is(Type::string))
    owner.column = options.owner->string();
  else
    options_of(options.owner, "owner", kOwnerFields, &owner);
  if (options.owner) {
    table.owner = known(table, owner.column, &config::member_or(*options.owner, "column"), "owner");
    table.owner_except = std::move(owner.except_roles);
    if (table.owner) table.columns[*table.owner].filled = Filled::owner, table.columns[*table.owner].verbatim = true;
  }
  if (!options.tenant.empty()) {
    table.tenant = known(table, options.tenant, at_.find("tenant"), "tenant");
    if (table.tenant)
      table.columns[*table.tenant].filled = Filled::tenant, table.columns[*table.tenant].verbatim = true;
  }
  for (std::size_t i = 0; several && i < table.keys.size(); ++i) {
    const auto& key = table.columns[table.keys[i]];
    const auto* place = places[i];
    if (table.keys[i] == table.tenant)
      complain(place, "key", "the tenant \"" + key.name + "\" is part of the key",
               "Leave it out: keys that clients choose are unique within the tenant as it is.");
    else if (key.filled == Filled::key && key.kind == Kind::integer)
      complain(place, "key",
               "\"" + key.name + "\" is `readOnly` and part of a key of several columns: no value is generated for it",
               "Take `readOnly` from its schema, so that it is sent or stands in the path, or make it text.");
  }
  for (auto column : {table.owner, table.tenant})
    if (column && !table.columns[*column].mistaken && table.columns[*column].kind != Kind::text &&
        table.columns[*column].kind != Kind::integer)
      complain(&at_, {}, "\"" + table.columns[*column].name + "\" cannot hold a caller",
               "A column for an owner or tenant has `type: string` or `type: integer`.");
}

/// Lists of columns: each a list, or the name of one.
void Reader::groups(const Table& table, const json::Value* from, std::string_view key,
                    std::vector<std::vector<std::size_t>>& into) {
  if (!from) return;
  const auto form =
      "Write a list of columns and of lists of them: `" + std::string(key) + ": [[status, created_at], code]`.";
  if (!from->is(Type::array)) return complain(from, key, "`" + std::string(key) + "` is no list", form);
  for (auto& entry : from->array()) {
    std::vector<std::size_t> columns;
    const auto add = [&](const json::Value& name) {
      if (!name.is(Type::string)) return complain(&name, key, "the name of a column is expected", form);
      const auto found = known(table, name.string(), &name, key);
      if (!found) return;
      if (is_whole(table.columns[*found]))
        return complain(&name, key, "\"" + std::string(name.string()) + "\" holds a whole JSON value",
                        "Name columns of a simple type.");
      if (std::ranges::find(columns, *found) != columns.end())
        return complain(&name, key, "\"" + std::string(name.string()) + "\" is named twice", "Name each column once.");
      columns.push_back(*found);
    };
    const auto before = wrong_.size();
    if (!entry.is(Type::array))
      add(entry);
    else if (entry.array().empty())
      complain(&entry, key, "a list in `" + std::string(key) + "` names no column", form);
    else
      for (auto& name : entry.array()) add(name);
    const bool good = wrong_.size() == before;
    if (good && table.tenant && std::ranges::find(columns, *table.tenant) == columns.end())
      columns.insert(columns.begin(), *table.tenant);
    if (good && std::ranges::find(into, columns) == into.end()) into.push_back(std::move(columns));
  }
}

void Reader::filters(Table& table, const json::Value* from) {
  if (!from) return;
  if (!from->is(Type::object))
    return complain(from, "filters", "`filters` is not an object", "Write `filters: {status: [eq, in]}`.");
  for (auto& member : from->object()) {
    auto column = known(table, member.key, &member.value, "filters");
    if (!column) continue;
    if (std::ranges::find(kReservedParameters, member.key) != std::end(kReservedParameters))
      complain(&member.value, "filters", "a filter cannot be named \"" + std::string(member.key) + "\"",
               "The query string uses that word for lists; leave the filter out.");
    Filter made{.column = *column, .operators = {}};
    const auto add = [&](const json::Value& word) {
      auto op = config::read_word(word, kOperatorNames);
      if (!op)
        complain(&word, "filters", op.error().detail, "Operators are eq ne lt le gt ge in like is-null.");
      else if (static_cast<Operator>(*op) == Operator::like && table.columns[*column].kind != Kind::text &&
               !table.columns[*column].mistaken)
        complain(&word, "filters", "`like` compares text, and \"" + std::string(member.key) + "\" is none",
                 "Compare it by eq ne lt le gt ge in.");
      else
        made.operators.push_back(static_cast<Operator>(*op));
    };
    if (member.value.is(Type::array))
      for (auto& word : member.value.array()) add(word);
    else
      add(member.value);
    if (is_whole(table.columns[*column]))
      complain(&member.value, "filters", "\"" + std::string(member.key) + "\" holds a whole JSON value",
               "Filter by columns of a simple type.");
    table.filters.push_back(std::move(made));
  }
}

void Reader::embeds(Table& table, const json::Value* from, bool camel) {
  if (!from) return;
  for (auto& member : from->object()) {
    EmbedOptions options;
    if (!options_of(&member.value, "embeds", kEmbedFields, &options)) continue;
    if (options.table.empty() || options.on.empty() == options.by.empty()) {
      complain(&config::member_or(member.value, "by"), "embeds", "an embed names a `table` and either `on` or `by`",
               "`{table: customers, on: customer_id}` shows one row, `{table: items, by: order_id}` shows many.");
      continue;
    }
    if (options.limit < 1 || options.limit > 1000)
      complain(&member.value, "embeds", "`limit` of an embed is from 1 to 1000", "Choose a number in between.");
    const auto* on = &config::member_or(member.value, "on");
    bool all = true;
    for (std::size_t i = 0; i < options.on.size(); ++i)
      all &= known(table, options.on[i], item(on, i), "embeds").has_value();
    if (!all) continue;
    table.embeds.push_back({.name = std::string(member.key),
                            .table = options.table,
                            .on = options.on,
                            .by = options.by,
                            .limit = options.limit,
                            .more = std::string(member.key) + (camel ? "HasMore" : "_has_more")});
  }
}

void Reader::files(Table& table, const json::Value* from, bool camel) {
  if (!from) return;
  if (!from->is(Type::object) || from->object().empty())
    return complain(from, "files", "`files` names no file", "Write `files: {image: {}}`.");
  std::vector<std::string> taken;
  for (auto& member : from->object()) {
    FileOptions options;
    if (!options_of(&member.value, "files", kFileFields, &options)) continue;
    const std::string name(member.key);
    const auto or_default = [&](const std::string& said, std::string_view snake, std::string_view suffix) {
      return !said.empty() ? said : name + std::string(camel ? suffix : snake);
    };
    const auto complain_of = [&](std::string_view option, std::string what, std::string remedy) {
      complain(&config::member_or(member.value, option), "files", "file \"" + name + "\": " + std::move(what),
               std::move(remedy));
    };
    FileColumns made{.name = name, .bytes = {}, .digest = {}, .type = {}, .file_name = {}, .size = {}};
    /// One of the columns; `shown`: it may be a property of the schema.
    const auto column_of = [&](std::string_view option, const std::string& column, bool shown) {
      Column of;
      of.name = column;
      of.nullable = of.read_only = true;
      if (std::ranges::find(taken, column) != taken.end())
        complain_of(option, "the column \"" + column + "\" is named twice", "Give each of them a column of its own.");
      taken.push_back(column);
      const auto known = table.column(column);
      if (!known) return of;
      const auto& property = table.columns[*known];
      if (!shown)
        complain_of(option, "the column \"" + column + "\" is a property of the schema, and rows do not show it",
                    "Remove the property, or name another column.");
      else if (property.kind != Kind::text || !property.read_only || property.filled != Filled::no ||
               table.is_key(*known) || property.required || property.write_only)
        complain_of(option, "the property \"" + column + "\" cannot hold what the server says of a file",
                    "Give it `type: string` and `readOnly: true`, and do not list it under `required`: rows without "
                    "a file have none.");
      return property;
    };
    made.bytes = column_of("column", or_default(options.column, "", ""), false);
    const bool folder = options.stored == config::Stored::folder;
    made.bytes.kind = folder ? Kind::text : Kind::bytes;
    if (folder) {
      made.size = column_of("size", or_default(options.size, "_size", "Size"), false);
      made.size->kind = Kind::integer;
    } else if (!options.size.empty()) {
      complain_of("size", "`size` says the length of a file in the folder", "Add `stored: folder`, or remove `size`.");
    }
    made.digest = column_of("digest", or_default(options.digest, "_digest", "Digest"), false);
    made.type = column_of("type", or_default(options.type, "_type", "Type"), true);
    if (!options.name.empty()) made.file_name = column_of("name", options.name, true);
    table.files.push_back(std::move(made));
  }
  if (const auto known = table.column("_rowid_"))
    complain(from, "files", "a table with files has no property \"_rowid_\", by which SQLite knows its rows",
             "Give the property another name.");
}

/// What clients may write and see of each column, and of the members inside it.
void Reader::marks(Table& table, const json::Value& schema) {
  const auto find = [&](contract::Mark mark) {
    auto found = std::make_shared<const contract::Marked>(root_, schema, mark);
    if (const auto& undecided = found->undecided())
      complain(undecided->at, "schema",
               "\"" + std::string(contract::kMarkNames[static_cast<std::size_t>(mark)]) + "\" of member \"" +
                   undecided->member + "\" of table \"" + table.name + "\" depends on the data: " + undecided->what,
               "Mark the member in every alternative that declares it, or beside them, or in none.");
    return found;
  };
  table.read_only = find(contract::Mark::read_only);
  table.write_only = find(contract::Mark::write_only);
  for (auto& column : table.columns) {
    const auto look = [&](const contract::Marked& marked, bool& whole, const contract::MarkedPlace*& inside) {
      const auto* row = marked.place();
      const auto* place = row ? row->member(column.name) : nullptr;
      whole = (row && row->marked) || (place && place->marked);
      if (!whole && place && column.kind == Kind::json) inside = place;
    };
    look(*table.read_only, column.read_only, column.kept);
    look(*table.write_only, column.write_only, column.hidden);
  }
}

/// Who can filter or sort by what is never shown can find it out.
void Reader::check_hidden(const Table& table) {
  const auto look = [&](std::size_t column, std::string_view key) {
    if (table.columns[column].write_only)
      complain(at_.find(key), key,
               "\"" + table.columns[column].name + "\" is `writeOnly`, and `" + std::string(key) +
                   "` would show what it holds",
               "Leave it out of `" + std::string(key) + "`, or take `writeOnly` from the schema.");
  };
  for (auto column : table.keys) look(column, "key");
  for (auto& filter : table.filters) look(filter.column, "filters");
  for (auto column : table.sort) look(column, "sort");
  for (auto column : table.search) look(column, "search");
  for (auto& embed : table.embeds)
    for (auto& on : embed.on) look(*table.column(on), "embeds");
}

/// By name: `created_at` and `updated_at` (or camel case), where clients cannot write them.
void Reader::fill(Table& table) {
  for (auto& column : table.columns) {
    if (column.filled != Filled::no || !column.read_only || column.kind != Kind::instant) continue;
    if (column.name == "created_at" || column.name == "createdAt") column.filled = Filled::created;
    if (column.name == "updated_at" || column.name == "updatedAt") column.filled = Filled::updated;
  }
}

std::optional<Table> Reader::read(std::string_view name) {
  TableOptions options;
  if (!options_of(&at_, {}, kFields, &options)) return std::nullopt;
  Table table{.name = std::string(name), .at = &at_, .pointer = pointer_};
  if (!options.schema) {
    complain(&at_, {}, "table \"" + table.name + "\" has no `schema`",
             "Point to the schema of a row: `schema: '#/components/schemas/Order'`.");
    return std::nullopt;
  }
  const json::Value* schema = options.schema;
  if (schema->is(Type::null)) {
    complain(schema, "schema", "`schema` is empty: in YAML, # begins a comment",
             "Write the reference in quotation marks: `schema: '#/components/schemas/Order'`.");
    return std::nullopt;
  }
  if (schema->is(Type::string)) {
    schema = schema->string().starts_with("#") ? json::resolve(root_, schema->string().substr(1)) : nullptr;
    if (!schema) {
      complain(options.schema, "schema", "\"" + std::string(options.schema->string()) + "\" cannot be resolved",
               "Write a pointer into this document, such as '#/components/schemas/Order'.");
      return std::nullopt;
    }
  }
  table.schema = schema;
  columns(table, *schema);
  std::vector<std::string_view> required;
  require(root_, *schema, required);
  for (auto& column : table.columns)
    column.required = !column.nullable && std::ranges::find(required, column.name) != required.end();
  if (table.columns.empty()) {
    complain(options.schema, "schema", "the schema of table \"" + table.name + "\" has no properties",
             "Its properties are the columns; list them.");
    return std::nullopt;
  }
  marks(table, *schema);
  keys(table, options);
  groups(table, options.unique, "unique", table.unique);
  groups(table, options.indexes, "indexes", table.indexes);
  filters(table, options.filters);
  for (std::size_t i = 0; i < options.sort.size(); ++i) {
    const auto& column = options.sort[i];
    const auto* place = item(at_.find("sort"), i);
    if (auto found = known(table, column, place, "sort")) {
      if (is_whole(table.columns[*found]))
        complain(place, "sort", "\"" + column + "\" holds a whole JSON value", "Sort by columns of a simple type.");
      table.sort.push_back(*found);
    }
  }
  for (std::size_t i = 0; i < options.search.size(); ++i) {
    const auto& column = options.search[i];
    const auto* place = item(at_.find("search"), i);
    if (auto found = known(table, column, place, "search")) {
      if (table.columns[*found].kind != Kind::text && !table.columns[*found].mistaken)
        complain(place, "search", "\"" + column + "\" is no text", "`q` looks through text columns.");
      table.search.push_back(*found);
    }
  }
  embeds(table, options.embeds.value, options.naming == config::Naming::camel);
  files(table, options.files, options.naming == config::Naming::camel);
  check_hidden(table);
  PageOptions page;
  if (options_of(options.page, "page", kPageFields, &page)) {
    if (page.standard > page.max && options.page && options.page->find("default"))
      complain(
          &config::member_or(*options.page, "default"), "page",
          "`default` of a page is " + std::to_string(page.standard) + ", and its `max` " + std::to_string(page.max),
          "Lower `default`, or raise `max`.");
    if (page.standard > page.max) page.standard = page.max;
    if (page.standard < 1 || page.max > 10'000)
      complain(options.page, "page", "a page has from 1 to 10000 rows", "Choose numbers in between.");
    table.page_default = page.standard;
    table.page_max = page.max;
  }
  table.camel = options.naming == config::Naming::camel;
  table.require_match = options.require_match;
  fill(table);
  if (failed_) return std::nullopt;
  return table;
}

/// What one entry alone cannot know: the other tables of its embeds.
void check_embeds(Model& model, std::vector<Wrong>& wrong) {
  for (auto& table : model.tables)
    for (auto& embed : table.embeds) {
      auto* other = model.find(embed.table);
      const auto* declared = table.at->at("embeds", embed.name);
      const auto complain = [&](std::string what, std::string remedy, std::string_view member = {}) {
        const auto* at = declared ? &config::member_or(*declared, member) : table.at;
        wrong.push_back({at, table.pointer + "/embeds", std::move(what), std::move(remedy)});
      };
      if (!other) {
        complain("embed \"" + embed.name + "\" names table \"" + embed.table + "\", which is not declared",
                 "Declare it under `tables`.", "table");
        continue;
      }
      const auto before = wrong.size();
      for (auto& by : embed.by)
        if (const auto column = other->column(by); !column)
          complain("embed \"" + embed.name + "\": table \"" + embed.table + "\" has no column \"" + by + "\"",
                   "Name the column there that holds this row's key.", "by");
        else if (other->columns[*column].write_only)
          complain("embed \"" + embed.name + "\": \"" + by + "\" of table \"" + embed.table +
                       "\" is `writeOnly`, and the embed would show what it holds",
                   "Leave the embed out, or take `writeOnly` from the schema.");
      const auto& keyed = embed.many() ? table : *other;
      const auto& named = embed.many() ? embed.by : embed.on;
      if (wrong.size() == before && named.size() != keyed.keys.size())
        complain("embed \"" + embed.name + "\" names " + std::to_string(named.size()) +
                     (named.size() == 1 ? " column" : " columns") + ", and the key of table \"" + keyed.name +
                     "\" has " + std::to_string(keyed.keys.size()) + " (" + keyed.names_of(keyed.keys) + ")",
                 "Name a column for each of these, in their order.", embed.many() ? "by" : "on");
      // What is compared must be of one kind: `1` and `"1"` are two values, and so no reference would be checked.
      for (std::size_t i = 0; wrong.size() == before && i < named.size(); ++i) {
        const auto& from = embed.many() ? *other : table;
        const auto& column = from.columns[*from.column(named[i])];
        const auto& key = keyed.columns[keyed.keys[i]];
        if (column.kind == key.kind || column.mistaken || key.mistaken) continue;
        complain("embed \"" + embed.name + "\": column \"" + column.name + "\" of table \"" + from.name + "\" is " +
                     std::string(name_of(column.kind)) + ", and the key \"" + key.name + "\" of table \"" + keyed.name +
                     "\" is " + std::string(name_of(key.kind)),
                 "Give both the same `type` and `format`: the column holds keys of the other table.",
                 embed.many() ? "by" : "on");
      }
      if (wrong.size() > before) continue;
      if (table.column(embed.name))
        complain("embed \"" + embed.name + "\" has the name of a column", "Give it another name.");
      else if (embed.many() && (table.column(embed.more) ||
                                std::ranges::find(table.embeds, embed.more, &Embed::name) != table.embeds.end()))
        complain("embed \"" + embed.name + "\" says by `" + embed.more +
                     "` that there are more rows, and that is the name of a column or embed",
                 "Give the embed or the other another name.");
    }
}

/// Keys that clients choose belong to the tenant. A row that refers to one says which by its own tenant: where a table
/// without one refers here, keys differ over all tenants.
bool key_in_tenant(const Model& model, const Table& table) {
  if (!table.tenant || !table.key_from_client || table.is_key(*table.tenant)) return false;
  return std::ranges::all_of(referrers(model, table), [&](const Reference& from) {
    const auto& other = *model.find(from.table);
    return other.tenant && std::ranges::find(from.columns, *other.tenant) == from.columns.end() &&
           other.columns[*other.tenant].kind == table.columns[*table.tenant].kind;
  });
}

}  // namespace

void note_references(Model& model) {
  const auto add = [](std::vector<Reference>& all, Reference made) {
    if (std::ranges::find(all, made) == all.end()) all.push_back(std::move(made));
  };
  const auto note = [&](const Table& from, const std::vector<std::string>& names, const Table& to) {
    std::vector<std::size_t> columns;
    for (auto& name : names) columns.push_back(*from.column(name));
    add(model.references[from.name], {to.name, columns});
    add(model.referrers[to.name], {from.name, std::move(columns)});
  };
  for (auto& table : model.tables)
    for (auto& embed : table.embeds)
      if (!embed.many()) note(table, embed.on, *model.find(embed.table));
  for (auto& table : model.tables)
    for (auto& embed : table.embeds)
      if (embed.many()) note(*model.find(embed.table), embed.by, table);
}

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::text: return "text";
    case Kind::instant: return "a date-time";
    case Kind::integer: return "an integer";
    case Kind::real: return "a number";
    case Kind::boolean: return "a boolean";
    case Kind::decimal: return "a decimal";
    case Kind::number: return "a number with all its digits";
    case Kind::json: return "JSON";
    case Kind::bytes: return "a file";
  }
  return {};
}

constinit const std::span<const config::Field> kTableFields = kFields;
const void* table_defaults() { return config::defaults_of<TableOptions>(); }

const json::Value& follow(const json::Value& root, const json::Value& value) {
  const json::Value* at = &value;
  for (int hops = 0; hops < 32; ++hops) {
    auto* reference = at->find("$ref");
    if (!reference || !reference->is(Type::string) || !reference->string().starts_with("#")) break;
    auto* next = json::resolve(root, reference->string().substr(1));
    if (!next) break;
    at = next;
  }
  return *at;
}

namespace {

const std::vector<Reference>& noted(const std::map<std::string, std::vector<Reference>, std::less<>>& all,
                                    const Table& table) {
  static const std::vector<Reference> kNone;
  const auto known = all.find(table.name);
  return known == all.end() ? kNone : known->second;
}

}  // namespace

const std::vector<Reference>& references(const Model& model, const Table& table) {
  return noted(model.references, table);
}

const Column* refers_to(const Model& model, const Table& table, std::size_t column) {
  for (auto& reference : references(model, table))
    for (std::size_t i = 0; i < reference.columns.size(); ++i)
      if (reference.columns[i] == column)
        if (const auto* to = model.find(reference.table)) return &to->columns[to->keys[i]];
  return nullptr;
}

const std::vector<Reference>& referrers(const Model& model, const Table& table) {
  return noted(model.referrers, table);
}

Model read_model(const json::Value& root, std::vector<Wrong>& wrong) {
  Model model;
  auto* tables = root.at("x-plimsoll", "tables");
  if (!tables) return model;
  if (!tables->is(Type::object)) {
    wrong.push_back(
        {tables, "/x-plimsoll/tables", "`tables` is not an object", "Write `tables: {orders: {schema: …}}`."});
    return model;
  }
  for (auto& member : tables->object()) {
    std::string pointer = "/x-plimsoll/tables";
    json::append_token(pointer, member.key);
    if (auto table = Reader{root, pointer, member.value, wrong}.read(member.key)) {
      model.places.try_emplace(table->name, model.tables.size());
      model.tables.push_back(std::move(*table));
    }
  }
  if (wrong.empty()) check_embeds(model, wrong);
  if (!wrong.empty()) return model;
  note_references(model);
  for (auto& table : model.tables) table.key_in_tenant = key_in_tenant(model, table);
  return model;
}

}  // namespace plimsoll::table
