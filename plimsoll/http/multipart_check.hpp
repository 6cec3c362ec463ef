#pragma once

// What the fuzz target checks, and the replay of its corpus.

#include "plimsoll/http/multipart.hpp"

#include <unistd.h>

#include <optional>
#include <string>
#include <vector>

namespace plimsoll::http {

/// All that a parser told, as text: the same for the same body however it was cut.
struct RecordedParts final : MultipartParts {
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
  RecordedParts to;
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

/// The contents of a body's parts by a second reading, for clearness alone: RFC 2046, section 5.1.1, with all bytes at
/// hand. Nothing when the delimiters do not make a whole body.
inline std::optional<std::vector<std::string>> plain_contents(std::string_view body) {
  const std::string text = "\r\n" + std::string(body), delimiter = "\r\n--X";
  std::vector<std::string> contents;
  auto at = text.find(delimiter);
  while (at != std::string::npos) {
    at += delimiter.size();
    if (text.compare(at, 2, "--") == 0) return contents;
    const auto head = text.find("\r\n", at);
    const auto begin = head == std::string::npos ? head : text.find("\r\n\r\n", head);
    if (begin == std::string::npos) break;
    const auto end = text.find(delimiter, begin + 2);  // the empty line may be the delimiter's own
    if (end == std::string::npos) break;
    contents.push_back(end < begin + 4 ? "" : text.substr(begin + 4, end - begin - 4));
    at = end;
  }
  return std::nullopt;
}

/// What the form keeps, some of it on disk, against what the second reading finds; empty: the same.
inline std::string kept_fault(std::string_view body) {
  constexpr MultipartLimits kLimits{.parts = 10, .part_head = 300, .part = 1000, .in_memory = 12};
  FormParts form{kLimits, "/tmp"};
  MultipartParser parser{"X", kLimits, form};
  auto result = parser.feed(body);
  if (result) result = parser.finish();
  if (!result) return {};
  const auto contents = plain_contents(body);
  if (!contents || contents->size() != form.parts.size()) return "another number of parts is read";
  auto parts = std::move(form.parts);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    std::string kept{parts[i].text()};
    if (parts[i].on_disk()) {
      kept.resize(parts[i].size);
      const auto n = ::pread(parts[i].descriptor(), kept.data(), kept.size(), 0);
      if (n != static_cast<ssize_t>(kept.size())) return "a part on disk is shorter than it was";
    }
    if (kept != (*contents)[i] || parts[i].size != kept.size()) return "other content is kept: " + kept;
    if (parts[i].on_disk() != (kept.size() > kLimits.in_memory)) return "a part is kept in the wrong place";
  }
  return {};
}

/// How a body is read otherwise when it is cut otherwise, or by another; empty: the same.
inline std::string multipart_fault(std::string_view body) {
  if (const auto boundary = multipart_boundary(body); boundary && (boundary->empty() || boundary->size() > 70))
    return "a boundary of a wrong length";
  const auto whole = told(body, std::string_view::npos);
  for (const std::size_t cut : {1, 7})
    if (const auto other = told(body, cut); other != whole) return "whole: " + whole + "\nin pieces: " + other;
  return kept_fault(body);
}

}  // namespace plimsoll::http
