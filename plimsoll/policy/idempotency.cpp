#include "plimsoll/async/pause.hpp"
#include "plimsoll/async/single_flight.hpp"
#include "plimsoll/base/crash_point.hpp"
#include "plimsoll/base/digest.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/exchange/sent_once.hpp"
#include "plimsoll/exchange/unit.hpp"
#include "plimsoll/http/method.hpp"
#include "plimsoll/policy/idempotency_record.hpp"
#include "plimsoll/telemetry/log.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <algorithm>

namespace plimsoll::policy {
namespace {

enum class Requirement : std::uint8_t { off, optional, required };
/// Where the request takes effect: in our database, in the transaction of the record, or in another service.
enum class Effect : std::uint8_t { by_handler, elsewhere };

constexpr Problem kMissing{"idempotency-key-missing", 400, "This operation requires an Idempotency-Key",
                           "Send `Idempotency-Key: <a new UUID>`, and the same value when you repeat this request."};
constexpr Problem kInvalid{"idempotency-key-invalid", 400, "The Idempotency-Key cannot be read",
                           "Send one key of 1 to 255 visible characters, with or without double quotes."};
constexpr Problem kReused{"idempotency-key-reused", 422, "The Idempotency-Key was used for another request",
                          "Use a new key for a new request; repeat an old request exactly as it was sent."};
constexpr Problem kInFlight{"idempotency-in-flight", 409, "The first request with this key is still running",
                            "Repeat the request with the same key after `Retry-After`.", true};
constexpr Problem kUncertain{"idempotency-uncertain", 409, "The outcome of the first request with this key is unknown",
                             "Find out whether it took effect. If it did not, send the request again with a new key."};

constexpr contract::HeaderField kKey{"Idempotency-Key",
                                     "A fresh key for each new request, such as a UUID; the same one when a request is "
                                     "repeated, which then takes effect once.",
                                     R"({"type":"string","minLength":1,"maxLength":255,"pattern":"^[!#-~]+$"})"};
constexpr contract::HeaderField kReplayed{"Idempotent-Replayed",
                                          "The response is the one to the first request with its key.",
                                          R"({"type":"string","enum":["true"]})"};

std::shared_ptr<const RecordedAnswer> nothing() { return nullptr; }

}  // namespace
}  // namespace plimsoll::policy

template <>
struct plimsoll::config::Words<plimsoll::policy::Requirement> {
  static constexpr std::string_view words[] = {"off", "optional", "required"};
};
template <>
struct plimsoll::config::Words<plimsoll::policy::Effect> {
  static constexpr std::string_view words[] = {"by-handler", "elsewhere"};
};

namespace plimsoll::policy {
namespace {

/// In a mock, where nothing takes effect and nothing is kept: the key is there and well-formed.
class KeyAlone final : public Check {
 public:
  explicit KeyAlone(bool required) : required_(required) {}
  Result<> check(Request& request, Context&) override {
    const auto key = read_idempotency_key(request.headers);
    if (!key.given && required_) return fail(kMissing);
    if (key.given && !key.valid) return fail(kInvalid);
    return {};
  }

 private:
  const bool required_;
};

/// A request that is repeated with its key is answered as it was the first time, and takes effect once. The record
/// commits in the transaction of the effect (Participant), so that no crash parts them.
///
/// Where the effect is in another service, nothing can keep a crash from parting them. There the key is leased before
/// the request is sent, and the answer takes the place of the lease. A lease that nobody replaced stands for a request
/// of which it is not known what became of it: it is not sent again, unless the service honours the key.
///
/// draft-ietf-httpapi-idempotency-key-header; one database read for a key not seen lately, one more row to the commit.
class Idempotency final : public Policy {
 public:
  struct Options {
    Requirement key = Requirement::off;
    config::Duration keep = config::hours(24);
    config::Duration wait = config::seconds(2);
    Effect effect = Effect::by_handler;
    bool honoured = false;
  };
  static constexpr config::Field fields[] = {
      config::field<&Options::key>("key", "Whether a request must carry an Idempotency-Key: optional or required."),
      config::field<&Options::keep>("keep", "How long a response is stored and replayed."),
      config::field<&Options::wait>("wait", "How long a repeated request waits for the response to the first one."),
      config::field<&Options::effect>(
          "effect",
          "Where the request takes effect: `elsewhere` where a handler calls another service, as `upstream` "
          "does; `by-handler`: in another service for `upstream`, otherwise in the database."),
      config::field<&Options::honoured>(
          "honoured",
          "The service that is called treats requests with the same `Idempotency-Key` as one request, so "
          "that one whose outcome is unknown may be sent again."),
  };
  static constexpr std::string_view short_form = R"("enum":["required","optional","off"])";
  static constexpr std::string_view example = "required";
  static constexpr auto methods = config::Methods::unsafe;
  static constexpr const Problem* problems[] = {&kMissing, &kInvalid, &kReused, &kInFlight, &kUncertain};
  static constexpr Metric metrics[] = {
      {"plimsoll_idempotency_replays_total", "answers", "Answers replayed from a recorded one."},
      {"plimsoll_idempotency_uncertain_total", "requests",
       "Requests that were sent to another service, of which it is not known whether they took effect."}};

  static Result<Options> read(const json::Value& from) {
    Options options{.key = Requirement::optional};
    if (from.is(json::Type::object)) {
      if (auto done = config::read(from, fields, &options, kEveryPolicy); !done)
        return std::unexpected(std::move(done).error());
    } else {
      auto key = config::Form<Requirement>::read(from);
      if (!key) return std::unexpected(std::move(key).error());
      options.key = *key;
    }
    if (options.keep.nanoseconds < kSecond)
      return config::wrong(from, "`keep` is at least 1s: a key that expires at once has no effect");
    return options;
  }

  /// One per process: flights of all operations, and the table.
  struct Shared {
    SingleFlight<std::shared_ptr<const RecordedAnswer>, Digest> flights;
    std::shared_ptr<ExpiryClock> expiry;
    Result<> ready;
    Shared(database::Database& database, const Clock& clock)
        : expiry(std::make_shared<ExpiryClock>(clock)), ready(database::wait_for([&](Loop& loop) -> Task<Result<>> {
            auto made = co_await IdempotencyRecords{database, expiry}.prepare(loop);
            co_return made;
          })) {}
  };

  static Result<std::unique_ptr<Policy>> build(Options options, const Build& build) {
    const std::string_view method = build.operation.method;
    if (options.key == Requirement::off || http::is_safe(method)) return nullptr;
    if (build.services.mock) return std::make_unique<KeyAlone>(options.key == Requirement::required);
    if (!build.services.database)
      return fail(config::kConfiguration, "`idempotency` needs a database to remember answers in");
    if (options.honoured && !acts_elsewhere(options, build.operation))
      return build.wrong("honoured", "`honoured` has no effect where the request takes effect in the database");
    auto shared = build.services.shared->of<Shared>(*build.services.database, *build.services.clock);
    if (!shared->ready) return std::unexpected(shared->ready.error());
    return std::make_unique<Idempotency>(std::move(options), build, std::move(shared));
  }

  static void describe(const Options& options, const Description& description, contract::Promises& promises) {
    const std::string_view method = description.operation.method;
    if (options.key == Requirement::off || http::is_safe(method)) return;
    const bool required = options.key == Requirement::required && description.mode == Mode::enforce;
    promises.takes(kKey, required);
    if (required) promises.refuses(kMissing);
    promises.refuses(kInvalid);
    promises.refuses(kReused);
    promises.refuses(kInFlight);
    const bool uncertain = acts_elsewhere(options, description.operation) && !may_repeat(options, method);
    if (uncertain) promises.refuses(kUncertain);
    if (uncertain) promises.refuses(database::kOutcomeUnknown);
    promises.sends(kReplayed, {200, 499});
    if (description.mode != Mode::enforce) return;
    promises.notes(std::string(required ? "Needs an `Idempotency-Key`. " : "") +
                   "A request that is repeated with the same `Idempotency-Key` within `" +
                   config::to_string(options.keep) + "` takes effect once, and is given the first response again." +
                   (uncertain ? " Where it is not known whether the first one took effect, it is refused." : ""));
  }

  Idempotency(Options options, const Build& build, std::shared_ptr<Shared> shared)
      : options_(std::move(options)),
        operation_(build.operation.id),
        records_{*build.services.database, shared->expiry},
        shared_(std::move(shared)),
        leases_(acts_elsewhere(options_, build.operation)),
        may_repeat_(may_repeat(options_, build.operation.method)) {
    shared_->expiry->keeps(options_.keep.nanoseconds);
    if (!build.services.metrics) return;
    const telemetry::Label labels[] = {{"operation", operation_}};
    replays_ = &build.services.metrics->counter(metrics[0].name, metrics[0].sentence, labels);
    if (leases_) uncertain_ = &build.services.metrics->counter(metrics[1].name, metrics[1].sentence, labels);
  }

  Task<Result<Response>> apply(Request& request, Context& context, Next next) override {
    auto key = read_idempotency_key(request.headers);
    if (!key.given) {
      if (options_.key == Requirement::required) {
        Error error{&kMissing};
        if (refuses(context, error)) co_return std::unexpected(std::move(error));
      }
      auto answer = co_await next(request, context);
      co_return answer;
    }
    if (!key.valid) {
      Error error{&kInvalid};
      if (refuses(context, error)) co_return std::unexpected(std::move(error));
      auto answer = co_await next(request, context);
      co_return answer;
    }
    if (auto whole = co_await read_whole_body(request, context); !whole)
      co_return std::unexpected(std::move(whole).error());
    auto answer = co_await once(request, context, next, key.text);
    co_return answer;
  }

 private:
  static bool acts_elsewhere(const Options& options, const contract::Operation& operation) {
    return options.effect == Effect::elsewhere || operation.extension("upstream") != nullptr;
  }
  /// Whether a request of which it is not known what became of it may be sent again.
  static bool may_repeat(const Options& options, std::string_view method) {
    return options.honoured || http::is_idempotent(method);
  }

  /// Joins the unit of work and writes the answer down with it.
  struct Recording final : Participant {
    Recording(const Idempotency& policy, Context& context, std::string_view key, const Digest& fingerprint,
              const Lease* lease = nullptr)
        : policy(policy), context(context), key(key), fingerprint(fingerprint), lease(lease) {}
    Task<Result<>> settle(database::Session& session, const Response& response) override {
      auto answer = record_of(response);
      if (!answer) {
        policy.not_recorded(context, response.status);
        co_return Result<>{};
      }
      answer->fingerprint = fingerprint;
      const auto now = context.services.clock->wall();  // a response is kept from when there is one
      if (lease) {
        auto done =
            co_await policy.records_.settle(session, key, *lease, *answer, now, policy.options_.keep.nanoseconds);
        if (!done) co_return std::unexpected(std::move(done).error());
        crash_point("idempotency.recorded");
        if (*done) recorded = std::move(answer);
        lost = !*done;
        co_return Result<>{};
      }
      auto done = co_await policy.records_.insert(session, key, policy.operation_, *answer, now,
                                                  policy.options_.keep.nanoseconds);
      if (!done) co_return std::unexpected(std::move(done).error());
      crash_point("idempotency.recorded");
      if (*done) {
        recorded = std::move(answer);
      } else if (policy.mode() == Mode::enforce) {
        overtaken = true;  // by another process: what this one did must not stay
        co_return std::unexpected(policy.refusal(Error{&kInFlight}));
      }
      co_return Result<>{};
    }
    void settled(bool committed) noexcept override {
      if (!committed) recorded.reset();
    }
    const Idempotency& policy;
    Context& context;
    std::string_view key;
    Digest fingerprint;
    const Lease* lease;
    std::shared_ptr<RecordedAnswer> recorded;
    bool overtaken = false;
    bool lost = false;  ///< the lease, to another process that sent the request again
  };

  Task<Result<Response>> once(Request& request, Context& context, Next next, std::string_view key) {
    const auto id = record_key(context.principal, operation_, key);
    const auto fingerprint = fingerprint_of(request, context);
    crash_point("idempotency.entered");
    const auto until = context.services.clock->steady() + options_.wait.nanoseconds;
    while (true) {
      auto ticket = shared_->flights.board(id, fingerprint);
      if (ticket.leads) {
        Landing landing{*shared_, id, *ticket.flight};
        if (leases_ && mode() == Mode::enforce) {
          auto answer = co_await lead_elsewhere(request, context, next, id, fingerprint, landing, until);
          co_return answer;
        }
        auto answer = co_await lead(request, context, next, id, fingerprint, landing);
        co_return answer;
      }
      if (ticket.flight->note() != fingerprint) {
        Error error{&kReused};
        if (refuses(context, error)) co_return std::unexpected(std::move(error));
        break;
      }
      const auto left = until - context.services.clock->steady();
      auto brought = co_await ticket.flight->wait(context.loop, std::max<Nanoseconds>(left, 0));
      if (!brought) co_return std::unexpected(std::move(brought).error());
      if (!*brought) {
        Error error{&kInFlight};
        error.more().retry_after = 1;
        if (refuses(context, error)) co_return std::unexpected(std::move(error));
        break;
      }
      // Nothing brought: the first left nothing behind, so this one may be the first.
      if (!**brought) continue;
      if (mode() == Mode::enforce) co_return replay(***brought, context);
      break;
    }
    auto answer = co_await next(request, context);
    co_return answer;
  }

  /// Brings the others what was recorded, however the leader ends.
  struct Landing {
    Shared& shared;
    std::string_view key;
    SingleFlight<std::shared_ptr<const RecordedAnswer>, Digest>::Flight& flight;
    std::shared_ptr<const RecordedAnswer> brings = nothing();
    ~Landing() { shared.flights.land(key, flight, std::move(brings)); }
  };

  Task<Result<Response>> lead(Request& request, Context& context, Next next, std::string_view id,
                              const Digest& fingerprint, Landing& landing) {
    auto known = co_await records_.find(context.loop, id);
    if (!known) co_return std::unexpected(std::move(known).error());
    if (const auto* first = known->fingerprint()) {
      if (*first != fingerprint) {
        Error error{&kReused};
        if (refuses(context, error)) co_return std::unexpected(std::move(error));
      } else if (mode() == Mode::enforce) {
        if (!known->answer) co_return std::unexpected(refusal(Error{&kUncertain}));
        landing.brings = known->answer;
        co_return replay(*known->answer, context);
      }
      auto answer = co_await next(request, context);
      co_return answer;
    }
    crash_point("idempotency.leading");
    auto& recording = context.keep<Recording>(*this, context, context.arena.keep(id), fingerprint);
    context.unit().join(recording);
    auto answer = co_await next(request, context);
    crash_point("idempotency.answering");
    landing.brings = recording.recorded;
    if (!recording.overtaken) co_return answer;
    auto theirs = co_await records_.find(context.loop, id);
    if (!theirs) co_return std::unexpected(std::move(theirs).error());
    if (!theirs->answer) co_return answer;
    if (theirs->answer->fingerprint != fingerprint) co_return std::unexpected(refusal(Error{&kReused}));
    landing.brings = theirs->answer;
    co_return replay(*theirs->answer, context);
  }

  Error refusal(Error error) const {
    answers_for(error);
    return error;
  }

  /// The same where the effect is in another service: what the transaction is to `lead`, a lease is here.
  Task<Result<Response>> lead_elsewhere(Request& request, Context& context, Next next, std::string_view id,
                                        const Digest& fingerprint, Landing& landing, Nanoseconds until) {
    const auto& clock = *context.services.clock;
    while (true) {
      auto known = co_await records_.find(context.loop, id);
      if (!known) co_return std::unexpected(std::move(known).error());
      if (const auto* first = known->fingerprint(); first && *first != fingerprint)
        co_return std::unexpected(refusal(Error{&kReused}));
      if (known->answer) {
        landing.brings = known->answer;
        co_return replay(*known->answer, context);
      }
      const auto* over = known->lease ? &*known->lease : nullptr;
      if (over && over->until > clock.wall()) {  // another process is at it
        if (clock.steady() >= until) {
          auto error = refusal(Error{&kInFlight});
          error.more().retry_after = 1;
          co_return std::unexpected(std::move(error));
        }
        const bool rested = co_await pause(context.loop, kLook);
        if (!rested) co_return std::unexpected(error_of(context.scope ? context.scope->stopped() : Stop::deadline));
        continue;
      }
      if (over && !may_repeat_) co_return std::unexpected(refusal(Error{&kUncertain}));
      const auto left = context.deadline() ? std::max<Nanoseconds>(context.deadline() - clock.steady(), 0) : kLongest;
      const auto lease = Lease::taken(fingerprint, clock.wall() + left + kBeyondDeadline);
      // Known for as long as it is leased, and then for as long as an answer would be.
      const auto keep = std::max<Nanoseconds>(lease.until - clock.wall(), 0) + options_.keep.nanoseconds;
      auto taken = co_await records_.take(context.loop, id, operation_, lease, over, clock.wall(), keep);
      if (!taken && taken.error().problem == &database::kOutcomeUnknown) {
        end_later(context, id, lease, false);  // nothing was sent: it is to stand for nothing
        const auto why = context.scope ? context.scope->stopped() : Stop::none;
        if (why != Stop::none) co_return std::unexpected(error_of(why));
        co_return std::unexpected(Error{&database::kUnavailable}.because(database::reason_of(taken.error())));
      }
      if (!taken) co_return std::unexpected(std::move(taken).error());
      if (!*taken) continue;
      crash_point("idempotency.leased");
      auto answer = co_await send(request, context, next, id, lease, landing);
      co_return answer;
    }
  }

  Task<Result<Response>> send(Request& request, Context& context, Next next, std::string_view id, const Lease& lease,
                              Landing& landing) {
    auto& once = context.note<SentOnce>(
        SentOnce{.never_again = !may_repeat_, .key = context.arena.keep(key_between_services(id))});
    auto& recording =
        context.keep<Recording>(*this, context, context.arena.keep(id), lease.fingerprint, &context.keep<Lease>(lease));
    context.unit().join(recording);
    // A client that has lost its patience repeats the request: it is given the answer to the first one then.
    Scope sending;
    auto answer = co_await past_client(sending, next(request, context));
    crash_point("idempotency.answering");
    landing.brings = recording.recorded;
    if (recording.recorded || recording.lost) co_return answer;
    if (!answer && once.reached && is_refusal_of_database(answer.error()))
      answer = std::unexpected(Error{&database::kOutcomeUnknown}.because(
          "the service was called, and its answer could not be recorded: " + database::reason_of(answer.error())));
    // Not by the answer, which may be of this server: whether the service has said that nothing was done.
    const bool open = once.reached;
    if (open) tell_open(context);
    if (!context.scope || context.scope->stopped() == Stop::none) {
      co_await end(records_, context.loop, std::string(id), lease, open);
    } else {  // the time of the request is over; what is to be written down is not
      end_later(context, id, lease, open);
    }
    co_return answer;
  }

  /// It says that nothing was done, which is true of the database alone.
  static bool is_refusal_of_database(const Error& error) {
    return error.problem != &database::kOutcomeUnknown &&
           std::ranges::any_of(database::kProblems, [&](const auto* each) { return error.problem == each; });
  }
  void tell_open(const Context& context) const {
    if (uncertain_) uncertain_->add();
    if (!context.services.log) return;
    context.services.log->write(telemetry::Level::warning, "idempotency-uncertain", [&](telemetry::Line& line) {
      line.add("operation", operation_).add("request_id", context.request_id);
      line.add("reason", "the request was sent to another service, and it is not known whether it took effect");
    });
  }

  /// Where it cannot be written down, the lease ends by itself, and leaves the matter open.
  static Task<> end(const IdempotencyRecords& records, Loop& loop, std::string id, Lease lease, bool open) {
    if (open)
      (void)co_await records.leave(loop, id, lease);
    else
      (void)co_await records.give_up(loop, id, lease);
  }
  void end_later(Context& context, std::string_view id, const Lease& lease, bool open) const {
    auto made = std::make_unique<Scope>();
    auto& scope = *made;
    scope.ends_by(context.services.clock->steady() + kBeyondDeadline);
    context.loop.spawn(scope, end_in(std::move(made), records_, context.loop, std::string(id), lease, open));
  }
  static Task<> end_in(std::unique_ptr<Scope>, IdempotencyRecords records, Loop& loop, std::string id, Lease lease,
                       bool open) {
    co_await end(records, loop, std::move(id), std::move(lease), open);
  }

  /// How often another process's lease is looked at.
  static constexpr Nanoseconds kLook = 100 * kMillisecond;
  /// A lease outlasts the deadline of its request, within which the answer is there or the request is given up.
  static constexpr Nanoseconds kBeyondDeadline = 5 * kSecond, kLongest = 600 * kSecond;

  Response replay(const RecordedAnswer& recorded, Context& context) {
    if (replays_) replays_->add();
    return replay_of(recorded, context.arena);
  }
  void not_recorded(Context& context, std::uint16_t status) const {
    if (!context.services.log || says_nothing_done(status)) return;
    context.services.log->write(telemetry::Level::warning, "response-not-recorded", [&](telemetry::Line& line) {
      line.add("operation", operation_).add("reason", "it is a stream or a file; only whole answers are replayed");
    });
  }

  const Options options_;
  const std::string operation_;
  const IdempotencyRecords records_;
  const std::shared_ptr<Shared> shared_;
  const bool leases_;      ///< the effect is in another service
  const bool may_repeat_;  ///< a request of which it is not known what became of it
  telemetry::Counter *replays_ = nullptr, *uncertain_ = nullptr;
};

}  // namespace

extern constinit const Part idempotency =
    part<Idempotency>("idempotency", "Makes a repeated request take effect once and return the first response again.");

}  // namespace plimsoll::policy
