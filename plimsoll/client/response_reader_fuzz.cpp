#include "plimsoll/client/response_reader.hpp"

#include <cstdlib>
#include <optional>

namespace {

using namespace plimsoll::client;

struct Outcome {
  bool refused = false, whole = false;
  std::optional<Answer> answer{};
};

/// The answer as it is read in pieces of `size` bytes.
Outcome read(std::string_view text, std::size_t size, bool upgrade) {
  ResponseReader reader{false, upgrade};
  std::string body;
  while (!text.empty() && !reader.whole()) {
    const auto piece = text.substr(0, size);
    const auto step = reader.read(piece);
    if (!step) return {.refused = true};
    if (step->consumed == 0 || step->consumed > piece.size() || step->data.size() > step->consumed) std::abort();
    body += step->data;
    text.remove_prefix(step->consumed);
  }
  if (!reader.whole()) return {};
  if (!reader.head_complete()) std::abort();
  plimsoll::Arena arena;
  plimsoll::Headers fields{arena};
  reader.put_fields(fields);
  Answer answer{.status = reader.status(), .headers = {}, .body = std::move(body)};
  for (const auto& [name, value] : fields) answer.headers.emplace_back(name, value);
  return {.whole = true, .answer = std::move(answer)};
}

}  // namespace

/// Whole or byte by byte: the same answer, or refused both times.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const bool upgrade : {false, true}) {
    const auto a = read(text, size, upgrade), b = read(text, 1, upgrade);
    if (a.refused != b.refused || a.whole != b.whole) std::abort();
    if (a.answer && (a.answer->status != b.answer->status || a.answer->headers != b.answer->headers ||
                     a.answer->body != b.answer->body))
      std::abort();
    if (a.answer && a.answer->status == 101 && (!upgrade || !a.answer->body.empty())) std::abort();
  }
  return 0;
}
