#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/testkit/api.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace plimsoll::table {
namespace {

using json::Type;
using json::Value;
using testkit::Api;

/// A value that a contract describes, and what clients may do with it. The contract is written from this in many ways,
/// so that what it says is known without reading it.
struct Truth {
  enum class Kind : std::uint8_t { text, object, list } kind = Kind::text;
  bool read_only = false, write_only = false;
  struct Member;
  std::vector<Member> members;  ///< of an object; of a list its item, without a name
};
struct Truth::Member {
  std::string name;
  Truth second;
};

struct Random {
  std::mt19937_64 source;
  std::size_t below(std::size_t n) { return std::uniform_int_distribution<std::size_t>{0, n - 1}(source); }
  bool one_in(std::size_t n) { return below(n) == 0; }
};

bool any_read_only(const Truth& truth) {
  return truth.read_only ||
         std::ranges::any_of(truth.members, [](auto& member) { return any_read_only(member.second); });
}
void show_all(Truth& truth) {
  truth.write_only = false;
  for (auto& member : truth.members) show_all(member.second);
}

Truth make_truth(Random& random, int depth) {
  Truth made;
  const auto choice = depth > 0 ? random.below(4) : 0;
  made.kind = choice == 0 ? Truth::Kind::text : choice == 1 ? Truth::Kind::list : Truth::Kind::object;
  if (random.one_in(5)) made.read_only = true;
  if (random.one_in(5)) made.write_only = true;
  if (made.kind == Truth::Kind::object)
    for (std::size_t i = 0, count = 1 + random.below(4); i < count; ++i)
      made.members.push_back({"m" + std::to_string(i), make_truth(random, depth - 1)});
  if (made.kind == Truth::Kind::list) {
    made.members.push_back({"", make_truth(random, depth - 1)});
    made.members[0].second.read_only = made.members[0].second.write_only = false;  // an item is not a member
    // An item is known again by all that clients write of it, which one that is sent back as it was shown has not.
    if (any_read_only(made.members[0].second)) show_all(made.members[0].second);
  }
  return made;
}

/// Writes schemas as JSON, with what they say spread over references and combinations at random.
class Writer {
 public:
  Writer(Random& random, std::vector<std::string>& components) : random_(random), components_(components) {}

  std::string schema(const Truth& truth, bool row = false) {
    std::string own = R"("type":")" +
                      std::string(truth.kind == Truth::Kind::text     ? "string"
                                  : truth.kind == Truth::Kind::object ? "object"
                                                                      : "array") +
                      '"';
    std::vector<std::string> parts;
    if (truth.kind == Truth::Kind::list) own += R"(,"items":)" + schema(truth.members[0].second);
    if (truth.kind == Truth::Kind::object) {
      // The members stand in several parts, some in two of them: then one of the two has the marks.
      std::vector<std::string> lists(1 + random_.below(3));
      const auto declare = [&](std::size_t part, const std::string& name, const Truth& member) {
        lists[part] += (lists[part].empty() ? "" : ",") + ('"' + name + "\":") + schema(member);
      };
      for (auto& [name, member] : truth.members) {
        const auto part = random_.below(lists.size());
        declare(part, name, member);
        if (lists.size() > 1 && random_.one_in(4)) declare((part + 1) % lists.size(), name, unmarked(member));
      }
      own += R"(,"properties":{)" + lists[0] + "}";
      for (std::size_t i = 1; i < lists.size(); ++i)
        parts.push_back(wrapped(R"({"type":"object","properties":{)" + lists[i] + "}}", row));
    }
    std::vector<std::string> marks;
    if (truth.read_only) marks.emplace_back(R"("readOnly":true)");
    if (truth.write_only) marks.emplace_back(R"("writeOnly":true)");
    for (auto& mark : marks)
      if (random_.one_in(2))
        own += "," + mark;
      else
        parts.push_back(wrapped("{" + mark + "}"));
    std::string all;
    for (auto& part : parts) all += (all.empty() ? "" : ",") + part;
    if (!all.empty()) own += R"(,"allOf":[)" + all + "]";
    return wrapped("{" + own + "}", row);
  }

 private:
  static Truth unmarked(Truth truth) {
    truth.read_only = truth.write_only = false;
    return truth;
  }
  /// `row`: what stands in alternatives of a row's schema is no column.
  std::string wrapped(std::string schema, bool row = false) {
    switch (row ? random_.below(3) : random_.below(6)) {
      case 0: return reference(std::move(schema));
      case 1: return R"({"allOf":[)" + reference(std::move(schema)) + "]}";
      case 2: return R"({"description":"x","$ref":")" + name(std::move(schema)) + "\"}";
      case 3: return R"({"anyOf":[)" + schema + R"(,{"type":"null"}]})";
      case 4: return R"({"anyOf":[)" + reference(schema) + "," + schema + "]}";
      default: return schema;
    }
  }
  std::string name(std::string schema) {
    components_.push_back(std::move(schema));
    return "#/components/schemas/S" + std::to_string(components_.size() - 1);
  }
  std::string reference(std::string schema) { return R"({"$ref":")" + name(std::move(schema)) + "\"}"; }

  Random& random_;
  std::vector<std::string>& components_;
};

/// A value with each member there or not. A null removes a member in a merge patch, but not within a list (RFC 7396).
std::string make_value(Random& random, const Truth& truth, bool whole, bool in_list = false) {
  if (truth.kind == Truth::Kind::text) return '"' + std::string(1, static_cast<char>('a' + random.below(3))) + '"';
  std::string text;
  if (truth.kind == Truth::Kind::list) {
    for (std::size_t i = random.below(4); i > 0; --i)
      text += (text.empty() ? "" : ",") + make_value(random, truth.members[0].second, whole, true);
    return "[" + text + "]";
  }
  for (auto& [name, member] : truth.members) {
    if (!whole && random.one_in(3)) continue;
    text += (text.empty() ? "" : ",") + ('"' + name + "\":") +
            (!whole && !in_list && random.one_in(6) ? "null" : make_value(random, member, whole, in_list));
  }
  return "{" + text + "}";
}

/// `value` without the members that `drop` names.
template <class Drop>
Value pruned(const Truth& truth, const Value& value, const Drop& drop, Arena& arena) {
  if (truth.kind == Truth::Kind::list && value.is(Type::array)) {
    Value made = Value::array({});
    for (auto& item : value.array()) made.push(arena, pruned(truth.members[0].second, item, drop, arena));
    return made;
  }
  if (truth.kind != Truth::Kind::object || !value.is(Type::object)) return value;
  Value made = Value::object({});
  for (auto& [name, member] : truth.members)
    if (const auto* found = value.find(name); found && !drop(member))
      made.set(arena, name, pruned(member, *found, drop, arena));
  return made;
}

/// What must be stored where a client sends `sent` (null: nothing) and `stored` is there (null: nothing).
std::optional<Value> expected(const Truth& truth, const Value* sent, const Value* stored, Arena& arena) {
  const auto hidden = [](const Truth& member) { return member.read_only; };
  if (truth.kind == Truth::Kind::object) {
    const bool said = sent && sent->is(Type::object);
    Value made = Value::object({});
    for (auto& [name, member] : truth.members) {
      const auto* value = said ? sent->find(name) : nullptr;
      const auto* old = stored && stored->is(Type::object) ? stored->find(name) : nullptr;
      const auto kept =
          member.read_only ? (old ? std::optional(*old) : std::nullopt) : expected(member, value, old, arena);
      if (kept) made.set(arena, name, *kept);
    }
    if (said || !made.object().empty()) return made;
  } else if (truth.kind == Truth::Kind::list && sent && sent->is(Type::array)) {
    std::vector<const Value*> left;
    if (stored && stored->is(Type::array))
      for (auto& item : stored->array()) left.push_back(&item);
    Value made = Value::array({});
    for (auto& item : sent->array()) {
      const auto plain = pruned(truth.members[0].second, item, hidden, arena);
      const auto same = std::ranges::find_if(
          left, [&](auto* old) { return json::equal(pruned(truth.members[0].second, *old, hidden, arena), plain); });
      made.push(arena, same == left.end() ? plain : **same);
      if (same != left.end()) left.erase(same);
    }
    return made;
  }
  return sent ? std::optional(*sent) : std::nullopt;
}

/// RFC 7396, as written there.
Value merge_patch(const Value& target, const Value& patch, Arena& arena) {
  if (!patch.is(Type::object)) return patch;
  Value made = target.is(Type::object) ? target.clone(arena) : Value::object({});
  for (auto& member : patch.object()) {
    if (member.value.is(Type::null)) {
      made.remove(member.key);
      continue;
    }
    const auto* there = made.find(member.key);
    made.set(arena, member.key, merge_patch(there ? *there : Value{}, member.value, arena));
  }
  return made;
}

/// A contract with one table of a random schema, and one that shows its rows inside.
class Fixture {
 public:
  explicit Fixture(std::uint64_t seed) : random{std::mt19937_64{seed}} {
    row.kind = Truth::Kind::object;
    for (std::size_t i = 0, count = 2 + random.below(4); i < count; ++i)
      row.members.push_back({"c" + std::to_string(i), make_truth(random, 3)});
    std::vector<std::string> components;
    Truth whole = row;
    const auto schema = Writer{random, components}.schema(whole, true);
    std::string text = R"({"openapi":"3.1.0","info":{"title":"t","version":"1"},
"x-plimsoll":{"rate-limit":"off","authorization":"any-caller","tables":{
"things":{"schema":"#/components/schemas/Thing"},
"owners":{"schema":"#/components/schemas/Owner","embeds":{"things":{"table":"things","by":"owner_id"}}}}},
"components":{"schemas":{"Owner":{"type":"object","required":["id"],"properties":{"id":{"type":"integer"}}},
"Thing":{"allOf":[{"type":"object","required":["id"],"properties":{"id":{"type":"integer"},"owner_id":{"type":"integer"}}},)" +
                       schema + "]}";
    for (std::size_t i = 0; i < components.size(); ++i) text += ",\"S" + std::to_string(i) + "\":" + components[i];
    text += R"(}},"paths":{
"/owners":{"get":{"x-plimsoll":{"table":"owners"},"responses":{"200":{"description":"ok"}}}},
"/things":{"get":{"x-plimsoll":{"table":"things"},"responses":{"200":{"description":"ok"}}},
"post":{"x-plimsoll":{"table":"things"},"requestBody":{"content":{"application/json":{}}},"responses":{"201":{"description":"ok"}}}},
"/batch":{"post":{"x-plimsoll":{"table":"things","batch":{"create":{}}},"requestBody":{"content":{"application/json":{}}},"responses":{"201":{"description":"ok"}}}},
"/updates":{"post":{"x-plimsoll":{"table":"things","batch":{"update":{}}},"requestBody":{"content":{"application/json":{}}},"responses":{"200":{"description":"ok"}}}},
"/things/{id}":{"parameters":[{"name":"id","in":"path","required":true,"schema":{"type":"integer"}}],
"get":{"x-plimsoll":{"table":"things"},"responses":{"200":{"description":"ok"}}},
"put":{"x-plimsoll":{"table":"things"},"requestBody":{"content":{"application/json":{}}},"responses":{"200":{"description":"ok"}}},
"patch":{"x-plimsoll":{"table":"things"},"requestBody":{"content":{"application/json":{}}},"responses":{"200":{"description":"ok"}}}}}})";
    contract = text;
    api = std::make_unique<Api>(text);
  }

  const Value& parse(const std::string& text) {
    auto value = json::parse(arena.keep(text), arena);
    EXPECT_TRUE(value) << text;
    return arena.make<Value>(value ? *value : Value{});
  }
  /// The row as the database holds it: what is NULL is not there.
  const Value& stored(int id) {
    std::string text = "{";
    for (auto& [name, column] : row.members) {
      auto rows = api->sql("SELECT \"" + name + "\" FROM things WHERE id=?", {std::int64_t{id}});
      if (!rows || rows->empty() || rows->at(0)[0].index() == 0) continue;
      if (text.size() > 1) text += ',';
      json::append_string(text, name);
      text += ':';
      const auto& cell = std::get<std::string>(rows->at(0)[0]);
      if (json_column(column))
        text += cell;
      else
        json::append_string(text, cell);
    }
    return parse(text + "}");
  }
  /// As jobs and other programs do: what clients cannot write is there too.
  void store(int id, const Value& value) {
    for (auto& [name, column] : row.members) {
      const auto* member = value.find(name);
      database::Cell cell;
      if (member) cell = json_column(column) ? json::to_string(*member) : std::string(member->string());
      auto done = api->sql("UPDATE things SET \"" + name + "\"=? WHERE id=?", {cell, std::int64_t{id}});
      ASSERT_TRUE(done) << done.error().more().cause;
    }
  }
  bool json_column(const Truth& truth) const { return truth.kind != Truth::Kind::text; }
  /// Without what is never shown; the key and others that all rows have left out.
  const Value& shown(const Value& value) {
    return arena.make<Value>(pruned(row, value, [](const Truth& member) { return member.write_only; }, arena));
  }
  /// A row of an answer, as far as the random members go.
  const Value& members(const Value& answer) {
    Value made = answer.clone(arena);
    made.remove("id");
    made.remove("owner_id");
    for (auto& [name, column] : row.members)  // NULL, which some schemas have a value for
      if (const auto* found = made.find(name); found && found->is(Type::null)) made.remove(name);
    return arena.make<Value>(made);
  }
  void same(const Value& is, const Value& should, const char* what) {
    EXPECT_TRUE(json::equal(is, should)) << what << "\n is:     " << json::to_string(is)
                                         << "\n should: " << json::to_string(should) << "\n"
                                         << contract;
  }

  Arena arena{1 << 16};
  Random random;
  Truth row;
  std::string contract;
  std::unique_ptr<Api> api;
};

void run(std::uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  Fixture f{seed};
  ASSERT_TRUE(f.api->instance) << f.api->complaints << f.contract;
  ASSERT_TRUE(f.api->sql("INSERT INTO owners(id) VALUES(1)"));
  const auto sent = [&](bool whole) { return make_value(f.random, f.row, whole); };
  const auto with_id = [](int id, const std::string& text) {
    return R"({"id":)" + std::to_string(id) + R"(,"owner_id":1)" + (text == "{}" ? "" : ",") + text.substr(1);
  };
  const auto clean = [&](const Value& value) {  // top-level null is NULL, which is not there
    Value made = value.clone(f.arena);
    for (auto& [name, column] : f.row.members)
      if (const auto* found = made.find(name); found && found->is(Type::null)) made.remove(name);
    return made;
  };
  // Created alone and in a batch.
  const auto first = sent(true), second = sent(true);
  auto made = f.api->client->post("/things", with_id(1, first));
  ASSERT_EQ(made.status, 201) << made.body << f.contract;
  const auto plain = *expected(f.row, &f.parse(first), nullptr, f.arena);
  f.same(f.stored(1), plain, "stored by POST");
  f.same(f.members(f.parse(made.body)), f.shown(plain), "shown by POST");
  auto batch = f.api->client->post("/batch", "[" + with_id(2, second) + "]");
  ASSERT_EQ(batch.status, 201) << batch.body;
  const auto second_plain = *expected(f.row, &f.parse(second), nullptr, f.arena);
  f.same(f.stored(2), second_plain, "stored by a batch");
  f.same(f.members(f.parse(batch.body).find("data")->array()[0]), f.shown(second_plain), "shown by a batch");
  // Read and changed where everything is there.
  for (int round = 0; round < 3; ++round) {
    const auto& before = f.parse(sent(true));
    f.store(1, before);
    if (::testing::Test::HasFatalFailure()) return;
    f.same(f.members(f.parse(f.api->client->get("/things/1").body)), f.shown(before), "shown by GET");
    f.same(f.members(f.parse(f.api->client->get("/things").body).find("data")->array()[0]), f.shown(before),
           "shown in a list");
    f.same(f.members(f.parse(f.api->client->get("/owners?embed=things").body)
                         .find("data")
                         ->array()[0]
                         .find("things")
                         ->array()[0]),
           f.shown(before), "shown inside another row");
    const auto patch = sent(false);
    const auto merged = clean(merge_patch(before, f.parse(patch), f.arena));
    const auto after = *expected(f.row, &merged, &before, f.arena);
    const auto changed = round == 1 ? f.api->client->post("/updates", "[" + with_id(1, patch) + "]")
                                    : f.api->client->patch("/things/1", patch);
    ASSERT_EQ(changed.status, 200) << changed.body << patch;
    f.same(f.stored(1), after, patch.c_str());
    f.store(1, before);
    const auto put = sent(true);
    const auto replaced = *expected(f.row, &f.parse(put), &before, f.arena);
    const auto answer =
        f.api->client->request("PUT", "/things/1", {{"content-type", "application/json"}}, with_id(1, put));
    ASSERT_EQ(answer.status, 200) << answer.body;
    f.same(f.stored(1), replaced, "stored by PUT");
    f.same(f.members(f.parse(answer.body)), f.shown(replaced), "shown by PUT");
    // What was read can be sent back, and changes nothing but what it does not name.
    const auto read = f.api->client->get("/things/1").body;
    ASSERT_EQ(f.api->client->patch("/things/1", json::to_string(f.members(f.parse(read)))).status, 200);
    f.same(f.members(f.parse(f.api->client->get("/things/1").body)), f.members(f.parse(read)),
           "after it was sent back");
  }
}

TEST(Members, ClientsWriteAndSeeWhatAnySchemaAllows) {
  const auto rounds = std::getenv("PLIMSOLL_TORTURE") ? 3000u : 40u;
  for (std::uint64_t seed = 1; seed <= rounds; ++seed) {
    run(seed);
    if (::testing::Test::HasFailure()) return;  // one contract is enough to read
  }
}

/// A contract whose table has the columns `id` and those given.
std::string things(const std::string& columns, const std::string& options = "", const std::string& more = "") {
  return R"(openapi: 3.1.0
info: {title: T, version: 1.0.0}
x-plimsoll:
  rate-limit: off
  authorization: any-caller
  tables:
    things:
      schema: '#/components/schemas/Thing'
)" + options +
         R"(components:
  schemas:
    Thing:
      type: object
      required: [id]
      properties:
        id: {type: integer}
)" + columns +
         more + R"(
paths:
  /things:
    get:
      x-plimsoll: {table: things}
      responses: {'200': {description: ok}}
)";
}

TEST(Members, WhatTheDataWouldDecideStopsTheStart) {
  const struct {
    const char *columns, *told;
  } kCases[] = {
      {"        meta: {oneOf: [{properties: {total: {type: string, readOnly: true}}}, {properties: {total: {type: "
       "string}}}]}\n",
       "\"readOnly\" of member \"/meta/total\""},
      {"        meta: {properties: {total: {type: string}}, anyOf: [{properties: {total: {writeOnly: true}}}, {}]}\n",
       "\"writeOnly\" of member \"/meta/total\""},
      {"        meta: {type: array, items: {if: {required: [a]}, then: {properties: {b: {readOnly: true}}}, else: "
       "{properties: {b: {}}}}}\n",
       "\"readOnly\" of member \"/meta/*/b\""},
      {"        meta: {patternProperties: {'^x': {properties: {a: {writeOnly: true}}}}}\n", "`patternProperties`"},
      {"        meta: {allOf: [{properties: {a: {readOnly: true}}}, {$dynamicRef: '#nowhere'}]}\n", "`$dynamicRef`"},
  };
  for (auto& [columns, told] : kCases) {
    Api api{things(columns)};
    EXPECT_FALSE(api.client) << columns;
    EXPECT_NE(api.complaints.find(told), std::string::npos) << columns << api.complaints;
    EXPECT_NE(api.complaints.find("api.yaml:16:"), std::string::npos) << api.complaints;
    EXPECT_NE(api.complaints.find("Mark the member in every alternative"), std::string::npos) << api.complaints;
  }
  for (const char* decided : {
           "        meta: {oneOf: [{properties: {total: {readOnly: true}}}, {properties: {other: {}}}]}\n",
           "        meta: {oneOf: [{properties: {total: {readOnly: true}}}, {properties: {total: {readOnly: "
           "true}}}]}\n",
           "        meta: {anyOf: [{type: object, properties: {total: {writeOnly: true}}}, {type: 'null'}]}\n",
       }) {
    Api api{things(decided)};
    EXPECT_TRUE(api.client) << decided << api.complaints;
  }
}

TEST(Members, AWriteOnlyColumnCannotBeAskedFor) {
  const std::string secret = "        secret: {allOf: [{type: string}, {writeOnly: true}]}\n";
  for (const char* options : {"      filters: {secret: [eq]}\n", "      sort: [secret]\n", "      search: [secret]\n",
                              "      key: secret\n", "      embeds: {others: {table: things, by: secret}}\n",
                              "      embeds: {other: {table: things, on: secret}}\n"}) {
    Api api{things(secret, options)};
    EXPECT_FALSE(api.client) << options;
    EXPECT_NE(api.complaints.find("\"secret\""), std::string::npos) << api.complaints;
    EXPECT_NE(api.complaints.find("is `writeOnly`"), std::string::npos) << api.complaints;
  }
  Api api{things(secret),
          {"CREATE TABLE things(id INTEGER PRIMARY KEY, secret TEXT)", "INSERT INTO things VALUES(1,'x')"}};
  ASSERT_TRUE(api.client) << api.complaints;
  EXPECT_EQ(api.client->get("/things?fields=secret").status, 400);
  EXPECT_EQ(testkit::member(api.client->get("/things").body, "data"), R"([{"id":1}])");
}

constexpr auto kProgram = R"(openapi: 3.1.0
info: {title: T, version: 1.0.0}
x-plimsoll: {rate-limit: off, authorization: any-caller}
components:
  schemas:
    Stamp: {properties: {by: {type: string, readOnly: true}}}
    Account:
      type: object
      properties:
        name: {type: string}
        balance: {allOf: [{$ref: '#/components/schemas/Money'}]}
        pin: {allOf: [{type: string}, {writeOnly: true}]}
        lines: {type: array, items: {allOf: [{$ref: '#/components/schemas/Stamp'}]}}
        keys: {type: object, additionalProperties: {type: object, properties: {secret: {type: string, writeOnly: true}}}}
    Money: {type: string, readOnly: true}
paths:
  /accounts:
    post:
      operationId: echo
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Account'}}}}
      responses: {'200': {description: ok, content: {application/json: {schema: {}}}}}
    get:
      operationId: shown
      responses: {'200': {description: ok, content: {application/json: {schema: {type: array, items: {$ref: '#/components/schemas/Account'}}}}}}
  /mocked:
    get:
      x-plimsoll: {mock: true}
      responses:
        '200':
          description: ok
          content:
            application/json:
              schema: {$ref: '#/components/schemas/Account'}
              example: {name: Ada, pin: '1234', keys: {k: {secret: s, id: 1}}}
)";

TEST(Members, HandlersOfAProgramAndExamplesKeepToTheMarksToo) {
  const auto answer = [](Context& context, std::string_view text) {
    Response response{.status = 200, .headers = Headers{context.arena}, .body = context.kept(text)};
    response.headers.add("content-type", "application/json");
    return response;
  };
  Api api{kProgram, {}, [&](Application& application) {
            application.on("echo", [&](Request&, Context& context) -> Task<Result<Response>> {
              co_return answer(context, json::to_string(*context.input.body));
            });
            application.on("shown", [&](Request&, Context& context) -> Task<Result<Response>> {
              co_return answer(context, R"([{"name":"Ada","pin":"1234","keys":{"k":{"secret":"s","id":1}}}])");
            });
          }};
  ASSERT_TRUE(api.client) << api.complaints;
  EXPECT_EQ(
      api.client->post("/accounts", R"({"name":"Ada","balance":"1.00","pin":"1234","lines":[{"by":"eve","n":1}]})")
          .body,
      R"({"name":"Ada","pin":"1234","lines":[{"n":1}]})");
  EXPECT_EQ(api.client->get("/accounts").body, R"([{"name":"Ada","keys":{"k":{"id":1}}}])");
  EXPECT_EQ(api.client->get("/mocked").body, R"({"name":"Ada","keys":{"k":{"id":1}}})");
}

}  // namespace
}  // namespace plimsoll::table
