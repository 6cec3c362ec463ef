#include "plimsoll/http/multipart.hpp"

#include <cstdint>
#include <cstdlib>
#include <string>

namespace {

using namespace plimsoll;
using namespace plimsoll::http;

/// All that a parser told, as text: the same for the same body however it was cut.
struct Told final : MultipartParts {
  std::string text;
  Result<> begin(PartHead head) override {
    text += "{" + head.name + "|" + head.filename + "|" + head.content_type + "}";
    return {};
  }
  Result<> data(std::string_view piece) override {
    text += piece;
    return {};
  }
  Result<> end() override {
    text += ";";
    return {};
  }
};

std::string told(std::string_view body, std::size_t cut) {
  Told to;
  MultipartParser parser{"X", {.parts = 10, .part_head = 300, .part = 1000}, to};
  Result<> result;
  while (result && !body.empty()) {
    result = parser.feed(body.substr(0, cut));
    body.remove_prefix(std::min(cut, body.size()));
  }
  if (result) result = parser.finish();
  // Of a body that fails, what was told before depends on the cuts; that it fails does not.
  return result ? to.text : "failed " + std::string(result.error().problem->code);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body{reinterpret_cast<const char*>(data), size};
  (void)multipart_boundary(body);
  const auto whole = told(body, std::string_view::npos);
  if (told(body, 1) != whole || told(body, 7) != whole) std::abort();
  return 0;
}
