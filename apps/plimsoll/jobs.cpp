#include "apps/plimsoll/commands.hpp"
#include "apps/plimsoll/database_path.hpp"
#include "plimsoll/base/timestamp.hpp"
#include "plimsoll/database/dialect.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/queue/sql_queue.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>

namespace plimsoll::command {
namespace {

struct Options {
  std::string database, config, state, kind;
  std::vector<std::string> ids;
  int limit = 50;
  bool json = false;
};

void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

std::string instant(Nanoseconds wall) { return wall == 0 ? "-" : rfc3339_seconds(wall / kSecond); }

/// The queue of a database, seen from outside of the server that runs it.
struct Opened {
  std::unique_ptr<database::Database> database;
  std::unique_ptr<queue::SqlQueue> queue;  ///< null: there is none, and who looks makes none
};
Result<Opened> open(const Options& options, Purpose purpose) {
  auto database = open_database(options.database, options.config, true, purpose);
  if (!database) return std::unexpected(std::move(database).error());
  Opened made{.database = std::move(*database), .queue = nullptr};
  made.queue = std::make_unique<queue::SqlQueue>(*made.database, system_clock(), std::vector<queue::Kind>{});
  auto ready = database::wait_for([&](Loop& loop) -> Task<Result<>> {
    if (purpose != Purpose::look) {
      auto done = co_await made.queue->prepare(loop);
      co_return done;
    }
    const auto known = co_await database::has_table(*made.database, loop, "plimsoll_jobs");
    if (!known) co_return std::unexpected(known.error());
    if (!*known) made.queue.reset();
    co_return Result<>{};
  });
  if (!ready) return std::unexpected(std::move(ready).error());
  return made;
}

void write(json::Writer& out, const queue::Record& job, bool whole) {
  out.begin_object().key("job_id").string(job.id).key("kind").string(job.kind);
  out.key("queue").string(job.queue).key("status").string(to_string(job.standing.state));
  out.key("priority").integer(job.priority).key("attempts").integer(job.standing.attempts);
  out.key("failures").integer(job.standing.failures).key("crashes").integer(job.standing.crashes);
  out.key("progress").integer(job.progress).key("enqueued_at").string(instant(job.enqueued_at));
  if (job.started_at) out.key("started_at").string(instant(job.started_at));
  if (job.finished_at) out.key("finished_at").string(instant(job.finished_at));
  if (!job.error.empty()) out.key("error").string(job.error);
  if (whole) out.key("owner").string(job.owner).key("payload").raw(job.payload).key("history").raw(job.history);
  out.end_object();
}

int list(const Options& options) {
  queue::Filter filter{.kind = options.kind, .limit = options.limit};
  if (!options.state.empty()) {
    filter.state = queue::parse_state(options.state);
    if (!filter.state)
      return complain("no state is called \"" + options.state + "\"", {},
                      "One of scheduled, available, running, retryable, completed, cancelled, dead.");
  }
  auto opened = open(options, Purpose::look);
  if (!opened) return complain(opened.error());
  auto jobs = database::wait_for([&](Loop& loop) -> Task<Result<std::vector<queue::Record>>> {
    if (!opened->queue) co_return std::vector<queue::Record>{};
    auto found = co_await opened->queue->list(loop, filter);
    co_return found;
  });
  if (!jobs) return complain(jobs.error());
  for (auto& job : *jobs) {
    if (options.json) {
      std::string line;
      json::Writer out{line};
      write(out, job, false);
      print(line + '\n');
      continue;
    }
    char line[256];
    std::snprintf(line, sizeof line, "%s  %-9s  %-20s  %3d %-8s  %s", job.id.c_str(),
                  std::string(to_string(job.standing.state)).c_str(), job.kind.c_str(), job.standing.attempts,
                  job.standing.attempts == 1 ? "attempt" : "attempts", instant(job.enqueued_at).c_str());
    print(line + (job.error.empty() ? std::string{} : "  " + job.error) + '\n');
  }
  if (!options.json && jobs->empty()) print("no jobs\n");
  return 0;
}

int no_such_job(const std::string& id) {
  return complain("there is no job " + id, {}, "`plimsoll jobs list` lists them.");
}

Result<std::optional<queue::Record>> find(queue::SqlQueue& queue, const std::string& id) {
  return database::wait_for([&](Loop& loop) -> Task<Result<std::optional<queue::Record>>> {
    auto found = co_await queue.find(loop, id);
    co_return found;
  });
}

int show(const Options& options) {
  auto opened = open(options, Purpose::look);
  if (!opened) return complain(opened.error());
  for (auto& id : options.ids) {
    if (!opened->queue) return no_such_job(id);
    auto job = find(*opened->queue, id);
    if (!job) return complain(job.error());
    if (!*job) return no_such_job(id);
    std::string text;
    json::Writer out{text};
    write(out, **job, true);
    print(text + '\n');
  }
  return 0;
}

/// Requeues or cancels each; says of which it could not be done.
template <class M>
int move(const Options& options, M method, const char* done, const char* why_not) {
  auto opened = open(options, Purpose::command);
  if (!opened) return complain(opened.error());
  int status = 0;
  for (auto& id : options.ids) {
    auto moved = database::wait_for([&](Loop& loop) -> Task<Result<bool>> {
      auto changed = co_await (opened->queue.get()->*method)(loop, id);
      co_return changed;
    });
    if (!moved) return complain(moved.error());
    if (*moved)
      print(std::string(done) + ' ' + id + '\n');
    else if (auto known = find(*opened->queue, id); known && !*known)
      status = no_such_job(id);
    else
      status = complain(id + " is not changed: " + why_not, {}, "`plimsoll jobs show " + id + "` shows the details.");
  }
  return status;
}

Subcommand::Run declare(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.require_subcommand(1);
  auto common = [&](CLI::App* sub) {
    sub->add_option("--database", options->database, "Where the jobs are, such as sqlite:shop.db");
    sub->add_option("--config", options->config, "Deployment that names the database")->type_name("FILE");
    return sub;
  };
  auto* listing = common(app.add_subcommand("list", "Lists jobs, newest first"));
  listing->add_option("--state", options->state, "Only those in this state, such as dead");
  listing->add_option("--kind", options->kind, "Only those of this kind");
  listing->add_option("--limit", options->limit, "The most jobs to list")->check(CLI::Range(1, 1000));
  listing->add_flag("--json", options->json, "A line of JSON for each");
  auto ids = [&](CLI::App* sub) { sub->add_option("ID", options->ids, "Ids of jobs, from `jobs list`")->required(); };
  auto* showing = common(app.add_subcommand("show", "Shows a job with its payload and the history of its attempts"));
  auto* requeueing = common(app.add_subcommand("requeue", "Requeues dead or cancelled jobs, with all their attempts"));
  auto* cancelling = common(app.add_subcommand("cancel", "Cancels jobs that have not ended"));
  for (auto* sub : {showing, requeueing, cancelling}) ids(sub);
  return [=] {
    if (listing->parsed()) return list(*options);
    if (showing->parsed()) return show(*options);
    if (requeueing->parsed())
      return move(*options, &queue::SqlQueue::requeue, "requeued", "it is neither dead nor cancelled");
    return move(*options, &queue::SqlQueue::cancel, "cancelled", "it has ended, or never was");
  };
}

const Subcommand jobs{"jobs", "Lists, shows, requeues and cancels the jobs of a server", declare};

}  // namespace
}  // namespace plimsoll::command
