#include "plimsoll/handler/table/selection.hpp"

#include <algorithm>

namespace plimsoll::table {
namespace {

constexpr int kDepth = 3;
constexpr std::size_t kLongest = 4'096;

/// Reads `name(…),name,…` by recursive descent.
class Reader {
 public:
  Reader(const Model& model, std::string_view text) : model_(model), rest_(text) {}

  std::expected<Selection, std::string> read(const Table& table, int depth = 0) {
    if (depth > kDepth) return std::unexpected("fields are nested deeper than 3");
    Selection made;
    std::vector<bool> shown(table.columns.size());
    for (;;) {
      const auto name = rest_.substr(0, std::min(rest_.find_first_of(",()"), rest_.size()));
      rest_.remove_prefix(name.size());
      const auto embed = std::ranges::find(table.embeds, name, &Embed::name);
      if (embed != table.embeds.end()) {
        if (auto done = read_embed(made, *embed, depth); !done) return std::unexpected(std::move(done).error());
      } else if (auto column = table.column(name); column && !table.columns[*column].write_only) {
        if (rest_.starts_with('('))
          return std::unexpected("\"" + std::string(name) + "\" is shown as a whole: it has no parenthesis");
        shown[*column] = true;
      } else if (name.empty()) {
        return std::unexpected("a field's name is missing" +
                               (rest_.empty() ? " at the end" : " before `" + std::string(rest_.substr(0, 1)) + "`"));
      } else {
        return std::unexpected("there is no field \"" + std::string(name) + "\"" + near(table, name));
      }
      if (rest_.empty() || rest_[0] != ',') break;
      rest_.remove_prefix(1);
    }
    for (std::size_t i = 0; i < shown.size(); ++i)
      if (shown[i]) made.columns.push_back(i);
    return made;
  }
  std::string_view rest() const { return rest_; }

 private:
  /// A field of such a name that the caller may know.
  static std::string near(const Table& table, std::string_view name) {
    std::vector<std::string_view> names;
    for (const auto& column : table.columns)
      if (!column.write_only) names.push_back(column.name);
    for (const auto& embed : table.embeds) names.push_back(embed.name);
    const auto found = config::nearest(name, names);
    return found.empty() ? std::string{} : "; did you mean \"" + std::string(found) + "\"?";
  }

  std::expected<void, std::string> read_embed(Selection& into, const Embed& embed, int depth) {
    auto* other = model_.find(embed.table);
    if (!other) return std::unexpected("there is no field \"" + embed.name + "\"");
    for (auto& known : into.embeds)
      if (known.embed == &embed) return std::unexpected("\"" + embed.name + "\" is named twice");
    if (rest_.empty() || rest_[0] != '(') {
      into.embeds.push_back({&embed, other, everything(*other)});
      return {};
    }
    rest_.remove_prefix(1);
    auto inner = read(*other, depth + 1);
    if (!inner) return std::unexpected(std::move(inner).error());
    if (rest_.empty() || rest_[0] != ')') return std::unexpected("a parenthesis is not closed");
    rest_.remove_prefix(1);
    into.embeds.push_back({&embed, other, std::move(*inner)});
    return {};
  }

  const Model& model_;
  std::string_view rest_;
};

}  // namespace

std::size_t width(const Selection& selection) {
  auto total = selection.columns.size() + selection.embeds.size();
  for (auto& embedded : selection.embeds) total += embedded.embed->many();
  return total;
}

Selection everything(const Table& table) {
  Selection made;
  for (std::size_t i = 0; i < table.columns.size(); ++i)
    if (!table.columns[i].write_only) made.columns.push_back(i);
  return made;
}

Selection unseen(const Table& table) {
  Selection made;
  for (std::size_t i = 0; i < table.columns.size(); ++i)
    if (table.columns[i].write_only || table.columns[i].hidden) made.columns.push_back(i);
  return made;
}

std::expected<Selection, std::string> select(const Model& model, const Table& table, std::string_view fields,
                                             const std::vector<std::string_view>& embeds) {
  Selection made;
  if (fields.empty()) {
    made = everything(table);
  } else {
    if (fields.size() > kLongest) return std::unexpected("`fields` is too long");
    Reader reader{model, fields};
    auto read = reader.read(table);
    if (!read) return read;
    if (!reader.rest().empty())
      return std::unexpected("a comma is expected before `" + std::string(reader.rest().substr(0, 1)) + "`");
    made = std::move(*read);
  }
  for (auto name : embeds) {
    const auto embed = std::ranges::find(table.embeds, name, &Embed::name);
    const auto* other = embed == table.embeds.end() ? nullptr : model.find(embed->table);
    if (!other) return std::unexpected("there is nothing to embed named \"" + std::string(name) + "\"");
    if (std::ranges::none_of(made.embeds, [&](auto& known) { return known.embed == &*embed; }))
      made.embeds.push_back({&*embed, other, everything(*other)});
  }
  return made;
}

}  // namespace plimsoll::table
