#include "plimsoll/http/message.hpp"

#include "plimsoll/base/letters.hpp"

#include <cstring>
#include <utility>

namespace plimsoll {
namespace {

/// Nearly all names that are compared differ in their length or their first letter.
inline bool same(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  if (a.empty() || a.data() == b.data()) return true;
  if ((a.front() | 32) != (b.front() | 32)) return false;
  if (a.size() >= 8 && a.size() <= 16) {  // most of them: compared by their ends, which overlap
    std::uint64_t ends[4];
    std::memcpy(&ends[0], a.data(), 8), std::memcpy(&ends[1], a.data() + a.size() - 8, 8);
    std::memcpy(&ends[2], b.data(), 8), std::memcpy(&ends[3], b.data() + b.size() - 8, 8);
    if (ends[0] == ends[2] && ends[1] == ends[3]) return true;
  } else if (std::memcmp(a.data(), b.data(), a.size()) == 0) {
    return true;
  }
  return equal_ignoring_case(a, b);
}

}  // namespace

void Headers::grow() {
  room_ = room_ ? room_ * 2 : 16;
  auto* data = static_cast<Header*>(arena_->take(room_ * sizeof(Header)));
  if (size_) std::memcpy(static_cast<void*>(data), data_, size_ * sizeof(Header));
  data_ = data;
}

void Headers::add_absent(const Headers& others) {
  if (others.size_ == 0) return;
  if ((marks_ & others.marks_) == 0) {  // nothing in common: all of them at once
    while (room_ - size_ < others.size_) grow();
    std::memcpy(static_cast<void*>(data_ + size_), others.data_, others.size_ * sizeof(Header));
    size_ += others.size_;
    marks_ |= others.marks_;
    return;
  }
  const Headers before = *this;
  for (const auto& [name, value] : others)
    if (!before.contains(name)) add(name, value);
}

void Headers::replace(std::string_view name, std::string_view value) {
  std::uint32_t at = 0;
  while (at < size_ && !same(data_[at].name, name)) ++at;
  if (at == size_) return add(name, value);
  data_[at].value = value;
  auto kept = at + 1;
  for (auto i = kept; i < size_; ++i)
    if (!same(data_[i].name, name)) data_[kept++] = data_[i];
  size_ = kept;
}

void Headers::erase(std::string_view name) {
  std::uint32_t kept = 0;
  while (kept < size_ && !same(data_[kept].name, name)) ++kept;
  for (auto i = kept + 1; i < size_; ++i)
    if (!same(data_[i].name, name)) data_[kept++] = data_[i];
  size_ = kept;
}

const Header* Headers::first(std::string_view name) const {
  for (auto& h : *this)
    if (same(h.name, name)) return &h;
  return nullptr;
}

std::size_t Headers::count_all(std::string_view name) const {
  std::size_t n = 0;
  for (auto& h : *this) n += same(h.name, name);
  return n;
}

std::optional<std::string_view> Headers::only_one(std::string_view name) const {
  std::string_view found;
  bool any = false;
  for (const auto& h : *this)
    if (same(h.name, name)) {
      if (std::exchange(any, true)) return std::nullopt;
      found = h.value;
    }
  return found;
}

std::string_view Headers::join(std::string_view name) const {
  const Header* only = nullptr;
  std::size_t size = 0, count = 0;
  for (const auto& h : *this)
    if (same(h.name, name)) {
      if (count++ == 0) only = &h;
      size += h.value.size() + 2;
    }
  if (count < 2) return only ? only->value : std::string_view{};
  // Crumbs of a cookie are parted as its pairs are (RFC 9113, section 8.2.3); any other list by commas.
  const char between = same(name, "cookie") ? ';' : ',';
  auto* text = static_cast<char*>(arena_->take(size));
  auto* at = text;
  for (auto* h = only; h != end(); ++h)
    if (same(h->name, name)) {
      if (at != text) *at++ = between, *at++ = ' ';
      if (!h->value.empty()) std::memcpy(at, h->value.data(), h->value.size());
      at += h->value.size();
    }
  return {text, static_cast<std::size_t>(at - text)};
}

std::string_view reason(std::uint16_t status) {
  switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 102: return "Processing";
    case 103: return "Early Hints";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 203: return "Non-Authoritative Information";
    case 204: return "No Content";
    case 205: return "Reset Content";
    case 206: return "Partial Content";
    case 207: return "Multi-Status";
    case 300: return "Multiple Choices";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 425: return "Too Early";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return {};
  }
}

std::shared_ptr<const std::string> Encodings::find(std::string_view coding) const {
  const std::lock_guard lock(mutex_);
  for (auto& [name, bytes] : kept_)
    if (name == coding) return bytes;
  return nullptr;
}

void Encodings::keep(std::string_view coding, std::shared_ptr<const std::string> encoded) const {
  const std::lock_guard lock(mutex_);
  for (auto& [name, bytes] : kept_)
    if (name == coding) return;
  kept_.emplace_back(coding, std::move(encoded));
}

}  // namespace plimsoll
