#pragma once

#include "plimsoll/config/options.hpp"
#include "plimsoll/contract/contract.hpp"

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace plimsoll::config {
enum class Control : std::uint8_t { keep, strip };
template <>
struct Words<Control> {
  static constexpr std::string_view words[] = {"keep", "strip"};
};
}  // namespace plimsoll::config

namespace plimsoll::contract {

/// `sanitize`: what is done to the texts of requests before the contract judges them.
struct Sanitizing {
  bool trim = false, nfc = false;
  config::Control control = config::Control::keep;

  bool any() const { return trim || nfc || control != config::Control::keep; }
  auto operator<=>(const Sanitizing&) const = default;
};
inline constexpr config::Field kSanitizeFields[] = {
    config::field<&Sanitizing::trim>("trim", "Removes white space (Unicode's property) at both ends."),
    config::field<&Sanitizing::nfc>("nfc", "Writes each text in the Normalization Form C of Unicode (UAX #15)."),
    config::field<&Sanitizing::control>("control",
                                        "strip: removes control characters (U+0000 to U+001F, U+007F to U+009F) except "
                                        "tab, line feed and carriage return."),
};
/// `false`: nothing is done, whatever an outer scope says.
inline constexpr std::string_view kSanitizeShort = R"("const":false)";

/// Whether a schema or a scope of a document says `sanitize`.
bool says_sanitize(const json::Value& document);

/// The value of a `sanitize`, on top of what is said around it: an option that it does not name stays as it is there.
Result<Sanitizing> read_sanitizing(const json::Value& from, Sanitizing outer);

/// What the scopes of an operation say.
Result<Sanitizing> sanitizing_of(const Operation&);

/// The text, changed as said: first control characters, then the normal form, then white space. Doing it twice changes
/// nothing more. `text` is UTF-8; what comes out is it or stands in the arena.
std::string_view sanitized(std::string_view text, const Sanitizing&, Arena&);

/// What is done to each text of one value, by its schema. Made once, used for each request. Names of members stay as
/// they are.
class Sanitizer {
 public:
  /// `outer` holds for all texts of which no schema says otherwise. What `x-plimsoll: {sanitize: …}` in a schema says
  /// holds for its value and all that is below it; a nearer one goes before it, option by option. A text of
  /// `format: password` is changed only where its own schema says so. Two schemas of one value that say different
  /// things are an error, and so is one that cannot be followed to its values (below `patternProperties`, …).
  /// `also`: another schema of the same value, or null.
  static Result<Sanitizer> of(const Contract&, const json::Value& schema, const Sanitizing& outer,
                              const json::Value* also = nullptr);
  Sanitizer();
  Sanitizer(Sanitizer&&) noexcept;
  Sanitizer& operator=(Sanitizer&&) noexcept;
  ~Sanitizer();

  bool idle() const { return !root_; }
  /// What is done to a member that is a text.
  Sanitizing texts_of(std::string_view member) const;
  /// The value with its texts changed: itself where nothing had to be.
  json::Value apply(const json::Value& value, Arena& arena) const;
  /// The same for a member of a value that is still being put together; with `item`, for an item of that member.
  json::Value apply_to_member(std::string_view name, bool item, const json::Value& value, Arena& arena) const;
  /// The same for the items of a list, each of which the schema describes.
  json::Value apply_to_items(const json::Value& list, Arena& arena) const;

 private:
  struct Place;
  friend class SanitizerBuilder;
  static bool change(const Place&, json::Value&, Arena&);
  std::vector<std::unique_ptr<Place>> places_;
  const Place* root_ = nullptr;
};

}  // namespace plimsoll::contract
