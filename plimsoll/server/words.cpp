#include "plimsoll/server/words.hpp"

#include "plimsoll/server/chain.hpp"
#include "plimsoll/server/handlers.hpp"
#include "plimsoll/server/page_access.hpp"
#include "plimsoll/server/undeclared.hpp"
#include "plimsoll/server/versions.hpp"

#include <algorithm>

namespace plimsoll::server {
namespace {

/// Every word the language has for the contract, implemented or not.
constexpr std::string_view kLanguage[] = {
    "after",
    "authorization",
    "batch",
    "cache",
    "circuit-breaker",
    "compression",
    "cors",
    "deadline",
    "deprecated-since",
    "event",
    "fallback",
    "fields",
    "idempotency",
    "job",
    "mock",
    "naming",
    "priority",
    "rate-limit",
    "responses",
    "rollout",
    "successor",
    "sunset",
    "table",
    "tables",
    "upstream",
    "validate",
    "webhook",
    "write",
    "write-behind",
    "require-match",
    "flags",
    "webhooks",
    "subscriptions",
};

std::vector<const config::Section*>& program_sections() {
  static std::vector<const config::Section*> all;
  return all;
}

}  // namespace

std::vector<const config::Key*> contract_keys() {
  std::vector<const config::Key*> keys{&kVersionKey, &kUndeclaredKey};
  for (const auto& row : rows()) {
    if (std::ranges::find(keys, row.part->key.name, &config::Key::name) != keys.end()) continue;
    keys.push_back(&row.part->key);
    for (const auto& key : row.part->more_keys) keys.push_back(&key);
  }
  for (const auto& key : page_keys()) keys.push_back(&key);
  for (const auto* each : handlings()) {
    keys.push_back(&each->key);
    for (const auto& key : each->more_keys) keys.push_back(&key);
  }
  return keys;
}

std::vector<const config::Section*> deployment_sections() {
  std::vector<const config::Section*> sections;
  const auto add = [&](std::span<const config::Section> more) {
    for (const auto& section : more)
      if (std::ranges::none_of(sections, [&](auto* known) { return known->key.name == section.key.name; }))
        sections.push_back(&section);
  };
  for (const auto& row : rows()) add(row.part->deployment);
  for (const auto* each : handlings()) add(each->deployment);
  sections.insert(sections.end(), program_sections().begin(), program_sections().end());
  return sections;
}

Result<> add_section(const config::Section& section) {
  for (const auto* each : deployment_sections()) {
    if (each == &section) return {};
    if (each->key.name == section.key.name)
      return fail(config::kConfiguration, "the program brings a section `" + std::string(section.key.name) +
                                              "` of the deployment, and there is one of that name");
  }
  program_sections().push_back(&section);
  return {};
}

std::vector<std::string_view> later_words() {
  const auto keys = contract_keys();
  std::vector<std::string_view> later;
  for (const auto word : kLanguage)
    if (std::ranges::find(keys, word, &config::Key::name) == keys.end()) later.push_back(word);
  return later;
}

}  // namespace plimsoll::server
