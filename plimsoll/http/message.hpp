#pragma once

#include "plimsoll/base/arena.hpp"
#include "plimsoll/base/task.hpp"

#include <concepts>
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

/// Text that is there as long as whatever sends it: a literal, or what an exchange keeps (`Context::kept`). No other
/// text becomes one, so that what is sent is never memory that was freed.
class Lasting {
 public:
  template <std::size_t N>
  consteval Lasting(const char (&literal)[N]) : text_(literal, N - 1) {}
  constexpr std::string_view view() const { return text_; }
  constexpr operator std::string_view() const { return text_; }

 private:
  explicit constexpr Lasting(std::string_view text) : text_(text) {}
  friend constexpr Lasting lasting(std::string_view text);
  std::string_view text_;
};

/// Whoever calls this vouches for it: the bytes stay where they are until the exchange has ended. They are in its
/// arena, in an object it keeps, or part of the plan that answers it.
constexpr Lasting lasting(std::string_view text) { return Lasting{text}; }

/// The name or the value of a field: what is `Lasting` is used where it is, all other text is copied into the arena.
class FieldText {
 public:
  template <std::size_t N>
  consteval FieldText(const char (&literal)[N]) : text_(literal, N - 1), lasting_(true) {}
  constexpr FieldText(Lasting text) : text_(text), lasting_(true) {}
  template <std::size_t N>
  constexpr FieldText(char (&text)[N]) : text_(static_cast<const char*>(text)) {}
  template <class T>
    requires(std::convertible_to<const T&, std::string_view> && !std::is_array_v<T>)
  constexpr FieldText(const T& text) : text_(text) {}

  constexpr std::string_view view() const { return text_; }
  [[gnu::always_inline]] std::string_view in(Arena& arena) const { return lasting_ ? text_ : arena.keep(text_); }

 private:
  std::string_view text_;
  bool lasting_ = false;
};

/// Field lines in the order given, in the exchange's arena. Names of requests are lower case; names are compared
/// without regard to case all the same.
class Headers {
 public:
  explicit Headers(Arena& arena) noexcept : arena_(&arena) {}
  /// Literals and what is kept already are used where they are; other text is copied.
  [[gnu::always_inline]] void add(FieldText name, FieldText value) { put(name.in(*arena_), value.in(*arena_)); }
  /// Those of `others` whose names are not there yet.
  void add_absent(const Headers& others);
  /// Replaces the first of that name and removes others, or adds.
  [[gnu::always_inline]] void set(FieldText name, FieldText value) {
    const auto kept_name = name.in(*arena_), kept_value = value.in(*arena_);
    if (perhaps(kept_name))
      replace(kept_name, kept_value);
    else
      put(kept_name, kept_value);
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
  void put(std::string_view name, std::string_view value) {
    if (size_ == room_) [[unlikely]]
      grow();
    data_[size_++] = {name, value};
    marks_ |= mark(name);
  }
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

/// A body that is there already, given in one piece. The text outlives it.
class TextStream final : public Stream {
 public:
  explicit TextStream(std::string_view text) : text_(text) {}
  Task<Result<Bytes>> read() override { co_return as_bytes(std::exchange(text_, {})); }

 private:
  std::string_view text_;
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

/// Bytes that are shared, and live as long as any body that sends them: cached bodies, and long texts.
struct Buffer {
  /// A text that nothing but this body refers to.
  static Buffer own(std::string text) {
    Buffer made{std::make_shared<const std::string>(std::move(text))};
    made.alone = true;
    return made;
  }
  /// The whole text.
  explicit Buffer(std::shared_ptr<const std::string> text) : bytes(as_bytes(*text)) { owner = std::move(text); }
  /// `bytes` are the owner's. `encodings` lives as long as the owner; null: nobody keeps any.
  Buffer(std::shared_ptr<const void> owner, Bytes bytes, const Encodings* encodings = nullptr)
      : owner(std::move(owner)), bytes(bytes), encodings(encodings) {}
  Buffer(std::nullptr_t, Bytes, const Encodings* = nullptr) = delete;

  std::shared_ptr<const void> owner;
  Bytes bytes;
  const Encodings* encodings = nullptr;
  bool alone = false;  ///< its memory may be given back before the exchange ends, once the bytes are elsewhere
};

/// A piece of a file whose descriptor stays open until the exchange has ended: `Context::file` sees to it.
struct File {
  int descriptor;
  std::uint64_t offset, length;

 private:
  File(int descriptor, std::uint64_t offset, std::uint64_t length)
      : descriptor(descriptor), offset(offset), length(length) {}
  friend File lasting_file(int descriptor, std::uint64_t offset, std::uint64_t length);
};
/// Whoever calls this vouches for it: the descriptor stays open until the exchange has ended.
inline File lasting_file(int descriptor, std::uint64_t offset, std::uint64_t length) {
  return {descriptor, offset, length};
}

/// A stream that is there until the exchange has ended: `Context::stream` makes one.
class LastingStream {
 public:
  Stream& operator*() const { return *stream_; }

 private:
  explicit LastingStream(Stream& stream) : stream_(&stream) {}
  friend LastingStream lasting(Stream& stream);
  Stream* stream_;
};
/// Whoever calls this vouches for it: the stream is in the exchange's arena, or in an object that it keeps.
inline LastingStream lasting(Stream& stream) { return LastingStream{stream}; }

/// What is sent: nothing, text that lasts, shared bytes, a file, a stream. Each is such that it cannot end before it is
/// sent: a view of somebody else's text is refused by the compiler, an own string is moved in.
class Body : public std::variant<std::monostate, std::string_view, Buffer, File, Stream*> {
 public:
  using Parts = std::variant<std::monostate, std::string_view, Buffer, File, Stream*>;
  Body() = default;
  Body(Lasting text) : Parts(text.view()) {}
  /// One allocation; `Context::body` makes none for texts that are short.
  Body(std::string text) : Parts(Buffer::own(std::move(text))) {}
  Body(Buffer bytes) : Parts(std::move(bytes)) {}
  Body(File file) : Parts(file) {}
  Body(LastingStream stream) : Parts(&*stream) {}
  template <class T>
    requires(std::same_as<T, std::string_view> || std::same_as<T, const char*>)
  Body(T) {
    static_assert(!std::same_as<T, T>,
                  "a body does not keep text that it is shown only: give it a std::string, or context.kept(text)");
  }
  template <std::derived_from<Stream> S>
  Body(S*) {
    static_assert(!std::same_as<S, S>, "a stream is read after the handler has ended: make it by context.stream<S>(…)");
  }
  Body& operator=(Lasting text) {
    Parts::operator=(text.view());
    return *this;
  }

 private:
  using Parts::emplace;
};

/// The text of a body that is there as a whole; nothing where it is a file or a stream.
inline std::optional<std::string_view> whole_text(const Body& body) {
  if (const auto* text = std::get_if<std::string_view>(&body)) return *text;
  if (const auto* buffer = std::get_if<Buffer>(&body)) return as_text(buffer->bytes);
  if (std::holds_alternative<std::monostate>(body)) return std::string_view{};
  return std::nullopt;
}

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
  /// `websocket`: what an extended CONNECT asks for (RFC 8441). Its method is then GET here, as in the handshake of
  /// HTTP/1.1, so that all that stands around a GET sees one. Else empty.
  std::string_view protocol{};
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
