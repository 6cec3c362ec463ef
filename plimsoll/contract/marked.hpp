#pragma once

#include "plimsoll/json/value.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plimsoll::contract {

/// The annotations of JSON Schema that give a member a direction (Validation, section 9.4).
enum class Mark : std::uint8_t { read_only, write_only };
inline constexpr std::string_view kMarkNames[] = {"readOnly", "writeOnly"};

/// A value of the instance and what lies below it, as far as anything there is marked.
struct MarkedPlace {
  bool marked = false;  ///< the value itself
  bool below = false;   ///< something in it is
  /// By name, sorted. Where `other` is set all declared names are here, with null for those without a mark.
  std::vector<std::pair<std::string, const MarkedPlace*>> members;
  const MarkedPlace* other = nullptr;      ///< members that are not declared
  std::vector<const MarkedPlace*> prefix;  ///< items with a schema of their own, null for those without a mark
  const MarkedPlace* items = nullptr;      ///< the items behind them

  bool any() const { return marked || below; }
  const MarkedPlace* member(std::string_view name) const;
  const MarkedPlace* item(std::size_t index) const { return index < prefix.size() ? prefix[index] : items; }
};

/// Which members of a value a schema marks, at every depth: through `properties`, `items`, `allOf`, `anyOf`, `oneOf`,
/// `if` and every `$ref`. A mark of any schema that applies counts (JSON Schema 2020-12, Validation, section 9.4).
class Marked {
 public:
  /// Something that only the data of a request could decide.
  struct Undecided {
    const json::Value* at = nullptr;  ///< a keyword or schema of the document
    std::string member;               ///< JSON pointer into the instance, `*` for any item
    std::string what;
  };

  /// `root` is the document in which references are resolved; both outlive this.
  Marked(const json::Value& root, const json::Value& schema, Mark mark);
  Marked(Marked&&) noexcept;
  Marked& operator=(Marked&&) noexcept;
  ~Marked();

  /// The value that the schema describes; null: nothing in it is marked. What is undecided counts as marked.
  const MarkedPlace* place() const { return place_; }
  const std::optional<Undecided>& undecided() const { return undecided_; }

 private:
  friend class MarkedBuilder;
  std::vector<std::unique_ptr<MarkedPlace>> places_;
  const MarkedPlace* place_ = nullptr;
  std::optional<Undecided> undecided_;
};

/// Whether a mark stands anywhere in a document.
bool has_mark(const json::Value& document, Mark mark);

/// Whether `value` has a marked member.
bool has_marked(const MarkedPlace& place, const json::Value& value);

/// `sent` with every marked member as it is in `stored`, whatever was sent for it, and without it where `stored` (null:
/// nothing) has none. An item of an array keeps its marked members when it is otherwise equal to a stored one; a
/// changed item is a new one. Nothing: there is no value. `misfit` says what becomes of what is sent in place of a
/// stored object and is none, so that its marked members have no place: `dropped` for them, or `left`, to be judged.
enum class Misfit : std::uint8_t { dropped, left };
std::optional<json::Value> keep_marked(const MarkedPlace& place, const json::Value* sent, const json::Value* stored,
                                       Arena& arena, Misfit misfit = Misfit::dropped);

/// `value` without its marked members.
inline std::optional<json::Value> without_marked(const MarkedPlace& place, const json::Value& value, Arena& arena) {
  return keep_marked(place, &value, nullptr, arena);
}

}  // namespace plimsoll::contract
