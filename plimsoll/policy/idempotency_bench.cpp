#include "plimsoll/async/loop.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/database/sqlite.hpp"
#include "plimsoll/database/test_folder.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/exchange/unit.hpp"
#include "plimsoll/json/parse.hpp"

#include <benchmark/benchmark.h>

#include <fstream>

namespace plimsoll::policy {
extern const Part idempotency, settle;

namespace {

constexpr std::string_view kContract = R"(
openapi: 3.1.0
info: {title: Payments, version: '1'}
paths:
  /pay:
    post:
      operationId: pay
      responses: {'201': {description: paid}}
)";

/// Writes one row in the exchange's transaction.
class Pay final : public Handler {
 public:
  Task<Result<Response>> handle(Request&, Context& context) override {
    auto done = co_await context.unit().answer([&](database::Session& session) -> Task<Result<Response>> {
      auto put = co_await session.query("INSERT INTO effect(what) VALUES('x')", {});
      if (!put) co_return std::unexpected(std::move(put).error());
      co_return Response{.status = 201, .headers = Headers{context.arena}, .body = lasting("paid")};
    });
    co_return done;
  }
};

class Chain {
 public:
  Chain(std::span<const Part* const> parts) {
    std::ofstream(folder_ / "pay.yaml") << kContract;
    contract_ = *contract::load({.file = folder_ / "pay.yaml"});
    database_ = *database::open_sqlite(
        {.path = folder_ / "pay.db", .synchronous = database::SqliteOptions::Synchronous::normal});
    services_ = {.database = database_.get(), .clock = &system_clock()};
    options_ = *json::parse(R"("optional")", memory_);
    const Build build{*contract_, contract_->operations[0], services_, &handler_};
    for (auto* part : parts) {
      auto made = part->build(*part, part == &idempotency ? &options_ : nullptr, build);
      links_.push_back((*made)->link());
      policies_.push_back(std::move(*made));
    }
    links_.push_back({.handler = &handler_});
    Scope scope;
    loop_.spawn(scope, begin());
    loop_.run();
  }
  /// So many requests at once, each with the key that `key` gives.
  template <class K>
  void ask(int clients, K key) {
    std::vector<Scope> scopes(static_cast<std::size_t>(clients));
    std::vector<std::string> keys;
    for (int i = 0; i < clients; ++i) keys.push_back(key());
    for (std::size_t i = 0; i < keys.size(); ++i) loop_.spawn(scopes[i], one(keys[i]));
    loop_.run();
  }

 private:
  Task<> begin() {
    (void)co_await database_->write(loop_, [](database::Session& session) -> Task<Result<>> {
      auto made = co_await session.query("CREATE TABLE effect(what TEXT)", {});
      if (!made) co_return std::unexpected(std::move(made).error());
      co_return Result<>{};
    });
  }
  Task<> one(const std::string& key) {
    Arena arena;
    Context context{arena, loop_, services_};
    context.operation = &contract_->operations[0];
    context.wall = system_clock().wall();
    context.input.body_text = "{}";
    Request request{.method = "POST", .target = "/pay", .headers = Headers{arena}, .path = "/pay"};
    request.headers.add("idempotency-key", key);
    auto answer = co_await Next{links_.data()}(request, context);
    if (!answer || answer->status != 201) std::abort();
  }
  database::TestFolder folder_;
  Arena memory_;
  Loop loop_;
  std::shared_ptr<const contract::Contract> contract_;
  std::unique_ptr<database::Database> database_;
  Services services_;
  json::Value options_;
  Pay handler_;
  std::vector<std::unique_ptr<Policy>> policies_;
  std::vector<Link> links_;
};

constexpr int kClients = 64;  // whose commits are grouped

void run(benchmark::State& state, std::span<const Part* const> parts, bool repeat) {
  Chain chain{parts};
  std::uint64_t serial = 0;
  if (repeat) chain.ask(1, [] { return std::string("again"); });
  for (auto _ : state)
    chain.ask(kClients, [&] { return repeat ? std::string("again") : "key-" + std::to_string(++serial); });
  state.SetItemsProcessed(state.iterations() * kClients);
}
void a_write_without_the_policy(benchmark::State& state) {
  const Part* parts[] = {&settle};
  run(state, parts, false);
}
void a_write_with_a_fresh_key(benchmark::State& state) {
  const Part* parts[] = {&idempotency, &settle};
  run(state, parts, false);
}
void a_replay(benchmark::State& state) {
  const Part* parts[] = {&idempotency, &settle};
  run(state, parts, true);
}
BENCHMARK(a_write_without_the_policy)->UseRealTime();
BENCHMARK(a_write_with_a_fresh_key)->UseRealTime();
BENCHMARK(a_replay)->UseRealTime();

}  // namespace
}  // namespace plimsoll::policy
