#include "plimsoll/json/write.hpp"
#include "plimsoll/testkit/api.hpp"

namespace plimsoll::table {
namespace {

using testkit::Api;
using testkit::member;

constexpr auto kShop = R"(openapi: 3.1.0
info: {title: Shop, version: 1.0.0}
x-plimsoll:
  rate-limit: off
  authorization: any-caller
  tables:
    customers:
      schema: '#/components/schemas/Customer'
      embeds: {orders: {table: orders, by: customer_id, limit: 2}}
      search: [name]
    orders:
      schema: '#/components/schemas/Order'
      filters: {status: [eq, in, ne], total: [ge, le, eq], note: [is-null, like], rush: eq}
      sort: [total, note]
      search: [note]
      embeds: {customer: {table: customers, on: customer_id}}
      page: {default: 3, max: 100}
components:
  schemas:
    Customer:
      type: object
      required: [id, name]
      properties:
        id: {type: string, format: uuid, readOnly: true}
        name: {type: string, minLength: 1}
        born: {type: string, format: date-time}
        address: {type: object}
        labels: {type: array, items: {type: string}}
        mood: {type: [string, 'null'], enum: [glad, sad]}
    Order:
      type: object
      required: [id, customer_id, status, total, created_at]
      properties:
        id: {type: integer, readOnly: true}
        customer_id: {type: string}
        status: {type: string, enum: [open, paid], default: open}
        total: {type: string, format: decimal}
        weight: {type: [number, 'null'], minimum: 0}
        rush: {type: [boolean, 'null']}
        note: {type: [string, 'null']}
        tags: {type: [array, 'null'], items: {type: string}}
        extra: {type: [object, 'null']}
        secret: {type: [string, 'null'], writeOnly: true}
        created_at: {type: string, format: date-time, readOnly: true}
paths:
  /customers:
    get:
      operationId: listCustomers
      x-plimsoll: {table: customers}
      responses: {'200': {description: ok}}
    post: &create
      operationId: createCustomer
      x-plimsoll: {table: customers}
      requestBody: {required: true, content: {application/json: {schema: {type: object}}}}
      responses: {'201': {description: made}}
  /customers/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get:
      operationId: getCustomer
      x-plimsoll: {table: customers}
      responses: {'200': {description: ok}}
    patch:
      operationId: patchCustomer
      x-plimsoll: {table: customers}
      requestBody: {required: true, content: {application/json: {schema: {type: object}}}}
      responses: {'200': {description: ok}}
    put:
      operationId: putCustomer
      x-plimsoll: {table: customers}
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Customer'}}}}
      responses: {'200': {description: ok}}
    delete:
      operationId: deleteCustomer
      x-plimsoll: {table: customers}
      responses: {'204': {description: gone}}
  /customers/{customer_id}/orders:
    parameters: [{name: customer_id, in: path, required: true, schema: {type: string}}]
    get:
      operationId: listOrdersOfCustomer
      x-plimsoll: {table: orders}
      responses: {'200': {description: ok}}
  /orders:
    get:
      operationId: listOrders
      x-plimsoll: {table: orders}
      responses: {'200': {description: ok}}
    post:
      operationId: createOrder
      x-plimsoll: {table: orders}
      requestBody: {required: true, content: {application/json: {schema: {type: object}}}}
      responses: {'201': {description: made}}
  /orders/batch:
    post:
      operationId: createOrders
      x-plimsoll: {table: orders, batch: {create: {max: 5}}}
      requestBody: {required: true, content: {application/json: {schema: {type: array}}}}
      responses: {'201': {description: made}}
  /orders/import:
    post:
      operationId: importOrders
      x-plimsoll: {table: orders, batch: {create: {max: 5, on-error: continue}}}
      requestBody: {required: true, content: {application/json: {schema: {type: array}}}}
      responses: {'207': {description: results}}
  /orders/removal:
    post:
      operationId: removeOrders
      x-plimsoll: {table: orders, batch: {delete: {max: 5, on-error: continue}}}
      requestBody: {required: true, content: {application/json: {schema: {type: array}}}}
      responses: {'207': {description: results}}
  /orders/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    get:
      operationId: getOrder
      x-plimsoll: {table: orders}
      responses: {'200': {description: ok}}
    patch:
      operationId: patchOrder
      x-plimsoll: {table: orders}
      requestBody: {required: true, content: {application/json: {schema: {type: object}}}}
      responses: {'200': {description: ok}}
    put:
      operationId: putOrder
      x-plimsoll: {table: orders}
      requestBody: {required: true, content: {application/json: {schema: {type: object}}}}
      responses: {'200': {description: ok}}
    delete:
      operationId: deleteOrder
      x-plimsoll: {table: orders}
      responses: {'204': {description: gone}}
)";

class TableTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(api.client) << api.complaints;
    customer = member(api.client->post("/customers", R"({"name":"Ada"})").body, "id");
    ASSERT_EQ(customer.size(), 36u);
  }
  testkit::Answer create(const std::string& rest = R"("total":"9.50")") {
    return api.client->post("/orders", "{\"customer_id\":\"" + customer + "\"," + rest + "}");
  }
  Api api{kShop};
  std::string customer;
};

TEST_F(TableTest, CreatesARowAndTellsWhereItIs) {
  const auto made = create(R"("total":"9.50","tags":["a","b"],"rush":true,"secret":"s")");
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.header("location"), "/orders/1");
  EXPECT_EQ(member(made.body, "status"), "open");  // the default
  EXPECT_EQ(member(made.body, "total"), "9.50");
  EXPECT_EQ(member(made.body, "tags"), R"(["a","b"])");
  EXPECT_EQ(member(made.body, "rush"), "true");
  EXPECT_EQ(member(made.body, "note"), "null");
  EXPECT_EQ(member(made.body, "secret"), "");  // write-only
  EXPECT_EQ(member(made.body, "created_at").size(), 24u);
  const auto read = api.client->get("/orders/1");
  EXPECT_EQ(read.status, 200);
  EXPECT_EQ(read.body, made.body);
  EXPECT_EQ(read.header("etag"), made.header("etag"));
  EXPECT_EQ(read.header("cache-control"), "private, no-cache");
}

TEST_F(TableTest, ReadsConditionally) {
  const auto made = create();
  const std::string tag(made.header("etag"));
  const auto same = api.client->get("/orders/1", {{"if-none-match", tag}});
  EXPECT_EQ(same.status, 304);
  EXPECT_EQ(same.body, "");
  EXPECT_EQ(api.client->get("/orders/1", {{"if-none-match", "\"other\""}}).status, 200);
  EXPECT_EQ(api.client->get("/orders/2").problem, "no-such-row");
  EXPECT_EQ(api.client->get("/customers/nobody").problem, "no-such-row");
}

TEST_F(TableTest, ChangesARowByMergePatchUnderItsTag) {
  const auto made = create(R"("total":"9.50","extra":{"a":1,"b":{"c":2}})");
  const std::string tag(made.header("etag"));
  const auto patched =
      api.client->patch("/orders/1", R"({"status":"paid","extra":{"a":null,"b":{"d":3}}})", {{"if-match", tag}});
  ASSERT_EQ(patched.status, 200) << patched.body;
  EXPECT_EQ(member(patched.body, "status"), "paid");
  EXPECT_EQ(member(patched.body, "total"), "9.50");
  EXPECT_EQ(member(patched.body, "extra"), R"({"b":{"c":2,"d":3}})");
  const auto stale = api.client->patch("/orders/1", R"({"status":"open"})", {{"if-match", tag}});
  EXPECT_EQ(stale.problem, "precondition-failed");
  EXPECT_EQ(api.client->patch("/orders/9", R"({"status":"open"})").problem, "no-such-row");
  EXPECT_EQ(api.client->patch("/orders/1", "{}").body, patched.body);
}

TEST_F(TableTest, ReplacesAndDeletesARow) {
  (void)create(R"("total":"9.50","note":"old")");
  const auto put = api.client->request("PUT", "/orders/1", {{"content-type", "application/json"}},
                                       "{\"customer_id\":\"" + customer + "\",\"total\":\"1\"}");
  ASSERT_EQ(put.status, 200) << put.body;
  EXPECT_EQ(member(put.body, "note"), "null");
  EXPECT_EQ(member(put.body, "status"), "open");
  EXPECT_EQ(api.client->request("DELETE", "/orders/1", {{"if-match", "\"no\""}}).problem, "precondition-failed");
  EXPECT_EQ(api.client->request("DELETE", "/orders/1").status, 204);
  EXPECT_EQ(api.client->request("DELETE", "/orders/1").status, 404);
}

TEST_F(TableTest, NamesWhatIsWrongWithARow) {
  const auto pointer_of = [](const testkit::Answer& answer) {
    const auto errors = member(answer.body, "errors");
    const auto at = errors.find("\"pointer\":\"");
    return at == errors.npos ? std::string{} : errors.substr(at + 11, errors.find('"', at + 11) - at - 11);
  };
  auto missing = api.client->post("/orders", "{\"customer_id\":\"" + customer + "\"}");
  EXPECT_EQ(missing.status, 422);
  EXPECT_EQ(pointer_of(missing), "/total");
  auto unknown = create(R"("total":"1","totl":1)");
  EXPECT_EQ(unknown.status, 422);
  EXPECT_EQ(pointer_of(unknown), "/totl");
  auto type = create(R"("total":1)");
  EXPECT_EQ(type.status, 422);
  EXPECT_EQ(pointer_of(type), "/total");
  auto nul = create(R"("total":"1","note":"a\u0000b")");
  EXPECT_EQ(nul.status, 422);
  EXPECT_EQ(pointer_of(nul), "/note");
  auto reference = api.client->post("/orders", R"({"customer_id":"nobody","total":"1"})");
  EXPECT_EQ(reference.problem, "constraint");
  EXPECT_EQ(pointer_of(reference), "/customer_id");
  (void)create();
  EXPECT_EQ(api.client->request("DELETE", "/customers/" + customer).problem, "conflict");
}

/// A row keeps to its schema: null is told where null is a value of it, and nothing where it is none.
TEST_F(TableTest, WhatTheSchemaDoesNotLetBeNullIsAbsent) {
  const auto path = "/customers/" + customer;
  const auto lone = api.client->get(path);
  EXPECT_EQ(lone.body, R"({"id":")" + customer + R"(","name":"Ada"})");
  const auto back = api.client->request("PUT", path, {{"content-type", "application/json"}}, lone.body);
  EXPECT_EQ(back.status, 200) << back.body;
  EXPECT_EQ(back.body, lone.body);
  const auto whole = api.client->patch(
      path, R"({"born":"2000-01-01T00:00:00Z","address":{"city":"Rome","street":"x"},"labels":["a"],"mood":"glad"})");
  EXPECT_EQ(member(whole.body, "address"), R"({"city":"Rome","street":"x"})") << whole.body;
  EXPECT_EQ(api.client->patch(path, R"({"address":{"street":null}})").status, 200);
  EXPECT_EQ(member(api.client->get(path).body, "address"), R"({"city":"Rome"})");
  (void)create();
  const auto embedded = api.client->get("/orders?fields=id,customer");
  EXPECT_EQ(
      member(embedded.body, "data"),
      R"([{"id":1,"customer":{"id":")" + customer +
          R"(","name":"Ada","born":"2000-01-01T00:00:00Z","address":{"city":"Rome"},"labels":["a"],"mood":"glad"}}])");
  const auto bare = api.client->patch(path, R"({"born":null,"address":null,"labels":null,"mood":null})");
  EXPECT_EQ(bare.body, lone.body) << "null takes a member away (RFC 7396)";
  EXPECT_EQ(member(api.client->get("/orders?fields=customer").body, "data"), R"([{"customer":)" + lone.body + "}]");
  EXPECT_EQ(member(api.client->get("/orders?fields=customer(born)").body, "data"), R"([{"customer":{}}])");
  EXPECT_EQ(member(api.client->get("/customers?fields=born").body, "data"), "[{}]");
  const auto null = api.client->post("/customers", R"({"name":"Bob","born":null,"labels":null})");
  EXPECT_EQ(null.status, 422);
  EXPECT_NE(null.body.find("/born"), std::string::npos) << null.body;
  EXPECT_NE(null.body.find("/labels"), std::string::npos) << null.body;
}

TEST_F(TableTest, TellsAllFailuresOfARowAtOnceAndEachOnce) {
  const auto made = create(R"("total":"1","totl":1,"note":"a\u0000b","weight":-1,"status":"lost")");
  EXPECT_EQ(made.status, 422);
  for (std::string_view pointer : {"/totl", "/note", "/weight", "/status"})
    EXPECT_NE(made.body.find("\"pointer\":\"" + std::string(pointer) + "\""), std::string::npos)
        << pointer << " in " << made.body;
  const auto required = api.client->post("/customers", R"({"name":"a\u0000b"})");
  EXPECT_EQ(required.body.find("is required"), std::string::npos) << "it is there, and wrong: " << required.body;
  EXPECT_EQ(member(required.body, "detail"), "body /name: must not contain U+0000");
  const auto batch = api.client->post(
      "/orders/batch", R"([{"customer_id":")" + customer + R"(","total":"1"},{"customer_id":"nobody","total":"1"}])");
  EXPECT_EQ(member(batch.body, "detail"), "body /1/customer_id: refers to a row that does not exist");
  const auto removal = api.client->post("/orders/removal", R"(["x",null,77])");
  EXPECT_EQ(removal.status, 207);
  EXPECT_NE(removal.body.find(R"("pointer":"/0","keyword":"type")"), std::string::npos) << removal.body;
  EXPECT_NE(removal.body.find(R"("pointer":"/1","keyword":"type")"), std::string::npos) << removal.body;
  EXPECT_NE(removal.body.find(R"({"status":404)"), std::string::npos) << removal.body;
}

TEST_F(TableTest, ListsPageByPageBothWays) {
  for (auto total : {"3", "1", "2", "10", "1"})
    ASSERT_EQ(create("\"total\":\"" + std::string(total) + "\"").status, 201);
  auto first = api.client->get("/orders?sort=total&fields=id,total&limit=2&count=exact");
  ASSERT_EQ(first.status, 200) << first.body;
  EXPECT_EQ(member(first.body, "data"), R"([{"id":2,"total":"1"},{"id":5,"total":"1"}])");
  EXPECT_EQ(member(first.body, "prev_cursor"), "null");
  EXPECT_EQ(member(first.body, "has_more"), "true");
  EXPECT_EQ(member(first.body, "total"), "5");
  EXPECT_NE(first.header("link").find("rel=\"next\""), std::string_view::npos);
  auto second =
      api.client->get("/orders?sort=total&fields=id,total&limit=2&cursor=" + member(first.body, "next_cursor"));
  EXPECT_EQ(member(second.body, "data"), R"([{"id":3,"total":"2"},{"id":1,"total":"3"}])");
  auto third =
      api.client->get("/orders?sort=total&fields=id,total&limit=2&cursor=" + member(second.body, "next_cursor"));
  EXPECT_EQ(member(third.body, "data"), R"([{"id":4,"total":"10"}])");  // numbers, not texts
  EXPECT_EQ(member(third.body, "next_cursor"), "null");
  auto back = api.client->get("/orders?sort=total&fields=id,total&limit=2&cursor=" + member(third.body, "prev_cursor"));
  EXPECT_EQ(member(back.body, "data"), member(second.body, "data"));
  auto start = api.client->get("/orders?sort=total&fields=id,total&limit=2&cursor=" + member(back.body, "prev_cursor"));
  EXPECT_EQ(member(start.body, "data"), member(first.body, "data"));
  EXPECT_EQ(member(start.body, "prev_cursor"), "null");
  auto numbered = api.client->get("/orders?sort=total&fields=id,total&limit=2&page=2");
  EXPECT_EQ(member(numbered.body, "data"), member(second.body, "data"));
  EXPECT_EQ(api.client->get("/orders?page=5001&limit=2").status, 400);
}

TEST_F(TableTest, ACursorIsGoodForItsOwnListOnly) {
  for (int i = 0; i < 5; ++i) (void)create();
  const auto cursor = member(api.client->get("/orders?sort=total&limit=2").body, "next_cursor");
  EXPECT_EQ(api.client->get("/orders?sort=total&limit=3&cursor=" + cursor).status, 200);
  for (std::string target : {"/orders?sort=-total&cursor=", "/orders?sort=note&cursor=", "/orders?cursor=",
                             "/orders?sort=total&status=open&cursor=", "/orders?sort=total&cursor=A"})
    EXPECT_EQ(api.client->get(target + cursor).problem, "invalid-cursor") << target;
  auto forged = cursor;
  forged[forged.size() / 2] = forged[forged.size() / 2] == 'A' ? 'B' : 'A';
  EXPECT_EQ(api.client->get("/orders?sort=total&cursor=" + forged).problem, "invalid-cursor");
  ASSERT_TRUE(api.start());  // another instance reads the same key
  EXPECT_EQ(api.client->get("/orders?sort=total&limit=3&cursor=" + cursor).status, 200);
}

TEST_F(TableTest, FiltersAndSearches) {
  (void)create(R"("total":"5","note":"Blue chairs","rush":true)");
  (void)create(R"("total":"50.0","status":"paid")");
  (void)create(R"("total":"500","note":"red chairs, 100%","rush":false)");
  const auto ids = [&](std::string query) {
    const auto answer = api.client->get("/orders?fields=id&" + query);
    return answer.status == 200 ? member(answer.body, "data") : answer.body;
  };
  EXPECT_EQ(ids("status=paid"), R"([{"id":2}])");
  EXPECT_EQ(ids("status=paid,open"), R"([{"id":1},{"id":2},{"id":3}])");
  EXPECT_EQ(ids("status[ne]=paid"), R"([{"id":1},{"id":3}])");
  EXPECT_EQ(ids("total[ge]=50"), R"([{"id":2},{"id":3}])");
  EXPECT_EQ(ids("total=50"), R"([{"id":2}])");
  EXPECT_EQ(ids("total%5Bge%5D=6&total[le]=400"), R"([{"id":2}])");
  EXPECT_EQ(ids("note[is-null]=true"), R"([{"id":2}])");
  EXPECT_EQ(ids("note[is-null]=false&rush=false"), R"([{"id":3}])");
  EXPECT_EQ(ids("note[like]=*chairs"), R"([{"id":1}])");
  EXPECT_EQ(ids("note[like]=*100\\%25"), R"([{"id":3}])");
  EXPECT_EQ(ids("q=chairs"), R"([{"id":1},{"id":3}])");
  EXPECT_EQ(ids("q=chair*+blue"), R"([{"id":1}])");
  EXPECT_EQ(ids("q=%22+OR+1"), "[]");
  EXPECT_EQ(api.client->get("/orders?totl=1").status, 400);
}

TEST_F(TableTest, TheSearchFollowsEveryChangeAndKeysOfEitherKind) {
  const auto found = [&](const std::string& q) {
    return member(api.client->get("/orders?fields=id&q=" + q).body, "data");
  };
  const auto named = [&](const std::string& q) {
    return member(api.client->get("/customers?fields=name&q=" + q).body, "data");
  };
  (void)create(R"("total":"5","note":"walnut table")");
  EXPECT_EQ(found("walnut"), R"([{"id":1}])");
  (void)api.client->patch("/orders/1", R"({"note":"oak table"})");
  EXPECT_EQ(found("walnut"), "[]");
  EXPECT_EQ(found("oak"), R"([{"id":1}])");
  (void)api.client->request("DELETE", "/orders/1");
  EXPECT_EQ(found("oak"), "[]");
  EXPECT_EQ(named("ada"), R"([{"name":"Ada"}])");
  ASSERT_TRUE(api.sql("INSERT INTO customers(id,name) VALUES('x','Grete Ada'),('y','Blaise')"));
  ASSERT_TRUE(api.sql("DELETE FROM customers WHERE id='y'"));
  EXPECT_EQ(named("ada&count=exact").size(), std::string(R"([{"name":"Ada"},{"name":"Grete Ada"}])").size());
  EXPECT_EQ(named("blaise"), "[]");
}

TEST_F(TableTest, EmbedsOtherTablesBothWays) {
  for (int i = 0; i < 3; ++i) (void)create("\"total\":\"" + std::to_string(i) + ".10\",\"weight\":0.1,\"rush\":true");
  const auto order = api.client->get("/orders/1?fields=id,customer(name)");
  EXPECT_EQ(order.body, R"({"id":1,"customer":{"name":"Ada"}})");
  const auto owner = api.client->get("/customers/" + customer + "?fields=name,orders(id,total,weight,rush)");
  EXPECT_EQ(owner.body, R"({"name":"Ada","orders":[{"id":1,"total":"0.10","weight":0.1,"rush":true},)"
                        R"({"id":2,"total":"1.10","weight":0.1,"rush":true}],"orders_has_more":true})");
  const auto all = api.client->get("/orders?embed=customer&limit=1");
  EXPECT_NE(all.body.find(R"("customer":{"id":")" + customer), std::string::npos) << all.body;
  EXPECT_EQ(api.client->get("/orders?fields=id,secret").problem, "invalid-query");
  EXPECT_EQ(api.client->get("/orders?fields=id,customer(name").problem, "invalid-query");
  const auto nested = api.client->get("/customers/" + customer + "/orders?fields=id&limit=2");
  EXPECT_EQ(member(nested.body, "data"), R"([{"id":1},{"id":2}])");
  EXPECT_EQ(member(api.client->get("/customers/nobody/orders").body, "data"), "[]");
}

TEST_F(TableTest, BatchesAreAllOrNothingOrTellEachResult) {
  const auto item = [&](std::string rest) { return "{\"customer_id\":\"" + customer + "\"" + rest + "}"; };
  const auto good = item(R"(,"total":"1")");
  const auto made = api.client->post("/orders/batch", "[" + good + "," + good + "]");
  ASSERT_EQ(made.status, 201) << made.body;
  const auto broken = api.client->post("/orders/batch", "[" + good + "," + item("") + "]");
  EXPECT_EQ(broken.status, 422);
  EXPECT_NE(broken.body.find("\"/1/total\""), std::string::npos) << broken.body;
  EXPECT_EQ(api.client->post("/orders/batch", "[1,2,3,4,5,6]").problem, "batch-too-large");
  const auto mixed = api.client->post("/orders/import", "[" + good + "," + item("") + "," + good + "]");
  EXPECT_EQ(mixed.status, 207);
  EXPECT_NE(mixed.body.find("\"status\":422"), std::string::npos) << mixed.body;
  EXPECT_EQ(member(api.client->get("/orders?count=exact").body, "total"), "4");
}

TEST_F(TableTest, AppliesWithoutBodyOrRowsCleanly) {
  EXPECT_EQ(member(api.client->get("/orders").body, "data"), "[]");
  EXPECT_EQ(member(api.client->get("/orders").body, "next_cursor"), "null");
}

/// Four tables, each row of which shows one of the next.
std::string chain_of_tables() {
  std::string tables, schemas, paths;
  for (int i = 1; i <= 4; ++i) {
    const auto name = "t" + std::to_string(i), next = "t" + std::to_string(i + 1);
    const auto schema = "{type: object, required: [id], properties: {id: {type: integer}, name: {type: string}, " +
                        next + "_id: {type: integer}}}";
    schemas += "    " + name + ": " + schema + "\n";
    tables += "    " + name + ": {schema: '#/components/schemas/" + name + "'" +
              (i < 4 ? ", embeds: {" + next + ": {table: " + next + ", on: " + next + "_id}}" : "") + "}\n";
    paths += "  /" + name + ":\n    get: {operationId: list" + name + ", x-plimsoll: {table: " + name +
             ", cache: {ttl: 1h}}, responses: {'200': {description: ok}}}\n    post:\n      operationId: create" +
             name + "\n      x-plimsoll: {table: " + name +
             "}\n      requestBody: {required: true, content: {application/json: {schema: {type: object}}}}\n"
             "      responses: {'201': {description: made}}\n  /" +
             name +
             "/{id}:\n    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]\n    patch:\n" +
             "      operationId: patch" + name + "\n      x-plimsoll: {table: " + name +
             "}\n      requestBody: {required: true, content: {application/json: {schema: {type: object}}}}\n"
             "      responses: {'200': {description: ok}}\n";
  }
  return "openapi: 3.1.0\ninfo: {title: Chain, version: 1.0.0}\nx-plimsoll:\n  rate-limit: off\n  authorization: "
         "any-caller\n"
         "  tables:\n" +
         tables + "components:\n  schemas:\n" + schemas + "paths:\n" + paths;
}

TEST(TableEmbeds, AnAnswerFromMemoryEndsWithAWriteToAnyTableThatItShows) {
  Api api{chain_of_tables()};
  ASSERT_TRUE(api.client) << api.complaints;
  for (int i = 4; i >= 1; --i) {
    const auto made = api.client->post(
        "/t" + std::to_string(i),
        R"({"id":1,"name":"old")" + (i < 4 ? ",\"t" + std::to_string(i + 1) + "_id\":1" : std::string{}) + "}");
    ASSERT_EQ(made.status, 201) << made.body;
  }
  const auto* list = "/t1?fields=t2(t3(t4(name)))";
  const auto data = [&] { return member(api.client->get(list).body, "data"); };
  EXPECT_EQ(data(), R"([{"t2":{"t3":{"t4":{"name":"old"}}}}])");
  EXPECT_TRUE(api.client->get(list).header("cache-status").starts_with("plimsoll; hit"));
  EXPECT_EQ(api.client->patch("/t4/1", R"({"name":"new"})").status, 200);
  EXPECT_EQ(data(), R"([{"t2":{"t3":{"t4":{"name":"new"}}}}])");
}

/// A table of these properties, at /things.
std::string things(const std::string& properties) {
  const std::string body = "requestBody: {content: {application/json: {}}}";
  return R"(openapi: 3.1.0
info: {title: T, version: 1.0.0}
x-plimsoll:
  rate-limit: off
  authorization: any-caller
  tables: {things: {schema: '#/components/schemas/Thing'}}
components:
  schemas:
    Thing: {type: object, required: [id], properties: )" +
         properties + R"(}
paths:
  /things:
    post: {operationId: add, x-plimsoll: {table: things}, )" +
         body + R"(, responses: {default: {description: row}}}
  /things/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    get: {operationId: get, x-plimsoll: {table: things}, responses: {default: {description: row}}}
    patch: {operationId: change, x-plimsoll: {table: things}, )" +
         body + R"(, responses: {default: {description: row}}}
)";
}

/// An object stays for the sake of its `readOnly` members; what is sent in its place is not dropped unsaid.
TEST(TableMembers, WhatIsNoObjectIsRefusedWhereMembersOfTheObjectStay) {
  const auto stamp = [](const std::string& type) {
    return "{type: " + type + ", properties: {by: {type: string, readOnly: true}, note: {type: string}}}";
  };
  Api api{things("{id: {type: integer}, a: " + stamp("object") + ", b: {type: object, properties: {in: " +
                 stamp("object") + "}}, c: " + stamp("[object, string]") + "}")};
  ASSERT_TRUE(api.client) << api.complaints;
  ASSERT_EQ(api.client->post("/things", R"({"id":1})").status, 201);
  ASSERT_TRUE(api.sql(R"(UPDATE things SET a='{"by":"x","note":"n"}', b='{"in":{"by":"y"}}', c='{"by":"z"}')"));
  const auto before = api.client->get("/things/1").body;
  for (const auto& [sent, pointer] : {std::pair{R"({"a":"word"})", "/a"},
                                      {R"({"a":[]})", "/a"},
                                      {R"({"b":{"in":1}})", "/b/in"},
                                      {R"({"b":7})", "/b"}}) {
    const auto answer = api.client->patch("/things/1", sent);
    EXPECT_EQ(answer.status, 422) << sent << answer.body;
    EXPECT_NE(answer.body.find(std::string("\"pointer\":\"") + pointer + '"'), std::string::npos) << answer.body;
    EXPECT_EQ(api.client->get("/things/1").body, before);
  }
  // Valid by itself, and no reason to lose a member that clients cannot write.
  EXPECT_EQ(api.client->patch("/things/1", R"({"c":"word"})").status, 200);
  EXPECT_EQ(member(api.client->get("/things/1").body, "c"), R"({"by":"z"})");
  EXPECT_EQ(api.client->patch("/things/1", R"({"a":null})").status, 200);
  EXPECT_EQ(member(api.client->get("/things/1").body, "a"), R"({"by":"x"})");
}

/// RETURNING of SQLite 3.40 has every integer as a double where the first column of the table is REAL, and a REAL of
/// an integral value as an integer where it is not.
TEST(TableNumbers, AChangeShowsWhatAReadShowsWhateverTheFirstColumnIs) {
  constexpr auto kReal = "weight: {type: number}",
                 kOthers = "id: {type: integer}, rush: {type: boolean}, big: {type: integer}";
  for (auto& properties :
       {"{" + std::string(kReal) + ", " + kOthers + "}", "{" + std::string(kOthers) + ", " + kReal + "}"}) {
    SCOPED_TRACE(properties);
    Api api{things(properties)};
    ASSERT_TRUE(api.client) << api.complaints;
    for (std::string weight : {"0.5", "2", "100000", "100000000000000", "1e300"}) {
      SCOPED_TRACE(weight);
      const auto id = std::to_string(9007199254740993 + static_cast<std::int64_t>(weight.size()) * 2);
      const auto path = "/things/" + id;
      const auto made = api.client->post(
          "/things", R"({"id":)" + id + R"(,"rush":true,"big":-9007199254740993,"weight":)" + weight + "}");
      ASSERT_EQ(made.status, 201) << made.body;
      EXPECT_EQ(made.header("location"), path);
      EXPECT_EQ(member(made.body, "id"), id);
      EXPECT_EQ(member(made.body, "big"), "-9007199254740993");
      EXPECT_EQ(member(made.body, "rush"), "true");
      const auto read = api.client->get(path);
      EXPECT_EQ(read.body, made.body);
      EXPECT_EQ(read.header("etag"), made.header("etag"));
      const auto changed = api.client->patch(path, R"({"rush":false})");
      ASSERT_EQ(changed.status, 200) << changed.body;
      EXPECT_EQ(member(changed.body, "big"), "-9007199254740993");
      EXPECT_EQ(api.client->get(path).body, changed.body);
      EXPECT_EQ(api.client->get(path).header("etag"), changed.header("etag"));
    }
  }
}

}  // namespace
}  // namespace plimsoll::table
