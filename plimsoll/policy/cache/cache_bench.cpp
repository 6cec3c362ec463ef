#include "plimsoll/async/loop.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/cache/cache_store.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/json/parse.hpp"

#include <benchmark/benchmark.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

namespace plimsoll::policy {
extern const Part cache, conditional;

namespace {

constexpr std::string_view kContract = R"(
openapi: 3.1.0
info: {title: Things, version: '1'}
paths:
  /things:
    get:
      operationId: things
      parameters: [{name: n, in: query, schema: {type: integer}}]
      responses: {'200': {description: things}}
)";

class TwoKilobytes final : public Handler {
 public:
  Task<Result<Response>> handle(Request&, Context& context) override {
    Response made{.status = 200, .headers = Headers{context.arena}};
    made.headers.add("content-type", "text/plain");
    made.body = lasting(body_);
    co_return made;
  }

 private:
  const std::string body_ = std::string(2000, 'x');
};

/// A chain of these policies around the handler, asked again and again without a socket.
class Chain {
 public:
  explicit Chain(std::span<const Part* const> parts) {
    const auto path = "/tmp/plimsoll-bench-" + std::to_string(::getpid()) + ".yaml";
    std::ofstream(path) << kContract;
    contract_ = *contract::load({.file = path});
    ::unlink(path.c_str());
    services_.clock = &system_clock();
    options_ = *json::parse(R"("5m")", memory_);
    const Build build{*contract_, contract_->operations[0], services_, &handler_};
    for (auto* part : parts) {
      auto made = part->build(*part, part == &cache ? &options_ : nullptr, build);
      links_.push_back((*made)->link());
      policies_.push_back(std::move(*made));
    }
    links_.push_back({.handler = &handler_});
    Scope scope;
    loop_.spawn(scope, fill());
    loop_.run();
  }
  std::uint16_t ask() {
    arena_.release();
    Context context{arena_, loop_, services_};
    context.operation = &contract_->operations[0];
    context.input.parameters = values_;
    Request request{.method = "GET", .target = "/things?n=1", .headers = Headers{arena_}, .path = "/things"};
    auto task = Next{links_.data()}(request, context);
    if (Task<Result<Response>>::start(task.handle(), std::noop_coroutine(), nullptr)) return 0;  // it waited
    auto answer = task.handle().promise().take();
    return answer ? answer->status : 0;
  }

 private:
  Task<> fill() {
    Context context{arena_, loop_, services_};
    context.operation = &contract_->operations[0];
    context.input.parameters = values_;
    Request request{.method = "GET", .target = "/things?n=1", .headers = Headers{arena_}, .path = "/things"};
    (void)co_await Next{links_.data()}(request, context);
  }
  Arena memory_, arena_;
  Loop loop_;
  Services services_;
  std::shared_ptr<const contract::Contract> contract_;
  json::Value options_, one_ = json::Value::number("1");
  const json::Value* values_[1] = {&one_};
  TwoKilobytes handler_;
  std::vector<std::unique_ptr<Policy>> policies_;
  std::vector<Link> links_;
};

void run(benchmark::State& state, std::span<const Part* const> parts) {
  Chain chain{parts};
  for (auto _ : state)
    if (chain.ask() != 200) return state.SkipWithError("not answered at once");
}
void handler_alone(benchmark::State& state) { run(state, {}); }
void a_hit_of_two_kilobytes(benchmark::State& state) {
  const Part* parts[] = {&cache};
  run(state, parts);
}
void a_hit_with_its_entity_tag_looked_at(benchmark::State& state) {
  const Part* parts[] = {&conditional, &cache};
  run(state, parts);
}
BENCHMARK(handler_alone);
BENCHMARK(a_hit_of_two_kilobytes);
BENCHMARK(a_hit_with_its_entity_tag_looked_at);

/// What the store takes of it: a look-up among 10,000 answers, from several threads.
void look_up(benchmark::State& state) {
  static CacheStore store(256u << 20);
  if (state.thread_index() == 0)
    for (int i = 0; i < 10'000; ++i) {
      auto answer = std::make_shared<CachedAnswer>();
      answer->body = std::string(2000, 'x');
      store.put("key-" + std::to_string(i), std::move(answer));
    }
  const std::string key = "key-" + std::to_string(state.thread_index() * 100);
  for (auto _ : state) benchmark::DoNotOptimize(store.find(key));
}
BENCHMARK(look_up)->Threads(1)->Threads(2)->UseRealTime();

void put_and_evict(benchmark::State& state) {
  CacheStore store(4u << 20);
  auto answer = std::make_shared<CachedAnswer>();
  answer->body = std::string(2000, 'x');
  std::string key = "key-00000000";
  std::uint64_t i = 0;
  for (auto _ : state) {
    std::snprintf(key.data() + 4, 9, "%08x", static_cast<unsigned>(i++));
    store.put(key, answer);
  }
}
BENCHMARK(put_and_evict);

}  // namespace
}  // namespace plimsoll::policy
