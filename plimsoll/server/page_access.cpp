#include "plimsoll/server/page_access.hpp"

#include <algorithm>

namespace plimsoll::server {
namespace {

constexpr std::string_view kWords[] = {"public", "authenticated", "off"};
constexpr std::string_view kShortForm = R"("enum":["public","authenticated","off"])";
constexpr config::Key kKeys[] = {
    {.name = "openapi",
     .sentence = "Access to `/openapi.json`: `public` (the default), `authenticated` callers, or `off`.",
     .fields = {},
     .short_form = kShortForm,
     .example = "authenticated",
     .scopes = config::Scopes::document},
    {.name = "docs",
     .sentence =
         "Access to `/docs`: `public`, `authenticated` callers, or `off`; the default is the value of `openapi`.",
     .fields = {},
     .short_form = kShortForm,
     .example = "off",
     .scopes = config::Scopes::document},
};

}  // namespace

std::span<const config::Key> page_keys() { return kKeys; }

Result<PageAccess> page_access(const contract::Contract& contract, std::string_view key) {
  const auto* said = contract.extension ? contract.extension->find(key) : nullptr;
  if (!said) return key == "docs" ? page_access(contract, "openapi") : PageAccess::everyone;
  if (said->is(json::Type::boolean) && !said->boolean()) return PageAccess::off;  // `off`, as YAML 1.1 writes it
  auto word = config::read_word(*said, kWords);
  if (word) return static_cast<PageAccess>(*word);
  auto error = std::move(word).error();
  error.detail = config::preceded("`" + std::string(key) + "`: ", error.detail);
  return std::unexpected(std::move(error));
}

std::vector<contract::SecurityRequirement> every_caller(const contract::Contract& contract) {
  std::vector<contract::SecurityRequirement> ways;
  const auto same = [](const contract::SecurityRequirement& one, const contract::SecurityRequirement& other) {
    return std::ranges::equal(one.all, other.all, {}, &contract::SecurityRequirement::Needed::scheme,
                              &contract::SecurityRequirement::Needed::scheme);
  };
  for (const auto& operation : contract.operations)
    for (auto way : operation.security) {
      for (auto& needed : way.all) needed.scopes.clear();
      if (way.all.empty() || std::ranges::any_of(ways, [&](const auto& known) { return same(known, way); })) continue;
      ways.push_back(std::move(way));
    }
  return ways;
}

}  // namespace plimsoll::server
