#include "plimsoll/client/service.hpp"

#include "plimsoll/base/digest.hpp"
#include "plimsoll/client/chain.hpp"
#include "plimsoll/client/faults.hpp"
#include "plimsoll/client/gate.hpp"
#include "plimsoll/client/problems.hpp"
#include "plimsoll/client/quota.hpp"
#include "plimsoll/client/targets.hpp"
#include "plimsoll/client/wire.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/net/pem.hpp"
#include "plimsoll/net/resolver.hpp"
#include "plimsoll/net/tls.hpp"
#include "plimsoll/net/tls_client.hpp"

#include <charconv>
#include <map>
#include <mutex>

namespace plimsoll::client {
namespace {

/// One for each set of authorities, certificate and key, as long as anybody uses it, so that services share their
/// connections. What stands in the files counts, not their names: after a reload connections are made with what stands
/// there now.
Result<std::shared_ptr<net::TlsClient>> tls_for(const ServiceOptions& options) {
  static std::mutex mutex;
  static std::map<std::string, std::weak_ptr<net::TlsClient>> known;
  std::string texts;
  for (const auto* source : {&options.authorities, &options.certificate, &options.key}) {
    if (!source->empty()) {
      auto text = net::pem_text(*source);
      if (!text) return fail(net::kTls, text.error());
      texts += *text;
    }
    texts += '\0';
  }
  const auto digest = sha256(texts);
  const std::string key(as_text(digest));
  const std::scoped_lock lock(mutex);
  std::erase_if(known, [](const auto& each) { return each.second.expired(); });
  if (auto found = known.find(key); found != known.end())
    if (auto tls = found->second.lock()) return tls;
  auto loaded = net::TlsClient::load(
      {.authorities = options.authorities, .certificate = options.certificate, .key = options.key});
  if (loaded) known[key] = *loaded;
  return loaded;
}

std::string origin_of(const Peer& peer) {
  auto text = peer.url.host + ' ' + std::to_string(peer.url.port);
  if (peer.versions == HttpVersions::two) text += " h2";
  if (peer.tls) text += " tls " + std::to_string(peer.tls->number());
  return text;
}

}  // namespace

struct Service::State {
  std::string name;
  Services services;
  bool one_account;  ///< the service is shown who this server is: to it, all callers are one
  Wire wire;
  std::shared_ptr<Targets> targets;
  Plan plan;
};

Service::Service(std::unique_ptr<State> state) : state_(std::move(state)) {}
Service::~Service() = default;
const Url& Service::url() const noexcept { return state_->wire.peers().front().url; }
const std::string& Service::name() const noexcept { return state_->name; }
const std::shared_ptr<Targets>& Service::targets() const noexcept { return state_->targets; }
const Services& Service::services() const noexcept { return state_->services; }

namespace {

/// For the log: what a call waited for in vain, how long, and what ended that.
std::string awaited(const CallState& state, const Peer& peer, const Context& context) {
  using enum CallState::Awaits;
  const auto now = context.loop.now();
  const auto at = [&](Nanoseconds instant) { return instant && now + kMillisecond >= instant; };
  std::string text = peer.url.authority + ": ";
  switch (state.awaits) {
    case nothing: text += "it was not begun"; break;
    case token: text += "no token from " + std::string(state.token_server); break;
    case connection: text += "no connection"; break;
    case answer: text += state.is_written() ? "no first byte of an answer" : "the request was not taken"; break;
  }
  if (state.awaits != nothing) text += " within " + std::to_string((now - state.awaits_since) / kMillisecond) + " ms";
  text += ", ended by ";
  if (at(context.deadline()))
    text += "the deadline of the request";
  else if (state.until != kNever && at(state.until))
    text += "`timeouts: {total}`";
  else if (state.awaits == connection)
    text += "`timeouts: {connect}`";
  else
    text += state.is_written() ? "`timeouts: {first-byte}`" : "`timeouts: {idle}`";
  return text;
}

/// Around all others: puts the service to the cause of an error, which the log tells.
class NamedErrors final : public Gate {
 public:
  NamedErrors(const std::string& service, std::span<const Peer> peers) : service_(service), peers_(peers) {}
  Result<> begin(Request&, Context&, CallState&) override { return {}; }
  void end(const CallOutcome& outcome, CallState& state) override {
    if (outcome.answer) {
      state.awaits = CallState::Awaits::nothing;
      return;
    }
    auto& error = outcome.answer.error();
    const auto named = "service `" + service_ + "`";
    if (error.more_ && !error.more_->cause.empty()) {
      if (error.problem == &kDeadlineExceeded) error.more().cause.insert(0, named + ": ");
    } else if (error.problem == &kDeadlineExceeded) {
      error.more().cause = named + " at " + awaited(state, peers_[state.target], outcome.context);
    } else if (error.problem == &kCircuitOpen || error.problem == &kTooManyCalls || error.problem == &kNoCredential ||
               error.problem == &kQuotaExhausted) {
      error.more().cause = named;
    }
  }

 private:
  const std::string& service_;
  const std::span<const Peer> peers_;
};

/// `tls`: of the service, loaded for the first of its targets that needs it.
Result<Peer> peer_of(std::string_view text, const ServiceOptions& options, std::shared_ptr<net::TlsClient>& tls) {
  auto url = parse_url(text);
  if (!url) return std::unexpected(std::move(url).error());
  Peer peer{.url = std::move(*url),
            .tls = nullptr,
            .resolver = options.resolver,
            .idle = options.idle,
            .versions = options.http,
            .origin = {}};
  if (!peer.resolver) peer.resolver = net::system_resolver();
  if (peer.url.tls) {
    if (!tls) {
      auto loaded = tls_for(options);
      if (!loaded) return std::unexpected(std::move(loaded).error());
      tls = std::move(*loaded);
    }
    peer.tls = tls;
  }
  peer.origin = origin_of(peer);
  return peer;
}

/// What is known of each target outlives the service, under its name and the target's.
std::shared_ptr<Targets> targets_of(const std::string& service, std::span<const Peer> peers, const Services& services,
                                    Shared& shared, bool resilient, std::span<const double> weights) {
  if (peers.size() < 2 && !resilient) return nullptr;
  const auto kept = shared.of<Kept<TargetState>>();
  std::vector<TargetNote> notes;
  std::vector<std::shared_ptr<TargetState>> states;
  for (const auto& peer : peers) {
    const auto index = notes.size();
    notes.push_back({.name = (peer.url.tls ? "https://" : "http://") + peer.url.authority +
                             (peer.url.target == "/" ? "" : peer.url.target),
                     .weight = index < weights.size() ? weights[index] : 1});
    states.push_back(kept->of(service + ' ' + notes.back().name));
  }
  return std::make_shared<Targets>(service, std::move(notes), std::move(states), services.metrics, services.log);
}

}  // namespace

Result<std::shared_ptr<Service>> Service::make(ServiceOptions options, const Services& services,
                                               const json::Value* parts) {
  std::vector<Peer> peers;
  std::shared_ptr<net::TlsClient> tls;
  auto first = peer_of(options.url, options, tls);
  if (!first) return std::unexpected(std::move(first).error());
  peers.push_back(std::move(*first));
  for (const auto& url : options.more_urls) {
    auto peer = peer_of(url, options, tls);
    if (!peer) return std::unexpected(std::move(peer).error());
    peers.push_back(std::move(*peer));
  }
  if (peers.size() > CallState::kMostTargets) return fail(kBadUrl, "a service has at most 256 targets");
  const auto name = options.name.empty() ? peers.front().url.authority : options.name;
  // What its own background calls need, and no more: services hold what holds them.
  auto state = std::unique_ptr<State>(
      new State{.name = name,
                .services = {.metrics = services.metrics,
                             .log = services.log,
                             .clock = services.clock ? services.clock : &system_clock()},
                .one_account = !options.certificate.empty() || (parts && parts->find("authentication")),
                .wire = Wire(std::move(peers)),
                .targets = nullptr,
                .plan = {}});
  state->targets =
      targets_of(name, state->wire.peers(), state->services, *services.shared, options.resilient, options.weights);
  if (state->targets && !options.groups.empty())
    state->targets->divide(Split{std::move(options.groups), std::move(options.group_of)});
  auto made = plan(state->wire, parts,
                   {.service = name,
                    .timeouts = options.timeouts,
                    .services = state->services,
                    .resilient = options.resilient,
                    .certificate = options.certificate,
                    .shared = services.shared,
                    .targets = state->targets,
                    .peers = state->wire.peers()},
                   std::make_unique<NamedErrors>(state->name, state->wire.peers()));
  if (!made) return std::unexpected(std::move(made).error());
  state->plan = std::move(*made);
  // Last before the wire: whatever stands before takes it for what the service does.
  if (auto injection = services.shared->of<Faults>()->around(name)) {
    auto& plan = state->plan;
    plan.links.insert(plan.links.end() - 1, injection->link());
    plan.policies.push_back(std::move(injection));
  }
  const std::shared_ptr<Service> service(new Service(std::move(state)));
  service->state_->services.in_use = service;  // by what goes on when a call that belongs to no exchange has ended
  return service;
}

Task<Result<Response>> Service::call(Request& request, Context& context) {
  auto& begun = begin_call(request, context);
  begun.service = this;
  if (const auto* once = state_->one_account ? begun.once : nullptr; once && !once->key.empty())
    request.headers.set("idempotency-key", lasting(once->key));
  return Next{state_->plan.links.data()}(request, context);
}

std::string Service::still_awaited(const Context& calling, const Context& asking) {
  const auto* state = calling.noted<CallState>();
  if (!state || !state->service || state->awaits == CallState::Awaits::nothing) return {};
  const auto& of = *state->service->state_;
  return "service `" + of.name + "` at " + awaited(*state, of.wire.peers()[state->target], asking);
}

Task<Result<std::string>> whole_body(const Response& answer, std::size_t limit) {
  std::string whole;
  const auto* stream = std::get_if<Stream*>(&answer.body);
  if (stream) {
    const auto told = answer.headers.find("content-length");
    std::uint64_t length = 0;
    if (std::from_chars(told.data(), told.data() + told.size(), length).ec == std::errc{} && length > limit)
      co_return fail(kAnswerTooLarge);
  }
  if (!stream) {
    const auto text = whole_text(answer.body).value_or("");
    if (text.size() > limit) co_return fail(kAnswerTooLarge);
    co_return std::string(text);
  }
  for (;;) {
    auto piece = co_await (*stream)->read();
    if (!piece) co_return std::unexpected(std::move(piece).error());
    if (piece->empty()) break;
    if (piece->size() > limit - whole.size()) co_return fail(kAnswerTooLarge);
    whole += as_text(*piece);
  }
  co_return whole;
}

Task<Result<Answer>> fetch(Service& service, Loop& loop, const Call& call) {
  Arena arena;
  Context context(arena, loop, service.services());
  context.scope = co_await this_scope();
  context.started = context.now = loop.now();
  auto answer = co_await fetch(service, context, call);
  co_return answer;
}

Task<Result<Answer>> fetch(Service& service, Context& context, Call call) {
  const auto& sent = context.keep<Call>(std::move(call));
  auto& request =
      context.keep<Request>(Request{.method = sent.method, .target = sent.target, .headers = Headers{context.arena}});
  for (const auto& [name, value] : sent.headers) request.headers.add(lasting(name), lasting(value));
  request.authority = sent.authority;
  if (!sent.body.empty()) {
    request.body = &context.keep<TextStream>(sent.body);
    request.content_length = sent.body.size();
  }
  call_state(request, context).repeats = sent.repeats;
  auto given = co_await service.call(request, context);
  if (!given) co_return std::unexpected(std::move(given).error());
  Answer answer{.status = given->status};
  for (const auto& [name, value] : given->headers) answer.headers.emplace_back(name, value);
  if (sent.method == "HEAD") co_return answer;
  auto whole = co_await whole_body(*given, sent.limit);
  if (!whole) co_return std::unexpected(std::move(whole).error());
  answer.body = std::move(*whole);
  co_return answer;
}

}  // namespace plimsoll::client
