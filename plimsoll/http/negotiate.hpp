#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace plimsoll::http {

/// One member of `Accept`, `Accept-Encoding` or `Accept-Language` (RFC 9110, section 12.4.2).
struct Preference {
  std::string_view value;       ///< `text/*`, `gzip`, `de-CH`, without parameters
  std::string_view parameters;  ///< what stands between the value and its weight, from the first `;`
  int weight = 1000;            ///< thousandths; 0: not acceptable
};
/// Takes the next member off the front of `list`; false at the end. Members that cannot be read are passed over; a
/// weight that cannot be read is 0.
bool next_preference(std::string_view& list, Preference& out);

/// How much the caller wants `offer` (`application/json`, perhaps with parameters), in thousandths: the weight of the
/// most specific range that matches it (RFC 9110, section 12.5.1). An empty `accept` takes everything.
int media_type_weight(std::string_view accept, std::string_view offer);
/// The offer the caller wants most, the earlier of equals; nothing when none is acceptable (406).
std::optional<std::size_t> best_media_type(std::string_view accept, std::span<const std::string_view> offers);

/// How closely a declared media type or range (`application/json; version=2`, `application/*+json`, `*/*`) covers a
/// Content-Type: -1 not at all, else more for the more specific.
int media_type_coverage(std::string_view declared, std::string_view content_type);
/// type/subtype without parameters, lower case.
std::string essence(std::string_view content_type);
/// Whether it is that of server-sent events.
bool is_event_stream(std::string_view content_type);
/// The value of a parameter of a media type, without its quotes: `utf-8` of `text/plain; charset="utf-8"`. Escapes
/// within quotes are left as they are.
std::optional<std::string_view> media_type_parameter(std::string_view media_type, std::string_view name);

/// Whether a parameter appears twice in a media type: who reads it elsewhere could take the other one.
bool repeats_parameter(std::string_view media_type);

enum class Coding : std::uint8_t { identity, gzip, br, zstd };
std::string_view name_of(Coding coding);
/// The coding the caller wants most among `offers`, the earlier of equals; `identity` where nothing better is
/// acceptable, and where there is no `Accept-Encoding` (null), which says nothing of what the caller can read.
Coding best_coding(const std::string_view* accept_encoding, std::span<const Coding> offers);

}  // namespace plimsoll::http
