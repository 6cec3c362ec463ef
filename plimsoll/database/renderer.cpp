#include "plimsoll/database/renderer.hpp"

#include <algorithm>

namespace plimsoll::database {
namespace {

constexpr std::size_t kUsual = 480;  ///< bytes of a SELECT without embeds

}  // namespace

void append_column(std::string& out, const Column& column, std::string_view alias) {
  if (!alias.empty()) (out += alias) += '.';
  append_quoted(out, column.name);
}

std::string column_of(const Column& column, std::string_view alias) {
  std::string text;
  append_column(text, column, alias);
  return text;
}

void append_columns(std::string& out, std::span<const Column* const> columns, std::string_view alias) {
  std::string_view before;
  for (const auto* column : columns) {
    append_column(out += before, *column, alias);
    before = ",";
  }
}

std::string quoted_list(std::span<const std::string> names) {
  std::string text;
  for (auto& name : names) append_quoted(text += text.empty() ? "" : ",", name);
  return text;
}

std::string any_null(const TableDefinition& table) {
  std::string text;
  for (auto i : table.key) (text += text.empty() ? "" : " OR ") += quoted(table.column(i).name) + " IS NULL";
  return text;
}

std::string literal(std::string_view text) {
  std::string made = "'";
  for (char c : text) {
    made += c;
    if (c == '\'') made += c;
  }
  return made + "'";
}

void Renderer::append_conditions(And& where, Statement& out, std::span<const Condition> conditions,
                                 std::string_view alias) const {
  for (auto& condition : conditions) {
    where.next();
    append_condition(out, condition, alias);
  }
}

void Renderer::append_inside(And& where, Statement& out, const Embedded& embed, std::string_view inside,
                             std::string_view alias) const {
  for (std::size_t i = 0; i < embed.inside.size() && i < embed.outside.size(); ++i) {
    append_column(where.next(), *embed.inside[i], inside);
    append_column(out.sql += '=', *embed.outside[i], alias);
  }
  append_conditions(where, out, embed.where, inside);
}

void Renderer::append_list(Statement& out, const Column& column, std::span<const Cell> values) const {
  std::size_t room = 1;
  while (room < values.size()) room *= 2;
  for (std::size_t i = 0; i < room; ++i) {
    if (i) out.sql += ',';
    append_parameter(out.sql, column);
    out.cells.push_back(values[std::min(i, values.size() - 1)]);
  }
}

void Renderer::append_bound(Statement& out, const Bound& bound, std::string_view alias) const {
  using enum Bound::Beyond;
  if (bound.aside) {  // as a condition that is: see SqliteRenderer::append_aside
    auto plain = bound;
    plain.aside = false;
    out.sql += bound.column->foreign ? "+(" : "+";
    append_bound(out, plain, alias);
    if (bound.column->foreign) out.sql += ')';
    return;
  }
  append_compared(out.sql, *bound.column, alias);
  switch (bound.beyond) {
    case equal:
      if (bound.value->index() == 0) {
        out.sql += " IS NULL";
        return;
      }
      out.sql += '=';
      break;
    case less: out.sql += '<'; break;
    case greater: out.sql += '>'; break;
    case null: out.sql += " IS NULL"; return;
    case not_null: out.sql += " IS NOT NULL"; return;
  }
  append_place_parameter(out.sql, *bound.column);
  out.cells.push_back(*bound.value);
}

void Renderer::append_row(Statement& out, const Select& rows, std::string_view alias) const {
  if (rows.count) {
    out.sql += "count(*)";
    return;
  }
  append_selected(out, rows, alias);
  bool any = !rows.columns.empty() || !rows.embeds.empty();
  for (const auto* column : rows.places) {
    if (any) out.sql += ',';
    append_place(out.sql, *column, alias);
    any = true;
  }
  if (rows.odd) {
    out.sql += any ? ",0" : "0";
    append_odd(out.sql, rows, alias);
  } else if (!any) {
    out.sql += '1';
  }
}

Statement Renderer::select(const Select& rows) const {
  Statement out;
  out.sql.reserve(kUsual);
  out.sql += "SELECT ";
  append_row(out, rows, kAlias);
  append_rows(out, rows);
  return out;
}

void Renderer::append_rows(Statement& out, const Select& rows, std::string_view before) const {
  append_quoted(out.sql += " FROM ", rows.from.name);
  (out.sql += ' ') += kAlias;
  And where{out};
  if (!before.empty()) where.next() += before;
  append_conditions(where, out, rows.where, kAlias);
  if (rows.search) append_search(where, out, rows, kAlias);
  for (auto& bound : rows.bounds) {
    where.next();
    append_bound(out, bound, kAlias);
  }
  append_order(out.sql, rows, kAlias);
  append_page(out, rows);
  if (rows.lock) append_lock(out.sql);
}

void Renderer::append_page(Statement& out, const Select& rows) {
  if (rows.limit) {
    out.sql += " LIMIT ?";
    out.cells.emplace_back(*rows.limit);
  }
  if (rows.offset > 0) {
    out.sql += " OFFSET ?";
    out.cells.emplace_back(rows.offset);
  }
}

Statement Renderer::select_file(const SelectFile& file) const {
  Statement out;
  const auto bytes = column_of(*file.bytes, kAlias);
  std::string digest = column_of(*file.digest, kAlias);
  if (!file.length) {
    digest = "coalesce(" + digest + ",";
    append_digest(digest, bytes);
    digest += ')';
  }
  out.sql += "SELECT ";
  if (file.piece) {
    append_piece(out, file, kAlias);
  } else {
    if (file.length)
      append_column(out.sql, *file.length, kAlias);
    else
      append_length(out.sql, bytes);
    (out.sql += ',') += digest;
    for (const auto* column : file.beside) append_column(out.sql += ',', *column, kAlias);
  }
  append_quoted(out.sql += " FROM ", file.from.name);
  (out.sql += ' ') += kAlias;
  And where{out};
  append_conditions(where, out, file.where, kAlias);
  if (file.piece) {
    (where.next() += digest) += '=';
    append_parameter(out.sql, *file.digest);
    out.cells.emplace_back(*file.piece->digest);
  }
  return out;
}

Statement Renderer::insert(const Insert& row) const {
  Statement out{"INSERT INTO " + quoted(row.into.name), {}};
  if (row.values.empty()) {
    out.sql += " DEFAULT VALUES";
  } else {
    const auto columns = row.values.size() / row.rows;
    std::string places;
    for (std::size_t i = 0; i < row.values.size(); ++i) {
      const auto& value = row.values[i];
      const bool first = i % columns == 0;
      if (i < columns) append_quoted(out.sql += first ? "(" : ",", value.column->name);
      places += !first ? "," : i == 0 ? "(" : "),(";
      if (row.into.key.size() == 1 && value.column == row.into.key.front()) {
        append_new_key(places, out, row, *value.value);
        continue;
      }
      append_parameter(places, *value.column);
      out.cells.push_back(*value.value);
    }
    ((out.sql += ") VALUES") += places) += ')';
  }
  if (row.taken == Insert::Taken::left_out) out.sql += " ON CONFLICT DO NOTHING";
  append_returning(out.sql, row.returning);
  return out;
}

Statement Renderer::update(const Update& rows) const {
  Statement out{"UPDATE " + quoted(rows.of.name), {}};
  for (auto& value : rows.values) {
    append_quoted(out.sql += out.cells.empty() ? " SET " : ",", value.column->name);
    append_parameter(out.sql += '=', *value.column);
    out.cells.push_back(*value.value);
  }
  And where{out};
  append_conditions(where, out, rows.where, {});
  append_returning(out.sql, rows.returning);
  return out;
}

Statement Renderer::remove(const Delete& rows) const {
  Statement out{"DELETE FROM " + quoted(rows.from.name), {}};
  And where{out};
  append_conditions(where, out, rows.where, {});
  out.sql += " RETURNING 1";
  return out;
}

std::string Renderer::search_words(std::string_view typed) const {
  std::string made;
  while (!typed.empty()) {
    const auto start = typed.find_first_not_of(" \t\r\n");
    if (start == typed.npos) break;
    typed.remove_prefix(start);
    auto word = typed.substr(0, typed.find_first_of(" \t\r\n"));
    typed.remove_prefix(word.size());
    const bool beginning = word.size() > 1 && word.ends_with('*');
    if (beginning) word.remove_suffix(1);
    if (word.find('\0') != word.npos) return {};
    append_word(made, word, beginning);
  }
  return made;
}

}  // namespace plimsoll::database
