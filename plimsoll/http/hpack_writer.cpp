#include "plimsoll/http/hpack_writer.hpp"

#include "plimsoll/base/copy.hpp"

#include <algorithm>
#include <cstring>

namespace plimsoll::http {
namespace {

/// Whether `size` bytes are the same. Texts are short here, and told apart without a call.
[[gnu::always_inline]] inline bool same(const char* a, const char* b, std::size_t size) {
  const auto differ = [&]<class Word>(Word, std::size_t at) {
    Word x, y;
    std::memcpy(&x, a + at, sizeof x);
    std::memcpy(&y, b + at, sizeof y);
    return x ^ y;
  };
  if (size >= 16) {
    const auto differ16 = [&](std::size_t at) { return bytes16::load(a + at) ^ bytes16::load(b + at); };
    auto all = differ16(size - 16);
    for (std::size_t at = 0; at + 16 < size; at += 16) all |= differ16(at);
    return !bytes16::any(all != 0);
  }
  if (size >= 8) return (differ(std::uint64_t{}, 0) | differ(std::uint64_t{}, size - 8)) == 0;
  if (size >= 4) return (differ(std::uint32_t{}, 0) | differ(std::uint32_t{}, size - 4)) == 0;
  for (std::size_t at = 0; at < size; ++at)
    if (a[at] != b[at]) return false;
  return true;
}

// First bytes of a field (section 6), and the bits that are left in them for a number.
constexpr std::uint8_t kIndexed = 0x80, kInserted = 0x40, kSize = 0x20, kNever = 0x10, kPlain = 0x00;

constexpr std::size_t kLongestNumber = 6;  ///< bytes of one of 32 bits

/// Writes behind what is there, up to `most` bytes: one look at the room of the string for a whole field.
template <class F>
[[gnu::always_inline]] inline void append(std::string& out, std::size_t most, F write) {
  const auto before = out.size();
  out.resize_and_overwrite(
      before + most, [&](char* begin, std::size_t) { return static_cast<std::size_t>(write(begin + before) - begin); });
}

/// A number behind `first`, in `bits` of its first byte and as many further ones as it takes (section 5.1).
[[gnu::always_inline]] inline char* put_number(char* at, std::uint8_t first, int bits, std::uint32_t value) {
  const auto most = (1u << bits) - 1;
  if (value < most) {
    *at++ = static_cast<char>(first | value);
    return at;
  }
  *at++ = static_cast<char>(first | most);
  for (value -= most; value >= 0x80; value >>= 7) *at++ = static_cast<char>(value | 0x80);
  *at++ = static_cast<char>(value);
  return at;
}

char* put_text(char* at, std::string_view value) {
  at = put_number(at, 0, 7, static_cast<std::uint32_t>(value.size()));
  if (!value.empty()) std::memcpy(at, value.data(), value.size());  // which may be nowhere
  return at + value.size();
}

[[gnu::always_inline]] inline void indexed(std::string& out, std::uint32_t index) {
  if (index < 0x7f)  // nearly always
    out += static_cast<char>(kIndexed | index);
  else
    append(out, kLongestNumber, [&](char* at) { return put_number(at, kIndexed, 7, index); });
}

void literal(std::string& out, std::uint8_t form, std::uint32_t named_at, std::string_view name,
             std::string_view value) {
  append(out, 3 * kLongestNumber + name.size() + value.size(), [&](char* at) {
    at = put_number(at, form, form == kInserted ? 6 : 4, named_at);
    if (!named_at) at = put_text(at, name);
    return put_text(at, value);
  });
}

/// A value that is looked at on the way: false, and nothing is written, where it would end its line.
[[gnu::always_inline]] inline bool append_value(std::string& out, std::uint32_t named_at, std::string_view value) {
  bool good = true;
  append(out, 2 * kLongestNumber + value.size(), [&](char* begin) {
    auto* at = put_number(begin, kPlain, 4, named_at);
    at = put_number(at, 0, 7, static_cast<std::uint32_t>(value.size()));
    good = copy_unless(bytes16::line_breaking, value, at);
    return good ? at + value.size() : begin;
  });
  return good;
}

/// Where the static table has this name (appendix A); 0: nowhere.
std::uint32_t in_static_table(std::string_view name) {
  struct Named {
    std::string_view name;
    std::uint32_t index;
  };
  static constexpr Named kNames[] = {{"age", 21},
                                     {"date", 33},
                                     {"etag", 34},
                                     {"link", 45},
                                     {"vary", 59},
                                     {"allow", 22},
                                     {"server", 54},
                                     {"expires", 36},
                                     {"location", 46},
                                     {"set-cookie", 55},
                                     {"retry-after", 53},
                                     {"content-type", 31},
                                     {"accept-ranges", 18},
                                     {"cache-control", 24},
                                     {"content-range", 30},
                                     {"last-modified", 44},
                                     {"content-length", 28},
                                     {"content-encoding", 26},
                                     {"content-language", 27},
                                     {"content-location", 29},
                                     {"www-authenticate", 61},
                                     {"content-disposition", 25},
                                     {"strict-transport-security", 56},
                                     {"access-control-allow-origin", 20}};
  for (const auto& known : kNames)
    if (known.name.size() == name.size() && known.name.front() == name.front() && known.name == name)
      return known.index;
  return 0;
}

/// Where the static table has the name of a field whose value is a secret; 0: it is none of them.
std::uint32_t secret_name(std::string_view name) {
  switch (name.size()) {
    case 6: return name == "cookie" ? 32 : 0;
    case 10: return name == "set-cookie" ? 55 : 0;
    case 13: return name == "authorization" ? 23 : 0;
    case 19: return name == "proxy-authorization" ? 49 : 0;
    default: return 0;
  }
}

/// A few bytes of a text that tell it from others of its kind: the first and the last.
std::uint64_t sample(std::string_view of) {
  std::uint64_t first = 0, last = 0;
  const auto size = of.size();
  if (size >= 8) {
    std::memcpy(&first, of.data(), 8);
    std::memcpy(&last, of.data() + size - 8, 8);
  } else if (size >= 4) {
    std::memcpy(&first, of.data(), 4);
    std::memcpy(&last, of.data() + size - 4, 4);
  } else {
    for (const char c : of) first = first << 8 | static_cast<unsigned char>(c);
  }
  return (first ^ (last << 23 | last >> 41)) + size * 0x9e3779b97f4a7c15;
}
std::uint32_t mixed(std::uint64_t a, std::uint64_t b) {
  auto x = (a * 0xff51afd7ed558ccd) ^ (b * 0xc4ceb9fe1a85ec53);
  x ^= x >> 32;
  return static_cast<std::uint32_t>((x * 0x9e3779b97f4a7c15) >> 40);
}

}  // namespace

void HpackWriter::allow(std::uint32_t bytes) {
  allowed_ = std::min(bytes, kMost);
  lowest_ = std::min(lowest_, allowed_);
}

void HpackWriter::begin(std::string& out) {
  place_ = 0;
  for (const auto size : {lowest_, allowed_}) {
    if (size == limit_) continue;
    append(out, kLongestNumber, [&](char* at) { return put_number(at, kSize, 5, size); });
    limit_ = size;
    shrink(size);
  }
  lowest_ = allowed_;
}

void HpackWriter::status(std::uint16_t status, std::string& out) {
  static constexpr std::uint16_t kKnown[] = {200, 204, 206, 304, 400, 404, 500};  // from 8 on in the static table
  if (const auto* found = std::ranges::find(kKnown, status); found != std::end(kKnown)) {
    out += static_cast<char>(kIndexed | (8 + (found - kKnown)));
    return;
  }
  const char digits[] = {static_cast<char>('0' + status / 100), static_cast<char>('0' + status / 10 % 10),
                         static_cast<char>('0' + status % 10)};
  literal(out, kPlain, 8, {}, {digits, sizeof digits});
}

void HpackWriter::request(std::string_view method, std::string_view scheme, std::string_view authority,
                          std::string_view path, std::string& out) {
  if (method == "GET" || method == "POST")
    out += static_cast<char>(kIndexed | (method == "GET" ? 2 : 3));
  else
    literal(out, kPlain, 2, {}, method);
  out += static_cast<char>(kIndexed | (scheme == "http" ? 6 : 7));
  if (path == "/")
    out += static_cast<char>(kIndexed | 4);
  else
    literal(out, kPlain, 4, {}, path);
  field(":authority", authority, out);
}

bool HpackWriter::is(std::uint32_t number, std::string_view name, std::string_view value) {
  if (!there(number)) return false;
  const auto& e = entry(number);
  return e.name == name.size() && e.value == value.size() && same(e.text.get(), name.data(), name.size()) &&
         same(e.text.get() + e.name, value.data(), value.size());
}

bool HpackWriter::is_named(std::uint32_t number, std::string_view name) {
  return there(number) && entry(number).name == name.size() && same(entry(number).text.get(), name.data(), name.size());
}

std::size_t HpackWriter::again(std::span<const Header> fields, std::string& out) {
  std::size_t written = 0;
  for (; written < fields.size() && place_ < kPlaces; ++written, ++place_) {
    const auto& [name, value] = fields[written];
    const auto& place = places_[place_];
    if (!there(place.number)) break;
    auto& e = entry(place.number);
    if (e.name != name.size() || !same(e.text.get(), name.data(), name.size())) break;
    if (place.literal) {
      if (!append_value(out, place.named_at ? place.named_at : index(place.number), value)) break;
    } else {
      if (e.value != value.size() || !same(e.text.get() + e.name, value.data(), value.size())) break;
      ++e.hits;
      indexed(out, index(place.number));
    }
  }
  return written;
}

void HpackWriter::fields(std::span<const Header> fields, std::string& out) {
  for (;;) {
    fields = fields.subspan(again(fields, out));
    if (fields.empty()) return;
    look_up(fields.front().name, fields.front().value, out);
    fields = fields.subspan(1);
  }
}

void HpackWriter::fields(std::uint64_t number, std::span<const Header> fields, std::string& out) {
  // As long as nothing was inserted or dropped, what was written says the same.
  if (run_.number == number && run_.inserted == inserted_ && run_.count == count_) {
    out += run_.written;
    place_ = std::min(kPlaces, place_ + run_.fields);
    return;
  }
  const auto begin = out.size();
  const auto inserted = inserted_;
  this->fields(fields, out);
  if (inserted != inserted_) return;
  run_.number = number;
  run_.inserted = inserted_;
  run_.count = count_;
  run_.fields = static_cast<std::uint32_t>(fields.size());
  run_.written.assign(out, begin);
}

/// What is known of a name; where nothing is, a place for it.
HpackWriter::Name& HpackWriter::named(std::string_view name) {
  const auto begin = mixed(sample(name), 0);
  Name* free = nullptr;
  for (std::uint32_t i = 0; i < kProbes; ++i) {
    auto& place = names_[(begin + i) % kNames];
    if (is_named(place.latest, name)) return place;
    if (!free || (there(free->latest) && (!there(place.latest) || place.latest < free->latest))) free = &place;
  }
  *free = {};
  return *free;
}

void HpackWriter::look_up(std::string_view name, std::string_view value, std::string& out) {
  // Nobody between may keep what is a secret, and nobody who shares the connection may find it out (section 7.1.3).
  if (const auto secret = secret_name(name)) return literal(out, kNever, secret, {}, value);
  const auto begin = mixed(sample(name), sample(value));
  auto slot = begin % kSlots;
  for (std::uint32_t i = 0; i < kProbes; ++i) {
    const auto at = (begin + i) % kSlots;
    const auto number_there = slots_[at];
    if (is(number_there, name, value)) {
      ++entry(number_there).hits;
      note({.number = number_there});
      return indexed(out, index(number_there));
    }
    if (there(slots_[slot]) && (!there(number_there) || number_there < slots_[slot])) slot = at;
  }

  auto& known = named(name);
  const auto in_static = in_static_table(name);
  auto named_at = in_static;
  bool worth = true;
  if (known.latest) {
    if (!named_at) named_at = index(known.latest);
    // That it was inserted before was of use, or was not tried often yet.
    constexpr std::uint32_t kUse = 4, kTries = 8;
    known.fruitless = entry(known.latest).hits >= kUse ? 0 : known.fruitless + 1;
    worth = known.fruitless < kTries;
    if (!worth) note({.number = known.latest, .named_at = in_static, .literal = true});
  }
  worth = worth && name.size() + value.size() + 32 <= limit_ / 4;
  literal(out, worth ? kInserted : kPlain, named_at, name, value);
  if (!worth) return;
  insert(name, value, slot, known);
  note({.number = inserted_});
}

/// Drops the oldest until no more than so many bytes are left (section 4.3).
void HpackWriter::shrink(std::uint32_t bytes) {
  while (size_ > bytes) {
    auto& oldest = entry(inserted_ - count_ + 1);
    size_ -= oldest.cost();
    oldest.text.reset();
    --count_;
  }
}

void HpackWriter::grow() {
  std::vector<Entry> larger(std::max<std::size_t>(16, ring_.size() * 2));
  const auto mask = static_cast<std::uint32_t>(larger.size() - 1);
  for (auto number = inserted_ - count_ + 1; number != inserted_ + 1; ++number)
    larger[number & mask] = std::move(entry(number));
  ring_ = std::move(larger);
  mask_ = mask;
}

void HpackWriter::insert(std::string_view name, std::string_view value, std::uint32_t slot, Name& of) {
  const auto cost = static_cast<std::uint32_t>(name.size() + value.size() + 32);
  shrink(limit_ - cost);
  if (count_ == ring_.size()) grow();
  auto text = std::make_unique_for_overwrite<char[]>(name.size() + value.size());
  std::memcpy(text.get(), name.data(), name.size());
  if (!value.empty()) std::memcpy(text.get() + name.size(), value.data(), value.size());
  ++inserted_;
  ++count_;
  size_ += cost;
  entry(inserted_) = {std::move(text), static_cast<std::uint32_t>(name.size()),
                      static_cast<std::uint32_t>(value.size()), 0};
  slots_[slot] = inserted_;
  of.latest = inserted_;
}

}  // namespace plimsoll::http
