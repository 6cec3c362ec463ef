#include "plimsoll/contract/extensions.hpp"

#include <algorithm>
#include "plimsoll/http/method.hpp"

namespace plimsoll::contract {
namespace {

bool is_off(const json::Value& value) {
  return value.is(json::Type::boolean) ? !value.boolean() : value.is(json::Type::string) && value.string() == "off";
}

/// A key that would be passed over without a word where it stands.
void check_effect(const config::Key& key, const json::Member& member, const std::string& pointer, Scope scope,
                  std::string_view method, Report& report) {
  const auto name = "`" + std::string(key.name) + "`";
  if (key.scopes == config::Scopes::document && scope != Scope::document)
    report.add(load_error::kNoEffect, member, pointer, name + " has no effect here: it belongs to the document",
               "Move it to the `x-plimsoll` at the top of the document.");
  if (key.scopes == config::Scopes::operation && scope == Scope::document)
    report.add(load_error::kNoEffect, member, pointer, name + " has no effect here: it belongs to an operation",
               "Move it to the `x-plimsoll` of the operation that it is meant for.");
  if (scope != Scope::operation || key.methods == config::Methods::any || is_off(member.value)) return;
  const bool safe = http::is_safe(method);
  if (safe == (key.methods == config::Methods::safe)) return;
  report.add(load_error::kNoEffect, member, pointer, name + " has no effect on " + std::string(method),
             safe ? "Remove it: it is for operations that change something (POST, PUT, PATCH, DELETE)."
                  : "Remove it: it is for operations that only read (GET).");
}

/// The key beside it that has an option of that name; null: none has.
const config::Key* option_of(const json::Value& extension, std::string_view name,
                             std::span<const config::Key* const> keys) {
  for (const auto* key : keys)
    if (extension.find(key->name) &&
        std::ranges::any_of(key->options(), [&](const config::Field& option) { return option.name == name; }))
      return key;
  return nullptr;
}

}  // namespace

void check_extension(const json::Value& extension, const std::string& pointer, Scope scope, std::string_view method,
                     const LoadOptions& options, Report& report) {
  if (!extension.is(json::Type::object)) {
    report.add(load_error::kWrongType, &extension, pointer, "`x-plimsoll` must be an object");
    return;
  }
  for (auto& member : extension.object()) {
    auto here = pointer;
    json::append_token(here, member.key);
    if (const auto found = std::ranges::find(options.keys, member.key, &config::Key::name);
        found != options.keys.end()) {
      check_effect(**found, member, here, scope, method, report);
      continue;
    }
    const auto key = "\"" + std::string(member.key) + "\"";
    if (contains(options.later_words, member.key)) {
      report.add(load_error::kLaterWord, member, std::move(here), "this version does not implement " + key + " yet");
      continue;
    }
    if (const auto* owner = option_of(extension, member.key, options.keys)) {
      report.add(load_error::kUnknownExtension, member, std::move(here),
                 "x-plimsoll has no key " + key + ": it is an option of \"" + std::string(owner->name) + "\"",
                 "Write it within `" + std::string(owner->name) + "`, in its long form, such as `" +
                     std::string(owner->name) + ": {…, " + std::string(member.key) + ": …}`.");
      continue;
    }
    std::vector<std::string_view> known;
    for (auto* candidate : options.keys) known.push_back(candidate->name);
    known.insert(known.end(), options.later_words.begin(), options.later_words.end());
    const auto near = config::nearest(member.key, known);
    const bool later = contains(options.later_words, near);
    const bool section = contains(options.sections, member.key);
    report.add(load_error::kUnknownExtension, member, std::move(here),
               "x-plimsoll has no key " + key + (section ? ": it is a section of the deployment" : "") +
                   (near.empty() ? "" : "; did you mean \"" + std::string(near) + "\"?") +
                   (later ? " This version does not implement it yet." : ""),
               section ? "Write it in plimsoll.yaml, or in the file that --config names." : "");
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
  merged.shrink_to_fit();
  return merged;
}

}  // namespace plimsoll::contract
