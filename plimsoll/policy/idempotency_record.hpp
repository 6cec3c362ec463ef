#pragma once

#include "plimsoll/base/clock.hpp"
#include "plimsoll/base/digest.hpp"
#include "plimsoll/database/database.hpp"
#include "plimsoll/exchange/principal.hpp"
#include "plimsoll/http/message.hpp"
#include "plimsoll/policy/expiry_clock.hpp"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll {
class Context;
}

namespace plimsoll::policy {

/// `Idempotency-Key` of a request: quoted (a structured field string) or bare.
struct IdempotencyKey {
  bool given = false, valid = false;
  std::string_view text{};
};
IdempotencyKey read_idempotency_key(const Headers&);

/// Whose key it is: tenant, principal, operation and key, as 43 characters that tell nothing of them.
std::string record_key(const Principal* principal, std::string_view operation, std::string_view key);
/// The key of a record as a service that is called may know it: a UUID of version 8 (RFC 9562).
std::string key_between_services(std::string_view record_key);
/// What was asked: method, path, query, raw body and `If-Match`.
Digest fingerprint_of(const Request&, const Context&);
/// Reads a body that nobody has read yet into the arena, so that it can be fingerprinted and still be read.
Task<Result<>> read_whole_body(Request&, Context&);

/// An answer as it was given.
struct RecordedAnswer {
  Digest fingerprint{};
  std::uint16_t status = 0;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};
/// Null when the answer must not or cannot be kept: a refusal that is passing (`says_nothing_done`, 5xx), or not whole.
std::shared_ptr<RecordedAnswer> record_of(const Response&);
Response replay_of(const RecordedAnswer&, Arena&);

/// Who is at a request whose effect is not in our database, and for how long: taken before the request is sent, and
/// replaced by the answer, or given up where nothing was done. One that was left is a request of which nobody knows
/// what became of it.
struct Lease {
  Digest fingerprint{};
  std::string token{};    ///< of whoever took it: who has lost it to another replaces nothing any more (fencing)
  Nanoseconds until = 0;  ///< Unix; 0: it was left

  static Lease taken(const Digest& fingerprint, Nanoseconds until);
};

/// The table of recorded answers, and of leases until there is an answer.
class IdempotencyRecords {
 public:
  /// What is known of a key: nothing, its answer, or who is at it.
  struct Known {
    std::shared_ptr<const RecordedAnswer> answer{};
    std::optional<Lease> lease{};
    const Digest* fingerprint() const { return answer ? &answer->fingerprint : lease ? &lease->fingerprint : nullptr; }
  };

  /// `expiry`: by which records have expired.
  IdempotencyRecords(database::Database& database, std::shared_ptr<ExpiryClock> expiry)
      : database_(database), expiry_(std::move(expiry)) {}
  Task<Result<>> prepare(Loop&) const;
  /// Nothing when there is none, or it has expired.
  Task<Result<Known>> find(Loop&, std::string_view key) const;
  /// False when a live record of that key is there already. `wall`: Unix nanoseconds. Each 32nd that is stored here,
  /// and the first, takes up to 64 expired ones away, so that the table never holds more than what is live and a
  /// little, without a sweep.
  Task<Result<bool>> insert(database::Session&, std::string_view key, std::string_view operation, const RecordedAnswer&,
                            Nanoseconds wall, Nanoseconds keep) const;

  /// Takes the lease of a key of which nothing is known, or, where `over` is given, takes that one over. False: another
  /// was faster.
  Task<Result<bool>> take(Loop&, std::string_view key, std::string_view operation, const Lease&, const Lease* over,
                          Nanoseconds wall, Nanoseconds keep) const;
  /// The answer instead of the lease. False: the lease was lost.
  Task<Result<bool>> settle(database::Session&, std::string_view key, const Lease&, const RecordedAnswer&,
                            Nanoseconds wall, Nanoseconds keep) const;
  /// Nothing was done: the key is as good as new.
  Task<Result<>> give_up(Loop&, std::string_view key, const Lease&) const;
  /// Nobody knows what was done.
  Task<Result<>> leave(Loop&, std::string_view key, const Lease&) const;

 private:
  struct Row;
  Task<Result<bool>> insert(database::Session&, std::string_view key, std::string_view operation, Row, Nanoseconds wall,
                            Nanoseconds keep) const;
  Task<Result<>> remove_expired(database::Session&) const;
  database::Database& database_;
  std::shared_ptr<ExpiryClock> expiry_;
  std::shared_ptr<std::atomic<std::uint32_t>> stored_ = std::make_shared<std::atomic<std::uint32_t>>(0);
};

}  // namespace plimsoll::policy
