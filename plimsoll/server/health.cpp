#include "plimsoll/server/health.hpp"

#include "plimsoll/async/loop.hpp"
#include "plimsoll/client/faults.hpp"
#include "plimsoll/database/database.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/handler/table/folder_probe.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/server/write_probe.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <algorithm>

namespace plimsoll::server {

std::string_view Health::path(Kind kind) {
  switch (kind) {
    case Kind::health: return "/healthz";
    case Kind::ready: return "/readyz";
    case Kind::live: return "/livez";
  }
  return {};
}

void Health::delayed(std::string why) {
  const std::scoped_lock lock(mutex_);
  delayed_ = std::move(why);
}

class Health::Answer final : public Handler {
 public:
  Answer(Health& health, Kind kind, Audience audience) : health_(health), kind_(kind), audience_(audience) {}

  Task<Result<Response>> handle(Request&, Context& context) override {
    std::string_view word = "ok";
    std::string text;
    json::Writer out{text};
    out.begin_object();
    if (kind_ != Kind::ready) live(word, out);
    if (kind_ != Kind::live) ready(word, out, context.services);
    if (audience_ == Audience::operators)
      if (const auto faults = context.services.shared->of<client::Faults>()->list(); !faults.empty()) {
        out.key("faults").begin_array();
        for (const auto& each : faults) out.string(each.dependency + ": " + each.text());
        out.end_array();
      }
    out.key("status").string(word);
    out.end_object();
    Response response{.status = static_cast<std::uint16_t>(word == "ok" ? 200 : 503),
                      .headers = Headers{context.arena},
                      .body = context.kept(text)};
    response.headers.add("content-type", "application/json");
    response.headers.add("cache-control", "no-store");
    co_return response;
  }

 private:
  void reason(json::Writer& out, std::string_view of, std::string_view why) const {
    if (audience_ == Audience::operators) out.key(of).string(why);
  }

  void live(std::string_view& word, json::Writer& out) const {
    if (const auto stuck = health_.stuck(); stuck > 0) {
      word = "unavailable";
      reason(out, "loops", "an event loop has not run for " + std::to_string(stuck / kSecond) + " s");
    } else {
      reason(out, "loops", "ok");
    }
  }

  /// `services`: of the plan that answers.
  void ready(std::string_view& word, json::Writer& out, const Services& services) const {
    const auto state = health_.state_.load(std::memory_order_acquire);
    if (state == State::starting) {  // what is being made is not looked at
      word = "starting";
      const std::scoped_lock lock(health_.mutex_);
      return reason(out, "starting",
                    health_.delayed_.empty() ? "migrations and tables are being prepared; the log names the phase"
                                             : health_.delayed_);
    }
    if (const auto lacks = services.backgrounds->lacks(); !lacks.empty()) {
      word = "unavailable";
      reason(out, "lacks", lacks);
    }
    if (const auto files = services.shared->of<table::FolderState>()->reason()) {
      if (!files->empty()) word = "unavailable";
      reason(out, "files", files->empty() ? "ok" : *files);
    }
    if (health_.probe_) {
      const auto database = health_.probe_->status();
      if (!database.well) word = "unavailable";
      reason(out, "database", database.well ? "ok" : database.reason);
    }
    if (health_.database_ && audience_ == Audience::operators) {
      out.key("replicas").begin_object();
      for (const auto& replica : health_.database_->replicas())
        out.key(replica.name).string(replica.usable ? "ok" : replica.reason);
      out.end_object();
    }
    if (state == State::draining) {
      word = "draining";
      reason(out, "draining", "the process is shutting down");
    }
  }

  Health& health_;
  Kind kind_;
  Audience audience_;
};

void Health::serving(const WriteProbe* probe, const database::Database* database) {
  probe_ = probe;
  database_ = database && database->has_replicas() ? database : nullptr;
  state_.store(State::serving, std::memory_order_release);
}

void Health::watch(std::vector<Loop*> loops) {
  const std::scoped_lock lock(mutex_);
  pulses_.clear();
  for (auto* loop : loops) pulses_.push_back({.loop = loop});
}

Nanoseconds Health::stuck() {
  // Long enough for any single piece of work that a loop may do; an orchestrator ends the process for this.
  constexpr Nanoseconds kStuck = 10 * kSecond;
  const auto now = clock_.steady();
  Nanoseconds longest = 0;
  const std::scoped_lock lock(mutex_);
  for (auto& pulse : pulses_) {
    if (pulse.took->load(std::memory_order_acquire) >= 0)
      ask(pulse, now);
    else if (now - pulse.asked > kStuck)
      longest = std::max(longest, now - pulse.asked);
  }
  return longest;
}

void Health::ask(Pulse& pulse, Nanoseconds now) {
  pulse.asked = now;
  pulse.took->store(-1, std::memory_order_relaxed);
  try {
    pulse.loop->post([took = pulse.took, now, &clock = clock_] {
      took->store(std::max<Nanoseconds>(clock.steady() - now, 0), std::memory_order_release);
    });
  } catch (const std::bad_alloc&) {  // not asked; it owes nothing
    pulse.took->store(0, std::memory_order_relaxed);
    throw;
  }
}

Nanoseconds Health::lag() {
  const auto now = clock_.steady();
  Nanoseconds longest = 0;
  const std::scoped_lock lock(mutex_);
  for (auto& pulse : pulses_) {
    const auto took = pulse.took->load(std::memory_order_acquire);
    longest = std::max(longest, took >= 0 ? took : now - pulse.asked);
    if (took >= 0) ask(pulse, now);
  }
  return longest;
}

std::unique_ptr<Handler> Health::handler(Kind kind, Audience audience) {
  return std::make_unique<Answer>(*this, kind, audience);
}

namespace {

class Metrics final : public Handler {
  Task<Result<Response>> handle(Request&, Context& context) override {
    auto& backgrounds = *context.services.backgrounds;
    const auto sample = [](Backgrounds& all, Loop& loop) -> Task<Result<>> {
      co_await all.sample(loop);
      co_return Result<>{};
    };
    // What cannot be asked within the time keeps its last value.
    (void)co_await within(context.loop, kSecond, sample(backgrounds, context.loop));
    Response response{
        .status = 200, .headers = Headers{context.arena}, .body = context.kept(context.services.metrics->expose())};
    response.headers.add("content-type", "text/plain; version=0.0.4; charset=utf-8");
    response.headers.add("cache-control", "no-store");
    co_return response;
  }
};

class Empty final : public contract::Contract {
  contract::Match match(std::string_view, std::string_view) const override { return {}; }
  bool resembles_declared(std::string_view) const override { return true; }
  std::span<const std::string> path_parameters(const contract::Operation&) const override { return {}; }
  Result<schema::Validator> compile(const json::Value&, schema::CompileOptions::Direction) const override {
    return fail(kInternal, "no schemas here");
  }
  Result<std::shared_ptr<const schema::Validator>> validator(const json::Value&,
                                                             schema::CompileOptions::Direction) const override {
    return fail(kInternal, "no schemas here");
  }
  std::shared_ptr<const contract::Marked> marked(const json::Value& schema, contract::Mark mark) const override {
    return std::make_shared<const contract::Marked>(schema, schema, mark);
  }
  const json::Value& resolve(const json::Value& value) const override { return value; }
  const contract::Operation* find(std::string_view) const override { return nullptr; }
};

}  // namespace

std::unique_ptr<Handler> metrics_page() { return std::make_unique<Metrics>(); }
std::shared_ptr<const contract::Contract> empty_contract() { return std::make_shared<Empty>(); }

}  // namespace plimsoll::server
