#include "plimsoll/http/origin_rules.hpp"

#include "plimsoll/base/digest.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/date.hpp"
#include "plimsoll/http/field_name.hpp"
#include "plimsoll/http/key_text.hpp"
#include "plimsoll/http/range.hpp"

#include <algorithm>
#include <charconv>

namespace plimsoll::http::origin {
namespace {

constexpr std::size_t kMostGroups = 128;  ///< RFC 9875 asks for 32 at least

bool blank(char c) { return c == ' ' || c == '\t'; }
template <std::size_t N>
bool is_any(std::string_view name, const std::string_view (&names)[N]) {
  return std::ranges::find(names, name) != std::end(names);
}
bool named(const std::vector<std::string>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

/// What is never stored (section 3.1): of one connection, or for a proxy. The other names the cache says itself.
bool is_dropped(std::string_view name) {
  static constexpr std::string_view names[] = {"connection",
                                               "keep-alive",
                                               "proxy-connection",
                                               "proxy-authenticate",
                                               "proxy-authentication-info",
                                               "proxy-authorization",
                                               "te",
                                               "transfer-encoding",
                                               "trailer",
                                               "upgrade",
                                               "age",
                                               "content-length"};
  return is_any(name, names);
}
/// What a newer head says nothing of: they describe the body that is stored (section 3.2).
bool is_of_the_body(std::string_view name) {
  static constexpr std::string_view names[] = {"content-length", "content-encoding", "content-range",
                                               "transfer-encoding"};
  return is_any(name, names);
}

/// Statuses that a cache knows the meaning of (RFC 9110, section 15), for `must-understand`.
bool is_understood(std::uint16_t status) {
  return (status >= 200 && status <= 205) || (status >= 300 && status <= 303) || status == 305 || status == 307 ||
         status == 308 || (status >= 400 && status <= 417) || status == 421 || status == 422 || status == 426 ||
         (status >= 500 && status <= 505);
}

/// Fields that the server says itself, of this client or request (handler/upstream), and no other can say for it.
constexpr std::string_view kOwn[] = {"forwarded",   "x-forwarded-for", "via",
                                     "traceparent", "tracestate",      "x-request-id"};

/// The directives that count (RFC 9213, section 2.2), and the fields that they withhold from a stored response.
struct Directives {
  http::CacheControl control;
  bool targeted = false;
  std::vector<std::string> withheld;
};
Directives directives_of(const Headers& response, bool shared) {
  Directives made;
  if (shared && response.contains("cdn-cache-control")) {
    if (auto control = http::parse_targeted_cache_control(response.joined("cdn-cache-control"))) {
      made.control = *control;
      made.targeted = true;
      return made;
    }
  }
  made.control = http::parse_cache_control(response.joined("cache-control"), &made.withheld);
  return made;
}

/// Whether it may answer authenticated requests (section 3.5).
bool for_authorized(const http::CacheControl& control) {
  return control.is_public || control.must_revalidate || control.s_maxage;
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value);
  if (text.empty() || read.ptr != end || text.front() == '-') return std::nullopt;
  if (read.ec == std::errc::result_out_of_range) return UINT64_MAX;
  if (read.ec != std::errc{}) return std::nullopt;
  return value;
}

/// Whether its date is a strong validator.
bool dated(const Stored& stored) {
  return stored.times.last_modified &&
         stored.times.date.value_or(stored.times.response_time) > *stored.times.last_modified;
}

/// `/a/./b/../c` as `/a/c` (RFC 3986, section 5.2.4).
std::string without_steps(std::string_view path) {
  std::vector<std::string_view> kept;
  bool folder = true;
  for (auto rest = path.substr(path.starts_with('/') ? 1 : 0);;) {
    const auto slash = rest.find('/');
    const auto one = rest.substr(0, slash);
    folder = one == "." || one == "..";
    if (one == ".." && !kept.empty()) kept.pop_back();
    if (!folder) kept.push_back(one);
    if (slash == rest.npos) break;
    rest.remove_prefix(slash + 1);
  }
  std::string out;
  for (auto one : kept) out.append("/").append(one);
  if (folder || out.empty()) out += '/';
  return out;
}

}  // namespace

std::string_view Stored::find(std::string_view name) const noexcept {
  for (auto& [each, value] : fields)
    if (each == name) return value;
  return {};
}

std::size_t Stored::bytes() const noexcept {
  std::size_t sum = sizeof *this + size() * 2;  // its encodings together take about as much again
  for (auto& [name, value] : fields) sum += name.size() + value.size() + 64;
  for (auto& name : vary) sum += name.size() + 32;
  for (auto& name : groups) sum += name.size() + 32;
  return sum;
}

std::int64_t Stored::age(Nanoseconds now) const noexcept {
  return http::current_age(times, times.response_time + std::max<std::int64_t>((now - at) / kSecond, 0));
}

http::Validators Stored::validators() const noexcept {
  // Without `Last-Modified` what was made before `Date` is what the caller may have (section 4.3.2).
  return {.etag = find("etag"),
          .last_modified = times.last_modified ? times.last_modified : times.date.value_or(times.response_time)};
}

Asked asked_of(const Headers& request, bool authorized, bool obeys) {
  Asked asked{.control = http::parse_cache_control(request.joined("cache-control")),
              .conditional = request.contains("if-none-match") || request.contains("if-modified-since"),
              .range = request.contains("range"),
              .for_origin = request.contains("if-match") || request.contains("if-unmodified-since"),
              .authorized = authorized || request.contains("authorization")};
  // The way to the origin takes such fields off (RFC 9110, section 7.6.1).
  each_of(request.joined("connection"), [&](std::string_view one) {
    static constexpr std::string_view own[] = {"close", "keep-alive", "te", "upgrade", "proxy-connection"};
    const auto name = lowered(one);
    asked.for_origin |= !is_any(name, own) && request.contains(name);
  });
  for (const auto* name : {"x-http-method-override", "x-http-method", "x-method-override"})
    asked.for_origin |= request.contains(name);
  if (!obeys) {
    asked.control.no_cache = false;
    asked.control.max_age.reset();
    asked.control.min_fresh.reset();
  } else if (!request.contains("cache-control"))
    each_of(request.joined("pragma"),
            [&](std::string_view one) { asked.control.no_cache |= same_as_lower(one, "no-cache"); });
  return asked;
}

std::shared_ptr<Stored> stored_of(std::uint16_t status, const Headers& response, const Asked& asked, const Times& times,
                                  const Rules& rules) {
  if (status < 200 || status == 206 || status == 304 || status > 599) return nullptr;
  auto directives = directives_of(response, rules.shared);
  const auto& control = directives.control;
  const bool understood = control.must_understand && is_understood(status);
  if (control.must_understand && !understood) return nullptr;
  if (asked.control.no_store || (control.no_store && !understood)) return nullptr;
  if (rules.shared && (control.is_private || (asked.authorized && !for_authorized(control)))) return nullptr;
  const bool sets_cookies = response.contains("set-cookie");
  if (sets_cookies && !rules.cookies && !directives.targeted && !control.is_public && !control.s_maxage) return nullptr;
  auto vary = vary_of(response, rules);
  if (!vary) return nullptr;

  auto made = std::make_shared<Stored>();
  made->status = status;
  made->times = http::stored_times(status, response, times.requested, times.received);
  made->times.control = control;
  if (directives.targeted) {  // `Expires` is of the field that does not count (RFC 9213, section 2.2)
    made->times.expires.reset();
    made->times.expires_unreadable = false;
  }
  const bool explicitly = control.is_public || control.max_age || (rules.shared && control.s_maxage) ||
                          made->times.expires || made->times.expires_unreadable;
  if (!explicitly && !http::cacheable_by_default(status)) return nullptr;
  made->lifetime = http::freshness_lifetime(made->times, rules.shared, rules.heuristic && !sets_cookies);
  made->for_authorized = !rules.shared || for_authorized(control);
  made->shared = rules.shared;
  made->at = times.at;
  made->began = times.began;
  made->vary = std::move(*vary);
  made->groups = groups_of(response.joined("cache-groups"));

  std::vector<std::string> of_the_connection;
  for (auto& [name, value] : response)
    if (same_as_lower(name, "connection"))
      each_of(value, [&](std::string_view one) { of_the_connection.push_back(lowered(one)); });
  for (auto& field : response) {
    auto name = lowered(field.name);
    if (is_dropped(name) || named(directives.withheld, name) || named(of_the_connection, name)) continue;
    made->fields.emplace_back(std::move(name), field.value);
  }
  // When it was received is when it was made, as far as anybody knows (RFC 9110, section 6.6.1).
  if (!made->times.date) {
    std::erase_if(made->fields, [](auto& field) { return field.first == "date"; });
    made->fields.emplace_back("date", http::as_text(http::format_date(times.received)));
  }
  // What is neither fresh nor can be confirmed nor may be used stale is of no use.
  const bool of_use = made->lifetime > 0 || condition_of(*made) || control.stale_while_revalidate.value_or(0) > 0 ||
                      control.stale_if_error.value_or(0) > 0;
  return of_use ? made : nullptr;
}

http::Reuse use_of(const Stored& stored, const Asked& asked, std::int64_t age, bool changed) {
  if (changed) return http::Reuse::revalidate;
  // "No older than now" is a wish to ask, also within the second of the receipt.
  if (asked.control.max_age == 0 && !asked.control.max_stale) return http::Reuse::revalidate;
  return http::reuse(asked.control, stored.times, stored.lifetime, age, stored.shared);
}

bool may_be_stale(const Stored& stored) {
  const auto& said = stored.times.control;
  if (said.no_cache || said.must_revalidate) return false;
  return !stored.shared || (!said.proxy_revalidate && !said.s_maxage);
}

Condition condition_of(const Stored& stored) {
  Condition made{.etag = stored.find("etag"), .last_modified = stored.find("last-modified")};
  if (!http::parse_entity_tag(made.etag)) made.etag = {};
  if (!stored.times.last_modified) made.last_modified = {};
  return made;
}

bool is_of(const Stored& stored, const Headers& response, bool head) {
  const auto said = http::parse_entity_tag(response.find("etag"));
  const auto own = http::parse_entity_tag(stored.find("etag"));
  const auto modified = response.find("last-modified");
  const auto stored_modified = stored.find("last-modified");
  if (said && !own) return false;
  if (said && own) {
    const bool same_tag = said->weak ? same_weakly(*said, *own) : same_strongly(*said, *own);
    // Servers that compress confirm a weak tag with the strong one that it was made of. The date must agree then, which
    // is a strong validator where it is older than the response (RFC 9110, section 8.8.2.2).
    if (!same_tag && !(same_weakly(*said, *own) && dated(stored) && modified == stored_modified)) return false;
  } else if (!modified.empty() && modified != stored_modified) {  // where tags agree, they say enough
    return false;
  }
  if (!head) return true;
  if (own && !said) return false;
  if (!own && modified != stored_modified) return false;
  const auto length = response.find("content-length");
  return length.empty() || number(length) == stored.size();
}

void merge(const Stored& stored, const Headers& newer, Headers& out) {
  // A weak tag does not become strong by what it was made of: two codings would have the same.
  const auto said = http::parse_entity_tag(newer.find("etag"));
  const auto own = http::parse_entity_tag(stored.find("etag"));
  const bool keeps_tag = said && own && own->weak && same_weakly(*said, *own);
  const auto kept = [&](std::string_view name) { return is_of_the_body(name) || (keeps_tag && name == "etag"); };
  // A head without `Date` is as old as its receipt, not as what it confirms.
  for (auto& [name, value] : stored.fields)
    if (kept(name) || (name != "date" && !newer.contains(name))) out.add(lasting(name), lasting(value));
  for (auto& [name, value] : newer)
    if (!kept(lowered(name))) out.add(lasting(name), lasting(value));
}

bool tells_of_client(std::string_view name) { return is_any(name, kOwn); }

std::optional<std::vector<std::string>> vary_of(const Headers& response, const Rules& rules) {
  std::vector<std::string> names;
  bool alone = false;
  each_of(response.joined("vary"), [&](std::string_view one) {
    auto name = lowered(one);
    alone |= name == "*" || tells_of_client(name);
    if (!(rules.any_coding && name == "accept-encoding")) names.push_back(std::move(name));
  });
  if (alone) return std::nullopt;
  std::ranges::sort(names);
  const auto twice = std::ranges::unique(names);
  names.erase(twice.begin(), twice.end());
  return names;
}

void put_variant(std::string& key, const std::vector<std::string>& names, const Headers& request) {
  for (auto& name : names) {
    put_part(key, 'V', name);
    // An origin that makes variables of names may choose by another spelling, whatever this one says.
    for (const auto& field : request)
      if (field.name.size() == name.size() && same_variable(field.name, name) &&
          !equal_ignoring_case(field.name, name)) {
        put_part(key, 's', field.name);
        put_part(key, 'h', field.value);
      }
    if (!request.contains(name)) {
      put_part(key, '-', {});
      continue;
    }
    // Several lines are one list, and blanks around its commas mean nothing; within quotes everything does.
    std::string value;
    bool quoted = false;
    const auto said = trimmed(request.joined(name));
    for (std::size_t i = 0; i < said.size(); ++i) {
      const char c = said[i];
      if (c == '"' && (i == 0 || said[i - 1] != '\\')) quoted = !quoted;
      if (!quoted && blank(c)) {
        const auto next = said.find_first_not_of(" \t", i);
        if (value.ends_with(',') || (next != said.npos && said[next] == ',')) continue;
      }
      value += c;
    }
    put_part(key, 'h', value);
  }
}

void put_all_fields(std::string& key, const Headers& request) {
  static constexpr std::string_view of_one_request[] = {
      "traceparent",   "tracestate", "x-request-id",  "x-plimsoll-attempt",
      "cache-control", "pragma",     "if-none-match", "if-modified-since",
      "if-range",      "range",      "expect",        "content-length"};
  struct Field {
    std::string name;
    std::size_t line;  // lines of one name keep their order
    std::string_view value;
    auto operator<=>(const Field&) const = default;
  };
  std::vector<Field> fields;
  for (const auto& [name, value] : request)
    if (auto lower = lowered(name); !is_any(lower, of_one_request))
      fields.push_back({std::move(lower), fields.size(), value});
  std::ranges::sort(fields);
  std::string text;
  for (const auto& field : fields) {
    put_part(text, 'n', field.name);
    put_part(text, 'h', field.value);
  }
  const auto digest = sha256(text);
  put_part(key, '*', plimsoll::as_text(digest));
}

Part part_of(const Headers& request, const Stored& stored, std::int64_t now) {
  const Part whole;
  if (stored.status != 200 || request.count("range") != 1) return whole;
  // A date is no strong validator for what is stored without `Last-Modified`.
  const http::Validators current{.etag = stored.find("etag"), .last_modified = stored.times.last_modified};
  if (!http::range_applies(request, current, now)) return whole;
  const auto range = http::byte_range(request.find("range"), stored.size());
  switch (range.kind) {
    case http::ByteRange::Kind::whole: break;
    case http::ByteRange::Kind::part: return {.kind = Part::part, .first = range.first, .length = range.length};
    case http::ByteRange::Kind::unsatisfiable: return {.kind = Part::none};
  }
  return whole;
}

std::vector<std::string> changed_paths(const Resource& resource, const Headers& response) {
  std::vector<std::string> paths{std::string(resource.path)};
  for (const auto* name : {"location", "content-location"}) {
    auto to = response.find(name);
    to = to.substr(0, to.find_first_of("?#"));
    if (to.empty()) continue;
    const auto colon = to.find(':');
    const bool absolute = colon != to.npos && to.find('/') > colon;
    if (absolute) {
      if (!same_as_lower(to.substr(0, colon), lowered(resource.scheme))) continue;
      to.remove_prefix(colon + 1);
      if (!to.starts_with("//")) continue;
    }
    if (to.starts_with("//")) {
      to.remove_prefix(2);
      const auto end = std::min(to.find('/'), to.size());
      if (!same_as_lower(to.substr(0, end), lowered(resource.authority))) continue;  // others' are not ours to touch
      to.remove_prefix(end);
      if (to.empty()) to = "/";
    }
    std::string path(to);
    if (!to.starts_with('/')) path = std::string(resource.path.substr(0, resource.path.rfind('/') + 1)) + path;
    paths.push_back(without_steps(path));
  }
  return paths;
}

std::vector<std::string> groups_of(std::string_view value) {
  std::vector<std::string> groups;
  for (auto rest = trimmed(value); !rest.empty();) {
    if (rest.front() != '"' || groups.size() == kMostGroups) return {};
    std::string one;
    std::size_t i = 1;
    for (; i < rest.size() && rest[i] != '"'; ++i) {
      if (rest[i] == '\\') ++i;
      if (i >= rest.size() || static_cast<unsigned char>(rest[i]) < ' ' || static_cast<unsigned char>(rest[i]) > 126)
        return {};
      one += rest[i];
    }
    if (i >= rest.size()) return {};
    groups.push_back(std::move(one));
    rest.remove_prefix(i + 1);
    // Parameters of a member mean nothing here.
    const auto comma = rest.find(',');
    const auto parameters = trimmed(rest.substr(0, comma));
    if (!parameters.empty() && !parameters.starts_with(';')) return {};
    if (comma == rest.npos) break;
    rest = trimmed(rest.substr(comma + 1));
    if (rest.empty()) return {};
  }
  return groups;
}

}  // namespace plimsoll::http::origin
