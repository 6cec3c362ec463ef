// Where the values in the SQL of a job come from: only authentication determines the caller.

#include "plimsoll/handler/job/sql_names.hpp"

#include "plimsoll/policy/authentication/jwt.hpp"
#include "plimsoll/testkit/api.hpp"

#include <gtest/gtest.h>
#include <map>
#include <random>
#include <thread>

namespace plimsoll::handler::job {
namespace {

using Segments = std::vector<std::string>;

TEST(NamedStatement, ReplacesNamesInTheirOrder) {
  auto read = named_statement("UPDATE t SET a = :body.a, b = :x WHERE id = :caller.claims.org AND :x <> '' -- :no");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->sql, "UPDATE t SET a = ?, b = ? WHERE id = ? AND ? <> '' -- :no");
  EXPECT_EQ(read->names, (std::vector<Segments>{{"body", "a"}, {"x"}, {"caller", "claims", "org"}, {"x"}}));
}

TEST(NamedStatement, QuotedSegmentsHoldAnyName) {
  auto read = named_statement(R"(SELECT :parameter."X-Shop", :body."a.b"."say ""hi""".c, :body.x.)");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->sql, "SELECT ?, ?, ?.");
  EXPECT_EQ(read->names,
            (std::vector<Segments>{{"parameter", "X-Shop"}, {"body", "a.b", "say \"hi\"", "c"}, {"body", "x"}}));
}

TEST(NamedStatement, LeavesTextsNamesCommentsAndCastsAlone) {
  for (auto* text : {"SELECT ':a', 'it''s :b', \":c\", `:d` -- :e\n FROM t", "SELECT 1 /* :a ? */", "SELECT x::text",
                     "SELECT ':never ends", "SELECT [a:b ? @c]", "SELECT a$b, a$1"}) {
    auto read = named_statement(text);
    ASSERT_TRUE(read) << text;
    EXPECT_EQ(read->sql, text);
    EXPECT_TRUE(read->names.empty()) << text;
  }
}

TEST(NamedStatement, RejectsEveryOtherKindOfParameter) {
  for (auto* text : {"SELECT ?", "SELECT ?1", "SELECT @subject", "SELECT $subject"})
    EXPECT_FALSE(named_statement(text)) << text;
}

TEST(NamedStatement, NeverReadsBeyondTheEnd) {
  for (std::string_view text :
       {"'", "\"", ":", "::", "-", "--", "/*", "'a''", ":a:", "/", ":a.", ":a.\"", ":a.\"\"", "["})
    EXPECT_TRUE(named_statement(text)) << text;
}

const std::string kSecret(32, 's');

std::string token(std::string_view subject, std::string_view tenant, const std::string& more = "") {
  const auto key = policy::Jwk::of_secret(kSecret).value();
  const auto expires = system_clock().wall() / kSecond + 600;
  return "Bearer " +
         policy::issue_jwt(key, R"({"sub":")" + std::string(subject) + R"(","tenant":")" + std::string(tenant) +
                                    R"(","aud":"shop","iss":"us","exp":)" + std::to_string(expires) + more + "}")
             .value();
}

const std::string kAuthentication = "authentication: {bearer: {issuer: us, audience: shop, secret: " + kSecret + "}}\n";

constexpr std::string_view kHead = R"(openapi: 3.1.0
info: {title: Jobs, version: '1'}
x-plimsoll: {authorization: any-caller, validate: {unknown-query: ignore}, rate-limit: off}
security: [{bearer: []}]
components:
  securitySchemes: {bearer: {type: http, scheme: bearer}}
paths:
)";

/// One operation that starts the job `purge`, whose SQL is `sql`.
class Purge {
 public:
  explicit Purge(const std::string& sql, const std::string& run = "purge")
      : api(std::string(kHead) + R"(
  /purges/{shop}:
    post:
      operationId: purge
      parameters:
        - {name: shop, in: path, required: true, schema: {type: string}}
        - {name: both, in: query, schema: {type: string}}
        - {name: twice, in: query, schema: {type: string}}
        - {name: twice, in: header, schema: {type: string}}
      requestBody:
        content:
          application/json:
            schema:
              allOf:
                - {type: object, properties: {subject: {type: string}, both: {type: string}}}
                - {properties: {inner: {properties: {leaf: {type: string}}}}}
      x-plimsoll: {job: purge}
      responses: {'202': {description: accepted}}
)",
            {"CREATE TABLE rows(owner_id TEXT, n INTEGER)",
             "INSERT INTO rows VALUES('ada', 1), ('ada', 2), ('cat', 3), ('cat', 4)"},
            {}, kAuthentication + "jobs: {" + run + ": {run: {sql: \"" + sql + "\"}}}\n") {}
  testkit::Api api;
};

TEST(SqlOfJobs, ABodyMemberNeverDeterminesTheCaller) {
  Purge purge("DELETE FROM rows WHERE owner_id = :caller.subject");
  ASSERT_TRUE(purge.api.instance) << purge.api.complaints;
  ASSERT_TRUE(purge.api.instance->start());
  const auto accepted = purge.api.client->post("/purges/s?subject=cat&caller.subject=cat",
                                               R"({"subject":"cat","caller":{"subject":"cat"},"caller.subject":"cat"})",
                                               {{"authorization", token("ada", "a")}});
  ASSERT_EQ(accepted.status, 202) << accepted.body;
  const auto deadline = system_clock().steady() + 60 * kSecond;
  const auto left = [&](const char* owner) {
    return std::get<std::int64_t>(
        purge.api.sql("SELECT count(*) FROM rows WHERE owner_id = ?", {std::string(owner)}).value()[0][0]);
  };
  while (left("ada") && system_clock().steady() < deadline) std::this_thread::yield();
  EXPECT_EQ(left("ada"), 0);
  EXPECT_EQ(left("cat"), 2);
}

TEST(SqlOfJobs, AStatementThatCannotRunStopsTheStart) {
  struct Case {
    const char *sql, *says;
  };
  for (auto [sql, says] : {
           Case{"SELEC 1", "syntax error"},
           Case{"DELETE FROM nowhere", "no such table: nowhere"},
           Case{"DELETE FROM rows WHERE colour = 1", "no such column: colour"},
           Case{"DELETE FROM rows; DELETE FROM rows", "more than one statement"},
           Case{"COMMIT", "one transaction"},
           Case{"DELETE FROM rows WHERE owner_id = :tenant", "`:tenant`"},
           Case{"DELETE FROM rows WHERE owner_id = :claims.x", "`:claims.x`"},
           Case{"DELETE FROM rows WHERE owner_id = :body.other", "`:body.other`"},
           Case{"DELETE FROM rows WHERE owner_id = :body.inner.other", "`:body.inner.other`"},
           Case{"DELETE FROM rows WHERE owner_id = :parameter.subject", "`:parameter.subject`"},
           Case{"DELETE FROM rows WHERE owner_id = :parameter.twice", "2 parameters"},
           Case{"DELETE FROM rows WHERE owner_id = :response.subject", "`:response.subject`"},
           Case{"DELETE FROM rows WHERE owner_id = :run.when", "`:run.when`"},
           Case{"DELETE FROM rows WHERE owner_id = :job_id", "`:job_id`"},
           Case{"DELETE FROM rows WHERE owner_id = :caller", "`:caller`"},
           Case{"DELETE FROM rows WHERE owner_id = :caller.name", "`:caller.name`"},
           Case{"DELETE FROM rows WHERE owner_id = :both", "`:body.both` and `:parameter.both`"},
           Case{"DELETE FROM rows WHERE owner_id = @subject", "`@`"},
       }) {
    Purge purge(sql);
    EXPECT_FALSE(purge.api.instance) << sql;
    EXPECT_NE(purge.api.complaints.find(says), std::string::npos) << sql << "\n" << purge.api.complaints;
    EXPECT_NE(purge.api.complaints.find("plimsoll.yaml:"), std::string::npos) << purge.api.complaints;
  }
  for (auto* sql :
       {"DELETE FROM rows WHERE owner_id = :subject", "DELETE FROM rows WHERE owner_id = :shop",
        "DELETE FROM rows WHERE owner_id IN (:body.inner.leaf, :body.both, :parameter.both, :run.job_id)"}) {
    Purge purge(sql);
    EXPECT_TRUE(purge.api.instance) << sql << "\n" << purge.api.complaints;
  }
}

TEST(SqlOfJobs, ATableOfTheContractExistsWhenItsJobsAreChecked) {
  const auto contract = std::string(kHead) + R"(
  /notes:
    post:
      operationId: addNote
      x-plimsoll: {table: notes, after: {job: count}}
      requestBody: {content: {application/json: {schema: {type: object, properties: {text: {type: string}}}}}}
      responses: {'201': {description: created}}
x-plimsoll:
  authorization: any-caller
  tables: {notes: {schema: {type: object, properties: {id: {type: integer, readOnly: true}, text: {type: string}}}}}
)";
  auto once = contract;  // the head has an `x-plimsoll` of its own
  const auto line = once.find("x-plimsoll: {authorization");
  once.erase(line, once.find('\n', line) + 1 - line);
  const auto with = [&](const std::string& sql) {
    return testkit::Api(once, {}, {}, kAuthentication + "jobs: {count: {run: {sql: \"" + sql + "\"}}}\n");
  };
  EXPECT_TRUE(with("UPDATE notes SET text = 'x' WHERE id = :response.id").instance);
  EXPECT_TRUE(with("UPDATE notes SET text = 'x' WHERE id = :id").instance);       // only the response has it
  EXPECT_FALSE(with("UPDATE notes SET text = 'x' WHERE text = :text").instance);  // the body and the response
}

/// Random SQL with names over every source, by random requests that put the names of other sources into their own. An
/// oracle that knows what each source was given tells what each name must be.
class Sources {
 public:
  explicit Sources(unsigned seed) : random_(seed) {}

  void run(int kinds) {
    std::string paths, jobs = "jobs:\n";
    for (int i = 0; i < kinds; ++i) add(std::to_string(i), paths, jobs);
    testkit::Api api(std::string(kHead) + paths, {"CREATE TABLE seen(job TEXT, place INTEGER, value ANY)"}, {},
                     kAuthentication + jobs);
    ASSERT_TRUE(api.instance) << api.complaints << paths << jobs;
    ASSERT_TRUE(api.instance->start());
    std::map<std::string, std::vector<std::string>> expected;
    for (int i = 0; i < kinds; ++i) {
      const auto& kind = kinds_[static_cast<std::size_t>(i)];
      const auto claims = R"(,"subject":"claim-subject","tenant_id":"claim-tenant","org":"claim-org")";
      const auto answer = api.client->post("/k" + std::to_string(i) + kind.query, kind.body,
                                           {{"authorization", token("who-" + std::to_string(i), "where", claims)}});
      ASSERT_EQ(answer.status, 202) << answer.body << kind.body << kind.query;
      auto& values = expected[testkit::member(answer.body, "job_id")];
      for (auto& value : kind.values) values.push_back(value == "$subject" ? "who-" + std::to_string(i) : value);
    }
    std::map<std::string, std::vector<std::string>> seen;
    const auto deadline = system_clock().steady() + 60 * kSecond;
    while (seen.size() < expected.size() && system_clock().steady() < deadline) {
      std::this_thread::yield();
      seen.clear();
      const auto rows = api.sql("SELECT job, coalesce(value, 'NULL') FROM seen ORDER BY job, place").value();
      for (auto& row : rows) seen[std::get<std::string>(row[0])].push_back(std::get<std::string>(row[1]));
    }
    EXPECT_EQ(seen, expected) << jobs;
  }

 private:
  struct Kind {
    std::string body, query;
    std::vector<std::string> values;
  };
  int pick(std::size_t n) { return static_cast<int>(random_() % n); }
  bool coin() { return random_() % 2; }

  void add(const std::string& kind, std::string& paths, std::string& jobs) {
    static const Segments kNames{"subject", "tenant", "caller",         "claims", "body",      "run",
                                 "job_id",  "X-Shop", "caller.subject", "org",    "parameter", "kind"};
    std::map<std::string, std::string> body, parameters;
    for (auto& name : kNames) {
      if (coin()) body[name] = "body-" + name + kind;
      if (coin()) parameters[name] = "parameter-" + name + kind;
    }
    const auto quoted = [](const std::string& name) { return "'" + name + "'"; };
    paths += "  /k" + kind + ":\n    post:\n      operationId: k" + kind + "\n      x-plimsoll: {job: k" + kind +
             "}\n      parameters:\n        - {name: ignored, in: query, schema: {type: string}}\n";
    Kind made{.body = "{", .query = "?ignored=x", .values = {}};
    for (auto& [name, value] : parameters) {
      paths += "        - {name: " + quoted(name) + ", in: query, schema: {type: string}}\n";
      made.query += "&" + name + "=" + value;
    }
    paths += "      requestBody: {content: {application/json: {schema: {type: object, properties: {other: {}";
    made.body += R"("other":1)";
    for (auto& [name, value] : body) {
      paths += ", " + quoted(name) + ": {type: string}";
      made.body += ",\"" + name + "\":\"" + value + '"';
    }
    paths += "}}}}}\n      responses: {'202': {description: accepted}}\n";
    // What the contract does not declare is sent as well: it must have no effect.
    for (auto& name : kNames) {
      if (!body.contains(name)) made.body += ",\"" + name + R"(":{"subject":"foreign","claims":{"org":"foreign"}})";
      if (!parameters.contains(name)) made.query += "&" + name + "=foreign";
    }
    made.body += "}";

    std::vector<std::pair<std::string, std::string>> usable{
        {":caller.subject", "$subject"},     {":caller.tenant", "where"},
        {":caller.claims.org", "claim-org"}, {":caller.claims.subject", "claim-subject"},
        {":caller.claims.missing", "NULL"},  {":run.kind", "k" + kind}};
    const auto plain = [](const std::string& name) { return name.find_first_of(".-") == std::string::npos; };
    for (auto& name : kNames) {
      const auto segment = plain(name) && coin() ? name : "\"" + name + "\"";
      if (body.contains(name)) usable.emplace_back(":body." + segment, body[name]);
      if (parameters.contains(name)) usable.emplace_back(":parameter." + segment, parameters[name]);
      if (plain(name) && body.contains(name) != parameters.contains(name))
        usable.emplace_back(":" + name, body.contains(name) ? body[name] : parameters[name]);
    }
    static const Segments kNoise{" ", "\n          ", " /* :caller.subject ? */ ", " -- :body.x @y\n          "};
    std::string sql = "INSERT INTO seen(job, place, value)";
    const int many = 1 + pick(8);
    for (int place = 0; place < many; ++place) {
      const auto& [name, value] = usable[static_cast<std::size_t>(pick(usable.size()))];
      sql += kNoise[static_cast<std::size_t>(pick(kNoise.size()))] + (place ? "UNION ALL " : "") +
             "SELECT :run.job_id, " + std::to_string(place) + ", " + name +
             kNoise[static_cast<std::size_t>(pick(kNoise.size()))] + (coin() ? "WHERE ':tenant' <> 'it''s :org'" : "");
      made.values.push_back(value);
    }
    jobs += "  k" + kind + ":\n    run:\n      sql: |\n          " + sql + "\n";
    kinds_.push_back(std::move(made));
  }

  std::mt19937 random_;
  std::vector<Kind> kinds_;
};

TEST(SqlOfJobs, EveryNameHasTheValueOfItsOwnSourceOnly) {
  const auto* given = std::getenv("PLIMSOLL_SEED");
  const auto seed = given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
  SCOPED_TRACE("PLIMSOLL_SEED=" + std::to_string(seed));
  const bool torture = std::getenv("PLIMSOLL_TORTURE") != nullptr;
  for (unsigned round = 0; round < (torture ? 50u : 1u); ++round) Sources(seed + round).run(25);
}

}  // namespace
}  // namespace plimsoll::handler::job
