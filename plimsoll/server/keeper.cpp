#include "plimsoll/server/keeper.hpp"

#include "plimsoll/telemetry/log.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <exception>

namespace plimsoll::server {
namespace {

constexpr int kTaken[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
/// By default they would end the process. SIGXFSZ: a file that may not grow is an error of that file.
constexpr int kIgnored[] = {SIGPIPE, SIGXFSZ, SIGUSR2, SIGALRM,   SIGVTALRM, SIGPROF,
                            SIGXCPU, SIGIO,   SIGPWR,  SIGSTKFLT, SIGQUIT};
constexpr Nanoseconds kLook = kSecond / 4;  ///< while something has a deadline or is reported
constexpr Nanoseconds kSlow = 5 * kSecond;  ///< a phase of the start is reported this often
constexpr Nanoseconds kFlush = kSecond;     ///< for the log, within the margin of a forced end

Nanoseconds now() { return system_clock().steady(); }

void ignore(int signal) {
  struct sigaction is{};
  // Whoever has set a handler (a profiler) keeps it.
  if (::sigaction(signal, nullptr, &is) == 0 && is.sa_handler == SIG_DFL) std::signal(signal, SIG_IGN);
}

/// A page of a file that is mapped, such as the index of SQLite's log, is not to be had: another program has cut the
/// file, or its disk fails. All that was acknowledged is in other files, and the next process maps this one anew. Calls
/// only what a handler of signals may call.
void end_without_page(int signal, siginfo_t* info, void*) {
  if (info->si_code != BUS_ADRERR) {  // a fault of the program: the instruction is tried again, and ends it
    std::signal(signal, SIG_DFL);
    return;
  }
  constexpr std::string_view kLine =
      R"({"level":"error","event":"mapped-file-lost","reason":"a file that is mapped in memory, such as that of the )"
      R"(database with -shm behind its name, was cut by another program, or its disk fails","exit_status":75})"
      "\n";
  static_assert(kTemporaryFailure == 75);
  (void)!::write(STDERR_FILENO, kLine.data(), kLine.size());
  ::_exit(kTemporaryFailure);
}

void end_where_a_page_is_lost() {
  struct sigaction is{};
  if (::sigaction(SIGBUS, nullptr, &is) != 0 || is.sa_handler != SIG_DFL) return;  // that of a sanitizer stays
  is.sa_sigaction = end_without_page;
  is.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &is, nullptr);
}

}  // namespace

Keeper::Keeper() {
  sigemptyset(&set_);
  for (const int each : kTaken) sigaddset(&set_, each);
  pthread_sigmask(SIG_BLOCK, &set_, &before_);
  for (const int each : kIgnored) ignore(each);
  for (int each = SIGRTMIN; each <= SIGRTMAX; ++each) ignore(each);
  end_where_a_page_is_lost();
  thread_ = std::thread([this] { run(); });
}

Keeper::~Keeper() {
  ended_.store(true, std::memory_order_release);
  pthread_kill(thread_.native_handle(), SIGUSR1);
  thread_.join();
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void Keeper::log(telemetry::Log* log) {
  const std::scoped_lock lock(mutex_);
  log_ = log;
}

void Keeper::phase(std::string_view what, std::string_view detail) {
  const std::scoped_lock lock(mutex_);
  phase_ = what;
  detail_ = detail;
  phase_since_ = now();
  reported_ = phase_since_;
}

bool Keeper::wait(Nanoseconds span, const std::function<bool()>& ready) {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (terminating()) return false;
    if (ready()) return true;
    changed_.wait_for(lock, std::chrono::nanoseconds(span));
  }
}

void Keeper::notify() {
  { const std::scoped_lock lock(mutex_); }  // who is about to wait is seen to wait
  changed_.notify_all();
}

bool Keeper::rest(Nanoseconds span) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, std::chrono::nanoseconds(span), [this] { return terminating(); });
}

void Keeper::delay(Nanoseconds span) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::nanoseconds(span), [this] { return hurried(); });
}

void Keeper::run() {
  while (!ended_.load(std::memory_order_acquire)) {
    bool watched = terminating();
    if (!watched) {
      const std::scoped_lock lock(mutex_);
      watched = !phase_.empty();
    }
    siginfo_t info{};
    const timespec look{.tv_sec = 0, .tv_nsec = kLook};
    const int signal = watched ? ::sigtimedwait(&set_, &info, &look) : ::sigwaitinfo(&set_, &info);
    if (ended_.load(std::memory_order_acquire)) return;
    try {
      if (signal > 0) taken(signal);
      if (watched || terminating()) tick(now());
    } catch (const std::bad_alloc&) {  // what was asked for is not done; the process goes on
    }
  }
}

void Keeper::taken(int signal) {
  const auto call = [this, signal](std::function<void()>& action) {
    const std::scoped_lock lock(actions_);
    try {
      if (action) action();
    } catch (const std::exception& error) {  // no memory, say: the signal can be sent again
      const std::scoped_lock held(mutex_);
      if (log_)
        log_->write(telemetry::Level::error, "signal-not-obeyed", [&](telemetry::Line& line) {
          line.add("signal", std::int64_t{signal}).add("reason", std::string_view(error.what()));
        });
    }
  };
  switch (signal) {
    case SIGHUP: return call(hangup_);
    case SIGUSR1: return call(reopen_);
    default: break;
  }
  if (!terminating()) {
    deadline_ = now() + waits_.load(std::memory_order_relaxed) + kMargin;
    {
      const std::scoped_lock lock(mutex_);
      terminating_.store(true, std::memory_order_release);
    }
    changed_.notify_all();
    return;
  }
  if (hurried()) return;
  deadline_ = std::min(deadline_, now() + kMargin);
  {
    const std::scoped_lock lock(mutex_);
    hurried_.store(true, std::memory_order_release);
  }
  changed_.notify_all();
  call(hurry_);
}

void Keeper::tick(Nanoseconds now) {
  if (terminating()) {
    if (now >= deadline_ - kFlush) force_end();
    // What holds the actions may hang itself; the deadline stands nevertheless.
    if (std::unique_lock lock(actions_, std::try_to_lock); lock && interrupt_) interrupt_();
    return;
  }
  const std::scoped_lock lock(mutex_);
  if (phase_.empty() || now - reported_ < kSlow) return;
  reported_ = now;
  if (log_)
    log_->write(telemetry::Level::info, "starting", [&](telemetry::Line& line) {
      line.add("phase", phase_).add("seconds", (now - phase_since_) / kSecond);
      if (!detail_.empty()) line.add("detail", detail_);
    });
}

/// Something does not end. What is acknowledged is durable already, so nothing is lost that was promised.
void Keeper::force_end() {
  if (std::unique_lock lock(mutex_, std::try_to_lock); lock && log_) {
    log_->write(telemetry::Level::warning, "shutdown-forced", [&](telemetry::Line& line) {
      line.add("phase", phase_.empty() ? std::string_view("serving") : phase_);
      if (!detail_.empty()) line.add("detail", detail_);
    });
    log_->flush();
  }
  ::_exit(0);
}

}  // namespace plimsoll::server
