#include "plimsoll/policy/authentication/api_key.hpp"
#include "plimsoll/policy/authentication/token_verifier.hpp"
#include "plimsoll/policy/shed_gate.hpp"

#include <benchmark/benchmark.h>

namespace plimsoll::policy {
namespace {

constexpr Nanoseconds kNow = 1'900'000'000 * kSecond;

std::string token_of(const Jwk& key) {
  return issue_jwt(key, R"({"sub":"ada","scope":"orders:read orders:write","roles":["support"],"exp":1900003600})")
      .value();
}

/// A token that was met before: what nearly every request costs.
void RememberedToken(benchmark::State& state) {
  static const auto key = Jwk::generate(Algorithm::es256).value();
  static const auto verifier = TokenVerifier::of_keys({key}, {}, {});
  static const auto token = token_of(key);
  for (auto _ : state) benchmark::DoNotOptimize(verifier->verify(token, kNow));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(RememberedToken)->ThreadRange(1, 2)->UseRealTime();

/// A token seen for the first time: signature and claims.
void FreshToken(benchmark::State& state) {
  const auto key = Jwk::generate(static_cast<Algorithm>(state.range(0))).value();
  const auto token = token_of(key);
  state.SetLabel(std::string(name_of(static_cast<Algorithm>(state.range(0)))));
  for (auto _ : state) {
    Arena arena;
    benchmark::DoNotOptimize(verify_jwt(token, std::span(&key, 1), {}, kNow, arena));
  }
}
BENCHMARK(FreshToken)
    ->Arg(static_cast<int>(Algorithm::rs256))
    ->Arg(static_cast<int>(Algorithm::ps256))
    ->Arg(static_cast<int>(Algorithm::es256))
    ->Arg(static_cast<int>(Algorithm::eddsa))
    ->Arg(static_cast<int>(Algorithm::hs256));

/// The checksum that keeps mistyped keys from the database, and the digest that finds the right ones.
void FormOfAnApiKey(benchmark::State& state) {
  const auto key = make_api_key("pk");
  for (auto _ : state) {
    benchmark::DoNotOptimize(looks_like_api_key(key));
    benchmark::DoNotOptimize(sha256(key));
  }
}
BENCHMARK(FormOfAnApiKey);

/// A key that was met lately: what nearly every request costs.
void RememberedApiKey(benchmark::State& state) {
  static ApiKeyCache cache;
  static const auto key = make_api_key("pk");
  if (state.thread_index() == 0) cache.put(key, std::make_shared<Identity>(), kNow);
  for (auto _ : state) benchmark::DoNotOptimize(cache.find(key, kNow, kNow));
}
BENCHMARK(RememberedApiKey)->ThreadRange(1, 2)->UseRealTime();

/// A place taken and given back.
void ShedPermit(benchmark::State& state) {
  static ShedGate gate(4096);
  for (auto _ : state) {
    benchmark::DoNotOptimize(gate.enter(Priority::normal));
    gate.leave();
  }
}
BENCHMARK(ShedPermit)->ThreadRange(1, 2)->UseRealTime();

}  // namespace
}  // namespace plimsoll::policy
