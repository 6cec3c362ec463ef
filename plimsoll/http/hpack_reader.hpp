#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace plimsoll::http {

/// What a field is to HTTP/2.
enum class FieldKind : std::uint8_t {
  plain,
  method,
  scheme,
  authority,
  path,
  protocol,
  status,
  unknown_pseudo,
  host,
  cookie,
  content_length,
  te,
  connection_specific,
};
constexpr bool is_pseudo(FieldKind kind) { return kind >= FieldKind::method && kind <= FieldKind::unknown_pseudo; }

/// Reads the heads that come on one HTTP/2 connection (HPACK, RFC 7541), field by field.
///
/// What is known of a field is found out when it is read first, and kept beside it in the table: most fields of most
/// requests are a byte each, and cost no more than that.
class HpackReader {
 public:
  static constexpr std::uint32_t kMost = 4096;  ///< bytes of the table, as section 4.1 counts them

  struct Field {
    std::string_view name, value;  ///< good until the next block begins, or `end`
    FieldKind kind = FieldKind::plain;
    /// Name and value are what RFC 9113, sections 8.2.1 and 8.3.1 let stand, and the value is one that its kind may
    /// have.
    bool sound = false;
  };
  enum class Step : std::uint8_t { field, end, broken };

  /// A whole block, which stays as it is until it is read. Blocks come in the order in which they were sent, and each
  /// is read to its end or until it is broken: both ends keep the same table.
  void begin(std::string_view block);
  Step next(Field& field);
  /// The fields of the block are not looked at any more.
  void end();

 private:
  struct Entry {
    std::unique_ptr<char[]> text;  ///< name and value
    Field field;
    std::size_t cost() const { return field.name.size() + field.value.size() + 32; }
  };
  Entry& entry(std::uint32_t number) { return ring_[number & mask_]; }

  bool number(int bits, std::uint32_t& value);
  bool text(std::string_view& text);
  bool literal(int bits, bool insert, Field& field);
  const Field* indexed(std::uint32_t index) const;
  bool resize();
  void shrink(std::size_t bytes);
  void grow();
  void insert(Field& field);

  std::string_view rest_;
  bool may_resize_ = false;
  std::vector<Entry> ring_;  ///< a power of two of them: no more than were needed
  std::uint32_t mask_ = 0;
  std::uint32_t inserted_ = 0, count_ = 0;
  std::size_t size_ = 0, limit_ = kMost;
  // Views of a block's fields outlive the entries that the same block drove out.
  std::vector<std::unique_ptr<char[]>> dropped_;
  std::unique_ptr<char[]> decoded_;
  std::size_t decoded_room_ = 0, decoded_size_ = 0;
};

}  // namespace plimsoll::http
