#include "plimsoll/handler/job/provide.hpp"

#include "plimsoll/database/wait.hpp"
#include "plimsoll/exchange/problem_document.hpp"
#include "plimsoll/handler/job/run.hpp"
#include "plimsoll/queue/sql_queue.hpp"
#include "plimsoll/queue/workers.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <set>

namespace plimsoll::handler::job {
namespace {

/// Never told over HTTP: it refuses the start.
constexpr Problem kLaterRun{"not-implemented", 500, "This version does not support this way to run a job",
                            "Run it in C++ or by `{http: URL}` or `{sql: STATEMENT}`."};

struct Options {
  config::Raw run = nullptr;
  std::int64_t attempts = 12;
  config::Duration timeout = config::minutes(5);
  config::Duration lease = config::seconds(30);
  std::string queue = "default";
  std::int64_t concurrency = 0;
  std::int64_t priority = 5;
};
constexpr std::string_view kRunSchema =
    R"("anyOf":[{"const":"c++"},{"type":"object","additionalProperties":false,"minProperties":1,"properties":{"http":{"type":["string","object"]},"sql":{"type":["string","array"],"items":{"type":"string"}},"result":{"type":"object","additionalProperties":false,"properties":{"type":{"type":"string"},"file":{"type":"string"}}}}}])";
constexpr std::string_view kWaysToRun[] = {"http", "sql", "result"};
constexpr config::Field kFields[] = {
    config::shaped(config::field<&Options::run>("run",
                                                "`c++`, `{http: URL}`, or `{sql: STATEMENT}` with `result: {type, "
                                                "file}` where its rows, of one column, are to "
                                                "be downloaded as lines."),
                   kRunSchema, "{http: 'https://mailer.internal:9100/receipts'}"),
    config::field<&Options::attempts>("attempts", "Failures until the job is dead.", {1, 1'000}),
    config::field<&Options::timeout>("timeout", "Of one attempt."),
    config::field<&Options::lease>("lease", "How long a worker that does not renew its lease keeps its job."),
    config::field<&Options::queue>("queue", "Jobs of one queue share its concurrency."),
    config::field<&Options::concurrency>(
        "concurrency", "How many jobs of its queue run at the same time, over all instances; 0: 10.", {0, 10'000}),
    config::field<&Options::priority>("priority", "1 first, 9 last.", {1, 9}),
};

/// A runner of the program, which outlives every plan, as the plan's own.
class BorrowedRunner final : public queue::Runner {
 public:
  explicit BorrowedRunner(queue::Runner& runner) : runner_(runner) {}
  PLIMSOLL_FORWARDS Task<Result<queue::Output>> run(queue::Execution& execution) override {
    return runner_.run(execution);
  }

 private:
  queue::Runner& runner_;
};

class Reading {
 public:
  Reading(const contract::Contract& contract, const Services& services, contract::Complaints& complaints)
      : alone_{&contract},
        contracts_(services.contracts.empty() ? std::span(alone_) : std::span(services.contracts)),
        services_(services),
        complaints_(complaints) {}

  std::vector<Declared> all() {
    std::set<std::string, std::less<>> named;
    const auto* jobs = services_.deployment ? services_.deployment->find("jobs") : nullptr;
    if (jobs)
      for (auto& member : jobs->object()) {
        named.emplace(member.key);
        read(member);
      }
    if (services_.runners)
      for (auto& [kind, runner] : *services_.runners)
        if (runner && !named.contains(kind))
          made_.push_back({.kind = {.name = kind}, .runner = std::make_unique<BorrowedRunner>(*runner)});
    share_concurrency();
    return std::move(made_);
  }

 private:
  void read(const json::Member& member) {
    Options options;
    if (auto done = config::read(member.value, kFields, &options); !done) return complain(member.value, done.error());
    if (!options.run)
      return complain(member.value,
                      config::wrong(member.value, "the job `" + std::string(member.key) + "` has no `run`",
                                    "Say what it runs: `run: {http: URL}`, `run: {sql: STATEMENT}` or "
                                    "`run: c++`.")
                          .error());
    auto run = run_of(member.key, *options.run, options.timeout.nanoseconds);
    if (!run) return complain(*options.run, run.error());
    if (options.attempts < 1 || options.attempts > 1000 || options.priority < 1 || options.priority > 9 ||
        options.concurrency < 0 || options.concurrency > 10'000 || options.timeout.nanoseconds <= 0 ||
        options.lease.nanoseconds < kSecond || options.queue.empty())
      return complain(member.value, Error{&config::kConfiguration,
                                          "attempts are 1 to 1000, priorities 1 to 9, concurrency up to "
                                          "10000, the lease at least 1s, and the timeout is more than nothing"});
    made_.push_back({{.name = std::string(member.key),
                      .queue = std::move(options.queue),
                      .retry = {.attempts = static_cast<int>(options.attempts)},
                      .timeout = options.timeout.nanoseconds,
                      .lease = options.lease.nanoseconds,
                      .priority = static_cast<int>(options.priority),
                      .concurrency = static_cast<int>(options.concurrency),
                      .claims = std::move(run->claims)},
                     std::move(run->runner),
                     std::move(run->statements)});
  }

  Result<SqlJob> run_of(std::string_view kind, const json::Value& run, Nanoseconds attempt) {
    if (run.find("sql") && run.object().size() == (run.find("result") ? 2 : 1))
      return run_sql(run, RequestSources{contracts_, kind});
    auto runner = runner_of(kind, run, attempt);
    if (!runner) return std::unexpected(std::move(runner).error());
    return SqlJob{.runner = std::move(*runner), .claims = {}, .statements = {}};
  }

  Result<std::unique_ptr<queue::Runner>> runner_of(std::string_view kind, const json::Value& run, Nanoseconds attempt) {
    if (run.is(json::Type::string) && run.string() == "c++") {
      auto found = services_.runners ? services_.runners->find(kind) : decltype(services_.runners->end()){};
      if (!services_.runners || found == services_.runners->end() || !found->second)
        return fail(config::kConfiguration,
                    "it runs in C++, but this program brings no function for it: "
                    "Application::job(\"" +
                        std::string(kind) + "\", …)");
      return std::make_unique<BorrowedRunner>(*found->second);
    }
    if (run.is(json::Type::object) && run.object().size() == 1) {
      if (auto* http = run.find("http")) return run_http(*http, attempt, kind, services_);
      const auto& way = run.object()[0];
      if (const auto near = config::nearest(way.key, kWaysToRun); !near.empty()) {
        json::Value place = way.value;
        if (way.at.line) place.set_position(way.at);
        return config::wrong(
            place, "`run` has no \"" + std::string(way.key) + "\"; did you mean \"" + std::string(near) + "\"?");
      }
      if (run.find("email")) return fail(kLaterRun, "this version does not implement `email` yet");
    }
    return config::wrong(run, "`run` is `c++`, `{http: URL}` or `{sql: STATEMENT}`",
                         "For example `run: {http: 'http://127.0.0.1:9000/report'}`.");
  }

  /// Concurrency belongs to the queue: who says one says it for all of that queue.
  void share_concurrency() {
    std::map<std::string, int, std::less<>> of_queue;
    for (auto& job : made_)
      if (job.kind.concurrency) {
        auto [known, fresh] = of_queue.emplace(job.kind.queue, job.kind.concurrency);
        if (!fresh && known->second != job.kind.concurrency)
          complaints_.push_back({.code = "configuration",
                                 .file = services_.deployment_file,
                                 .pointer = "/jobs/" + job.kind.name,
                                 .what = "queue `" + job.kind.queue + "` is given two concurrencies",
                                 .remedy = "Give the same to all jobs of a queue, or queues of their own."});
      }
    for (auto& job : made_) {
      auto found = of_queue.find(job.kind.queue);
      job.kind.concurrency = found == of_queue.end() ? 10 : found->second;
    }
  }

  void complain(const json::Value& at, const Error& error) {
    auto [place, what, source, remedy] = config::located(error.detail);
    complaints_.push_back({.code = std::string(error.problem->code),
                           .file = services_.deployment_file,
                           .at = place.line ? place : at.position(),
                           .pointer = "/jobs",
                           .what = std::move(what),
                           .remedy = remedy.empty() ? std::string(error.problem->remedy) : std::move(remedy)});
  }

  const std::array<const contract::Contract*, 1> alone_;
  const std::span<const contract::Contract* const> contracts_;  ///< any of them may start a job
  const Services& services_;
  contract::Complaints& complaints_;
  std::vector<Declared> made_;
};

/// Left by `provide` for `prepare`, which runs when the tables of the contract exist.
struct SqlOfJobs {
  std::vector<std::pair<std::string, std::vector<SqlStatement>>> by_kind;
};

/// EXPLAIN compiles a statement as running it does, and runs nothing.
Result<> compile(database::Database& database, const SqlStatement& statement) {
  const std::vector<database::Cell> none(statement.parameters);
  auto explained = database::wait_for([&](Loop& loop) -> Task<Result<database::Rows>> {
    auto rows = co_await database.read(loop, "EXPLAIN " + statement.sql, none, false);
    co_return rows;
  });
  if (!explained) return std::unexpected(std::move(explained).error());
  return {};
}

/// An error where the rows of a statement that compiles have several columns: then no value can be made of it. Of one
/// that changes something this is known only when it runs.
Result<> has_one_column(database::Database& database, const SqlStatement& statement) {
  const auto reads = database.only_reads(statement.sql);
  if (!reads || !*reads) return {};
  auto sql = statement.sql;
  sql.resize(sql.find_last_not_of(" \t\r\n;") + 1);
  return compile(database, {.sql = "SELECT (" + sql + "\n)", .parameters = statement.parameters});
}

/// The queue and the thread that runs its jobs; the workers end before the queue they ask.
class Jobs final : public Background {
 public:
  Jobs(Services& services, std::vector<queue::Kind> kinds)
      : queue(*services.database, *services.clock, std::move(kinds)),
        workers(queue, *services.database, queue.kinds(), services.metrics, services.log),
        metrics_(services.metrics),
        clock_(*services.clock) {
    queue.on_notify([this] { workers.wake(); });
  }
  ~Jobs() override {
    queue.on_notify({});
    stop();
  }
  Result<> start() override {
    workers.start();
    return {};
  }
  int run_due() override { return workers.run_due(); }
  void drain(Nanoseconds grace) noexcept override { workers.stop(grace); }
  void retire() noexcept override {
    Nanoseconds longest = 0;  // an attempt ends at its timeout at the latest
    for (const auto& kind : queue.kinds()) longest = std::max(longest, kind.timeout);
    workers.stop(longest + kSecond);
    workers.wait();
  }
  /// Every series stays once it was seen, so that a backlog that is gone reads 0.
  Task<> sample(Loop& loop) override {
    if (!metrics_) co_return;
    auto backlog = co_await queue.backlog(loop);
    if (!backlog) co_return;
    std::map<std::string, Nanoseconds, std::less<>> oldest;  // by kind: of what is due and has not begun
    const std::lock_guard lock(sampling_);
    for (auto* gauge : seen_) gauge->set(0);
    for (const auto& kind : queue.kinds()) oldest[kind.name] = 0;
    const auto now = clock_.wall();
    for (const auto& each : *backlog) {
      const telemetry::Label labels[] = {{"kind", each.kind}, {"state", to_string(each.state)}};
      auto& gauge = metrics_->gauge(kBacklog, "Jobs that wait, run or are dead, by kind and state.", labels);
      gauge.set(each.count);
      if (std::ranges::find(seen_, &gauge) == seen_.end()) seen_.push_back(&gauge);
      if (each.state != queue::State::running && !ended(each.state))
        oldest[each.kind] = std::max(oldest[each.kind], now - each.oldest);
    }
    for (const auto& [kind, age] : oldest) {
      const telemetry::Label labels[] = {{"kind", kind}};
      metrics_
          ->gauge("plimsoll_job_oldest_age_seconds",
                  "How long the oldest job that is due and has not begun has waited.", labels)
          .set(age / kSecond);
    }
  }
  void stop() noexcept override {
    workers.stop();
    workers.wait();
  }
  queue::SqlQueue queue;
  queue::Workers workers;

 private:
  static constexpr std::string_view kBacklog = "plimsoll_job_backlog";
  telemetry::Registry* metrics_;
  const Clock& clock_;
  std::mutex sampling_;
  std::vector<telemetry::Gauge*> seen_;
};

}  // namespace

std::span<const config::Field> job_fields() { return kFields; }
const void* job_defaults() { return config::defaults_of<Options>(); }

std::vector<Declared> declared_jobs(const contract::Contract& contract, const Services& services,
                                    contract::Complaints& complaints) {
  return Reading{contract, services, complaints}.all();
}

void provide(const contract::Contract& contract, Services& services, contract::Complaints& complaints) {
  if (services.queue) return;
  auto declared = declared_jobs(contract, services, complaints);  // also where nothing runs them: a mistake stays one
  if (!services.database || declared.empty() || !complaints.empty()) return;
  std::vector<queue::Kind> kinds;
  for (auto& job : declared) kinds.push_back(job.kind);
  auto jobs = std::make_unique<Jobs>(services, std::move(kinds));
  auto sql = services.of_plan->of<SqlOfJobs>();
  for (auto& job : declared) {
    jobs->workers.on(job.kind.name, std::move(job.runner));
    sql->by_kind.emplace_back(job.kind.name, std::move(job.statements));
  }
  auto ready = database::wait_for([&](Loop& loop) -> Task<Result<>> {
    auto made = co_await jobs->queue.prepare(loop);
    co_return made;
  });
  if (!ready) {
    const auto& error = ready.error();
    complaints.push_back({.code = database::is_refused_statement(error) ? "database" : std::string(error.problem->code),
                          .what = "the tables of jobs cannot be made: " + database::reason_of(error),
                          .remedy = database::remedy_of(error)});
    return;
  }
  services.queue = &jobs->queue;
  services.backgrounds->add(std::move(jobs));
}

void prepare(const contract::Contract&, const Services& services, contract::Complaints& complaints) {
  const bool failed =
      std::ranges::any_of(complaints, [](auto& each) { return each.severity == contract::Complaint::Severity::error; });
  if (failed || !services.database || !services.queue) return;
  const auto sql = services.of_plan->of<SqlOfJobs>();
  for (auto& [kind, statements] : sql->by_kind)
    for (auto& statement : statements)
      if (auto compiled = compile(*services.database, statement); !compiled) {
        const auto& error = compiled.error();
        const bool unavailable = error.problem == &database::kUnavailable;
        complaints.push_back({.code = std::string((unavailable ? database::kUnavailable : kBadStatement).code),
                              .file = services.deployment_file,
                              .at = statement.at,
                              .pointer = "/jobs/" + kind + "/run/sql",
                              .what = "the SQL of the job `" + kind + "` cannot run: " + std::string(log_text(error)),
                              .remedy = std::string((unavailable ? database::kUnavailable : kBadStatement).remedy)});
      } else if (auto one = statement.gives_lines ? has_one_column(*services.database, statement) : Result<>{}; !one) {
        complaints.push_back(
            {.code = std::string(kBadStatement.code),
             .file = services.deployment_file,
             .at = statement.at,
             .pointer = "/jobs/" + kind + "/run/sql",
             .what = "the result of the job `" + kind +
                     "` has a line for each row, and the rows of its last statement have several columns: " +
                     std::string(log_text(one.error())),
             .remedy = "Select one column, the text of the line: `a || ',' || b` for CSV; for NDJSON "
                       "`json_object('a', a, 'b', b)` (SQLite) or `json_build_object('a', a, 'b', b)` (PostgreSQL)."});
      }
}

}  // namespace plimsoll::handler::job
