#include "plimsoll/database/postgres_protocol.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <limits>

namespace plimsoll::database {
namespace {

constexpr std::uint32_t kVersion3 = 3u << 16, kTlsRequest = 80877103, kCancelRequest = 80877102;
constexpr std::size_t kHead = 5;                ///< of a message: its type and its length, which counts itself
constexpr std::size_t kRoom = 4'096;            ///< the least that a read is given
constexpr std::size_t kBuffer = 16u << 10;      ///< at the beginning
constexpr std::size_t kBufferKept = 64u << 10;  ///< while what arrives is small
constexpr std::size_t kCopyPiece = 64u << 10;   ///< of data in one message: the server holds each as a whole

template <class T>
T big_endian(const char* at) noexcept {
  T value;
  std::memcpy(&value, at, sizeof value);
  if constexpr (std::endian::native == std::endian::little) value = std::byteswap(value);
  return value;
}

template <class T>
char* write(char* at, T value) noexcept {
  if constexpr (std::endian::native == std::endian::little) value = std::byteswap(value);
  std::memcpy(at, &value, sizeof value);
  return at + sizeof value;
}

char* write(char* at, std::string_view text) noexcept {
  if (!text.empty()) std::memcpy(at, text.data(), text.size());
  return at + text.size();
}

std::string request(std::uint32_t code, std::initializer_list<std::uint32_t> more) {
  std::string made(8 + 4 * more.size(), '\0');
  auto* at = write(made.data(), static_cast<std::uint32_t>(made.size()));
  at = write(at, code);
  for (const auto each : more) at = write(at, each);
  return made;
}

bool has_nul(std::string_view text) { return text.find('\0') != text.npos; }

}  // namespace

/// Reads a message from its beginning to its end; what is not there makes `good` false and all that follows empty.
class PostgresProtocol::Body {
 public:
  explicit Body(std::string_view bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}
  template <class T>
  T number() {
    if (static_cast<std::size_t>(end_ - at_) < sizeof(T)) return static_cast<T>(bad());
    const auto value = big_endian<T>(at_);
    at_ += sizeof(T);
    return value;
  }
  std::string_view text() {
    const auto left = static_cast<std::size_t>(end_ - at_);
    const auto* nul = left ? static_cast<const char*>(std::memchr(at_, 0, left)) : nullptr;
    if (!nul) {
      bad();
      return {};
    }
    const std::string_view made(at_, static_cast<std::size_t>(nul - at_));
    at_ = nul + 1;
    return made;
  }
  std::string_view rest() { return {std::exchange(at_, end_), end_}; }
  /// All of it was read, and it was all there.
  bool done() const { return good_ && at_ == end_; }
  bool good() const { return good_; }

 private:
  int bad() {
    good_ = false;
    at_ = end_;
    return 0;
  }
  const char *at_, *end_;
  bool good_ = true;
};

std::string_view PostgresSaid::operator[](char letter) const noexcept {
  for (auto rest = fields_; !rest.empty() && rest[0] != '\0';) {
    const auto end = rest.find('\0', 1);
    if (end == rest.npos) break;
    if (rest[0] == letter) return rest.substr(1, end - 1);
    rest.remove_prefix(end + 1);
  }
  return {};
}

bool PostgresSaid::is_fatal() const noexcept {
  auto severity = (*this)['V'];
  if (severity.empty()) severity = (*this)['S'];
  return severity == "FATAL" || severity == "PANIC";
}

PostgresProtocol::~PostgresProtocol() { OPENSSL_cleanse(startup_.password.data(), startup_.password.size()); }

PostgresProtocol::Event PostgresProtocol::fail(Fault fault, std::string_view text) {
  fault_ = fault;
  fault_text_ = text;
  out_.clear();
  sent_ = 0;
  begin_ = end_ = skip_ = 0;
  return {.kind = Kind::failed};
}

// ---------------------------------------------------------------------------------------------------------------------
// What is said
// ---------------------------------------------------------------------------------------------------------------------

bool PostgresProtocol::passable(std::string_view text) {
  if (failed()) return false;
  if (text.size() <= limits_.output && !has_nul(text)) return true;
  fail(Fault::misuse,
       text.size() > limits_.output ? "a text is longer than a message may be" : "a text contains a NUL");
  return false;
}

void PostgresProtocol::put16(std::uint16_t value) {
  char bytes[2];
  write(bytes, value);
  out_.append(bytes, sizeof bytes);
}
void PostgresProtocol::put32(std::uint32_t value) {
  char bytes[4];
  write(bytes, value);
  out_.append(bytes, sizeof bytes);
}

void PostgresProtocol::begin(char type) {
  if (type) out_.push_back(type);
  message_ = out_.size();
  put32(0);
}
void PostgresProtocol::end() { write(out_.data() + message_, static_cast<std::uint32_t>(out_.size() - message_)); }

void PostgresProtocol::expect(Step step, int columns) {
  if (next_step_ == steps_.size()) {
    steps_.clear();
    next_step_ = 0;
  } else if (next_step_ > 256 && 2 * next_step_ > steps_.size()) {
    steps_.erase(steps_.begin(), steps_.begin() + static_cast<std::ptrdiff_t>(next_step_));
    next_step_ = 0;
  }
  steps_.push_back({step, columns});
}

void PostgresProtocol::pop() noexcept { ++next_step_; }

void PostgresProtocol::sent(std::size_t bytes) noexcept {
  sent_ += bytes;
  if (sent_ < out_.size()) return;
  sent_ = 0;
  out_.clear();
  if (out_.capacity() > kBufferKept) std::string().swap(out_);
}

std::string PostgresProtocol::cancel_request(std::uint32_t process, std::uint32_t secret) {
  return request(kCancelRequest, {process, secret});
}
std::string PostgresProtocol::tls_request() { return request(kTlsRequest, {}); }

void PostgresProtocol::ask_for_tls() {
  if (failed()) return;
  out_ += tls_request();
  phase_ = Phase::tls;
}

void PostgresProtocol::start(Startup startup) {
  if (failed()) return;
  startup_ = std::move(startup);
  begin(0);
  put32(kVersion3);
  for (const auto& [name, value] : startup_.parameters) {
    if (name.empty() || !passable(name) || !passable(value)) {
      fail(Fault::misuse, "a parameter of the connection contains a NUL or has no name");
      return;
    }
    put(name);
    put(value);
  }
  out_.push_back('\0');
  end();
  phase_ = Phase::authentication;
}

void PostgresProtocol::parse(std::string_view name, std::string_view sql) {
  if (!passable(name) || !passable(sql)) return;
  begin('P');
  put(name);
  put(sql);
  put16(0);
  end();
  expect(Step::parse);
}

void PostgresProtocol::describe(std::string_view name) {
  if (!passable(name)) return;
  begin('D');
  out_.push_back('S');
  put(name);
  end();
  expect(Step::describe);
}

void PostgresProtocol::describe_portal() {
  if (failed()) return;
  begin('D');
  out_.push_back('P');
  put({});
  end();
  expect(Step::describe_rows);
}

void PostgresProtocol::bind(std::string_view name, std::span<const PostgresParameter> parameters) {
  if (!passable(name)) return;
  if (parameters.size() > std::numeric_limits<std::uint16_t>::max()) {
    fail(Fault::misuse, "a statement has more than 65,535 parameters");
    return;
  }
  bool binary = false;
  std::size_t size = 4 + 1 + name.size() + 1 + 2 + 2 + 2;
  for (const auto& parameter : parameters) {
    binary |= parameter.binary;
    size += 4 + static_cast<std::size_t>(parameter.text ? parameter.size : 0);
  }
  if (binary) size += 2 * parameters.size();
  if (size > limits_.output) {
    fail(Fault::misuse, "the parameters of a statement are longer than a message may be");
    return;
  }
  const auto count = static_cast<std::uint16_t>(parameters.size());
  const auto old = out_.size(), all = old + 1 + size;
  // libstdc++ 12 gives the function the capacity instead of the size that was asked for.
  out_.resize_and_overwrite(all, [&](char* begin, std::size_t) {
    auto* at = begin + old;
    *at++ = 'B';
    at = write(at, static_cast<std::uint32_t>(size));
    *at++ = '\0';  // the portal without a name
    at = write(at, name);
    *at++ = '\0';
    at = write(at, binary ? count : std::uint16_t{0});
    if (binary)
      for (const auto& parameter : parameters) at = write(at, std::uint16_t{parameter.binary});
    at = write(at, count);
    for (const auto& parameter : parameters) {
      if (!parameter.text) {
        at = write(at, std::uint32_t{0xffffffff});
        continue;
      }
      at = write(at, static_cast<std::uint32_t>(parameter.size));
      at = write(at, std::string_view(parameter.text, static_cast<std::size_t>(parameter.size)));
    }
    write(at, std::uint16_t{0});  // all results as text
    return all;
  });
  expect(Step::bind);
}

void PostgresProtocol::execute(int columns) {
  if (failed()) return;
  out_.append("E\0\0\0\11\0\0\0\0\0", 10);  // the portal without a name, all rows
  expect(Step::execute, columns);
}

void PostgresProtocol::close(std::string_view name) {
  if (!passable(name)) return;
  begin('C');
  out_.push_back('S');
  put(name);
  end();
  expect(Step::close);
}

void PostgresProtocol::sync() {
  if (failed()) return;
  out_.append("S\0\0\0\4", 5);
  expect(Step::sync);
  ++units_;
}

void PostgresProtocol::query(std::string_view sql) {
  if (!passable(sql)) return;
  begin('Q');
  put(sql);
  end();
  expect(Step::query);
  ++units_;
}

void PostgresProtocol::copy(std::string_view sql) {
  if (!passable(sql)) return;
  begin('Q');
  put(sql);
  end();
  expect(Step::copy);
  expect(Step::sync);
  ++units_;
}

void PostgresProtocol::copy_data(std::string_view data) {
  if (failed()) return;
  if (!takes_data()) {
    fail(Fault::misuse, "data is said that no COPY takes");
    return;
  }
  while (!data.empty()) {
    const auto piece = data.substr(0, kCopyPiece);
    data.remove_prefix(piece.size());
    begin('d');
    out_ += piece;
    end();
  }
}

void PostgresProtocol::copy_done() {
  if (failed()) return;
  if (!takes_data()) {
    fail(Fault::misuse, "the end of a COPY is said that is not in progress");
    return;
  }
  out_.append("c\0\0\0\4", 5);
  copy_ = Copy::ended;
}

void PostgresProtocol::copy_fail(std::string_view why) {
  if (!passable(why)) return;
  if (!takes_data()) {
    fail(Fault::misuse, "a COPY is given up that is not in progress");
    return;
  }
  begin('f');
  put(why);
  end();
  copy_ = Copy::ended;
}

void PostgresProtocol::terminate() {
  if (!failed()) out_.append("X\0\0\0\4", 5);
}

void PostgresProtocol::send_password(std::string_view password) {
  begin('p');
  put(password);
  end();
}

// ---------------------------------------------------------------------------------------------------------------------
// What is received
// ---------------------------------------------------------------------------------------------------------------------

std::span<char> PostgresProtocol::room() {
  const auto grow = [this](std::size_t capacity) {
    auto made = std::make_unique_for_overwrite<char[]>(capacity);
    if (end_ > begin_) std::memcpy(made.get(), in_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    in_ = std::move(made);
    capacity_ = capacity;
  };
  if (begin_ == end_) {
    const bool full = end_ == capacity_;
    begin_ = end_ = 0;
    if (capacity_ == 0 || capacity_ > kBufferKept)
      grow(kBuffer);
    else if (full)
      grow(std::min(2 * capacity_, kBufferKept));  // more arrives than one read takes
  } else if (capacity_ - end_ < kRoom) {
    // As much again as has arrived, never as much as was announced.
    if (end_ - begin_ > capacity_ / 2) {
      grow(2 * capacity_);
    } else {
      std::memmove(in_.get(), in_.get() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    }
  }
  return {in_.get() + end_, capacity_ - end_};
}

std::size_t PostgresProtocol::limit_of(char type) const noexcept {
  if (phase_ != Phase::running) return limits_.greeting;
  return type == 'D' || type == 'd' ? limits_.row : limits_.message;
}

PostgresProtocol::Event PostgresProtocol::next() {
  for (;;) {
    if (failed()) return {.kind = Kind::failed};
    if (skip_ > 0) {
      const auto part = std::min(skip_, end_ - begin_);
      skip_ -= part;
      begin_ += part;
      if (skip_ > 0) return {};
    }
    const auto available = end_ - begin_;
    if (available == 0) return {};
    const auto* at = in_.get() + begin_;
    if (ended_) return fail(Fault::order, "the server goes on behind a fatal error");
    if (phase_ == Phase::tls) {
      // What stands behind it has not come through TLS and must not be taken for what has.
      if (available > 1) return fail(Fault::order, "the server says more than whether it has TLS");
      ++begin_;
      phase_ = Phase::idle;
      if (*at == 'S') return {.kind = Kind::secured};
      if (*at == 'N') return {.kind = Kind::unsecured};
      return fail(Fault::authentication, "the server does not answer whether it has TLS");
    }
    if (available < kHead) return {};
    const char type = *at;
    const std::size_t length = big_endian<std::uint32_t>(at + 1);
    if (length < 4) return fail(Fault::length, "a message is shorter than its own length");
    const auto size = length - 4;
    if (size > limit_of(type)) {
      const bool is_row = type == 'D' && expected() && (front().step == Step::execute || front().step == Step::query);
      if (!is_row)
        return fail(Fault::length, phase_ == Phase::running
                                       ? "a message is longer than allowed"
                                       : "a first message is longer than allowed: is this a PostgreSQL server?");
      begin_ += kHead;
      skip_ = size;
      return {.kind = Kind::too_large};
    }
    if (available < kHead + size) return {};
    begin_ += kHead + size;
    const std::string_view body(at + kHead, size);
    auto event = phase_ == Phase::running ? message(type, body) : greeting(type, body);
    if (event.kind != Kind::none) return event;
  }
}

PostgresProtocol::Event PostgresProtocol::said(Kind kind, std::string_view body) {
  Body fields(body);
  for (;;) {
    const auto letter = fields.number<char>();
    if (!fields.good()) break;
    if (letter == '\0') break;
    (void)fields.text();
  }
  if (!fields.done()) return fail(Fault::content, "an error or a notice cannot be read");
  return {.kind = kind, .said = PostgresSaid(body)};
}

PostgresProtocol::Event PostgresProtocol::row(std::string_view body) {
  if (!expected() || (front().step != Step::execute && front().step != Step::query) || copy_ != Copy::none)
    return fail(Fault::order, "a row that nothing asked for");
  const auto* at = body.data();
  const auto* const end = at + body.size();
  if (body.size() < 2) return fail(Fault::content, "a row cannot be read");
  const std::size_t count = big_endian<std::uint16_t>(at);
  at += 2;
  if (count > limits_.columns) return fail(Fault::length, "a row has more columns than allowed");
  if (front().columns >= 0 ? count != static_cast<std::size_t>(front().columns) : front().step == Step::query)
    return fail(Fault::content, "a row has other columns than were described");
  if (cells_.size() < count) cells_.resize(count);
  auto* cell = cells_.data();
  for (auto* const last = cell + count; cell != last; ++cell) {
    if (end - at < 4) return fail(Fault::content, "a row cannot be read");
    const auto size = big_endian<std::uint32_t>(at);
    at += 4;
    if (size == 0xffffffff) {
      *cell = {};
      continue;
    }
    if (static_cast<std::size_t>(end - at) < size) return fail(Fault::content, "a value is longer than its row");
    *cell = {at, size};
    at += size;
  }
  if (at != end) return fail(Fault::content, "a row is longer than its values");
  return {.kind = Kind::row, .cells = {cells_.data(), count}};
}

PostgresProtocol::Event PostgresProtocol::described(std::string_view body) {
  Body in(body);
  const std::size_t count = in.number<std::uint16_t>();
  if (count > limits_.columns) return fail(Fault::length, "a result has more columns than allowed");
  columns_.resize(count);
  for (auto& column : columns_) {
    column.name = in.text();
    column.table = in.number<std::uint32_t>();
    column.place = in.number<std::int16_t>();
    column.type = static_cast<PostgresType>(in.number<std::uint32_t>());
    column.size = in.number<std::int16_t>();
    column.modifier = in.number<std::int32_t>();
    const auto format = in.number<std::int16_t>();
    column.binary = format == 1;
    if (format < 0 || format > 1 || !in.good()) return fail(Fault::content, "a description of columns cannot be read");
  }
  if (!in.done()) return fail(Fault::content, "a description of columns cannot be read");
  return {.kind = Kind::columns, .columns = columns_};
}

void PostgresProtocol::fail_unit() noexcept {
  while (expected() && front().step != Step::sync && front().step != Step::query) pop();
  if (expected()) front().columns = -1;
  copy_ = Copy::none;
}

PostgresProtocol::Event PostgresProtocol::copies(char type, std::string_view body) {
  if (type == 'W') return fail(Fault::order, "the server begins replication, which nothing asked for");
  if (copy_ != Copy::none) return fail(Fault::order, "a COPY begins inside another one");
  if (front().step != Step::copy) return refuse_copy(type);
  if (type == 'H') return fail(Fault::order, "a COPY from the client gives data");
  Body in(body);
  const auto format = in.number<std::uint8_t>();
  const std::size_t count = in.number<std::uint16_t>();
  bool text = format == 0;
  for (std::size_t i = 0; i < count && in.good(); ++i) text &= in.number<std::uint16_t>() == 0;
  if (!in.done() || !text) return fail(Fault::content, "the beginning of a COPY cannot be read");
  copy_ = Copy::takes;
  return {.kind = Kind::copy_in};
}

PostgresProtocol::Event PostgresProtocol::refuse_copy(char type) {
  if (type == 'H') {
    copy_ = Copy::dropped;
    return {.kind = Kind::copy_refused};
  }
  // While it waits for data the server overlooks the sync that was sent already (protocol, section 55.2.6).
  const auto syncs = std::count_if(steps_.begin() + static_cast<std::ptrdiff_t>(next_step_), steps_.end(),
                                   [](const Expected& each) { return each.step == Step::sync; });
  if (syncs > 1 || (front().step == Step::query && units_ > 1))
    return fail(Fault::order, "a COPY from the client begins while more is pipelined behind it");
  begin('f');
  put("COPY from the client is not supported");
  end();
  if (syncs == 1) out_.append("S\0\0\0\4", 5);
  return {.kind = Kind::copy_refused};
}

PostgresProtocol::Event PostgresProtocol::message(char type, std::string_view body) {
  const auto out_of_order = [this] { return fail(Fault::order, "a message that nothing asked for"); };
  const auto unreadable = [this] { return fail(Fault::content, "a message cannot be read"); };
  // Kinds that say no more than that a step is done.
  const auto done = [&](Step step, Kind kind) -> Event {
    if (!expected() || front().step != step) return out_of_order();
    if (!body.empty()) return unreadable();
    pop();
    return {.kind = kind};
  };
  const bool runs =
      expected() && (front().step == Step::execute || front().step == Step::query || front().step == Step::copy);
  // Behind the last row: an `execute` is over, a `query` may have more statements.
  const auto ran = [&] {
    if (front().step == Step::query)
      front().columns = -1;
    else
      pop();
    copy_ = Copy::none;
  };
  const bool under_way = copy_ == Copy::takes || copy_ == Copy::dropped;
  switch (type) {
    case 'D': return row(body);
    case '1': return done(Step::parse, Kind::parsed);
    case '2': return done(Step::bind, Kind::bound);
    case '3': return done(Step::close, Kind::closed);
    case 'C': {
      if (!runs || under_way) return out_of_order();
      Body in(body);
      const auto tag = in.text();
      if (!in.done()) return unreadable();
      ran();
      return {.kind = Kind::complete, .text = tag};
    }
    case 'I':
      if (!runs || under_way || front().step == Step::copy) return out_of_order();
      if (!body.empty()) return unreadable();
      ran();
      return {.kind = Kind::complete};
    case 's': return done(Step::execute, Kind::suspended);
    case 't': {
      if (!expected() || front().step != Step::describe) return out_of_order();
      Body in(body);
      types_.resize(in.number<std::uint16_t>());
      for (auto& each : types_) each = static_cast<PostgresType>(in.number<std::uint32_t>());
      if (!in.done()) return unreadable();
      front().step = Step::describe_rows;
      return {.kind = Kind::parameter_types, .types = types_};
    }
    case 'n':
    case 'T': {
      const bool of_query = expected() && front().step == Step::query && type == 'T';
      if (!of_query && (!expected() || front().step != Step::describe_rows)) return out_of_order();
      if (type == 'n' && !body.empty()) return unreadable();
      auto event = type == 'T' ? described(body) : Event{.kind = Kind::columns};
      if (event.kind == Kind::failed) return event;
      const auto count = static_cast<std::int32_t>(event.columns.size());
      if (of_query) {
        front().columns = count;
      } else {
        pop();
        if (expected() && front().step == Step::execute) front().columns = count;
      }
      return event;
    }
    case 'Z': {
      if (!expected() || (front().step != Step::sync && front().step != Step::query) || under_way)
        return out_of_order();
      if (body.size() != 1 || (body[0] != 'I' && body[0] != 'T' && body[0] != 'E')) return unreadable();
      transaction_ = body[0];
      pop();
      --units_;
      return {.kind = Kind::ready};
    }
    case 'E': {
      auto event = said(Kind::error, body);
      if (event.kind == Kind::failed) return event;
      ended_ = units_ == 0 || event.said.is_fatal();
      fail_unit();
      return event;
    }
    case 'N': return said(Kind::notice, body);
    case 'S': {
      Body in(body);
      const auto name = in.text();
      const auto value = in.text();
      return in.done() ? Event{.kind = Kind::parameter, .name = name, .text = value} : unreadable();
    }
    case 'A': {
      Body in(body);
      const auto process = in.number<std::uint32_t>();
      const auto channel = in.text();
      const auto payload = in.text();
      return in.done() ? Event{.kind = Kind::notification, .name = channel, .text = payload, .process = process}
                       : unreadable();
    }
    case 'G':
    case 'H':
    case 'W': return runs ? copies(type, body) : out_of_order();
    case 'd': return copy_ == Copy::dropped ? Event{} : out_of_order();
    case 'c':
      if (copy_ != Copy::dropped) return out_of_order();
      copy_ = Copy::none;
      return {};
    default: return fail(Fault::order, "a message of a kind that is not known");
  }
}

PostgresProtocol::Event PostgresProtocol::greeting(char type, std::string_view body) {
  switch (type) {
    case 'R':
      if (phase_ == Phase::idle || phase_ == Phase::settling) break;
      return authentication(body);
    case 'E': {
      if (phase_ == Phase::idle) break;
      auto event = said(Kind::error, body);
      ended_ = true;
      return event;
    }
    case 'N':
      if (phase_ == Phase::idle) break;
      return said(Kind::notice, body);
    case 'S':
    case 'K':
    case 'Z': {
      if (phase_ != Phase::settling) break;
      if (type == 'S') return message(type, body);
      Body in(body);
      if (type == 'K') {
        const auto process = in.number<std::uint32_t>();
        const auto secret = in.number<std::uint32_t>();
        if (!in.done()) return fail(Fault::content, "the key for cancel requests cannot be read");
        return {.kind = Kind::key, .process = process, .secret = secret};
      }
      if (in.number<char>() != 'I' || !in.done())
        return fail(Fault::content, "the server's first state of a transaction cannot be read");
      phase_ = Phase::running;
      return {.kind = Kind::ready};
    }
    case 'v': return fail(Fault::authentication, "the server does not speak protocol 3.0 with these parameters");
    default: break;
  }
  return fail(Fault::order,
              "a message that does not belong to the beginning of a connection: is this a PostgreSQL server?");
}

PostgresProtocol::Event PostgresProtocol::let_in() {
  if (phase_ != Phase::authentication && phase_ != Phase::settling && scram_)
    return fail(Fault::authentication, "the server has not proved that it knows the password (SCRAM)");
  if (startup_.binding == ChannelBinding::required && !bound_to_channel_)
    return fail(Fault::authentication, "channel binding is required, and the server let us in without it");
  OPENSSL_cleanse(startup_.password.data(), startup_.password.size());
  startup_ = {};
  scram_.reset();
  phase_ = Phase::settling;
  return {.kind = Kind::authenticated};
}

PostgresProtocol::Event PostgresProtocol::authentication(std::string_view body) {
  enum : std::uint32_t { ok = 0, cleartext = 3, md5 = 5, sasl_begin = 10, sasl_continue = 11, sasl_final = 12 };
  const auto refuse = [this](std::string_view why) { return fail(Fault::authentication, why); };
  Body in(body);
  const auto code = in.number<std::uint32_t>();
  if (!in.good()) return fail(Fault::content, "a request for authentication cannot be read");
  if (code == ok) return in.done() ? let_in() : fail(Fault::content, "a request for authentication cannot be read");
  if (code == cleartext || code == md5 || code == sasl_begin) {
    if (phase_ != Phase::authentication || bound_to_channel_) return refuse("the server asks for a password twice");
    if (startup_.password.empty()) return refuse("the server asks for a password, and there is none");
    if (code != sasl_begin && startup_.binding == ChannelBinding::required)
      return refuse("channel binding is required, and the server asks for a password without it");
  }
  switch (code) {
    case cleartext:
      if (!in.done()) return fail(Fault::content, "a request for authentication cannot be read");
      if (!startup_.cleartext)
        return refuse(
            "the server asks for the password in cleartext, which is sent over TLS and Unix sockets only, or where the "
            "URL says `sslmode=disable`");
      if (!passable(startup_.password)) return {.kind = Kind::failed};
      send_password(startup_.password);
      break;
    case md5: {
      const auto salt = in.rest();
      if (salt.size() != 4) return fail(Fault::content, "a request for authentication cannot be read");
      const auto user = std::ranges::find(startup_.parameters, "user", &std::pair<std::string, std::string>::first);
      const auto hash =
          postgres_md5(user == startup_.parameters.end() ? std::string{} : user->second, startup_.password, salt);
      if (hash.empty()) return refuse("the server asks for MD5, which this system does not have");
      send_password(hash);
      break;
    }
    case sasl_begin: return sasl(in.rest());
    case sasl_continue: {
      if (phase_ != Phase::scram_first) return refuse("the server's SCRAM message comes out of turn");
      const auto answer = scram_->answer(in.rest());
      if (answer.empty()) return refuse(scram_->fault());
      begin('p');
      out_ += answer;
      end();
      phase_ = Phase::scram_final;
      return {};
    }
    case sasl_final:
      if (phase_ != Phase::scram_final) return refuse("the server's SCRAM message comes out of turn");
      if (!scram_->verify(in.rest())) return refuse(scram_->fault());
      scram_.reset();
      break;
    default: return refuse("the server asks for an authentication other than a password (GSSAPI, SSPI, Kerberos)");
  }
  // From here on the server has nothing more to ask.
  OPENSSL_cleanse(startup_.password.data(), startup_.password.size());
  startup_.password.clear();
  phase_ = Phase::authentication;
  return {};
}

PostgresProtocol::Event PostgresProtocol::sasl(std::string_view mechanisms) {
  constexpr std::string_view kPlain = "SCRAM-SHA-256", kPlus = "SCRAM-SHA-256-PLUS";
  bool plain = false, plus = false;
  Body in(mechanisms);
  for (auto name = in.text(); !name.empty(); name = in.text()) {
    plain |= name == kPlain;
    plus |= name == kPlus;
  }
  if (!in.done()) return fail(Fault::content, "the list of SASL mechanisms cannot be read");
  if (plus && !startup_.secure)
    return fail(Fault::authentication, "the server offers channel binding without TLS: something stands in between");
  const bool able = startup_.secure && !startup_.end_point.empty() && startup_.binding != ChannelBinding::off;
  const bool binds = able && plus;
  if (!binds && startup_.binding == ChannelBinding::required)
    return fail(Fault::authentication, "channel binding is required, and cannot be had with this server");
  if (!binds && !plain) return fail(Fault::authentication, "the server offers no SASL mechanism that is known here");
  scram_.emplace(std::move(startup_.password), startup_.nonce,
                 binds  ? PostgresScram::Binding::end_point
                 : able ? PostgresScram::Binding::not_offered
                        : PostgresScram::Binding::impossible,
                 startup_.end_point);
  bound_to_channel_ = binds;
  const auto first = scram_->first();
  begin('p');
  put(binds ? kPlus : kPlain);
  put32(static_cast<std::uint32_t>(first.size()));
  out_ += first;
  end();
  phase_ = Phase::scram_first;
  return {};
}

}  // namespace plimsoll::database
