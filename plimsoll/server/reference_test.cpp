#include "plimsoll/server/reference.hpp"

#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/yaml.hpp"
#include "plimsoll/schema/validator.hpp"
#include "plimsoll/server/words.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

namespace plimsoll::server {
namespace {

std::string contents(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return std::move(text).str();
}

/// A schema of ours, and what it says of a document in YAML.
class Judge {
 public:
  explicit Judge(std::string schema) : text_(std::move(schema)) {
    auto parsed = json::parse(text_, arena_);
    if (!parsed) throw std::runtime_error(parsed.error().detail);
    schema_ = *parsed;
    auto made = schema::compile(schema_, {});
    if (!made) throw std::runtime_error(made.error().detail);
    validator_ = std::make_unique<schema::Validator>(std::move(*made));
  }
  std::string wrong(const std::string& document) {
    auto value = json::parse_yaml(arena_.keep(document), arena_);
    if (!value) return value.error().detail;
    const auto failures = validator_->validate(*value);
    return failures.empty() ? "" : failures[0].instance + ": " + failures[0].message + " (" + failures[0].schema + ")";
  }

 private:
  std::string text_;
  Arena arena_;
  json::Value schema_;
  std::unique_ptr<schema::Validator> validator_;
};

const std::string kHead = "openapi: 3.1.0\ninfo: {title: T, version: '1'}\n";

/// PLIMSOLL_UPDATE_FIXTURES=1 writes the pages anew, to be read before they are committed.
TEST(Reference, ThePagesAreWhatTheDeclarationsSay) {
  const std::filesystem::path folder = PLIMSOLL_SOURCE_DIR "/docs/reference";
  for (const bool deployment : {false, true}) {
    const auto path = folder / (deployment ? "deployment.md" : "contract.md");
    const auto page = reference_page(deployment);
    if (std::getenv("PLIMSOLL_UPDATE_FIXTURES")) {
      std::filesystem::create_directories(folder);
      std::ofstream(path) << page;
    }
    EXPECT_EQ(contents(path), page) << path << " is old: write it anew with PLIMSOLL_UPDATE_FIXTURES=1";
  }
}

TEST(Reference, EveryKeyAndOptionHasAllThatIsSaidOfOne) {
  std::set<std::pair<bool, std::string>> names;
  for (const auto& entry : reference()) {
    EXPECT_TRUE(names.emplace(entry.deployment, entry.name).second) << entry.name << " is there twice";
    for (const auto* part : {&entry.sentence, &entry.type, &entry.scopes, &entry.example})
      EXPECT_FALSE(part->empty()) << to_text(entry);
  }
  for (const auto* key : contract_keys())
    if (key->name != "settle" && key->name != "read-your-writes")
      EXPECT_TRUE(names.contains({false, std::string(key->name)})) << key->name;
  for (const auto* section : deployment_sections())
    EXPECT_TRUE(names.contains({true, std::string(section->key.name)})) << section->key.name;
  for (const auto* name :
       {"rate-limit.burst", "tables.NAME.page.max", "tables.NAME.embeds.NAME.on", "batch.create.max"})
    EXPECT_TRUE(names.contains({false, name})) << name;
  for (const auto* name : {"limits.drain", "database.url", "database.readers", "jobs.NAME.attempts", "tls.certificate",
                           "authentication.NAME.issuer", "listen", "trusted-proxies", "roles"})
    EXPECT_TRUE(names.contains({true, name})) << name;
}

TEST(Reference, EveryExampleSatisfiesTheSchema) {
  Judge contracts(contract_schema()), deployments(deployment_schema());
  for (const auto& entry : reference()) {
    if (entry.deployment)
      EXPECT_EQ(deployments.wrong(entry.example + "\n"), "") << entry.example;
    else if (entry.scopes.starts_with("document"))
      EXPECT_EQ(contracts.wrong(kHead + entry.example + "\n"), "") << entry.example;
    else
      EXPECT_EQ(contracts.wrong(kHead + "paths: {/a: {get: {" + entry.example + "}}}\n"), "") << entry.example;
  }
}

TEST(Reference, TheSchemasKnowWhatIsWrong) {
  Judge contracts(contract_schema()), deployments(deployment_schema());
  for (const std::string text :
       {"x-plimsoll: {rate-limits: 5/minute}", "x-plimsoll: {rate-limit: {brust: 5}}", "x-plimsoll: {priority: urgent}",
        "x-plimsoll: {batch: {create: {max: 5}}}", "x-plimsoll: {tables: {a: {pge: {max: 5}}}}",
        "x-plimsoll: {tables: {a: {page: {mx: 5}}}}", "x-plimsoll: {deadline: 5}", "x-plimsoll: {budgets: {rows: -1}}",
        "paths: {/a: {GET: {}}}", "paths: {/a: {get: {x-plimsoll: {tables: {}}}}}",
        "paths: {/a: {get: {response: {}}}}"})
    EXPECT_NE(contracts.wrong(kHead + text + "\n"), "") << text;
  for (const std::string text :
       {"listn: []", "limits: {drain: 30}", "limits: {drian: 30s}", "database: {readers: 0}", "jobs: {a: {atempts: 3}}",
        "telemetry: {log: loud}", "authentication: {bearer: {isuer: a}}", "threads: many"})
    EXPECT_NE(deployments.wrong(text + "\n"), "") << text;
}

TEST(Reference, AllDocumentsThatAreServedSatisfyTheSchemas) {
  Judge contracts(contract_schema()), deployments(deployment_schema());
  const std::filesystem::path root = PLIMSOLL_SOURCE_DIR;
  std::size_t seen = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root / "examples")) {
    if (entry.path().extension() != ".yaml") continue;
    const auto text = contents(entry.path());
    if (text.starts_with("overlay:") || text.contains("\noverlay:")) continue;
    const bool contract = text.starts_with("openapi:") || text.contains("\nopenapi:");
    EXPECT_EQ((contract ? contracts : deployments).wrong(text), "") << entry.path();
    ++seen;
  }
  EXPECT_GE(seen, 4u);
}

}  // namespace
}  // namespace plimsoll::server
