#include "plimsoll/client/backoff.hpp"

#include "plimsoll/http/date.hpp"

#include <charconv>

namespace plimsoll::client {

std::optional<Nanoseconds> retry_after(std::string_view value, Nanoseconds wall) {
  constexpr std::int64_t kMost = 86'400;
  if (value.empty()) return std::nullopt;
  if (value.find_first_not_of("0123456789") == value.npos) {
    std::int64_t seconds = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
    if (error == std::errc::result_out_of_range) seconds = kMost;
    return std::min(seconds, kMost) * kSecond;
  }
  const auto date = http::parse_date(value, wall / kSecond);
  if (!date) return std::nullopt;
  // A date is a whole second: what is later within the second still has to wait for its end.
  const auto span = *date > wall / kSecond + kMost ? kMost * kSecond : *date * kSecond - wall;
  return std::clamp<Nanoseconds>(span, 0, kMost * kSecond);
}

}  // namespace plimsoll::client
