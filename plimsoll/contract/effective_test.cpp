#include "plimsoll/contract/effective.hpp"

#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/pointer.hpp"
#include "plimsoll/json/write.hpp"

#include <gtest/gtest.h>
#include <filesystem>
#include <fstream>

namespace plimsoll::contract {
namespace {

constexpr std::string_view kHead = "openapi: 3.1.0\ninfo: {title: T, version: '1'}\n";
constexpr config::Key kTable{.name = "table", .sentence = "A table."};
constexpr HeaderField kKey{"Idempotency-Key", "A key."}, kTag{"ETag", "A tag."};
constexpr Problem kMissing{"missing", 404, "Missing", ""}, kGone{"gone", 404, "Gone", "", true};

/// The effective document of a text, as a value.
class Effective {
 public:
  Effective(const std::string& text, FunctionRef<void(const Operation&, Promises&)> describe, bool extensions = false) {
    const auto file = std::filesystem::temp_directory_path() / ("effective-" + std::to_string(getpid()) + ".yaml");
    std::ofstream(file) << kHead << text;
    const config::Key* const keys[] = {&kTable};
    LoadOptions options{.file = file.string(), .overlays = {}, .keys = keys};
    auto loaded = load(options);
    EXPECT_TRUE(loaded) << (loaded ? "" : to_string(loaded.error()[0]));
    if (loaded) text_ = effective_document(**loaded, describe, extensions);
    // What is served can be served again.
    std::ofstream(file, std::ios::trunc) << text_;
    const auto again = load(options);
    EXPECT_TRUE(again) << (again ? "" : to_string(again.error()[0])) << text_;
    std::filesystem::remove(file);
    if (auto parsed = json::parse(text_, arena_)) root_ = *parsed;
  }
  std::string at(std::string_view pointer) const {
    const auto* found = json::resolve(root_, pointer);
    return found ? json::to_string(*found) : "nothing";
  }
  const std::string& text() const { return text_; }

 private:
  Arena arena_;
  std::string text_;
  json::Value root_;
};

constexpr auto nothing = [](const Operation&, Promises&) {};

TEST(EffectiveDocument, HasHeadersAndProblemsOfTheParts) {
  const Effective made{R"(
paths:
  /a:
    post: {operationId: a, security: [], responses: {'201': {description: made, headers: {X-Own: {schema: {type: integer}}}}}}
    get: {operationId: b, security: [], responses: {'200': {description: ok}}}
)",
                       [](const Operation& operation, Promises& promises) {
                         promises.takes(kKey, operation.id == "a");
                         promises.sends(kTag, kSuccess);
                         promises.refuses(kMissing);
                         promises.refuses(kGone);
                         promises.refuses(kMissing);
                       }};
  EXPECT_EQ(
      made.at("/paths/~1a/post/parameters"),
      R"([{"name":"Idempotency-Key","in":"header","description":"A key.","required":true,"schema":{"type":"string"}}])");
  EXPECT_EQ(made.at("/paths/~1a/get/parameters/0/required"), "nothing");
  EXPECT_EQ(made.at("/paths/~1a/post/responses/201/headers"),
            R"({"X-Own":{"schema":{"type":"integer"}},"ETag":{"$ref":"#/components/headers/ETag"}})");
  EXPECT_EQ(made.at("/paths/~1a/post/responses/404"), R"({"$ref":"#/components/responses/Problem404"})");
  EXPECT_EQ(made.at("/paths/~1a/get/responses/404"), made.at("/paths/~1a/post/responses/404"));
  EXPECT_EQ(
      made.at("/components/responses/Problem404/content/application~1problem+json/schema/allOf/1/properties/code"),
      R"({"type":"string","enum":["gone","missing"]})");
  EXPECT_EQ(made.at("/components/responses/Problem404/headers/Retry-After"),
            R"({"$ref":"#/components/headers/Retry-After"})");
  EXPECT_NE(made.at("/components/schemas/Problem"), "nothing");
}

TEST(EffectiveDocument, KeepsProblemsThatTheContractDeclaresBesideThoseOfTheServer) {
  const Effective made{R"(
components: {schemas: {Problem: {type: object}}}
paths:
  /a:
    get:
      operationId: a
      security: []
      responses:
        '200': {description: ok}
        '404': {description: no, content: {application/problem+json: {schema: {type: string}}}}
        '5XX': {description: bad, content: {text/plain: {schema: {type: string}}}}
)",
                       [](const Operation&, Promises& promises) {
                         static constexpr Problem kBroken{"broken", 500, "Broken", ""};
                         promises.refuses(kMissing);
                         promises.refuses(kBroken);
                       }};
  const std::string schema = "/content/application~1problem+json/schema";
  EXPECT_EQ(made.at("/paths/~1a/get/responses/404" + schema + "/anyOf/0"), R"({"type":"string"})");
  EXPECT_EQ(made.at("/paths/~1a/get/responses/404" + schema + "/anyOf/1/allOf/0"),
            R"({"$ref":"#/components/schemas/Problem_2"})");
  EXPECT_EQ(made.at("/paths/~1a/get/responses/500"), R"({"$ref":"#/components/responses/Problem500"})");
  EXPECT_EQ(made.at("/components/responses/Problem500/description"), R"("bad")");
  EXPECT_EQ(made.at("/components/responses/Problem500/content/text~1plain/schema"), R"({"type":"string"})");
  EXPECT_NE(made.at("/components/responses/Problem500" + schema), "nothing");
}

constexpr auto kRows = R"(
x-plimsoll: {table: rows}
components:
  schemas:
    Id: {type: string, readOnly: true}
    Money: {type: string, default: '0', description: Exact.}
    Row:
      type: object
      required: [id, name, secret]
      properties:
        id: {$ref: '#/components/schemas/Id'}
        name: {type: string}
        size: {type: integer, default: 7, description: Metres.}
        price: {$ref: '#/components/schemas/Money'}
        secret: {type: string, writeOnly: true}
        parts: {type: array, items: {$ref: '#/components/schemas/Row'}}
    Page: {type: object, properties: {data: {type: array, items: {$ref: '#/components/schemas/Row'}}}}
    Plain: {type: object, properties: {a: {type: integer}}}
paths:
  /rows:
    x-plimsoll: {table: rows}
    post:
      operationId: make
      security: []
      x-plimsoll: {table: rows}
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Row'}}}}
      responses: {'201': {description: made, content: {application/json: {schema: {$ref: '#/components/schemas/Row'}}}}}
    put:
      operationId: plain
      security: []
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Plain'}}}}
      responses: {'200': {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Plain'}}}}}
    get:
      operationId: list
      security: []
      responses: {'200': {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Page'}}}}}
)";
constexpr auto kJson = "/content/application~1json/schema";

TEST(EffectiveDocument, SchemasOfRequestsAndOfResponsesDiffer) {
  const Effective made{kRows, nothing};
  const std::string post = "/paths/~1rows/post";
  EXPECT_EQ(made.at(post + "/requestBody" + kJson), R"({"$ref":"#/components/schemas/RowRequest"})");
  EXPECT_EQ(made.at(post + "/responses/201" + kJson), R"({"$ref":"#/components/schemas/Row"})");
  EXPECT_EQ(made.at("/components/schemas/RowRequest"),
            R"({"type":"object","required":["name","secret"],"properties":{"name":{"type":"string"},)"
            R"("size":{"type":"integer","description":"Metres. Default: `7`."},)"
            R"("price":{"$ref":"#/components/schemas/MoneyRequest"},"secret":{"type":"string","writeOnly":true},)"
            R"("parts":{"type":"array","items":{"$ref":"#/components/schemas/RowRequest"}}}})");
  EXPECT_EQ(made.at("/components/schemas/Row/required"), R"(["id","name"])");
  EXPECT_EQ(made.at("/components/schemas/Row/properties/secret"), "nothing");
  EXPECT_EQ(made.at("/components/schemas/Row/properties/size/default"), "7");
  EXPECT_EQ(made.at("/paths/~1rows/put/requestBody" + std::string(kJson)), R"({"$ref":"#/components/schemas/Plain"})");
  EXPECT_EQ(made.at("/components/schemas/PlainRequest"), "nothing");
}

TEST(EffectiveDocument, AComponentStandsInThePlaceOfASchemaForOneOperation) {
  const Effective made{kRows, [](const Operation& operation, Promises& promises) {
                         if (operation.id != "list") return;
                         static Arena arena;
                         static const auto row = *json::parse(R"({"$ref":"#/components/schemas/Row"})", arena);
                         promises.component("PartialRow",
                                            R"({"type":"object","properties":{"of":{"$ref":"#/added/PartialRow"}}})",
                                            Promises::Use::response);
                         promises.in_pages(row, "PartialRow", "data", {{"more", R"({"type":"boolean"})"}});
                       }};
  EXPECT_EQ(made.at("/paths/~1rows/get/responses/200" + std::string(kJson)),
            R"({"$ref":"#/components/schemas/PartialPage"})");
  EXPECT_EQ(
      made.at("/components/schemas/PartialPage"),
      R"({"type":"object","properties":{"data":{"type":"array","items":{"$ref":"#/components/schemas/PartialRow"}},)"
      R"("more":{"type":"boolean"}},)"
      R"("required":["data"]})");
  EXPECT_EQ(made.at("/components/schemas/PartialRow/properties/of"), R"({"$ref":"#/components/schemas/PartialRow"})");
  EXPECT_EQ(made.at("/components/schemas/Page/required"), "nothing");
}

TEST(EffectiveDocument, DiscriminatorsLeadToWhatIsSeenInTheSameDirection) {
  const Effective made{R"(
components:
  schemas:
    Cat: {type: object, properties: {id: {type: integer, readOnly: true}, kind: {type: string}}}
    Dog: {type: object, properties: {id: {type: integer, readOnly: true}, kind: {type: string}}}
    Fish: {type: object, properties: {kind: {type: string}}}
    Pet:
      oneOf: [{$ref: '#/components/schemas/Cat'}, {$ref: '#/components/schemas/Dog'}, {$ref: '#/components/schemas/Fish'}]
      discriminator: {propertyName: kind, mapping: {woof: '#/components/schemas/Dog'}}
paths:
  /pets:
    post:
      operationId: add
      security: []
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Pet'}}}}
      responses: {'201': {description: made}}
)",
                       nothing};
  EXPECT_EQ(made.at("/components/schemas/PetRequest/discriminator/mapping"),
            R"({"woof":"#/components/schemas/DogRequest","Cat":"#/components/schemas/CatRequest"})");
  EXPECT_EQ(made.at("/components/schemas/Pet/discriminator/mapping"), R"({"woof":"#/components/schemas/Dog"})");
}

TEST(EffectiveDocument, CallersDoNotSeeExtensionsAndOperatorsDo) {
  EXPECT_FALSE(Effective(kRows, nothing).text().contains("x-plimsoll"));
  const Effective whole{kRows, nothing, true};
  EXPECT_EQ(whole.at("/x-plimsoll/table"), R"("rows")");
  EXPECT_EQ(whole.at("/paths/~1rows/post/x-plimsoll/table"), R"("rows")");
}

TEST(EffectiveDocument, TheSameContractGivesTheSameText) {
  EXPECT_EQ(Effective(kRows, nothing).text(), Effective(kRows, nothing).text());
}

}  // namespace
}  // namespace plimsoll::contract
