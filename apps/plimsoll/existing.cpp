#include "apps/plimsoll/existing.hpp"

#include "plimsoll/base/letters.hpp"
#include "plimsoll/handler/table/declaration.hpp"
#include "plimsoll/json/write.hpp"

#include <algorithm>
#include <cctype>

namespace plimsoll::command {
namespace {

using database::CatalogueColumn;
using database::CatalogueTable;

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::ranges::find(words, word) != words.end();
}

/// A text as YAML writes it: as it stands where that is surely a text, else in quotes.
std::string yaml(std::string_view text) {
  const auto letter = [](unsigned char c) { return std::isalpha(c) != 0; };
  const bool plain = !text.empty() && text.size() < 60 && letter(static_cast<unsigned char>(text[0])) &&
                     std::ranges::all_of(
                         text, [](unsigned char c) { return std::isalnum(c) || c == '_'; }) &&
                     !is_one_of(lowered(text), {"y", "n", "yes", "no", "on", "off", "true", "false", "null"});
  if (plain) return std::string(text);
  std::string made;
  json::Writer{made}.string(text);
  return made;
}

std::string list(const std::vector<std::string>& words) {
  std::string made;
  for (const auto& word : words) made += (made.empty() ? "" : ", ") + yaml(word);
  return "[" + made + "]";
}

std::string one_or_list(const std::vector<std::string>& words) {
  return words.size() == 1 ? yaml(words.front()) : list(words);
}

std::string joined(const std::vector<std::string>& words) {
  std::string made;
  for (const auto& word : words) made += (made.empty() ? "" : ", ") + word;
  return made;
}

/// In one line of a comment.
std::string in_line(std::string_view text) {
  std::string made;
  for (const char c : text) made += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  return made;
}

/// Letters, digits and `_`: what a path, an operation or a schema can be called.
std::string word_of(std::string_view name) {
  std::string made;
  for (const unsigned char c : name) made += std::isalnum(c) && c < 0x80 ? static_cast<char>(c) : '_';
  return made.empty() ? "table" : made;
}

std::string name_of(const CatalogueTable& table) {
  return table.visible || table.schema.empty() ? table.name : table.schema + "." + table.name;
}

using SchemaOf = ExistingContract::SchemaOf;

/// Why a column cannot be in a key; empty: it can.
std::string why_no_key(const CatalogueColumn& column, SchemaOf schema_of) {
  const auto json = schema_of(column);
  const bool named = std::ranges::all_of(
      column.name, [](unsigned char c) { return (std::isalnum(c) && c < 0x80) || c == '_' || c == '-'; });
  if (!named) return "no path can name " + column.name;
  if (!column.words.empty()) return column.name + " is an enumeration";
  const bool text = json.type == "string" && json.format != "date-time" && json.format != "decimal";
  if (json.type == "integer" || text) return {};
  return column.name + " (" + column.declared + ") is neither text, a date nor an integer";
}

bool can_be_key(const CatalogueColumn& column, SchemaOf schema_of) { return why_no_key(column, schema_of).empty(); }

}  // namespace

ExistingContract::ExistingContract(std::vector<CatalogueTable> tables, Options options)
    : tables_(std::move(tables)), options_(std::move(options)) {}

std::vector<std::string> ExistingContract::key_candidates(const CatalogueTable& view, SchemaOf schema_of) {
  std::vector<std::string> first, then;
  for (const auto& column : view.columns) {
    if (!can_be_key(column, schema_of)) continue;
    const auto name = lowered(column.name);
    if (name == "id")
      first.push_back(column.name);
    else if (name.ends_with("id") || name.ends_with("uuid") || name.ends_with("key"))
      then.push_back(column.name);
  }
  first.insert(first.end(), then.begin(), then.end());
  return first;
}

ExistingContract::Served* ExistingContract::served(std::string_view table) {
  for (auto& each : served_)
    if (each.table->name == table) return &each;
  return nullptr;
}

std::string ExistingContract::why_not(const CatalogueTable& table, Served& made) const {
  if (const auto refused = refused_tables_.find(table.name); refused != refused_tables_.end() && table.visible)
    return refused->second;
  if (!table.visible) return "it is outside of the search path, by which tables are found";
  if (!table.readable) return "this role may not read it";
  if (!table.broken.empty()) return "it cannot be read: " + table.broken;
  if (table.view()) {
    const auto key = view_keys_.find(table.name);
    if (key == view_keys_.end()) return "a view without a column that is known to be unique";
    made.key = {key->second};
    return {};
  }
  const auto takes = [&](const std::vector<std::string>& columns) {
    return !columns.empty() && std::ranges::all_of(columns, [&](const std::string& name) {
      const auto* column = table.column(name);
      return column && can_be_key(*column, options_.schema_of) && (column->not_null || columns == table.primary);
    });
  };
  if (takes(table.primary)) {
    made.key = table.primary;
    return {};
  }
  // Of the others the one of the fewest columns: the shortest path.
  for (const auto& columns : table.unique)
    if (takes(columns) && (made.key.empty() || columns.size() < made.key.size())) made.key = columns;
  if (!made.key.empty()) return {};
  for (const auto& name : table.primary)
    if (const auto* column = table.column(name))
      if (const auto why = why_no_key(*column, options_.schema_of); !why.empty())
        return "its key " + joined(table.primary) + " cannot be served: " + why;
  return "it has no primary key, and no other column that is unique and not null";
}

/// Lists are filtered and sorted by what an index begins with.
void ExistingContract::choose_lists(Served& made) const {
  std::vector<std::string> first;
  for (const auto& index : made.table->indexes)
    if (std::ranges::find(first, index.front()) == first.end()) first.push_back(index.front());
  if (std::ranges::find(first, made.key.front()) == first.end()) first.insert(first.begin(), made.key.front());
  for (const auto& name : first) {
    const auto column = std::ranges::find(made.columns, name, &CatalogueColumn::name);
    if (column == made.columns.end() || options_.schema_of(**column).type == "any") continue;
    const auto reserved = std::ranges::find(table::kReservedParameters, name) != std::end(table::kReservedParameters);
    const bool named = std::ranges::all_of(
        name, [](unsigned char c) { return (std::isalnum(c) && c < 0x80) || c == '_' || c == '-' || c == '.'; });
    if (!named) continue;
    if (!reserved) made.filters.push_back(name);
    made.sort.push_back(name);
  }
}

void ExistingContract::choose_embeds() {
  const auto add = [](Served& to, Embed embed, const std::string& otherwise) {
    const auto taken = [&](const std::string& name) {
      const auto clashes = [&](const std::string& one) {
        return to.table->column(one) || std::ranges::any_of(to.embeds, [&](const Embed& other) {
                 return other.name == one || other.name + "_has_more" == one;
               });
      };
      return clashes(name) || clashes(name + "_has_more");
    };
    if (embed.name.empty() || taken(embed.name)) embed.name = otherwise;
    for (int i = 2; taken(embed.name); ++i) embed.name = otherwise + "_" + std::to_string(i);
    to.embeds.push_back(std::move(embed));
  };
  for (auto& from : served_)
    for (const auto& reference : from.table->references) {
      const auto what = name_of(*from.table) + "(" + joined(reference.from) + ")";
      const auto into = reference.table + "(" + joined(reference.to) + ")";
      auto* to = served(reference.table);
      if (!to || !std::ranges::is_permutation(reference.to, to->key)) {
        reference_notes_.emplace_back(what,
                                      "refers to " + into + (to ? ", which is not the key" : ", which is not served"));
        continue;
      }
      std::vector<std::string> columns;  // in the order of the key
      bool served = true, alike = true;
      for (const auto& part : to->key) {
        columns.push_back(
            reference.from[static_cast<std::size_t>(std::ranges::find(reference.to, part) - reference.to.begin())]);
        const auto own = std::ranges::find(from.columns, columns.back(), &CatalogueColumn::name);
        const auto key = std::ranges::find(to->columns, part, &CatalogueColumn::name);
        served &= own != from.columns.end();
        alike &= served && options_.schema_of(**own).type == options_.schema_of(**key).type;
      }
      if (!served) continue;
      if (!alike) {
        reference_notes_.emplace_back(what, "has another type than " + into);
        continue;
      }
      std::string name = columns.front();
      for (std::string_view end : {"_id", "Id", "id"})
        if (name.ends_with(end) && name.size() > end.size()) {
          name.resize(name.size() - end.size());
          break;
        }
      if (columns.size() > 1 || name == columns.front()) name = to->word;
      std::string by;
      for (const auto& column : columns) by += (by.empty() ? "" : "_") + column;
      add(from, {.name = name, .table = to->table->name, .on = columns, .by = {}}, by + "_" + to->word);
      add(*to, {.name = from.word, .table = from.table->name, .on = {}, .by = columns}, from.word + "_by_" + by);
    }
}

void ExistingContract::choose() {
  served_.clear();
  table_notes_.clear();
  column_notes_.clear();
  reference_notes_.clear();
  std::set<std::string> words;
  for (const auto& table : tables_) {
    Served made{
        .table = &table, .key = {}, .path = {}, .word = {}, .columns = {}, .filters = {}, .sort = {}, .embeds = {}};
    if (auto why = why_not(table, made); !why.empty()) {
      table_notes_.emplace_back(name_of(table), std::move(why));
      continue;
    }
    made.writable = options_.writable && table.writable;
    for (const auto& column : table.columns) {
      const auto refused = refused_columns_.find({table.name, column.name});
      if (refused == refused_columns_.end() && !options_.schema_of(column).type.empty()) {
        made.columns.push_back(&column);
        continue;
      }
      column_notes_.emplace_back(name_of(table) + "." + column.name, refused != refused_columns_.end() ? refused->second
                                                                     : column.declared.empty()
                                                                         ? "declared without a type"
                                                                         : column.declared);
      if (made.writable && column.not_null && !column.filled) {
        made.writable = false;
        column_notes_.back().second += "; rows need a value of it, so that the table is served read-only";
      }
    }
    made.word = word_of(table.name);
    for (int i = 2; !words.insert(made.word).second; ++i) made.word = word_of(table.name) + "_" + std::to_string(i);
    made.path = "/" + made.word;
    choose_lists(made);
    served_.push_back(std::move(made));
  }
  choose_embeds();
  notes_ = table_notes_.size() + column_notes_.size() + reference_notes_.size();
}

void ExistingContract::mark(const std::string& out, const std::string& table) {
  places_.push_back({static_cast<std::size_t>(std::ranges::count(out, '\n')) + 1, table});
}

void ExistingContract::write_head(std::string& out) {
  out += "# yaml-language-server: $schema=.plimsoll/contract.schema.json\n";
  const auto section = [&](std::string_view title, const std::vector<std::pair<std::string, std::string>>& notes) {
    if (notes.empty()) return;
    out += "#\n# " + std::string(title) + ":\n";
    for (const auto& [name, why] : notes) out += "#   " + in_line(name) + ": " + in_line(why) + "\n";
  };
  section("Tables and views that are not served", table_notes_);
  section("Columns that are not served", column_notes_);
  section("References that are not embedded", reference_notes_);
  out += "openapi: 3.1.0\ninfo: {title: " + yaml(options_.title) + ", version: 1.0.0}\nsecurity: [{key: []}]\n\n";
}

void ExistingContract::write_declarations(std::string& out) {
  out += "x-plimsoll:\n  tables:\n";
  if (served_.empty()) out.insert(out.size() - 1, " {}");
  for (const auto& each : served_) {
    mark(out, each.table->name);
    out += "    " + yaml(each.table->name) + ":\n      schema: '#/components/schemas/" + each.word +
           "'\n      key: " + one_or_list(each.key) + "\n";
    if (!each.filters.empty()) {
      std::string filters;
      for (const auto& name : each.filters) {
        const auto column = std::ranges::find(each.columns, name, &CatalogueColumn::name);
        const auto json = options_.schema_of(**column);
        const bool ordered = json.type == "integer" || json.type == "number" || json.format == "decimal" ||
                             json.format == "date-time" || json.format == "date";
        filters += (filters.empty() ? "" : ", ") + yaml(name) + (ordered ? ": [eq, in, ge, le]" : ": [eq, in]");
      }
      out += "      filters: {" + filters + "}\n";
    }
    if (!each.sort.empty()) out += "      sort: " + list(each.sort) + "\n";
    if (each.embeds.empty()) continue;
    out += "      embeds:\n";
    for (const auto& embed : each.embeds)
      out += "        " + yaml(embed.name) + ": {table: " + yaml(embed.table) + ", " +
             (embed.on.empty() ? "by: " + one_or_list(embed.by) : "on: " + one_or_list(embed.on)) + "}\n";
  }
}

void ExistingContract::write_paths(std::string& out) {
  out += served_.empty() ? "\npaths: {}\n" : "\npaths:\n";
  for (const auto& each : served_) {
    mark(out, each.table->name);
    const auto& word = each.word;
    const auto operation = [&](std::string_view method, std::string_view verb, std::string_view summary, bool writes,
                               std::string_view body, std::string_view response) {
      out += "    " + std::string(method) + ":\n      operationId: " + std::string(verb) + "_" + word +
             "\n      summary: " + yaml(std::string(summary) + each.table->name) + "\n      security: [{key: ['" +
             word + (writes ? ":write" : ":read") + "']}]\n      x-plimsoll: {table: " + yaml(each.table->name) + "}\n";
      if (!body.empty()) out += "      requestBody: {required: true, content: {" + std::string(body) + "}}\n";
      out += "      responses: {" + std::string(response) + "}\n";
    };
    const auto schema = "schema: {$ref: '#/components/schemas/" + word + "'}";
    out += "  " + yaml(each.path) + ":\n";
    operation("get", "list", "A page of ", false, {}, "'200': {description: A page of rows}");
    if (each.writable)
      operation("post", "create", "A new row of ", true, "application/json: {" + schema + "}",
                "'201': {description: The row}");
    auto path = each.path;
    std::string parameters;
    for (const auto& name : each.key) {
      const auto json = options_.schema_of(**std::ranges::find(each.columns, name, &CatalogueColumn::name));
      path += "/{" + name + "}";
      parameters += "      - {name: " + yaml(name) +
                    ", in: path, required: true, schema: {type: " + std::string(json.type) +
                    (json.format.empty() ? "" : ", format: " + std::string(json.format)) + "}}\n";
    }
    out += "  " + yaml(path) + ":\n    parameters:\n" + parameters;
    operation("get", "read", "One row of ", false, {}, "'200': {description: The row}");
    if (!each.writable) continue;
    operation("patch", "change", "Changes a row of ", true, "application/merge-patch+json: {schema: {type: object}}",
              "'200': {description: The row}");
    operation("delete", "remove", "Removes a row of ", true, {}, "'204': {description: It is gone}");
  }
}

void ExistingContract::write_property(std::string& out, const Served& served, const CatalogueColumn& column) const {
  const auto json = options_.schema_of(column);
  const bool key = std::ranges::find(served.key, column.name) != served.key.end();
  const bool null = !column.not_null && !key;
  std::string text;
  const auto add = [&](const std::string& member) { text += (text.empty() ? "" : ", ") + member; };
  const std::string type(json.type);
  if (json.type == "any") {
    add(std::string("type: [object, array, string, number, boolean") + (null ? ", 'null']" : "]"));
  } else {
    add(null ? "type: [" + type + ", 'null']" : "type: " + type);
    if (!json.format.empty()) add("format: " + std::string(json.format));
  }
  if (!column.words.empty()) {
    auto words = list(column.words);
    if (null) words.insert(words.size() - 1, ", null");
    add("enum: " + words);
  } else if (column.length > 0 && json.type == "string" && json.format.empty()) {
    add("maxLength: " + std::to_string(column.length));
  }
  // A key that the database counts, and a UUID that is made there, are the server's to make. Of several columns each is
  // sent.
  const bool made = key && served.key.size() == 1 && (column.counted || (column.filled && json.format == "uuid"));
  if (column.generated || made) add("readOnly: true");
  if (!column.comment.empty()) add("description: " + yaml(column.comment));
  out += "        " + yaml(column.name) + ": {" + text + "}\n";
}

void ExistingContract::write_schemas(std::string& out) {
  out += "\ncomponents:\n  securitySchemes:\n    key: {type: apiKey, in: header, name: X-API-Key}\n";
  if (!served_.empty()) out += "  schemas:\n";
  for (const auto& each : served_) {
    mark(out, each.table->name);
    out += "    " + each.word + ":\n      type: object\n";
    if (!each.table->comment.empty()) out += "      description: " + yaml(each.table->comment) + "\n";
    // What the database fills may be left out of a row that is sent; every row that is read has it.
    std::vector<std::string> required;
    for (const auto* column : each.columns)
      if ((column->not_null || std::ranges::find(each.key, column->name) != each.key.end()) &&
          !(each.writable && column->filled))
        required.push_back(column->name);
    if (!required.empty()) out += "      required: " + list(required) + "\n";
    out += "      properties:\n";
    for (const auto* column : each.columns) write_property(out, each, *column);
  }
}

std::string ExistingContract::text() {
  choose();
  places_.clear();
  std::string out;
  write_head(out);
  write_declarations(out);
  write_paths(out);
  mark(out, {});
  write_schemas(out);
  return out;
}

bool ExistingContract::leave_out(const contract::Complaint& complaint) {
  if (complaint.file.ends_with("plimsoll.yaml")) return false;
  const auto line = static_cast<std::size_t>(complaint.at.line);
  std::string table;
  for (const auto& place : places_)
    if (line >= place.begin) table = place.table;
  // Complaints about the storage of a column are made where its table is declared.
  const std::string_view what = complaint.what;
  if (const auto begin = what.find("table \""); table.empty() && begin != what.npos)
    table = what.substr(begin + 7, what.find('"', begin + 7) - begin - 7);
  auto* found = served(table);
  if (!found) return false;
  if (const auto begin = what.find("column \""); begin != what.npos) {
    const std::string column(what.substr(begin + 8, what.find('"', begin + 8) - begin - 8));
    const auto known = std::ranges::find(found->columns, column, &CatalogueColumn::name);
    if (known != found->columns.end() && std::ranges::find(found->key, column) == found->key.end())
      return refused_columns_.emplace(std::pair{table, column}, complaint.what).second;
  }
  return refused_tables_.emplace(table, complaint.what).second;
}

}  // namespace plimsoll::command
