#include "plimsoll/http/date.hpp"

#include <chrono>

namespace plimsoll::http {
namespace {

constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
constexpr std::string_view kDays = "SunMonTueWedThuFriSat";
constexpr std::string_view kLongDays[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};

/// Reads fixed text and numbers from the front; once something does not fit, nothing does any more.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  void text(std::string_view expected) {
    if (!rest_.starts_with(expected)) return fail();
    rest_.remove_prefix(expected.size());
  }
  int digits(std::size_t count) {
    if (rest_.size() < count) return fail(), 0;
    int value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (rest_[i] < '0' || rest_[i] > '9') return fail(), 0;
      value = value * 10 + (rest_[i] - '0');
    }
    rest_.remove_prefix(count);
    return value;
  }
  /// The index of the next three letters in a table of three-letter words.
  int word(std::string_view table) {
    if (rest_.size() < 3) return fail(), 0;
    const auto at = table.find(rest_.substr(0, 3));
    if (at == std::string_view::npos || at % 3) return fail(), 0;
    rest_.remove_prefix(3);
    return static_cast<int>(at / 3);
  }
  bool skip(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void fail() { failed_ = true, rest_ = {}; }
  bool done() const { return !failed_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool failed_ = false;
};

struct Parts {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;

  void time(Reader& r) { hour = r.digits(2), r.text(":"), minute = r.digits(2), r.text(":"), second = r.digits(2); }
  std::optional<std::int64_t> seconds() const {
    using namespace std::chrono;
    const auto date = std::chrono::year{year} / (month + 1) / day;
    if (!date.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;  // 60: a leap second
    return sys_days{date}.time_since_epoch().count() * std::int64_t{86400} + hour * 3600 + minute * 60 + second;
  }
};

std::optional<std::int64_t> imf_fixdate(std::string_view text) {
  Reader r{text};
  Parts p;
  r.word(kDays), r.text(", ");
  p.day = r.digits(2), r.text(" "), p.month = r.word(kMonths), r.text(" "), p.year = r.digits(4), r.text(" ");
  p.time(r), r.text(" GMT");
  return r.done() ? p.seconds() : std::nullopt;
}

std::optional<std::int64_t> rfc850(std::string_view text, std::int64_t now) {
  const auto comma = text.find(',');
  bool named = false;
  for (auto day : kLongDays) named |= text.substr(0, comma) == day;
  if (!named) return std::nullopt;
  Reader r{text.substr(comma)};
  Parts p;
  r.text(", "), p.day = r.digits(2), r.text("-"), p.month = r.word(kMonths), r.text("-"), p.year = r.digits(2);
  r.text(" "), p.time(r), r.text(" GMT");
  if (!r.done()) return std::nullopt;
  using namespace std::chrono;
  const auto today = floor<days>(sys_seconds{seconds{now}});
  const int this_year{year_month_day{today}.year()};
  p.year += this_year - this_year % 100 + 100;
  while (p.year > this_year + 50) p.year -= 100;
  return p.seconds();
}

std::optional<std::int64_t> asctime(std::string_view text) {
  Reader r{text};
  Parts p;
  r.word(kDays), r.text(" "), p.month = r.word(kMonths), r.text(" ");
  p.day = r.skip(' ') ? r.digits(1) : r.digits(2);
  r.text(" "), p.time(r), r.text(" "), p.year = r.digits(4);
  return r.done() ? p.seconds() : std::nullopt;
}

}  // namespace

DateText format_date(std::int64_t unix_seconds) {
  using namespace std::chrono;
  const sys_seconds at{seconds{unix_seconds}};
  const auto day = floor<days>(at);
  const year_month_day date{day};
  const hh_mm_ss time{at - day};
  DateText out;
  auto* to = out.data();
  const auto text = [&](std::string_view t) {
    for (char c : t) *to++ = c;
  };
  const auto two = [&](std::int64_t n) { *to++ = static_cast<char>('0' + n / 10 % 10), *to++ = '0' + n % 10; };
  text(kDays.substr(weekday{day}.c_encoding() * 3, 3)), text(", ");
  two(unsigned{date.day()}), text(" "), text(kMonths.substr((unsigned{date.month()} - 1) * 3, 3)), text(" ");
  two(int{date.year()} / 100), two(int{date.year()} % 100), text(" ");
  two(time.hours().count()), text(":"), two(time.minutes().count()), text(":"), two(time.seconds().count());
  text(" GMT");
  return out;
}

std::optional<std::int64_t> parse_date(std::string_view text, std::int64_t now) {
  if (text.size() < 24) return std::nullopt;
  if (text[3] == ',') return imf_fixdate(text);
  if (text[3] == ' ') return asctime(text);
  return rfc850(text, now);
}

}  // namespace plimsoll::http
