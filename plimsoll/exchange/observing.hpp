#pragma once

#include "plimsoll/exchange/arguments.hpp"
#include "plimsoll/telemetry/log.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <string_view>
#include <utility>

namespace plimsoll {

/// The log of the server. Each line has the trace of its exchange. A handler takes it as an argument:
///
///     log.info("book-lent", [&](telemetry::Line& line) { line.add("book", *id); });
///
/// It never waits: where the writer cannot keep up, lines are dropped and counted. Values under names such as `token`
/// or `password` are not written.
class Log {
 public:
  explicit Log(Context& context) : context_(&context) {}

  template <class F>
  void info(std::string_view event, F&& members) const {
    write(telemetry::Level::info, event, std::forward<F>(members));
  }
  template <class F>
  void warning(std::string_view event, F&& members) const {
    write(telemetry::Level::warning, event, std::forward<F>(members));
  }
  template <class F>
  void error(std::string_view event, F&& members) const {
    write(telemetry::Level::error, event, std::forward<F>(members));
  }

 private:
  template <class F>
  void write(telemetry::Level level, std::string_view event, F&& members) const {
    if (!context_->services.log) return;
    context_->services.log->write(level, event, [&](telemetry::Line& line) {
      if (!context_->trace_id.empty()) line.add("trace_id", context_->trace_id);
      members(line);
    });
  }
  Context* context_;
};

/// A counter of the program, at /metrics of the management listener: `count->add();`. Names are those of Prometheus,
/// with the unit: `library_loans_total`.
template <Name MetricName, Name Help>
class Counter {
 public:
  explicit Counter(telemetry::Counter& counter) : counter_(&counter) {}
  telemetry::Counter* operator->() const { return counter_; }

 private:
  telemetry::Counter* counter_;
};

/// How long something takes: `lasted->record(nanoseconds);`. The name ends with `_seconds`.
template <Name MetricName, Name Help>
class Histogram {
 public:
  explicit Histogram(telemetry::Histogram& histogram) : histogram_(&histogram) {}
  telemetry::Histogram* operator->() const { return histogram_; }

 private:
  telemetry::Histogram* histogram_;
};

template <>
struct Argument<Log> {
  Argument(const Build&, binding::Mistakes&) {}
  Log read(Request&, Context& context, Error*) const { return Log{context}; }
  static Log pass(Log read) { return read; }
};
template <Name MetricName, Name Help>
struct Argument<Counter<MetricName, Help>> {
  Argument(const Build& build, binding::Mistakes&)
      : counter(build.services.metrics ? &build.services.metrics->counter(MetricName.view(), Help.view()) : &unread()) {
  }
  telemetry::Counter* read(Request&, Context&, Error*) const { return counter; }
  static Counter<MetricName, Help> pass(telemetry::Counter* read) { return Counter<MetricName, Help>{*read}; }
  static telemetry::Counter& unread() {
    static telemetry::Counter one;  // nobody scrapes
    return one;
  }
  telemetry::Counter* counter;
};
template <Name MetricName, Name Help>
struct Argument<Histogram<MetricName, Help>> {
  Argument(const Build& build, binding::Mistakes&)
      : histogram(build.services.metrics ? &build.services.metrics->histogram(MetricName.view(), Help.view())
                                         : &unread()) {}
  telemetry::Histogram* read(Request&, Context&, Error*) const { return histogram; }
  static Histogram<MetricName, Help> pass(telemetry::Histogram* read) { return Histogram<MetricName, Help>{*read}; }
  static telemetry::Histogram& unread() {
    static telemetry::Histogram one;  // nobody scrapes
    return one;
  }
  telemetry::Histogram* histogram;
};

}  // namespace plimsoll
