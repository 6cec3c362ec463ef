#pragma once

#include "plimsoll/contract/report.hpp"

#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace plimsoll::contract {

/// Reads the files of a document. Texts and values live as long as `sources` and `arena`.
class Reader {
 public:
  static constexpr std::size_t kLargest = 64 << 20;
  static constexpr std::size_t kMostFiles = 1000;
  using Text = std::expected<std::string, std::string>;  ///< or why there is none
  using Fetch = std::function<Text(const std::string& url)>;
  /// `fetch`: see LoadOptions.
  Reader(Sources& sources, Arena& arena, Report& report, Fetch fetch = {})
      : sources_(sources), arena_(arena), report_(report), fetch_(std::move(fetch)) {}

  bool may_fetch() const { return fetch_ != nullptr; }
  /// Reads and parses a file, or what is behind a URL, that is not read yet; its index in `sources`. `referrer`: who
  /// asks, for the complaint.
  std::optional<std::size_t> open(const std::string& file, const json::Value* referrer, std::string pointer,
                                  bool overlay = false);

 private:
  Text text_of(const std::string& file, bool referred) const;

  Sources& sources_;
  Arena& arena_;
  Report& report_;
  Fetch fetch_;
};

/// `https://…` or `http://…`.
bool is_url(std::string_view file);

/// `line 3, column 14: what` taken apart; position 0 when the text does not begin so.
std::pair<json::Position, std::string> place_in_text(std::string_view detail);

/// Tells a value and all below it which text they stand in.
void mark(json::Value& value, std::uint16_t source);

/// Makes one tree of a document of several files: schemas that stand elsewhere become entries of `components/schemas`,
/// other objects are put in the place of their reference. Every reference that is left is local and leads somewhere,
/// or there is a complaint. False when it was given up.
bool bundle(Sources& sources, Arena& arena, Reader& reader, Report& report);

/// Checks that local references lead somewhere and do not go in circles.
void check_references(const json::Value& root, Report& report);

/// Follows local references of an object, at most 32 of them; null when one cannot be resolved.
const json::Value* dereference(const json::Value& root, const json::Value& from);

}  // namespace plimsoll::contract
