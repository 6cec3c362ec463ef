// The PROXY protocol, both versions, and every prefix of what is read.

#include "plimsoll/http/proxy_protocol_check.hpp"

#include <cstdio>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  if (size > 512) return 0;
  const auto fault = plimsoll::proxy_header_fault({reinterpret_cast<const char*>(data), size});
  if (!fault.empty()) {
    std::fprintf(stderr, "%s\n", fault.c_str());
    __builtin_trap();
  }
  return 0;
}
