#pragma once

// What the fuzz target checks, and the replay of its corpus.

#include "plimsoll/http/multipart.hpp"

#include <string>

namespace plimsoll::http {

/// All that a parser told, as text: the same for the same body however it was cut.
struct ToldParts final : MultipartParts {
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

inline std::string told(std::string_view body, std::size_t cut) {
  ToldParts to;
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

/// How a body is read otherwise when it is cut otherwise, or empty.
inline std::string multipart_fault(std::string_view body) {
  (void)multipart_boundary(body);
  const auto whole = told(body, std::string_view::npos);
  for (const std::size_t cut : {1, 7})
    if (const auto other = told(body, cut); other != whole) return "whole: " + whole + "\nin pieces: " + other;
  return {};
}

}  // namespace plimsoll::http
