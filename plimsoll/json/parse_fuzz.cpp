#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"

#include <cstdlib>

/// What is read and written again must be read as the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace plimsoll;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Arena arena;
  const auto value = json::parse(text, arena);
  const auto placed = json::parse(text, arena, {.positions = true});
  if (value.has_value() != placed.has_value()) std::abort();
  if (!value) return 0;
  const auto written = json::to_string(*value);
  const auto again = json::parse(written, arena);
  if (!again || !json::equal(*value, *again) || json::to_string(*again) != written) std::abort();
  const auto pretty = json::to_pretty_string(*value);
  const auto third = json::parse(pretty, arena);
  if (!third || !json::equal(*value, *third)) std::abort();
  return 0;
}
