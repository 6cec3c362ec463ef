#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/encoding.hpp"
#include "plimsoll/config/options.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/contract/header_fields.hpp"
#include "plimsoll/database/secret.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/exchange/reading.hpp"
#include "plimsoll/exchange/shared.hpp"
#include "plimsoll/http/method.hpp"
#include "plimsoll/policy/position_token.hpp"

namespace plimsoll::policy {
namespace {

constexpr contract::HeaderField kTaken{
    "Plimsoll-After",
    "The header of a response to a write: what is read then shows that write, whichever server answers."};
constexpr contract::HeaderField kSent{
    "Plimsoll-After",
    "To be sent with later requests of other callers, or to other servers, that must show this write. Where the "
    "deployment has replicas of the database; the caller itself needs it on this server for nothing."};

/// Made once for a process: the key lives in the database, so that every instance reads the tokens of the others.
struct Tokens {
  explicit Tokens(database::Database& database) : secret(database::secret_of(database, "after")) {
    if (secret) codec = PositionToken{*secret, database.cluster()};
  }
  Result<std::string> secret;
  PositionToken codec;
};

/// A later read shows an earlier write, though replicas of the database answer reads: the database remembers how far
/// each caller has written, and a response to a write says it in `Plimsoll-After` for everybody else. Nothing to do
/// where the deployment has no replicas.
class ReadYourWrites final : public Policy {
 public:
  ReadYourWrites(database::Database& database, std::shared_ptr<const Tokens> tokens, bool safe)
      : database_(database), tokens_(std::move(tokens)), safe_(safe) {}

  Task<Result<Response>> apply(Request& request, Context& context, Next next) override {
    auto& consistency = context.note<Consistency>();
    consistency.safe = safe_;
    consistency.site = request.peer.site;
    // A token that is none of ours names no write of ours.
    if (const auto said = request.headers.find("plimsoll-after"); !said.empty())
      consistency.after = tokens_->codec.read(said);
    auto answer = co_await next(request, context);
    if (safe_ || !answer) co_return answer;
    auto wrote = consistency.wrote;
    // What was written was written before: when the response to it was made.
    if (wrote == 0 && answer->headers.contains("idempotent-replayed"))
      if (auto now = co_await database_.position(context.loop); now) wrote = *now;
    if (wrote > 0) answer->headers.set("plimsoll-after", context.kept(tokens_->codec.write(wrote)));
    co_return answer;
  }

 private:
  database::Database& database_;
  const std::shared_ptr<const Tokens> tokens_;
  const bool safe_;
};

constexpr Part make() {
  Part made{.key = {"read-your-writes",
                    "Reads that replicas answer show what their callers have written; it cannot be configured.",
                    {},
                    nullptr},
            .problems = {},
            .metrics = {},
            .build = nullptr};
  made.build = [](const Part& self, const json::Value* options, const Build& build) -> Result<std::unique_ptr<Policy>> {
    if (options) return config::wrong(*options, "`read-your-writes` takes no options and cannot be switched off");
    auto* database = build.services.database;
    if (!database || !database->has_replicas()) return nullptr;
    auto tokens = build.services.shared->of<Tokens>(*database);
    if (!tokens->secret) return std::unexpected(tokens->secret.error());
    auto policy = std::make_unique<ReadYourWrites>(*database, std::move(tokens), http::is_safe(build.operation.method));
    Part::attach(self, *policy, Mode::enforce, build);
    return policy;
  };
  made.describe = [](const json::Value*, const Description& description, contract::Promises& promises) {
    if (description.mock || !description.operation.extension("table")) return;
    if (http::is_safe(description.operation.method))
      promises.takes(kTaken);
    else
      promises.sends(kSent, contract::kSuccess);
  };
  return made;
}

}  // namespace

extern constinit const Part read_your_writes = make();

}  // namespace plimsoll::policy
