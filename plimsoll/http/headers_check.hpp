#pragma once

// What the fuzz target checks, and the replay of its corpus.

#include "plimsoll/http/cache_control.hpp"
#include "plimsoll/http/conditional.hpp"
#include "plimsoll/http/date.hpp"
#include "plimsoll/http/negotiate.hpp"
#include "plimsoll/http/proxies.hpp"

#include <string>

namespace plimsoll::http {

/// What a cache makes of an answer that says all this of its age and freshness.
inline std::string freshness_fault(std::string_view text, std::int64_t now) {
  const auto first = text.substr(0, text.find('\n'));
  const auto rest = text.substr(std::min(first.size() + 1, text.size()));
  Arena arena;
  Headers headers{arena};
  headers.add("cache-control", first);
  for (auto name : {"date", "expires", "last-modified", "age"})
    if (const auto size = rest.size() % 5; size != 1) headers.add(name, rest);
  for (const std::uint16_t status : {200, 206, 302, 404}) {
    const auto stored = stored_times(status, headers, now - 2, now);
    const auto request = parse_cache_control(rest);
    for (const bool shared : {false, true}) {
      const auto lifetime = freshness_lifetime(stored, shared, true), age = current_age(stored, now + 5);
      if (lifetime < 0) return "a lifetime below nothing";
      if (age < 5) return "younger than it can be";
      const auto use = reuse(request, stored, lifetime, age, shared);
      if (stored.control.no_cache && use != Reuse::revalidate) return "no-cache, and sent unconfirmed";
      if (use == Reuse::fresh && age >= lifetime && !request.max_stale) return "stale, and called fresh";
      if (stored.control.no_store && storable("GET", request, false, stored, shared)) return "no-store, and stored";
      if (shared && stored.control.is_private && storable("GET", request, false, stored, shared))
        return "private, and stored for all";
      if (storable("POST", request, false, stored, shared)) return "a POST's answer is stored";
    }
  }
  return {};
}

/// Who the client is must be the peer, or an address that stands in what a trusted peer says.
inline std::string forwarded_fault(std::string_view text) {
  static const std::string networks[] = {"10.0.0.0/8", "fd00::/8"};
  static const auto trusted = Networks::parse(networks).value();
  for (const bool forwarded : {false, true}) {
    Arena arena;
    Headers headers{arena};
    headers.add(forwarded ? "forwarded" : "x-forwarded-for", text);
    headers.add("x-forwarded-proto", text);
    for (std::string_view peer : {"10.1.2.3", "192.0.2.1"}) {
      const auto client = client_behind(peer, headers, trusted, forwarded);
      if (!Address::parse(client.address)) return "a client without an address";
      if (client.address == peer) continue;
      if (!trusted.contains(peer)) return "an untrusted peer was trusted";
      if (text.find(client.address) == text.npos) return "an address that is not in the header";
    }
  }
  return {};
}

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
  static constexpr std::string_view kTypes[] = {"application/json", "text/csv;header=present"};
  if (const auto best = best_media_type(text, kTypes); best && media_type_weight(text, kTypes[*best]) == 0)
    return "what is not acceptable is offered";
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
  if (auto fault = freshness_fault(text, kNow); !fault.empty()) return fault;
  return forwarded_fault(text);
}

}  // namespace plimsoll::http
