#pragma once

// What the fuzz target checks, and the replay of its corpus.

#include "plimsoll/base/arena.hpp"
#include "plimsoll/base/letters.hpp"
#include "plimsoll/http/origin_rules.hpp"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plimsoll::http::origin {

/// Two heads as a text: lines `name: value` of a request, an empty line, those of a response, an empty line, those of a
/// newer one.
struct CheckedHeads {
  explicit CheckedHeads(std::string_view text) {
    Headers* const heads[] = {&request, &response, &newer};
    std::size_t at = 0;
    while (!text.empty()) {
      const auto line = text.substr(0, text.find('\n'));
      text.remove_prefix(std::min(line.size() + 1, text.size()));
      const auto colon = line.find(':');
      if (line.empty()) {
        if (++at == std::size(heads)) return;
      } else if (colon != line.npos && colon > 0) {
        heads[at]->add(lowered(line.substr(0, colon)), line.substr(std::min(colon + 2, line.size())));
      }
    }
  }
  Arena arena;
  Headers request{arena}, response{arena}, newer{arena};
};

/// Empty, or what a cache would do wrong.
inline std::string rules_fault(std::string_view text) {
  constexpr std::int64_t kNow = 1'700'000'000;
  CheckedHeads heads(text);
  const auto plain = http::parse_cache_control(heads.response.joined("cache-control"));
  std::vector<std::string> withheld;  // of `private="x-name"`, which says nothing of the rest
  const bool for_one = http::parse_cache_control(heads.response.joined("cache-control"), &withheld).is_private;
  const bool targeted = heads.response.contains("cdn-cache-control");
  constexpr std::pair<bool, bool> caches[] = {{true, false}, {true, true}, {false, false}};
  for (const auto& [shared, known] : caches)
    for (const std::uint16_t status : {200, 206, 299, 304, 404, 500}) {
      const Rules rules{.shared = shared};
      const auto asked = asked_of(heads.request, known, !known);
      const auto stored = stored_of(status, heads.response, asked,
                                    {.requested = kNow - 1, .received = kNow, .at = 0, .began = 0}, rules);
      if (!stored) continue;
      stored->content = std::make_shared<const Content>("0123456789");
      if (status == 206 || status == 304) return "a part or a confirmation is stored";
      if (asked.control.no_store) return "stored against the request";
      if (!(targeted && shared) && plain.no_store && !plain.must_understand) return "stored against no-store";
      if (shared && !targeted && for_one) return "stored of one user for all";
      if (asked.authorized && !stored->for_authorized) return "stored of a known caller for all";
      if (std::ranges::find(stored->vary, "*") != stored->vary.end()) return "stored though it varies by everything";
      for (const auto& [name, value] : stored->fields)
        for (const auto* dropped : {"connection", "age", "content-length", "transfer-encoding", "proxy-authenticate"})
          if (name == dropped) return "a field of a connection is stored";
      for (const auto age : {stored->age(0), stored->age(1000 * kSecond)}) {
        if (age < 0) return "younger than it can be";
        const auto use = use_of(*stored, asked, age, false);
        if (use == http::Reuse::fresh && age >= stored->lifetime && !asked.control.max_stale)
          return "stale, and called fresh";
        if (use != http::Reuse::revalidate && stored->times.control.no_cache) return "no-cache, and sent unconfirmed";
        if (use_of(*stored, asked, age, true) != http::Reuse::revalidate) return "changed, and sent unconfirmed";
        if (use == http::Reuse::fresh && age >= stored->lifetime && !may_be_stale(*stored))
          return "stale where that is forbidden";
      }
      const auto part = part_of(heads.request, *stored, kNow);
      if (part.kind == Part::part && (part.length == 0 || part.first >= 10 || part.length > 10 - part.first))
        return "a range beyond the body";
      Headers once{heads.arena}, twice{heads.arena};
      merge(*stored, heads.newer, once);
      const auto again =
          stored_of(status, once, asked, {.requested = kNow, .received = kNow, .at = 0, .began = 0}, rules);
      if (!again) continue;
      again->content = stored->content;
      merge(*again, heads.newer, twice);
      const auto current =
          stored_of(status, twice, asked, {.requested = kNow, .received = kNow, .at = 0, .began = 0}, rules);
      if (!current || current->fields.size() != again->fields.size()) return "confirmed twice it is not the same";
      if (stored->find("content-encoding") != again->find("content-encoding"))
        return "another coding for the same body";
      std::string first, second;
      put_variant(first, stored->vary, heads.request);
      put_variant(second, stored->vary, heads.request);
      if (first != second) return "a request is not of its own variant";
    }
  const auto paths = changed_paths({.scheme = {}, .authority = "shop.example", .path = "/a/b"}, heads.response);
  if (paths.empty() || paths.front() != "/a/b") return "a request that leaves its own path unchanged";
  for (const auto& path : paths)
    if (!path.starts_with('/') || path.contains("/../") || path.contains('?') || path.contains('#'))
      return "a path that is none: " + path;
  for (const auto& group : groups_of(heads.response.joined("cache-groups")))
    for (const char c : group)
      if (c < ' ' || c > '~') return "a group that is no text";
  return {};
}

}  // namespace plimsoll::http::origin
