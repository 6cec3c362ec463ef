#include "plimsoll/contract/extensions.hpp"

#include <algorithm>

namespace plimsoll::contract {

void check_extension(const json::Value& extension, const std::string& pointer, const LoadOptions& options,
                     Report& report) {
  if (!extension.is(json::Type::object)) {
    report.add(load_error::kWrongType, &extension, pointer, "`x-plimsoll` must be an object");
    return;
  }
  for (auto& member : extension.object()) {
    if (std::ranges::any_of(options.keys, [&](auto* key) { return key->name == member.key; })) continue;
    auto here = pointer;
    json::append_token(here, member.key);
    const auto key = "\"" + std::string(member.key) + "\"";
    if (contains(options.later_words, member.key)) {
      report.add(load_error::kLaterWord, member, std::move(here), "this version does not implement " + key + " yet");
      continue;
    }
    std::vector<std::string_view> known;
    for (auto* candidate : options.keys) known.push_back(candidate->name);
    const auto near = config::nearest(member.key, known);
    report.add(load_error::kUnknownExtension, member, std::move(here),
               "x-plimsoll has no key " + key + (near.empty() ? "" : "; did you mean \"" + std::string(near) + "\"?"));
  }
}

std::vector<Extension> merge_extensions(const json::Value* document, const json::Value* path,
                                        const json::Value* operation) {
  std::vector<Extension> merged;
  const auto add = [&](const json::Value* scope, std::string_view name) {
    if (!scope) return;
    for (auto& member : scope->object()) {
      auto known = std::ranges::find(merged, member.key, &Extension::key);
      if (known == merged.end()) known = merged.insert(known, Extension{.key = member.key});
      known->value = &member.value;
      known->scope = name;
      known->scopes.push_back(&member.value);
    }
  };
  add(document, "document");
  add(path, "path");
  add(operation, "operation");
  return merged;
}

}  // namespace plimsoll::contract
