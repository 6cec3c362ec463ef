#include "plimsoll/handler/table/declaration.hpp"

#include "plimsoll/json/pointer.hpp"

#include <algorithm>

namespace plimsoll::config {
enum class Naming : std::uint8_t { snake, camel };
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
  std::string key;
  Raw owner = nullptr;
  std::string tenant;
  Raw filters = nullptr;
  std::vector<std::string> sort;
  std::vector<std::string> search;
  Raw embeds = nullptr;
  Raw page = nullptr;
  config::Naming naming = config::Naming::snake;
  bool require_match = false;
};

constexpr config::Field kFields[] = {
    field<&TableOptions::schema>("schema", "The schema of a row, by reference; its properties are the columns."),
    field<&TableOptions::key>("key", "The column that names a row; `id` when nothing is said."),
    field<&TableOptions::owner>("owner",
                                "The column that holds the caller whose row it is; another's row does not exist. Long "
                                "form: {column, except-roles}."),
    field<&TableOptions::tenant>("tenant", "The column that holds the caller's tenant; another's row does not exist."),
    field<&TableOptions::filters>("filters", "Columns that lists can be filtered by, each with its operators."),
    field<&TableOptions::sort>("sort", "Columns that lists can be sorted by."),
    field<&TableOptions::search>("search", "Text columns that `q` looks through."),
    field<&TableOptions::embeds>("embeds",
                                 "Rows of other tables that can be shown inside: {table, on} or {table, by}."),
    field<&TableOptions::page>("page", "Rows of a page: {default, max}."),
    field<&TableOptions::naming>("naming", "Of the fields the server adds: `snake` or `camel`."),
    field<&TableOptions::require_match>("require-match", "Changes must say `If-Match`; without it they are 428."),
};

struct EmbedOptions {
  std::string table, on, by;
  std::int64_t limit = 100;
};
constexpr config::Field kEmbedFields[] = {
    field<&EmbedOptions::table>("table", "The other table."),
    field<&EmbedOptions::on>("on", "The column here that holds the other's key."),
    field<&EmbedOptions::by>("by", "The column there that holds this row's key."),
    field<&EmbedOptions::limit>("limit", "The most rows shown."),
};

struct PageOptions {
  std::int64_t standard = 50, max = 100;
};
constexpr config::Field kPageFields[] = {
    field<&PageOptions::standard>("default", "Rows where the caller says nothing."),
    field<&PageOptions::max>("max", "The most rows a caller may ask for."),
};

struct OwnerOptions {
  std::string column;
  std::vector<std::string> except_roles;
};
constexpr config::Field kOwnerFields[] = {
    field<&OwnerOptions::column>("column", "The column that holds the caller."),
    field<&OwnerOptions::except_roles>("except-roles", "Roles that see the rows of all owners."),
};

bool is_kind_word(const json::Value& type, std::string_view word) {
  return type.is(Type::string) && type.string() == word;
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
  void columns(Table& table, const json::Value& schema, int depth);
  Column column(std::string_view name, const json::Value& declared);
  void keys(Table& table, const TableOptions& options);
  void filters(Table& table, const json::Value* from);
  void embeds(Table& table, const json::Value* from);
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

/// Whether null is valid, as far as types, listed values and combinations of schemas say.
bool admits_null(const json::Value& root, const json::Value& declared, int depth = 0) {
  const auto& schema = follow(root, declared);
  if (depth > 8) return true;
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

bool says(const json::Value& schema, std::string_view keyword) {
  auto* value = schema.find(keyword);
  return value && value->is(Type::boolean) && value->boolean();
}

Kind kind_of(const json::Value& schema, const Types& types) {
  const auto* format_value = schema.find("format");
  const auto format = format_value && format_value->is(Type::string) ? format_value->string() : std::string_view{};
  if (types.names.size() != 1) {
    if (auto* words = schema.find("enum");
        types.names.empty() && words && !words->array().empty() &&
        std::ranges::all_of(words->array(), [](auto& w) { return w.is(Type::string); }))
      return Kind::text;
    return Kind::json;
  }
  const auto type = types.names[0];
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

Column Reader::column(std::string_view name, const json::Value& declared) {
  const json::Value* schema = &follow(root_, declared);
  // `anyOf: [X, {type: null}]` is how 3.1 says that a reference may be null.
  for (std::string_view keyword : {"anyOf", "oneOf"})
    if (auto* choices = schema->find(keyword); choices && choices->array().size() == 2)
      for (std::size_t i = 0; i < 2; ++i)
        if (auto* type = follow(root_, choices->array()[i]).find("type"); type && is_kind_word(*type, "null")) {
          schema = &follow(root_, choices->array()[1 - i]);
          break;
        }
  const auto types = types_of(*schema);
  Column made{.name = std::string(name), .kind = kind_of(*schema, types), .schema = schema};
  made.nullable = admits_null(root_, declared);
  made.read_only = says(*schema, "readOnly") || says(declared, "readOnly");
  made.write_only = says(*schema, "writeOnly") || says(declared, "writeOnly");
  made.default_value = declared.find("default") ? declared.find("default") : schema->find("default");
  return made;
}

void Reader::columns(Table& table, const json::Value& declared, int depth) {
  const auto& schema = follow(root_, declared);
  if (depth > 8) return;
  if (auto* parts = schema.find("allOf"))
    for (auto& part : parts->array()) columns(table, part, depth + 1);
  if (auto* properties = schema.find("properties"))
    for (auto& property : properties->object()) {
      auto made = column(property.key, property.value);
      if (auto known = table.column(property.key))
        table.columns[*known] = std::move(made);
      else
        table.columns.push_back(std::move(made));
    }
}

/// A property is required where any part says so; null where its type allows it.
void require(const json::Value& root, const json::Value& declared, std::vector<std::string_view>& names,
             int depth = 0) {
  const auto& schema = follow(root, declared);
  if (depth > 8) return;
  if (auto* list = schema.find("required"))
    for (auto& name : list->array())
      if (name.is(Type::string)) names.push_back(name.string());
  if (auto* parts = schema.find("allOf"))
    for (auto& part : parts->array()) require(root, part, names, depth + 1);
}

void Reader::keys(Table& table, const TableOptions& options) {
  const auto name = options.key.empty() ? std::string("id") : options.key;
  if (auto found = known(table, name, at_.find("key"), "key")) {
    table.key = *found;
    auto& key = table.columns[table.key];
    if (key.kind != Kind::text && key.kind != Kind::integer)
      complain(key.schema, "key", "the key \"" + name + "\" is neither text nor an integer",
               "Give it `type: string` or `type: integer`.");
    table.key_from_client = !key.read_only;
    key.required = true;
    key.filled = Filled::key;
  }
  OwnerOptions owner;
  if (options.owner && options.owner->is(Type::string))
    owner.column = options.owner->string();
  else
    options_of(options.owner, "owner", kOwnerFields, &owner);
  if (options.owner) {
    table.owner = known(table, owner.column, options.owner, "owner");
    table.owner_except = std::move(owner.except_roles);
    if (table.owner) table.columns[*table.owner].filled = Filled::owner;
  }
  if (!options.tenant.empty()) {
    table.tenant = known(table, options.tenant, at_.find("tenant"), "tenant");
    if (table.tenant) table.columns[*table.tenant].filled = Filled::tenant;
  }
  for (auto column : {table.owner, table.tenant})
    if (column && table.columns[*column].kind != Kind::text && table.columns[*column].kind != Kind::integer)
      complain(&at_, {}, "\"" + table.columns[*column].name + "\" cannot hold a caller",
               "A column for an owner or tenant has `type: string` or `type: integer`.");
}

void Reader::filters(Table& table, const json::Value* from) {
  if (!from) return;
  if (!from->is(Type::object))
    return complain(from, "filters", "`filters` is no object", "Write `filters: {status: [eq, in]}`.");
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
      else if (static_cast<Operator>(*op) == Operator::like && table.columns[*column].kind != Kind::text)
        complain(&word, "filters", "`like` compares text, and \"" + std::string(member.key) + "\" is none",
                 "Compare it by eq ne lt le gt ge in.");
      else
        made.operators.push_back(static_cast<Operator>(*op));
    };
    if (member.value.is(Type::array))
      for (auto& word : member.value.array()) add(word);
    else
      add(member.value);
    if (table.columns[*column].kind == Kind::json)
      complain(&member.value, "filters", "\"" + std::string(member.key) + "\" holds a whole JSON value",
               "Filter by columns of a simple type.");
    table.filters.push_back(std::move(made));
  }
}

void Reader::embeds(Table& table, const json::Value* from) {
  if (!from) return;
  for (auto& member : from->object()) {
    EmbedOptions options;
    if (!options_of(&member.value, "embeds", kEmbedFields, &options)) continue;
    if (options.table.empty() || options.on.empty() == options.by.empty()) {
      complain(&member.value, "embeds", "an embed names a `table` and either `on` or `by`",
               "`{table: customers, on: customer_id}` shows one row, `{table: items, by: order_id}` shows many.");
      continue;
    }
    if (options.limit < 1 || options.limit > 1000)
      complain(&member.value, "embeds", "`limit` of an embed is from 1 to 1000", "Choose a number in between.");
    if (!options.on.empty() && !known(table, options.on, &member.value, "embeds")) continue;
    table.embeds.push_back({.name = std::string(member.key),
                            .table = options.table,
                            .on = options.on,
                            .by = options.by,
                            .limit = options.limit});
  }
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
  if (schema->is(Type::string)) {
    schema = schema->string().starts_with("#") ? json::resolve(root_, schema->string().substr(1)) : nullptr;
    if (!schema) {
      complain(options.schema, "schema", "\"" + std::string(options.schema->string()) + "\" leads nowhere",
               "Write a pointer into this document, such as '#/components/schemas/Order'.");
      return std::nullopt;
    }
  }
  table.schema = &follow(root_, *schema);
  columns(table, *schema, 0);
  std::vector<std::string_view> required;
  require(root_, *schema, required);
  for (auto& column : table.columns)
    column.required = !column.nullable && std::ranges::find(required, column.name) != required.end();
  if (table.columns.empty()) {
    complain(options.schema, "schema", "the schema of table \"" + table.name + "\" has no properties",
             "Its properties are the columns; list them.");
    return std::nullopt;
  }
  keys(table, options);
  filters(table, options.filters);
  for (auto& column : options.sort)
    if (auto found = known(table, column, at_.find("sort"), "sort")) {
      if (table.columns[*found].kind == Kind::json)
        complain(at_.find("sort"), "sort", "\"" + column + "\" holds a whole JSON value",
                 "Sort by columns of a simple type.");
      table.sort.push_back(*found);
    }
  for (auto& column : options.search)
    if (auto found = known(table, column, at_.find("search"), "search")) {
      if (table.columns[*found].kind != Kind::text)
        complain(at_.find("search"), "search", "\"" + column + "\" is no text", "`q` looks through text columns.");
      table.search.push_back(*found);
    }
  embeds(table, options.embeds);
  PageOptions page;
  if (options_of(options.page, "page", kPageFields, &page)) {
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
      const auto complain = [&](std::string what, std::string remedy) {
        wrong.push_back({table.at, table.pointer + "/embeds", std::move(what), std::move(remedy)});
      };
      if (!other)
        complain("embed \"" + embed.name + "\" names table \"" + embed.table + "\", which is not declared",
                 "Declare it under `tables`.");
      else if (embed.many() && !other->column(embed.by))
        complain("embed \"" + embed.name + "\": table \"" + embed.table + "\" has no column \"" + embed.by + "\"",
                 "Name the column there that holds this row's key.");
      else if (table.column(embed.name))
        complain("embed \"" + embed.name + "\" has the name of a column", "Give it another name.");
    }
}

}  // namespace

constinit const std::span<const config::Field> kTableFields = kFields;

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

Model read_model(const json::Value& root, std::vector<Wrong>& wrong) {
  Model model;
  auto* tables = root.at("x-plimsoll", "tables");
  if (!tables) return model;
  if (!tables->is(Type::object)) {
    wrong.push_back({tables, "/x-plimsoll/tables", "`tables` is no object", "Write `tables: {orders: {schema: …}}`."});
    return model;
  }
  for (auto& member : tables->object()) {
    std::string pointer = "/x-plimsoll/tables";
    json::append_token(pointer, member.key);
    if (auto table = Reader{root, pointer, member.value, wrong}.read(member.key))
      model.tables.push_back(std::move(*table));
  }
  if (wrong.empty()) check_embeds(model, wrong);
  return model;
}

}  // namespace plimsoll::table
