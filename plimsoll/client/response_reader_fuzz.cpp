#include "plimsoll/client/response_reader.hpp"

#include <cstdlib>

/// Whole or byte by byte: the same answer, or refused both times.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace plimsoll::client;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  ResponseReader at_once{false, 4096}, in_pieces{false, 4096};
  const bool read = at_once.feed(text).has_value();
  bool also = true;
  for (std::size_t i = 0; i < size && also && !in_pieces.whole(); ++i)
    also = in_pieces.feed(text.substr(i, 1)).has_value();
  if (read != also && !in_pieces.whole()) std::abort();
  if (read && at_once.whole() != in_pieces.whole()) std::abort();
  if (at_once.whole()) {
    const auto a = at_once.take(), b = in_pieces.take();
    if (a.status != b.status || a.headers != b.headers || a.body != b.body) std::abort();
  }
  return 0;
}
