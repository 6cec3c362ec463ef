#include "plimsoll/handler/mock/number.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

namespace plimsoll::handler::mocking {

using json::Value;

namespace {

/// k times the step, written exactly.
std::optional<Value> multiple(const Constraints& constraints, double least, double most, bool whole, Random& random,
                              Arena& arena) {
  const auto decimals_of = [](std::string_view text) {
    const auto dot = text.find('.');
    return dot == text.npos ? 0 : static_cast<int>(text.size() - dot - 1);
  };
  int places = 0;
  for (const auto* value : constraints.multiples) {
    const auto text = value->number_text();
    if (text.find_first_of("eE") != text.npos) return Value::of(0, arena);  // zero is a multiple of everything
    places = std::max(places, decimals_of(text));
  }
  if (places > 12) return Value::of(0, arena);
  std::int64_t step = 1;
  for (const auto* value : constraints.multiples) {
    const auto text = value->number_text();
    std::int64_t digits = 0;
    for (const char c : text)
      if (c >= '0' && c <= '9' && digits < 1'000'000'000'000) digits = digits * 10 + (c - '0');
    for (int i = decimals_of(text); i < places && digits < 1'000'000'000'000; ++i) digits *= 10;
    if (digits == 0 || step > 1'000'000) return std::nullopt;
    step = std::lcm(step, digits);
  }
  std::int64_t scale = 1;
  for (int i = 0; i < places; ++i) scale *= 10;
  if (whole) step = std::lcm(step, scale);
  const double size = static_cast<double>(step) / static_cast<double>(scale);
  auto from = std::ceil(least / size), to = std::floor(most / size);
  if (constraints.above && from * size <= constraints.least) ++from;
  if (constraints.below && to * size >= constraints.most) --to;
  if (from > to || std::abs(from) > 1e12 || std::abs(to) > 1e12) return std::nullopt;
  const auto count = random.between(static_cast<std::int64_t>(from), static_cast<std::int64_t>(to)) * step;
  if (scale == 1) return Value::of(count, arena);
  auto digits = std::to_string(count < 0 ? -count : count);
  if (digits.size() <= static_cast<std::size_t>(places))
    digits.insert(0, static_cast<std::size_t>(places) + 1 - digits.size(), '0');
  digits.insert(digits.size() - static_cast<std::size_t>(places), ".");
  while (digits.ends_with('0')) digits.pop_back();
  if (digits.ends_with('.')) digits.pop_back();
  return Value::number(arena.keep((count < 0 ? "-" : "") + digits));
}

}  // namespace

std::optional<Value> number(const Constraints& constraints, bool whole, Random& random, Arena& arena) {
  double least = constraints.least, most = constraints.most;
  if (!std::isfinite(least)) least = std::isfinite(most) ? std::min(most - 1000, 0.0) : 1;
  if (!std::isfinite(most)) most = std::max(least + 1000, 1000.0);
  if (!constraints.multiples.empty()) return multiple(constraints, least, most, whole, random, arena);
  if (whole) {
    auto from = std::ceil(least), to = std::floor(most);
    if (constraints.above && from == constraints.least) ++from;
    if (constraints.below && to == constraints.most) --to;
    if (from > to || std::abs(from) > 9e18 || std::abs(to) > 9e18) return std::nullopt;
    constexpr double kExact = 9007199254740992;  // beyond it a double is near to what was asked, and not it
    if (constraints.bound && (from >= kExact || to <= -kExact) && random.one_in(2))
      return constraints.bound->clone(arena);
    return Value::of(random.between(static_cast<std::int64_t>(from), static_cast<std::int64_t>(to)), arena);
  }
  for (const double scale : {100.0, 1e6, 1e12}) {  // short decimals, where the bounds leave room for them
    auto from = std::ceil(least * scale), to = std::floor(most * scale);
    if (constraints.above && from == constraints.least * scale) ++from;
    if (constraints.below && to == constraints.most * scale) --to;
    if (from > to || std::abs(from) > 9e15 || std::abs(to) > 9e15) continue;
    const auto pick = random.between(static_cast<std::int64_t>(from), static_cast<std::int64_t>(to));
    return Value::of(static_cast<double>(pick) / scale, arena);
  }
  return Value::of(constraints.above ? std::nextafter(least, most) : least, arena);
}

}  // namespace plimsoll::handler::mocking
