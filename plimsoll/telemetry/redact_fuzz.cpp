#include "plimsoll/telemetry/redact_check.hpp"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (!plimsoll::telemetry::redaction_holds({reinterpret_cast<const char*>(data), size})) std::abort();
  return 0;
}
