#pragma once

#include "plimsoll/json/value.hpp"
#include "plimsoll/json/write.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

namespace plimsoll::handler::forwarding {

/// What JSON values at one place have looked like so far: types, members, items. No value is kept, and no name of a
/// member that looks like one (a number, a UUID, an address).
class LearnedShape {
 public:
  /// Adds a value. `left`: how many further shapes may be made, those of members and items included.
  void take(const json::Value& value, std::size_t& left, int depth = 0);
  /// Adds all that the other has taken.
  void merge(LearnedShape&& other);
  /// The JSON Schema of all of them. Members that were always there are `required` where `requires_members`.
  void write(json::Writer& out, bool requires_members) const;
  bool empty() const noexcept { return seen_ == 0; }
  /// The members of objects, one after the other; empty: none.
  std::string member_names() const;

 private:
  void take_object(const json::Value& value, std::size_t& left, int depth);

  std::uint64_t seen_ = 0, objects_ = 0;
  std::uint8_t types_ = 0;       ///< bits of json::Type; `number` with a fraction or an exponent is kNumber
  bool fractions_ = false;       ///< of numbers
  bool map_ = false;             ///< members are named by values
  std::uint8_t formats_ = 0xff;  ///< bits of those that every text had
  std::map<std::string, LearnedShape, std::less<>> members_;
  std::unique_ptr<LearnedShape> items_;  ///< of arrays, or of the members of a map
};

/// Whether a name or a segment of a path is more likely a value than a word of an API: a number, a UUID, a hash, a
/// date, an address of mail, or a mixture of letters and many digits.
bool looks_like_value(std::string_view text);

}  // namespace plimsoll::handler::forwarding
