#include "plimsoll/schema/validator.hpp"

#include "plimsoll/json/write.hpp"
#include "plimsoll/schema/program.hpp"

namespace plimsoll::schema {

Validator::Validator(std::unique_ptr<const Program> program) : program_(std::move(program)) {}
Validator::~Validator() = default;
Validator::Validator(Validator&&) noexcept = default;
Validator& Validator::operator=(Validator&&) noexcept = default;

bool Validator::valid(const json::Value& instance, Steps& steps) const {
  const auto target = program_->root.at[static_cast<int>(instance.type())];
  if (target <= kPass) return target == kPass;
  Run run(program_->code.data(), steps);
  const auto* const start = run.code + target;
  bool* const given_up = program_->searches ? &Regex::exhausted() : nullptr;
  if (given_up) *given_up = false;
  const bool valid = start->operation(start, instance, run);
  steps = run.steps;
  return valid && !steps.exhausted() && !(given_up && *given_up);
}

namespace {

void flatten(std::vector<Unit>& units, std::vector<Failure>& failures) {
  for (auto& unit : units) {
    if (!unit.message.empty())
      failures.push_back({std::move(unit.instance), std::move(unit.location), std::move(unit.keyword),
                          std::move(unit.message), std::move(unit.missing)});
    flatten(unit.below, failures);
  }
}

void write_unit(json::Writer& writer, const Unit& unit, bool nested) {
  writer.begin_object();
  writer.key("valid").boolean(false);
  writer.key("keywordLocation").string(unit.path);
  writer.key("absoluteKeywordLocation").string(unit.location);
  writer.key("instanceLocation").string(unit.instance);
  if (!unit.message.empty()) writer.key("error").string(unit.message);
  if (nested && !unit.below.empty()) {
    writer.key("errors").begin_array();
    for (const auto& below : unit.below) write_unit(writer, below, true);
    writer.end_array();
  }
  writer.end_object();
}

/// Who asks for an output has the document at hand: it may take long.
constexpr std::uint64_t kStepsOfOutput = 100 * Steps::kDefault;

void write_flat(json::Writer& writer, const std::vector<Unit>& units) {
  for (const auto& unit : units) {
    if (!unit.message.empty()) write_unit(writer, unit, false);
    write_flat(writer, unit.below);
  }
}

}  // namespace

std::vector<Failure> Validator::validate(const json::Value& instance, Steps& steps, std::size_t cap) const {
  if (valid(instance, steps)) return {};
  return failures(instance, steps, cap);
}

std::vector<Failure> Validator::failures(const json::Value& instance, Steps& steps, std::size_t cap) const {
  auto units = explain(*program_, instance, steps, cap);
  std::vector<Failure> failures;
  flatten(units, failures);
  if (failures.size() > cap) failures.resize(cap);
  return failures;
}

void Validator::write(std::string& out, const json::Value& instance, Output format, std::size_t cap) const {
  json::Writer writer(out);
  Steps steps(kStepsOfOutput);
  const bool good = valid(instance, steps);
  writer.begin_object().key("valid").boolean(good);
  if (!good && format != Output::flag) {
    const auto units = explain(*program_, instance, steps, cap);
    writer.key("errors").begin_array();
    if (format == Output::basic)
      write_flat(writer, units);
    else
      for (const auto& unit : units) write_unit(writer, unit, true);
    writer.end_array();
  }
  writer.end_object();
}

Result<Validator> compile(const json::Value& schema, const CompileOptions& options) {
  auto graph = read_graph(schema, options);
  if (!graph) return std::unexpected(std::move(graph.error()));
  auto program = generate(std::move(*graph));
  if (!program) return std::unexpected(std::move(program.error()));
  return Validator(std::move(*program));
}

}  // namespace plimsoll::schema
