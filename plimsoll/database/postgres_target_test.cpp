#include "plimsoll/database/postgres_target.hpp"

#include "plimsoll/database/engine.hpp"

#include "plimsoll/database/wait.hpp"

#include <gtest/gtest.h>
#include <libpq-fe.h>

#include <map>
#include <memory>

namespace plimsoll::database {
namespace {

using Tls = PostgresTarget::Tls;

Result<std::vector<PostgresEndpoint>> resolve(const PostgresTarget& target, net::Resolver& resolver) {
  return wait_for([&](Loop& loop) -> Task<Result<std::vector<PostgresEndpoint>>> {
    auto all = co_await target.resolve(loop, resolver);
    co_return all;
  });
}

TEST(PostgresTarget, ReadsHostsPortsAndParameters) {
  auto target = PostgresTarget::read(
      "postgres://shop:s3cr%25et@127.0.0.1:5433,localhost/shop?target_session_attrs=read-write&options=-c%20a%3Db&"
      "application_name=till&channel_binding=require&connect_timeout=3&keepalives_idle=7&sslmode=prefer");
  ASSERT_TRUE(target) << target.error().detail;
  ASSERT_EQ(target->hosts.size(), 2u);
  EXPECT_EQ(target->hosts[0].address, "127.0.0.1");
  EXPECT_EQ(target->hosts[0].port, 5433);
  EXPECT_EQ(target->hosts[1].name, "localhost");
  EXPECT_EQ(target->hosts[1].address, "");
  EXPECT_EQ(target->hosts[1].port, 5432);
  EXPECT_EQ(target->user, "shop");
  EXPECT_EQ(target->password, "s3cr%et");
  EXPECT_EQ(target->database, "shop");
  EXPECT_EQ(target->session, PostgresTarget::Session::read_write);
  EXPECT_EQ(target->binding, PostgresProtocol::ChannelBinding::required);
  EXPECT_EQ(target->tls, Tls::prefer);
  EXPECT_EQ(target->connect_timeout, 3);
  EXPECT_EQ(target->keepalives_idle, 7);
  EXPECT_EQ(target->settings,
            (std::vector<std::pair<std::string, std::string>>{{"options", "-c a=b"}, {"application_name", "till"}}));
  auto plain = PostgresTarget::read("postgresql://");
  ASSERT_TRUE(plain);
  ASSERT_EQ(plain->hosts.size(), 1u);
  EXPECT_TRUE(plain->hosts[0].is_unix());
  EXPECT_EQ(plain->hosts[0].name, "/var/run/postgresql");
  EXPECT_FALSE(plain->user.empty());
  auto encoded = PostgresTarget::read("postgres://u@%2Ftmp%2Fx:5433/a%2Fb");
  ASSERT_TRUE(encoded);
  EXPECT_EQ(encoded->hosts[0].name, "/tmp/x");
  EXPECT_EQ(encoded->hosts[0].port, 5433);
  EXPECT_EQ(encoded->database, "a/b");
}

TEST(PostgresTarget, SaysWhatItDoesNotRead) {
  for (const auto& [url, says] : {std::pair{"postgres://h/d?service=x", "service"},
                                  {"postgres://h/d?passfile=x", "passfile"},
                                  {"postgres://h/d?sslcrl=x", "sslcrl"},
                                  {"postgres://h/d?gssencmode=require", "GSSAPI"},
                                  {"postgres://h/d?client_encoding=LATIN1", "UTF-8"},
                                  {"postgres://h/d?nonsense=1", "nonsense"},
                                  {"postgres://localhost/d?sslmode=allow", "`prefer`"},
                                  {"postgres://h/d?target_session_attrs=any-one", "`primary`"},
                                  {"postgres://h/d?sslcert=x", "sslkey"},
                                  {"postgres://h/d?connect_timeout=soon", "connect_timeout"},
                                  {"postgres://h/d?x", "NAME=VALUE"},
                                  {"postgres://h/d?options=a=b", "%3D"},
                                  {"postgres://h:0/d", "port"},
                                  {"postgres://h:65536/d", "port"},
                                  {"postgres://h:x/d", "port"},
                                  {"postgres://[::1/d", "IPv6"},
                                  {"postgres://[::1]x/d", "ADDRESS"},
                                  {"postgres://u%zz@h/d", "%"},
                                  {"postgres://u%00@h/d", "00"},
                                  {"postgres://a,b:1,c:2,d/d?port=1,2", "length"},
                                  {"postgres://h/d?hostaddr=name", "hostaddr"}}) {
    auto target = PostgresTarget::read(url);
    ASSERT_FALSE(target) << url;
    EXPECT_EQ(target.error().problem, &kDatabaseUrl);
    EXPECT_NE(target.error().detail.find(says), std::string::npos) << url << ": " << target.error().detail;
  }
}

TEST(PostgresTarget, RequiresVerifyFullBeyondThisMachine) {
  for (const auto* url : {"postgres://db/shop", "postgres://10.0.0.1/shop", "postgres://localhost,db/shop",
                          "postgres:///shop?host=db", "postgres:///shop?host=localhost&hostaddr=10.0.0.1"}) {
    auto target = PostgresTarget::read(url);
    ASSERT_TRUE(target) << url;
    EXPECT_EQ(target->tls, Tls::verify_full) << url;
    for (const std::string mode : {"disable", "prefer", "require", "verify-ca"}) {
      auto weak = PostgresTarget::read(
          url + std::string(std::string_view(url).find('?') == std::string::npos ? "?" : "&") + "sslmode=" + mode);
      ASSERT_FALSE(weak) << url << mode;
      EXPECT_EQ(weak.error().problem, &kDatabaseUrl);
      EXPECT_NE(weak.error().detail.find("verify-full"), std::string::npos);
    }
  }
  for (const auto* url : {"postgres://localhost/shop", "postgres://127.0.0.1/shop?sslmode=disable", "postgres:///shop",
                          "postgres://[::1]:5433/shop", "postgres:///shop?host=/tmp/x"}) {
    auto target = PostgresTarget::read(url);
    ASSERT_TRUE(target) << url;
    EXPECT_NE(target->tls, Tls::verify_full) << url;
    EXPECT_EQ(target->cleartext, std::string_view(url).find("disable") != std::string_view::npos) << url;
  }
}

TEST(PostgresTarget, ResolvesEachHost) {
  auto target = PostgresTarget::read("postgres://localhost:5433/shop?host=localhost,/tmp/x&port=5433,5434");
  ASSERT_TRUE(target) << target.error().detail;
  auto resolver = net::threaded_resolver({}, [](const std::string&) -> Result<net::Addresses> { std::abort(); });
  auto made = resolve(*target, *resolver);
  ASSERT_TRUE(made);
  ASSERT_GE(made->size(), 2u);
  EXPECT_EQ(made->front().host, "localhost");
  EXPECT_TRUE(net::is_loopback(made->front().address->text()));
  EXPECT_EQ(made->front().port, 5433);
  EXPECT_TRUE(made->back().is_unix());
  EXPECT_EQ(made->back().text(), "/tmp/x/.s.PGSQL.5434");
  // A name without an address is left out where there are others, and the error where there are none.
  auto nowhere = net::threaded_resolver(
      {}, [](const std::string&) -> Result<net::Addresses> { return fail(net::kNameNotResolved, "no such name"); });
  auto some = resolve(*PostgresTarget::read("postgres://nowhere.example,127.0.0.1/shop"), *nowhere);
  ASSERT_TRUE(some);
  EXPECT_EQ(some->size(), 1u);
  EXPECT_FALSE(resolve(*PostgresTarget::read("postgres://nowhere.example/shop"), *nowhere));
}

/// The URL that libpq reads is the URL that is read here.
TEST(PostgresTarget, ReadsUrlsAsLibpqDoes) {
  for (const auto* url : {"postgres://a:b@c:1/d",
                          "postgres://a:b%40c@[::1]:5433/d",
                          "postgresql://c",
                          "postgres://c/d?user=x&password=y",
                          "postgres://a@c,d:2,e/f",
                          "postgres://a@c:1,d:2/f?application_name=x%20y",
                          "postgres:///d?host=/tmp/x&port=7",
                          "postgres://a@/d",
                          "postgres://:b@c/d",
                          "postgres://a:@c/d",
                          "postgres://a%3Ab:c@d/e",
                          "postgres://@c/d",
                          "postgres://a@c:/d",
                          "postgres://c?dbname=x",
                          "postgres://c/d?sslmode=verify-full&sslrootcert=/x",
                          "postgres://a:b@c:1/d?",
                          "postgres://a:b@c/d?x=1",
                          "postgres://a@[::1/d",
                          "postgres://a%@c/d",
                          "postgres://a@c/d?options",
                          "postgres://a@c/d?options=a=b",
                          "postgres://a@c/d?%6fptions=x",
                          "postgres://a@[]/d",
                          "postgres://a@[::1]2/d",
                          "postgres://a@b@c/d",
                          "postgres://c/d?host=e&port=9"}) {
    char* why = nullptr;
    const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> theirs{PQconninfoParse(url, &why),
                                                                              &PQconninfoFree};
    PQfreemem(why);
    auto ours = PostgresTarget::read(url);
    EXPECT_EQ(ours.has_value(), theirs != nullptr) << url << (ours ? "" : ours.error().detail);
    if (!ours || !theirs) continue;
    std::map<std::string, std::string> said;
    for (auto* option = theirs.get(); option->keyword; ++option)
      if (option->val) said[option->keyword] = option->val;
    if (said.contains("user")) EXPECT_EQ(ours->user, said["user"]) << url;
    EXPECT_EQ(ours->password, said["password"]) << url;
    EXPECT_EQ(ours->database, said["dbname"]) << url;
    std::string names, ports;
    for (const auto& host : ours->hosts) {
      names += (names.empty() ? "" : ",") + host.name;
      ports += (ports.empty() ? "" : ",") + std::to_string(host.port);
    }
    if (!said["host"].empty()) EXPECT_EQ(names, said["host"]) << url;
    // libpq keeps what is not said empty.
    auto theirs_ports = said["port"].empty() ? "5432" : said["port"];
    for (auto at = theirs_ports.find(",,"); at != theirs_ports.npos; at = theirs_ports.find(",,"))
      theirs_ports.insert(at + 1, "5432");
    if (theirs_ports.starts_with(',')) theirs_ports.insert(0, "5432");
    if (theirs_ports.ends_with(',')) theirs_ports += "5432";
    if (said["port"].empty())
      for (std::size_t i = 1; i < ours->hosts.size(); ++i) theirs_ports += ",5432";
    EXPECT_EQ(ports, theirs_ports) << url;
  }
}

TEST(PostgresTarget, NeverShowsAPassword) {
  EXPECT_EQ(without_password("postgres://a:b@c:1/d"), "postgres://a:***@c:1/d");
  EXPECT_EQ(without_password("postgres://a:b@x@c/d?password=p&x=1"), "postgres://a:***@c/d?password=***&x=1");
  EXPECT_EQ(without_password("postgres://a:b/x@c/d"), "postgres://a:***@c/d");
  EXPECT_EQ(without_password("postgres://a:b?x@c/d"), "postgres://a:***@c/d");
  EXPECT_EQ(without_password("postgres://c/d?sslpassword=p"), "postgres://c/d?sslpassword=***");
  EXPECT_EQ(without_password("postgres://c:1/d"), "postgres://c:1/d");
  EXPECT_EQ(without_password("postgres://a@c:1/d"), "postgres://a@c:1/d");
  EXPECT_EQ(without_password("sqlite:a.db"), "sqlite:a.db");
  for (const auto* url :
       {"postgres://a:s3cret@c:x y/d", "postgres://a:s3cret@[::1/d", "postgres://a:s3cret@c/d?nothing=1",
        "postgres://a:s3cret@c/d?sslmode=disable", "postgres://a:s3cret@c:1:2/d?=&"}) {
    auto target = PostgresTarget::read(url);
    if (target) continue;
    EXPECT_EQ(target.error().detail.find("s3cret"), std::string::npos) << target.error().detail;
  }
}

}  // namespace
}  // namespace plimsoll::database
