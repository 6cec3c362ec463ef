#pragma once

#include "plimsoll/http/message.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::http {

/// Directives of `Cache-Control` and its targeted siblings (RFC 9111, section 5.2; RFC 5861; RFC 8246). Spans are
/// seconds. The qualified forms `private="name"` and `no-cache="name"` are read as the plain ones, which are stricter,
/// unless the reader asks for the names.
struct CacheControl {
  std::optional<std::int64_t> max_age{}, s_maxage{};
  std::optional<std::int64_t> min_fresh{}, max_stale{};  ///< of requests; `max-stale` without a span is `kForever`
  std::optional<std::int64_t> stale_while_revalidate{}, stale_if_error{};
  bool no_store = false, no_cache = false, no_transform = false, only_if_cached = false;
  bool must_revalidate = false, proxy_revalidate = false, must_understand = false, immutable = false;
  bool is_private = false, is_public = false;

  static constexpr std::int64_t kForever = std::int64_t{1} << 31;  ///< RFC 9111, section 1.2.2
  friend bool operator==(const CacheControl&, const CacheControl&) = default;
};

/// Reads a whole field value (several field lines joined by a comma). Of a directive that comes twice the shorter span
/// counts; a span that cannot be read is 0, which makes the answer stale rather than fresh (section 4.2.1). Unknown
/// directives are passed over. What is no directive at all (`private; max-age=60`) counts as `no-store`: nobody knows
/// what it was meant to forbid. `qualified`: is given the names, in lower case, of `no-cache="…"` and `private="…"`,
/// which then say nothing of the rest of the response; a list that cannot be read counts as the plain directive.
CacheControl parse_cache_control(std::string_view value, std::vector<std::string>* qualified = nullptr);
/// Of a targeted field such as `CDN-Cache-Control`, which is a structured dictionary (RFC 9213). Nothing when it cannot
/// be parsed or is empty: the field is then ignored, and `Cache-Control` counts.
std::optional<CacheControl> parse_targeted_cache_control(std::string_view value);
/// As it is sent; empty when nothing is set.
std::string to_string(const CacheControl& control);

/// What is known of an answer's time when it was stored. Instants are Unix seconds.
struct Stored {
  CacheControl control;
  std::int64_t request_time = 0, response_time = 0;  ///< asked, and got, by this cache
  std::optional<std::int64_t> date{}, expires{}, last_modified{};
  bool expires_unreadable = false;  ///< an `Expires` that is no date means: already stale (RFC 9111, section 5.3)
  std::int64_t age_value = 0;       ///< of a received `Age`
  std::uint16_t status = 200;
};
/// Reads what `headers` of an answer say; `now` is when it was stored.
Stored stored_times(std::uint16_t status, const Headers& headers, std::int64_t request_time, std::int64_t now);

/// How long the answer is fresh (section 4.2.1), in seconds. `s-maxage` counts for a shared cache only. Without any
/// word a tenth of the time since `Last-Modified`, at most a day, where `heuristic` is true and the status is cacheable
/// by default; else 0.
std::int64_t freshness_lifetime(const Stored& stored, bool shared, bool heuristic);
/// Seconds since the origin made or confirmed it (section 4.2.3).
std::int64_t current_age(const Stored& stored, std::int64_t now);

/// What a cache may do with a stored answer.
enum class Reuse : std::uint8_t {
  fresh,                   ///< send it
  stale_while_revalidate,  ///< send it, and fetch a new one beside (RFC 5861, section 3)
  stale_if_error,          ///< ask the origin; send it where that fails (RFC 5861, section 4)
  revalidate,              ///< ask the origin; never send it unconfirmed
};

/// `request` is the caller's own `Cache-Control` (empty to disregard it), `lifetime` of `freshness_lifetime`, `age` of
/// `current_age`. A caller's `only-if-cached` is for the cache to answer with 504 where this is not `fresh`.
Reuse reuse(const CacheControl& request, const Stored& stored, std::int64_t lifetime, std::int64_t age, bool shared);

/// Whether an answer may be stored at all (section 3): the method is safe and cacheable, the status is final and
/// understood, nobody forbids it, and, in a shared cache, an authorized request is answered with leave to store.
bool storable(std::string_view method, const CacheControl& request, bool authorized, const Stored& stored, bool shared);

/// The statuses that may be cached without explicit freshness (RFC 9110, section 15.1).
bool cacheable_by_default(std::uint16_t status);

}  // namespace plimsoll::http
