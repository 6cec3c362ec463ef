#include "plimsoll/telemetry/log.hpp"

#include <unistd.h>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <condition_variable>
#include <ctime>
#include <mutex>
#include <thread>
#include <vector>

#include "plimsoll/json/write.hpp"

namespace plimsoll::telemetry {
namespace {

constexpr std::size_t kBuffer =
    1 << 20;  // a thread that is this far ahead of the writer loses lines, and says how many
constexpr std::size_t kWakeAt = 64 << 10;  // filled this far the writer is woken; else it looks every kPause
constexpr auto kPause = std::chrono::milliseconds{50};

constexpr std::string_view kNames[] = {"debug", "info", "warning", "error", "off"};

/// One per thread and log. The lock is contended only while the writer swaps.
struct Buffer {
  std::mutex mutex;
  std::string filling, writing;
  std::uint64_t lost = 0;
  std::size_t line_begin = 0;
  std::int64_t second = -1;
  char stamp[32];
  std::thread::id owner;
};

/// `2026-01-31T12:00:00.123Z`; the part before the dot is formatted once a second.
void append_time(Buffer& buffer, Nanoseconds wall) {
  const auto second = wall / kSecond;
  if (second != buffer.second) {
    const std::time_t t = second;
    std::tm parts{};
    gmtime_r(&t, &parts);
    std::strftime(buffer.stamp, sizeof buffer.stamp, "%Y-%m-%dT%H:%M:%S", &parts);
    buffer.second = second;
  }
  const auto milli = static_cast<int>(wall % kSecond / kMillisecond);
  const char tail[] = {'.', static_cast<char>('0' + milli / 100), static_cast<char>('0' + milli / 10 % 10),
                       static_cast<char>('0' + milli % 10), 'Z'};
  buffer.filling.append(buffer.stamp, 19).append(tail, 5);
}

bool plain(std::string_view text) {
  if (text.empty()) return false;
  for (char c : text)
    if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f) return false;
  return true;
}

template <class N>
void append_number(std::string& out, N value) {
  char text[32];
  out.append(text, std::to_chars(text, text + sizeof text, value).ptr);
}

thread_local bool text_lines = false;  // the format of the line this thread is writing

void append_name(std::string& out, std::string_view name) {
  if (text_lines) {
    out += ' ';
    out += name;
    out += '=';
  } else {
    out += ",\"";
    out += name;
    out += "\":";
  }
}

}  // namespace

bool redacted(std::string_view name) noexcept {
  static constexpr std::string_view kSecret[] = {"authorization", "cookie",    "password",  "passwd",
                                                 "secret",        "token",     "api-key",   "api_key",
                                                 "apikey",        "signature", "credential"};
  std::array<char, 64> lower;
  if (name.size() > lower.size()) name = name.substr(0, lower.size());
  for (std::size_t i = 0; i < name.size(); ++i)
    lower[i] = name[i] >= 'A' && name[i] <= 'Z' ? static_cast<char>(name[i] + 32) : name[i];
  const std::string_view word{lower.data(), name.size()};
  for (auto secret : kSecret)
    if (word.contains(secret)) return true;
  return false;
}

Line& Line::add(std::string_view name, std::string_view value) {
  append_name(out_, name);
  if (redacted(name)) value = "[redacted]";
  if (text_lines && plain(value))
    out_ += value;
  else
    json::append_string(out_, value);
  return *this;
}
Line& Line::add(std::string_view name, std::int64_t value) {
  append_name(out_, name);
  append_number(out_, value);
  return *this;
}
Line& Line::add(std::string_view name, double value) {
  append_name(out_, name);
  append_number(out_, value);
  return *this;
}
Line& Line::add(std::string_view name, bool value) {
  append_name(out_, name);
  out_ += value ? "true" : "false";
  return *this;
}

struct Log::State {
  int descriptor;
  std::atomic<Level> level;
  Format format;
  const Clock& clock;
  std::uint64_t id;
  std::mutex mutex;
  std::condition_variable wake, written;
  std::vector<std::unique_ptr<Buffer>> buffers;
  bool closing = false;
  std::uint64_t asked = 0, done = 0;  // flushes
  std::atomic<bool> hurry{false};
  std::thread writer;

  State(int descriptor, Level level, Format format, const Clock& clock)
      : descriptor(descriptor), level(level), format(format), clock(clock) {
    static std::atomic<std::uint64_t> next{1};
    id = next++;
    writer = std::thread([this] { run(); });
  }

  Buffer& mine() {
    thread_local std::uint64_t of = 0;
    thread_local Buffer* buffer = nullptr;
    if (of != id) [[unlikely]] {
      buffer = &find_or_make(std::this_thread::get_id());
      of = id;
    }
    return *buffer;
  }

  Buffer& find_or_make(std::thread::id thread) {
    std::lock_guard lock(mutex);
    for (auto& buffer : buffers)
      if (buffer->owner == thread) return *buffer;
    auto& made = *buffers.emplace_back(std::make_unique<Buffer>());
    made.filling.reserve(2 * kWakeAt);
    made.writing.reserve(2 * kWakeAt);
    made.owner = thread;
    return made;
  }

  void put(std::string_view text) const {
    while (!text.empty()) {
      const auto n = ::write(descriptor, text.data(), text.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return;  // nobody to tell: the log itself is gone
      text.remove_prefix(static_cast<std::size_t>(n));
    }
  }

  void write_all(std::unique_lock<std::mutex>& lock) {
    for (std::size_t i = 0; i < buffers.size(); ++i) {
      auto& buffer = *buffers[i];
      std::uint64_t lost;
      {
        std::lock_guard held(buffer.mutex);
        buffer.filling.swap(buffer.writing);
        lost = std::exchange(buffer.lost, 0);
      }
      if (buffer.writing.empty() && lost == 0) continue;
      lock.unlock();
      put(buffer.writing);
      if (lost) put("{\"level\":\"warning\",\"event\":\"log lines lost\",\"count\":" + std::to_string(lost) + "}\n");
      buffer.writing.clear();
      lock.lock();
    }
  }

  void run() {
    std::unique_lock lock(mutex);
    for (bool last = false; !last;) {
      wake.wait_for(lock, kPause, [&] { return closing || asked != done || hurry.load(std::memory_order_relaxed); });
      last = closing;
      hurry.store(false, std::memory_order_relaxed);
      const auto flushing = asked;
      write_all(lock);
      done = flushing;
      written.notify_all();
    }
  }
};

Log::Log(int descriptor, Level level, Format format, const Clock& clock)
    : state_(std::make_unique<State>(descriptor, level, format, clock)) {}

Log::~Log() {
  {
    std::lock_guard lock(state_->mutex);
    state_->closing = true;
  }
  state_->wake.notify_all();
  state_->writer.join();
}

bool Log::enabled(Level level) const noexcept { return level >= state_->level.load(std::memory_order_relaxed); }
void Log::level(Level level) noexcept { state_->level.store(level, std::memory_order_relaxed); }

std::string& Log::begin(Level level, std::string_view event) {
  auto& buffer = state_->mine();
  buffer.mutex.lock();
  auto& out = buffer.filling;
  buffer.line_begin = out.size();
  text_lines = state_->format == Format::text;
  const auto name = kNames[static_cast<std::size_t>(level)];
  if (text_lines) {
    append_time(buffer, state_->clock.wall());
    out.append(" ").append(name).append(name.size() < 7 ? 8 - name.size() : 1, ' ');
    out += event;
  } else {
    out += "{\"time\":\"";
    append_time(buffer, state_->clock.wall());
    out.append("\",\"level\":\"").append(name).append("\",\"event\":");
    json::append_string(out, event);
  }
  return out;
}

void Log::end(std::string& out) {
  auto& buffer = state_->mine();
  if (!text_lines) out += '}';
  out += '\n';
  if (out.size() > kBuffer) {
    out.resize(buffer.line_begin);
    ++buffer.lost;
  }
  const bool full = out.size() > kWakeAt;
  buffer.mutex.unlock();
  if (full && !state_->hurry.exchange(true, std::memory_order_relaxed)) state_->wake.notify_one();
}

void Log::flush() {
  std::unique_lock lock(state_->mutex);
  const auto mine = ++state_->asked;
  state_->wake.notify_all();
  state_->written.wait_for(lock, std::chrono::seconds{5}, [&] { return state_->done >= mine; });
}

}  // namespace plimsoll::telemetry
