#pragma once

// What the fuzz target checks, and the replay of its corpus.

#include "plimsoll/http/cache_control.hpp"
#include "plimsoll/http/conditional.hpp"
#include "plimsoll/http/date.hpp"
#include "plimsoll/http/negotiate.hpp"

#include <string>

namespace plimsoll::http {

/// Parsers of header values: each ends, stays within its bounds, and gives something that makes sense. What does not,
/// or empty.
inline std::string headers_fault(std::string_view text) {
  constexpr std::int64_t kNow = 1'800'000'000;

  if (const auto date = parse_date(text, kNow); date && *date % 60 != 0)  // a leap second is written as the next minute
    if (const auto again = format_date(*date); parse_date(http::as_text(again), kNow) != date)
      return "a date does not survive";

  const auto control = parse_cache_control(text);
  if (parse_cache_control(to_string(control)) != control) return "Cache-Control does not survive";
  if (const auto targeted = parse_targeted_cache_control(text))
    if (parse_cache_control(to_string(*targeted)) != *targeted) return "a targeted field does not survive";

  auto list = text;
  while (const auto tag = next_entity_tag(list))
    if (tag->opaque.find('"') != std::string_view::npos) return "a quote in a tag";

  auto preferences = text;
  Preference one;
  std::size_t count = 0;
  while (next_preference(preferences, one))
    if (one.weight < 0 || one.weight > 1000 || ++count > text.size()) return "a weight out of bounds";
  for (auto offer : {"application/json", "text/csv;header=present"})
    if (const auto weight = media_type_weight(text, offer); weight < 0 || weight > 1000)
      return "a weight out of bounds";
  constexpr Coding kOffers[] = {Coding::zstd, Coding::br, Coding::gzip};
  (void)best_coding(&text, kOffers);

  Arena arena;
  for (auto name : {"if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"}) {
    Headers headers{arena};
    headers.add(name, text);
    const Validators current{.etag = "\"a\"", .last_modified = kNow - 1000};
    for (auto method : {"GET", "PUT"}) {
      const auto result = evaluate(method, headers, current, kNow);
      if (result == Precondition::not_modified && std::string_view(method) == "PUT") return "304 to a PUT";
    }
    (void)range_applies(headers, current, kNow);
  }
  return {};
}

}  // namespace plimsoll::http
