#include "plimsoll/handler/table/embed_access.hpp"

#include "plimsoll/contract/path_item.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/exchange/permission.hpp"
#include "plimsoll/handler/table/plan.hpp"

#include <algorithm>

namespace plimsoll::table {
namespace {

using json::Type;
using json::Value;
using Way = EmbedAccess::Way;

constexpr int kDeepest = 3;  ///< as deep as `fields` may nest

std::vector<std::string> texts(const Value* list) {
  std::vector<std::string> all;
  if (list && list->is(Type::array))
    for (auto& one : list->array())
      if (one.is(Type::string)) all.emplace_back(one.string());
  return all;
}

/// A GET operation with the scopes of `x-plimsoll` around it.
struct Scoped {
  const Value &root, &path, &operation;
  /// The value of a key in force: that of the innermost scope.
  const Value* key(std::string_view name) const {
    for (auto* scope : {&operation, &path, &root})
      if (auto* all = scope->find("x-plimsoll"))
        if (auto* found = all->find(name)) return found;
    return nullptr;
  }
  bool enforces(std::string_view policy) const {
    const auto mode = Part::mode_of(key(policy));
    return mode && *mode == Mode::enforce;
  }
};

std::vector<Way> ways_of(const Scoped& operation) {
  const Way anybody;
  if (!operation.enforces("authentication")) return {anybody};
  const bool granted = operation.enforces("authorization");
  const auto* asked = granted ? operation.key("authorization") : nullptr;
  const auto extra = [&](Way& way) {
    if (!asked || !asked->is(Type::object)) return;
    std::ranges::copy(texts(asked->find("scopes")), std::back_inserter(way.scopes));
    way.roles = texts(asked->find("roles"));
  };
  const auto* security = operation.operation.find("security");
  if (!security) security = operation.root.find("security");
  std::vector<Way> all;
  if (security && security->is(Type::array))
    for (auto& alternative : security->array()) {
      Way way;
      if (alternative.is(Type::object))
        for (auto& needed : alternative.object()) {
          way.schemes.emplace_back(needed.key);
          if (granted) std::ranges::copy(texts(&needed.value), std::back_inserter(way.scopes));
        }
      all.push_back(std::move(way));
    }
  if (all.empty()) all.push_back(anybody);
  for (auto& way : all) extra(way);
  return all;
}

std::string joined(const std::vector<std::string>& words, std::string_view between, std::string_view quote) {
  std::string out;
  for (auto& word : words) {
    if (!out.empty()) out += between;
    ((out += quote) += word) += quote;
  }
  return out;
}

std::string words_of(const Way& way, std::string_view quote) {
  std::string out;
  if (!way.scopes.empty())
    out = (way.scopes.size() > 1 ? "the scopes " : "the scope ") + joined(way.scopes, " and ", quote);
  if (!way.roles.empty())
    out += (out.empty() ? "" : " and ") + std::string(way.roles.size() > 1 ? "one of the roles " : "the role ") +
           joined(way.roles, ", ", quote);
  if (out.empty()) out = "a caller known by " + joined(way.schemes, " and ", quote);
  return out;
}

/// A scope of `security` may also name a role, as authorization has it.
bool grants(const Principal& caller, std::string_view scope) {
  return caller.has_scope(scope) || std::ranges::find(caller.roles, scope) != caller.roles.end();
}

bool admits(const Way& way, const Principal* caller, const std::vector<std::string>& assured) {
  if (way.open()) return true;
  if (!caller) return false;
  return std::ranges::all_of(way.schemes,
                             [&](auto& scheme) {
                               return caller->scheme == scheme || std::ranges::find(assured, scheme) != assured.end();
                             }) &&
         std::ranges::all_of(way.scopes, [&](auto& scope) { return grants(*caller, scope); }) &&
         (way.roles.empty() || std::ranges::any_of(way.roles, [&](auto& role) {
            return std::ranges::find(caller->roles, std::string_view(role)) != caller->roles.end();
          }));
}

}  // namespace

EmbedAccess::EmbedAccess(const Value& root, const Model& model) {
  const auto* paths = root.find("paths");
  if (!paths || !paths->is(Type::object)) return;
  std::map<std::string, std::vector<Way>, std::less<>> lists, reads;
  for (auto& path : paths->object())
    contract::for_each_operation(path.value, [&](const std::string& method, const std::string&, const Value& raw) {
      const Scoped operation{root, path.value, raw};
      const auto* options = operation.key("table");
      auto made = options ? plan(model, method, path.key, *options, nullptr, operation.key("file"))
                          : std::unexpected(std::string{});
      if (!made || (made->action != Action::list && made->action != Action::read)) return;
      auto& all = (made->action == Action::list ? lists : reads)[made->table->name];
      std::ranges::move(ways_of(operation), std::back_inserter(all));
    });
  for (auto& table : model.tables) {
    const auto list = lists.find(table.name), read = reads.find(table.name);
    auto& one = one_[table.name];
    auto& many = many_[table.name];
    if (read != reads.end()) one = read->second;
    if (list != lists.end()) one.insert(one.end(), list->second.begin(), list->second.end());
    many = list != lists.end() ? list->second : one;
    for (auto* ways : {&one, &many})
      if (std::ranges::any_of(*ways, &Way::open)) ways->clear();
  }
}

const std::vector<Way>& EmbedAccess::ways(const Embed& embed) const {
  static const std::vector<Way> kNone;
  auto& all = embed.many() ? many_ : one_;
  const auto found = all.find(embed.table);
  return found == all.end() ? kNone : found->second;
}

std::string EmbedAccess::words(const Embed& embed, bool known) const {
  std::vector<std::string> all;
  for (auto& way : ways(embed)) {
    if (known && way.scopes.empty() && way.roles.empty()) return {};
    auto words = words_of(way, "`");
    if (std::ranges::find(all, words) == all.end()) all.push_back(std::move(words));
  }
  return joined(all, ", or ", "");
}

bool EmbedAccess::depends(const Model& model, const Table& table, int depth) const {
  if (depth > kDeepest) return false;
  return std::ranges::any_of(table.embeds, [&](auto& embed) {
    if (!ways(embed).empty()) return true;
    auto* other = model.find(embed.table);
    return other && depends(model, *other, depth + 1);
  });
}

Result<> EmbedAccess::check(const Selection& selection, const Principal* caller,
                            const std::vector<std::string>& assured) const {
  for (auto& embedded : selection.embeds) {
    const auto& needed = ways(*embedded.embed);
    if (!needed.empty() && std::ranges::none_of(needed, [&](auto& way) { return admits(way, caller, assured); }))
      return fail(kForbidden, "The embed \"" + embedded.embed->name + "\" shows rows of table \"" +
                                  embedded.embed->table + "\", and reading that needs " + words_of(needed.front(), "") +
                                  ".");
    if (auto inner = check(embedded.selection, caller, assured); !inner) return inner;
  }
  return {};
}

}  // namespace plimsoll::table
