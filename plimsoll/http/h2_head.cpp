#include "plimsoll/http/h2_head.hpp"

#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/h1_head.hpp"
#include "plimsoll/http/target.hpp"

#include <charconv>

namespace plimsoll::http {
namespace {

using Field = HpackReader::Field;

constexpr unsigned bit(FieldKind kind) { return 1u << static_cast<unsigned>(kind); }

bool same_name(std::string_view a, std::string_view b) { return a == b || equal_ignoring_case(a, b); }

}  // namespace

template <class Take>
H2HeadReader::Outcome H2HeadReader::each(std::string_view block, Take take) {
  size_ = count_ = 0;
  bool good = true;
  Field field;
  reader_.begin(block);
  for (;;) {
    const auto step = reader_.next(field);
    if (step == HpackReader::Step::broken) return Outcome::broken;
    if (step == HpackReader::Step::end) return good ? Outcome::good : Outcome::malformed;
    size_ += field.name.size() + field.value.size() + 32;
    ++count_;
    if (size_ > options_.header_list * 8) return Outcome::too_large;
    good = good && field.sound && take(field);
  }
}

void H2HeadReader::begin() {
  fields_.clear();
  cookies_.clear();
  seen_ = 0;
  others_ = has_cookie_ = false;
  hosts_ = 0;
  host_ = {};
}

H2HeadReader::Outcome H2HeadReader::request(std::string_view block, H2Head& head) {
  begin();
  const auto outcome = each(block, [&](const Field& field) { return take(field, head); });
  if (outcome != Outcome::good) return outcome;
  if (has_cookie_ && !cookies_.empty()) fields_[cookie_at_].value = cookies_;
  head.fields = fields_;
  return whole(head) ? Outcome::good : Outcome::malformed;
}

H2HeadReader::Outcome H2HeadReader::response(std::string_view block, H2AnswerHead& head) {
  begin();
  const auto outcome = each(block, [&](const Field& field) { return take(field, head); });
  if (outcome != Outcome::good) return outcome;
  head.fields = fields_;
  return seen_ & bit(FieldKind::status) ? Outcome::good : Outcome::malformed;
}

H2HeadReader::Outcome H2HeadReader::trailers(std::string_view block, std::span<const Header>& fields) {
  fields_.clear();
  const auto outcome = each(block, [&](const Field& field) {
    if (is_pseudo(field.kind)) return false;
    if (size_ <= options_.header_list && count_ <= options_.header_count) fields_.push_back({field.name, field.value});
    return true;
  });
  if (outcome == Outcome::good && count_ == fields_.size()) fields = fields_;
  return outcome;
}

void H2HeadReader::end() {
  constexpr std::size_t kKept = 8 << 10;
  reader_.end();
  cookies_.clear();
  if (cookies_.capacity() > kKept) cookies_ = {};
}

bool H2HeadReader::take(const Field& field, H2Head& head) {
  if (size_ > options_.header_list || count_ > options_.header_count) head.refusal = &h1::kHeadTooLarge;
  if (is_pseudo(field.kind)) return pseudo(field, head);
  others_ = true;
  switch (field.kind) {
    case FieldKind::host:
      host_ = field.value;
      if (++hosts_ > 1) return false;
      break;
    case FieldKind::content_length:
      if (head.content_length) return false;
      std::from_chars(field.value.data(), field.value.data() + field.value.size(), head.content_length.emplace());
      break;
    case FieldKind::cookie:
      if (!head.refusal) crumb(field);
      return true;
    default: break;
  }
  if (!head.refusal) fields_.push_back({field.name, field.value});
  return true;
}

/// Each once, and before all others (section 8.3).
bool H2HeadReader::pseudo(const Field& field, H2Head& head) {
  if (others_ || (seen_ & bit(field.kind))) return false;
  seen_ |= bit(field.kind);
  switch (field.kind) {
    case FieldKind::method: head.method = field.value; break;
    case FieldKind::scheme: head.scheme = field.value; break;
    case FieldKind::authority: head.authority = field.value; break;
    case FieldKind::protocol: head.protocol = field.value; return options_.extended_connect;
    case FieldKind::status: return false;
    default: head.path = field.value; break;
  }
  return true;
}

/// Of an answer the status comes first, once, and is the only field of its kind (section 8.3.2). What is too much is an
/// answer that cannot be used.
bool H2HeadReader::take(const Field& field, H2AnswerHead& head) {
  if (size_ > options_.header_list || count_ > options_.header_count) return false;
  if (is_pseudo(field.kind)) {
    if (field.kind != FieldKind::status || others_ || seen_) return false;
    seen_ = bit(FieldKind::status);
    std::from_chars(field.value.data(), field.value.data() + field.value.size(), head.status);
    return true;
  }
  others_ = true;
  if (field.kind == FieldKind::content_length) {
    if (head.content_length) return false;
    std::from_chars(field.value.data(), field.value.data() + field.value.size(), head.content_length.emplace());
  }
  fields_.push_back({field.name, field.value});
  return true;
}

/// Crumbs are one field again (section 8.2.3).
void H2HeadReader::crumb(const Field& field) {
  if (!has_cookie_) {
    has_cookie_ = true;
    cookie_at_ = fields_.size();
    fields_.push_back({"cookie", field.value});
    return;
  }
  if (cookies_.empty()) cookies_ = fields_[cookie_at_].value;
  if (!cookies_.empty()) cookies_ += "; ";
  cookies_ += field.value;
}

/// What can be said when all is read.
bool H2HeadReader::whole(H2Head& head) {
  using enum FieldKind;
  if (!(seen_ & bit(method))) return false;
  if (head.ended && head.content_length.value_or(0) != 0) return false;
  const bool has_authority = seen_ & bit(authority);
  if (!has_authority) head.authority = host_;
  if (hosts_ && has_authority && !same_name(host_, head.authority)) return false;
  if (!hosts_ && !has_authority) return false;
  if (seen_ & bit(protocol)) {  // RFC 8441, section 4: a request for a resource, like others
    if (head.method != "CONNECT" || !has_authority) return false;
    if (!head.refusal && !same_as_lower(head.protocol, "websocket")) head.refusal = &h1::kMethodUnknown;
  } else if (head.method == "CONNECT") {  // section 8.5: to a host, and to nothing on it
    head.refusal = &h1::kMethodUnknown;
    return !(seen_ & (bit(scheme) | bit(path)));
  }
  if (!(seen_ & bit(scheme)) || !(seen_ & bit(path))) return false;
  if (head.path.size() > options_.target) {
    if (!head.refusal) head.refusal = &h1::kTargetTooLong;
    return true;
  }
  const auto target = split_target(head.path);
  if (!target || target->form == Target::Form::absolute) return false;
  return target->form == Target::Form::origin || head.method == "OPTIONS";
}

}  // namespace plimsoll::http
