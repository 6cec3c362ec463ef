#pragma once

#include "plimsoll/http/message.hpp"

#include <cstdint>
#include <optional>
#include <span>

namespace plimsoll::http {

/// The head of an answer as it was decoded. Views are good during the call only.
struct H2AnswerHead {
  std::uint16_t status = 0;  ///< 100 to 599; below 200 it is an interim answer
  std::span<const Header> fields{};
  std::optional<std::uint64_t> content_length{};  ///< as its field says, whether a body follows or not
  bool ended = false;                             ///< nothing follows
};

}  // namespace plimsoll::http
