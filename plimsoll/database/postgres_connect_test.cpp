// How a connection comes to be: TLS, passwords, several hosts. On servers that the tests start.

#include "plimsoll/database/postgres.hpp"
#include "plimsoll/database/postgres_server.hpp"
#include "plimsoll/database/postgres_target.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/net/test_certificate.hpp"

#include <gtest/gtest.h>

namespace plimsoll::database {
namespace {

constexpr const char* kNotInstalled = "PostgreSQL is not installed: scripts/install-dependencies test";

/// One value of a connection opened for it; or why there is none.
struct Reached {
  std::string value, why;
  bool retryable = false;
};

Reached reach(const std::string& url, const std::string& sql = "SELECT 'here'", Nanoseconds connect = 20 * kSecond) {
  auto opened = open_postgres({.url = url, .least = 1, .most = 2, .connect = {connect}});
  if (!opened) return {.value = {}, .why = reason_of(opened.error()), .retryable = opened.error().retryable};
  auto rows = wait_for([&](Loop& loop) -> Task<Result<Rows>> {
    auto all = co_await (*opened)->read(loop, sql, {}, false);
    co_return all;
  });
  if (!rows) return {.value = {}, .why = reason_of(rows.error())};
  const auto* text = std::get_if<std::string>(&(*rows)[0][0]);
  return {.value = text ? *text : std::to_string(std::get<std::int64_t>((*rows)[0][0])), .why = {}};
}

class PostgresTls : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (PostgresServer::programs().empty()) return;
    const auto shown = net::TestCertificate::make("db.example"), other = net::TestCertificate::make("db.example"),
               client = net::TestCertificate::make("bearer");
    port = PostgresServer::free_port();
    server.emplace(
        "listen_addresses='127.0.0.1'\nport=" + std::to_string(port) + "\nssl=on\nssl_ca_file='client.pem'\n",
        std::map<std::string, std::string>{{"server.crt", shown.certificate},
                                           {"server.key", shown.key},
                                           {"client.pem", client.certificate},
                                           {"other.pem", other.certificate},
                                           {"client.key", client.key},
                                           {"pg_hba.conf",
                                            "local all all trust\n"
                                            "host all scram 127.0.0.1/32 scram-sha-256\n"
                                            "host all md5 127.0.0.1/32 md5\n"
                                            "host all clear 127.0.0.1/32 password\n"
                                            "host all open 127.0.0.1/32 trust\n"
                                            "hostssl all bearer 127.0.0.1/32 cert\n"}});
    if (!server->why().empty()) return;
    sql("SET password_encryption='scram-sha-256'; CREATE USER scram PASSWORD 's3cret'; CREATE USER clear PASSWORD "
        "'s3cret'; SET password_encryption='md5'; CREATE USER md5 PASSWORD 's3cret'; CREATE USER open; CREATE USER "
        "bearer; GRANT "
        "pg_read_all_stats TO scram");
  }
  static void TearDownTestSuite() { server.reset(); }
  void SetUp() override {
    if (!server) GTEST_SKIP() << kNotInstalled;
    ASSERT_EQ(server->why(), "");
  }
  static void sql(const std::string& text) { ASSERT_EQ(server->psql(text, "postgres", port), 0) << text; }
  static std::string file(const std::string& name) { return server->folder() + "/data/" + name; }
  static std::string url(const std::string& user, const std::string& more = "",
                         const std::string& host = "db.example") {
    return "postgres://" + user + ":s3cret@" + host + ":" + std::to_string(port) + "/postgres?hostaddr=127.0.0.1" +
           more;
  }
  /// With the certificate proved.
  static std::string proved(const std::string& user, const std::string& more = "") {
    return url(user, "&sslmode=verify-full&sslrootcert=" + file("server.crt") + more);
  }
  static inline std::optional<PostgresServer> server;
  static inline int port = 0;
};

TEST_F(PostgresTls, AuthenticatesByEachMethodOverTls) {
  const auto* is_tls = "SELECT ssl::text FROM pg_stat_ssl WHERE pid=pg_backend_pid()";
  for (const auto* user : {"scram", "md5", "clear", "open"}) {
    const auto reached = reach(proved(user), is_tls);
    EXPECT_EQ(reached.value, "true") << user << ": " << reached.why;
  }
  const auto bearer = reach(proved("bearer", "&sslcert=" + file("client.pem") + "&sslkey=" + file("client.key")),
                            "SELECT current_user::text");
  EXPECT_EQ(bearer.value, "bearer") << bearer.why;
  const auto nobody = reach(proved("bearer"));
  EXPECT_NE(nobody.why.find("certificate"), std::string::npos) << nobody.why;
  EXPECT_FALSE(nobody.retryable);
}

TEST_F(PostgresTls, BindsTheAuthenticationToTheConnection) {
  const auto bound = reach(proved("scram", "&channel_binding=require"));
  EXPECT_EQ(bound.value, "here") << bound.why;
  EXPECT_EQ(reach(proved("scram", "&channel_binding=disable")).value, "here");
  for (const auto& other : {proved("md5", "&channel_binding=require"), proved("open", "&channel_binding=require"),
                            url("scram", "&sslmode=disable&channel_binding=require")}) {
    const auto reached = reach(other);
    EXPECT_NE(reached.why.find("channel binding is required"), std::string::npos) << reached.why;
    EXPECT_FALSE(reached.retryable);
  }
}

TEST_F(PostgresTls, RequiresTheCertificateToBeProved) {
  struct Case {
    std::string url, says;
  };
  const auto port_text = std::to_string(port);
  for (const auto& [at, says] :
       {Case{url("scram", "&sslmode=verify-full&sslrootcert=" + file("server.crt"), "other.example"),
             "hostname mismatch"},
        Case{url("scram", "&sslmode=verify-full&sslrootcert=" + file("other.pem")), "certificate"},
        Case{url("scram", "&sslmode=verify-full"), "certificate"},
        Case{url("scram", "&sslmode=verify-full&sslrootcert=/nowhere.pem"), "/nowhere.pem"},
        Case{url("scram", "&sslmode=verify-ca&sslrootcert=" + file("other.pem")), "certificate"}}) {
    const auto reached = reach(at);
    EXPECT_EQ(reached.value, "");
    EXPECT_NE(reached.why.find(says), std::string::npos) << reached.why;
    EXPECT_FALSE(reached.retryable) << reached.why;
  }
  // On this machine less may be asked for.
  const auto* is_tls = "SELECT ssl::text FROM pg_stat_ssl WHERE pid=pg_backend_pid()";
  EXPECT_EQ(reach(url("scram", "&sslmode=verify-ca&sslrootcert=" + file("server.crt"), "other.example"), is_tls).value,
            "true");
  EXPECT_EQ(reach(url("scram", "&sslmode=require"), is_tls).value, "true");
  EXPECT_EQ(reach(url("scram"), is_tls).value, "true");  // `prefer`
  EXPECT_EQ(reach(url("scram", "&sslmode=disable"), is_tls).value, "false");
}

TEST_F(PostgresTls, SendsThePasswordInClearOnlyWhereTheUrlSaysSo) {
  EXPECT_EQ(reach(url("clear", "&sslmode=disable")).value, "here");
  for (const auto* setting : {"off", "on"}) {
    sql(std::string("ALTER SYSTEM SET ssl=") + setting);
    sql("SELECT pg_reload_conf()");
    const bool off = setting == std::string("off");
    // The reload reaches the process that accepts a little later.
    while (reach(url("open"), "SELECT ssl::text FROM pg_stat_ssl WHERE pid=pg_backend_pid()").value !=
           (off ? "false" : "true"))
      std::this_thread::yield();
    const auto clear = reach(url("clear"));
    EXPECT_EQ(clear.value, off ? "" : "here");
    if (!off) continue;
    EXPECT_NE(clear.why.find("cleartext"), std::string::npos) << clear.why;
    EXPECT_FALSE(clear.retryable);
    const auto required = reach(url("scram", "&sslmode=require"));
    EXPECT_NE(required.why.find("does not support TLS"), std::string::npos) << required.why;
    EXPECT_FALSE(required.retryable);
    EXPECT_EQ(reach(url("scram")).value, "here");
  }
}

TEST_F(PostgresTls, SaysWhyTheServerDoesNotLetUsIn) {
  auto wrong = proved("scram");
  wrong.replace(wrong.find("s3cret"), 6, "wrong");
  const auto reached = reach(wrong);
  EXPECT_NE(reached.why.find("password authentication failed"), std::string::npos) << reached.why;
  EXPECT_FALSE(reached.retryable);
  auto none = proved("scram");
  none.erase(none.find(":s3cret"), 7);
  EXPECT_NE(reach(none).why.find("there is none"), std::string::npos) << reach(none).why;
}

TEST_F(PostgresTls, LargeResultsAndParametersPassThroughTls) {
  auto opened = open_postgres({.url = proved("scram"), .least = 1, .most = 2});
  ASSERT_TRUE(opened) << reason_of(opened.error());
  const std::string large(3 << 20, 'x');
  const Cell parameters[] = {large};
  auto rows = wait_for([&](Loop& loop) -> Task<Result<Rows>> {
    RowKeeper keeper;
    const Reading reading;
    auto done =
        co_await (*opened)->read(loop, "SELECT ?::text || g FROM generate_series(1,3) g", parameters, reading, keeper);
    if (!done) co_return std::unexpected(std::move(done).error());
    co_return std::move(keeper.rows);
  });
  ASSERT_TRUE(rows) << reason_of(rows.error());
  ASSERT_EQ(rows->size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(std::get<std::string>((*rows)[i][0]), large + std::to_string(i + 1));
}

TEST_F(PostgresTls, CancelsOverTls) {
  auto opened = open_postgres({.url = proved("scram"), .least = 1, .most = 2});
  ASSERT_TRUE(opened) << reason_of(opened.error());
  const auto began = std::chrono::steady_clock::now();
  wait_for([&](Loop& loop) -> Task<Result<>> {
    auto rows = co_await within(loop, 50 * kMillisecond, (*opened)->read(loop, "SELECT pg_sleep(60)", {}, false));
    EXPECT_FALSE(rows);
    co_return Result<>{};
  });
  for (;;) {
    const auto sleeping = reach(proved("scram"), "SELECT count(*) FROM pg_stat_activity WHERE wait_event='PgSleep'");
    ASSERT_EQ(sleeping.why, "");
    if (sleeping.value == "0") break;
    ASSERT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(40));
  }
}

/// A primary, one that is read-only, and a standby (which recovers from nothing, for ever).
class PostgresHosts : public testing::Test {
 protected:
  struct One {
    PostgresServer server;
    int port;
  };
  static void SetUpTestSuite() {
    if (PostgresServer::programs().empty()) return;
    servers = std::make_unique<Servers>();
  }
  static void TearDownTestSuite() { servers.reset(); }
  void SetUp() override {
    if (!servers) GTEST_SKIP() << kNotInstalled;
    for (const auto* server : {&servers->primary, &servers->read_only, &servers->standby}) ASSERT_EQ(server->why(), "");
  }
  struct Servers {
    PostgresServer primary{"cluster_name=primary"};
    PostgresServer read_only{"cluster_name=readonly\ndefault_transaction_read_only=on"};
    PostgresServer standby{"cluster_name=standby\nmax_connections=100", {{"standby.signal", ""}}};
  };
  static std::string url(const std::vector<std::string>& folders, const std::string& session) {
    std::string hosts;
    for (const auto& folder : folders) hosts += (hosts.empty() ? "" : ",") + folder;
    return "postgres://postgres@/postgres?host=" + hosts + "&target_session_attrs=" + session;
  }
  static inline std::unique_ptr<Servers> servers;
};

TEST_F(PostgresHosts, TakesTheFirstThatIsAsWanted) {
  const auto &primary = servers->primary.folder(), &read_only = servers->read_only.folder(),
             &standby = servers->standby.folder();
  struct Case {
    std::string session;
    std::vector<std::string> folders;
    std::string_view is;  ///< empty: none of them
  };
  for (const auto& [session, folders, is] :
       {Case{"any", {standby, primary}, "standby"}, Case{"read-write", {standby, read_only, primary}, "primary"},
        Case{"read-write", {standby, read_only}, ""}, Case{"read-only", {primary, read_only, standby}, "readonly"},
        Case{"primary", {standby, read_only, primary}, "readonly"},
        Case{"standby", {primary, read_only, standby}, "standby"}, Case{"standby", {primary}, ""},
        Case{"prefer-standby", {primary, standby}, "standby"}, Case{"prefer-standby", {primary, read_only}, "primary"},
        Case{"any", {"/nowhere", primary}, "primary"}}) {
    const auto reached = reach(url(folders, session), "SHOW cluster_name");
    EXPECT_EQ(reached.value, is) << session << ": " << reached.why;
    if (is.empty()) {
      EXPECT_NE(reached.why.find("target_session_attrs"), std::string::npos) << reached.why;
      EXPECT_TRUE(reached.retryable);  // it may become what is wanted
    }
  }
}

TEST_F(PostgresHosts, OneThatDoesNotAnswerLeavesTheOthersTheirTime) {
  // It takes the connection and says nothing.
  const int silent = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(silent, reinterpret_cast<const sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(silent, 8), 0);
  ::getsockname(silent, reinterpret_cast<sockaddr*>(&address), &size);
  const auto port = std::to_string(ntohs(address.sin_port));
  const auto both =
      "postgres://postgres@/postgres?host=127.0.0.1," + servers->primary.folder() + "&port=" + port + ",5432";
  const auto reached = reach(both, "SHOW cluster_name", 4 * kSecond);
  EXPECT_EQ(reached.value, "primary") << reached.why;
  EXPECT_EQ(reach(both + "&connect_timeout=1", "SHOW cluster_name", 600 * kSecond).value, "primary");
  const auto alone = reach("postgres://postgres@127.0.0.1:" + port + "/postgres", "SELECT 1", 200 * kMillisecond);
  EXPECT_NE(alone.why.find("does not answer"), std::string::npos) << alone.why;
  EXPECT_TRUE(alone.retryable);
  ::close(silent);
}

TEST_F(PostgresHosts, AServerThatRefusesTheUserEndsTheSearch) {
  const auto reached = reach("postgres://nobody@/postgres?host=" + servers->primary.folder() + ",/nowhere");
  EXPECT_NE(reached.why.find("role"), std::string::npos) << reached.why;
  EXPECT_EQ(reached.why.find("/nowhere"), std::string::npos) << reached.why;
  EXPECT_FALSE(reached.retryable);
}

TEST(PostgresConnect, WhatIsNoPostgresServerIsAnErrorWithAReason) {
  // A server of another protocol that speaks first.
  const int other = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(other, reinterpret_cast<const sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(other, 8), 0);
  ::getsockname(other, reinterpret_cast<sockaddr*>(&address), &size);
  std::jthread serving([&] {
    for (int i = 0; i < 2; ++i) {
      const int one = ::accept(other, nullptr, nullptr);
      ::send(one, "SSH-2.0-OpenSSH_9.2\r\n", 21, MSG_NOSIGNAL);
      char ignored[512];
      while (::recv(one, ignored, sizeof ignored, 0) > 0) continue;
      ::close(one);
    }
  });
  const auto url =
      "postgres://postgres:s3cret@127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/postgres?sslmode=";
  EXPECT_NE(reach(url + "disable").why.find("is this a PostgreSQL server?"), std::string::npos);
  EXPECT_NE(reach(url + "prefer").why.find("TLS"), std::string::npos);
  serving.join();
  ::close(other);
}

}  // namespace
}  // namespace plimsoll::database
