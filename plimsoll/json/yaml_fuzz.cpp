#include "plimsoll/json/write.hpp"
#include "plimsoll/json/yaml.hpp"

#include <cstdlib>

/// What is read as YAML can be said in JSON.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace plimsoll;
  Arena arena;
  const auto value = json::parse_yaml({reinterpret_cast<const char*>(data), size}, arena);
  if (!value) return 0;
  const auto written = json::to_string(*value);
  const auto again = json::parse(written, arena, {.depth = 1000});
  if (!again || !json::equal(*value, *again)) std::abort();
  return 0;
}
