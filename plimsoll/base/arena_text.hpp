#pragma once

#include "plimsoll/base/arena.hpp"
#include "plimsoll/base/digits.hpp"

#include <cstdint>
#include <cstring>
#include <string_view>

namespace plimsoll {

/// Text put together in an arena: the value of a header. Who begins it knows how much it can become at most.
class ArenaText {
 public:
  static constexpr std::size_t kNumber = kMostDigits;  ///< characters of a number, at most

  ArenaText(Arena& arena, std::size_t room) : begin_(arena.array<char>(room)), at_(begin_) {}
  ArenaText& operator<<(std::string_view text) {
    if (text.empty()) return *this;  // which may be nowhere
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
    return *this;
  }
  ArenaText& operator<<(std::int64_t number) {
    at_ = put_digits(at_, number);
    return *this;
  }
  /// What has been put together so far.
  std::string_view text() const { return {begin_, at_}; }

 private:
  char *begin_, *at_;
};

}  // namespace plimsoll
