#include "plimsoll/server/log_level.hpp"

#include "plimsoll/config/options.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/telemetry/log.hpp"

#include <algorithm>
#include <optional>

namespace plimsoll::server {
namespace {

using telemetry::kLevelNames;
using telemetry::Level;

constexpr auto kLongest = config::hours(24);

struct Change {
  Level level{};
  std::optional<config::Duration> span;
};

Result<Change> read_change(std::string_view query) {
  Change change;
  bool named = false;
  while (!query.empty()) {
    const auto end = std::min(query.find('&'), query.size());
    const auto pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const auto equals = std::min(pair.find('='), pair.size());
    const auto name = pair.substr(0, equals), value = pair.substr(std::min(equals + 1, pair.size()));
    if (name == "level") {
      const auto* found = std::ranges::find(kLevelNames, value);
      if (found == std::end(kLevelNames))
        return fail(kBadLogLevel, "`level` is one of debug, info, warning, error and off");
      change.level = static_cast<Level>(found - std::begin(kLevelNames));
      named = true;
    } else if (name == "for") {
      change.span = config::parse_duration(value);
      if (!change.span || change.span->nanoseconds <= 0 || change.span->nanoseconds > kLongest.nanoseconds)
        return fail(kBadLogLevel, "`for` is a duration such as 30s or 10m, up to 24h");
    } else {
      return fail(kBadLogLevel, "the query has `level` and, if wanted, `for`");
    }
  }
  if (!named) return fail(kBadLogLevel, "`level` is missing");
  return change;
}

class LogLevel final : public Handler {
  Task<Result<Response>> handle(Request& request, Context& context) override {
    auto& log = *context.services.log;
    std::string span;
    if (request.method == "PUT") {
      // Pages of browsers have no business here, not even those that a name leads to this address.
      if (request.headers.contains("origin"))
        co_return fail(kBadLogLevel, "a request from a web page cannot change the log level");
      auto change = read_change(request.query);
      if (!change) co_return std::unexpected(std::move(change).error());
      const auto before = kLevelNames[static_cast<std::size_t>(log.level())];
      const auto after = kLevelNames[static_cast<std::size_t>(change->level)];
      if (change->span) span = config::to_string(*change->span);
      const auto tell = [&] {
        log.write(Level::warning, "log-level-changed", [&](telemetry::Line& line) {
          line.add("from", before).add("to", after);
          if (!span.empty()) line.add("for", span);
        });
      };
      const bool heard = log.enabled(Level::warning);
      if (heard) tell();
      if (change->span)
        log.level(change->level, change->span->nanoseconds);
      else
        log.level(change->level);
      if (!heard) tell();
    }
    std::string text;
    json::Writer out{text};
    out.begin_object().key("level").string(kLevelNames[static_cast<std::size_t>(log.level())]);
    if (!span.empty()) out.key("for").string(span);
    out.end_object();
    Response response{.status = 200, .headers = Headers{context.arena}, .body = context.kept(text)};
    response.headers.add("content-type", "application/json");
    response.headers.add("cache-control", "no-store");
    co_return response;
  }
};

}  // namespace

std::unique_ptr<Handler> log_level_page() { return std::make_unique<LogLevel>(); }

}  // namespace plimsoll::server
