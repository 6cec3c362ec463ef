#include "plimsoll/client/backoff.hpp"
#include "plimsoll/client/chain.hpp"
#include "plimsoll/client/plain_http.hpp"
#include "plimsoll/client/service.hpp"
#include "plimsoll/config/options.hpp"
#include "plimsoll/handler/job/run.hpp"
#include "plimsoll/http/characters.hpp"

#include <algorithm>

namespace plimsoll::handler::job {
namespace {

struct Options {
  std::string url;
  config::RawObject headers{};
  std::string authorities;
  config::PlainHttp plain_http = config::PlainHttp::refused;
};
constexpr config::Field kFields[] = {
    config::field<&Options::url>("url", "Where the payload is posted."),
    config::field<&Options::headers>("headers", "Further headers of the request, such as `authorization`."),
    config::field<&Options::authorities>("authorities",
                                         "PEM file of the authorities that sign the service's certificate."),
    config::field<&Options::plain_http>("plain-http",
                                        "Whether a service beyond this machine may be called without TLS."),
};

class HttpRun final : public queue::Runner {
 public:
  HttpRun(std::shared_ptr<client::Service> service, std::vector<std::pair<std::string, std::string>> headers)
      : service_(std::move(service)), headers_(std::move(headers)) {}

  Task<Result<queue::Output>> run(queue::Execution& execution) override {
    const auto& job = execution.job;
    client::Call call{.method = "POST", .headers = headers_, .body = job.payload};
    call.headers.emplace_back("content-type", "application/json");
    call.headers.emplace_back("idempotency-key", '"' + job.id + '"');
    call.headers.emplace_back("plimsoll-job-id", job.id);
    call.headers.emplace_back("plimsoll-job-kind", job.kind);
    call.headers.emplace_back("plimsoll-job-attempt", std::to_string(job.standing.attempts));
    auto answer = co_await client::fetch(*service_, execution.loop, call);
    if (!answer) co_return std::unexpected(std::move(answer).error());
    if (answer->status / 100 == 2) {
      queue::Output output;
      if (!answer->body.empty()) {
        const auto type = answer->find("content-type");
        output.media_type = type.empty() ? "application/octet-stream" : std::string(type);
        output.bytes = std::move(answer->body);
      }
      co_return output;
    }
    const bool again = answer->status == 408 || answer->status == 425 || answer->status == 429 || answer->status >= 500;
    Error error{declared(again ? kServiceFailed : kRefused), "it answered " + std::to_string(answer->status)};
    error.more().cause = answer->body.substr(0, 500);
    if (again) {
      const auto wait = client::retry_after(answer->find("retry-after"), execution.loop.wall()).value_or(0);
      error.more().retry_after = (wait + kSecond - 1) / kSecond;
    }
    co_return std::unexpected(std::move(error));
  }

 private:
  const std::shared_ptr<client::Service> service_;
  const std::vector<std::pair<std::string, std::string>> headers_;
};

}  // namespace

Result<std::unique_ptr<queue::Runner>> run_http(const json::Value& from, Nanoseconds attempt, std::string_view kind,
                                                const Services& services) {
  Options options;
  if (from.is(json::Type::string)) {
    options.url = from.string();
  } else if (auto done = config::read(from, kFields, &options, client::keys()); !done) {
    return std::unexpected(std::move(done).error());
  } else if (const auto* cache = from.find("cache");
             cache && Part::mode_of(cache).value_or(Mode::enforce) != Mode::off) {
    return config::wrong(*cache, "a job is posted, and the response to a POST is not stored");
  }
  const auto named = "the service of the job `" + std::string(kind) + "`";
  if (auto url = client::configured_url(config::member_or(from, "url"), options.url, named, options.plain_http,
                                        "For example `run: {http: {url: URL, plain-http: allowed}}`.");
      !url)
    return std::unexpected(std::move(url).error());
  std::vector<std::pair<std::string, std::string>> headers;
  if (options.headers)
    for (auto& header : options.headers->object()) {
      if (!header.value.is(json::Type::string)) return config::wrong(header.value, "a header's value is text");
      std::string name(header.key);
      std::ranges::transform(name, name.begin(), lower);
      headers.emplace_back(std::move(name), header.value.string());
    }
  // A job's service has the time of the attempt, however it divides it.
  const client::Timeouts timeouts{.first_byte = attempt, .idle = attempt, .total = attempt};
  auto service = client::Service::make({.name = std::string(kind),
                                        .url = std::move(options.url),
                                        .authorities = std::move(options.authorities),
                                        .timeouts = timeouts},
                                       services, &from);
  if (!service) return std::unexpected(std::move(service).error());
  return std::make_unique<HttpRun>(std::move(*service), std::move(headers));
}

}  // namespace plimsoll::handler::job
