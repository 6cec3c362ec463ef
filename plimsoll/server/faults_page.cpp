#include "plimsoll/server/faults_page.hpp"

#include "plimsoll/client/faults.hpp"
#include "plimsoll/config/options.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/http/target.hpp"
#include "plimsoll/json/write.hpp"

#include <algorithm>
#include <charconv>

namespace plimsoll::server {
namespace {

using client::InjectedFault;

std::optional<Nanoseconds> span_of(std::string_view text) {
  const auto span = config::parse_duration(text);
  if (!span || span->nanoseconds <= 0) return std::nullopt;
  return span->nanoseconds;
}

/// Calls `take(name, value)` for each pair, decoded; it returns a sentence where one is wrong.
template <class F>
Result<> each_pair(std::string_view query, Arena& arena, F&& take) {
  while (!query.empty()) {
    const auto end = std::min(query.find('&'), query.size());
    const auto pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const auto equals = std::min(pair.find('='), pair.size());
    const auto value = percent_decode(pair.substr(std::min(equals + 1, pair.size())), arena, true);
    if (!value) return fail(kBadFault, "the query is not percent-encoded");
    if (const std::string wrong = take(pair.substr(0, equals), *value); !wrong.empty()) return fail(kBadFault, wrong);
  }
  return {};
}

Result<InjectedFault> read_fault(std::string_view query, Arena& arena) {
  InjectedFault fault;
  int kinds = 0;
  auto done = each_pair(query, arena, [&](std::string_view name, std::string_view value) -> std::string {
    using enum InjectedFault::Kind;
    if (name == "dependency") {
      fault.dependency = value;
    } else if (name == "for") {
      const auto span = span_of(value);
      if (!span || *span > InjectedFault::kLongest) return "`for` is a duration such as 30s or 5m, at most 1h";
      fault.span = *span;
    } else if (name == "latency") {
      const auto span = span_of(value);
      if (!span || *span > InjectedFault::kLongest) return "`latency` is a duration such as 200ms or 2s, at most 1h";
      fault.kind = latency, fault.latency = *span, ++kinds;
    } else if (name == "status") {
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), fault.status);
      if (error != std::errc{} || end != value.data() + value.size() || fault.status < 200 || fault.status > 599)
        return "`status` is a number from 200 to 599";
      fault.kind = status, ++kinds;
    } else if (name == "reset" || name == "outage") {
      fault.kind = name == "reset" ? reset : outage, ++kinds;
    } else if (name == "share") {
      const auto share = config::Form<config::Ratio>::read(json::Value::of(value));
      if (!share || share->value <= 0) return "`share` is a ratio such as 10%, above 0";
      fault.share = share->value;
    } else {
      return "a fault has no `" + std::string(name) + "`";
    }
    return {};
  });
  if (!done) return std::unexpected(std::move(done).error());
  if (fault.dependency.empty()) return fail(kBadFault, "`dependency` is missing: what fails");
  if (kinds != 1) return fail(kBadFault, "a fault is one of `latency`, `status`, `reset` and `outage`");
  if (fault.span == 0) return fail(kBadFault, "`for` is missing: how long the fault lasts, at most 1h");
  return fault;
}

class FaultsPage final : public Handler {
  Task<Result<Response>> handle(Request& request, Context& context) override {
    auto& faults = *context.services.shared->of<client::Faults>();
    if (!faults.allowed()) co_return fail(kFaultsNotAllowed, "this server was not started with --allow-faults");
    const bool changes = request.method == "POST" || request.method == "DELETE";
    // Pages of browsers have no business here, not even those that a name leads to this address.
    if (changes && request.headers.contains("origin"))
      co_return fail(kBadFault, "a request from a web page cannot change faults");
    std::string text;
    json::Writer out{text};
    out.begin_object();
    if (request.method == "POST") {
      auto fault = read_fault(request.query, context.arena);
      if (!fault) co_return std::unexpected(std::move(fault).error());
      auto number = faults.add(std::move(*fault));
      if (!number) co_return fail(kBadFault, std::move(number).error());
    } else if (request.method == "DELETE") {
      std::string dependency;
      auto done =
          each_pair(request.query, context.arena, [&](std::string_view name, std::string_view value) -> std::string {
            if (name != "dependency" || value.empty()) return "the query has `dependency`, or nothing: all faults end";
            dependency = value;
            return {};
          });
      if (!done) co_return std::unexpected(std::move(done).error());
      const auto cleared = faults.clear(dependency);
      if (!cleared) co_return fail(kBadFault, cleared.error());
      out.key("cleared").integer(static_cast<std::int64_t>(*cleared));
    }
    const auto now = faults.now();
    out.key("faults").begin_array();
    for (const auto& each : faults.list()) {
      out.begin_object().key("dependency").string(each.dependency).key("fault").string(each.text());
      out.key("seconds_left").integer((each.until - now + kSecond - 1) / kSecond).end_object();
    }
    out.end_array().key("dependencies").begin_array();
    for (const auto& each : faults.dependencies()) out.string(each);
    out.end_array().end_object();
    Response response{.status = 200, .headers = Headers{context.arena}, .body = context.kept(text)};
    response.headers.add("content-type", "application/json");
    response.headers.add("cache-control", "no-store");
    co_return response;
  }
};

}  // namespace

std::unique_ptr<Handler> faults_page() { return std::make_unique<FaultsPage>(); }

}  // namespace plimsoll::server
