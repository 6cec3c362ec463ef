#pragma once

#include "plimsoll/http/message.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::http {

/// The heads that we send on one HTTP/2 connection, as HPACK (RFC 7541). Made for heads that are nearly the same each
/// time: a field seen before is found by a few loads and written as one byte, and one whose value is always another one
/// is soon kept out of the table, where it would push out the others. Texts are not Huffman-coded: that costs more here
/// than the bytes it saves.
///
/// The fields of a head stand where they stood in the head before, mostly, and are looked for there first.
///
/// Blocks are written in the order in which they are sent, and each that is written is sent, because both ends keep the
/// same table.
class HpackWriter {
 public:
  static constexpr std::uint32_t kMost = 4096;  ///< bytes of the table, as section 4.1 counts them

  /// The peer's SETTINGS_HEADER_TABLE_SIZE: each value in turn, in force from the next block on.
  void allow(std::uint32_t bytes);
  /// A block begins: says how large the table is, where that has changed (section 4.2).
  void begin(std::string& out);
  void status(std::uint16_t status, std::string& out);
  /// The pseudo-header fields of a request (RFC 9113, section 8.3.1); `path` is kept out of the table.
  void request(std::string_view method, std::string_view scheme, std::string_view authority, std::string_view path,
               std::string& out);
  /// `name` in lower case.
  void field(std::string_view name, std::string_view value, std::string& out) {
    const Header one{name, value};
    if (again({&one, 1}, out) == 0) look_up(name, value, out);
  }
  /// Writes as many of the first fields as stood at these places in the block before with these values, or with always
  /// another one; how many. What was written before needs no second look at its characters, a new value has one here:
  /// it ends no line.
  std::size_t again(std::span<const Header> fields, std::string& out);
  /// Fields in lower case.
  void fields(std::span<const Header> fields, std::string& out);
  /// Fields in lower case that stay as they are (`number`, FieldBlock::unchanging).
  void fields(std::uint64_t number, std::span<const Header> fields, std::string& out);

 private:
  struct Entry {
    std::unique_ptr<char[]> text;  ///< name and value
    std::uint32_t name = 0, value = 0;
    std::uint32_t hits = 0;
    std::uint32_t cost() const { return name + value + 32; }
  };
  struct Name {
    std::uint32_t latest = 0;  ///< the entry that was inserted last under it
    std::uint32_t fruitless = 0;
  };
  /// What was written at a place of the block before.
  struct Place {
    std::uint32_t number = 0;    ///< the entry; where it was a literal, the one its name was taken from
    std::uint32_t named_at = 0;  ///< of a literal: where the static table has its name, 0: nowhere
    bool literal = false;
  };
  /// Fields that stay as they are, as they were written, and when.
  struct Run {
    std::uint64_t number = 0;
    std::uint32_t inserted = 0, count = 0;  ///< of the table
    std::uint32_t fields = 0;
    std::string written;
  };
  static constexpr std::uint32_t kSlots = 256, kNames = 64, kProbes = 4, kPlaces = 32;

  /// Entries are numbered as they are inserted, from 1; the last of them are there.
  bool there(std::uint32_t number) const { return number && inserted_ - number < count_; }
  Entry& entry(std::uint32_t number) { return ring_[number & mask_]; }
  std::uint32_t index(std::uint32_t number) const { return 62 + inserted_ - number; }
  bool is(std::uint32_t number, std::string_view name, std::string_view value);
  bool is_named(std::uint32_t number, std::string_view name);
  void look_up(std::string_view name, std::string_view value, std::string& out);
  void note(Place place) {
    if (place_ < kPlaces) places_[place_++] = place;
  }
  void shrink(std::uint32_t bytes);
  void grow();
  void insert(std::string_view name, std::string_view value, std::uint32_t slot, Name& of);
  Name& named(std::string_view name);

  std::vector<Entry> ring_;  ///< a power of two of them: no more than were needed
  std::uint32_t mask_ = 0;
  std::array<std::uint32_t, kSlots> slots_{};
  std::array<Name, kNames> names_{};
  std::array<Place, kPlaces> places_{};
  Run run_;
  std::uint32_t place_ = 0;  ///< of the field that comes next
  std::uint32_t inserted_ = 0, count_ = 0, size_ = 0;
  std::uint32_t limit_ = kMost, allowed_ = kMost, lowest_ = kMost;
};

}  // namespace plimsoll::http
