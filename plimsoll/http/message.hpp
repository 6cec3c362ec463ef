#pragma once

#include "plimsoll/base/arena.hpp"
#include "plimsoll/base/task.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace plimsoll {

using Bytes = std::span<const std::byte>;

inline Bytes as_bytes(std::string_view text) { return std::as_bytes(std::span(text)); }
inline std::string_view as_text(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

struct Header {
  std::string_view name, value;
};

/// Field lines in the order given, in the exchange's arena. Names of requests are lower case; names are compared
/// without regard to case all the same.
class Headers {
 public:
  explicit Headers(Arena& arena) noexcept : arena_(&arena) {}
  /// Neither name nor value is copied: give static text or Arena::keep it first.
  void add(std::string_view name, std::string_view value) {
    if (size_ == room_) [[unlikely]]
      grow();
    data_[size_++] = {name, value};
    marks_ |= mark(name);
  }
  /// Those of `others` whose names are not there yet.
  void add_absent(const Headers& others);
  /// Replaces the first of that name and removes others, or adds.
  [[gnu::always_inline]] void set(std::string_view name, std::string_view value) {
    if (perhaps(name))
      replace(name, value);
    else
      add(name, value);
  }
  void remove(std::string_view name) {
    if (perhaps(name)) erase(name);
  }
  /// The value of the first field line of that name; empty when there is none (see `contains`).
  std::string_view find(std::string_view name) const {
    const auto* field = perhaps(name) ? first(name) : nullptr;
    return field ? field->value : std::string_view{};
  }
  /// The same where there is one line of that name or none; nothing where there are several.
  std::optional<std::string_view> only(std::string_view name) const {
    return perhaps(name) ? only_one(name) : std::string_view{};
  }
  bool contains(std::string_view name) const { return perhaps(name) && first(name); }
  std::size_t count(std::string_view name) const { return perhaps(name) ? count_all(name) : 0; }
  /// All values of that name joined by ", " (RFC 9110, section 5.3), those of `cookie` by "; ".
  std::string_view joined(std::string_view name) const { return perhaps(name) ? join(name) : std::string_view{}; }
  const Header* begin() const { return data_; }
  const Header* end() const { return data_ + size_; }
  std::size_t size() const { return size_; }
  Arena& arena() const { return *arena_; }

  /// One bit of 64 for a name, by its length and three of its letters, whatever their case. Most names that are asked
  /// for are not there, and a bit that nobody has set says so at once; that of a literal is worked out by the compiler.
  /// The factors were chosen so that names often asked for stay apart from those often there.
  static constexpr std::uint64_t mark(std::string_view name) {
    if (name.empty()) return 1;
    const auto letter = [&](std::size_t at) { return static_cast<unsigned char>(name[at]) | 32u; };
    const auto size = name.size();
    return std::uint64_t{1} << ((size * 35 + letter(0) + letter(size * 3 / 4) + letter(size - 1) * 23) & 63);
  }
  /// The marks of all names that are there, perhaps of more.
  std::uint64_t marks() const { return marks_; }

 private:
  bool perhaps(std::string_view name) const { return (marks_ & mark(name)) != 0; }
  void grow();
  void replace(std::string_view name, std::string_view value);
  void erase(std::string_view name);
  const Header* first(std::string_view name) const;
  std::size_t count_all(std::string_view name) const;
  std::optional<std::string_view> only_one(std::string_view name) const;
  std::string_view join(std::string_view name) const;
  Arena* arena_;
  Header* data_ = nullptr;
  std::uint64_t marks_ = 0;
  std::uint32_t size_ = 0, room_ = 0;
};

/// A body that comes or goes piece by piece. The piece is a view, good until the next call; an empty piece is the end.
/// Nobody reads ahead: the next piece is fetched when it is asked for, and that is the back-pressure.
class Stream {
 public:
  virtual ~Stream() = default;
  virtual Task<Result<Bytes>> read() = 0;
};

/// Encodings of a shared body by content coding, so that it is compressed once and not for each who asks. Any thread.
class Encodings {
 public:
  /// Null: nobody has kept it yet.
  std::shared_ptr<const std::string> find(std::string_view coding) const;
  void keep(std::string_view coding, std::shared_ptr<const std::string> encoded) const;

 private:
  mutable std::mutex mutex_;
  mutable std::vector<std::pair<std::string, std::shared_ptr<const std::string>>> kept_;
};

struct Buffer {
  std::shared_ptr<const void> owner;
  Bytes bytes;
  const Encodings* encodings = nullptr;  ///< lives as long as the owner; null: nobody keeps any
};  ///< shared: cached bodies
struct File {
  int descriptor;
  std::uint64_t offset, length;
};  ///< the descriptor is kept open by who gave it (Context::keep)

/// What is sent: nothing, bytes in the arena or static, shared bytes, a file, a stream (owned by the arena).
using Body = std::variant<std::monostate, std::string_view, Buffer, File, Stream*>;

/// Who is at the other end of the connection.
struct Peer {
  std::string_view address;  ///< without port, IPv6 without brackets; `unix` for a Unix socket
  std::uint16_t port = 0;
  bool tls = false;
  std::string_view certificate_subject;  ///< of a verified client certificate (RFC 4514), else empty
  std::uint64_t site = 0;                ///< site_key(address) where it is known already; 0: nobody has asked
};

struct Request {
  std::string_view method;  ///< as sent; methods are case-sensitive
  std::string_view target;  ///< as sent
  Headers headers;
  Stream* body = nullptr;  ///< null when there is none
  std::optional<std::uint64_t> content_length{};
  std::string_view path{};   ///< of the target, still percent-encoded
  std::string_view query{};  ///< without the `?`
  bool has_query = false;
  std::string_view scheme = "http", authority{};
  int version = 11;  ///< 10, 11, 20
  Peer peer{};
};

class FieldBlock;  // http/field_block.hpp

struct Response {
  std::uint16_t status = 200;
  Headers headers;
  Body body{};
  const FieldBlock* block = nullptr;  ///< fields sent behind the others, whose names are not among them
};

/// The reason phrase of a status; empty when it has none.
std::string_view reason(std::uint16_t status);

}  // namespace plimsoll
