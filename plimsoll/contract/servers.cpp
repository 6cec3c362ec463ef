#include "plimsoll/contract/servers.hpp"

#include <algorithm>

namespace plimsoll::contract {
namespace {

using json::Type;
using json::Value;

constexpr std::size_t kMostPaths = 32;

/// What stands behind the authority; nothing when that is no path: it has a query, a fragment or a placeholder where a
/// variable's default should be. In the authority, which leads here in any case, a placeholder does no harm.
std::optional<std::string> path_of(std::string_view url) {
  if (url.contains(' ')) return std::nullopt;
  const auto authority = url.starts_with("//") ? 0 : url.find("://");
  if (authority != url.npos) {
    const auto slash = url.find_first_of("/?#", url.find("//", authority) + 2);
    url = slash == url.npos ? std::string_view{} : url.substr(slash);
  }
  if (url.find_first_of("?#{}") != url.npos) return std::nullopt;
  while (url.ends_with('/')) url.remove_suffix(1);
  std::string path(url);
  if (path == ".") path.clear();
  if (!path.empty() && path[0] != '/') path.insert(path.begin(), '/');
  return path;
}

/// All texts the URL stands for, with the values of its variables.
bool expand(std::string_view url, const Value* variables, std::vector<std::string>& out) {
  out.assign(1, "");
  const auto append = [&](std::span<const std::string_view> choices) {
    std::vector<std::string> longer;
    for (auto choice : choices)
      for (auto& text : out)
        if (longer.size() < kMostPaths) longer.push_back(text + std::string(choice));
    out = std::move(longer);
  };
  while (!url.empty()) {
    const auto open = std::min(url.find('{'), url.size());
    const std::string_view literal[] = {url.substr(0, open)};
    append(literal);
    url.remove_prefix(open);
    if (url.empty()) break;
    const auto close = url.find('}');
    const auto* variable = close == url.npos || !variables ? nullptr : variables->find(url.substr(1, close - 1));
    const auto* standard = variable ? variable->find("default") : nullptr;
    if (!standard || !standard->is(Type::string)) return false;
    std::vector<std::string_view> choices{standard->string()};
    if (const auto* words = variable->find("enum"))
      for (auto& word : words->array())
        if (word.is(Type::string) && word.string() != choices[0]) choices.push_back(word.string());
    append(choices);
    url.remove_prefix(close + 1);
  }
  return true;
}

}  // namespace

std::vector<std::string> base_paths(const Value* servers, const std::string& pointer, Report& report) {
  std::vector<std::string> paths;
  std::size_t index = 0;
  for (auto& server : servers ? servers->array() : std::span<const Value>{}) {
    auto here = pointer;
    json::append_token(here, index++);
    const auto* url = server.find("url");
    if (!url || !url->is(Type::string)) continue;  // missing-field has been said
    std::vector<std::string> texts;
    bool usable = expand(url->string(), server.find("variables"), texts);
    const bool variable = url->string().contains('{');
    for (auto& text : texts) {
      const auto path = usable ? path_of(text) : std::nullopt;
      if (!path && usable && variable && text.contains('{')) {
        report.add(load_error::kPlaceholderServer, url, here + "/url",
                   "the server's URL \"" + std::string(url->string()) + "\" is \"" + text +
                       "\" with the defaults of its variables, and no base path is known");
      } else if (!path) {
        usable = false;
      } else if (!contains(paths, *path) && paths.size() < kMostPaths) {
        paths.push_back(*path);
      }
    }
    if (!usable)
      report.add(load_error::kInvalidServer, url, here + "/url",
                 "the server's URL \"" + std::string(url->string()) + "\" cannot be used");
  }
  if (paths.empty()) paths.emplace_back();
  return paths;
}

}  // namespace plimsoll::contract
