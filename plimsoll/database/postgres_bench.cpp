// A row by its key: through the pool, through our protocol machine alone, through libpq alone, and through the few
// messages of the protocol written by hand, which is what the others are compared with. Instructions: valgrind
// --tool=callgrind --toggle-collect='…' (docs/design/postgres.md).

#include "plimsoll/async/loop.hpp"
#include "plimsoll/database/postgres.hpp"
#include "plimsoll/database/postgres_protocol.hpp"
#include "plimsoll/database/postgres_server.hpp"
#include "plimsoll/database/postgres_value.hpp"

#include <benchmark/benchmark.h>
#include <libpq-fe.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <string>

namespace plimsoll::database {
namespace {

constexpr const char* kSelect =
    "SELECT id, name, category, price, stock, description, made, gone FROM item WHERE id=$1";

PostgresServer* server() {
  static PostgresServer* const made = [] {
    auto* server = PostgresServer::shared();
    if (server)
      server->psql(
          "CREATE TABLE item(id int8 PRIMARY KEY, name text, category text, price numeric, stock int8, description "
          "text, made timestamptz, gone timestamptz);"
          "INSERT INTO item SELECT g, 'Copper kettle ' || g, 'kitchen', g * 1.10, g % 9, repeat('words ', 12), now(), "
          "NULL FROM generate_series(1, 10000) g; ANALYZE item");
    return server;
  }();
  return made;
}

/// Looks at each field once, as whoever writes JSON does.
struct Sink final : RowSink {
  void begin() override {}
  bool row(std::span<const Field> fields) override {
    for (const auto& field : fields) benchmark::DoNotOptimize(&field);
    ++rows;
    return true;
  }
  std::int64_t rows = 0;
};

void through_the_pool(benchmark::State& state) {
  if (!server()) return state.SkipWithError("PostgreSQL is not installed");
  auto database = open_postgres({.url = server()->url()}).value();
  const auto lines = static_cast<std::size_t>(state.range(0));
  const std::string sql = "SELECT id, name, category, price, stock, description, made, gone FROM item WHERE id=?";
  std::int64_t done = 0;
  for (auto _ : state) {
    constexpr std::int64_t kEach = 100;
    Loop loop;
    std::vector<Scope> scopes(lines);
    Sink sink;
    auto ask = [&](std::int64_t first) -> Task<> {
      constexpr Reading kReading{.quick = true, .order = ReadClass::key, .site = 1};
      for (std::int64_t i = 0; i < kEach; ++i) {
        const Cell key[] = {1 + (first * kEach + i) % 10'000};
        auto read = co_await database->read(loop, sql, key, kReading, sink);
        if (!read) std::abort();
      }
    };
    for (std::size_t i = 0; i < lines; ++i) loop.spawn(scopes[i], ask(static_cast<std::int64_t>(i)));
    loop.run();
    done += sink.rows;
  }
  state.SetItemsProcessed(done);
}
BENCHMARK(through_the_pool)->Arg(1)->Arg(16)->UseRealTime();

void through_libpq(benchmark::State& state) {
  if (!server()) return state.SkipWithError("PostgreSQL is not installed");
  auto* conn = PQconnectdb(server()->url().c_str());
  PQclear(PQprepare(conn, "p", kSelect, 0, nullptr));
  PQenterPipelineMode(conn);
  Sink sink;
  std::int64_t key = 0;
  std::vector<Field> fields(8);
  std::vector<std::string> scratch(8);
  for (auto _ : state) {
    const auto text = std::to_string(1 + key++ % 10'000);
    const char* values[] = {text.c_str()};
    PQsendQueryPrepared(conn, "p", 1, values, nullptr, nullptr, 0);
    PQpipelineSync(conn);
    for (bool more = true; more;) {
      auto* result = PQgetResult(conn);
      if (!result) continue;
      if (PQresultStatus(result) == PGRES_TUPLES_OK) {
        for (int c = 0; c < 8; ++c)
          fields[static_cast<std::size_t>(c)] =
              PQgetisnull(result, 0, c)
                  ? Field{}
                  : postgres_field(static_cast<PostgresType>(PQftype(result, c)),
                                   {PQgetvalue(result, 0, c), static_cast<std::size_t>(PQgetlength(result, 0, c))},
                                   scratch[static_cast<std::size_t>(c)]);
        sink.row(fields);
      }
      more = PQresultStatus(result) != PGRES_PIPELINE_SYNC;
      PQclear(result);
    }
  }
  PQfinish(conn);
  state.SetItemsProcessed(sink.rows);
}
BENCHMARK(through_libpq)->UseRealTime();

int connected(const std::string& folder) {
  const int made = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  const auto path = folder + "/.s.PGSQL.5432";
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  if (::connect(made, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) std::abort();
  return made;
}

/// PostgresProtocol on a blocking socket.
class Machine {
 public:
  using Kind = PostgresProtocol::Kind;
  explicit Machine(const std::string& folder) : socket_(connected(folder)) {
    protocol_.start({.parameters = {{"user", "postgres"}, {"database", "postgres"}}});
    exchange([](const PostgresProtocol::Event&) {});
    protocol_.parse("p", kSelect);
    protocol_.describe("p");
    protocol_.sync();
    exchange([&](const PostgresProtocol::Event& event) {
      if (event.kind != Kind::columns) return;
      for (const auto& column : event.columns) types_.push_back(column.type);
    });
    fields_.resize(types_.size());
    scratch_.resize(types_.size());
  }
  ~Machine() { ::close(socket_); }
  void row(std::int64_t key, RowSink& sink) {
    const auto parameter = postgres_parameter(Cell{key}, PostgresType::int8, text_);
    protocol_.bind("p", {&parameter, 1});
    protocol_.execute(static_cast<int>(types_.size()));
    protocol_.sync();
    exchange([&](const PostgresProtocol::Event& event) {
      if (event.kind != Kind::row) return;
      for (std::size_t c = 0; c < types_.size(); ++c)
        fields_[c] = event.cells[c].is_null() ? Field{} : postgres_field(types_[c], event.cells[c].text(), scratch_[c]);
      sink.row(fields_);
    });
  }

 private:
  template <class F>
  void exchange(F take) {
    const auto out = protocol_.output();
    if (::send(socket_, out.data(), out.size(), MSG_NOSIGNAL) < 0) std::abort();
    protocol_.sent(out.size());
    for (;;) {
      const auto event = protocol_.next();
      if (event.kind == Kind::failed || event.kind == Kind::error) std::abort();
      if (event.kind == Kind::ready) return;
      if (event.kind != Kind::none) {
        take(event);
        continue;
      }
      const auto room = protocol_.room();
      const auto got = ::recv(socket_, room.data(), room.size(), 0);
      if (got <= 0) std::abort();
      protocol_.received(static_cast<std::size_t>(got));
    }
  }
  int socket_;
  PostgresProtocol protocol_;
  std::string text_;
  std::vector<PostgresType> types_;
  std::vector<Field> fields_;
  std::vector<std::string> scratch_;
};

void through_the_machine(benchmark::State& state) {
  if (!server()) return state.SkipWithError("PostgreSQL is not installed");
  Machine machine{server()->folder()};
  Sink sink;
  std::int64_t key = 0;
  for (auto _ : state) machine.row(1 + key++ % 10'000, sink);
  state.SetItemsProcessed(sink.rows);
}
BENCHMARK(through_the_machine)->UseRealTime();

/// The few messages that this exchange needs (protocol, section 55.7), on a blocking socket.
class Protocol {
 public:
  explicit Protocol(const std::string& folder) : socket_(connected(folder)) {
    std::string hello("\0\3\0\0user\0postgres\0database\0postgres\0\0", 37);
    number(out_, static_cast<std::uint32_t>(hello.size() + 4));
    out_ += hello;
    answer([](char, std::string_view) {});
    message('P', std::string("p\0", 2) + kSelect + std::string("\0\0\0", 3));
    message('D', std::string("Sp\0", 3));
    message('S', {});
    answer([&](char type, std::string_view body) {
      if (type != 'T') return;
      for (std::size_t at = 2; at < body.size(); at += 18) {
        at = body.find('\0', at) + 1;
        types_.push_back(static_cast<PostgresType>(read(body, at + 6)));
      }
    });
    fields_.resize(types_.size());
    scratch_.resize(types_.size());
  }
  ~Protocol() { ::close(socket_); }

  void row(std::int64_t key, RowSink& sink) {
    const auto text = std::to_string(key);
    std::string bind("\0p\0\0\0\0\1", 7);
    number(bind, static_cast<std::uint32_t>(text.size()));
    bind += text;
    bind += std::string("\0\0", 2);
    message('B', bind);
    message('E', std::string("\0\0\0\0\0", 5));
    message('S', {});
    answer([&](char type, std::string_view body) {
      if (type != 'D') return;
      std::size_t at = 2;
      for (std::size_t c = 0; c < types_.size(); ++c) {
        const auto size = read(body, at);
        at += 4;
        if (size == 0xffffffffU) {
          fields_[c] = {};
          continue;
        }
        fields_[c] = postgres_field(types_[c], body.substr(at, size), scratch_[c]);
        at += size;
      }
      sink.row(fields_);
    });
  }

 private:
  static void number(std::string& out, std::uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
  }
  static std::uint32_t read(std::string_view text, std::size_t at) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(text[at + i]);
    return value;
  }
  void message(char type, std::string_view body) {
    out_ += type;
    number(out_, static_cast<std::uint32_t>(body.size() + 4));
    out_ += body;
  }
  template <class F>
  void answer(F take) {
    if (::send(socket_, out_.data(), out_.size(), MSG_NOSIGNAL) < 0) std::abort();
    out_.clear();
    for (std::size_t at = 0;;) {
      while (in_.size() >= at + 5 && in_.size() >= at + 1 + read(in_, at + 1)) {
        const auto size = read(in_, at + 1);
        const auto type = in_[at];
        take(type, std::string_view(in_).substr(at + 5, size - 4));
        at += 1 + size;
        if (type == 'Z') return in_.clear();
        if (type == 'E') std::abort();
      }
      std::array<char, 8192> piece;
      const auto got = ::recv(socket_, piece.data(), piece.size(), 0);
      if (got <= 0) std::abort();
      in_.append(piece.data(), static_cast<std::size_t>(got));
    }
  }
  int socket_;
  std::string out_, in_;
  std::vector<PostgresType> types_;
  std::vector<Field> fields_;
  std::vector<std::string> scratch_;
};

void through_the_protocol(benchmark::State& state) {
  if (!server()) return state.SkipWithError("PostgreSQL is not installed");
  Protocol protocol{server()->folder()};
  Sink sink;
  std::int64_t key = 0;
  for (auto _ : state) protocol.row(1 + key++ % 10'000, sink);
  state.SetItemsProcessed(sink.rows);
}
BENCHMARK(through_the_protocol)->UseRealTime();

}  // namespace
}  // namespace plimsoll::database
