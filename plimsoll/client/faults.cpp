#include "plimsoll/client/faults.hpp"

#include "plimsoll/async/pause.hpp"
#include "plimsoll/client/balance.hpp"
#include "plimsoll/client/call_state.hpp"
#include "plimsoll/client/connections.hpp"
#include "plimsoll/client/random.hpp"
#include "plimsoll/config/options.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/sent_once.hpp"
#include "plimsoll/telemetry/log.hpp"

#include <algorithm>

namespace plimsoll::client {
namespace {

/// Stands before the wire: what it does, circuits, retries, ejections and deadlines take for what the service does.
class Injection final : public Policy {
 public:
  Injection(Faults& faults, std::string_view dependency) : faults_(faults), dependency_(dependency) {}

  Task<Result<Response>> apply(Request& request, Context& context, Next next) override {
    const auto fault = co_await faults_.strike(context.loop, dependency_);
    if (!fault) co_return std::unexpected(fault.error());
    if (!*fault) {
      auto answer = co_await next(request, context);
      co_return answer;
    }
    const auto kind = (*fault)->kind;
    const bool reset = kind == InjectedFault::Kind::reset;
    auto& state = call_state(request, context);
    if (reset || kind == InjectedFault::Kind::status) {
      state.reached();
      state.written = true;
    }
    if (kind == InjectedFault::Kind::status) {
      const auto status = (*fault)->status;
      if (says_nothing_done(status)) state.nothing_done();
      Response response{.status = status, .headers = Headers{context.arena}};
      response.headers.add("content-type", "text/plain");
      response.body = lasting("an injected fault\n");
      co_return response;
    }
    co_return std::unexpected(Error{
        &kUnreachable, dependency_ + (reset ? ": connection reset" : ": connection refused") + " (an injected fault)"});
  }

 private:
  Faults& faults_;
  const std::string dependency_;
};

}  // namespace

std::string InjectedFault::text() const {
  std::string text(kKinds[static_cast<std::size_t>(kind)]);
  if (kind == Kind::latency) text += ' ' + config::to_string(config::Duration{latency});
  if (kind == Kind::status) text += ' ' + std::to_string(status);
  if (share < 1) {
    const auto written = config::Form<config::Ratio>::show(config::Ratio{share});  // in quotes, as in a file
    text.append(" for ").append(written, 1, written.size() - 2).append(" of the calls");
  }
  return text;
}

void Faults::allow(const Clock& clock, telemetry::Registry* metrics, telemetry::Log* log) {
  clock_ = &clock, metrics_ = metrics, log_ = log;
  allowed_.store(true, std::memory_order_release);
}

std::unique_ptr<Policy> Faults::around(std::string_view dependency) {
  if (!allowed()) return nullptr;
  name(dependency);
  return std::make_unique<Injection>(*this, dependency);
}

void Faults::name(std::string_view dependency, Statuses statuses) {
  {
    const std::scoped_lock lock(mutex_);
    if (known_.contains(dependency)) return;
    known_.emplace(std::string(dependency), Known{.statuses = statuses});
  }
  if (!metrics_) return;
  // Outside of the lock, which whoever scrapes takes under that of the registry.
  const telemetry::Label labels[] = {{"dependency", dependency}};
  auto observed = metrics_->observe(
      telemetry::Kind::gauge, "plimsoll_faults_active", "Injected faults of a dependency that are in force.", labels,
      [this, name = std::string(dependency)] { return static_cast<double>(active(name)); });
  const std::scoped_lock lock(mutex_);
  known_.find(dependency)->second.observed = std::move(observed);
}

bool Faults::has_statuses(std::string_view dependency) const {
  const std::scoped_lock lock(mutex_);
  const auto known = known_.find(dependency);
  return known == known_.end() || known->second.statuses == Statuses::http;
}

std::vector<std::string> Faults::dependencies() const {
  const std::scoped_lock lock(mutex_);
  std::vector<std::string> names;
  for (const auto& each : known_) names.push_back(each.first);
  return names;
}

std::size_t Faults::active(std::string_view dependency) const {
  const auto now = clock_->steady();
  const std::scoped_lock lock(mutex_);
  return static_cast<std::size_t>(std::ranges::count_if(
      all_, [&](const auto& fault) { return fault.dependency == dependency && now < fault.until; }));
}

std::string Faults::unknown(std::string_view dependency) const {
  std::string known;
  for (const auto& each : dependencies()) {
    if (each == dependency) return {};
    known.append(known.empty() ? "" : ", ").append(each);
  }
  return "nothing here depends on `" + std::string(dependency) + "`; there is: " + (known.empty() ? "nothing" : known);
}

std::expected<std::uint64_t, std::string> Faults::add(InjectedFault fault) {
  if (fault.span <= 0 || fault.span > InjectedFault::kLongest)
    return std::unexpected("a fault lasts above 0s and at most 1h");
  if (auto wrong = unknown(fault.dependency); !wrong.empty()) return std::unexpected(std::move(wrong));
  if (fault.kind == InjectedFault::Kind::status && !has_statuses(fault.dependency))
    return std::unexpected("`" + fault.dependency + "` gives no status: its faults are latency, reset and outage");
  const auto now = clock_->steady();
  {
    const std::scoped_lock lock(mutex_);
    forget_ended(now);
    if (all_.size() >= kMost) return std::unexpected("at most 64 faults are in force at once");
    fault.number = ++last_;
    fault.until = now + fault.span;
    all_.push_back(fault);
    in_force_.store(all_.size(), std::memory_order_release);
  }
  if (log_)
    log_->write(telemetry::Level::warning, "fault-added", [&](telemetry::Line& line) {
      line.add("dependency", fault.dependency).add("fault", fault.text());
      line.add("for", config::to_string(config::Duration{fault.span}));
    });
  return fault.number;
}

std::expected<std::size_t, std::string> Faults::clear(std::string_view dependency) {
  if (!dependency.empty())
    if (auto wrong = unknown(dependency); !wrong.empty()) return std::unexpected(std::move(wrong));
  std::size_t cleared = 0;
  {
    const std::scoped_lock lock(mutex_);
    forget_ended(clock_->steady());
    cleared =
        std::erase_if(all_, [&](const auto& fault) { return dependency.empty() || fault.dependency == dependency; });
    in_force_.store(all_.size(), std::memory_order_release);
  }
  if (log_ && cleared > 0)
    log_->write(telemetry::Level::warning, "faults-cleared", [&](telemetry::Line& line) {
      if (!dependency.empty()) line.add("dependency", dependency);
      line.add("faults", static_cast<std::int64_t>(cleared));
    });
  return cleared;
}

std::vector<InjectedFault> Faults::list() {
  if (!allowed()) return {};
  const std::scoped_lock lock(mutex_);
  forget_ended(clock_->steady());
  return all_;
}

/// Under the lock.
void Faults::forget_ended(Nanoseconds now) {
  std::erase_if(all_, [&](const auto& fault) {
    if (now < fault.until) return false;
    if (log_)
      log_->write(telemetry::Level::info, "fault-ended",
                  [&](telemetry::Line& line) { line.add("dependency", fault.dependency).add("fault", fault.text()); });
    return true;
  });
  in_force_.store(all_.size(), std::memory_order_release);
}

std::optional<Faults::Strike> Faults::strike(std::string_view dependency) {
  if (in_force_.load(std::memory_order_acquire) == 0) return std::nullopt;
  std::vector<InjectedFault> struck;
  {
    const std::scoped_lock lock(mutex_);
    forget_ended(clock_->steady());
    for (const auto& fault : all_)
      if (fault.dependency == dependency && unit_of(random_bits()) < fault.share) struck.push_back(fault);
  }
  if (struck.empty()) return std::nullopt;
  Strike strike;
  for (auto& fault : struck) {
    if (fault.kind == InjectedFault::Kind::latency) {
      strike.latency += fault.latency;
    } else if (!strike.end) {
      strike.end = fault;
    } else {
      continue;
    }
    count(fault);
  }
  return strike;
}

Task<Result<std::optional<InjectedFault>>> Faults::strike(Loop& loop, std::string_view dependency) {
  auto struck = strike(dependency);
  if (!struck) co_return std::nullopt;
  if (struck->latency > 0) {
    const bool rested = co_await pause(loop, struck->latency);
    if (!rested) {
      const Scope* scope = co_await this_scope();
      co_return std::unexpected(error_of(scope->stopped()));
    }
  }
  co_return std::move(struck->end);
}

void Faults::count(const InjectedFault& fault) {
  if (!metrics_) return;
  const telemetry::Label labels[] = {{"dependency", fault.dependency},
                                     {"kind", InjectedFault::kKinds[static_cast<std::size_t>(fault.kind)]}};
  metrics_
      ->counter("plimsoll_faults_injected_total", "Calls to a dependency that an injected fault has struck.", labels)
      .add();
}

}  // namespace plimsoll::client
