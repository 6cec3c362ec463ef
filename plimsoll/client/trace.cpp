#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/encoding.hpp"
#include "plimsoll/client/gate.hpp"
#include "plimsoll/client/part.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/continued_trace.hpp"
#include "plimsoll/http/field_name.hpp"

#include <algorithm>
#include <cstring>

namespace plimsoll::client {
namespace {

/// Passes the trace of the exchange on (W3C Trace Context, level 2): the called service sees the exchange's span as its
/// parent. A call that belongs to no exchange begins a trace.
class Trace final : public Gate {
 public:
  struct Options {};
  static constexpr std::span<const config::Field> fields{};

  static Result<std::unique_ptr<Policy>> build(const json::Value* from, const Build&) {
    if (from && from->is(json::Type::object)) {
      Options none;
      if (auto done = config::read(*from, fields, &none, kEveryPolicy); !done)
        return std::unexpected(std::move(done).error());
    }
    return std::make_unique<Trace>();
  }

  Result<> begin(Request& request, Context& context, CallState&) override {
    if (context.trace_id.empty()) begin_trace(context);
    // `00-` trace `-` span `-` flags
    auto* text = context.arena.array<char>(55);
    auto* at = std::ranges::copy(std::string_view("00-"), text).out;
    at = std::ranges::copy(context.trace_id, at).out;
    *at++ = '-';
    at = std::ranges::copy(context.span_id, at).out;
    const auto* continued = context.noted<ContinuedTrace>();
    *at++ = '-', *at++ = '0';
    *at = static_cast<char>('0' + (context.trace_sampled ? 1 : 0) + (!continued || continued->random ? 2 : 0));
    set_alone(request.headers, "traceparent", lasting({text, 55}));
    set_alone(request.headers, "x-request-id", lasting(context.request_id));
    return {};
  }
  void end(const CallOutcome&, CallState&) override {}

 private:
  static void begin_trace(Context& context) {
    std::uint64_t random[3];
    random_bytes(random, sizeof random);
    auto* ids = context.arena.array<char>(48);
    put_hex(random[0] | 1, ids);  // all zero is invalid
    put_hex(random[1], ids + 16);
    put_hex(random[2] | 1, ids + 32);
    context.trace_id = {ids, 32};
    context.span_id = {ids + 32, 16};
    context.request_id = context.trace_id;
  }
};

}  // namespace

extern constinit const Part trace = part<Trace>("trace", "Passes the trace on to the called service.");

}  // namespace plimsoll::client
