// Only authentication determines the caller, and nothing of one caller reaches another: two random callers send random
// requests through every operation of generated contracts, with caches on. The same data is served twice, once with the
// requests of both and once with those of the second caller only. No byte of a response to the second may differ, and
// no mark of the first (its credentials, its undeclared input, rows that the second may not read) may occur in one,
// however it is encoded. The jobs of both write down whom they ran for.

#include "plimsoll/policy/authentication/api_key.hpp"
#include "plimsoll/policy/authentication/jwt.hpp"
#include "plimsoll/testkit/api.hpp"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>
#include <atomic>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <thread>

namespace plimsoll::testkit {
namespace {

struct HandClock final : Clock {
  Nanoseconds steady() const override { return now; }
  Nanoseconds wall() const override { return now + 1'700'000'000 * kSecond; }
  std::atomic<Nanoseconds> now = 3600 * kSecond;  // jobs run on a thread of their own
};

/// What makes two callers easily taken for one.
enum class Kinship : std::uint8_t {
  none,
  equal_subjects,  ///< in different tenants
  equal_numbers,   ///< the second is the same number as the first, written otherwise
  kNumber
};

const std::string kSecret(32, 's');

/// Somebody who sends requests, with a credential for each scheme.
struct Caller {
  std::string mark;  ///< only in what this caller alone sends
  std::string subject, tenant, role;
  std::string token, key;
  bool owns_integers() const { return subject == "1" || subject == "7"; }
};

struct TableRules {
  std::string name, owner, tenant;  ///< names of columns; empty: none
  bool integer_owner = false, except = false;
  bool text_key = false;  ///< made by the server, so that rows of one caller do not move those of the other
  bool open = false;      ///< rows that nobody changes and everybody reads, more than a page holds

  /// Whether `reader` may read the rows of `other`.
  bool shows(const Caller& other, const Caller& reader) const {
    if (!tenant.empty() && other.tenant != reader.tenant) return false;
    return owner.empty() || other.subject == reader.subject || (except && reader.role == "support");
  }
};

struct OperationRules {
  std::string id, method, path;
  std::vector<std::string> schemes;  ///< alternatives; `{}` is one
  std::optional<std::size_t> table;
  bool batch = false;
};

struct Sent {
  std::string method, target, body;
  HeaderList headers;
  bool known = false;     ///< it carries a valid credential
  bool in_query = false;  ///< one is in the query
  bool own_ids = false;   ///< its response has random ids, and an entity tag made from them
};

/// What a faulty server would do, so that the checks can be seen to report it.
struct Defect {
  std::string reported;                                       ///< part of the failure
  std::function<void(Answer&, const Caller& first)> answer;   ///< spoils a response to the second caller
  std::function<std::string(const Caller& first)> statement;  ///< SQL that spoils what the jobs wrote
};

class World {
 public:
  explicit World(unsigned seed, Defect defect = {})
      : defect_(std::move(defect)),
        random_(seed),
        kinship_(static_cast<Kinship>(seed % static_cast<unsigned>(Kinship::kNumber))) {}

  void run(int steps) {
    callers_[0] = caller("ALPHA"), callers_[1] = caller("BRAVO");
    related();
    const auto text = contract();
    SCOPED_TRACE("A " + show(callers_[0]) + ", B " + show(callers_[1]) + "\n" + text);
    Api origin(text, {"CREATE TABLE ran(job TEXT, subject TEXT, tenant TEXT, claim TEXT, said TEXT)"}, {}, deployment(),
               &clock_);
    ASSERT_TRUE(origin.instance) << origin.complaints;
    for (auto& who : callers_) credentials(origin, who);
    rows(origin);
    origin.stop();
    Api both(origin, &clock_), alone(origin, &clock_);
    ASSERT_TRUE(both.instance && alone.instance) << both.complaints;
    for (int step = 0; step < steps; ++step) {
      clock_.now += kSecond;
      for (auto n = pick(3); n > 0; --n) noise(both, request(callers_[0], true));
      auto sent = request(callers_[1], false);
      if (chance(4)) {
        auto [before, after] = alike();
        noise(both, before);
        sent = std::move(after);
      }
      check(both, alone, sent);
      if (testing::Test::HasFatalFailure()) FAIL() << "after " << requests_ << " requests of this seed";
    }
    ran(both, 0);
    ran(alone, 1);
    // Nor does the second caller learn of jobs of the first that have run.
    for (const auto& [id, who] : asked_[0])
      if (who == &callers_[0])
        for (const auto* part : {"/status", "/result"}) {
          auto sent = request(callers_[1], false);
          sent.method = "GET", sent.target = "/v1/work/" + id + part, sent.body.clear();
          check(both, alone, sent);
          if (testing::Test::HasFatalFailure()) FAIL() << "after " << requests_ << " requests of this seed";
        }
  }

  std::map<int, int> statuses;
  int jobs = 0;

 private:
  void related() {
    auto& [a, b] = callers_;
    if (kinship_ == Kinship::equal_numbers) {
      a.subject = "1", b.subject = "01";
      if (chance(2)) std::swap(a.subject, b.subject);
      a.tenant = b.tenant = chance(2) ? "acme" : "umbra";
    }
    if (kinship_ == Kinship::equal_subjects || (kinship_ == Kinship::none && chance(4))) b.subject = a.subject;
    if (kinship_ == Kinship::equal_subjects) a.role = "support", b.role = chance(2) ? "" : "reader";
    if (a.subject == b.subject && a.tenant == b.tenant) b.tenant = "other-" + a.tenant;  // they would be one caller
  }

  void noise(Api& both, const Sent& sent) {
    ++requests_;
    const auto answer = both.client->request(sent.method, sent.target, sent.headers, sent.body);
    started(0, callers_[0], answer);
    if (const auto link = std::string(answer.header("link")); link.starts_with("<"))
      theirs_[link.substr(1, link.find('?') - 1)] = link.substr(1, link.find('>') - 1);
    if (const auto location = answer.header("location"); !location.empty() && answer.status == 201)
      theirs_["row"] = location.substr(location.rfind('/') + 1);
  }

  void check(Api& both, Api& alone, const Sent& sent) {
    auto first = both.client->request(sent.method, sent.target, sent.headers, sent.body);
    if (defect_.answer) defect_.answer(first, callers_[0]);
    const auto second = alone.client->request(sent.method, sent.target, sent.headers, sent.body);
    ++requests_;
    ++statuses[first.status];
    const auto whole = raw(first), plain = decoded(whole);
    for (auto& mark : marks_)
      ASSERT_TRUE(!whole.contains(mark) && !plain.contains(mark) && !decoded(plain).contains(mark))
          << mark << " in the response to " << sent.method << " " << sent.target << "\n"
          << whole;
    ASSERT_EQ(transcript(first, sent, names_[0]), transcript(second, sent, names_[1]))
        << sent.method << " " << sent.target << " " << sent.body;
    started(0, callers_[1], first);
    started(1, callers_[1], second);
    if (const auto link = std::string(first.header("link")); link.starts_with("<"))
      links_[link.substr(1, link.find('?') - 1)] = link.substr(1, link.find('>') - 1);
  }

  /// Remembers whose job the response tells of.
  void started(int world, const Caller& who, const Answer& answer) {
    if (answer.status != 202) return;
    const auto id = member(answer.body, "job_id");
    ASSERT_FALSE(id.empty()) << answer.body;
    const auto [known, fresh] = asked_[world].try_emplace(id, &who);
    ASSERT_EQ(known->second, &who) << "the job of " << known->second->mark << " was told to " << who.mark;
    if (&who == &callers_[0]) theirs_["job"] = id;
  }

  /// Each job ran once, for the caller who asked for it, whatever its request said.
  void ran(Api& api, int world) {
    ASSERT_TRUE(api.instance->start());  // the jobs waited until now, so that nothing depends on when they run
    const auto deadline = system_clock().steady() + 60 * kSecond;
    const auto& asked = asked_[world];
    for (;;) {
      const auto waiting =
          api.sql("SELECT count(*) FROM plimsoll_jobs WHERE state NOT IN ('completed','cancelled','dead')");
      ASSERT_TRUE(waiting);
      if (waiting->at(0).at(0) == database::Cell{std::int64_t{0}}) break;
      ASSERT_LT(system_clock().steady(), deadline) << "the jobs do not end";
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    if (defect_.statement) ASSERT_TRUE(api.sql(defect_.statement(callers_[0])));
    const auto written = api.sql("SELECT job, subject, tenant, claim FROM ran");
    ASSERT_TRUE(written);
    EXPECT_EQ(written->size(), asked.size());
    for (const auto& row : *written) {
      const auto found = asked.find(std::get<std::string>(row[0]));
      ASSERT_NE(found, asked.end());
      const auto& who = *found->second;
      EXPECT_EQ(row[1], database::Cell{who.subject}) << "the job of " << who.mark;
      EXPECT_EQ(row[2], who.tenant.empty() ? database::Cell{} : database::Cell{who.tenant})
          << "the job of " << who.mark;
      EXPECT_TRUE(row[3] == database::Cell{} || row[3] == database::Cell{who.mark}) << "the job of " << who.mark;
    }
    jobs += static_cast<int>(written->size());
  }

  std::size_t pick(std::size_t n) { return random_() % n; }
  bool chance(std::size_t one_in) { return pick(one_in) == 0; }
  template <class T>
  const T& one(const std::vector<T>& of) {
    return of[pick(of.size())];
  }

  Caller caller(const std::string& mark) {
    static const std::vector<std::string> kSubjects{"1", "01", "7", "ada", "ADA"}, kTenants{"", "acme", "umbra"},
        kRoles{"", "support", "reader"};
    return {
        .mark = mark, .subject = one(kSubjects), .tenant = one(kTenants), .role = one(kRoles), .token = {}, .key = {}};
  }
  static std::string show(const Caller& who) {
    return "{" + who.subject + ", tenant " + who.tenant + ", role " + who.role + "}";
  }
  static std::string deployment() {
    return "authentication: {bearer: {issuer: us, audience: world, secret: " + kSecret +
           "}}\nroles: {support: [read], reader: [read]}\njobs: {work: {run: {sql: 'INSERT INTO ran "
           "VALUES(:run.job_id, :caller.subject, :caller.tenant, :caller.claims.jti, :body.subject)'}}}\n";
  }

  std::string security(OperationRules& operation, bool anybody) {
    if (operation.table && tables_[*operation.table].open) {
      operation.schemes = {"query", ""};
      return "[{query: []}, {}]";
    }
    static const std::vector<std::string> kSchemes{"bearer", "header", "query", "cookie"};
    std::string text = "[";
    for (auto n = 1 + pick(3); n > 0; --n) {
      const auto& scheme = one(kSchemes);
      if (std::ranges::find(operation.schemes, scheme) != operation.schemes.end()) continue;
      operation.schemes.push_back(scheme);
      text += (text.size() > 1 ? ", {" : "{") + scheme + (chance(4) ? ": [read]}" : ": []}");
    }
    if (anybody && chance(3)) {
      text += ", {}";
      operation.schemes.emplace_back();
    }
    return text + "]";
  }

  std::string contract() {
    std::string schemas, tables, paths;
    const auto& [a, b] = callers_;
    const auto many = 1 + pick(3);
    for (std::size_t i = 0; i < many; ++i) {
      TableRules rules{.name = "t" + std::to_string(i), .owner = {}, .tenant = {}};
      if (chance(2)) rules.owner = "owner", rules.integer_owner = chance(2), rules.except = chance(3);
      if (chance(2)) rules.tenant = "tenant";
      if (i == 0 && kinship_ == Kinship::equal_numbers)
        rules.owner = "owner", rules.integer_owner = true, rules.except = false;
      if (i == 0 && kinship_ == Kinship::equal_subjects)  // only what their roles allow differs
        rules.owner = "owner", rules.integer_owner = false, rules.except = true, rules.tenant.clear();
      tables_.push_back(rules);
    }
    // One whose rows the callers do not share, so that both can make some, and one that is nobody's.
    tables_.push_back({.name = "own",
                       .owner = a.subject != b.subject ? "owner" : "",
                       .tenant = a.subject != b.subject ? "" : "tenant",
                       .text_key = true});
    tables_.push_back({.name = "open", .owner = {}, .tenant = {}, .open = true});
    for (std::size_t i = 0; i < tables_.size(); ++i) {
      const auto& rules = tables_[i];
      schemas +=
          "    S" + std::to_string(i) +
          ":\n      type: object\n      properties:\n        id: {type: " + (rules.text_key ? "string" : "integer") +
          ", readOnly: true}\n        name: {type: string}\n        note: {type: string}\n        parent: {type: "
          "[integer, 'null']}\n";
      if (!rules.owner.empty())
        schemas +=
            std::string("        owner: {readOnly: true, type: ") + (rules.integer_owner ? "integer}\n" : "string}\n");
      if (!rules.tenant.empty()) schemas += "        tenant: {readOnly: true, type: string}\n";
      tables += "    " + rules.name + ":\n      schema: '#/components/schemas/S" + std::to_string(i) +
                "'\n      filters: {name: [eq, in, ne]}\n      sort: [name]\n      page: {default: 2, max: 5}\n";
      if (!rules.owner.empty())
        tables += rules.except ? "      owner: {column: owner, except-roles: [support]}\n" : "      owner: owner\n";
      if (!rules.tenant.empty()) tables += "      tenant: tenant\n";
      if (chance(2)) tables += "      search: [name]\n";
      if (i < many)
        tables += "      embeds: {kids: {table: t" + std::to_string(pick(i + 1)) + ", by: parent, limit: 3}}\n";
    }
    const auto add = [&](OperationRules operation, const std::string& extension, const std::string& more,
                         bool anybody) {
      operation.id = operation.method + std::to_string(operations_.size());
      auto& item = items_[operation.path];
      std::string lower = operation.method;
      for (auto& c : lower) c = static_cast<char>(c | 32);
      item += "    " + lower + ":\n      operationId: " + operation.id +
              "\n      security: " + security(operation, anybody) + "\n      x-plimsoll: {" + extension + "}\n" + more;
      operations_.push_back(std::move(operation));
    };
    const auto cache = [&] { return chance(4) ? std::string() : ", cache: {ttl: 1h, stale-if-error: 1h}"; };
    for (std::size_t i = 0; i < tables_.size(); ++i) {
      const auto& name = tables_[i].name;
      const bool text_key = tables_[i].text_key;
      const std::string id = std::string("      parameters: [{name: id, in: path, required: true, schema: {type: ") +
                             (text_key ? "string" : "integer") + "}}]\n";
      const bool anybody = std::ranges::all_of(tables_, [](auto& t) { return t.owner.empty() && t.tenant.empty(); });
      const std::string ok = "      responses: {'200': {description: ok}}\n",
                        body =
                            "      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/S" +
                            std::to_string(i) + "'}}}}\n";
      if (!text_key)  // its cursors have random ids
        add({.id = {}, .method = "GET", .path = "/" + name, .schemes = {}, .table = i},
            "table: " + name + (tables_[i].open ? ", cache: {ttl: 1h}" : cache()), ok, anybody);
      add({.id = {}, .method = "GET", .path = "/" + name + "/{id}", .schemes = {}, .table = i},
          "table: " + name + cache(), id + ok, anybody);
      if (tables_[i].open) continue;
      add({.id = {}, .method = "POST", .path = "/" + name, .schemes = {}, .table = i},
          "table: " + name + ", idempotency: optional", body + "      responses: {'201': {description: created}}\n",
          anybody);
      if (text_key) {
        add({.id = {}, .method = "DELETE", .path = "/" + name + "/{id}", .schemes = {}, .table = i}, "table: " + name,
            id + "      responses: {'204': {description: deleted}}\n", anybody);
        add({.id = {}, .method = "POST", .path = "/" + name + "/batch", .schemes = {}, .table = i, .batch = true},
            "table: " + name + ", batch: {create: {max: 10, on-error: abort}}, idempotency: optional",
            "      requestBody: {content: {application/json: {schema: {type: array, items: {$ref: "
            "'#/components/schemas/S" +
                std::to_string(i) + "'}}}}}\n      responses: {'201': {description: created}}\n",
            anybody);
        continue;
      }
      add({.id = {}, .method = "PATCH", .path = "/" + name + "/{id}", .schemes = {}, .table = i}, "table: " + name,
          id + body + ok, anybody);
    }
    const std::string shape =
        "{type: object, required: [a], properties: {a: {type: string, minLength: 12}, b: {type: integer}}}";
    const std::string answer =
        "      responses: {'200': {description: ok, content: {application/json: {schema: " + shape + "}}}}\n";
    add({.id = {}, .method = "GET", .path = "/mock/{id}", .schemes = {}, .table = {}}, "mock: true" + cache(),
        "      parameters:\n        - {name: id, in: path, required: true, schema: {type: string}}\n        - {name: "
        "w, in: "
        "query, schema: {type: string}}\n" +
            answer,
        true);
    add({.id = {}, .method = "GET", .path = "/fixed", .schemes = {}, .table = {}}, "mock: true" + cache(), answer,
        true);
    add({.id = {}, .method = "POST", .path = "/mock", .schemes = {}, .table = {}}, "mock: true, idempotency: optional",
        "      requestBody: {content: {application/json: {schema: {type: object}}}}\n" + answer, true);
    add({.id = {}, .method = "POST", .path = "/work", .schemes = {}, .table = {}}, "job: work, idempotency: optional",
        "      parameters: [{name: subject, in: query, schema: {type: string}}]\n"
        "      requestBody: {content: {application/json: {schema: {type: object, properties: {subject: {type: string}, "
        "tenant: {type: string}, caller: {type: object}}}}}}\n"
        "      responses: {'202': {description: accepted}}\n",
        false);
    for (auto& [path, item] : items_) paths += "  " + path + ":\n" + item;
    return "openapi: 3.1.0\ninfo: {title: World, version: '1'}\nservers: [{url: /v1}, {url: /alias}]\nx-plimsoll:\n"
           "  authorization: any-caller\n  validate: {unknown-query: ignore}\n  rate-limit: 100000/minute by caller\n"
           "  cors: {origins: [https://app.example.com], credentials: true}\n  tables:\n" +
           tables +
           "components:\n  securitySchemes:\n    bearer: {type: http, scheme: bearer}\n    header: {type: apiKey, in: "
           "header, name: X-API-Key}\n    query: {type: apiKey, in: query, name: api_key}\n    cookie: {type: apiKey, "
           "in: "
           "cookie, name: session}\n  schemas:\n" +
           schemas + "paths:\n" + paths;
  }

  void credentials(Api& api, Caller& who) {
    const auto expires = std::to_string(clock_.wall() / kSecond + 100'000);
    auto claims = R"({"iss":"us","aud":"world","exp":)" + expires + R"(,"sub":")" + who.subject + R"(","jti":")" +
                  who.mark + "\"";
    if (!who.tenant.empty()) claims += R"(,"tenant":")" + who.tenant + "\"";
    if (!who.role.empty()) claims += R"(,"roles":[")" + who.role + "\"]";
    who.token = policy::issue_jwt(policy::Jwk::of_secret(kSecret).value(), claims + "}").value();
    who.key = database::wait_for([&](Loop& loop) -> Task<Result<std::string>> {
                policy::ApiKeys keys(*api.instance->services().database);
                if (auto ready = co_await keys.prepare(loop); !ready)
                  co_return std::unexpected(std::move(ready).error());
                policy::ApiKey like{.name = who.mark, .subject = who.subject, .tenant = who.tenant};
                if (!who.role.empty()) like.roles = {who.role};
                auto made = co_await keys.create(loop, like, "pk", clock_.wall());
                co_return made;
              }).value();
    marks_.insert({who.token, who.key});  // no response has one, not even its owner's
    if (who.mark == "ALPHA") marks_.insert(who.mark);
  }

  /// Rows of both and of somebody else in each table; those of the first that the second may not read are marked.
  void rows(Api& api) {
    const auto& [a, b] = callers_;
    const Caller third{.mark = "THIRD", .subject = "third", .tenant = "third", .role = {}, .token = {}, .key = {}};
    for (auto& table : tables_) {
      int number = 0;
      if (table.text_key) continue;
      if (table.open) {
        for (; number < 5; ++number) {
          auto done = api.sql("INSERT INTO open(name,note) VALUES(?,?)",
                              {"n" + std::to_string(number % 3), "plain-" + std::to_string(number)});
          ASSERT_TRUE(done) << (done ? "" : done.error().more().cause);
        }
        continue;
      }
      for (auto* who : {&a, &b, &third, &a, &b}) {
        if (!table.tenant.empty() && who->tenant.empty()) continue;
        if (table.integer_owner && !who->owns_integers()) continue;
        const bool readable = table.shows(*who, b);
        std::string columns = "name,note", values = "?,?";
        std::vector<database::Cell> cells{"n" + std::to_string(pick(3)),
                                          std::string(readable ? "SHARED" : "HIDDEN") + "-" + std::to_string(++number)};
        if (!table.owner.empty()) {
          columns += ",owner", values += ",?";
          cells.push_back(table.integer_owner ? database::Cell{std::int64_t{std::stoi(who->subject)}}
                                              : database::Cell{who->subject});
        }
        if (!table.tenant.empty()) columns += ",tenant", values += ",?", cells.emplace_back(who->tenant);
        auto done = api.sql("INSERT INTO " + table.name + "(" + columns + ") VALUES(" + values + ")", cells);
        ASSERT_TRUE(done) << (done ? "" : done.error().more().cause);
      }
    }
    for (auto& table : tables_) (void)api.sql("UPDATE " + table.name + " SET parent = 1");  // where that row exists
    marks_.insert("HIDDEN");
  }

  std::string encoded(std::string_view text) {
    std::string out;
    for (const char c : text) {
      char hex[4];
      std::snprintf(hex, sizeof hex, chance(2) ? "%%%02x" : "%%%02X", static_cast<unsigned char>(c));
      const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
      out += plain && !chance(6) ? std::string(1, c) : std::string(hex);
    }
    return out;
  }

  /// The same of both callers: the same page of what everybody reads, after one that was asked for with a credential
  /// and undeclared parameters; or equal bodies with equal idempotency keys.
  std::pair<Sent, Sent> alike() {
    std::vector<const OperationRules*> fit;
    for (auto& operation : operations_)
      if (operation.method == "POST" ? !operation.table || tables_[*operation.table].text_key
                                     : operation.method == "GET" && operation.table)
        fit.push_back(&operation);
    const auto& operation = *one(fit);
    std::pair<Sent, Sent> made;
    const auto body = R"({"name":"n1","note":"equal","subject":"somebody"})";
    const auto key = "equal-" + std::to_string(pick(8));
    const bool open = operation.path == "/open", list = !operation.path.ends_with("}");
    const std::string page = chance(2) ? "sort=name" : "limit=1", id = std::to_string(1 + pick(3));
    for (auto* who : {&callers_[0], &callers_[1]}) {
      const bool first = who == &callers_[0];
      auto& sent = first ? made.first : made.second;
      sent.method = operation.method;
      std::vector<std::string> query;
      const auto add = [&](const std::string& name, const std::string& value) {
        query.push_back(encoded(name) + "=" + encoded(value));
      };
      if (operation.method == "POST") {
        sent.headers = {{"content-type", "application/json"}};
        sent.body = operation.batch ? "[" + std::string(body) + "]" : body;
        sent.own_ids = operation.table.has_value();
        credential(*who, operation, sent, add);
        // Callers that nobody knows are one caller.
        sent.headers.emplace_back("idempotency-key", sent.known ? key : who->mark + "-" + key);
      } else {
        if (list) query.push_back(page);
        if (!open) credential(*who, operation, sent, add);
        if (open && first) add("api_key", who->key);
        if (first) add("x1", who->mark);
      }
      sent.target = "/v1" + operation.path;
      if (const auto hole = sent.target.find("{id}"); hole != sent.target.npos) sent.target.replace(hole, 4, id);
      for (auto& pair : query) sent.target += (sent.target.contains('?') ? "&" : "?") + pair;
    }
    return made;
  }

  Sent request(const Caller& who, bool noise) {
    const auto& operation = one(operations_);
    const auto* table = operation.table ? &tables_[*operation.table] : nullptr;
    Sent sent{.method = operation.method, .target = {}, .body = {}, .headers = {}};
    if (sent.method == "GET" && chance(8)) sent.method = "HEAD";
    std::vector<std::string> query;
    const auto add = [&](const std::string& name, const std::string& value) {
      query.push_back(encoded(name) + "=" + encoded(value));
    };
    std::string path = (chance(5) ? "/alias" : "/v1") + operation.path;
    if (const auto hole = path.find("{id}"); hole != path.npos)
      path.replace(hole, 4,
                   encoded(!table            ? "x" + std::to_string(pick(2))
                           : table->text_key ? theirs_.contains("row") ? theirs_["row"] : "none"
                                             : std::to_string(1 + pick(6))));
    if (operation.path == "/work" && !noise && theirs_.contains("job") && chance(2)) {  // another's job
      sent.method = chance(3) ? "DELETE" : "GET";
      path += "/" + theirs_["job"] + (sent.method == "DELETE" ? "" : chance(2) ? "/status" : "/result");
    }
    const bool list = operation.table && operation.method == "GET" && !operation.path.ends_with("}");
    if (list) {
      if (chance(2)) add("sort", chance(2) ? "name" : "-name");
      if (chance(3)) add("name[ne]", "n0");
      if (chance(4)) add("name", chance(2) ? "n1" : "n1,n2");
      if (chance(4)) add("count", "exact");
      if (chance(4)) add("limit", "1");
      if (chance(8)) add("page", "2");
    }
    if (table && !table->open && operation.method == "GET" && chance(4)) add("embed", "kids");
    if (operation.table && operation.method == "GET" && chance(6)) add("fields", "id,note");
    if (!operation.table && chance(3)) add("w", "v" + std::to_string(pick(2)));
    // What the contract does not declare: only its sender's.
    if (chance(2)) add("x" + std::to_string(pick(3)), who.mark);
    if (chance(3)) add("subject", who.mark);
    if (chance(3)) sent.headers.emplace_back("x-anything", who.mark);
    if (chance(4)) sent.headers.emplace_back("referer", "https://" + who.mark + ".example/");
    if (chance(4)) sent.headers.emplace_back("x-request-id", who.mark + "-request-0001");
    if (chance(6)) sent.headers.emplace_back("origin", "https://app.example.com");
    if (chance(6)) sent.headers.emplace_back("accept", "application/json");
    if (chance(6)) sent.headers.emplace_back("accept-language", who.mark);
    if (chance(8)) sent.headers.emplace_back("prefer", "example=" + who.mark);
    if (chance(8)) sent.headers.emplace_back("cache-control", "no-cache");
    credential(who, operation, sent, add);
    std::ranges::shuffle(query, random_);
    for (auto& pair : query) path += (path.contains('?') ? "&" : "?") + pair;
    sent.target = path;
    if (list && !noise && !sent.in_query && chance(4))
      for (const auto& known : chance(3) ? theirs_ : links_)  // also a cursor that the other was given
        if (known.first == "/v1" + operation.path) sent.target = known.second;
    if (operation.method == "POST" || operation.method == "PATCH") {
      sent.headers.emplace_back("content-type",
                                operation.method == "PATCH" ? "application/merge-patch+json" : "application/json");
      if (operation.method == "POST" && chance(2))
        sent.headers.emplace_back("idempotency-key",
                                  (sent.known ? "key-" : who.mark + "-key-") + std::to_string(pick(2)));
      sent.body = R"({"name":"n)" + std::to_string(pick(3)) + R"(","note":"by )" + who.mark + "\"}";
      sent.own_ids = table && table->text_key;
      if (operation.batch) sent.body = "[" + sent.body + "," + sent.body + "]";
      // New rows of the first caller would move the numbers of the other's. It changes what the other cannot read.
      if (noise && table && !table->text_key) {
        const bool apart = !table->shows(callers_[0], callers_[1]) && !table->shows(callers_[1], callers_[0]);
        sent.body = apart && operation.method == "PATCH" ? R"({"note":"HIDDEN-changed"})" : R"({"name":17})";
      }
      if (operation.path == "/work") {  // it names the other
        const auto& other = callers_[&who == &callers_[0] ? 1 : 0];
        sent.body = R"({"subject":")" + other.subject + R"(","tenant":")" + other.tenant +
                    R"(","caller":{"subject":")" + other.subject + R"(","claims":{"jti":")" + other.mark + "\"}}}";
        if (sent.method != "POST") sent.body.clear(), sent.headers.clear(), credential(who, operation, sent, add);
      }
    }
    return sent;
  }

  template <class Add>
  void credential(const Caller& who, const OperationRules& operation, Sent& sent, Add&& add) {
    static const std::vector<std::string> kAll{"bearer", "header", "query", "cookie"};
    // Mostly one that the operation takes, sometimes another besides, a bad one or none.
    std::set<std::string> shown{one(operation.schemes)};
    if (chance(6)) shown.insert(one(kAll));
    if (chance(12)) shown.clear();
    const bool bad = chance(10);
    const auto key = bad ? "bad-" + who.mark : who.key;
    for (auto& scheme : shown) {
      if (scheme.empty()) continue;
      if (scheme == "bearer") sent.headers.emplace_back("authorization", "Bearer " + (bad ? key : who.token));
      if (scheme == "header") sent.headers.emplace_back("x-api-key", key);
      if (scheme == "query") add("api_key", key), sent.in_query = true;
      if (scheme == "cookie") sent.headers.emplace_back("cookie", "theme=" + who.mark + "; session=" + key);
      sent.known = sent.known || (!bad && std::ranges::find(operation.schemes, scheme) != operation.schemes.end());
    }
    if (!shown.contains("cookie") && chance(3)) sent.headers.emplace_back("cookie", "theme=" + who.mark);
  }

  /// Without percent-encoding, so that a mark is found that was copied as it was sent.
  static std::string decoded(std::string_view text) {
    const auto digit = [](char c) {
      return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
    };
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const bool escape = text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0;
      out += escape ? static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2])) : text[i];
      if (escape) i += 2;
    }
    return out;
  }

  static std::string raw(const Answer& answer) {
    std::string text = std::to_string(answer.status) + "\n";
    for (auto& [name, value] : answer.headers) text += name + ": " + value + "\n";
    return text + "\n" + answer.body;
  }

  /// All of the answer but what tells whether it was kept, and with the random ids numbered.
  static std::string transcript(const Answer& answer, const Sent& sent, std::map<std::string, std::string>& names) {
    static const std::set<std::string> kOfTheCache{"cache-status", "age"};
    // Callers that nobody knows are counted by address, which both have.
    static const std::set<std::string> kByAddress{"ratelimit", "x-ratelimit-remaining", "x-ratelimit-reset"};
    static const std::set<std::string> kRandom{"traceparent", "x-request-id", "trace-id"};
    std::string text = std::to_string(answer.status) + "\n";
    auto headers = answer.headers;
    std::ranges::sort(headers);
    for (auto& [name, value] : headers)
      if (!kOfTheCache.contains(name) && !kRandom.contains(name) && (sent.known || !kByAddress.contains(name)) &&
          !(sent.own_ids && name == "etag"))
        text += name + ": " + value + "\n";
    text += "\n" + answer.body;
    if (const auto trace = text.find("\"trace_id\":\""); trace != text.npos) text.erase(trace, 45);
    for (std::size_t at = 0; at + 36 <= text.size(); ++at) {
      const auto part = text.substr(at, 36);
      if (part[8] != '-' || part[13] != '-' || part[18] != '-' || part[23] != '-') continue;
      if (part.find_first_not_of("0123456789abcdef-") != part.npos) continue;
      const auto [known, fresh] = names.try_emplace(part, "<id " + std::to_string(names.size()) + ">");
      text.replace(at, 36, known->second);
    }
    return text;
  }

  const Defect defect_;
  std::mt19937 random_;
  const Kinship kinship_;
  int requests_ = 0;
  HandClock clock_;
  std::array<Caller, 2> callers_;
  std::vector<TableRules> tables_;
  std::vector<OperationRules> operations_;
  std::map<std::string, std::string> items_;
  std::set<std::string> marks_;
  std::map<std::string, std::string> links_;     ///< path → the next page, as the second caller was told
  std::map<std::string, std::string> theirs_;    ///< the same of the first caller, and its last job and row
  std::map<std::string, std::string> names_[2];  ///< of the ids that are random
  std::map<std::string, const Caller*> asked_[2];
};

TEST(TwoCallers, NothingOfOneReachesTheOther) {
  const auto* given = std::getenv("PLIMSOLL_SEED");
  const auto seed = given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
  const bool torture = std::getenv("PLIMSOLL_TORTURE") != nullptr;
  std::map<int, int> statuses;
  int jobs = 0;
  for (unsigned round = 0; round < (torture ? 300u : 40u); ++round) {
    SCOPED_TRACE("PLIMSOLL_SEED=" + std::to_string(seed + round));
    World world(seed + round);
    world.run(torture ? 1000 : 100);
    if (HasFatalFailure()) return;
    for (auto [status, count] : world.statuses) statuses[status] += count;
    jobs += world.jobs;
  }
  // It is no test where nearly everything is refused.
  for (auto status : {200, 201, 202, 401, 404}) EXPECT_GT(statuses[status], 0) << status;
  EXPECT_GT(jobs, 0);
  int all = 0, served = 0;
  for (auto [status, count] : statuses) all += count, served += status < 300 ? count : 0;
  EXPECT_GT(3 * served, all);
}

TEST(TwoCallers, EachKindOfLeakIsReported) {
  const auto add = [](std::string name, std::function<std::string(const Caller&)> value) {
    return [name, value](Answer& answer, const Caller& first) { answer.headers.emplace_back(name, value(first)); };
  };
  const std::map<std::string, Defect> defects{
      {"a credential in a header", {"in the response to", add("x-next", [](auto& first) { return first.key; }), {}}},
      {"undeclared input, encoded",
       {"ALPHA in the response to",
        add("link", [](auto&) { return std::string("</v1/open?x=%41LPH%41>; rel=next"); }),
        {}}},
      {"a row of the other", {"HIDDEN in the response to", [](auto& answer, auto&) { answer.body += "HIDDEN-1"; }, {}}},
      {"a row that exists, told by the status",
       {"transcript(first", [](auto& answer, auto&) { answer.status = answer.status == 404 ? 403 : 404; }, {}}},
      {"what is left of the other's limit",
       {"transcript(first", add("ratelimit-policy", [](auto&) { return std::string("\"caller\";q=1"); }), {}}},
      {"a job that ran for the other",
       {"the job of", {}, [](auto&) { return std::string("UPDATE ran SET subject = 'mallory'"); }}},
      {"a claim that the request made up",
       {"the job of", {}, [](auto& first) { return "UPDATE ran SET claim = '" + first.mark + "-made-up'"; }}},
  };
  for (const auto& [what, defect] : defects) {
    testing::TestPartResultArray found;
    {
      testing::ScopedFakeTestPartResultReporter intercepted(
          testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &found);
      World(1, defect).run(40);
    }
    int reported = 0;
    for (int i = 0; i < found.size(); ++i)
      reported += std::string_view(found.GetTestPartResult(i).message()).contains(defect.reported) ? 1 : 0;
    EXPECT_GT(reported, 0) << what;
  }
}

}  // namespace
}  // namespace plimsoll::testkit
