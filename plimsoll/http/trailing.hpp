#pragma once

#include "plimsoll/http/message.hpp"

#include <span>
#include <string_view>

namespace plimsoll::http {

/// What fields may stand behind (RFC 9110, section 6.5): what some streams are besides.
class Trailing {
 public:
  /// Known once the body has ended, and good as long as the stream; names in lower case.
  virtual std::span<const Header> trailers() const = 0;

 protected:
  ~Trailing() = default;
};

/// Those of a body that has ended; most have none.
inline std::span<const Header> trailers_of(const Stream& body) {
  const auto* trailing = dynamic_cast<const Trailing*>(&body);
  return trailing ? trailing->trailers() : std::span<const Header>{};
}

/// Whether a field may stand behind a body: none by which the message is framed, routed, authenticated, cached or read,
/// because those are looked at before (section 6.5.1). `name` in lower case.
bool may_trail(std::string_view name);

}  // namespace plimsoll::http
