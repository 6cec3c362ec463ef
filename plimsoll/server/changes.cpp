#include "plimsoll/server/changes.hpp"

#include "plimsoll/base/digest.hpp"
#include "plimsoll/json/pointer.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/server/words.hpp"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <unordered_set>

namespace plimsoll::server {
namespace {

using json::Type;
using json::Value;

/// What the operations of a contract say, as digests: each text is written once, however many operations refer to it.
class Meanings {
 public:
  explicit Meanings(const contract::Contract& contract)
      : contract_(contract), tables_(contract.root->at("x-plimsoll", "tables")) {}

  Digest of(const contract::Operation& operation) {
    seen_.clear();
    digest_.update(operation.method + " " + operation.path + "\n");
    add(*operation.raw);
    for (const auto& parameter : operation.parameters)  // of the path item too
      if (parameter.raw) add(*parameter.raw);
    for (const auto& requirement : operation.security)
      for (const auto& needed : requirement.all) add(*needed.scheme->raw);
    for (const auto& extension : operation.extensions) {
      if (is_of_document(extension.key)) continue;
      digest_.update(extension.key);
      for (const auto* said : extension.scopes) add(*said);
      if (extension.key == "table") add_tables(*extension.value);
    }
    return digest_.finish();
  }

 private:
  struct Text {
    Digest digest;
    std::vector<const Value*> targets;  ///< of its references
  };

  /// Of `x-plimsoll` of the document, and in force for no operation.
  bool is_of_document(std::string_view key) const {
    const auto found = std::ranges::find(keys_, key, [](const config::Key* each) { return each->name; });
    return found != keys_.end() && (*found)->scopes == config::Scopes::document;
  }

  /// The text of a value, and those that it refers to, in the order in which they are met.
  void add(const Value& value) {
    std::vector<const Value*> left{&value};
    while (!left.empty()) {
      const auto* next = left.back();
      left.pop_back();
      if (!seen_.insert(next).second) continue;
      const auto& text = text_of(*next);
      digest_.update(as_text(text.digest));
      left.insert(left.end(), text.targets.begin(), text.targets.end());
    }
  }

  /// The declarations of the tables that a value names.
  void add_tables(const Value& value) {
    if (value.is(Type::string) && tables_) {
      const auto* table = tables_->find(value.string());
      if (!table || !seen_.insert(table).second) return;
      digest_.update(json::to_string(*table));
      if (const auto* schema = table->find("schema"); schema && schema->is(Type::string))
        if (const auto pointer = schema->string(); pointer.starts_with('#'))
          if (const auto* target = json::resolve(*contract_.root, pointer.substr(1))) add(*target);
      if (const auto* embeds = table->find("embeds")) add_tables(*embeds);
    }
    for (const auto& item : value.array()) add_tables(item);
    for (const auto& member : value.object()) add_tables(member.value);
  }

  const Text& text_of(const Value& value) {
    const auto [place, fresh] = texts_.try_emplace(&value);
    if (!fresh) return place->second;
    Text made{.digest = sha256(json::to_string(value)), .targets = {}};
    add_targets(value, made.targets);
    return place->second = std::move(made);
  }
  void add_targets(const Value& value, std::vector<const Value*>& to) const {
    if (value.find("$ref"))
      if (const auto* target = &contract_.resolve(value); target != &value) to.push_back(target);
    for (const auto& item : value.array()) add_targets(item, to);
    for (const auto& member : value.object()) add_targets(member.value, to);
  }

  const contract::Contract& contract_;
  const Value* tables_;
  const std::vector<const config::Key*> keys_ = contract_keys();
  Sha256 digest_;
  std::unordered_set<const Value*> seen_;  ///< by the operation that is asked about
  std::unordered_map<const Value*, Text> texts_;
};

}  // namespace

Changes changes_between(const contract::Contract& before, const contract::Contract& after) {
  Changes made;
  Meanings said{before}, says{after};
  std::map<std::string_view, const contract::Operation*> known;
  for (const auto& operation : before.operations) known.emplace(operation.id, &operation);
  for (const auto& operation : after.operations) {
    const auto found = known.find(operation.id);
    if (found == known.end()) {
      made.added.push_back(operation.id);
      continue;
    }
    if (said.of(*found->second) != says.of(operation)) made.changed.push_back(operation.id);
    known.erase(found);
  }
  for (const auto& operation : before.operations)
    if (known.contains(operation.id)) made.removed.push_back(operation.id);
  return made;
}

}  // namespace plimsoll::server
