#pragma once

#include <string_view>

namespace plimsoll::http {

/// Reads the parts of a `Prefer` field (RFC 7240, section 2), all its lines joined: preferences, each followed by its
/// parameters.
class PreferReader {
 public:
  explicit PreferReader(std::string_view field) : rest_(field) {}

  /// False at the end.
  bool next();

  std::string_view name;   ///< as it is written; names have no case
  std::string_view value;  ///< without quotation marks; empty where there is none
  bool parameter = false;  ///< of the preference before

 private:
  std::string_view rest_;
  bool semicolon_ = false;
};

/// Whether the first preference of that name (in lower case) has that value. Of several the first counts.
bool prefers(std::string_view field, std::string_view name, std::string_view value);

}  // namespace plimsoll::http
