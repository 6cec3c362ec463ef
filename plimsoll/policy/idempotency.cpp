#include "plimsoll/async/single_flight.hpp"
#include "plimsoll/base/crash_point.hpp"
#include "plimsoll/base/digest.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/exchange/unit.hpp"
#include "plimsoll/http/method.hpp"
#include "plimsoll/policy/idempotency_record.hpp"
#include "plimsoll/telemetry/log.hpp"
#include "plimsoll/telemetry/metrics.hpp"

namespace plimsoll::policy {
namespace {

enum class Requirement : std::uint8_t { off, optional, required };

constexpr Problem kMissing{"idempotency-key-missing", 400, "This operation requires an Idempotency-Key",
                           "Send `Idempotency-Key: <a new UUID>`, and the same value when you repeat this request."};
constexpr Problem kInvalid{"idempotency-key-invalid", 400, "The Idempotency-Key cannot be read",
                           "Send one key of 1 to 255 visible characters, with or without double quotes."};
constexpr Problem kReused{"idempotency-key-reused", 422, "The Idempotency-Key was used for another request",
                          "Use a new key for a new request; repeat an old request exactly as it was sent."};
constexpr Problem kInFlight{"idempotency-in-flight", 409, "The first request with this key is still running",
                            "Repeat the request with the same key after `Retry-After`.", true};

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

namespace plimsoll::policy {
namespace {

/// A request that is repeated with its key is answered as it was the first time, and takes effect once. The record
/// commits in the transaction of the effect (Participant), so that no crash parts them.
/// draft-ietf-httpapi-idempotency-key-header; one database read for a key not seen lately, one more row to the commit.
class Idempotency final : public Policy {
 public:
  struct Options {
    Requirement key = Requirement::off;
    config::Duration keep = config::hours(24);
    config::Duration wait = config::seconds(2);
  };
  static constexpr config::Field fields[] = {
      config::field<&Options::key>("key", "Whether a request must carry an Idempotency-Key: optional or required."),
      config::field<&Options::keep>("keep", "How long a response is stored and replayed."),
      config::field<&Options::wait>("wait", "How long a repeated request waits for the response to the first one."),
  };
  static constexpr std::string_view short_form = R"("enum":["required","optional","off"])";
  static constexpr std::string_view example = "required";
  static constexpr auto methods = config::Methods::unsafe;
  static constexpr const Problem* problems[] = {&kMissing, &kInvalid, &kReused, &kInFlight};
  static constexpr Metric metrics[] = {
      {"plimsoll_idempotency_replays_total", "answers", "Answers replayed from a recorded one."}};

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
    Result<> ready;
    explicit Shared(database::Database& database)
        : ready(database::wait_for([&](Loop& loop) -> Task<Result<>> {
            auto made = co_await IdempotencyRecords{database}.prepare(loop);
            co_return made;
          })) {}
  };

  static Result<std::unique_ptr<Policy>> build(Options options, const Build& build) {
    const std::string_view method = build.operation.method;
    if (options.key == Requirement::off || http::is_safe(method)) return nullptr;
    if (!build.services.database)
      return fail(config::kConfiguration, "`idempotency` needs a database to remember answers in");
    auto shared = build.services.shared->of<Shared>(*build.services.database);
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
    promises.sends(kReplayed, {200, 499});
    if (description.mode != Mode::enforce) return;
    promises.notes(std::string(required ? "Needs an `Idempotency-Key`. " : "") +
                   "A request that is repeated with the same `Idempotency-Key` within `" +
                   config::to_string(options.keep) + "` takes effect once, and is given the first response again.");
  }

  Idempotency(Options options, const Build& build, std::shared_ptr<Shared> shared)
      : options_(std::move(options)),
        operation_(build.operation.id),
        records_{*build.services.database},
        shared_(std::move(shared)) {
    if (!build.services.metrics) return;
    const telemetry::Label labels[] = {{"operation", operation_}};
    replays_ = &build.services.metrics->counter(metrics[0].name, metrics[0].sentence, labels);
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
  /// Joins the unit of work and writes the answer down with it.
  struct Recording final : Participant {
    Recording(const Idempotency& policy, Context& context, std::string_view key, const Digest& fingerprint)
        : policy(policy), context(context), key(key), fingerprint(fingerprint) {}
    Task<Result<>> settle(database::Session& session, const Response& response) override {
      auto answer = record_of(response);
      if (!answer) {
        policy.not_recorded(context, response.status);
        co_return Result<>{};
      }
      answer->fingerprint = fingerprint;
      auto done = co_await policy.records_.insert(session, key, policy.operation_, *answer, context.wall,
                                                  policy.options_.keep.nanoseconds);
      if (!done) co_return std::unexpected(std::move(done).error());
      crash_point("idempotency.recorded");
      if (*done) {
        recorded = std::move(answer);
      } else if (policy.mode() == Mode::enforce) {
        overtaken = true;  // by another process: what this one did must not stay
        Error error{&kInFlight};
        policy.answers_for(error);
        co_return std::unexpected(std::move(error));
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
    std::shared_ptr<RecordedAnswer> recorded;
    bool overtaken = false;
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
    auto known = co_await records_.find(context.loop, id, context.wall);
    if (!known) co_return std::unexpected(std::move(known).error());
    if (*known) {
      if ((*known)->fingerprint != fingerprint) {
        Error error{&kReused};
        if (refuses(context, error)) co_return std::unexpected(std::move(error));
      } else if (mode() == Mode::enforce) {
        landing.brings = *known;
        co_return replay(**known, context);
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
    auto theirs = co_await records_.find(context.loop, id, context.wall);
    if (!theirs) co_return std::unexpected(std::move(theirs).error());
    if (!*theirs) co_return answer;
    if ((*theirs)->fingerprint != fingerprint) {
      Error error{&kReused};
      answers_for(error);
      co_return std::unexpected(std::move(error));
    }
    landing.brings = *theirs;
    co_return replay(**theirs, context);
  }

  Response replay(const RecordedAnswer& recorded, Context& context) {
    if (replays_) replays_->add();
    return replay_of(recorded, context.arena);
  }
  void not_recorded(Context& context, std::uint16_t status) const {
    if (!context.services.log || is_passing(status)) return;
    context.services.log->write(telemetry::Level::warning, "response-not-recorded", [&](telemetry::Line& line) {
      line.add("operation", operation_).add("reason", "it is a stream or a file; only whole answers are replayed");
    });
  }

  const Options options_;
  const std::string operation_;
  const IdempotencyRecords records_;
  const std::shared_ptr<Shared> shared_;
  telemetry::Counter* replays_ = nullptr;
};

}  // namespace

extern constinit const Part idempotency =
    part<Idempotency>("idempotency", "Makes a repeated request take effect once and return the first response again.");

}  // namespace plimsoll::policy
