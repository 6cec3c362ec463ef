#include "plimsoll/http/cache_control.hpp"

#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/date.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>

namespace plimsoll::http {
namespace {

bool blank(char c) { return c == ' ' || c == '\t'; }
bool token_character(char c) {
  return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') ||
         (c != 0 && std::string_view("!#$%&'*+-.^_`|~").contains(c));
}
std::string_view skip_blanks(std::string_view text) {
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  return text;
}
std::string_view token(std::string_view& text) {
  std::size_t n = 0;
  while (n < text.size() && token_character(text[n])) ++n;
  const auto out = text.substr(0, n);
  text.remove_prefix(n);
  return out;
}

struct Directive {
  std::string_view name, argument;
  bool has_argument = false;
};

/// What is between the quotes, escapes left in: no directive of ours has any. Nothing when the quote never closes.
std::optional<std::string_view> quoted(std::string_view& text) {
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      const auto out = text.substr(1, i - 1);
      text.remove_prefix(i + 1);
      return out;
    }
  }
  text = {};
  return std::nullopt;
}

/// `rubbish`: set where something is no directive.
bool next(std::string_view& list, Directive& out, bool& rubbish) {
  for (;;) {
    while (!list.empty() && (blank(list.front()) || list.front() == ',')) list.remove_prefix(1);
    if (list.empty()) return false;
    out = {.name = token(list)};
    if (!out.name.empty() && list.starts_with('=')) {
      out.has_argument = true;
      list.remove_prefix(1);
      out.argument = list.starts_with('"') ? quoted(list).value_or("") : token(list);
    }
    list = skip_blanks(list);
    if (list.empty() || list.front() == ',') {
      if (!out.name.empty()) return true;
      rubbish = true;
    } else {  // over to the next comma
      rubbish = true;
      list.remove_prefix(std::min(list.find(','), list.size()));
    }
  }
}

std::int64_t seconds(const Directive& d) {
  if (d.argument.empty()) return 0;
  for (char c : d.argument)
    if (c < '0' || c > '9') return 0;
  std::int64_t value = 0;
  const auto read = std::from_chars(d.argument.data(), d.argument.data() + d.argument.size(), value);
  return read.ec == std::errc{} ? std::min(value, CacheControl::kForever) : CacheControl::kForever;
}

struct Span {
  std::string_view name;
  std::optional<std::int64_t> CacheControl::* member;
};
constexpr Span kSpans[] = {{"max-age", &CacheControl::max_age},
                           {"s-maxage", &CacheControl::s_maxage},
                           {"min-fresh", &CacheControl::min_fresh},
                           {"max-stale", &CacheControl::max_stale},
                           {"stale-while-revalidate", &CacheControl::stale_while_revalidate},
                           {"stale-if-error", &CacheControl::stale_if_error}};
struct Flag {
  std::string_view name;
  bool CacheControl::* member;
};
constexpr Flag kFlags[] = {
    {"public", &CacheControl::is_public},
    {"private", &CacheControl::is_private},
    {"no-store", &CacheControl::no_store},
    {"no-cache", &CacheControl::no_cache},
    {"no-transform", &CacheControl::no_transform},
    {"only-if-cached", &CacheControl::only_if_cached},
    {"must-revalidate", &CacheControl::must_revalidate},
    {"proxy-revalidate", &CacheControl::proxy_revalidate},
    {"must-understand", &CacheControl::must_understand},
    {"immutable", &CacheControl::immutable},
};

void put(CacheControl& control, std::string_view name, std::int64_t span) {
  for (auto& known : kSpans)
    if (equal_ignoring_case(known.name, name)) {
      auto& member = control.*known.member;
      member = member ? std::min(*member, span) : span;
    }
}
void raise(CacheControl& control, std::string_view name, bool on = true) {
  for (auto& known : kFlags)
    if (equal_ignoring_case(known.name, name)) control.*known.member = on;
}

/// A dictionary of RFC 8941, as far as cache directives need it: members are integers, booleans, or something else that
/// no directive uses, which is passed over. False when it is no dictionary.
class Dictionary {
 public:
  explicit Dictionary(std::string_view text) : rest_(skip_blanks(text)) {
    while (rest_.ends_with(' ')) rest_.remove_suffix(1);
  }
  bool read(CacheControl& out) {
    while (!rest_.empty()) {
      const auto name = key();
      if (name.empty() || !member(out, name) || !parameters()) return false;
      rest_ = skip_blanks(rest_);
      if (rest_.empty()) return true;
      if (rest_.front() != ',') return false;
      rest_ = skip_blanks(rest_.substr(1));
      if (rest_.empty()) return false;  // a comma at the end
    }
    return true;
  }

 private:
  std::string_view key() {
    std::size_t n = 0;
    while (n < rest_.size() &&
           ((rest_[n] >= 'a' && rest_[n] <= 'z') || rest_[n] == '*' ||
            (n > 0 && ((rest_[n] >= '0' && rest_[n] <= '9') || std::string_view("_-.").contains(rest_[n])))))
      ++n;
    const auto out = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return out;
  }
  struct Item {
    enum { integer, boolean, other } type = other;
    std::int64_t number = 0;
  };
  bool member(CacheControl& out, std::string_view name) {
    for (auto& span : kSpans)  // of a key that comes twice the last counts (RFC 8941, section 4.2.2)
      if (span.name == name) (out.*span.member).reset();
    raise(out, name, false);
    if (!rest_.starts_with('=')) return raise(out, name), true;
    rest_.remove_prefix(1);
    Item item;
    if (!value(item)) return false;
    if (item.type == Item::integer && item.number >= 0) put(out, name, std::min(item.number, CacheControl::kForever));
    if (item.type == Item::boolean && item.number) raise(out, name);
    return true;
  }
  bool value(Item& out) {
    if (rest_.empty()) return false;
    if (rest_.front() == '"') return quoted(rest_).has_value();
    if (rest_.starts_with("?0") || rest_.starts_with("?1")) {
      out = {Item::boolean, rest_[1] - '0'};
      rest_.remove_prefix(2);
      return true;
    }
    if (rest_.front() == '-' || (rest_.front() >= '0' && rest_.front() <= '9')) return number(out);
    if (rest_.front() == '*' || (lower(rest_.front()) >= 'a' && lower(rest_.front()) <= 'z'))
      return !token(rest_).empty();
    return false;  // inner lists and byte sequences: no directive has one
  }
  bool number(Item& out) {
    const auto* end = rest_.data() + rest_.size();
    const auto read = std::from_chars(rest_.data(), end, out.number);
    if (read.ec != std::errc{} || read.ptr - rest_.data() > 16) return false;
    out.type = Item::integer;
    rest_.remove_prefix(static_cast<std::size_t>(read.ptr - rest_.data()));
    if (rest_.starts_with('.')) {  // a decimal: a value, but no span
      out.type = Item::other;
      rest_.remove_prefix(1);
      if (rest_.empty() || rest_.front() < '0' || rest_.front() > '9') return false;
      while (!rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9') rest_.remove_prefix(1);
    }
    return true;
  }
  bool parameters() {
    while (rest_.starts_with(';')) {
      rest_ = skip_blanks(rest_.substr(1));
      if (key().empty()) return false;
      Item ignored;
      if (rest_.starts_with('=')) {
        rest_.remove_prefix(1);
        if (!value(ignored)) return false;
      }
    }
    return true;
  }
  std::string_view rest_;
};

/// The names of fields in an argument, in lower case; false where it is no list of names.
bool read_names(std::string_view list, std::vector<std::string>& out) {
  const auto before = out.size();
  for (;;) {
    while (!list.empty() && (blank(list.front()) || list.front() == ',')) list.remove_prefix(1);
    if (list.empty()) return out.size() > before;
    const auto name = token(list);
    list = skip_blanks(list);
    if (name.empty() || (!list.empty() && list.front() != ',')) {
      out.resize(before);
      return false;
    }
    std::ranges::transform(name, std::back_inserter(out.emplace_back()), lower);
  }
}

}  // namespace

CacheControl parse_cache_control(std::string_view value, std::vector<std::string>* qualified) {
  CacheControl out;
  Directive d;
  bool rubbish = false;
  while (next(value, d, rubbish)) {
    if (qualified && d.has_argument && (same_as_lower(d.name, "no-cache") || same_as_lower(d.name, "private")) &&
        read_names(d.argument, *qualified))
      continue;
    if (same_as_lower(d.name, "max-stale") && !d.has_argument)
      put(out, d.name, CacheControl::kForever);
    else
      put(out, d.name, seconds(d));
    raise(out, d.name);
  }
  out.no_store |= rubbish;
  return out;
}

std::optional<CacheControl> parse_targeted_cache_control(std::string_view value) {
  CacheControl out;
  if (skip_blanks(value).empty() || !Dictionary{value}.read(out)) return std::nullopt;
  return out;
}

std::string to_string(const CacheControl& control) {
  std::string out;
  const auto add = [&](std::string_view text) {
    if (!out.empty()) out += ", ";
    out += text;
  };
  for (auto& flag : kFlags)
    if (control.*flag.member) add(flag.name);
  for (auto& span : kSpans)
    if (control.*span.member) add(span.name), out += '=', out += std::to_string(*(control.*span.member));
  return out;
}

Stored stored_times(std::uint16_t status, const Headers& headers, std::int64_t request_time, std::int64_t now) {
  Stored out{.control = parse_cache_control(headers.joined("cache-control")),
             .request_time = request_time,
             .response_time = now,
             .status = status};
  out.date = parse_date(headers.find("date"), now);
  out.last_modified = parse_date(headers.find("last-modified"), now);
  if (headers.contains("expires")) {
    if (headers.count("expires") == 1) out.expires = parse_date(headers.find("expires"), now);
    out.expires_unreadable = !out.expires;
  }
  // Of several values the first counts; one that is no number counts for nothing (RFC 9111, section 5.1).
  auto age = headers.find("age");
  age = skip_blanks(age.substr(0, age.find(',')));
  while (!age.empty() && blank(age.back())) age.remove_suffix(1);
  out.age_value = seconds({.argument = age});
  return out;
}

bool cacheable_by_default(std::uint16_t status) {
  constexpr std::uint16_t kStatuses[] = {200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501};
  return std::ranges::find(kStatuses, status) != std::end(kStatuses);
}

std::int64_t freshness_lifetime(const Stored& stored, bool shared, bool heuristic) {
  if (shared && stored.control.s_maxage) return *stored.control.s_maxage;
  if (stored.control.max_age) return *stored.control.max_age;
  const auto date = stored.date.value_or(stored.response_time);
  if (stored.expires_unreadable) return 0;
  if (stored.expires) return std::max<std::int64_t>(0, *stored.expires - date);
  if (!heuristic || !stored.last_modified) return 0;
  if (!cacheable_by_default(stored.status) && !stored.control.is_public) return 0;
  return std::clamp<std::int64_t>((date - *stored.last_modified) / 10, 0, 86'400);
}

std::int64_t current_age(const Stored& stored, std::int64_t now) {
  const auto apparent = stored.date ? std::max<std::int64_t>(0, stored.response_time - *stored.date) : 0;
  const auto corrected = stored.age_value + (stored.response_time - stored.request_time);
  return std::max(apparent, corrected) + std::max<std::int64_t>(0, now - stored.response_time);
}

Reuse reuse(const CacheControl& request, const Stored& stored, std::int64_t lifetime, std::int64_t age, bool shared) {
  const auto& answer = stored.control;
  if (answer.no_cache || request.no_cache || request.no_store) return Reuse::revalidate;
  // A caller's wish for something younger or fresher than this is met by asking.
  if (request.max_age && age > *request.max_age && !request.max_stale) return Reuse::revalidate;
  const auto wanted = age + request.min_fresh.value_or(0);
  if (wanted < lifetime) return Reuse::fresh;
  if (answer.must_revalidate || (shared && (answer.proxy_revalidate || answer.s_maxage))) return Reuse::revalidate;
  const auto stale = age - lifetime;
  if (request.min_fresh && stale < 0) return Reuse::revalidate;
  if (request.max_stale && stale <= *request.max_stale) return Reuse::fresh;
  if (answer.stale_while_revalidate && stale < *answer.stale_while_revalidate && !request.max_age && !request.min_fresh)
    return Reuse::stale_while_revalidate;
  const auto on_error = std::max(answer.stale_if_error.value_or(-1), request.stale_if_error.value_or(-1));
  return stale < on_error ? Reuse::stale_if_error : Reuse::revalidate;
}

bool storable(std::string_view method, const CacheControl& request, bool authorized, const Stored& stored,
              bool shared) {
  const auto& answer = stored.control;
  if (method != "GET" && method != "HEAD") return false;
  if (stored.status < 200 || stored.status == 206 || stored.status == 304) return false;  // partial: not understood
  if (request.no_store || answer.no_store) return false;
  if (shared && answer.is_private) return false;
  // RFC 9111, section 3.5.
  if (shared && authorized && !answer.is_public && !answer.must_revalidate && !answer.s_maxage) return false;
  return answer.is_public || answer.is_private || answer.max_age || (shared && answer.s_maxage) || stored.expires ||
         stored.expires_unreadable || cacheable_by_default(stored.status);
}

}  // namespace plimsoll::http
