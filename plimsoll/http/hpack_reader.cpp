#include "plimsoll/http/hpack_reader.hpp"

#include "plimsoll/http/field_block.hpp"
#include "plimsoll/http/field_check.hpp"
#include "plimsoll/http/huffman.hpp"
#include "plimsoll/http/target.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace plimsoll::http {
namespace {

using Field = HpackReader::Field;

constexpr FieldKind kind_of(std::string_view name) {
  using enum FieldKind;
  if (name.starts_with(':'))
    return name == ":method"      ? method
           : name == ":scheme"    ? scheme
           : name == ":authority" ? authority
           : name == ":path"      ? path
           : name == ":protocol"  ? protocol
           : name == ":status"    ? status
                                  : unknown_pseudo;
  switch (name.size()) {
    case 2: return name == "te" ? te : plain;
    case 4: return name == "host" ? host : plain;
    case 6: return name == "cookie" ? cookie : plain;
    case 7: return name == "upgrade" ? connection_specific : plain;
    case 10: return name == "connection" || name == "keep-alive" ? connection_specific : plain;
    case 14: return name == "content-length" ? content_length : plain;
    case 16: return name == "proxy-connection" ? connection_specific : plain;
    case 17: return name == "transfer-encoding" ? connection_specific : plain;
    default: return plain;
  }
}

constexpr bool is_blank(char c) { return c == ' ' || c == '\t'; }

bool is_sound(const Field& field) {
  const auto value = field.value;
  if (!is_pseudo(field.kind) && form_of(field.name) != NameForm::lower) return false;
  if (!value.empty() && (is_blank(value.front()) || is_blank(value.back()) || !is_one_line(value))) return false;
  switch (field.kind) {
    case FieldKind::method:
    case FieldKind::protocol: return is_token(value);
    case FieldKind::scheme: return value == "http" || value == "https";
    case FieldKind::authority:
    case FieldKind::host: return is_authority(value);
    case FieldKind::status: return value.size() == 3 && all_are(characters::kDigit, value) && value[0] != '0';
    case FieldKind::te: return same_as_lower(value, "trailers");
    case FieldKind::content_length: return !value.empty() && value.size() < 19 && all_are(characters::kDigit, value);
    case FieldKind::unknown_pseudo:
    case FieldKind::connection_specific: return false;
    default: return true;
  }
}

/// RFC 7541, appendix A.
constexpr std::string_view kStatic[][2] = {
    {":authority", ""},
    {":method", "GET"},
    {":method", "POST"},
    {":path", "/"},
    {":path", "/index.html"},
    {":scheme", "http"},
    {":scheme", "https"},
    {":status", "200"},
    {":status", "204"},
    {":status", "206"},
    {":status", "304"},
    {":status", "400"},
    {":status", "404"},
    {":status", "500"},
    {"accept-charset", ""},
    {"accept-encoding", "gzip, deflate"},
    {"accept-language", ""},
    {"accept-ranges", ""},
    {"accept", ""},
    {"access-control-allow-origin", ""},
    {"age", ""},
    {"allow", ""},
    {"authorization", ""},
    {"cache-control", ""},
    {"content-disposition", ""},
    {"content-encoding", ""},
    {"content-language", ""},
    {"content-length", ""},
    {"content-location", ""},
    {"content-range", ""},
    {"content-type", ""},
    {"cookie", ""},
    {"date", ""},
    {"etag", ""},
    {"expect", ""},
    {"expires", ""},
    {"from", ""},
    {"host", ""},
    {"if-match", ""},
    {"if-modified-since", ""},
    {"if-none-match", ""},
    {"if-range", ""},
    {"if-unmodified-since", ""},
    {"last-modified", ""},
    {"link", ""},
    {"location", ""},
    {"max-forwards", ""},
    {"proxy-authenticate", ""},
    {"proxy-authorization", ""},
    {"range", ""},
    {"referer", ""},
    {"refresh", ""},
    {"retry-after", ""},
    {"server", ""},
    {"set-cookie", ""},
    {"strict-transport-security", ""},
    {"transfer-encoding", ""},
    {"user-agent", ""},
    {"vary", ""},
    {"via", ""},
    {"www-authenticate", ""},
};
constexpr std::uint32_t kStatics = std::size(kStatic);
static_assert(kStatics == 61);

const auto kStaticFields = [] {
  std::array<Field, kStatics> fields;
  for (std::uint32_t i = 0; i < kStatics; ++i) {
    fields[i] = {kStatic[i][0], kStatic[i][1], kind_of(kStatic[i][0]), false};
    fields[i].sound = is_sound(fields[i]);
  }
  return fields;
}();

}  // namespace

void HpackReader::begin(std::string_view block) {
  rest_ = block;
  may_resize_ = true;
  decoded_size_ = 0;
}

void HpackReader::end() {
  constexpr std::size_t kKept = 4096;
  dropped_.clear();
  if (dropped_.capacity() > kMost / 32) dropped_.shrink_to_fit();
  if (decoded_room_ > kKept) decoded_.reset(), decoded_room_ = 0;
}

/// The number in the last `bits` of the first byte and those that follow (section 5.1), that byte taken too.
bool HpackReader::number(int bits, std::uint32_t& value) {
  const auto most = (1u << bits) - 1;
  value = static_cast<unsigned char>(rest_[0]) & most;
  rest_.remove_prefix(1);
  if (value < most) return true;
  std::uint64_t sum = most;
  for (int shift = 0; shift <= 28 && !rest_.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(rest_[0]);
    rest_.remove_prefix(1);
    sum += std::uint64_t{byte & 0x7fu} << shift;
    if (sum > 0xffffffff) return false;
    value = static_cast<std::uint32_t>(sum);
    if (!(byte & 0x80)) return true;
  }
  return false;
}

/// A string literal (section 5.2).
bool HpackReader::text(std::string_view& text) {
  if (rest_.empty()) return false;
  const bool coded = rest_[0] & 0x80;
  std::uint32_t size = 0;
  if (!number(7, size) || size > rest_.size()) return false;
  text = rest_.substr(0, size);
  rest_.remove_prefix(size);
  if (!coded) return true;
  if (decoded_size_ == 0) {  // for all that the block may still hold, so that nothing moves afterwards
    const auto most = huffman_most(size + rest_.size()) + 1;  // not nothing, where there is nothing
    if (most > decoded_room_) decoded_ = std::make_unique_for_overwrite<char[]>(decoded_room_ = most);
  }
  auto* const begin = decoded_.get() + decoded_size_;
  const auto* end = huffman_decode(text, begin);
  if (!end) return false;
  text = {begin, end};
  decoded_size_ += text.size();
  return true;
}

const HpackReader::Field* HpackReader::indexed(std::uint32_t index) const {
  if (index == 0) return nullptr;
  if (index <= kStatics) return &kStaticFields[index - 1];
  const auto back = index - kStatics - 1;
  return back < count_ ? &ring_[(inserted_ - back) & mask_].field : nullptr;
}

HpackReader::Step HpackReader::next(Field& field) {
  while (!rest_.empty()) {
    const auto first = static_cast<unsigned char>(rest_[0]);
    if (first & 0x80) {
      std::uint32_t index = first & 0x7f;
      if (index < 0x7f)
        rest_.remove_prefix(1);
      else if (!number(7, index))
        return Step::broken;
      const auto* known = indexed(index);
      if (!known) return Step::broken;
      field = *known;
    } else if (first & 0x40) {
      if (!literal(6, true, field)) return Step::broken;
    } else if (first & 0x20) {
      if (!resize()) return Step::broken;
      continue;
    } else if (!literal(4, false, field)) {
      return Step::broken;
    }
    may_resize_ = false;
    return Step::field;
  }
  return Step::end;
}

bool HpackReader::literal(int bits, bool insert_it, Field& field) {
  std::uint32_t index = 0;
  if (!number(bits, index)) return false;
  if (index) {
    const auto* known = indexed(index);
    if (!known) return false;
    field.name = known->name;
    field.kind = known->kind;
  } else {
    if (!text(field.name)) return false;
    field.kind = kind_of(field.name);
  }
  if (!text(field.value)) return false;
  field.sound = is_sound(field);
  if (insert_it) insert(field);
  return true;
}

/// A new size of the table: at the beginning of a block only (section 4.2).
bool HpackReader::resize() {
  std::uint32_t bytes = 0;
  if (!may_resize_ || !number(5, bytes) || bytes > kMost) return false;
  limit_ = bytes;
  shrink(limit_);
  return true;
}

/// Drops the oldest until no more than so many bytes are left (section 4.3).
void HpackReader::shrink(std::size_t bytes) {
  while (size_ > bytes) {
    auto& oldest = entry(inserted_ - count_ + 1);
    size_ -= oldest.cost();
    dropped_.push_back(std::move(oldest.text));
    --count_;
  }
}

void HpackReader::grow() {
  std::vector<Entry> larger(std::max<std::size_t>(8, ring_.size() * 2));
  const auto mask = static_cast<std::uint32_t>(larger.size() - 1);
  for (auto number = inserted_ - count_ + 1; number != inserted_ + 1; ++number)
    larger[number & mask] = std::move(entry(number));
  ring_ = std::move(larger);
  mask_ = mask;
}

/// One that is larger than the table empties it (section 4.4).
void HpackReader::insert(Field& field) {
  const auto cost = field.name.size() + field.value.size() + 32;
  if (cost > limit_) return shrink(0);
  shrink(limit_ - cost);
  if (count_ == ring_.size()) grow();
  auto text = std::make_unique_for_overwrite<char[]>(field.name.size() + field.value.size());
  std::memcpy(text.get(), field.name.data(), field.name.size());
  if (!field.value.empty()) std::memcpy(text.get() + field.name.size(), field.value.data(), field.value.size());
  field.name = {text.get(), field.name.size()};
  field.value = {text.get() + field.name.size(), field.value.size()};
  ++inserted_;
  ++count_;
  size_ += cost;
  entry(inserted_) = {std::move(text), field};
}

}  // namespace plimsoll::http
