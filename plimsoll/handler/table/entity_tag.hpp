#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace plimsoll::table {

/// A strong entity tag (RFC 9110, section 8.8.3), quotes included.
class EntityTag {
 public:
  operator std::string_view() const noexcept { return {text_.data(), text_.size()}; }

 private:
  friend class EntityTags;
  std::array<char, 24> text_;
};

/// Names representations by a keyed hash: the same in every process on the database, and nobody outside can make two
/// rows whose tags are one, which would let a change pass that `If-Match` must refuse.
class EntityTags {
 public:
  EntityTags() = default;
  explicit EntityTags(std::string_view secret);
  /// `tenant`: whose row it is, where rows have one: tags of two tenants' rows differ though the rows are alike.
  /// `unseen`: what is stored of the row beside what is shown, as text: a change of it alone is another tag.
  EntityTag of(std::string_view representation, std::string_view tenant = {},
               std::string_view unseen = {}) const noexcept;

 private:
  std::uint64_t key_ = 0;
};

}  // namespace plimsoll::table
