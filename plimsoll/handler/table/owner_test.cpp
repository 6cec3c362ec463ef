#include "plimsoll/async/loop.hpp"
#include "plimsoll/database/sqlite.hpp"
#include "plimsoll/database/test_folder.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/handling.hpp"
#include "plimsoll/exchange/problem_document.hpp"
#include "plimsoll/handler/table/value.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"

#include "plimsoll/policy/authentication/jwt.hpp"
#include "plimsoll/testkit/api.hpp"

#include <gtest/gtest.h>
#include <fstream>

namespace plimsoll::handler {
extern const Handling table;
}

namespace plimsoll::table {
namespace {

constexpr auto kNotes = R"(openapi: 3.1.0
info: {title: Notes, version: 1.0.0}
security: [{key: []}]
x-plimsoll:
  tables:
    notes:
      schema: '#/components/schemas/Note'
      owner: {column: author, except-roles: [support]}
      tenant: firm
      filters: {author: eq}
      embeds: {lines: {table: lines, by: note_id}}
    lines:
      schema: '#/components/schemas/Line'
      owner: author
components:
  securitySchemes: {key: {type: apiKey, in: header, name: x-key}}
  schemas:
    Note:
      type: object
      required: [id, author, firm, text]
      properties:
        id: {type: integer, readOnly: true}
        author: {type: string}
        firm: {type: string}
        text: {type: string}
    Line:
      type: object
      required: [id, note_id, author]
      properties:
        id: {type: integer, readOnly: true}
        note_id: {type: integer}
        author: {type: string}
paths:
  /notes:
    get: {operationId: list, x-plimsoll: {table: notes}, responses: {'200': {description: ok}}}
    post:
      operationId: create
      x-plimsoll: {table: notes}
      requestBody: {content: {application/json: {schema: {type: object}}}}
      responses: {'201': {description: made}}
  /notes/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    get: {operationId: read, x-plimsoll: {table: notes}, responses: {'200': {description: ok}}}
    patch:
      operationId: update
      x-plimsoll: {table: notes}
      requestBody: {content: {application/json: {schema: {type: object}}}}
      responses: {'200': {description: ok}}
    put:
      operationId: replace
      x-plimsoll: {table: notes}
      requestBody: {content: {application/json: {schema: {type: object}}}}
      responses: {'200': {description: ok}}
    delete: {operationId: remove, x-plimsoll: {table: notes}, responses: {'204': {description: gone}}}
  /notes/batch:
    post:
      operationId: removeMany
      x-plimsoll: {table: notes, batch: {delete: {max: 10}}}
      requestBody: {content: {application/json: {schema: {type: array}}}}
      responses: {'204': {description: gone}}
)";

/// Calls handlers as the chain would, with a caller that authentication has vouched for.
class Owners : public testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(folder / "notes.yaml") << text();
    const config::Key* keys[] = {&handler::table.key, &handler::table.more_keys[0], &handler::table.more_keys[1]};
    contract::LoadOptions options{.file = folder / "notes.yaml", .keys = keys};
    options.augment.emplace_back(handler::table.augment);
    auto loaded = contract::load(options);
    ASSERT_TRUE(loaded) << to_string(loaded.error()[0]);
    contract = *loaded;
    auto opened = database::open_sqlite({.path = folder / "notes.db"});
    ASSERT_TRUE(opened);
    database = std::move(*opened);
    services.database = database.get();
    contract::Complaints complaints;
    handler::table.prepare(*contract, services, complaints);
    for (auto& complaint : complaints) ADD_FAILURE() << to_string(complaint);
    for (auto& operation : contract->operations) {
      auto made = handler::table.build(*operation.extension("table"), {*contract, operation, services});
      ASSERT_TRUE(made) << made.error().detail;
      handlers[operation.id] = std::move(*made);
    }
  }
  virtual std::string text() const { return kNotes; }
  struct Told {
    std::uint16_t status;
    std::string body;
  };
  Told ask(const Principal* who, const std::string& id, const std::string& row = {}, const std::string& body = {},
           const std::string& embed = {}) {
    Loop loop;
    Scope scope;
    Told told{};
    auto work = [&]() -> Task<> {
      Arena arena;
      Context context{arena, loop, services};
      context.operation = contract->find(id);
      context.path = "/notes";
      context.principal = who;
      const std::string_view values[] = {row};
      if (!row.empty()) context.path_values = values;
      auto parsed = body.empty() ? Result<json::Value>{json::Value{}} : json::parse(body, arena);
      if (!body.empty()) context.input.body = &*parsed;
      std::vector<const json::Value*> parameters(context.operation->parameters.size());
      const auto embedded = json::Value::of(std::string_view(embed));
      for (std::size_t i = 0; i < parameters.size(); ++i)
        if (!embed.empty() && context.operation->parameters[i].name == "embed") parameters[i] = &embedded;
      context.input.parameters = parameters;
      Request request{.method = context.operation->method, .headers = Headers{arena}};
      auto answer = co_await handlers[id]->handle(request, context);
      if (!answer) answer = problem_document(answer.error(), context);
      told.status = answer->status;
      if (auto* text = std::get_if<std::string_view>(&answer->body)) told.body = *text;
    };
    loop.spawn(scope, work());
    loop.run();
    return told;
  }

  database::TestFolder folder;
  std::shared_ptr<const contract::Contract> contract;
  std::unique_ptr<database::Database> database;
  Services services;
  std::map<std::string, std::unique_ptr<Handler>> handlers;
  const std::string_view support[1] = {"support"};
  const Principal ada{.subject = "ada", .scheme = "key", .tenant = "acme"};
  const Principal bob{.subject = "bob", .scheme = "key", .tenant = "acme"};
  const Principal helper{.subject = "sue", .scheme = "key", .tenant = "acme", .roles = support};
  const Principal elsewhere{.subject = "ada", .scheme = "key", .tenant = "other"};
  const Principal homeless{.subject = "ada", .scheme = "key"};
};

TEST_F(Owners, ANewRowBelongsToItsMaker) {
  const auto made = ask(&ada, "create", {}, R"({"text":"mine"})");
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.body, R"({"id":1,"author":"ada","firm":"acme","text":"mine"})");
  EXPECT_EQ(ask(&ada, "create", {}, R"({"text":"his","author":"bob"})").status, 422);
  EXPECT_EQ(ask(&ada, "create", {}, R"({"text":"theirs","firm":"other"})").status, 422);
  EXPECT_EQ(ask(&helper, "create", {}, R"({"text":"for bob","author":"bob"})").status, 201);
}

TEST_F(Owners, ACallerThatCannotOwnARowGetsTheReason) {
  const auto refused = ask(&homeless, "create", {}, R"({"text":"mine"})");
  EXPECT_EQ(refused.status, 422);
  EXPECT_NE(refused.body.find(
                R"("pointer":"/firm","keyword":"const","message":"you have no tenant: your token or key names none")"),
            std::string::npos)
      << refused.body;
}

TEST_F(Owners, AnothersRowDoesNotExist) {
  ASSERT_EQ(ask(&ada, "create", {}, R"({"text":"mine"})").status, 201);
  for (auto* who : {&bob, &elsewhere, &homeless}) {
    EXPECT_EQ(ask(who, "read", "1").status, 404);
    EXPECT_EQ(ask(who, "update", "1", R"({"text":"stolen"})").status, 404);
    EXPECT_EQ(ask(who, "replace", "1", R"({"text":"stolen"})").status, 404);
    EXPECT_EQ(ask(who, "remove", "1").status, 404);
    EXPECT_EQ(ask(who, "removeMany", {}, "[1]").status, 404);
    EXPECT_NE(ask(who, "list").body.find(R"("data":[])"), std::string::npos);
  }
  EXPECT_EQ(ask(&ada, "read", "1").status, 200);
  EXPECT_EQ(ask(&helper, "read", "1").status, 200);
  EXPECT_EQ(ask(&ada, "update", "1", R"({"author":"bob"})").status, 422);  // nor is a row given away
  EXPECT_EQ(ask(&ada, "update", "1", R"({"text":"changed"})").status, 200);
  EXPECT_EQ(ask(&ada, "remove", "1").status, 204);
}

/// Their owner is a member that the schema says clients do not write.
class ReadOnlyOwners : public Owners {
  std::string text() const override {
    std::string notes = kNotes;
    constexpr std::string_view kAuthor = "author: {type: string}";
    notes.replace(notes.find(kAuthor), kAuthor.size(), "author: {type: string, readOnly: true}");
    return notes;
  }
};

TEST_F(ReadOnlyOwners, ExceptRolesGiveRowsToOthersAndNoOtherCallerDoes) {
  ASSERT_EQ(ask(&ada, "create", {}, R"({"text":"mine"})").status, 201);
  const auto author = [&] {
    const auto body = ask(&helper, "read", "1").body;
    return body.substr(body.find("\"author\""), 14);
  };
  ask(&ada, "update", "1", R"({"author":"bob","text":"given"})");
  EXPECT_EQ(author(), R"("author":"ada")");
  EXPECT_EQ(ask(&helper, "update", "1", R"({"author":"bob"})").status, 200);
  EXPECT_EQ(author(), R"("author":"bob")");
  EXPECT_EQ(ask(&ada, "read", "1").status, 404);
  const auto made = ask(&helper, "create", {}, R"({"text":"for bob","author":"bob"})");
  EXPECT_EQ(made.status, 201);
  EXPECT_NE(made.body.find(R"("author":"bob")"), std::string::npos) << made.body;
  EXPECT_EQ(ask(&helper, "remove", "1").status, 204);
}

TEST_F(Owners, AnEmbeddedTableShowsOnlyWhatItsOwnOwnersAllow) {
  ASSERT_EQ(ask(&ada, "create", {}, R"({"text":"mine"})").status, 201);
  auto put = database::wait_for([&](Loop& loop) -> Task<Result<>> {
    auto done = co_await database->write(loop, [](database::Session& session) -> Task<Result<>> {
      auto made = co_await session.script("INSERT INTO lines(note_id,author) VALUES(1,'ada'),(1,'bob')");
      co_return made;
    });
    co_return done;
  });
  ASSERT_TRUE(put);
  const auto lines = [&](const Principal& who) {
    const auto body = ask(&who, "read", "1", {}, "lines").body;
    return body.substr(std::min(body.find("\"lines\""), body.size()));
  };
  EXPECT_EQ(lines(ada), R"("lines":[{"id":1,"note_id":1,"author":"ada"}]})");
  EXPECT_EQ(lines(helper), R"("lines":[]})");  // support sees all notes, which says nothing of lines
}

TEST(CallerCell, TheExactTextOfAClaimIsTheCaller) {
  const Column integer{{.name = "owner_id", .kind = Kind::integer}}, text{{.name = "owner", .kind = Kind::text}},
      number{{.name = "n", .kind = Kind::number}};
  EXPECT_EQ(caller_cell(integer, "1"), database::Cell{std::int64_t{1}});
  EXPECT_EQ(caller_cell(integer, "-7"), database::Cell{std::int64_t{-7}});
  EXPECT_EQ(caller_cell(text, "01"), database::Cell{std::string("01")});
  for (auto* other : {"01", "+1", " 1", "1 ", "1.0", "1e0", "-0", "0x1", "1\n", "١", ""})
    EXPECT_FALSE(caller_cell(integer, other)) << other;
  EXPECT_NE(caller_cell(number, "1"), caller_cell(number, "1.0"));
}

TEST(CallerCell, CallersWhoDifferOnlyInTheSpellingOfANumberOrInCaseAreTwo) {
  testkit::Api api(R"(openapi: 3.1.0
info: {title: Notes, version: '1'}
security: [{bearer: []}]
components:
  securitySchemes: {bearer: {type: http, scheme: bearer}}
  schemas:
    Note: {type: object, properties: {id: {type: integer, readOnly: true}, owner_id: {type: integer, readOnly: true}}}
    Memo: {type: object, required: [owner], properties: {id: {type: integer, readOnly: true}, owner: {type: string, readOnly: true}}}
x-plimsoll:
  tables:
    notes: {schema: '#/components/schemas/Note', owner: owner_id}
    memos: {schema: '#/components/schemas/Memo', owner: owner}
paths:
  /notes:
    get: {operationId: listNotes, x-plimsoll: {table: notes}, responses: {'200': {description: ok}}}
    post:
      operationId: addNote
      x-plimsoll: {table: notes, authorization: any-caller}
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Note'}}}}
      responses: {'201': {description: ok}}
  /memos:
    get: {operationId: listMemos, x-plimsoll: {table: memos}, responses: {'200': {description: ok}}}
)",
                   {"CREATE TABLE memos(id INTEGER PRIMARY KEY, owner TEXT NOT NULL COLLATE NOCASE)",
                    "INSERT INTO memos(owner) VALUES('ada')", "CREATE INDEX memos_owner ON memos(owner)"},
                   {},
                   "authentication: {bearer: {issuer: us, audience: notes, secret: " + std::string(32, 's') + "}}\n");
  ASSERT_TRUE(api.instance) << api.complaints;
  const auto token = [](const std::string& subject) -> testkit::HeaderList {
    const auto key = policy::Jwk::of_secret(std::string(32, 's')).value();
    const auto expires = std::to_string(system_clock().wall() / kSecond + 600);
    return {{"authorization", "Bearer " + policy::issue_jwt(key, R"({"iss":"us","aud":"notes","sub":")" + subject +
                                                                     R"(","exp":)" + expires + "}")
                                              .value()}};
  };
  EXPECT_EQ(api.client->post("/notes", "{}", token("1")).status, 201);
  EXPECT_EQ(api.client->post("/notes", "{}", token("01")).status, 422);
  EXPECT_TRUE(api.client->get("/notes", token("1")).body.contains(R"("owner_id":1)"));
  for (auto* other : {"01", "+1", "1.0", "2"})
    EXPECT_TRUE(api.client->get("/notes", token(other)).body.contains(R"("data":[])")) << other;
  EXPECT_TRUE(api.client->get("/memos", token("ada")).body.contains(R"("owner":"ada")"));
  EXPECT_TRUE(api.client->get("/memos", token("ADA")).body.contains(R"("data":[])"));
}

/// Two tokens of one subject and tenant, of which one has a role more (and no scope more), ask a cached operation in
/// turns. Each asks first once, so that each fills the cache for the other if anything does. What contains `secret` is
/// for the role alone; the other one gets `without`.
void role_stays_apart(const std::string& rows, std::initializer_list<const char*> targets, std::string_view secret,
                      std::initializer_list<int> without) {
  testkit::Api api(R"(openapi: 3.1.0
info: {title: Notes, version: '1'}
security: [{bearer: []}]
components:
  securitySchemes: {bearer: {type: http, scheme: bearer}}
  schemas:
    Note: {type: object, properties: {id: {type: integer}, owner: {type: string}, tenant: {type: string}}}
    Line: {type: object, properties: {id: {type: integer}, note_id: {type: integer}, text: {type: string}}}
)" + rows,
                   {"CREATE TABLE notes(id INTEGER PRIMARY KEY NOT NULL, owner TEXT, tenant TEXT)",
                    "INSERT INTO notes VALUES(1,'ada','t'),(2,'bob','t'),(3,'ada','u'),(4,'bob','u')",
                    "CREATE TABLE lines(id INTEGER PRIMARY KEY NOT NULL, note_id INTEGER, text TEXT)",
                    "INSERT INTO lines VALUES(1,1,'inside')"},
                   {},
                   "roles: {support: []}\nauthentication: {bearer: {issuer: us, audience: notes, secret: " +
                       std::string(32, 's') + "}}\n");
  ASSERT_TRUE(api.instance) << api.complaints;
  const auto token = [](const std::string& roles) -> testkit::HeaderList {
    const auto key = policy::Jwk::of_secret(std::string(32, 's')).value();
    const auto expires = std::to_string(system_clock().wall() / kSecond + 600);
    return {{"authorization",
             "Bearer " + policy::issue_jwt(
                             key, R"({"iss":"us","aud":"notes","sub":"ada","tenant":"t","scope":"some","roles":)" +
                                      roles + R"(,"exp":)" + expires + "}")
                             .value()}};
  };
  const auto plain = token("[]"), support = token(R"(["support"])");
  for (const bool support_first : {false, true}) {
    ASSERT_TRUE(api.start());  // nothing is cached
    auto refused = without.begin();
    for (auto* target : targets) {
      for (int round = 0; round < 4; ++round) {
        const bool is_support = (round % 2 == 0) == support_first;
        const auto said = api.client->get(target, is_support ? support : plain);
        SCOPED_TRACE(std::string(target) + (is_support ? " support " : " plain ") + std::to_string(round));
        EXPECT_EQ(said.status, is_support ? 200 : *refused) << said.body;
        EXPECT_EQ(said.body.contains(secret), is_support) << said.body;
        if (said.status == 200 && round >= 2)
          EXPECT_TRUE(said.header("cache-status").contains("; hit")) << "not from the cache: nothing is shown";
      }
      ++refused;
    }
  }
}

TEST(CachedRows, WhatExceptRolesShowsReachesNobodyOfTheSameNameWithoutTheRole) {
  role_stays_apart(R"(
x-plimsoll:
  rate-limit: off
  tables: {notes: {schema: '#/components/schemas/Note', owner: {column: owner, except-roles: [support]}, tenant: tenant}}
paths:
  /notes:
    get: {operationId: listNotes, x-plimsoll: {table: notes, cache: 5m}, responses: {'200': {description: ok}}}
  /notes/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    get: {operationId: readNote, x-plimsoll: {table: notes, cache: 5m}, responses: {'200': {description: ok}}}
)",
                   {"/notes?fields=owner", "/notes?count=exact", "/notes/2"}, "bob", {200, 200, 404});
}

TEST(CachedRows, WhatAnEmbedShowsToARoleReachesNobodyOfTheSameNameWithoutIt) {
  role_stays_apart(R"(
x-plimsoll:
  rate-limit: off
  tables:
    notes: {schema: '#/components/schemas/Note', embeds: {lines: {table: lines, by: note_id}}}
    lines: {schema: '#/components/schemas/Line'}
paths:
  /notes:
    get: {operationId: listNotes, x-plimsoll: {table: notes, cache: 5m}, responses: {'200': {description: ok}}}
  /lines:
    get:
      operationId: listLines
      x-plimsoll: {table: lines, authorization: {roles: [support]}}
      responses: {'200': {description: ok}}
)",
                   {"/notes?embed=lines", "/notes?fields=lines(text)&limit=1"}, "inside", {403, 403});
}

TEST_F(Owners, WithoutACallerNothingIsServed) {
  for (auto* id : {"list", "read", "remove"})
    EXPECT_EQ(ask(nullptr, id, std::string_view(id) == "list" ? "" : "1").status, 500);
}

TEST_F(Owners, WhatAnAnswerDependsOnIsSaid) {
  const auto audience = handlers["list"]->audience();
  EXPECT_TRUE(audience.subject && audience.tenant && audience.grants);
  EXPECT_FALSE(audience.claims);
}

}  // namespace
}  // namespace plimsoll::table
