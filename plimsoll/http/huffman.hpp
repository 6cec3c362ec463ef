#pragma once

#include <string_view>

namespace plimsoll::http {

/// How many bytes `coded` can become at most.
constexpr std::size_t huffman_most(std::size_t coded) { return coded * 8 / 5; }

/// Decodes a text of HPACK (RFC 7541, section 5.2 and appendix B) to `to`, which has room for `huffman_most` of it.
/// Answers where it ends, or null where the padding is wrong or the end-of-string symbol stands within.
char* huffman_decode(std::string_view coded, char* to);

}  // namespace plimsoll::http
