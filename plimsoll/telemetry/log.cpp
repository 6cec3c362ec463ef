#include "plimsoll/telemetry/log.hpp"

#include "plimsoll/base/copy.hpp"
#include "plimsoll/base/digits.hpp"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <thread>
#include <vector>

#include "plimsoll/json/string_text.hpp"
#include "plimsoll/json/utf8.hpp"
#include "plimsoll/json/write.hpp"

namespace plimsoll::telemetry {
namespace {

constexpr std::size_t kBuffer =
    1 << 20;  // a thread that is this far ahead of the writer loses lines, and says how many
constexpr std::size_t kWakeAt = 64 << 10;  // filled this far the writer is woken; else it looks every kPause,
                                           // and sleeps while there is nothing to write
constexpr auto kPause = std::chrono::milliseconds{50};
constexpr const char* kLostLines = R"({"level":"warning","event":"log lines lost","count":)";
constexpr auto kFlush = std::chrono::seconds{1};  // for what is left, at the end and when asked

/// Lines of one thread, and those its writer takes away.
struct Block {
  std::unique_ptr<char[]> bytes;
  std::size_t size = 0;
};

/// Between a thread and the writer, who takes it twenty times a second to swap two pointers. So nobody ever waits long
/// for it, and it costs a quarter of a mutex.
class SwapLock {
 public:
  void lock() noexcept {
    while (taken_.test_and_set(std::memory_order_acquire)) std::this_thread::yield();
  }
  /// For a moment; false: it is held on.
  bool try_lock() noexcept {
    for (int i = 0; i < 100; ++i) {
      if (!taken_.test_and_set(std::memory_order_acquire)) return true;
      std::this_thread::yield();
    }
    return false;
  }
  void unlock() noexcept { taken_.clear(std::memory_order_release); }

 private:
  std::atomic_flag taken_;
};

/// One per thread and log, and one for threads that get none.
struct Buffer {
  SwapLock lock;
  Block filling{std::make_unique_for_overwrite<char[]>(kBuffer)};
  Block writing{std::make_unique_for_overwrite<char[]>(kBuffer)};
  std::uint64_t lost = 0;
  /// The thread whose line is being written, by the address of a variable of its own; null: none.
  std::atomic<const void*> writes{nullptr};
  std::int64_t second = -1;
  char stamp[32];
  std::thread::id owner;

  /// `2026-01-31T12:00:00`, formatted once a second.
  std::string_view time(std::int64_t now) {
    if (now != second) {
      const std::time_t t = now;
      std::tm parts{};
      gmtime_r(&t, &parts);
      std::strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &parts);
      second = now;
    }
    return {stamp, 19};
  }
};

bool plain(std::string_view text) {
  if (text.empty()) return false;
  for (unsigned char c : text)
    if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f) return false;
  return true;
}

/// Whether a character is none that is seen, but changes how others are shown: a control character beyond those of
/// ASCII (U+009B begins a command of a terminal as ESC does), a separator of lines, a change of direction.
constexpr bool unseen(std::uint32_t c) {
  return (c >= 0x7f && c <= 0x9f) || (c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
         (c >= 0x2066 && c <= 0x2069);
}

/// Whether all characters are of ASCII and none is DEL: of those JSON escapes what is unseen.
bool is_ascii(std::string_view text) {
  unsigned char most = 0;  // of all, without an end before: so the compiler compares many at once
  for (const unsigned char c : text) most = std::max(most, c);
  return most < 0x7f;
}

/// Writes what is unseen in a JSON string as `\u009b`. All of it has at most three bytes in UTF-8.
void escape_unseen(std::string& text) {
  if (is_ascii(text)) return;
  std::string out;
  std::size_t copied = 0;
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[i + at]); };
    const auto length = byte(0) < 0x80 ? 1 : json::utf8_length(std::string_view(text).substr(i));
    const auto c = length == 1   ? std::uint32_t{byte(0)}
                   : length == 2 ? (byte(0) & 0x1fU) << 6 | (byte(1) & 0x3fU)
                   : length == 3 ? (byte(0) & 0x0fU) << 12 | (byte(1) & 0x3fU) << 6 | (byte(2) & 0x3fU)
                                 : 0;
    if (unseen(c)) {
      constexpr char kHex[] = "0123456789abcdef";
      out.append(text, copied, i - copied) += "\\u";
      for (int shift = 12; shift >= 0; shift -= 4) out += kHex[c >> shift & 15];
      copied = i + length;
    }
    i += length ? length : 1;
  }
  if (copied) text = out.append(text, copied, text.npos);
}

}  // namespace

void Line::in_text(std::string_view name) {
  put(" ");
  put(name);
  put("=");
}

void Line::string(std::string_view value) {
  if (text_ && plain(value))
    put(value);
  else
    quoted(value);
}

/// As JSON writes it. There is room for the value as it is.
void Line::quoted(std::string_view value) {
  const auto escaped_here = [](auto text) { return bytes16::escaped_in_json(text) | (text == 0x7f); };
  if (copy_unless(escaped_here, value, at_ + 1)) {
    *at_ = '"';
    at_ += value.size() + 2;
    at_[-1] = '"';
    return;
  }
  escaped(value);
}

/// Seldom, and apart: what it needs is not set up for values that have nothing to escape.
void Line::escaped(std::string_view value) {
  if (static_cast<std::size_t>(end_ - at_) >= json::longest_string(value.size()) && is_ascii(value)) {
    at_ = json::write_string(at_, value);
    return;
  }
  std::string text;
  json::append_string(text, value);
  escape_unseen(text);
  if (room(text.size())) put(text);
}

Line& Line::add_beginning(Name name, std::string_view value) {
  auto end = kLongest;
  while (end > 0 && (static_cast<unsigned char>(value[end]) & 0xC0) == 0x80) --end;  // no character is cut in two
  const auto beginning = std::string(value.substr(0, end)) + "…";
  if (begin(name.text, beginning.size())) string(beginning);
  return *this;
}

void Line::number(std::int64_t value) { at_ = put_digits(at_, value); }

Line& Line::add(Name name, double value) {
  if (begin(name.text, 0)) at_ = std::to_chars(at_, at_ + 40, value).ptr;
  return *this;
}

Line& Line::add(Name name, bool value) {
  if (begin(name.text, 0)) put(value ? "true" : "false");
  return *this;
}

struct Log::State {
  int descriptor;
  std::atomic<Level> level;
  std::atomic<std::uint64_t> lost{0};  // in all
  std::atomic<bool> resting{false};    // the writer sleeps until somebody has something to say
  Format format;
  const Clock& clock;
  std::uint64_t id;
  std::mutex mutex;
  std::condition_variable wake, written;
  std::vector<std::unique_ptr<Buffer>> buffers;
  Buffer* spare;  ///< of no thread: for those that get none
  bool closing = false;
  std::uint64_t asked = 0, done = 0;  // flushes
  using Steady = std::chrono::steady_clock;
  std::optional<Steady::time_point> level_ends;  // of a level that was set for a while
  Level level_after{};
  std::atomic<bool> hurry{false};
  bool ended = false;  // the writer has
  std::string path;    // of the file that is written to; empty: it is none
  // Of the writer alone:
  char last = '\n';          // byte that was written
  std::uint64_t untold = 0;  // lines lost that no line has told of yet
  std::thread writer;

  State(int descriptor, Level level, Format format, const Clock& clock)
      : descriptor(descriptor), level(level), format(format), clock(clock), path(path_of(descriptor)) {
    static std::atomic<std::uint64_t> next{1};
    id = next++;
    spare = buffers.emplace_back(std::make_unique<Buffer>()).get();
  }

  static std::string path_of(int descriptor) {
    struct stat is{};
    if (::fstat(descriptor, &is) != 0 || !S_ISREG(is.st_mode)) return {};
    char path[PATH_MAX];
    const auto link = "/proc/self/fd/" + std::to_string(descriptor);
    const auto size = ::readlink(link.c_str(), path, sizeof path);
    return size > 0 && static_cast<std::size_t>(size) < sizeof path ? std::string(path, static_cast<std::size_t>(size))
                                                                    : std::string{};
  }

  /// That of this thread; where there is no memory for one, the first, which such threads share.
  Buffer& mine() noexcept {
    thread_local std::uint64_t of = 0;
    thread_local Buffer* buffer = nullptr;
    if (of != id) [[unlikely]] {
      try {
        buffer = &find_or_make(std::this_thread::get_id());
        of = id;
      } catch (const std::bad_alloc&) { return *spare; }  // who writes a line is told of nothing
    }
    return *buffer;
  }

  /// The buffer of this thread, locked; null: none is to be had, and the line is lost. A line that an exception has
  /// ended before its end left its buffer locked: the thread's next line takes its place.
  Buffer* lock_mine() {
    thread_local const char self = 0;
    auto& buffer = mine();
    if (buffer.writes.load(std::memory_order_relaxed) == &self) [[unlikely]] {
      ++buffer.lost;
      lost.fetch_add(1, std::memory_order_relaxed);
      return &buffer;
    }
    if (&buffer != spare)
      buffer.lock.lock();
    else if (!buffer.lock.try_lock())
      return nullptr;
    buffer.writes.store(&self, std::memory_order_relaxed);
    return &buffer;
  }

  Buffer& find_or_make(std::thread::id thread) {
    std::lock_guard lock(mutex);
    for (auto& buffer : buffers)
      if (buffer->owner == thread) return *buffer;
    auto& made = *buffers.emplace_back(std::make_unique<Buffer>());
    made.owner = thread;
    return made;
  }

  /// How many of the lines could not be written: the disk is full, or nobody reads the pipe any more.
  std::uint64_t put(std::string_view lines) {
    bool broken = last != '\n';  // within a line, whose rest is lost
    while (!lines.empty()) {
      const auto next = broken ? std::string_view("\n") : lines;
      const auto n = ::write(descriptor, next.data(), next.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return static_cast<std::uint64_t>(std::ranges::count(lines, '\n'));
      if (n > 0) last = next[static_cast<std::size_t>(n) - 1];
      if (!std::exchange(broken, false)) lines.remove_prefix(static_cast<std::size_t>(n));
    }
    return 0;
  }

  void tell_lost() {
    char line[96];  // no string: this thread goes on where memory is short
    const bool text = format == Format::text;
    const auto size = std::snprintf(line, sizeof line, "%s%llu%s", text ? "warning  log lines lost count=" : kLostLines,
                                    static_cast<unsigned long long>(untold), text ? "\n" : "}\n");
    if (put({line, static_cast<std::size_t>(size)}) == 0) untold = 0;
  }

  /// False when there was nothing to write.
  bool write_all(std::unique_lock<std::mutex>& lock) {
    bool any = false;
    for (std::size_t i = 0; i < buffers.size(); ++i) {
      auto& buffer = *buffers[i];
      std::uint64_t dropped;
      {
        const std::unique_lock held(buffer.lock, std::try_to_lock);
        if (!held) continue;  // its thread has left a line unended
        std::swap(buffer.filling, buffer.writing);
        dropped = std::exchange(buffer.lost, 0);
      }
      if (buffer.writing.size == 0 && dropped == 0) continue;
      any = true;
      lock.unlock();
      const auto failed = put({buffer.writing.bytes.get(), buffer.writing.size});
      lost.fetch_add(failed, std::memory_order_relaxed);
      untold += dropped + failed;
      if (untold > 0 && failed == 0) tell_lost();
      buffer.writing.size = 0;
      lock.lock();
    }
    return any;
  }

  /// Until the next line. Whoever writes one holds its buffer's lock before it looks at `resting`, and each of these
  /// locks is taken here after `resting` is set: a line is either seen here, or its writer sees that it must wake.
  void rest(std::unique_lock<std::mutex>& lock) {
    resting.store(true, std::memory_order_relaxed);
    const bool empty = std::ranges::all_of(buffers, [](auto& buffer) {
      const std::unique_lock held(buffer->lock, std::try_to_lock);
      return held && buffer->filling.size == 0 && buffer->lost == 0;
    });
    const auto over = [&] { return closing || asked != done || !resting.load(std::memory_order_relaxed); };
    if (empty && level_ends)
      wake.wait_until(lock, *level_ends, over);
    else if (empty)
      wake.wait(lock, over);
    resting.store(false, std::memory_order_relaxed);
  }

  void rouse() {
    std::lock_guard lock(mutex);
    if (resting.exchange(false, std::memory_order_relaxed)) wake.notify_one();
  }

  void run() {
    std::unique_lock lock(mutex);
    for (bool last = false; !last;) {
      wake.wait_for(lock, kPause, [&] { return closing || asked != done || hurry.load(std::memory_order_relaxed); });
      last = closing;
      hurry.store(false, std::memory_order_relaxed);
      const auto flushing = asked;
      const bool any = write_all(lock);
      done = flushing;
      if (level_ends && Steady::now() >= *level_ends) {
        level.store(level_after, std::memory_order_relaxed);
        level_ends.reset();
      }
      written.notify_all();
      if (!any && !last) rest(lock);
    }
    ended = true;
    written.notify_all();
  }
};

Log::Log(int descriptor, Level level, Format format, const Clock& clock)
    : state_(std::make_shared<State>(descriptor, level, format, clock)) {
  state_->writer = std::thread([state = state_] { state->run(); });
}

Log::~Log() {
  bool ended = false;
  {
    std::unique_lock lock(state_->mutex);
    state_->closing = true;
    state_->wake.notify_all();
    ended = state_->written.wait_for(lock, kFlush, [this] { return state_->ended; });
  }
  // A writer that nobody reads from stays in its call for as long as the process lives, with what it uses.
  if (ended)
    state_->writer.join();
  else
    state_->writer.detach();
}

bool Log::reopen(std::string& why) {
  const auto& path = state_->path;
  if (path.empty()) {
    why = "the log is not written to a file";
    return false;
  }
  const int fresh = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
  if (fresh < 0) {
    why = path + ": " + std::strerror(errno);
    return false;
  }
  flush();
  const bool done = ::dup2(fresh, state_->descriptor) >= 0;
  if (!done) why = path + ": " + std::strerror(errno);
  ::close(fresh);
  return done;
}

bool Log::enabled(Level level) const noexcept { return level >= state_->level.load(std::memory_order_relaxed); }
void Log::level(Level level) noexcept {
  std::lock_guard lock(state_->mutex);
  state_->level.store(level, std::memory_order_relaxed);
  state_->level_ends.reset();
}
Level Log::level() const noexcept { return state_->level.load(std::memory_order_relaxed); }

void Log::level(Level level, Nanoseconds span) {
  {
    std::lock_guard lock(state_->mutex);
    if (!state_->level_ends) state_->level_after = state_->level.load(std::memory_order_relaxed);
    state_->level.store(level, std::memory_order_relaxed);
    state_->level_ends = State::Steady::now() + std::chrono::nanoseconds{span};
  }
  state_->rouse();  // so that the writer waits no longer than that
}

std::uint64_t Log::lost() const noexcept { return state_->lost.load(std::memory_order_relaxed); }

Nanoseconds Log::now() const noexcept { return state_->clock.wall(); }

Line Log::begin(Nanoseconds wall, Level level, std::string_view event) {
  auto* locked = state_->lock_mine();
  const bool text = state_->format == Format::text;
  if (!locked) return Line{nullptr, nullptr, nullptr, text};
  auto& buffer = *locked;
  auto* at = buffer.filling.bytes.get() + buffer.filling.size;
  Line line{&buffer, at, buffer.filling.bytes.get() + kBuffer - 2, text};
  if (!line.room(128 + event.size())) return line;
  const auto second = wall / kSecond;
  const auto milli = static_cast<int>((wall - second * kSecond) / kMillisecond);
  const char fraction[] = {'.', static_cast<char>('0' + milli / 100), static_cast<char>('0' + milli / 10 % 10),
                           static_cast<char>('0' + milli % 10), 'Z'};
  const auto name = kLevelNames[static_cast<std::size_t>(level)];
  if (!text) line.put("{\"time\":\"");
  line.put(buffer.time(second));
  line.put({fraction, sizeof fraction});
  if (text) {
    line.put(" ");
    line.put(name);
    line.put(std::string_view("        ").substr(0, 8 - std::min<std::size_t>(name.size(), 7)));
    line.put(event);
  } else {
    line.put("\",\"level\":\"");
    line.put(name);
    line.put("\",\"event\":");
    line.quoted(event);
  }
  return line;
}

void Log::end(Line& line) {
  if (!line.buffer_) {
    state_->lost.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  auto& buffer = *static_cast<Buffer*>(line.buffer_);
  if (line.full_) {
    ++buffer.lost;
    state_->lost.fetch_add(1, std::memory_order_relaxed);
  } else {
    if (!line.text_) *line.at_++ = '}';
    *line.at_++ = '\n';
    buffer.filling.size = static_cast<std::size_t>(line.at_ - buffer.filling.bytes.get());
  }
  const bool full = buffer.filling.size > kWakeAt;
  buffer.writes.store(nullptr, std::memory_order_relaxed);
  buffer.lock.unlock();
  if (state_->resting.load(std::memory_order_relaxed)) [[unlikely]]
    state_->rouse();
  if (full && !state_->hurry.exchange(true, std::memory_order_relaxed)) state_->wake.notify_one();
}

void Log::flush() {
  std::unique_lock lock(state_->mutex);
  const auto mine = ++state_->asked;
  state_->wake.notify_all();
  state_->written.wait_for(lock, kFlush, [&] { return state_->done >= mine; });
}

}  // namespace plimsoll::telemetry
