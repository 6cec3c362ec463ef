#include "plimsoll/config/options.hpp"
#include "plimsoll/server/chain.hpp"
#include "plimsoll/server/handlers.hpp"
#include "plimsoll/server/instance.hpp"
#include "plimsoll/server/words.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <random>
#include <set>

namespace plimsoll::server {
namespace {

using Names = std::set<std::string>;

/// All names one slip away: a letter missing, added, wrong, or in its neighbour's place.
Names slips(const std::string& name) {
  static constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz-";
  Names made;
  for (std::size_t i = 0; i <= name.size(); ++i) {
    for (const char c : kLetters) {
      made.insert(name.substr(0, i) + c + name.substr(i));
      if (i < name.size()) made.insert(name.substr(0, i) + c + name.substr(i + 1));
    }
    if (i < name.size()) made.insert(name.substr(0, i) + name.substr(i + 1));
    if (i + 1 < name.size()) made.insert(name.substr(0, i) + name[i + 1] + name[i] + name.substr(i + 2));
  }
  made.erase(name);
  made.erase("");
  return made;
}

unsigned seed() {
  static const unsigned made = [] {
    const char* given = std::getenv("PLIMSOLL_SEED");
    const auto value = given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
    std::printf("PLIMSOLL_SEED=%u\n", value);
    return value;
  }();
  return made;
}

/// All at distance 1, and some at distance 2.
Names near_misses(const std::string& name, std::size_t further = 20) {
  const auto once = slips(name);
  auto made = once;
  std::mt19937 random(seed());
  for (std::size_t i = 0; i < further; ++i) {
    auto one = std::next(once.begin(), static_cast<std::ptrdiff_t>(random() % once.size()));
    auto two = slips(*one);
    auto next = std::next(two.begin(), static_cast<std::ptrdiff_t>(random() % two.size()));
    if (*next != name && config::distance(*next, name) <= 2) made.insert(*next);
  }
  return made;
}

/// The suggestion of `…; did you mean "X"?`.
std::string suggested(const std::string& sentence) {
  constexpr std::string_view before = "did you mean \"";
  const auto at = sentence.find(before);
  if (at == sentence.npos) return {};
  const auto begin = at + before.size();
  return sentence.substr(begin, sentence.find('"', begin) - begin);
}

/// A right suggestion is the name that was meant, or one that is as near to what was written.
testing::AssertionResult right(const std::string& written, const std::string& meant, const std::string& sentence) {
  const auto found = suggested(sentence);
  if (found.empty()) return testing::AssertionFailure() << written << " for " << meant << ": " << sentence;
  if (config::distance(written, found) <= config::distance(written, meant)) return testing::AssertionSuccess();
  return testing::AssertionFailure() << written << " is " << meant << " and not " << found;
}

class NearMisses : public testing::Test {
 protected:
  void SetUp() override { file_ = testing::TempDir() + "near-miss-" + std::to_string(::getpid()) + ".yaml"; }
  void TearDown() override { ::unlink(file_.c_str()); }
  const std::string& write(const std::string& text) {
    std::ofstream(file_) << text;
    return file_;
  }
  contract::Complaints complaints_of(const std::string& contract) {
    auto loaded = load_contract(write(contract), {});
    return loaded ? contract::Complaints{} : std::move(loaded.error());
  }
  /// Each key of the list, in a mapping at that place of a document, is refused at its own line.
  void refuse_each(const Names& written, const Names& known, const std::string& meant, const std::string& before,
                   const std::string& indent, const std::string& after) {
    std::vector<std::string> keys;
    for (const auto& key : written)
      if (!known.contains(key) && key[0] != '-') keys.push_back(key);
    for (std::size_t begin = 0; begin < keys.size(); begin += 400) {  // the loader says no more than 500 things
      const auto end = std::min(begin + 400, keys.size());
      std::string text = before;
      const auto first = static_cast<std::uint32_t>(1 + std::ranges::count(before, '\n'));
      for (auto i = begin; i < end; ++i) text += indent + "\"" + keys[i] + "\": {}\n";
      std::map<std::uint32_t, std::string> said;
      for (auto& complaint : complaints_of(text + after)) {
        EXPECT_EQ(complaint.file, file_);
        if (complaint.what.contains("did you mean")) said[complaint.at.line] += complaint.what;
      }
      for (auto i = begin; i < end; ++i) {
        const auto line = first + static_cast<std::uint32_t>(i - begin);
        EXPECT_TRUE(right(keys[i], meant, said[line])) << "line " << line << " of\n" << before;
        ++refused_;
      }
    }
  }

  std::string file_;
  std::size_t refused_ = 0;
};

const std::string kHead = "openapi: 3.1.0\ninfo: {title: T, version: '1'}\n";
const std::string kResponses = "      responses: {'200': {description: ok}}\n";

struct Place {
  std::string before, indent, after;
};

const Place kScopes[] = {
    {kHead + "x-plimsoll:\n", "  ", "paths:\n  /a:\n    get:\n" + kResponses},
    {kHead + "paths:\n  /a:\n    get:\n" + kResponses + "    x-plimsoll:\n", "      ", ""},
    {kHead + "paths:\n  /a:\n    get:\n" + kResponses + "      x-plimsoll:\n", "        ", ""},
};

TEST_F(NearMisses, OfTheExtensionItselfAreRefusedAtEveryPlace) {
  const Place places[] = {
      {kHead, "", "paths:\n  /a:\n    get:\n" + kResponses},
      {kHead + "paths:\n", "  ", "  /a:\n    get:\n" + kResponses},
      {kHead + "paths:\n  /a:\n    get:\n" + kResponses, "    ", ""},
      {kHead + "paths:\n  /a:\n    get:\n" + kResponses, "      ", ""},
      {kHead + "paths:\n  /a:\n    get:\n      responses:\n        '200': {description: ok}\n", "        ", ""},
      {kHead + "paths:\n  /a:\n    get:\n      responses:\n        '200':\n          description: ok\n", "          ",
       ""},
      {kHead + "paths:\n  /a:\n    get:\n" + kResponses + "components:\n  schemas:\n    A:\n      type: object\n",
       "      ", ""},
  };
  for (const auto& place : places)
    refuse_each(near_misses("x-plimsoll", 300), {"x-plimsoll"}, "x-plimsoll", place.before, place.indent, place.after);
  EXPECT_GT(refused_, 5000u);
}

TEST_F(NearMisses, OfEveryKeyOfTheContractAreRefusedInEveryScope) {
  Names known;
  for (const auto* key : contract_keys()) known.emplace(key->name);
  for (const auto word : later_words()) known.emplace(word);
  for (const auto& name : known)
    for (const auto& scope : kScopes)
      refuse_each(near_misses(name), known, name, scope.before, scope.indent, scope.after);
  EXPECT_GT(refused_, 20'000u);
}

/// Of those with five letters or more: `note` is not `not`, and an annotation like others.
TEST_F(NearMisses, OfEveryKeywordOfASchemaThatDecidesSomethingAreRefused) {
  const Names known{"const",
                    "enum",
                    "multipleOf",
                    "maximum",
                    "exclusiveMaximum",
                    "minimum",
                    "maxLength",
                    "exclusiveMinimum",
                    "minLength",
                    "pattern",
                    "format",
                    "maxItems",
                    "minItems",
                    "uniqueItems",
                    "maxContains",
                    "minContains",
                    "maxProperties",
                    "minProperties",
                    "required",
                    "dependentRequired",
                    "properties",
                    "default",
                    "readOnly",
                    "patternProperties",
                    "additionalProperties",
                    "propertyNames",
                    "prefixItems",
                    "items",
                    "contains",
                    "dependentSchemas",
                    "writeOnly",
                    "allOf",
                    "anyOf",
                    "oneOf",
                    "unevaluatedProperties",
                    "discriminator",
                    "contentSchema",
                    "unevaluatedItems",
                    "contentEncoding",
                    "contentMediaType"};
  for (const auto& name : known) {
    if (name.size() < 5) continue;
    auto written = slips(name);
    std::erase_if(written, [&](const std::string& each) { return known.contains(each); });
    refuse_each(written, known, name, kHead + "components:\n  schemas:\n    A:\n", "      ", "paths: {}\n");
  }
  for (const auto name : {"enums", "Enum", "types", "readonly", "ReadOnly", "read_only", "writeonly", "Default"})
    EXPECT_FALSE(complaints_of(kHead + "paths: {}\ncomponents: {schemas: {A: {" + name + ": true}}}\n").empty())
        << name;
  for (const auto name : {"note", "href", "kind", "name"})
    EXPECT_TRUE(complaints_of(kHead + "paths: {}\ncomponents: {schemas: {A: {" + name + ": true}}}\n").empty()) << name;
  EXPECT_GT(refused_, 20'000u);
}

TEST_F(NearMisses, OfMethodsAndCapitalsAreRefused) {
  const Names known{"get",   "put",  "post",    "delete",      "options", "head",      "patch",
                    "trace", "$ref", "summary", "description", "servers", "parameters"};
  for (const auto& name : {"get", "put", "post", "delete", "options", "head", "patch", "trace"})
    refuse_each(slips(name), known, name, kHead + "paths:\n  /a:\n", "    ", "    x-a: {}\n");
  for (const auto& name : {"GET", "Put", "POST", "DELETE", "Options", "HEAD", "PATCH", "Trace"}) {
    const auto said =
        complaints_of(kHead + "paths:\n  /a:\n    " + name + ": {responses: {'200': {description: ok}}}\n");
    ASSERT_FALSE(said.empty()) << name;
    EXPECT_TRUE(right(name, name, said[0].what));
    EXPECT_EQ(said[0].at.line, 5u);
  }
}

/// What a policy itself says of options that it does not have.
TEST_F(NearMisses, OfEveryOptionOfEveryPolicyAreRefused) {
  const auto loaded =
      load_contract(write(kHead + "paths:\n  /a:\n    get:\n" + kResponses + "    post:\n" + kResponses), {});
  ASSERT_TRUE(loaded);
  Services services;
  std::set<std::string_view> done;
  for (const auto& row : rows()) {
    const auto& key = row.part->key;
    if (!done.insert(key.name).second || key.name == "settle" || key.name == "read-your-writes") continue;
    Names known{"mode"};
    for (const auto& field : key.options()) known.emplace(field.name);
    for (const auto& name : known)
      for (const auto& written : near_misses(name, 5)) {
        if (known.contains(written)) continue;
        json::Member member{.key = written, .value = json::Value::of(true), .at = {7, 3}};
        auto value = json::Value::object({&member, 1});
        auto operation = (*loaded)->operations[key.methods == config::Methods::unsafe ? 1 : 0];
        operation.extensions = {{.key = key.name, .value = &value, .scope = "operation", .scopes = {&value}}};
        const auto built = row.part->build(*row.part, &value, Build{**loaded, operation, services});
        ASSERT_FALSE(built) << key.name << "." << written;
        EXPECT_TRUE(right(written, name, built.error().detail)) << key.name;
        const auto place = config::located(built.error().detail).at;
        EXPECT_EQ(place.line, 7u) << key.name << ": " << built.error().detail;
        EXPECT_EQ(place.column, 3u);
        ++refused_;
      }
  }
  EXPECT_GT(refused_, 10'000u);
}

/// Options of tables, embeds, pages, batches, jobs and security schemes, and of all that is declared later.
void refuse_within(std::span<const config::Field> fields, const std::string& path, std::size_t& refused) {
  for (const auto& field : fields) {
    for (const auto& written : near_misses(std::string(field.name), 5)) {
      if (std::ranges::find(fields, written, &config::Field::name) != fields.end()) continue;
      json::Member member{.key = written, .value = json::Value::of(true), .at = {7, 3}};
      const auto read = config::read(json::Value::object({&member, 1}), fields, nullptr);
      ASSERT_FALSE(read) << path << "." << written;
      EXPECT_TRUE(right(written, std::string(field.name), read.error().detail)) << path;
      ++refused;
    }
    refuse_within(field.parts, path + "." + std::string(field.name), refused);
  }
}

TEST_F(NearMisses, OfEveryOptionThatIsDeclaredWithinAnotherAreRefused) {
  for (const auto* key : contract_keys()) {
    refuse_within(key->options(), std::string(key->name), refused_);
    if (key->entries) refuse_within(key->entries(), std::string(key->name), refused_);
  }
  for (const auto* section : deployment_sections()) {
    refuse_within(section->key.options(), std::string(section->key.name), refused_);
    if (section->key.entries) refuse_within(section->key.entries(), std::string(section->key.name), refused_);
  }
  EXPECT_GT(refused_, 20'000u);
}

TEST_F(NearMisses, OfEverySectionAndOptionOfTheDeploymentAreRefused) {
  const auto refuse = [&](const std::string& before, const std::string& written, const std::string& meant) {
    const auto read = read_deployment(write(before + written + ": {}\n"));
    ASSERT_FALSE(read) << before << written;
    std::string said;
    for (const auto& complaint : read.error()) {
      if (complaint.what.contains("did you mean")) said += complaint.what;
      EXPECT_EQ(complaint.at.line, 1 + static_cast<std::uint32_t>(std::ranges::count(before, '\n')));
    }
    const auto bare = written.substr(1, written.size() - 2);
    EXPECT_TRUE(right(bare, meant, said)) << before;
    ++refused_;
  };
  Names sections{"store"};
  std::map<std::string, Names> options;
  for (const auto& row : explain(Deployment{})) {
    const auto dot = row.name.find('.');
    if (row.name.find('.', dot + 1) != row.name.npos) continue;  // members by names of the user's own
    if (row.origin == "not implemented") continue;
    sections.insert(row.name.substr(0, dot));
    if (dot != row.name.npos) options[row.name.substr(0, dot)].insert(row.name.substr(dot + 1));
  }
  std::mt19937 random(seed());
  for (const auto& name : sections)
    for (const auto& written : near_misses(name, 5))
      if (!sections.contains(written) && written[0] != '-') refuse("", "\"" + written + "\"", name);
  for (const auto& [section, names] : options) {
    if (section == "authentication" || section == "jobs" || section == "upstreams")
      continue;  // its members are schemes of the contract
    for (const auto& name : names)
      for (const auto& written : near_misses(name, 5))
        if (!names.contains(written) && written[0] != '-' && random() % (std::getenv("PLIMSOLL_TORTURE") ? 1 : 32) == 0)
          refuse(section + ":\n  ", "\"" + written + "\"", name);
  }
  EXPECT_GT(refused_, 5'000u);
}

}  // namespace
}  // namespace plimsoll::server
