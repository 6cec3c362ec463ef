#pragma once

#include "plimsoll/http/message.hpp"

#include <span>
#include <string_view>
#include <vector>

namespace plimsoll {

/// Field lines that are sent as they stand, looked at by whoever wrote them: they name each field once, in lower case,
/// and no value ends its line.
class FieldBlock {
 public:
  std::string_view lines{};            ///< `\r\nname: value` for each, as HTTP/1 sends them
  std::span<const Header> fields{};    ///< the same one by one, for HTTP/2 and for whoever asks for a name
  std::uint64_t marks = 0;             ///< of their names (Headers::mark)
  const FieldBlock* before = nullptr;  ///< others that are sent too
  /// Of fields that stay as they are: blocks of the same number are the same, always. 0: they may change.
  std::uint64_t unchanging = 0;

  /// Calls `visit` with each field of this block and those before it.
  template <class F>
  void each(F visit) const {
    for (const auto* block = this; block; block = block->before)
      for (const auto& field : block->fields) visit(field);
  }
};

/// Fields that are written when an answer leaves, however often what they tell has changed before.
class LateFields : public FieldBlock {
 public:
  /// Fills in lines, fields and marks.
  virtual void write(Arena&) = 0;
  LateFields* next = nullptr;  ///< others that are late

 protected:
  ~LateFields() = default;
};

/// Fields that are the same for every answer: looked at and written out once, when the chain is built.
class FixedFields : public FieldBlock {
 public:
  FixedFields() = default;
  FixedFields(FixedFields&&) noexcept = default;
  FixedFields& operator=(FixedFields&&) noexcept = default;

  /// Copies both; false, and nothing is added, where the name is no token in lower case, is the connection's to say, or
  /// where the value would end its line.
  bool add(std::string_view name, std::string_view value);

 private:
  std::vector<char> text_;
  std::vector<Header> views_;
};

namespace details {
bool is_framing_of_that_length(std::string_view name);
}
/// Fields that are the connection's to say, not the answer's. Most names are told apart by their length.
inline bool is_framing(std::string_view name) {
  constexpr unsigned kLengths = 1u << 7 | 1u << 10 | 1u << 14 | 1u << 16 | 1u << 17;
  return name.size() <= 17 && (kLengths >> name.size() & 1) && details::is_framing_of_that_length(name);
}

}  // namespace plimsoll
