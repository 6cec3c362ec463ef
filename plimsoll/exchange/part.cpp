#include "plimsoll/exchange/part.hpp"

#include "plimsoll/contract/contract.hpp"

namespace plimsoll {

std::unexpected<Error> Build::wrong(std::string_view option, std::string_view what, std::string_view remedy) const {
  static const json::Value nowhere{};
  return config::wrong(settings ? config::member_or(*settings, option) : nowhere, what, remedy);
}

bool Part::says(const json::Value* options, std::string_view word) {
  if (!options) return false;
  if (options->is(json::Type::string)) return options->string() == word;
  const auto* member = options->is(json::Type::object) ? options->find(word) : nullptr;
  return member && member->is(json::Type::boolean) && member->boolean();
}

Result<Mode> Part::mode_of(const json::Value* options) {
  if (!options) return Mode::enforce;
  const json::Value* word = options;
  if (options->is(json::Type::object)) {
    word = options->find("mode");
    if (!word) return Mode::enforce;
  } else if (options->is(json::Type::boolean) && !options->boolean()) {
    return Mode::off;  // `off` is false to readers of YAML 1.1
  } else if (!options->is(json::Type::string) ||
             (options->string() != "off" && options->string() != "shadow" && options->string() != "enforce")) {
    return Mode::enforce;
  }
  if (word->is(json::Type::string)) {
    if (word->string() == "off") return Mode::off;
    if (word->string() == "shadow") return Mode::shadow;
    if (word->string() == "enforce") return Mode::enforce;
  }
  return config::wrong(*word, "`mode` is one of off, shadow, enforce");
}

void Part::attach(const Part& part, Policy& policy, Mode mode, const Build& build) {
  policy.name_ = part.key.name;
  policy.mode_ = mode;
  if (!build.services.metrics || part.problems.empty()) return;  // what refuses nothing counts nothing
  policy.count(part.problems, *build.services.metrics, build.operation.id);
}

}  // namespace plimsoll
