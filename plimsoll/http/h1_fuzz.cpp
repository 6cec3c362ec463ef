// The HTTP/1 machine against another reading of the RFC, and against itself in pieces.

#include "plimsoll/http/h1_plain.hpp"

#include <cstdio>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  if (size > 8192) return 0;  // within the limits of extensions and trailers, which the plain reading does not know
  const auto difference = plimsoll::h1::disagreement({reinterpret_cast<const char*>(data), size});
  if (!difference.empty()) {
    std::fprintf(stderr, "%s\n", difference.c_str());
    __builtin_trap();
  }
  return 0;
}
