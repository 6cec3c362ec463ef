#include "plimsoll/handler/job/provide.hpp"

#include "plimsoll/database/wait.hpp"
#include "plimsoll/handler/job/run.hpp"
#include "plimsoll/queue/sql_queue.hpp"
#include "plimsoll/queue/workers.hpp"

#include <set>

namespace plimsoll::handler::job {
namespace {

/// Never told over HTTP: it refuses the start.
constexpr Problem kLaterRun{"not-implemented", 500, "This version has no such way to run a job",
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
constexpr config::Field kFields[] = {
    config::field<&Options::run>(
        "run",
        "`c++`, `{http: URL}`, or `{sql: STATEMENT}` with `result: {type, file}` where its rows are to be "
        "downloaded as lines."),
    config::field<&Options::attempts>("attempts", "Failures until the job is dead."),
    config::field<&Options::timeout>("timeout", "Of one attempt."),
    config::field<&Options::lease>("lease", "How long a worker that is not heard of keeps its job."),
    config::field<&Options::queue>("queue", "Jobs of one queue share its concurrency."),
    config::field<&Options::concurrency>("concurrency",
                                         "How many of its queue run at once, over all instances; 0: 10."),
    config::field<&Options::priority>("priority", "1 first, 9 last."),
};

class Reading {
 public:
  Reading(const Services& services, contract::Complaints& complaints) : services_(services), complaints_(complaints) {}

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
        if (runner && !named.contains(kind)) made_.push_back({{.name = kind}, std::move(runner)});
    share_concurrency();
    return std::move(made_);
  }

 private:
  void read(const json::Member& member) {
    Options options;
    if (auto done = config::read(member.value, kFields, &options); !done) return complain(member.value, done.error());
    if (!options.run) return complain(member.value, Error{&config::kConfiguration, "it says nothing to `run`"});
    auto runner = runner_of(member.key, *options.run, options.timeout.nanoseconds);
    if (!runner) return complain(*options.run, runner.error());
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
                      .concurrency = static_cast<int>(options.concurrency)},
                     std::move(*runner)});
  }

  Result<std::unique_ptr<queue::Runner>> runner_of(std::string_view kind, const json::Value& run, Nanoseconds attempt) {
    if (run.is(json::Type::string) && run.string() == "c++") {
      auto found = services_.runners ? services_.runners->find(kind) : decltype(services_.runners->end()){};
      if (!services_.runners || found == services_.runners->end() || !found->second)
        return fail(config::kConfiguration,
                    "it runs in C++, but this program brings no function for it: "
                    "Application::job(\"" +
                        std::string(kind) + "\", …)");
      return std::move(found->second);
    }
    if (run.find("sql") && run.object().size() == (run.find("result") ? 2 : 1)) return run_sql(run);
    if (run.is(json::Type::object) && run.object().size() == 1) {
      if (auto* http = run.find("http")) return run_http(*http, attempt, kind, services_);
      if (run.find("email")) return fail(kLaterRun, "this version does not implement `email` yet");
    }
    return fail(config::kConfiguration, "`run` is `c++`, `{http: URL}` or `{sql: STATEMENT}`");
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
    complaints_.push_back({.code = std::string(error.problem->code),
                           .file = services_.deployment_file,
                           .at = at.position(),
                           .pointer = "/jobs",
                           .what = error.detail,
                           .remedy = std::string(error.problem->remedy)});
  }

  const Services& services_;
  contract::Complaints& complaints_;
  std::vector<Declared> made_;
};

/// The queue and the thread that runs its jobs; the workers end before the queue they ask.
class Jobs final : public Background {
 public:
  Jobs(Services& services, std::vector<queue::Kind> kinds)
      : queue(*services.database, *services.clock, std::move(kinds)),
        workers(queue, *services.database, queue.kinds(), services.metrics, services.log) {
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
  void stop() noexcept override {
    workers.stop();
    workers.wait();
  }
  queue::SqlQueue queue;
  queue::Workers workers;
};

}  // namespace

std::vector<Declared> declared_jobs(const Services& services, contract::Complaints& complaints) {
  return Reading{services, complaints}.all();
}

void provide(const contract::Contract&, Services& services, contract::Complaints& complaints) {
  if (!services.database || services.queue) return;
  auto declared = declared_jobs(services, complaints);
  if (declared.empty() || !complaints.empty()) return;
  std::vector<queue::Kind> kinds;
  for (auto& job : declared) kinds.push_back(job.kind);
  auto jobs = std::make_unique<Jobs>(services, std::move(kinds));
  for (auto& job : declared) jobs->workers.on(job.kind.name, std::move(job.runner));
  auto ready = database::wait_for([&](Loop& loop) -> Task<Result<>> {
    auto made = co_await jobs->queue.prepare(loop);
    co_return made;
  });
  if (!ready) {
    complaints.push_back({.code = "database",
                          .what = "the tables of jobs cannot be made: " + ready.error().detail,
                          .remedy = "Give this process leave to make tables."});
    return;
  }
  services.queue = &jobs->queue;
  services.backgrounds->add(std::move(jobs));
}

}  // namespace plimsoll::handler::job
