#pragma once

#include "plimsoll/database/postgres_scram.hpp"
#include "plimsoll/database/postgres_value.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plimsoll::database {

/// A value of a row as it came: null where `data` is.
struct PostgresCell {
  const char* data = nullptr;
  std::size_t size = 0;

  bool is_null() const noexcept { return data == nullptr; }
  std::string_view text() const noexcept { return {data, size}; }
};

/// A column of a result (RowDescription).
struct PostgresColumn {
  std::string_view name;
  std::uint32_t table = 0;    ///< 0: no column of a table
  std::int16_t place = 0;     ///< in that table, from 1
  PostgresType type{};        ///< its number in `pg_type`
  std::int16_t size = 0;      ///< of the type; negative: it varies
  std::int32_t modifier = 0;  ///< of the type
  bool binary = false;
};

/// What an error or a notice says: texts by the letters of the protocol (section 55.8).
class PostgresSaid {
 public:
  PostgresSaid() = default;
  explicit PostgresSaid(std::string_view fields) : fields_(fields) {}
  /// `C` the SQLSTATE, `M` the message, `D` detail, `H` hint, `P` position, `s` schema, `t` table, `c` column,
  /// `n` constraint, `V` the severity in English; empty where it is not said.
  std::string_view operator[](char letter) const noexcept;
  /// FATAL or PANIC: the server closes the connection.
  bool is_fatal() const noexcept;

 private:
  std::string_view fields_;
};

/// The client of PostgreSQL's protocol 3.0 (PostgreSQL documentation, chapter 55) without I/O: a value that is fed
/// bytes and asked to say things, and gives events and bytes.
///
///     protocol.start(startup);
///     for (;;) {
///       send(protocol.output());  protocol.sent(n);
///       protocol.received(receive(protocol.room()));
///       for (auto event = protocol.next(); event.kind != Kind::none; event = protocol.next()) …
///     }
///
/// What is said is queued: statements may be pipelined, with a `sync` behind each unit that may fail alone. Each answer
/// must fit what was said before it, in order; every length has a bound. An answer that does not fit is a fault: the
/// machine then gives `failed`, takes nothing any more, and the connection is to be closed.
class PostgresProtocol {
 public:
  struct Limits {
    std::size_t row = 256u << 20;      ///< bytes of a row; a longer one is passed over and told as `too_large`
    std::size_t message = 1u << 20;    ///< bytes of any other message
    std::size_t greeting = 32u << 10;  ///< the same, before the server has let us in
    std::size_t columns = 1'664;       ///< of a row; no table or result of PostgreSQL has more
    std::size_t output = 1u << 30;     ///< bytes of one message that is sent
  };

  enum class Kind : std::uint8_t {
    none,       ///< all that was received has been looked at
    failed,     ///< `fault` says why
    secured,    ///< the server agrees to TLS: do its handshake, then `start`
    unsecured,  ///< the server has no TLS
    authenticated,
    parameter,  ///< `name` and `text`: a parameter of the session (ParameterStatus)
    key,        ///< `process` and `secret`, for a cancel request
    ready,      ///< the unit has ended; the state of its transaction is in `transaction`
    parsed,
    bound,
    closed,
    parameter_types,  ///< `types`
    columns,          ///< `columns`; none: the statement has no rows
    row,              ///< `cells`
    too_large,        ///< a row beyond the limit, which is not given
    complete,         ///< the statement has ended; `text` is its command tag, empty for an empty statement
    suspended,
    error,         ///< `said`; what was pipelined behind it up to the next sync is not done
    notice,        ///< `said`
    notification,  ///< `name` the channel, `text`, `process`
    copy_refused,  ///< COPY from or to the client, which is ended: its error, or its end, follows
    copy_in,       ///< the server takes the data of a COPY that was asked for: `copy_data`, then `copy_done`
  };
  struct Event {
    Kind kind = Kind::none;
    std::string_view name{}, text{};
    PostgresSaid said{};
    std::uint32_t process = 0, secret = 0;
    std::span<const PostgresType> types{};
    std::span<const PostgresColumn> columns{};
    std::span<const PostgresCell> cells{};
  };
  enum class Fault : std::uint8_t {
    none,
    length,          ///< a message is longer than its limit, or shorter than its kind allows
    order,           ///< a message that nothing asked for
    content,         ///< a message that cannot be read
    authentication,  ///< the server asks for, or proves, something else than it should
    misuse,          ///< what we were to say cannot be said
  };

  PostgresProtocol() : PostgresProtocol(Limits{}) {}
  explicit PostgresProtocol(Limits limits) : limits_(limits) {}
  ~PostgresProtocol();
  PostgresProtocol(const PostgresProtocol&) = delete;

  // --- the beginning ---

  /// Asks for TLS (SSLRequest); before `start`, and before anything else.
  void ask_for_tls();
  enum class ChannelBinding : std::uint8_t { off, preferred, required };
  struct Startup {
    std::vector<std::pair<std::string, std::string>> parameters{};  ///< `user`, `database`, …
    std::string password{};                                         ///< empty: none
    bool cleartext = false;   ///< the password itself may be sent: the connection, or who runs it, guards it
    std::string nonce{};      ///< random, printable, without a comma
    std::string end_point{};  ///< of the TLS connection, for channel binding; empty: none
    bool secure = false;      ///< there is TLS
    ChannelBinding binding = ChannelBinding::preferred;
  };
  void start(Startup startup);
  /// The whole of what is sent on a connection of its own to ask a server to break off what another one does.
  static std::string cancel_request(std::uint32_t process, std::uint32_t secret);
  static std::string tls_request();

  // --- what is said; nothing is sent before `output` is ---

  /// Parses and keeps a statement under a name; empty: until the next one without a name. The server finds out types.
  void parse(std::string_view name, std::string_view sql);
  void describe(std::string_view name);
  /// Of the portal: behind `bind`.
  void describe_portal();
  /// Values for a statement, in the unnamed portal; results as text.
  void bind(std::string_view name, std::span<const PostgresParameter> parameters);
  /// Runs what was bound, to its end. `columns`: of its rows, where they are known; negative: not.
  void execute(int columns = -1);
  void close(std::string_view name);
  void sync();
  /// Statements in one text, by the simple protocol. It has a sync in it.
  void query(std::string_view sql);
  /// `COPY … FROM STDIN`, by the simple protocol. It has a sync in it. Behind `copy_in` its data follows.
  void copy(std::string_view sql);
  /// The server takes data of a COPY. Where it refuses it, by an error, it no longer does.
  bool takes_data() const noexcept { return copy_ == Copy::takes; }
  /// Data of the COPY, of any number of rows or parts of them; while the server takes it.
  void copy_data(std::string_view data);
  /// That was all of it.
  void copy_done();
  /// It is to be given up: the server answers with an error (57014).
  void copy_fail(std::string_view why);
  void terminate();

  std::string_view output() const noexcept { return std::string_view(out_).substr(sent_); }
  void sent(std::size_t bytes) noexcept;

  // --- what is received ---

  /// Where to receive to, never empty. Events given before are no longer to be looked at.
  std::span<char> room();
  void received(std::size_t bytes) noexcept { end_ += bytes; }
  /// The next event; its views are good until `next` or `room` is called again.
  Event next();

  /// Units that were said and have not ended.
  std::size_t pending() const noexcept { return units_; }
  /// As the last unit left it: `I` none, `T` inside, `E` inside one that has failed.
  char transaction() const noexcept { return transaction_; }
  bool failed() const noexcept { return fault_ != Fault::none; }
  Fault fault() const noexcept { return fault_; }
  std::string_view fault_text() const noexcept { return fault_text_; }
  /// Bytes that are held for what was received and has to be sent, for budgets and tests.
  std::size_t held() const noexcept { return capacity_ + out_.capacity(); }

 private:
  enum class Phase : std::uint8_t { idle, tls, authentication, scram_first, scram_final, settling, running };
  enum class Step : std::uint8_t { parse, bind, describe, describe_rows, execute, close, sync, query, copy };
  enum class Copy : std::uint8_t {
    none,
    takes,    ///< data of one that was asked for
    ended,    ///< its data has been said
    dropped,  ///< one that nothing asked for gives data
  };
  struct Expected {
    Step step;
    std::int32_t columns = -1;
  };
  class Body;
  Event fail(Fault fault, std::string_view text);
  bool passable(std::string_view text);
  void begin(char type);
  void end();
  void put16(std::uint16_t value);
  void put32(std::uint32_t value);
  void put(std::string_view text) { out_.append(text).push_back('\0'); }
  void expect(Step step, int columns = -1);
  bool expected() const noexcept { return next_step_ < steps_.size(); }
  Expected& front() noexcept { return steps_[next_step_]; }
  void pop() noexcept;
  void fail_unit() noexcept;
  std::size_t limit_of(char type) const noexcept;
  Event message(char type, std::string_view body);
  Event greeting(char type, std::string_view body);
  Event authentication(std::string_view body);
  Event sasl(std::string_view mechanisms);
  Event let_in();
  Event row(std::string_view body);
  Event described(std::string_view body);
  Event said(Kind kind, std::string_view body);
  Event copies(char type, std::string_view body);
  Event refuse_copy(char type);
  void send_password(std::string_view password);

  Limits limits_;
  Phase phase_ = Phase::idle;
  Fault fault_ = Fault::none;
  std::string_view fault_text_;
  Startup startup_;
  std::optional<PostgresScram> scram_;
  bool bound_to_channel_ = false, ended_ = false;
  Copy copy_ = Copy::none;
  char transaction_ = 'I';

  std::string out_;
  std::size_t sent_ = 0, message_ = 0;
  std::unique_ptr<char[]> in_;
  std::size_t capacity_ = 0, begin_ = 0, end_ = 0;
  std::size_t skip_ = 0;  ///< bytes of a row that is too large, still to come

  std::vector<Expected> steps_;
  std::size_t next_step_ = 0, units_ = 0;
  std::vector<PostgresCell> cells_;
  std::vector<PostgresColumn> columns_;
  std::vector<PostgresType> types_;
};

}  // namespace plimsoll::database
