#include "plimsoll/client/oauth2.hpp"

#include "plimsoll/async/pause.hpp"
#include "plimsoll/async/single_flight.hpp"
#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/encoding.hpp"
#include "plimsoll/base/percent.hpp"
#include "plimsoll/client/backoff.hpp"
#include "plimsoll/client/failure.hpp"
#include "plimsoll/client/problems.hpp"
#include "plimsoll/client/random.hpp"
#include "plimsoll/client/service.hpp"
#include "plimsoll/client/token_lease.hpp"
#include "plimsoll/exchange/cache/fills.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/field_name.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/telemetry/log.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <algorithm>

namespace plimsoll::client {
namespace {

constexpr Nanoseconds kPatience = 4 * kSecond;  ///< for one request for a token
constexpr std::uint32_t kAttempts = 3;          ///< of one fetch

/// RFC 6749, appendix B.
void append_pair(std::string& out, std::string_view name, std::string_view value) {
  if (!out.empty()) out += '&';
  append_form_encoded(out, name);
  out += '=';
  append_form_encoded(out, value);
}
std::string form(std::string_view text) {
  std::string out;
  append_form_encoded(out, text);
  return out;
}

struct Token {
  std::uint64_t number = 0;
  std::string field;  ///< of `authorization`
};
using Held = std::shared_ptr<const Token>;

/// The token of one service and one set of options. Any thread.
struct TokenState {
  std::mutex mutex;
  TokenLease lease;
  Held token;
  std::string why;             ///< the last fetch failed
  SingleFlight<Held> flights;  ///< null lands: the fetch has failed
};

/// What fetches tokens; a fetch that was begun outlives the plan that began it.
struct Source {
  std::string service;
  std::shared_ptr<TokenState> state;
  std::shared_ptr<Service> endpoint;
  Call call;
  telemetry::Log* log = nullptr;
  telemetry::Counter *fetched = nullptr, *failed = nullptr;
};

constexpr std::string_view kFlight = "token";

/// A fetch, on the loop of whoever needed it first. It is its own line of work: a caller that leaves ends no fetch for
/// which others wait.
struct Fetch {
  std::shared_ptr<Source> source;
  std::shared_ptr<SingleFlight<Held>::Flight> flight;
  Scope scope{};
  std::shared_ptr<const void> in_use;
  Fills::Entry entry;
  Fetch(std::shared_ptr<Source> from, std::shared_ptr<SingleFlight<Held>::Flight> under_way, const Context& context)
      : source(std::move(from)),
        flight(std::move(under_way)),
        in_use(context.services.in_use.lock()),
        entry(context.services, context.loop, scope) {
    entry.awaited = [flight = flight.get()] { return flight->awaited(); };
  }
  Fetch(const Fetch&) = delete;
  /// Whoever waits is told, whatever happens here.
  ~Fetch() { source->state->flights.land(kFlight, *flight, std::move(brought)); }
  Held brought{};
};

Task<std::expected<TokenAnswer, std::string>> ask(Source& source, Loop& loop) {
  std::expected<TokenAnswer, std::string> got = std::unexpected("");
  for (std::uint32_t attempt = 0; attempt < kAttempts; ++attempt) {
    if (attempt > 0) {
      const bool rested = co_await pause(loop, backoff(100 * kMillisecond, kSecond, attempt, random_bits()));
      if (!rested) break;
    }
    const auto answer = co_await fetch(*source.endpoint, loop, source.call);
    if (answer)
      got = read_token_answer(answer->status, answer->body);
    else
      got = std::unexpected(reason(answer.error()));
    // What it has refused it refuses again.
    if (got || (answer && answer->status < 500 && answer->status != 429)) break;
  }
  co_return got;
}

Task<> run(std::unique_ptr<Fetch> fetch, Loop& loop) {
  auto& source = *fetch->source;
  auto& state = *source.state;
  {
    // It may have been fetched between the question and the boarding.
    const std::scoped_lock lock(state.mutex);
    const auto advice = state.lease.look(loop.now());
    if (advice == TokenLease::Advice::use) fetch->brought = state.token;
    if (advice == TokenLease::Advice::use || advice == TokenLease::Advice::refuse) co_return;
  }
  const auto answer = co_await ask(source, loop);
  if (fetch->scope.stopped() != Stop::none) co_return;  // the process ends, and nobody waits for it
  {
    const std::scoped_lock lock(state.mutex);
    if (answer) {
      const auto number = state.lease.fetched(loop.now(), answer->life);
      fetch->brought = state.token = std::make_shared<const Token>(number, "Bearer " + answer->token);
    } else {
      state.lease.failed(loop.now());
      state.why = answer.error();
    }
  }
  if (auto* counter = answer ? source.fetched : source.failed) counter->add();
  if (!answer && source.log)
    source.log->write(telemetry::Level::error, "token-unavailable",
                      [&](telemetry::Line& line) { line.add("service", source.service).add("why", answer.error()); });
}

class OAuth2 final : public Policy {
 public:
  OAuth2(std::shared_ptr<Source> source, std::unique_ptr<Refusals> refusals)
      : source_(std::move(source)), refusals_(std::move(refusals)) {}

  Task<Result<Response>> apply(Request& request, Context& context, Next next) override {
    auto& state = call_state(request, context);
    for (bool again = false;; again = true) {
      auto token = co_await this->token(state, context);
      if (!token) co_return std::unexpected(std::move(token).error());
      set_alone(request.headers, "authorization", context.kept((*token)->field));
      auto answer = co_await next(request, context);
      // Nothing was done: whatever the method, it may be sent with another token, where its body can be.
      const bool anew =
          answer && answer->status == 401 && !again && rejected((*token)->number, context.loop.now()) && !state.spent;
      if (!anew) {
        refusals_->look(answer, state, context);
        co_return answer;
      }
      if (state.answer) state.answer->abandon();
      state.begin_attempt();
    }
  }

 private:
  bool rejected(std::uint64_t number, Nanoseconds now) {
    const std::scoped_lock lock(source_->state->mutex);
    return source_->state->lease.rejected(number, now);
  }

  /// The token at hand, or the one that is being fetched.
  Task<Result<Held>> token(CallState& call, Context& context) {
    auto& state = *source_->state;
    auto& loop = context.loop;
    Held token;
    TokenLease::Advice advice;
    Nanoseconds fetch_at = 0;
    std::string why;
    {
      const std::scoped_lock lock(state.mutex);
      advice = state.lease.look(loop.now());
      token = state.token;
      fetch_at = state.lease.fetch_at();
      if (advice == TokenLease::Advice::refuse) why = state.why;
    }
    if (advice == TokenLease::Advice::use) co_return token;
    if (advice == TokenLease::Advice::refuse) co_return missing(fetch_at - loop.now(), std::move(why));
    const auto ticket = state.flights.board(kFlight);
    if (ticket.leads) {
      auto fetch = std::make_unique<Fetch>(source_, ticket.flight, context);
      auto& scope = fetch->scope;
      loop.spawn(scope, run(std::move(fetch), loop));
    }
    if (advice == TokenLease::Advice::renew) co_return token;
    call.await(CallState::Awaits::token, loop.now());
    call.token_server = source_->endpoint->url().authority;
    auto until = call.until;
    if (context.deadline()) until = std::min(until, context.deadline());
    const auto span = until == kNever ? 30 * kSecond : std::max<Nanoseconds>(until - loop.now(), 1);
    auto brought = co_await ticket.flight->wait(loop, span);
    if (!brought) co_return std::unexpected(std::move(brought).error());
    if (!*brought) co_return std::unexpected(error_of(Stop::deadline));
    if (!**brought) {
      {
        const std::scoped_lock lock(state.mutex);
        why = state.why;
      }
      co_return missing(kSecond, std::move(why));
    }
    co_return **brought;
  }
  std::unexpected<Error> missing(Nanoseconds again_in, std::string why) const {
    auto error = Error{&kNoCredential}.because("service `" + source_->service + "`: no token: " + std::move(why));
    error.more().retry_after = std::max<Nanoseconds>((again_in + kSecond - 1) / kSecond, 1);
    return std::unexpected(std::move(error));
  }

  const std::shared_ptr<Source> source_;
  const std::unique_ptr<Refusals> refusals_;
};

}  // namespace

std::expected<TokenAnswer, std::string> read_token_answer(std::uint16_t status, std::string_view body) {
  Arena arena;
  const auto document = json::parse(body, arena);
  const auto text_at = [&](std::string_view name) -> std::string_view {
    const auto* value = document ? document->find(name) : nullptr;
    return value && value->is(json::Type::string) ? value->string() : std::string_view{};
  };
  if (status != 200) {
    // A word of RFC 6749, section 5.2, and nothing else that stands there.
    const auto error = text_at("error");
    const bool word = !error.empty() && error.size() <= 64 &&
                      std::ranges::all_of(error, [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
    return std::unexpected("the token server answered " + std::to_string(status) +
                           (word ? " " + std::string(error) : std::string{}));
  }
  const auto token = text_at("access_token");
  constexpr std::size_t kLongest = 16 * 1024;
  if (token.empty() || token.size() > kLongest ||
      !std::ranges::all_of(token, [](char c) { return c > ' ' && c < 127; }))
    return std::unexpected("the token server's answer has no `access_token` that can be sent");
  const auto type = text_at("token_type");
  if (!same_as_lower(type, "bearer")) return std::unexpected("the token server gave no bearer token");
  TokenAnswer made{.token = std::string(token)};
  if (const auto* life = document->find("expires_in")) {
    constexpr std::int64_t kMost = 365 * 86'400;
    auto seconds = life->is(json::Type::number) ? life->integer() : std::nullopt;
    if (!seconds || *seconds < 0) return std::unexpected("the token server's `expires_in` is no number of seconds");
    made.life = std::min(*seconds, kMost) * kSecond;
  }
  return made;
}

Result<std::unique_ptr<Policy>> oauth2(const json::Value& from, const Build& build,
                                       std::unique_ptr<Refusals> refusals) {
  OAuth2Options options;
  if (auto done = config::read(from, kOAuth2Fields, &options); !done) return std::unexpected(std::move(done).error());
  const auto wrong = [&](std::string_view name, std::string_view what) {
    return config::wrong(config::member_or(from, name), what);
  };
  if (options.token_url.empty()) return wrong("token-url", "`oauth2` has a `token-url`");
  if (options.client.empty()) return wrong("client", "`oauth2` has a `client`");
  if (options.secret.empty()) return wrong("secret", "`oauth2` has a `secret`");
  if (auto url = configured_url(*from.find("token-url"), options.token_url, "the token server", options.plain_http);
      !url)
    return std::unexpected(std::move(url).error());
  std::string body;
  append_pair(body, "grant_type", "client_credentials");
  if (!options.scope.empty()) append_pair(body, "scope", options.scope);
  if (options.parameters)
    for (const auto& member : options.parameters->object()) {
      if (!member.value.is(json::Type::string)) return config::wrong(member.value, "a parameter's value is text");
      append_pair(body, member.key, member.value.string());
    }
  std::vector<std::pair<std::string, std::string>> headers = {{"content-type", "application/x-www-form-urlencoded"},
                                                              {"accept", "application/json"}};
  if (options.client_authentication == config::ClientAuthentication::body) {
    append_pair(body, "client_id", options.client);
    append_pair(body, "client_secret", options.secret);
  } else {
    headers.emplace_back("authorization", "Basic " + to_base64(form(options.client) + ":" + form(options.secret)));
  }
  auto endpoint = Service::make(
      {.name = std::string(build.service) + " token",
       .url = options.token_url,
       .authorities = options.authorities,
       .timeouts = {.connect = 2 * kSecond, .first_byte = kPatience, .idle = kPatience, .total = kPatience}},
      build.services);
  if (!endpoint) return wrong("token-url", endpoint.error().detail);
  auto source = std::make_shared<Source>();
  source->service = build.service;
  source->endpoint = std::move(*endpoint);
  // Under a digest of all that a token depends on: with other options it is another token.
  const auto digest = sha256({options.token_url, "\n", body, "\n", headers.back().second});
  source->state =
      build.shared->of<client::Kept<TokenState>>()->of(std::string(build.service) + ' ' + to_hex(as_text(digest)));
  source->call = {.method = "POST", .headers = std::move(headers), .body = std::move(body), .limit = 64 * 1024};
  source->log = build.services.log;
  if (auto* registry = build.services.metrics) {
    const auto counter = [&](std::string_view outcome) {
      const telemetry::Label labels[] = {{"service", build.service}, {"outcome", outcome}};
      return &registry->counter("plimsoll_client_token_fetches_total",
                                "Fetches of OAuth2 tokens for calls to a service, by outcome: `fetched`, `failed`.",
                                labels);
    };
    source->fetched = counter("fetched"), source->failed = counter("failed");
  }
  return std::make_unique<OAuth2>(std::move(source), std::move(refusals));
}

}  // namespace plimsoll::client
