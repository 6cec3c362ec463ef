#pragma once

#include "plimsoll/base/clock.hpp"
#include "plimsoll/http/cache_control.hpp"
#include "plimsoll/http/conditional.hpp"
#include "plimsoll/http/message.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// The rules of a cache that follows the headers of an origin (RFC 9111, sections 3 to 5): what may be stored,
/// for whom, how long, and what a request may be answered with. Pure: no clock, socket, lock or store.
/// docs/design/origin-cache.md lists the requirements with their tests.
namespace plimsoll::http::origin {

/// The body of a stored response, shared by all that have confirmed it since, with its encodings.
struct Content final : Encodings {
  explicit Content(std::string text) : text(std::move(text)) {}
  const std::string text;
};

/// A response as it is stored.
struct Stored {
  std::uint16_t status = 200;
  std::vector<std::pair<std::string, std::string>> fields;  ///< names in lower case; without `age`, `content-length`
  std::shared_ptr<const Content> content;
  std::vector<std::string> vary;    ///< the request fields that selected it: lower case, sorted
  std::vector<std::string> groups;  ///< `Cache-Groups` (RFC 9875)
  http::Stored times;               ///< with the directives that count: `CDN-Cache-Control` before `Cache-Control`
  std::int64_t lifetime = 0;        ///< seconds of freshness
  bool for_authorized = false;      ///< may answer authenticated requests (section 3.5)
  bool shared = true;               ///< it is in a shared cache: `Rules::shared`
  Nanoseconds at = 0;               ///< steady: when it was received, or confirmed last
  std::uint64_t began = 0;          ///< ResourceVersions::now() when it was asked for

  std::string_view find(std::string_view name) const noexcept;  ///< the first field of that name; empty: none
  std::size_t bytes() const noexcept;
  std::uint64_t size() const noexcept { return content ? content->text.size() : 0; }  ///< of the body
  /// Seconds since the origin made or confirmed it (section 4.2.3).
  std::int64_t age(Nanoseconds now) const noexcept;
  http::Validators validators() const noexcept;
};

/// What a request says to a cache.
struct Asked {
  http::CacheControl control;  ///< `Pragma: no-cache` included where there is no Cache-Control (section 5.4)
  bool conditional = false;    ///< `If-None-Match` or `If-Modified-Since`
  bool range = false;
  /// Not for a cache: `If-Match` and `If-Unmodified-Since` are the origin's to judge (section 4.3.2). And what a
  /// request says that names its own fields in `Connection`, or another method in a field, is not what the origin takes
  /// it for: its response, stored, would be given to others for what they said.
  bool for_origin = false;
  bool authorized = false;  ///< by `Authorization`, or by whatever else the server knows its caller by

  /// It wants more than what a cache would give anybody: a response fetched for another is none for it.
  bool demands() const {
    return control.no_cache || control.no_store || control.max_age || control.min_fresh || control.only_if_cached;
  }
};
/// `obeys`: a request may demand what is newer than what is stored; else `no-cache`, `max-age`, `min-fresh` and
/// `Pragma` of requests, which are advice (section 5.2.1), are not followed.
Asked asked_of(const Headers& request, bool authorized, bool obeys);

/// When a response was asked for and came.
struct Times {
  std::int64_t requested = 0, received = 0;  ///< Unix seconds
  Nanoseconds at = 0;                        ///< steady, of the receipt
  std::uint64_t began = 0;                   ///< ResourceVersions::now() before it was asked for
};

/// How a cache was set up.
struct Rules {
  bool heuristic = false;  ///< a tenth of the time since `Last-Modified` where nothing is said (section 4.2.2)
  /// Responses do not vary by `Accept-Encoding`: the origin is never sent the caller's.
  bool any_coding = false;
  /// What sets cookies is stored where its freshness is explicit (section 7.3); else only where it says that it is for
  /// all: `public`, `s-maxage`, or by a targeted field.
  bool cookies = true;
  /// A shared cache; else a private one, each of whose keys is of one user: it stores what is `private` and what
  /// answers authenticated requests, and does not follow what is said to shared caches (`s-maxage`, targeted fields).
  bool shared = true;
};

/// What is stored of a response to GET, without its body; null where it may not be stored, or never could be of use
/// (section 3). `response`: its fields, `age` among them.
std::shared_ptr<Stored> stored_of(std::uint16_t status, const Headers& response, const Asked& asked, const Times& times,
                                  const Rules& rules);

/// What a stored response may be used for (section 4). `changed`: something that it shows was changed since.
http::Reuse use_of(const Stored& stored, const Asked& asked, std::int64_t age, bool changed);
/// Whether the origin leaves it to the cache to give it stale where nothing else can be had (section 4.2.4).
bool may_be_stale(const Stored& stored);

/// The condition of a request that asks whether `stored` is still current (section 4.3.1): `if-none-match` and
/// `if-modified-since`; empty where it has no validator.
struct Condition {
  std::string_view etag{}, last_modified{};
  explicit operator bool() const { return !etag.empty() || !last_modified.empty(); }
};
Condition condition_of(const Stored& stored);

/// Whether a 304, or a response to HEAD, is of the stored response (sections 4.3.4 and 4.3.5). `head`: the length
/// counts too, and a validator on one side alone does not agree.
bool is_of(const Stored& stored, const Headers& response, bool head);
/// The stored fields with those of a newer head in their place (section 3.2); views of both.
void merge(const Stored& stored, const Headers& newer, Headers& out);

/// Whether the server writes the field of that name (lower case) itself when it passes a request on, of the client or
/// of this one request.
bool tells_of_client(std::string_view name);
/// The names in `Vary`, in lower case, sorted, each once. Nothing where the response is of this request alone: for `*`,
/// and for what the server itself says of the client or the request. What the client says there has not reached the
/// origin, and is nothing to compare.
std::optional<std::vector<std::string>> vary_of(const Headers& response, const Rules& rules);
/// Appends what a request says in the fields of these names, so that equal meanings have equal texts (section 4.1).
void put_variant(std::string& key, const std::vector<std::string>& names, const Headers& request);
/// Appends all that a request says in its fields but for what differs from request to request of one user (ids of
/// traces, conditions, ranges, directives to caches), as a digest: two requests that an origin could take for those of
/// two users have different texts.
void put_all_fields(std::string& key, const Headers& request);

/// The part of a stored body that a request wants.
struct Part {
  enum Kind : std::uint8_t { whole, part, none } kind = whole;  ///< none: 416
  std::uint64_t first = 0, length = 0;
};
/// Of one range of bytes; several ranges, other units and a failed `If-Range` give the whole (RFC 9110, section 14.2).
Part part_of(const Headers& request, const Stored& stored, std::int64_t now);

/// What a request is for, as far as changes of it are known.
struct Resource {
  std::string_view scheme, authority, path;  ///< the path without a query
};
/// The paths, without query, that an unsafe request has changed (section 4.4): its own, and those of `Location` and
/// `Content-Location` where they are of the same origin.
std::vector<std::string> changed_paths(const Resource& resource, const Headers& response);
/// The strings of `Cache-Groups` or `Cache-Group-Invalidation` (RFC 9875): empty where the list cannot be read.
std::vector<std::string> groups_of(std::string_view value);

}  // namespace plimsoll::http::origin
