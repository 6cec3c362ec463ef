#include "operations.hpp"

#include "photos.hpp"
#include "pricing.hpp"

#include <map>
#include <plimsoll/base/uuid.hpp>
#include <plimsoll/database/database.hpp>
#include <plimsoll/exchange/principal.hpp>
#include <plimsoll/exchange/unit.hpp>
#include <plimsoll/json/write.hpp>
#include <plimsoll/server/site.hpp>

namespace shop {
namespace {

using namespace plimsoll;
using database::Cell;

Response answer(Context& context, std::uint16_t status, std::string_view type, Body body) {
  Response response{.status = status, .headers = Headers{context.arena}, .body = body};
  response.headers.add("content-type", type);
  return response;
}

Response json_answer(Context& context, std::uint16_t status, std::string_view body) {
  return answer(context, status, "application/json", context.arena.keep(body));
}

const std::string& text(const Cell& cell) { return std::get<std::string>(cell); }

/// Another's order does not exist, as the contract has it for the table.
bool sees(const Principal* caller, std::string_view customer) {
  if (!caller) return false;
  for (const auto role : caller->roles)
    if (role == "support" || role == "admin") return true;
  return caller->subject == customer;
}

/// `POST /quotes`: one read for all products. The body was checked against the contract before.
Task<Result<Response>> quote(Request&, Context& context) {
  std::map<std::string, std::int64_t, std::less<>> quantities;
  for (const auto& item : context.input.body->find("items")->array())
    quantities[std::string(item.find("product_id")->string())] += *item.find("quantity")->integer();
  std::string wanted;
  json::Writer list(wanted);
  list.begin_array();
  for (const auto& [product, quantity] : quantities) list.string(product);
  list.end_array();

  const Cell parameters[] = {wanted};
  auto rows = co_await context.services.database->read(
      context.loop,
      "SELECT id, price FROM products WHERE id IN (SELECT value FROM json_each(?)) AND discontinued_at IS NULL",
      parameters, true);
  if (!rows) co_return std::unexpected(std::move(rows).error());
  if (rows->size() != quantities.size()) co_return fail(database::kConflict, "A product is not sold any more.");

  std::int64_t total = 0;
  for (const auto& row : *rows) total += cents(text(row[1])).value() * quantities[text(row[0])];
  co_return json_answer(context, 200, R"({"total":")" + amount(total) + "\"}");
}

/// What `checkOut` writes. On SQLite it runs on the writer's thread, in a savepoint of its own, perhaps together with
/// the work of others; it waits for its session only.
Task<Result<Response>> pay(database::Session& session, Context& context, const std::string& order,
                           const std::string& method) {
  const Cell key[] = {order};
  auto found = co_await session.query("SELECT status, total, customer_id FROM orders WHERE id = ?", key);
  if (!found) co_return std::unexpected(std::move(found).error());
  if (found->empty() || !sees(context.principal, text(found->front()[2])))
    co_return fail(server::kNotFound, "There is no order " + order + ".");
  const auto& status = text(found->front()[0]);
  const auto& total = text(found->front()[1]);
  if (status != "open") co_return fail(database::kConflict, "The order is " + status + ".");

  const Cell payment[] = {uuid7(context.wall).to_string(), order, method, total, context.wall / kSecond};
  auto paid = co_await session.query(
      "INSERT INTO payments (id, order_id, method, amount, status, created_at) "
      "VALUES (?, ?, ?, ?, 'settled', strftime('%Y-%m-%dT%H:%M:%SZ', ?, 'unixepoch')) "
      "RETURNING json_object('id', id, 'order_id', order_id, 'method', method, 'amount', amount, 'status', status, "
      "'created_at', created_at)",
      payment);
  if (!paid) co_return std::unexpected(std::move(paid).error());
  auto changed = co_await session.query("UPDATE orders SET status = 'paid' WHERE id = ?", key);
  if (!changed) co_return std::unexpected(std::move(changed).error());
  co_return json_answer(context, 201, text(paid->front()[0]));
}

/// `POST /orders/{id}/checkout`: the payment and the order's new status become durable together, or neither does. The
/// answer leaves after the commit, which is the chain's to make.
Task<Result<Response>> check_out(Request&, Context& context) {
  const auto order = std::string(context.parameter("id")->string());
  const auto method = std::string(context.input.body->find("method")->string());
  context.wrote("orders");
  context.wrote("payments");
  auto done =
      co_await context.unit().answer([&](database::Session& session) { return pay(session, context, order, method); });
  co_return done;
}

/// All orders as lines of JSON, five hundred at a time: the next are read when the client has taken the last.
class Orders final : public Stream {
 public:
  explicit Orders(Context& context) : context_(context) {}

  Task<Result<Bytes>> read() override {
    const Cell after[] = {last_};
    auto rows = co_await context_.services.database->read(
        context_.loop,
        "SELECT id, json_object('id', id, 'customer_id', customer_id, 'status', status, 'total', total) FROM orders "
        "WHERE id > ? ORDER BY id LIMIT 500",
        after, true);
    if (!rows) co_return std::unexpected(std::move(rows).error());
    lines_.clear();
    for (const auto& row : *rows) lines_ += text(row[1]) + '\n';
    if (!rows->empty()) last_ = text(rows->back()[0]);
    co_return as_bytes(lines_);  // none left: the empty piece is the end
  }

 private:
  Context& context_;
  std::string last_, lines_;
};

Task<Result<Response>> export_orders(Request&, Context& context) {
  co_return answer(context, 200, "application/x-ndjson", &context.keep<Orders>(context));
}

}  // namespace

std::string contract() { return SHOP_CONTRACT "/shop.yaml"; }

void bind(Application& application) {
  application.overlay(SHOP_OVERLAY)
      .on("quote", quote)
      .on("checkOut", check_out)
      .on("exportOrders", export_orders)
      .on("putPhoto", put_photo());
}

}  // namespace shop
