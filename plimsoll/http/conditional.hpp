#pragma once

#include "plimsoll/base/result.hpp"
#include "plimsoll/http/message.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace plimsoll::http {

inline constexpr Problem kPreconditionFailed{"precondition-failed", 412, "The resource has changed since you read it",
                                             "Read it again and adapt the change."};

/// An entity tag: what stands between the quotes, and whether it is weak (RFC 9110, section 8.8.3).
struct EntityTag {
  std::string_view opaque;
  bool weak = false;

  /// Both strong and the same: for `If-Match` and `If-Range`.
  friend bool same_strongly(const EntityTag& a, const EntityTag& b) {
    return !a.weak && !b.weak && a.opaque == b.opaque;
  }
  /// The same, weak or not: for `If-None-Match`.
  friend bool same_weakly(const EntityTag& a, const EntityTag& b) { return a.opaque == b.opaque; }
};

/// Exactly one tag, `"x"` or `W/"x"`; nothing when it is anything else.
std::optional<EntityTag> parse_entity_tag(std::string_view text);
/// Takes the next tag of a comma-separated list off the front of `list`. Nothing at the end, and nothing with `list`
/// left non-empty where the list is malformed.
std::optional<EntityTag> next_entity_tag(std::string_view& list);

/// A compressed answer carries its strong tag with the coding behind a semicolon, `"x;gzip"`, because its bytes differ.
/// This takes that suffix off again.
EntityTag without_coding(EntityTag tag);
/// The coding in the suffix of a tag (`gzip`, `br`, `zstd`); empty when it has none.
std::string_view coding_of(EntityTag tag);

/// What is there now, before the method is applied.
struct Validators {
  bool exists = true;                           ///< there is a current representation
  std::string_view etag{};                      ///< with its quotes, as it is sent; empty: none
  std::optional<std::int64_t> last_modified{};  ///< Unix seconds
};

enum class Precondition : std::uint8_t {
  none,          ///< the request names no condition that applies
  holds,         ///< a condition is named and true: go on
  not_modified,  ///< answer 304 without a body
  failed,        ///< answer 412 and change nothing
};

/// Evaluates `If-Match`, `If-Unmodified-Since`, `If-None-Match` and `If-Modified-Since` in the order of RFC 9110,
/// section 13.2.2, as an origin server. Ask only where the answer without them would be a 2xx. Suffixes of compression
/// are ignored on the tags that come in. `now` is Unix seconds.
///
/// A list of tags that cannot be read never lets a change through: `If-Match` and, on unsafe methods, `If-None-Match`
/// are then `failed`; on GET and HEAD an unreadable `If-None-Match` matches nothing.
Precondition evaluate(std::string_view method, const Headers& headers, const Validators& current, std::int64_t now);

/// True when a `Range` may be honoured: there is no `If-Range`, or it names exactly the current representation (strong
/// comparison, or the exact date; RFC 9110, section 13.1.5).
bool range_applies(const Headers& headers, const Validators& current, std::int64_t now);

}  // namespace plimsoll::http
