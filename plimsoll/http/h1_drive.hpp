#pragma once

// For tests and fuzzing: drives the HTTP/1 machine over bytes that arrive in pieces, as a connection does.

#include "plimsoll/http/h1_body.hpp"
#include "plimsoll/http/h1_head.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::h1 {

/// What a byte stream was read as.
struct Seen {
  std::vector<std::string> messages;  ///< `METHOD target` or `METHOD target body`, each complete
  int status = 0;                     ///< of the refusal that ended it; 0: none
  bool incomplete = false;            ///< it ended within a message
  std::string trailers{};             ///< behind the bodies of complete ones, each `name=value;`
  friend bool operator==(const Seen&, const Seen&) = default;
};

/// `cuts`: sizes of the pieces, used in turn; 0 or none: all that is left at once.
inline Seen drive(std::string_view bytes, std::span<const std::size_t> cuts = {}, HeadLimits limits = {}) {
  Seen seen;
  Head head{limits};
  BodyReader body;
  std::string arrived, text;  // not yet used; the body so far
  std::string line;           // of the message whose body is being read
  bool in_body = false;
  std::size_t at = 0, cut = 0;
  for (;;) {
    bool more = false;
    if (in_body) {
      const auto step = body.read(arrived);
      text += step.data;
      arrived.erase(0, step.consumed);
      if (step.state == BodyReader::State::refused) {
        seen.status = body.error().problem->status;
        return seen;
      }
      if (step.state == BodyReader::State::complete) {
        seen.messages.push_back(text.empty() ? line : line + " " + text);
        Arena arena;
        for (const auto& [name, value] : body.trailers(arena))
          seen.trailers.append(name).append("=").append(value).append(";");
        in_body = false;
        head.reset();
      } else {
        more = step.consumed == 0;
      }
    } else {
      const auto state = arrived.empty() ? Head::State::incomplete : head.read(arrived);
      if (state == Head::State::refused) {
        seen.status = head.problem().status;
        return seen;
      }
      if (state == Head::State::complete) {
        line = std::string(head.method.in(arrived)) + " " + std::string(head.target.in(arrived));
        text.clear();
        body.begin(head.framing, head.content_length);
        arrived.erase(0, head.size);
        in_body = true;
      } else {
        more = true;
      }
    }
    if (!more) continue;
    if (at == bytes.size()) break;
    auto size = cuts.empty() ? bytes.size() : cuts[cut++ % cuts.size()];
    if (size == 0) size = bytes.size();
    const auto piece = bytes.substr(at, size);
    arrived += piece;
    at += piece.size();
  }
  seen.incomplete = in_body || head.begun();
  return seen;
}

}  // namespace plimsoll::h1
