#include "apps/plimsoll/commands.hpp"
#include "plimsoll/config/options.hpp"
#include "plimsoll/server/reference.hpp"

#include <algorithm>
#include <CLI/CLI.hpp>
#include <cstdio>

namespace plimsoll::command {
namespace {

/// `tables.orders.page` means `tables.NAME.page`: steps that are names of the user's own match any.
bool means(std::string_view said, std::string_view name) {
  while (true) {
    const auto a = said.substr(0, said.find('.')), b = name.substr(0, name.find('.'));
    if (a != b && b != "NAME") return false;
    if (a.size() == said.size() || b.size() == name.size()) return a.size() == said.size() && b.size() == name.size();
    said.remove_prefix(a.size() + 1), name.remove_prefix(b.size() + 1);
  }
}

/// `retry`, or `retry.budget`, means every option that ends so: `upstreams.NAME.retry`.
bool ends(std::string_view said, std::string_view name) {
  for (auto dot = name.find('.'); dot != name.npos; dot = name.find('.', dot + 1))
    if (name.substr(dot + 1) != "NAME" && means(said, name.substr(dot + 1))) return true;
  return false;
}
std::string_view last(std::string_view name) { return name.substr(name.rfind('.') + 1); }

constexpr std::size_t kShown = 6;  ///< of options that are meant by their last name; of more only the names

int explain(const std::string& said) {
  const auto all = server::reference();
  std::string text;
  const auto is_one = [&](const auto& entry) { return means(said, entry.name); };
  const bool whole = said.empty() || std::ranges::any_of(all, is_one);
  const auto found = [&](const auto& entry) {
    return said.empty() || (whole ? means(said, entry.name) : ends(said, entry.name));
  };
  if (!whole && std::ranges::count_if(all, found) > static_cast<std::ptrdiff_t>(kShown)) {
    text = "\"" + said + "\" is an option of several keys; `plimsoll explain` describes each by its whole name:\n";
    for (const auto& entry : all)
      if (found(entry)) text += "    " + entry.name + ": " + entry.sentence + "\n";
    std::fwrite(text.data(), 1, text.size(), stdout);
    return 0;
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!found(all[i])) continue;
    if (said.empty()) {
      if (all[i].key)
        text += all[i].name + (all[i].deployment ? " (deployment): " : " (contract): ") + all[i].sentence + "\n";
      continue;
    }
    if (!text.empty()) text += "\n";
    text += server::to_text(all[i]);
    std::string options;
    const auto below = all[i].name + ".";
    for (auto j = i + 1; j < all.size() && all[j].deployment == all[i].deployment && all[j].name.starts_with(below);
         ++j)
      options += "    " + all[j].name.substr(below.size()) + ": " + all[j].sentence + "\n";
    if (!options.empty()) text += "  options:\n" + options;
  }
  if (text.empty()) {
    std::vector<std::string_view> names;
    for (const auto& entry : all) names.push_back(entry.name);
    for (const auto& entry : all) names.push_back(last(entry.name));
    const auto near = config::nearest(said, names);
    return complain("there is no key or option \"" + said + "\"" +
                        (near.empty() ? "" : "; did you mean \"" + std::string(near) + "\"?"),
                    {}, "`plimsoll explain` lists the keys.");
  }
  if (!text.ends_with('\n')) text += '\n';
  std::fwrite(text.data(), 1, text.size(), stdout);
  return 0;
}

Subcommand::Run declare(CLI::App& app) {
  auto name = std::make_shared<std::string>();
  app.add_option("NAME", *name, "A key or an option, such as rate-limit.burst; without it all keys are listed");
  return [name] { return explain(*name); };
}

const Subcommand command{"explain", "Explains a key or an option of the contract or the deployment", declare};

}  // namespace
}  // namespace plimsoll::command
