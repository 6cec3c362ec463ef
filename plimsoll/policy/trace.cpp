#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/encoding.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/continued_trace.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/http/trace_context.hpp"

#include <bit>
#include <optional>

namespace plimsoll::policy {
namespace {

/// Ids must differ, not be secret: xoshiro256++ (Blackman and Vigna, 2019), one for each thread, whose 256 bits of
/// state come from the system.
class Xoshiro256 {
 public:
  Xoshiro256() { random_bytes(state_, sizeof state_); }
  std::uint64_t operator()() {
    auto& [a, b, c, d] = state_;
    const auto made = std::rotl(a + d, 23) + a;
    const auto shifted = b << 17;
    c ^= a, d ^= b, b ^= c, a ^= d, c ^= shifted;
    d = std::rotl(d, 45);
    return made;
  }

 private:
  std::uint64_t state_[4];
};

constexpr contract::HeaderField kRequestId{"X-Request-Id", "The id of the request: the caller's, or a new one."};

/// Gives the exchange its ids: the trace of the caller continued (W3C Trace Context, level 2), or a new
/// one; the request id taken as given, or the trace id. No I/O.
class Trace final : public Check {
 public:
  struct Options {
    bool accept = true;
  };
  static constexpr config::Field fields[] = {
      config::field<&Options::accept>(
          "accept", "Whether a caller's `traceparent` and `X-Request-Id` are continued; false makes new ids always."),
  };
  static constexpr std::string_view example = "{accept: false}";
  static constexpr std::span<const Problem* const> problems{};

  static Result<std::unique_ptr<Policy>> build(Options options, const Build&) {
    return std::make_unique<Trace>(options);
  }
  static void describe(const Options&, const Description&, contract::Promises& promises) { promises.sends(kRequestId); }
  explicit Trace(Options options) : options_(options) {}

  Result<> check(Request& request, Context& context) override {
    thread_local Xoshiro256 random;
    auto* ids = context.arena.array<char>(48);
    if (const auto parent = options_.accept ? parent_of(request) : std::nullopt) {
      context.trace_id = parent->trace_id;
      context.trace_sampled = parent->sampled;
      context.note<ContinuedTrace>(parent->random);
    } else {
      put_hex(random() | 1, ids);  // all zero is invalid
      put_hex(random(), ids + 16);
      context.trace_id = {ids, 32};
    }
    if (request.headers.contains("tracestate")) pass_state(request, context);
    put_hex(random() | 1, ids + 32);
    context.span_id = {ids + 32, 16};
    const auto given = options_.accept ? request.headers.find("x-request-id") : std::string_view{};
    context.request_id = harmless(given) ? given : context.trace_id;
    context.promise("x-request-id", lasting(context.request_id));
    return {};
  }

 private:
  /// It goes on as it came, its lines joined, where it is valid and belongs to the trace.
  static void pass_state(Request& request, const Context& context) {
    const auto state = request.headers.joined("tracestate");
    request.headers.remove("tracestate");
    if (context.noted<ContinuedTrace>() && http::is_tracestate(state))
      request.headers.add("tracestate", lasting(state));
  }

  /// Of several none can be said to be the caller's.
  static std::optional<http::TraceParent> parent_of(const Request& request) {
    const auto only = request.headers.only("traceparent");
    return only ? http::read_traceparent(*only) : std::nullopt;
  }

  /// What may stand in a log line and a header without thinking about it.
  static bool harmless(std::string_view id) {
    if (id.empty() || id.size() > 128) return false;
    for (char c : id) {
      const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
      if (!word && !std::string_view("-_.:/+=").contains(c)) return false;
    }
    return true;
  }

  Options options_;
};

}  // namespace

extern constinit const Part trace =
    part<Trace>("trace", "Continues the caller's trace, or begins one; takes and returns `X-Request-Id`.");

}  // namespace plimsoll::policy
