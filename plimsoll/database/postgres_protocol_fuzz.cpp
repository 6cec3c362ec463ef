// The client of PostgreSQL's protocol against a plain reading, and against itself in pieces.

#include "plimsoll/database/postgres_protocol_check.hpp"

#include <cstdio>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  if (size > 4096) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  // Many iterations are only slow.
  if (const auto at = input.find(",i="); at != input.npos && input.size() - at > 7 &&
                                         input.substr(at + 3, 5).find_first_not_of("0123456789") == input.npos)
    return 0;
  const auto fault = plimsoll::database::protocol_fault(input);
  if (!fault.empty()) {
    std::fprintf(stderr, "%s\n", fault.c_str());
    __builtin_trap();
  }
  return 0;
}
