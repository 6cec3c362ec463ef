#include "plimsoll/base/timestamp.hpp"
#include "plimsoll/client/service.hpp"
#include "plimsoll/contract/header_fields.hpp"
#include "plimsoll/database/database.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/declared_job.hpp"
#include "plimsoll/exchange/handling.hpp"
#include "plimsoll/exchange/job_payload.hpp"
#include "plimsoll/exchange/unit.hpp"
#include "plimsoll/handler/job/declaration.hpp"
#include "plimsoll/handler/job/provide.hpp"
#include "plimsoll/handler/job/run.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/queue/queue.hpp"

#include <cstdio>

namespace plimsoll::handler {
namespace job {
namespace {

constexpr Problem kNotFound{"job-not-found", 404, "The job does not exist",
                            "Use the `status_url` of the 202 response. Only the caller that started a job can see it, "
                            "and jobs are deleted some days after they have ended."};
constexpr Problem kNoResult{"job-without-result", 404, "The job has no result",
                            "Read the status document: `download_url` is set once there is a result."};
constexpr Problem kEnded{"job-ended", 409, "The job has already ended",
                         "No action is needed: an ended job cannot be cancelled."};

/// Names of what is answered, as `naming` says.
struct Names {
  std::string_view id = "job_id", status_url = "status_url", enqueued = "enqueued_at", started = "started_at",
                   finished = "finished_at", download = "download_url";
};
constexpr Names kSnake{};
constexpr Names kCamel{"jobId", "statusUrl", "enqueuedAt", "startedAt", "finishedAt", "downloadUrl"};

const Names& names_of(const contract::Contract& contract) {
  const auto* naming = contract.extension ? contract.extension->find("naming") : nullptr;
  return naming && naming->is(json::Type::string) && naming->string() == "camel" ? kCamel : kSnake;
}

/// A path with holes for the parameters of the request that leads to it, and for the job's id.
class Template {
 public:
  /// `to` filled with the path parameters of `from`; null holes take the id.
  static Result<Template> make(const contract::Contract& contract, const contract::Operation& from,
                               const contract::Operation& to) {
    Template made;
    const auto have = contract.path_parameters(from);
    std::string_view rest = to.path;
    while (true) {
      const auto open = rest.find('{');
      made.texts_.emplace_back(rest.substr(0, open));
      if (open == rest.npos) return made;
      const auto close = rest.find('}', open);
      const auto name = rest.substr(open + 1, close - open - 1);
      rest.remove_prefix(close + 1);
      auto found = std::ranges::find(have, name);
      if (found != have.end())
        made.holes_.push_back(found - have.begin());
      else if (name == kIdParameter || to.path.rfind('{') == to.path.find('{' + std::string(name) + '}'))
        made.holes_.push_back(-1);
      else
        return fail(config::kConfiguration, "the path " + to.path + " needs {" + std::string(name) + "}, which " +
                                                from.path + " does not have");
    }
  }
  std::string fill(const Context& context, std::string_view id) const {
    std::string path = texts_[0];
    for (std::size_t i = 0; i < holes_.size(); ++i) {
      path += holes_[i] < 0 ? id : context.path_values[static_cast<std::size_t>(holes_[i])];
      path += texts_[i + 1];
    }
    return path;
  }

 private:
  std::vector<std::string> texts_;
  std::vector<std::ptrdiff_t> holes_;
};

/// The operation that does `action` for jobs of that kind: beside `near` when there are several.
const contract::Operation* sibling(const contract::Contract& contract, const contract::Operation& near,
                                   std::string_view kind, Action action) {
  const contract::Operation* best = nullptr;
  std::size_t shared = 0;
  for (auto& operation : contract.operations) {
    const auto* options = operation.extension("job");
    if (!options) continue;
    auto read = job::read(*options, operation.method);
    if (!read || read->kind != kind || read->action != action) continue;
    std::size_t same = 0;
    while (same < operation.path.size() && same < near.path.size() && operation.path[same] == near.path[same]) ++same;
    if (!best || same > shared) best = &operation, shared = same;
  }
  return best;
}

Response answer(Context& context, std::uint16_t status, std::string_view body) {
  Response made{.status = status, .headers = Headers{context.arena}};
  if (!body.empty()) {
    made.headers.add("content-type", "application/json");
    made.body = context.kept(body);
  }
  made.headers.add("cache-control", "no-store");
  return made;
}

/// Enqueues, and answers 202 with where to ask.
class Start final : public Handler {
 public:
  Start(queue::Queue& queue, const queue::Kind& kind, Template status, const Names& names)
      : queue_(queue), kind_(kind.name), claims_(kind.claims), status_(std::move(status)), names_(names) {}

  Task<Result<Response>> handle(Request&, Context& context) override {
    context.unit().join(context.keep<Notice>(queue_));
    const queue::Job job{
        .kind = kind_, .payload = job_payload(context, claims_), .owner = job_owner(context.principal)};
    auto done = co_await context.unit().answer([&](database::Session& session) -> Task<Result<Response>> {
      auto id = co_await queue_.enqueue(session, job);
      if (!id) co_return std::unexpected(std::move(id).error());
      const auto url = context.kept(status_.fill(context, *id));
      std::string body;
      json::Writer{body}.begin_object().key(names_.id).string(*id).key(names_.status_url).string(url).end_object();
      auto accepted = answer(context, 202, body);
      accepted.headers.add("location", url);
      co_return accepted;
    });
    co_return done;
  }

 private:
  struct Notice final : Participant {
    explicit Notice(queue::Queue& queue) : queue(queue) {}
    Task<Result<>> settle(database::Session&, const Response&) override { co_return Result<>{}; }
    void settled(bool committed) noexcept override {
      if (committed) queue.notify();
    }
    queue::Queue& queue;
  };
  queue::Queue& queue_;
  const std::string kind_;
  const std::vector<std::string> claims_;
  const Template status_;
  const Names& names_;
};

/// What the operations on one job have in common: they find it, and only for its owner.
class OnOne : public Handler {
 public:
  OnOne(queue::Queue& queue, std::string kind, std::size_t parameter)
      : queue_(queue), kind_(std::move(kind)), parameter_(parameter) {}

 protected:
  /// Another's job is not there, as if it never had been.
  Task<Result<queue::Record>> find(Context& context) {
    const std::string id(context.path_values[parameter_]);
    auto found = co_await queue_.find(context.loop, id);
    if (!found) co_return std::unexpected(std::move(found).error());
    if (!*found || (*found)->kind != kind_) co_return fail(kNotFound);
    const auto& owner = (*found)->owner;
    if (owner != "*" && owner != job_owner(context.principal)) co_return fail(kNotFound);
    co_return std::move(**found);
  }
  queue::Queue& queue_;
  const std::string kind_;
  const std::size_t parameter_;
};

class Status final : public OnOne {
 public:
  Status(queue::Queue& queue, std::string kind, std::size_t parameter, std::optional<Template> result,
         const Names& names)
      : OnOne(queue, std::move(kind), parameter), result_(std::move(result)), names_(names) {}

  Task<Result<Response>> handle(Request&, Context& context) override {
    auto job = co_await find(context);
    if (!job) co_return std::unexpected(std::move(job).error());
    std::string text;
    json::Writer out{text};
    auto instant = [&](std::string_view name, Nanoseconds at) {
      out.key(name);
      if (at)
        out.string(rfc3339(at));
      else
        out.null();
    };
    const auto state = job->standing.state;
    out.begin_object().key(names_.id).string(job->id).key("status").string(to_string(state));
    out.key("progress").integer(job->progress).key("attempts").integer(job->standing.attempts);
    instant(names_.enqueued, job->enqueued_at);
    instant(names_.started, job->started_at);
    instant(names_.finished, job->finished_at);
    out.key(names_.download);
    if (job->has_result && result_)
      out.string(result_->fill(context, job->id));
    else
      out.null();
    out.key("error");
    if (job->error.empty())
      out.null();
    else
      out.string(job->error);
    out.end_object();
    auto made = answer(context, 200, text);
    if (!ended(state)) made.headers.add("retry-after", "1");
    co_return made;
  }

 private:
  const std::optional<Template> result_;
  const Names& names_;
};

class Download final : public OnOne {
 public:
  using OnOne::OnOne;
  Task<Result<Response>> handle(Request&, Context& context) override {
    auto job = co_await find(context);
    if (!job) co_return std::unexpected(std::move(job).error());
    auto output = co_await queue_.result(context.loop, job->id);
    if (!output) co_return std::unexpected(std::move(output).error());
    if (!*output) co_return fail(kNoResult);
    auto kept = std::make_shared<queue::Output>(std::move(**output));
    Response made{.status = 200, .headers = Headers{context.arena}};
    made.headers.add("content-type", context.kept(kept->media_type));
    if (!kept->file_name.empty())
      made.headers.add("content-disposition", context.kept("attachment; filename=\"" + quoted(kept->file_name) + '"'));
    made.headers.add("cache-control", "private, no-cache");
    made.headers.add("x-content-type-options", "nosniff");
    const auto bytes = as_bytes(kept->bytes);
    made.body = Buffer{std::move(kept), bytes};
    co_return made;
  }

 private:
  /// As a quoted string holds it: no quotes, no controls, no paths.
  static std::string quoted(std::string_view name) {
    std::string out;
    for (const char c : name) out += c < ' ' || c > '~' || c == '"' || c == '\\' || c == '/' ? '_' : c;
    return out;
  }
};

class Cancel final : public OnOne {
 public:
  using OnOne::OnOne;
  Task<Result<Response>> handle(Request&, Context& context) override {
    auto job = co_await find(context);
    if (!job) co_return std::unexpected(std::move(job).error());
    auto cancelled = co_await queue_.cancel(context.loop, job->id);
    if (!cancelled) co_return std::unexpected(std::move(cancelled).error());
    if (!*cancelled) co_return fail(kEnded);
    co_return answer(context, 204, {});
  }
};

Result<std::unique_ptr<Handler>> build(const json::Value& options, const Build& build) {
  auto declared = job::read(options, build.operation.method);
  if (!declared) return std::unexpected(std::move(declared).error());
  auto* queue = build.services.queue;
  const auto kind = declared_job(build, declared->kind, config::member_or(options, "kind"));
  if (!kind) return std::unexpected(kind.error());
  const auto& names = names_of(build.contract);
  if (declared->action == Action::start) {
    const auto* status = sibling(build.contract, build.operation, declared->kind, Action::status);
    if (!status) return fail(config::kConfiguration, "no operation returns the status of `" + declared->kind + "`");
    auto path = Template::make(build.contract, build.operation, *status);
    if (!path) return std::unexpected(std::move(path).error());
    return std::make_unique<Start>(*queue, **kind, std::move(*path), names);
  }
  const auto parameters = build.contract.path_parameters(build.operation);
  if (parameters.empty())
    return config::wrong(options,
                         "a " + build.operation.method + " with `job` is about one job, and the path " +
                             build.operation.path + " names none",
                         "Start jobs with POST, or give the path a parameter {job_id}.");
  auto named = std::ranges::find(parameters, kIdParameter);
  const auto parameter =
      named == parameters.end() ? parameters.size() - 1 : static_cast<std::size_t>(named - parameters.begin());
  switch (declared->action) {
    case Action::result: return std::make_unique<Download>(*queue, std::move(declared->kind), parameter);
    case Action::cancel: return std::make_unique<Cancel>(*queue, std::move(declared->kind), parameter);
    default: break;
  }
  std::optional<Template> download;
  if (const auto* result = sibling(build.contract, build.operation, declared->kind, Action::result)) {
    auto path = Template::make(build.contract, build.operation, *result);
    if (!path) return std::unexpected(std::move(path).error());
    download = std::move(*path);
  }
  return std::make_unique<Status>(*queue, std::move(declared->kind), parameter, std::move(download), names);
}

constexpr contract::HeaderField kDisposition{"Content-Disposition", "The file name of the result."};

void describe(const json::Value& options, const Description& description, contract::Promises& promises) {
  const auto declared = job::read(options, description.operation.method);
  if (!declared) return;
  const auto& names = names_of(description.contract);
  promises.sends(contract::kCacheControl, contract::kSuccess);
  promises.refuses(database::kUnavailable);
  promises.refuses(database::kBusy);
  if (declared->action == Action::start) {
    promises.sends(contract::kLocation, contract::only(202));
    std::string body;
    json::Writer out{body};
    out.begin_object().key("type").string("object").key("required").begin_array();
    out.string(names.id).string(names.status_url).end_array().key("properties").begin_object();
    out.key(names.id).begin_object().key("type").string("string").key("format").string("uuid").end_object();
    out.key(names.status_url).begin_object().key("type").string("string").key("format").string("uri-reference");
    out.key("description").string("Where the job's status document is.").end_object().end_object().end_object();
    promises.sends_body(202, "application/json", std::move(body));
    return;
  }
  promises.refuses(kNotFound);
  if (declared->action == Action::status) promises.sends(contract::kRetryAfter, contract::only(200));
  if (declared->action == Action::result) {
    promises.refuses(kNoResult);
    promises.sends(kDisposition, contract::kSuccessOrUnchanged);
    promises.sends({"X-Content-Type-Options", "For browsers: the media type is not guessed."},
                   contract::kSuccessOrUnchanged);
  }
  if (declared->action == Action::cancel) promises.refuses(kEnded);
}

// The later ones are told by the status document, as the `error` of a job.
constexpr const Problem* kProblems[] = {&kNotFound,
                                        &kNoResult,
                                        &kEnded,
                                        &kRefused,
                                        &kServiceFailed,
                                        &kDeadlineExceeded,
                                        &client::kUnreachable,
                                        &client::kBadAnswer,
                                        &client::kAnswerTooLarge,
                                        &database::kConflict,
                                        &database::kConstraint};

constexpr config::Section kSections[] = {
    {.key = {.name = "jobs",
             .sentence = "Background jobs and how each is run.",
             .example = "{send_receipt: {run: {http: 'https://mailer.internal:9100/receipts'}, attempts: 5}}",
             .entries = job_fields,
             .entry_defaults = job_defaults}}};

constexpr Handling make() {
  Handling made{.key = {"job", "Runs the operation as a job: the response is 202 with a status document.", {}, nullptr},
                .problems = kProblems};
  made.key.fields = kDeclarationFields;
  made.key.defaults = defaults;
  made.key.short_form = kShortForm;
  made.key.example = "generate_report";
  made.deployment = kSections;
  made.augment = augment;
  made.provide = provide;
  made.prepare = prepare;
  made.build = build;
  made.describe = describe;
  return made;
}

}  // namespace
}  // namespace job

extern constinit const Handling job_handling;
constinit const Handling job_handling = job::make();

}  // namespace plimsoll::handler
