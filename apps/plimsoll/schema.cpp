#include "apps/plimsoll/commands.hpp"
#include "plimsoll/base/clock.hpp"
#include "plimsoll/base/read_file.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/json/yaml.hpp"
#include "plimsoll/schema/validator.hpp"
#include "plimsoll/server/reference.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <map>

namespace plimsoll::command {
namespace {

namespace fs = std::filesystem;
using json::Type;
using json::Value;
using Resolve = FunctionRef<const Value*(std::string_view)>;

constexpr std::int64_t kMostRepeats = 1'000'000'000;

struct Options {
  bool json_lines = false, formats = false;
  std::string schema;
  std::vector<std::string> instances;
  schema::Output output = schema::Output::basic;
};

// --- one line, one question ---

std::int64_t repeats(const Value& line, std::string_view key) {
  const auto* value = line.find(key);
  const auto count = value && value->is(Type::number) ? value->integer() : std::nullopt;
  return count ? std::clamp<std::int64_t>(*count, 1, kMostRepeats) : 0;
}

void write_failures(json::Writer& writer, const std::vector<schema::Failure>& failures) {
  writer.key("errors").begin_array();
  for (const auto& failure : failures) {
    writer.begin_object();
    writer.key("instance").string(failure.instance).key("schema").string(failure.schema);
    writer.key("keyword").string(failure.keyword).key("message").string(failure.message);
    writer.end_object();
  }
  writer.end_array();
}

std::string refused(std::string_view reason) {
  std::string out;
  json::Writer(out)
      .begin_object()
      .key("valid")
      .null()
      .key("errors")
      .begin_array()
      .end_array()
      .key("error")
      .string(reason)
      .end_object();
  return out;
}

/// Nanoseconds for `count` validations of an instance that is parsed, by a schema that is compiled.
Nanoseconds time_validations(const schema::Validator& validator, const Value& instance, std::int64_t count) {
  const auto start = system_clock().steady();
  bool valid = false;
  for (std::int64_t i = 0; i < count; ++i) valid ^= validator.valid(instance);
  const auto end = system_clock().steady();
  [[maybe_unused]] volatile bool kept = valid;
  return end - start;
}

Nanoseconds time_compilations(const Value& schema, const schema::CompileOptions& options, const Value& instance,
                              std::int64_t count) {
  const auto start = system_clock().steady();
  bool valid = false;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto validator = schema::compile(schema, options);
    if (validator) valid ^= validator->valid(instance);
  }
  const auto end = system_clock().steady();
  [[maybe_unused]] volatile bool kept = valid;
  return end - start;
}

std::string answer(std::string_view text, Arena& arena) {
  const auto line = json::parse(text, arena, {.depth = 1000});
  if (!line) return refused(line.error().detail);
  const auto *schema = line->find("schema"), *instance = line->find("instance");
  if (!schema || !instance) return refused("a line holds \"schema\" and \"instance\"");
  const auto find = [&](std::string_view uri) { return line->at("remotes", uri); };
  Resolve resolve(find);
  schema::CompileOptions options;
  options.resolve = &resolve;
  const auto* format = line->find("format");
  options.assert_formats = format && format->is(Type::boolean) && format->boolean();
  const auto validator = schema::compile(*schema, options);
  if (!validator) return refused(validator.error().detail);

  std::string out;
  json::Writer writer(out);
  const auto failures = validator->validate(*instance);
  writer.begin_object().key("valid").boolean(failures.empty());
  write_failures(writer, failures);
  if (const auto count = repeats(*line, "repeat"))
    writer.key("ns").integer(time_validations(*validator, *instance, count));
  if (const auto count = repeats(*line, "compile"))
    writer.key("compile_ns").integer(time_compilations(*schema, options, *instance, count));
  writer.end_object();
  return out;
}

int validate_lines() {
  std::ios::sync_with_stdio(false);
  std::string line;
  Arena arena;
  while (std::getline(std::cin, line)) {
    auto out = answer(line, arena);
    out += '\n';
    std::fwrite(out.data(), 1, out.size(), stdout);
    std::fflush(stdout);  // who asks line by line waits for the answer
    arena.release();
  }
  return 0;
}

// --- files ---

/// Documents read from files, by their `file:` URI. They stay until the end.
class Files {
 public:
  static std::string uri(const fs::path& path) {
    std::error_code unknown;
    const auto found = fs::weakly_canonical(path, unknown);
    return "file://" + (unknown ? path : found).string();
  }

  Result<const Value*> read(const std::string& uri) {
    if (const auto found = documents_.find(uri); found != documents_.end()) return &found->second;
    const fs::path path = uri.substr(std::string_view("file://").size());
    const auto text = read_file(path);
    if (!text) return fail(json::kMalformed, "cannot be read: " + text.error().message());
    auto value = json::parse_yaml(arena_.keep(*text), arena_);
    if (!value) return std::unexpected(std::move(value.error()));
    return &documents_.emplace(uri, *value).first->second;
  }

  const Value* resolve(std::string_view uri) {
    if (!uri.starts_with("file://")) return nullptr;
    const auto value = read(std::string(uri));
    return value ? *value : nullptr;
  }

 private:
  Arena arena_;
  std::map<std::string, Value> documents_;
};

int validate_files(const Options& given) {
  Files files;
  const auto uri = Files::uri(given.schema);
  const auto schema = files.read(uri);
  if (!schema) return complain(schema.error().detail, given.schema, "Give a JSON Schema in JSON or YAML.");
  const auto find = [&](std::string_view reference) { return files.resolve(reference); };
  Resolve resolve(find);
  schema::CompileOptions options{.assert_formats = given.formats, .base_uri = uri};
  options.resolve = &resolve;
  const auto validator = schema::compile(**schema, options);
  if (!validator) return complain(validator.error().detail, given.schema, "Correct the schema at the place named.");
  bool all = true;
  for (const auto& path : given.instances) {
    const auto instance = files.read(Files::uri(path));
    if (!instance) return complain(instance.error().detail, path, "Give a document in JSON or YAML.");
    all = validator->valid(**instance) && all;
    std::string out;
    validator->write(out, **instance, given.output);
    out += '\n';
    std::fwrite(out.data(), 1, out.size(), stdout);
  }
  return all ? 0 : 1;
}

int print(const std::string& schema) {
  Arena arena;
  const auto parsed = json::parse(schema, arena);
  if (!parsed) return complain(parsed.error());
  const auto text = json::to_pretty_string(*parsed) + "\n";
  std::fwrite(text.data(), 1, text.size(), stdout);
  return 0;
}

Subcommand::Run declare(CLI::App& app) {
  auto options = std::make_shared<Options>();
  auto* validate = app.add_subcommand("validate", "Validates documents against a JSON Schema (2020-12)");
  auto* contract = app.add_subcommand("contract", "Prints the JSON Schema of contracts, for editors");
  auto* deployment = app.add_subcommand("deployment", "Prints the JSON Schema of plimsoll.yaml, for editors");
  app.require_subcommand(1);
  validate->add_option("SCHEMA", options->schema, "The schema, JSON or YAML");
  validate->add_option("INSTANCE", options->instances, "Documents, JSON or YAML; a line of output for each");
  validate->add_flag("--formats", options->formats, "Assert every known format");
  validate->add_option("--output", options->output, "Output format: flag, basic or detailed (default basic)")
      ->transform(CLI::CheckedTransformer(std::map<std::string, schema::Output>{
          {"flag", schema::Output::flag}, {"basic", schema::Output::basic}, {"detailed", schema::Output::detailed}}));
  validate->add_flag(
      "--json-lines", options->json_lines,
      "Read {\"schema\", \"instance\", \"format\", \"remotes\", \"repeat\"} from standard input, a line each, "
      "and answer each with a line");
  return [options, contract, deployment] {
    if (contract->parsed()) return print(server::contract_schema());
    if (deployment->parsed()) return print(server::deployment_schema());
    if (options->json_lines) return validate_lines();
    if (options->schema.empty() || options->instances.empty())
      return complain("a schema and at least one document are needed", {},
                      "Say `plimsoll schema validate SCHEMA INSTANCE`.");
    return validate_files(*options);
  };
}

const Subcommand command{
    "schema", "Validates documents against JSON Schemas; prints the schemas of contracts and plimsoll.yaml", declare};

}  // namespace
}  // namespace plimsoll::command
