#include "plimsoll/handler/upstream/declared_paths.hpp"

#include "plimsoll/contract/lookalikes.hpp"

#include <map>
#include <string>

namespace plimsoll::handler::forwarding {
namespace {

/// Whether folding would leave it as it is: most paths.
bool is_folded(std::string_view path) {
  char before = 0;
  for (const char c : path) {
    if (c == '/' ? before == '/' : !((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
      return false;
    before = c;
  }
  return path == "/" || (path.size() > 1 && path.front() == '/' && before != '/');
}

}  // namespace

DeclaredPaths::DeclaredPaths(const contract::Contract& contract) : first_(contract.operations.size()) {
  std::map<std::string, const contract::Operation*, std::less<>> known;
  std::vector<std::string> names;
  const std::string_view base = contract.base_paths.empty() ? std::string_view{} : contract.base_paths.front();
  for (const auto& operation : contract.operations) {
    const std::string_view whole = operation.path;
    if (!operation.reachable || !whole.starts_with(base)) continue;
    const auto add = [&](std::string_view before) {
      const auto folded = contract::fold_template(std::string(before).append(whole.substr(base.size())));
      if (!folded) return;
      const auto [at, is_new] = known.emplace(*folded, &operation);
      if (is_new && !router_.add("GET", *folded, &operation, names)) at->second = nullptr;
      if (before == base) first_[operation.index] = at->second;
    };
    add(base);
    for (const auto& other : contract.base_paths)
      if (other != base) add(other);
  }
  router_.finish();
}

bool DeclaredPaths::is_clear(const contract::Operation& operation, std::string_view path) const {
  std::optional<std::string> folded;
  if (!is_folded(path)) {
    folded = contract::fold_path(path);
    if (!folded) return false;
    path = *folded;
  }
  const auto* first = operation.index < first_.size() ? first_[operation.index] : nullptr;
  if (!first) return true;
  const auto match = router_.match("GET", path);
  return match.kind == contract::Match::Kind::not_found || match.operation == first ||
         first_[match.operation->index] == first;
}

}  // namespace plimsoll::handler::forwarding
