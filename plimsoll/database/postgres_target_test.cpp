#include "plimsoll/database/postgres_target.hpp"

#include "plimsoll/database/wait.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace plimsoll::database {
namespace {

std::string value_of(const PostgresParameters& all, std::string_view key) {
  const auto found = std::ranges::find(all, key, &std::pair<std::string, std::string>::first);
  return found == all.end() ? std::string{} : found->second;
}

TEST(PostgresTarget, ReadsHostsPortsAndWhatElseLibpqKnows) {
  auto target =
      PostgresTarget::read("postgres://shop:s3cret@127.0.0.1:5433,localhost/shop?target_session_attrs=read-write");
  ASSERT_TRUE(target);
  ASSERT_EQ(target->hosts.size(), 2u);
  EXPECT_EQ(target->hosts[0].address, "127.0.0.1");
  EXPECT_EQ(target->hosts[0].port, "5433");
  EXPECT_EQ(target->hosts[1].name, "localhost");
  EXPECT_EQ(target->hosts[1].address, "");
  EXPECT_EQ(value_of(target->others, "user"), "shop");
  EXPECT_EQ(value_of(target->others, "password"), "s3cret");
  EXPECT_EQ(value_of(target->others, "dbname"), "shop");
  EXPECT_EQ(value_of(target->others, "target_session_attrs"), "read-write");
  EXPECT_EQ(value_of(target->others, "gssencmode"), "disable");
}

TEST(PostgresTarget, RequiresVerifyFullBeyondThisMachine) {
  for (const auto* url : {"postgres://db/shop", "postgres://10.0.0.1/shop", "postgres://localhost,db/shop",
                          "postgres:///shop?host=db", "postgres:///shop?host=localhost&hostaddr=10.0.0.1"}) {
    auto target = PostgresTarget::read(url);
    ASSERT_TRUE(target) << url;
    EXPECT_EQ(value_of(target->others, "sslmode"), "verify-full") << url;
    for (const std::string mode : {"disable", "allow", "prefer", "require", "verify-ca"}) {
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
    EXPECT_NE(value_of(target->others, "sslmode"), "verify-full") << url;
  }
}

TEST(PostgresTarget, ResolvesNamesForLibpq) {
  auto target = PostgresTarget::read("postgres://localhost:5433/shop?host=localhost,/tmp/x&port=5433,5434");
  ASSERT_TRUE(target) << target.error().detail;
  auto resolver = net::threaded_resolver({}, [](const std::string&) -> Result<net::Addresses> { std::abort(); });
  auto made = wait_for([&](Loop& loop) -> Task<Result<PostgresParameters>> {
    auto all = co_await target->resolve(loop, *resolver);
    co_return all;
  });
  ASSERT_TRUE(made);
  EXPECT_TRUE(value_of(*made, "host").ends_with("localhost,/tmp/x")) << value_of(*made, "host");
  EXPECT_TRUE(value_of(*made, "hostaddr").ends_with(",")) << value_of(*made, "hostaddr");
  EXPECT_TRUE(value_of(*made, "port").ends_with("5433,5434")) << value_of(*made, "port");
  EXPECT_NE(value_of(*made, "hostaddr").find("127.0.0.1"), std::string::npos);
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
