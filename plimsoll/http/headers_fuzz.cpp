#include "plimsoll/http/cache_control.hpp"
#include "plimsoll/http/conditional.hpp"
#include "plimsoll/http/date.hpp"
#include "plimsoll/http/negotiate.hpp"

#include <cstdint>
#include <cstdlib>
#include <string>

/// Parsers of header values: each ends, stays within its bounds, and gives something that makes sense.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace plimsoll;
  using namespace plimsoll::http;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  constexpr std::int64_t kNow = 1'800'000'000;

  if (const auto date = parse_date(text, kNow); date && *date % 60 != 0)  // a leap second is written as the next minute
    if (const auto again = format_date(*date); parse_date(http::as_text(again), kNow) != date) std::abort();

  const auto control = parse_cache_control(text);
  if (parse_cache_control(to_string(control)) != control) std::abort();
  if (const auto targeted = parse_targeted_cache_control(text))
    if (parse_cache_control(to_string(*targeted)) != *targeted) std::abort();

  auto list = text;
  while (const auto tag = next_entity_tag(list))
    if (tag->opaque.find('"') != std::string_view::npos) std::abort();

  auto preferences = text;
  Preference one;
  std::size_t count = 0;
  while (next_preference(preferences, one))
    if (one.weight < 0 || one.weight > 1000 || ++count > size) std::abort();
  for (auto offer : {"application/json", "text/csv;header=present"})
    if (const auto weight = media_type_weight(text, offer); weight < 0 || weight > 1000) std::abort();
  constexpr Coding kOffers[] = {Coding::zstd, Coding::br, Coding::gzip};
  (void)best_coding(&text, kOffers);

  Arena arena;
  for (auto name : {"if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"}) {
    Headers headers{arena};
    headers.add(name, text);
    const Validators current{.etag = "\"a\"", .last_modified = kNow - 1000};
    for (auto method : {"GET", "PUT"}) {
      const auto result = evaluate(method, headers, current, kNow);
      if (result == Precondition::not_modified && std::string_view(method) == "PUT") std::abort();
    }
    (void)range_applies(headers, current, kNow);
  }
  return 0;
}
