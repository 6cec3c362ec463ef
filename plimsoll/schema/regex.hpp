#pragma once

#include "plimsoll/base/result.hpp"
#include "plimsoll/base/steps.hpp"
#include "plimsoll/schema/ecma.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace plimsoll::schema {

/// A regular expression of ECMA-262 (with the `u` flag, as JSON Schema recommends), searched for anywhere in a text.
class Regex {
 public:
  enum class Letters : std::uint8_t { as_written, either_case };  ///< the flag `i`
  /// `detail` of the error says what cannot be read or translated, and at which byte.
  static Result<Regex> compile(std::string_view pattern, Letters letters = Letters::as_written);

  /// Whether the pattern occurs in `text`, which must be UTF-8. A search that goes beyond the step limit finds
  /// nothing and sets exhausted(), so that a pattern which backtracks without end refuses instead of standing still.
  bool search(std::string_view text) const;
  /// The same at the cost of steps, many for a search that is given up.
  bool search(std::string_view text, Steps& steps) const;

  /// Whether a search of this thread went beyond its limit; the caller resets it.
  static bool& exhausted();

  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

 private:
  struct Code;
  struct Shortcut;
  Regex();
  bool run(std::string_view text) const;
  bool run(std::string_view text, Steps& steps) const;
  bool run_counted(std::string_view text, Steps& steps) const;
  std::unique_ptr<Code> code_;
  std::unique_ptr<const Shortcut> shortcut_;
};

/// Whether `text` is a regular expression of ECMA-262, be it one that cannot be matched here.
bool is_regex(std::string_view text);

}  // namespace plimsoll::schema
