// Only authentication determines the caller, and nothing of one caller reaches another: two random callers send random
// requests through every operation of generated contracts, with caches on. The same data is served twice, once with the
// requests of both and once with those of the second caller only. No byte of a response to the second may differ, and
// no mark of the first (its credentials, its undeclared input, rows that the second may not read) may occur in one.

#include "plimsoll/policy/api_key.hpp"
#include "plimsoll/policy/jwt.hpp"
#include "plimsoll/testkit/api.hpp"

#include <gtest/gtest.h>
#include <map>
#include <optional>
#include <random>
#include <set>

namespace plimsoll::testkit {
namespace {

struct HandClock final : Clock {
  Nanoseconds steady() const override { return now; }
  Nanoseconds wall() const override { return now + 1'700'000'000 * kSecond; }
  Nanoseconds now = 3600 * kSecond;
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
};

struct Sent {
  std::string method, target, body;
  HeaderList headers;
  bool known = false;     ///< it carries a valid credential
  bool in_query = false;  ///< one is in the query
};

class World {
 public:
  explicit World(unsigned seed) : random_(seed) {}

  void run(int steps) {
    callers_[0] = caller("ALPHA"), callers_[1] = caller("BRAVO");
    // Equal subjects in different tenants are the callers most easily taken for one.
    if (chance(2)) callers_[1].subject = callers_[0].subject, callers_[1].tenant = "other-" + callers_[0].tenant;
    if (callers_[0].subject == callers_[1].subject && callers_[0].tenant == callers_[1].tenant)
      callers_[1].tenant = "other";  // they would be one caller
    const auto text = contract();
    SCOPED_TRACE("A " + show(callers_[0]) + ", B " + show(callers_[1]) + "\n" + text);
    Api origin(text, {}, {}, deployment(), &clock_);
    ASSERT_TRUE(origin.instance) << origin.complaints;
    for (auto& who : callers_) credentials(origin, who);
    rows(origin);
    origin.stop();
    Api both(origin, &clock_), alone(origin, &clock_);
    ASSERT_TRUE(both.instance && alone.instance) << both.complaints;
    std::map<std::string, std::string> names[2];  // of the ids that are random
    for (int step = 0; step < steps; ++step) {
      clock_.now += kSecond;
      for (auto n = pick(3); n > 0; --n) {
        const auto noise = request(callers_[0], true);
        (void)both.client->request(noise.method, noise.target, noise.headers, noise.body);
      }
      const auto sent = request(callers_[1], false);
      const auto first = both.client->request(sent.method, sent.target, sent.headers, sent.body);
      const auto second = alone.client->request(sent.method, sent.target, sent.headers, sent.body);
      const auto with = transcript(first, sent, names[0]), without = transcript(second, sent, names[1]);
      ++statuses[first.status];
      ASSERT_EQ(with, without) << sent.method << " " << sent.target << " " << sent.body << "\nstep " << step;
      const auto whole = raw(first);
      for (auto& mark : marks_)
        ASSERT_EQ(whole.find(mark), whole.npos)
            << mark << " in the response to " << sent.method << " " << sent.target << "\n"
            << whole;
      if (const auto link = std::string(first.header("link")); link.starts_with("<"))
        links_[link.substr(1, link.find('?') - 1)] = link.substr(1, link.find('>') - 1);
    }
  }

  std::map<int, int> statuses;

 private:
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
           "}}\nroles: {support: [read], reader: [read]}\njobs: {work: {run: {sql: 'SELECT :caller.subject, "
           ":caller.tenant'}}}\n";
  }

  std::string security(OperationRules& operation, bool anybody) {
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
    const auto many = 1 + pick(3);
    for (std::size_t i = 0; i < many; ++i) {
      TableRules rules{.name = "t" + std::to_string(i), .owner = {}, .tenant = {}};
      if (chance(2)) rules.owner = "owner", rules.integer_owner = chance(2), rules.except = chance(3);
      if (chance(2)) rules.tenant = "tenant";
      schemas +=
          "    S" + std::to_string(i) +
          ":\n      type: object\n      properties:\n        id: {type: integer, readOnly: true}\n        name: {type: "
          "string}\n        note: {type: string}\n        parent: {type: [integer, 'null']}\n";
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
      tables += "      embeds: {kids: {table: t" + std::to_string(pick(i + 1)) + ", by: parent, limit: 3}}\n";
      tables_.push_back(rules);
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
    const std::string id = "      parameters: [{name: id, in: path, required: true, schema: {type: integer}}]\n";
    for (std::size_t i = 0; i < tables_.size(); ++i) {
      const auto& name = tables_[i].name;
      const bool anybody = std::ranges::all_of(tables_, [](auto& t) { return t.owner.empty() && t.tenant.empty(); });
      const std::string ok = "      responses: {'200': {description: ok}}\n",
                        body =
                            "      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/S" +
                            std::to_string(i) + "'}}}}\n";
      add({.id = {}, .method = "GET", .path = "/" + name, .schemes = {}, .table = i}, "table: " + name + cache(), ok,
          anybody);
      add({.id = {}, .method = "GET", .path = "/" + name + "/{id}", .schemes = {}, .table = i},
          "table: " + name + cache(), id + ok, anybody);
      add({.id = {}, .method = "POST", .path = "/" + name, .schemes = {}, .table = i},
          "table: " + name + ", idempotency: optional", body + "      responses: {'201': {description: created}}\n",
          anybody);
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
        "      responses: {'202': {description: accepted}}\n", false);
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
    if (who.mark == "ALPHA") marks_.insert({who.mark, who.token, who.key});
  }

  /// Rows of both and of somebody else in each table; those of the first that the second may not read are marked.
  void rows(Api& api) {
    const auto& [a, b] = callers_;
    const Caller third{.mark = "THIRD", .subject = "third", .tenant = "third", .role = {}, .token = {}, .key = {}};
    for (auto& table : tables_) {
      int number = 0;
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

  Sent request(const Caller& who, bool noise) {
    const auto& operation = one(operations_);
    Sent sent{.method = operation.method, .target = {}, .body = {}, .headers = {}};
    if (sent.method == "GET" && chance(8)) sent.method = "HEAD";
    std::vector<std::string> query;
    const auto add = [&](const std::string& name, const std::string& value) {
      query.push_back(encoded(name) + "=" + encoded(value));
    };
    std::string path = (chance(5) ? "/alias" : "/v1") + operation.path;
    if (const auto hole = path.find("{id}"); hole != path.npos)
      path.replace(hole, 4, encoded(operation.table ? std::to_string(1 + pick(6)) : "x" + std::to_string(pick(2))));
    const bool list = operation.table && operation.method == "GET" && !operation.path.ends_with("}");
    if (list) {
      if (chance(2)) add("sort", chance(2) ? "name" : "-name");
      if (chance(3)) add("name[ne]", "n0");
      if (chance(4)) add("name", chance(2) ? "n1" : "n1,n2");
      if (chance(4)) add("count", "exact");
      if (chance(4)) add("limit", "1");
      if (chance(8)) add("page", "2");
    }
    if (operation.table && operation.method == "GET" && chance(4)) add("embed", "kids");
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
    credential(who, operation, sent, query, add);
    std::ranges::shuffle(query, random_);
    for (auto& pair : query) path += (path.contains('?') ? "&" : "?") + pair;
    sent.target = path;
    if (list && !noise && !sent.in_query && chance(4))
      if (const auto next = links_.find("/v1" + operation.path); next != links_.end()) sent.target = next->second;
    if (operation.method == "POST" || operation.method == "PATCH") {
      sent.headers.emplace_back("content-type",
                                operation.method == "PATCH" ? "application/merge-patch+json" : "application/json");
      if (operation.method == "POST" && chance(2))
        sent.headers.emplace_back("idempotency-key",
                                  (sent.known ? "key-" : who.mark + "-key-") + std::to_string(pick(2)));
      sent.body = R"({"name":"n)" + std::to_string(pick(3)) + R"(","note":"by )" + who.mark + "\"}";
      // New rows of the first caller would move the numbers of the other's. It changes what the other cannot read.
      if (noise && operation.table) {
        const auto& table = tables_[*operation.table];
        const bool apart = !table.shows(callers_[0], callers_[1]) && !table.shows(callers_[1], callers_[0]);
        sent.body = apart && operation.method == "PATCH" ? R"({"note":"HIDDEN-changed"})" : R"({"name":17})";
      }
      if (operation.path.ends_with("/work")) sent.body.clear();
    }
    return sent;
  }

  template <class Add>
  void credential(const Caller& who, const OperationRules& operation, Sent& sent, std::vector<std::string>&,
                  Add&& add) {
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
      if (!kOfTheCache.contains(name) && !kRandom.contains(name) && (sent.known || !kByAddress.contains(name)))
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

  std::mt19937 random_;
  HandClock clock_;
  std::array<Caller, 2> callers_;
  std::vector<TableRules> tables_;
  std::vector<OperationRules> operations_;
  std::map<std::string, std::string> items_;
  std::set<std::string> marks_;
  std::map<std::string, std::string> links_;  ///< path → the next page, as the second caller was told
};

TEST(TwoCallers, NothingOfOneReachesTheOther) {
  const auto* given = std::getenv("PLIMSOLL_SEED");
  const auto seed = given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
  const bool torture = std::getenv("PLIMSOLL_TORTURE") != nullptr;
  std::map<int, int> statuses;
  for (unsigned round = 0; round < (torture ? 300u : 8u); ++round) {
    SCOPED_TRACE("PLIMSOLL_SEED=" + std::to_string(seed + round));
    World world(seed + round);
    world.run(torture ? 1000 : 150);
    if (HasFatalFailure()) return;
    for (auto [status, count] : world.statuses) statuses[status] += count;
  }
  // It is no test where nearly everything is refused.
  for (auto status : {200, 201, 202, 401, 404}) EXPECT_GT(statuses[status], 0) << status;
  int all = 0;
  for (auto [status, count] : statuses) all += count;
  EXPECT_GT(3 * statuses[200], all);
}

}  // namespace
}  // namespace plimsoll::testkit
