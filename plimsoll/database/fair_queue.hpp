#pragma once

#include "plimsoll/base/hash.hpp"
#include "plimsoll/database/database.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace plimsoll::database {

/// Who pays for a read, as a number that is never 0; 0: the server itself.
inline std::uint64_t caller_of(const Reading& reading) {
  if (reading.subject.empty() && reading.tenant.empty()) return reading.site;
  const auto of = [](std::string_view text, std::uint64_t before) {
    return (hash64(text) ^ before) * 0x9e3779b97f4a7c15ULL;
  };
  return of(reading.subject, of(reading.scheme, of(reading.tenant, 0))) | 1;
}

/// The queue of those who wait for one of a few threads. Classes go in order (rows, pages, searches); within a class
/// callers take turns, so that one who asks for sixty things does not make another wait for sixty. Callers are spread
/// over a fixed number of lines by a hash (stochastic fairness queueing, McKenney 1990): nothing is allocated, and
/// whoever shares a line shares its turns.
///
/// What runs cannot be taken off its thread, so some threads are kept free of it: one caller has at most half of them,
/// and searches leave one. A class that waits has its turn after `kPatience` others went first.
///
/// A value without a clock or a lock: its owner locks it, and says when what was taken has ended.
class FairQueue {
 public:
  /// Somebody who waits; lives with its owner until it was taken or removed.
  struct Entry {
    ReadClass order = ReadClass::list;
    std::uint64_t caller = 0;  ///< 0: the server itself, which may have every thread

   private:
    friend class FairQueue;
    Entry *next_ = nullptr, *previous_ = nullptr;
    bool queued_ = false;
  };

  static constexpr std::size_t kLines = 256;
  static constexpr std::size_t kClasses = 3;
  static constexpr int kPatience = 8;

  FairQueue(std::size_t threads, std::size_t room)
      : room_(room),
        of_caller_(std::max<std::size_t>(1, threads / 2)),
        searches_(std::max<std::size_t>(2, threads) - 1) {}

  /// Adds an entry. When the queue is full, whoever has most waiting in the class that goes last gives up its newest:
  /// that entry, which may be the new one, is given back and is not in the queue.
  Entry* push(Entry& entry) {
    Entry* given_up = nullptr;
    if (size_ >= room_) {
      given_up = &victim(entry);
      if (given_up == &entry) return given_up;
      remove(*given_up);
    }
    auto& line = line_of(entry);
    append(line, entry);
    if (line.size++ == 0) activate(of(entry.order), line);
    ++size_;
    return given_up;
  }

  /// The next to run, or null when nobody may. `ended` is called for it later.
  Entry* take() {
    for (auto c = kClasses; c-- > 1;)
      if (classes_[c].passed >= kPatience)
        if (auto* entry = take_from(c)) return entry;
    for (std::size_t c = 0; c < kClasses; ++c)
      if (auto* entry = take_from(c)) {
        for (auto lower = c + 1; lower < kClasses; ++lower) classes_[lower].passed += classes_[lower].front ? 1 : 0;
        return entry;
      }
    return nullptr;
  }

  void ended(ReadClass order, std::uint64_t caller) {
    --running_[number_of(caller)];
    running_searches_ -= order == ReadClass::search ? 1 : 0;
  }

  /// False when it was taken already.
  bool remove(Entry& entry) {
    if (!entry.queued_) return false;
    auto& line = line_of(entry);
    unlink(line, entry);
    if (--line.size == 0) deactivate(of(entry.order), line);
    --size_;
    return true;
  }

  /// Somebody who waits, or null: for an owner that refuses all of them.
  Entry* any() const {
    for (const auto& mine : classes_)
      if (mine.front) return mine.front->first;
    return nullptr;
  }
  std::size_t size() const { return size_; }

 private:
  struct Line {
    Entry *first = nullptr, *last = nullptr;
    Line *next = nullptr, *previous = nullptr;  ///< in the ring of its class, while somebody waits in it
    std::size_t size = 0;
  };
  struct Class {
    std::array<Line, kLines> lines;
    Line* front = nullptr;  ///< whose turn it is
    int passed = 0;         ///< how often a class before this one went first while this one waited
  };

  static std::size_t number_of(std::uint64_t caller) { return (caller ^ caller >> 32) % kLines; }
  Class& of(ReadClass order) { return classes_[static_cast<std::size_t>(order)]; }
  Line& line_of(const Entry& entry) { return of(entry.order).lines[number_of(entry.caller)]; }

  Entry* take_from(std::size_t c) {
    auto& mine = classes_[c];
    const bool search = c == static_cast<std::size_t>(ReadClass::search);
    if (!mine.front || (search && running_searches_ >= searches_)) return nullptr;
    auto* line = mine.front;
    do {
      auto& entry = *line->first;
      const auto number = number_of(entry.caller);
      if (running_[number] < of_caller_ || entry.caller == 0) {
        remove(entry);
        if (line->size) mine.front = line->next;  // it has had its turn
        mine.passed = 0;
        ++running_[number];
        running_searches_ += search ? 1 : 0;
        return &entry;
      }
      line = line->next;
    } while (line != mine.front);
    return nullptr;
  }

  /// Who gives up when there is no room: the newest of the longest line of the last class that waits, as long as that
  /// is no better than the new one.
  Entry& victim(Entry& entry) {
    for (auto c = kClasses; c-- > static_cast<std::size_t>(entry.order);) {
      auto* front = classes_[c].front;
      if (!front) continue;
      auto* longest = front;
      for (auto* line = front->next; line != front; line = line->next)
        if (line->size > longest->size) longest = line;
      if (c > static_cast<std::size_t>(entry.order) || longest->size > line_of(entry).size + 1) return *longest->last;
    }
    return entry;
  }

  static void append(Line& line, Entry& entry) {
    entry.previous_ = line.last;
    entry.next_ = nullptr;
    (line.last ? line.last->next_ : line.first) = &entry;
    line.last = &entry;
    entry.queued_ = true;
  }
  static void unlink(Line& line, Entry& entry) {
    (entry.previous_ ? entry.previous_->next_ : line.first) = entry.next_;
    (entry.next_ ? entry.next_->previous_ : line.last) = entry.previous_;
    entry.queued_ = false;
  }
  /// A line that somebody has come to stands behind all others.
  static void activate(Class& mine, Line& line) {
    if (!mine.front) {
      mine.front = line.next = line.previous = &line;
      return;
    }
    line.next = mine.front;
    line.previous = mine.front->previous;
    line.previous->next = line.next->previous = &line;
  }
  static void deactivate(Class& mine, Line& line) {
    if (line.next == &line) {
      mine.front = nullptr;
      return;
    }
    line.previous->next = line.next;
    line.next->previous = line.previous;
    if (mine.front == &line) mine.front = line.next;
  }

  std::array<Class, kClasses> classes_{};
  std::array<std::size_t, kLines> running_{};
  std::size_t size_ = 0, room_, of_caller_, searches_, running_searches_ = 0;
};

}  // namespace plimsoll::database
