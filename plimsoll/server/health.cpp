#include "plimsoll/server/health.hpp"

#include "plimsoll/async/loop.hpp"
#include "plimsoll/database/database.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/telemetry/metrics.hpp"

namespace plimsoll::server {

std::string_view Health::path(Kind kind) {
  switch (kind) {
    case Kind::health: return "/healthz";
    case Kind::ready: return "/readyz";
    case Kind::live: return "/livez";
  }
  return {};
}

class Health::Answer final : public Handler {
 public:
  Answer(const Health& health, Kind kind) : health_(health), kind_(kind) {}

  Task<Result<Response>> handle(Request&, Context& context) override {
    bool well = true;
    std::string text;
    json::Writer out{text};
    out.begin_object();
    if (kind_ != Kind::live) {
      const bool draining = health_.draining_.load(std::memory_order_relaxed);
      well = !draining;
      if (draining) out.key("draining").boolean(true);
      if (const auto lacks = health_.services_->backgrounds->lacks(); !lacks.empty()) {
        well = false;
        out.key("lacks").string(lacks);
      }
      if (auto* database = health_.services_->database) {
        auto row = co_await within(context.loop, kSecond, database->read(context.loop, "SELECT 1", {}, true));
        well = well && row.has_value();
        out.key("database").string(row ? "ok" : "unavailable");
      }
    }
    out.key("status").string(well ? "ok" : "unavailable");
    out.end_object();
    Response response{.status = static_cast<std::uint16_t>(well ? 200 : 503),
                      .headers = Headers{context.arena},
                      .body = context.arena.keep(text)};
    response.headers.add("content-type", "application/json");
    response.headers.add("cache-control", "no-store");
    co_return response;
  }

 private:
  const Health& health_;
  Kind kind_;
};

std::unique_ptr<Handler> Health::handler(Kind kind) { return std::make_unique<Answer>(*this, kind); }

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
    Response response{.status = 200,
                      .headers = Headers{context.arena},
                      .body = context.arena.keep(context.services.metrics->expose())};
    response.headers.add("content-type", "text/plain; version=0.0.4; charset=utf-8");
    response.headers.add("cache-control", "no-store");
    co_return response;
  }
};

class Empty final : public contract::Contract {
  contract::Match match(std::string_view, std::string_view) const override { return {}; }
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
