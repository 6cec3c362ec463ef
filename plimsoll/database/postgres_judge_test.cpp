// libpq as the judge: the same statements, through it and through the protocol machine, on a real server.

#include "plimsoll/database/postgres_protocol.hpp"
#include "plimsoll/database/postgres_server.hpp"

#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <random>

namespace plimsoll::database {
namespace {

/// A value to send; none: NULL. `binary` as its bytes.
struct Parameter {
  std::optional<std::string> value;
  bool binary = false;
};

/// What a statement gave, in words that can be compared.
struct Outcome {
  std::vector<std::string> columns, rows, notices;
  std::string tag, error;
  char transaction = '?';
  bool operator==(const Outcome&) const = default;
};

void PrintTo(const Outcome& outcome, std::ostream* out) {
  for (const auto* list : {&outcome.columns, &outcome.rows, &outcome.notices}) {
    *out << list->size() << ": ";
    for (const auto& each : *list) *out << each.substr(0, 300) << "; ";
  }
  *out << outcome.tag << " " << outcome.error << " " << outcome.transaction;
}

// The places in PostgreSQL's own source are told as well, and are the same.
constexpr char kFields[] = {'S', 'V', 'C', 'M', 'D', 'H', 'P', 'p', 'q', 'W', 's', 't', 'c', 'd', 'n', 'F', 'L', 'R'};

class Judge {
 public:
  explicit Judge(const std::string& folder)
      : conn_(PQconnectdb(("host=" + folder + " user=postgres dbname=postgres options='-c TimeZone=UTC'").c_str())) {
    PQsetNoticeReceiver(
        conn_,
        [](void* into, const PGresult* notice) { static_cast<Judge*>(into)->outcome_.notices.push_back(said(notice)); },
        this);
  }
  ~Judge() { PQfinish(conn_); }
  Judge(const Judge&) = delete;
  bool good() const { return PQstatus(conn_) == CONNECTION_OK; }

  Outcome run(const std::string& sql, const std::vector<Parameter>& parameters) {
    outcome_ = {};
    const auto count = static_cast<int>(parameters.size());
    std::vector<const char*> values;
    std::vector<int> sizes, formats;
    for (const auto& parameter : parameters) {
      values.push_back(parameter.value ? parameter.value->c_str() : nullptr);
      sizes.push_back(parameter.value ? static_cast<int>(parameter.value->size()) : 0);
      formats.push_back(parameter.binary);
    }
    take(PQprepare(conn_, "", sql.c_str(), 0, nullptr));
    if (outcome_.error.empty()) {
      outcome_.tag.clear();
      take(PQexecPrepared(conn_, "", count, values.data(), sizes.data(), formats.data(), 0));
    }
    return finish();
  }
  Outcome query(const std::string& sql) {
    outcome_ = {};
    PQsendQuery(conn_, sql.c_str());
    while (auto* result = PQgetResult(conn_)) take(result);
    return finish();
  }

 private:
  static std::string said(const PGresult* result) {
    std::string made;
    for (const char field : kFields)
      if (const char* text = PQresultErrorField(result, field)) made.append(1, field).append(text).append("|");
    return made;
  }
  void take(PGresult* result) {
    const auto columns = PQnfields(result);
    for (int c = 0; c < columns; ++c)
      outcome_.columns.push_back(std::string(PQfname(result, c)) + " " + std::to_string(PQftype(result, c)) + " " +
                                 std::to_string(PQftable(result, c)) + " " + std::to_string(PQftablecol(result, c)) +
                                 " " + std::to_string(PQfmod(result, c)) + " " + std::to_string(PQfsize(result, c)) +
                                 " " + std::to_string(PQfformat(result, c)));
    for (int r = 0; r < PQntuples(result); ++r) {
      std::string row;
      for (int c = 0; c < columns; ++c)
        row += PQgetisnull(result, r, c)
                   ? "null,"
                   : "'" + std::string(PQgetvalue(result, r, c), static_cast<std::size_t>(PQgetlength(result, r, c))) +
                         "',";
      outcome_.rows.push_back(std::move(row));
    }
    if (PQresultStatus(result) == PGRES_FATAL_ERROR)
      outcome_.error += said(result);
    else
      outcome_.tag += std::string(PQcmdStatus(result)) + ";";
    PQclear(result);
  }
  Outcome finish() {
    const auto status = PQtransactionStatus(conn_);
    outcome_.transaction = status == PQTRANS_IDLE ? 'I' : status == PQTRANS_INTRANS ? 'T' : 'E';
    return std::move(outcome_);
  }
  PGconn* conn_;
  Outcome outcome_;
};

/// The machine on a blocking socket, that is given a few bytes at a time.
class Machine {
 public:
  using Kind = PostgresProtocol::Kind;
  Machine(const std::string& folder, std::size_t piece)
      : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)), piece_(piece) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    (folder + "/.s.PGSQL.5432").copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    protocol_.start({.parameters = {{"user", "postgres"}, {"database", "postgres"}, {"options", "-c TimeZone=UTC"}}});
    exchange();
  }
  ~Machine() { ::close(socket_); }
  Machine(const Machine&) = delete;

  Outcome run(const std::string& sql, const std::vector<Parameter>& parameters) {
    outcome_ = {};
    protocol_.parse("", sql);
    protocol_.describe("");
    protocol_.sync();
    exchange();
    if (!outcome_.error.empty()) return finish();
    std::vector<PostgresParameter> values;
    for (const auto& [value, binary] : parameters)
      values.push_back({value ? value->data() : nullptr, value ? static_cast<int>(value->size()) : 0, binary});
    protocol_.bind("", values);
    protocol_.execute(static_cast<int>(columns_.size()));
    protocol_.sync();
    exchange();
    if (!outcome_.error.empty()) outcome_.tag.clear();
    return finish();
  }
  Outcome query(const std::string& sql) {
    outcome_ = {};
    protocol_.query(sql);
    exchange();
    return finish();
  }

 private:
  static std::string said(const PostgresSaid& what) {
    std::string made;
    for (const char field : kFields)
      if (const auto text = what[field]; !text.empty()) made.append(1, field).append(text).append("|");
    return made;
  }
  Outcome finish() {
    outcome_.transaction = protocol_.transaction();
    columns_.clear();
    rows_.clear();
    return std::move(outcome_);
  }
  void exchange() {
    for (;;) {
      for (auto out = protocol_.output(); !out.empty(); out = protocol_.output()) {
        const auto size = ::send(socket_, out.data(), out.size(), MSG_NOSIGNAL);
        ASSERT_GT(size, 0);
        protocol_.sent(static_cast<std::size_t>(size));
      }
      const auto event = protocol_.next();
      switch (event.kind) {
        case Kind::none: {
          const auto room = protocol_.room();
          const auto size = ::recv(socket_, room.data(), std::min(room.size(), piece_), 0);
          ASSERT_GT(size, 0);
          protocol_.received(static_cast<std::size_t>(size));
          break;
        }
        case Kind::failed: FAIL() << protocol_.fault_text();
        case Kind::ready: return;
        case Kind::notice: outcome_.notices.push_back(said(event.said)); break;
        case Kind::error: outcome_.error += said(event.said); break;
        case Kind::complete:
          outcome_.tag += std::string(event.text) + ";";
          // libpq gives nothing of a statement that fails.
          std::ranges::move(columns_, std::back_inserter(outcome_.columns));
          std::ranges::move(rows_, std::back_inserter(outcome_.rows));
          columns_.clear();
          rows_.clear();
          break;
        case Kind::columns:
          columns_.clear();
          for (const auto& column : event.columns)
            columns_.push_back(std::string(column.name) + " " +
                               std::to_string(static_cast<std::uint32_t>(column.type)) + " " +
                               std::to_string(column.table) + " " + std::to_string(column.place) + " " +
                               std::to_string(column.modifier) + " " + std::to_string(column.size) + " " +
                               std::to_string(column.binary));
          break;
        case Kind::row: {
          std::string row;
          for (const auto& cell : event.cells) row += cell.is_null() ? "null," : "'" + std::string(cell.text()) + "',";
          rows_.push_back(std::move(row));
          break;
        }
        default: break;
      }
    }
  }
  int socket_;
  std::size_t piece_;
  PostgresProtocol protocol_;
  Outcome outcome_;
  std::vector<std::string> columns_, rows_;  ///< of the statement that runs
};

class PostgresJudge : public testing::Test {
 protected:
  void SetUp() override {
    auto* server = PostgresServer::shared();
    if (!server) GTEST_SKIP() << "PostgreSQL is not installed: scripts/install-dependencies test";
    server->psql(
        "DROP SCHEMA IF EXISTS judged CASCADE; CREATE SCHEMA judged; CREATE DOMAIN judged.rate AS int CHECK (VALUE > "
        "0);"
        "CREATE TABLE judged.a(id int PRIMARY KEY, n varchar(20) UNIQUE NOT NULL, p numeric(9,2), r judged.rate);"
        "CREATE TABLE judged.b(id int REFERENCES judged.a DEFERRABLE INITIALLY DEFERRED);"
        "INSERT INTO judged.a VALUES(1,'one',1.5,3),(2,'two',NULL,NULL)");
    judge.emplace(server->folder());
    ASSERT_TRUE(judge->good());
  }
  /// Everything with the machine being given so many bytes at a time.
  template <class F>
  void in_pieces(F all) {
    for (const std::size_t each : {1u, 7u, 1u << 20}) {
      SCOPED_TRACE("pieces of " + std::to_string(each));
      piece = each;
      machine.emplace(PostgresServer::shared()->folder(), piece);
      all();
    }
  }
  void same(const std::string& sql, const std::vector<Parameter>& parameters = {}) {
    EXPECT_EQ(machine->run(sql, parameters), judge->run(sql, parameters)) << sql.substr(0, 500);
  }
  void same_query(const std::string& sql) { EXPECT_EQ(machine->query(sql), judge->query(sql)) << sql.substr(0, 500); }
  std::optional<Judge> judge;
  std::optional<Machine> machine;
  std::size_t piece = 0;
};
TEST_F(PostgresJudge, StatementsGiveEqualRowsTypesAndErrors) {
  in_pieces([&] {
    same("SELECT * FROM judged.a ORDER BY id");
    same("SELECT id FROM judged.a WHERE n=$1 AND p=$2", {{"one"}, {"1.50"}});
    same("SELECT $1::text, $2::bytea, $3::int, $4::text",
         {{""}, {std::string("\0\xff", 2), true}, {}, {"\xc3\xa9'\\"}});
    same("SELECT NULL, '', ' ', E'\\n', '\xf0\x9f\x98\x80'");
    same(
        "SELECT true, 1::int2, 2::int8, 0.1::float4, 'NaN'::float8, 1.50::numeric, '{1,2}'::int[], ROW(1,'a'), now() - "
        "now(), "
        "'{\"a\":1}'::jsonb, '10.0.0.0/8'::cidr, '[1,5)'::int4range, 'c0ffee00-0000-4000-8000-000000000000'::uuid");
    same("SELECT");
    same("SELECT WHERE false");
    same("");
    same("INSERT INTO judged.a VALUES(3,'three') ON CONFLICT (id) DO UPDATE SET n=excluded.n RETURNING id, n");
    same("DELETE FROM judged.a WHERE id=404");
    same("SELECT generate_series(1," + std::string(piece == 1 ? "50" : "1000") + "), repeat('x', 50)");
    same("SELECT repeat('x', " + std::string(piece == 1 ? "3000" : "300000") + ")");
    same("SET application_name='judged'");
    same("EXPLAIN SELECT 1");
    same("SHOW application_name");
    std::string wide = "SELECT 1";
    for (int i = 2; i <= (piece == 1 ? 100 : 1600); ++i) wide += ',' + std::to_string(i);
    same(wide);
    // Errors at each stage.
    same("SELEC 1");
    same("SELECT * FROM judged.nowhere");
    same("SELECT nothing FROM judged.a");
    same("SELECT 1/(id-1) FROM judged.a ORDER BY id DESC");  // behind a row
    same("SELECT $1::int", {{"x"}});
    same("SELECT $1::text", {{"\xff"}});
    same("INSERT INTO judged.a VALUES(1,'again')");
    same("INSERT INTO judged.a VALUES(9,NULL)");
    same("INSERT INTO judged.a VALUES(9,'nine',1,0)");
    same("INSERT INTO judged.a VALUES(9,repeat('x',21))");
    same("INSERT INTO judged.b VALUES(77)");  // at the commit
    same("SELECT 1; SELECT 2");
    same("DO $$BEGIN RAISE NOTICE 'a %', 1; RAISE WARNING 'b' USING DETAIL='d', HINT='h'; END$$");
    same("DO $$BEGIN RAISE EXCEPTION 'c' USING ERRCODE='P0042', TABLE='t', COLUMN='c', CONSTRAINT='n'; END$$");
    // A transaction, one that has failed, and its end.
    same("BEGIN");
    same("SELECT 1");
    same("SELECT 1/0");
    same("SELECT 1");
    same("COMMIT");
    same("SELECT 1");
  });
}

TEST_F(PostgresJudge, ScriptsGiveEqualRowsTagsAndErrors) {
  in_pieces([&] {
    same_query("SELECT 1 AS a; SELECT 'x' AS b, NULL AS c WHERE true; SET work_mem='5MB'");
    same_query("");
    same_query(";;");
    same_query("SELECT 1; SELECT 1/0; SELECT 2");
    same_query(
        "BEGIN; UPDATE judged.a SET p=2; INSERT INTO judged.a VALUES(7,'x'); SELECT * FROM judged.a ORDER BY 1; "
        "ROLLBACK");
    same_query("SELECT 1; SELEC 2");
    same_query("BEGIN; SELECT 1/0");
    same_query("SELECT 1");
    same_query("ROLLBACK");
    same_query("DO $$BEGIN RAISE NOTICE 'hello'; END$$; SELECT generate_series(1,300)");
  });
}

TEST_F(PostgresJudge, RandomRowsAreEqual) {
  in_pieces([&] {
    const auto seed = std::random_device{}();
    std::mt19937 random(seed);
    constexpr const char* kValues[] = {"NULL",
                                       "$$a$$::text",
                                       "repeat('ab', %)",
                                       "%::int",
                                       "-%::int8",
                                       "%/7.0",
                                       "random() < 2",
                                       "decode(md5('%'), 'hex')",
                                       "ARRAY[%, NULL]",
                                       "'2026-01-01'::date + %",
                                       "to_jsonb(ARRAY[%])",
                                       "chr(% + 160)",
                                       "''"};
    for (int round = 0; round < 40; ++round) {
      std::string sql = "SELECT ";
      for (auto columns = 1 + random() % 12; columns > 0; --columns) {
        std::string value = kValues[random() % std::size(kValues)];
        if (const auto at = value.find('%'); at != value.npos) value.replace(at, 1, std::to_string(random() % 3000));
        sql += value + (columns > 1 ? ", " : "");
      }
      sql += " FROM generate_series(1, " + std::to_string(random() % 20) + ")";
      EXPECT_EQ(machine->run(sql, {}), judge->run(sql, {})) << "seed " << seed << ": " << sql;
    }
  });
}

}  // namespace
}  // namespace plimsoll::database
