#pragma once

// What the fuzz target checks, and the replay of its corpus: HpackReader beside nghttp2's decoder.

#include "plimsoll/http/hpack_reader.hpp"

#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plimsoll::http {

using FieldList = std::vector<std::pair<std::string, std::string>>;

/// nghttp2's decoder of the blocks of one connection.
class JudgeOfBlocks {
 public:
  JudgeOfBlocks() { nghttp2_hd_inflate_new(&inflater_); }
  ~JudgeOfBlocks() { nghttp2_hd_inflate_del(inflater_); }
  JudgeOfBlocks(const JudgeOfBlocks&) = delete;
  /// For the other end's sake: the sizes of the table that were told to it.
  void allows(std::uint32_t bytes) { nghttp2_hd_inflate_change_table_size(inflater_, bytes); }

  /// False: the block is none. What stood before the fault is in `out`.
  bool read(std::string_view block, FieldList& out) {
    const auto* data = reinterpret_cast<const std::uint8_t*>(block.data());
    auto left = block.size();
    for (;;) {
      nghttp2_nv nv;
      int flags = 0;
      const auto used = nghttp2_hd_inflate_hd2(inflater_, &nv, &flags, data, left, 1);
      if (used < 0) return false;
      data += used;
      left -= static_cast<std::size_t>(used);
      if (flags & NGHTTP2_HD_INFLATE_EMIT)
        out.emplace_back(std::string(reinterpret_cast<char*>(nv.name), nv.namelen),
                         std::string(reinterpret_cast<char*>(nv.value), nv.valuelen));
      if (flags & NGHTTP2_HD_INFLATE_FINAL) break;
      if (!(flags & NGHTTP2_HD_INFLATE_EMIT) && left == 0) break;
    }
    nghttp2_hd_inflate_end_headers(inflater_);
    return true;
  }

 private:
  nghttp2_hd_inflater* inflater_ = nullptr;
};

/// The same by ours. Texts are copied when all were read, so that views which did not stay good are seen.
inline bool read_block(HpackReader& reader, std::string_view block, FieldList& out) {
  const std::string its_own{block};  // so that a sanitizer sees whoever reads behind it
  std::vector<HpackReader::Field> fields;
  reader.begin(its_own);
  auto step = HpackReader::Step::field;
  for (HpackReader::Field field; (step = reader.next(field)) == HpackReader::Step::field;) fields.push_back(field);
  for (const auto& field : fields) out.emplace_back(field.name, field.value);
  reader.end();
  return step == HpackReader::Step::end;
}

/// Where the two disagree about blocks of one connection, or empty. Each block stands behind its length of two bytes.
inline std::string hpack_disagreement(std::string_view input) {
  HpackReader reader;
  JudgeOfBlocks judge;
  for (int count = 1; input.size() >= 2; ++count) {
    const auto byte = [&](std::size_t at) { return static_cast<std::size_t>(static_cast<unsigned char>(input[at])); };
    const auto size = (byte(0) << 8 | byte(1)) % 16384;
    const auto block = input.substr(2, size);
    input.remove_prefix(2 + block.size());
    FieldList ours, theirs;
    const bool good = read_block(reader, block, ours);
    const bool judged = judge.read(block, theirs);
    if (good != judged) return "block " + std::to_string(count) + (good ? " was taken" : " was refused");
    if (!good) return {};
    if (ours != theirs) return "block " + std::to_string(count) + " has other fields";
  }
  return {};
}

}  // namespace plimsoll::http
