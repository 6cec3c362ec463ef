#include "plimsoll/handler/upstream/mirror.hpp"

#include "plimsoll/base/hash.hpp"
#include "plimsoll/client/balance.hpp"
#include "plimsoll/client/call_state.hpp"
#include "plimsoll/client/random.hpp"
#include "plimsoll/contract/body.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/http/negotiate.hpp"
#include "plimsoll/json/number.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/telemetry/log.hpp"
#include "plimsoll/telemetry/metrics.hpp"
#include "plimsoll/telemetry/sparse.hpp"

#include <algorithm>

namespace plimsoll::handler::forwarding {
namespace {

constexpr std::size_t kMostParsed = 256 * 1024;  ///< bytes of JSON that are compared by content
constexpr Nanoseconds kBetweenLines = 10 * kSecond;

void append_number(std::string& out, const json::Value& number) {
  const json::Decimal decimal(number.number_text());
  if (decimal.zero()) {
    out += '0';
    return;
  }
  if (decimal.negative()) out += '-';
  decimal.digits([&](int digit) { out += static_cast<char>('0' + digit); });
  out.append("e").append(std::to_string(decimal.magnitude()));
}

/// Depth is bounded by the parser.
void append_canonical(std::string& out, const json::Value& value) {
  switch (value.type()) {
    case json::Type::number: append_number(out, value); return;
    case json::Type::array:
      out += '[';
      for (const auto& item : value.array()) {
        append_canonical(out, item);
        out += ',';
      }
      out += ']';
      return;
    case json::Type::object: {
      std::vector<const json::Member*> members;
      for (const auto& member : value.object()) members.push_back(&member);
      std::ranges::sort(members, {}, [](const auto* member) { return member->key; });
      out += '{';
      for (const auto* member : members) {
        json::append_string(out, member->key);
        out += ':';
        append_canonical(out, member->value);
        out += ',';
      }
      out += '}';
      return;
    }
    default: json::Writer(out).value(value);
  }
}

bool is_safe(std::string_view method) { return method == "GET" || method == "HEAD" || method == "OPTIONS"; }

}  // namespace

std::string body_fingerprint(std::string_view body, std::string_view content_type) {
  std::string canonical;
  if (body.size() <= kMostParsed && contract::body_kind(http::essence(content_type)) == contract::BodyKind::json) {
    Arena arena;
    if (const auto value = json::parse(body, arena)) {
      append_canonical(canonical, *value);
      body = canonical;
    }
  }
  const auto hash = content_hash(body);
  return std::to_string(hash.high) + ' ' + std::to_string(hash.low);
}

struct Mirror::State {
  std::string upstream, group, operation;
  std::shared_ptr<MirrorTarget> target;
  std::shared_ptr<MirrorCopies> copies;
  std::int64_t at_most;
  Nanoseconds timeout;
  telemetry::Log* log;
  telemetry::Counter *same = nullptr, *status = nullptr, *body = nullptr, *failed = nullptr, *skipped = nullptr;
  telemetry::Sparse lines{kBetweenLines};

  void note(telemetry::Counter* counter, std::string_view outcome, std::uint16_t expected, std::string_view got,
            Nanoseconds now) {
    if (counter) counter->add();
    if (!log || outcome == "same" || outcome == "skipped") return;
    const auto responses = lines.add(now);
    if (responses == 0) return;
    log->write(telemetry::Level::warning, "mirror-differs", [&](telemetry::Line& line) {
      line.add("service", upstream).add("group", group).add("operation", operation);
      line.add("outcome", outcome).add("status", static_cast<std::int64_t>(expected)).add("mirrored", got);
      line.add("responses", responses);
    });
  }
};

struct MirrorCopies::Copy {
  std::shared_ptr<Mirror::State> mirror;
  Loop& loop;
  client::Permit permit;
  client::Call call{};
  std::uint16_t status = 0;
  std::optional<std::string> fingerprint;
  Scope scope{};
};

bool MirrorCopies::add(const std::shared_ptr<Copy>& copy) {
  const std::scoped_lock lock(mutex_);
  if (ended_) return false;
  std::erase_if(all_, [](const auto& each) { return each.expired(); });
  all_.push_back(copy);
  return true;
}

void MirrorCopies::end() noexcept {
  std::vector<std::weak_ptr<Copy>> all;
  {
    const std::scoped_lock lock(mutex_);
    ended_ = true;
    all.swap(all_);
  }
  for (const auto& each : all) {
    try {
      if (const auto copy = each.lock()) copy->loop.post([copy] { copy->scope.stop(Stop::drain); });
    } catch (...) {}  // without memory it ends by its own limit
  }
}

/// What an exchange keeps until it has ended.
struct Mirror::Kept {
  std::shared_ptr<State> state;
  Loop& loop;
  Mirrored mirrored;
  ~Kept() {
    try {
      begin();
    } catch (...) {  // without memory there is no copy
      if (state->skipped) state->skipped->add();
    }
  }
  void begin() {
    auto& running = state->target->running;
    if (!mirrored.request_body || running.load(std::memory_order_relaxed) >= state->at_most) {
      state->note(state->skipped, "skipped", mirrored.status, "", 0);
      return;
    }
    running.fetch_add(1, std::memory_order_relaxed);
    auto copy = std::make_shared<MirrorCopies::Copy>(
        state, loop, client::Permit{std::shared_ptr<client::Permit::Counter>(state->target, &running)});
    copy->status = mirrored.status;
    if (mirrored.body) copy->fingerprint = body_fingerprint(*mirrored.body, mirrored.content_type);
    auto& call = copy->call;
    call.method = mirrored.method;
    call.target = mirrored.target;
    call.authority = mirrored.authority;
    call.body = *mirrored.request_body;
    call.limit = Mirror::kMostCompared;
    for (const auto& [name, value] : mirrored.fields)
      if (name != "traceparent" && name != "x-request-id") call.headers.emplace_back(name, value);
    if (!mirrored.traceparent.empty()) call.headers.emplace_back("traceparent", mirrored.traceparent);
    if (!mirrored.request_id.empty()) call.headers.emplace_back("x-request-id", mirrored.request_id);
    call.headers.emplace_back("x-plimsoll-mirrored", "true");
    if (!state->copies->add(copy)) {
      state->note(state->skipped, "skipped", mirrored.status, "", 0);
      return;
    }
    loop.spawn(copy->scope, send(copy));
  }
};

Mirror::Mirror(const MirrorOptions& options, std::uint32_t group, std::string_view upstream, std::string_view operation,
               std::shared_ptr<MirrorTarget> target, std::shared_ptr<MirrorCopies> copies, const Services& services)
    : group_(group),
      share_(options.share.value),
      unsafe_(options.unsafe),
      state_(std::make_shared<State>(std::string(upstream), options.to, std::string(operation), std::move(target),
                                     std::move(copies), options.at_most, options.timeout.nanoseconds, services.log)) {
  if (!services.metrics) return;
  const auto counter = [&](std::string_view outcome) {
    const telemetry::Label labels[] = {
        {"service", upstream}, {"group", options.to}, {"operation", operation}, {"outcome", outcome}};
    return &services.metrics->counter(
        kMetric, "Copies of requests that were mirrored, by what came of comparing their responses.", labels);
  };
  state_->same = counter("same"), state_->status = counter("status"), state_->body = counter("body");
  state_->failed = counter("failed"), state_->skipped = counter("skipped");
}

bool Mirror::takes(std::string_view method) const {
  return (unsafe_ || is_safe(method)) && client::unit_of(client::random_bits()) < share_;
}

void Mirror::after(Context& context, const Mirrored& mirrored) const {
  context.keep<Kept>(state_, context.loop, mirrored);
}

Task<> Mirror::send(std::shared_ptr<MirrorCopies::Copy> copy) {
  auto& mirror = *copy->mirror;
  auto& loop = copy->loop;
  auto answer = co_await within(loop, mirror.timeout, client::fetch(*mirror.target->service, loop, copy->call));
  const auto now = loop.now();
  if (!answer && copy->scope.stopped() != Stop::none) {
    mirror.note(mirror.skipped, "skipped", copy->status, "", now);
    co_return;
  }
  if (!answer) {
    mirror.note(mirror.failed, "failed", copy->status, answer.error().problem->code, now);
    co_return;
  }
  const auto status = std::to_string(answer->status);
  std::string_view type;
  for (const auto& [name, value] : answer->headers)
    if (name == "content-type") type = value;
  if (answer->status != copy->status)
    mirror.note(mirror.status, "status", copy->status, status, now);
  else if (copy->fingerprint && body_fingerprint(answer->body, type) != *copy->fingerprint)
    mirror.note(mirror.body, "body", copy->status, status, now);
  else
    mirror.note(mirror.same, "same", copy->status, status, now);
}

}  // namespace plimsoll::handler::forwarding
