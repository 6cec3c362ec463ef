#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/declared_job.hpp"
#include "plimsoll/exchange/job_payload.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/exchange/unit.hpp"
#include "plimsoll/http/method.hpp"
#include "plimsoll/queue/queue.hpp"

namespace plimsoll::policy {
namespace {

/// Enqueues a job in the transaction of the operation's effect: either both are there or neither is. One row more to
/// the commit.
class After final : public Check {
 public:
  struct Options {
    std::string job;
    config::Duration delay{};
  };
  static constexpr config::Field fields[] = {
      config::field<&Options::job>("job", "Kind of the job, as `jobs:` of the deployment names it."),
      config::field<&Options::delay>("delay", "The job starts no earlier than this time after the response."),
  };
  static constexpr std::string_view example = "{job: send_receipt}";
  static constexpr auto methods = config::Methods::unsafe;
  static constexpr std::span<const Problem* const> problems{};

  static Result<std::unique_ptr<Policy>> build(Options options, const Build& build) {
    if (options.job.empty() || build.services.mock) return nullptr;  // nothing succeeds there that a job could follow
    const std::string_view method = build.operation.method;
    if (http::is_safe(method))
      return fail(config::kConfiguration,
                  "`after` needs an operation that changes something; this is a " + std::string(method));
    const auto kind = declared_job(build, options.job, config::member_or(*build.settings, "job"));
    if (!kind) return std::unexpected(kind.error());
    return std::make_unique<After>(std::move(options), *build.services.queue, (*kind)->claims);
  }
  static void describe(const Options&, const Description&, contract::Promises&) {}
  After(Options options, queue::Queue& queue, std::vector<std::string> claims)
      : options_(std::move(options)), queue_(queue), claims_(std::move(claims)) {}

  Result<> check(Request&, Context& context) override {
    context.unit().join(context.keep<Enqueue>(*this, context));
    return {};
  }

 private:
  struct Enqueue final : Participant {
    Enqueue(const After& policy, Context& context) : policy(policy), context(context) {}
    Task<Result<>> settle(database::Session& session, const Response& response) override {
      if (response.status >= 400) co_return Result<>{};  // nothing happened that anything could follow
      const queue::Job job{.kind = policy.options_.job,
                           .payload = job_payload(context, policy.claims_, &response),
                           .owner = job_owner(context.principal),
                           .delay = policy.options_.delay.nanoseconds};
      auto made = co_await policy.queue_.enqueue(session, job);
      if (!made) co_return std::unexpected(std::move(made).error());
      enqueued = true;
      co_return Result<>{};
    }
    void settled(bool committed) noexcept override {
      if (committed && enqueued) policy.queue_.notify();
    }
    const After& policy;
    Context& context;
    bool enqueued = false;
  };
  const Options options_;
  queue::Queue& queue_;
  const std::vector<std::string> claims_;
};

}  // namespace

extern constinit const Part after = part<After>("after", "Starts a job after the operation has succeeded.");

}  // namespace plimsoll::policy
