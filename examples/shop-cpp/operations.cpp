#include "operations.hpp"

#include "photos.hpp"
#include "pricing.hpp"

#include <map>
#include <plimsoll/base/uuid.hpp>
#include <plimsoll/exchange/unit.hpp>

namespace shop {
namespace {

using namespace plimsoll;

struct Item {
  std::string product_id;
  std::int64_t quantity;
};
struct Cart {
  std::vector<Item> items;
};
struct Price {
  std::string total;
};

/// `POST /quotes`: one read for all products. The body was checked against the contract before.
Task<Result<Json<Price>>> quote(Database database, JsonBody<Cart> cart) {
  std::map<std::string, std::int64_t> quantities;
  for (const auto& item : cart->items) quantities[item.product_id] += item.quantity;
  std::vector<std::string> wanted;
  for (const auto& [product, quantity] : quantities) wanted.push_back(product);

  struct Product {
    std::string id, price;
  };
  auto products = co_await database.all<Product>(
      "SELECT id, price FROM products WHERE id IN (SELECT value FROM json_each(?)) AND discontinued_at IS NULL",
      json::to_string(wanted));
  if (!products) co_return passed_on(products);
  if (products->size() != quantities.size()) co_return fail(database::kConflict, "A product is not sold any more.");

  std::int64_t total = 0;
  for (const auto& product : *products) total += cents(product.price).value() * quantities[product.id];
  co_return Price{amount(total)};
}

struct Method {
  std::string method;
};
struct Order {
  std::string status, total, customer_id;
};
struct Payment {
  std::string id, order_id, method, amount, status, created_at;
};

/// What `checkOut` writes. On SQLite it runs on the writer's thread, in a savepoint of its own, perhaps together with
/// the work of others; it waits for its session only. An order that the caller may not see is not there.
Task<Result<Json<Payment, 201>>> pay(database::Session& session, std::string id, std::string method,
                                     std::string seen_by, Nanoseconds now) {
  auto order = co_await find<Order>(
      session, "SELECT status, total, customer_id FROM orders WHERE id = ? AND ? IN ('', customer_id)", id, seen_by);
  if (!order) co_return passed_on(order);
  if (!*order) co_return fail(kNotFound, "There is no order " + id + ".");
  if ((*order)->status != "open") co_return fail(database::kConflict, "The order is " + (*order)->status + ".");

  auto paid = co_await find<Payment>(session,
                                     "INSERT INTO payments (id, order_id, method, amount, status, created_at) "
                                     "VALUES (?, ?, ?, ?, 'settled', strftime('%Y-%m-%dT%H:%M:%SZ', ?, 'unixepoch')) "
                                     "RETURNING id, order_id, method, amount, status, created_at",
                                     uuid7(now).to_string(), id, method, (*order)->total, now / kSecond);
  if (!paid) co_return passed_on(paid);
  auto changed = co_await execute(session, "UPDATE orders SET status = 'paid' WHERE id = ?", id);
  if (!changed) co_return passed_on(changed);
  co_return std::move(**paid);
}

/// `POST /orders/{id}/checkout`: the payment and the order's new status become durable together, or neither does. The
/// answer leaves after the commit, which is the chain's to make.
Task<Result<Committed<Json<Payment, 201>>>> check_out(Context& context, UnitOfWork unit, const Principal& caller,
                                                      Parameter<"id", std::string> id, JsonBody<Method> payment,
                                                      Role<"support"> support, Role<"admin"> admin) {
  context.wrote("orders");
  context.wrote("payments");
  const auto seen_by = support || admin ? std::string{} : std::string(caller.subject);
  auto paid = co_await unit.answer(pay, *id, payment->method, seen_by, context.wall);
  co_return paid;
}

/// All orders as lines of JSON, five hundred at a time: the next are read when the client has taken the last.
class Orders final : public Stream {
 public:
  explicit Orders(Database database) : database_(database) {}

  Task<Result<Bytes>> read() override {
    struct Line {
      std::string id, json;
    };
    auto rows = co_await database_.all<Line>(
        "SELECT id, json_object('id', id, 'customer_id', customer_id, 'status', status, 'total', total) FROM orders "
        "WHERE id > ? ORDER BY id LIMIT 500",
        last_);
    if (!rows) co_return passed_on(rows);
    lines_.clear();
    for (const auto& row : *rows) lines_ += row.json + '\n';
    if (!rows->empty()) last_ = rows->back().id;
    co_return as_bytes(lines_);  // none left: the empty piece is the end
  }

 private:
  Database database_;
  std::string last_, lines_;
};

Task<Result<Content<"application/x-ndjson">>> export_orders(Context& context, Database database) {
  co_return context.stream<Orders>(database);
}

}  // namespace

std::string contract() { return SHOP_CONTRACT "/shop.yaml"; }

void bind(Application& application) {
  application.overlay(SHOP_OVERLAY).on("quote", quote).on("checkOut", check_out).on("exportOrders", export_orders);
  bind_photos(application);
}

}  // namespace shop
