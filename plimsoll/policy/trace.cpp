#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/encoding.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"

#include <bit>

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

/// Gives the exchange its ids: the trace of the caller continued (W3C Trace Context, level 1, section 3.2), or a new
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
    const auto parent = options_.accept ? request.headers.find("traceparent") : std::string_view{};
    auto* ids = context.arena.array<char>(48);
    if (valid(parent)) {
      context.trace_id = parent.substr(3, 32);
      const char flags = parent[54];  // the lowest bit of a hexadecimal digit
      context.trace_sampled = (flags <= '9' ? flags - '0' : flags - 'a' + 10) & 1;
    } else {
      put_hex(random() | 1, ids);  // all zero is invalid
      put_hex(random(), ids + 16);
      context.trace_id = {ids, 32};
    }
    put_hex(random() | 1, ids + 32);
    context.span_id = {ids + 32, 16};
    const auto given = options_.accept ? request.headers.find("x-request-id") : std::string_view{};
    context.request_id = harmless(given) ? given : context.trace_id;
    context.promise("x-request-id", lasting(context.request_id));
    return {};
  }

 private:
  static bool hex(std::string_view text) {
    for (char c : text)
      if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
    return true;
  }
  static bool zero(std::string_view text) { return text.find_first_not_of('0') == std::string_view::npos; }

  /// `version-trace-parent-flags`; a later version may append members, version ff is invalid.
  static bool valid(std::string_view text) {
    if (text.size() < 55 || text[2] != '-' || text[35] != '-' || text[52] != '-') return false;
    if (text.size() > 55 && (text.starts_with("00") || text[55] != '-')) return false;
    const auto version = text.substr(0, 2), trace = text.substr(3, 32), parent = text.substr(36, 16);
    return hex(version) && version != "ff" && hex(trace) && !zero(trace) && hex(parent) && !zero(parent) &&
           hex(text.substr(53, 2));
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
