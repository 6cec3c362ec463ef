#include "plimsoll/policy/cache/cache_fill.hpp"

#include "plimsoll/base/arena_text.hpp"
#include "plimsoll/base/encoding.hpp"
#include "plimsoll/base/hash.hpp"
#include "plimsoll/base/letters.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/contract/parameter_writer.hpp"
#include "plimsoll/exchange/reading.hpp"
#include "plimsoll/http/cache_control.hpp"
#include "plimsoll/json/value.hpp"
#include "plimsoll/policy/cache/cache_key.hpp"

#include <algorithm>
#include <array>

namespace plimsoll::policy {
namespace {

/// Said by handlers of answers that nobody declared cacheable: for an operation with `cache` it says nothing.
constexpr std::string_view kUndeclared = "private, no-cache";

constexpr std::string_view kDropped[] = {
    "if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range",
    "range",         "accept-encoding",   "prefer"};

bool storable_status(std::uint16_t status) {
  return status == 200 || status == 203 || status == 204 || status == 300 || status == 301 || status == 308 ||
         status == 410;
}

/// Fields that the server says itself, from the key.
constexpr std::string_view kFromKey[] = {"host", "x-forwarded-host", "x-forwarded-proto", "accept-encoding"};

bool is_one_of(std::string_view name, std::span<const std::string_view> names) {
  return std::ranges::find(names, name) != names.end();
}

/// Lower case names of `Vary`, in order and each once; false for `*`.
bool read_vary(const Headers& headers, std::vector<std::string>& names) {
  for (auto& [name, value] : headers) {
    if (!same_as_lower(name, "vary")) continue;
    std::string one;
    for (const char c : std::string(value) + ',') {
      if (c == ',') {
        if (one == "*") return false;
        // The bodies' encodings are made behind the cache, for each caller.
        if (!one.empty() && one != "accept-encoding") names.push_back(one);
        one.clear();
      } else if (c != ' ' && c != '\t') {
        one += lower(c);
      }
    }
  }
  std::ranges::sort(names);
  const auto twice = std::ranges::unique(names);
  names.erase(twice.begin(), twice.end());
  return true;
}

/// Whether a response may be kept for all that say the same in what it varies by; leaves the names that tell requests
/// under one key apart.
bool tells_apart(const contract::Operation& operation, std::vector<std::string>& names) {
  std::erase_if(names, [&](auto& name) { return carried(operation, name) == Carried::always; });
  return std::ranges::none_of(names, [](auto& name) { return http::origin::tells_of_client(name); });
}

/// Whether a header tells who asks. The handler knows the caller by `Context::principal`, as far as the key holds it;
/// what it copied from such a header would reach every caller that the response is kept for.
bool is_credential(const contract::Operation& operation, std::string_view name) {
  if (name == "authorization" || name == "proxy-authorization") return true;
  if (name == "cookie") return true;  // those that are declared are written anew
  for (auto& requirement : operation.security)
    for (auto& needed : requirement.all)
      if (needed.scheme->type == "apiKey" && needed.scheme->in == contract::In::header &&
          equal_ignoring_case(needed.scheme->parameter, name))
        return true;
  return false;
}

constexpr std::size_t kTag = 34;  ///< characters of an entity tag, quotes included

/// All fields in one text, their names in lower case. `storable`: the cache itself says how old what it gives is.
void keep_headers(CachedAnswer& kept, const Headers& headers, const Headers& promised, bool storable) {
  const bool tagged = kept.status != 200 || headers.contains("etag");
  std::size_t count = tagged ? 0 : 1, room = tagged ? 0 : kTag;
  for (const auto* fields : {&headers, &promised})
    for (auto& [name, value] : *fields) ++count, room += name.size() + value.size();
  kept.headers.reserve(count);
  kept.texts.reserve(room);  // so that views into it stay
  const auto add = [&](std::string_view name, std::string_view value) {
    const auto begin = kept.texts.size();
    for (const char c : name) kept.texts += lower(c);
    kept.texts += value;
    const auto added = std::string_view(kept.texts).substr(begin);
    kept.headers.emplace_back(added.substr(0, name.size()), added.substr(name.size()));
  };
  for (auto& [name, value] : headers)
    if (!storable || !(same_as_lower(name, "cache-control") || same_as_lower(name, "age"))) add(name, value);
  for (auto& [name, value] : promised)
    if (!headers.contains(name)) add(name, value);
  if (tagged) return;
  // As `conditional` tags what passes the cache by: a caller must not see from the tag whether somebody asked before.
  const auto hash = content_hash(kept.body);
  std::array<char, kTag> tag;
  tag.front() = tag.back() = '"';
  put_hex(hash.high, tag.data() + 1);
  put_hex(hash.low, tag.data() + 17);
  const auto begin = kept.texts.size();
  kept.texts.append(tag.data(), tag.size());
  kept.headers.emplace_back("etag", std::string_view(kept.texts).substr(begin));
}

}  // namespace

namespace {

/// The media type that a success has, where the key does not hold what was accepted: else a service that has several
/// would choose.
std::string_view only_type(const contract::Operation& operation) {
  std::string_view type;
  for (auto& response : operation.responses) {
    if (!response.status.starts_with('2') || response.content.empty()) continue;
    if (!type.empty() && type != response.content.front().name) return {};
    type = response.content.front().name;
  }
  return type;
}

}  // namespace

Carried carried(const contract::Operation& operation, std::string_view name) {
  if (is_one_of(name, kFromKey)) return Carried::always;
  if (http::origin::tells_of_client(name) || is_credential(operation, name)) return Carried::never;
  if (name == "accept")
    return is_negotiated(operation) || !only_type(operation).empty() ? Carried::always : Carried::by_vary;
  const bool declared = std::ranges::any_of(operation.parameters, [&](auto& each) {
    return each.in == contract::In::header && equal_ignoring_case(each.name, name);
  });
  return declared || is_one_of(name, kDropped) ? Carried::always : Carried::by_vary;
}

namespace {

/// The declared cookies, and no other.
std::string cookies_of(const Request& from, const Context& asked) {
  const auto& operation = *asked.operation;
  if (has_parameters(operation, asked)) return contract::canonical_cookies(operation, asked.input.parameters);
  std::string line;
  for (auto& parameter : operation.parameters) {
    if (parameter.in != contract::In::cookie) continue;
    if (const auto sent = cookie_as_sent(from.headers.joined("cookie"), parameter.name))
      line.append(line.empty() ? "" : "; ").append(parameter.name).append("=").append(*sent);
  }
  return line;
}

/// What is in the key, and nothing else.
void add_keyed(Headers& to, const Request& from, const Context& asked, std::span<const std::string> vary) {
  const auto& operation = *asked.operation;
  const bool read = has_parameters(operation, asked);
  for (std::size_t i = 0; i < operation.parameters.size(); ++i) {
    const auto& parameter = operation.parameters[i];
    if (parameter.in != contract::In::header) continue;
    const auto name = lowered(parameter.name);
    if (is_one_of(name, kDropped) || is_credential(operation, name)) continue;
    if (!read && from.headers.contains(name)) to.add(name, from.headers.joined(name));
    if (!read) continue;
    if (const auto value = contract::canonical_header(parameter, asked.input.parameters[i])) to.add(name, *value);
  }
  if (is_negotiated(operation)) {
    if (from.headers.contains("accept")) to.add("accept", from.headers.joined("accept"));
  } else if (const auto type = only_type(operation); !type.empty()) {
    to.add("accept", type);
  }
  for (const auto& name : vary)
    if (carried(operation, name) == Carried::by_vary && from.headers.contains(name))
      to.add(name, from.headers.joined(name));
  if (!to.contains("user-agent")) to.add("user-agent", "plimsoll");
}

}  // namespace

CacheFill::CacheFill(const Request& from, const Context& asked, Asks asks, std::span<const std::string> vary)
    : DetachedExchange(from, asked, Fields::left_out), carries(vary.begin(), vary.end()) {
  const auto& operation = *asked.operation;
  const auto& parameters = asked.input.parameters;
  if (parameters.size() == operation.parameters.size()) {
    const auto path = contract::canonical_path(operation, parameters, asked.path_values);
    const auto query = contract::canonical_query(operation, parameters);
    ArenaText target{arena, path.size() + query.size() + 1};
    target << path;
    if (!query.empty()) target << "?" << query;
    request.target = target.text();
    request.path = request.target.substr(0, path.size());
    request.query = request.target.substr(request.target.size() - query.size());
    request.has_query = !query.empty();
    context.path = request.path;
  }  // else nobody has read them: the key holds them as they were sent
  if (asks == Asks::keyed) {
    request.authority = arena.keep(lowered(from.authority));
    request.version = 11;
    request.peer = {};
    request.peer.address = "unix";  // no client's
    add_keyed(request.headers, from, asked, vary);
  } else {
    for (auto& [name, value] : from.headers)
      if (!is_one_of(name, kDropped) && !is_credential(operation, name)) request.headers.add(name, value);
  }
  if (const auto cookies = cookies_of(from, asked); !cookies.empty()) request.headers.add("cookie", cookies);
}

Fetched fetched_of(const Result<Response>& answer, const Headers& promised, const Keeping& keeping, Basis basis,
                   Nanoseconds now) {
  Fetched fetched;
  if (!answer) {
    fetched.error = answer.error();
    return fetched;
  }
  const auto& headers = answer->headers;
  const auto body = whole_text(answer->body);
  if (!body || body->size() > keeping.largest) return fetched;
  const auto said = headers.joined("cache-control");
  const auto control = said == kUndeclared ? http::CacheControl{} : http::parse_cache_control(said);

  auto made = std::make_shared<CachedAnswer>();
  made->status = answer->status;
  made->body = *body;
  made->basis = std::move(basis);
  made->made = now;
  const auto seconds = [](std::optional<std::int64_t> span, Nanoseconds otherwise) {
    return span ? std::min(*span, http::CacheControl::kForever) * kSecond : otherwise;
  };
  made->fresh = now + seconds(control.s_maxage, seconds(control.max_age, keeping.ttl));
  made->while_revalidate = made->fresh + seconds(control.stale_while_revalidate, keeping.while_revalidate);
  made->if_error = std::max(made->while_revalidate, made->fresh + seconds(control.stale_if_error, keeping.if_error));
  const bool varies_by_all =
      !read_vary(headers, made->vary) || (keeping.keyed && !tells_apart(*keeping.keyed, made->vary));
  fetched.storable = storable_status(answer->status) && !control.no_store && !control.is_private && !control.no_cache &&
                     !varies_by_all && !headers.contains("set-cookie") && made->fresh > now;
  if (!fetched.storable) made->fresh = made->while_revalidate = made->if_error = 0;
  keep_headers(*made, headers, promised, fetched.storable);
  // What is not for all may still be for the one who asked.
  fetched.answer = std::move(made);
  return fetched;
}

Response answer_from(std::shared_ptr<const CachedAnswer> kept, Context& context, const Keeping& keeping,
                     Nanoseconds now) {
  auto& arena = context.arena;
  Response made{.status = kept->status, .headers = Headers{arena}};
  const auto& from = *kept;
  for (auto& [name, value] : from.headers) made.headers.add(lasting(name), lasting(value));
  if (!from.body.empty()) made.body = Buffer{kept, as_bytes(from.body), &from};
  arena.make<std::shared_ptr<const CachedAnswer>>(std::move(kept));  // the headers are views into it
  if (from.fresh == 0) return made;
  const auto age = std::max<std::int64_t>((now - from.made) / kSecond, 0);
  ArenaText seconds{arena, ArenaText::kNumber};
  made.headers.add("age", lasting((seconds << age).text()));
  // A browser counts our `Age` against its own span (RFC 9111, section 4.2.3), so that is added.
  ArenaText control{arena, 64};
  control << (keeping.is_private ? "private" : "public");
  if (keeping.browser_ttl > 0)
    control << ", max-age=" << age + keeping.browser_ttl / kSecond;
  else
    control << ", no-cache";
  made.headers.add("cache-control", lasting(control.text()));
  if (!keeping.is_private) {
    ArenaText cdn{arena, 128};
    cdn << "max-age=" << std::max<std::int64_t>((from.fresh - from.made) / kSecond, 0);
    if (keeping.while_revalidate) cdn << ", stale-while-revalidate=" << keeping.while_revalidate / kSecond;
    if (keeping.if_error) cdn << ", stale-if-error=" << keeping.if_error / kSecond;
    made.headers.add("cdn-cache-control", lasting(cdn.text()));
  }
  return made;
}

}  // namespace plimsoll::policy
