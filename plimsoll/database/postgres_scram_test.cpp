#include "plimsoll/database/postgres_scram.hpp"

#include <gtest/gtest.h>

namespace plimsoll::database {
namespace {

using Binding = PostgresScram::Binding;

constexpr std::string_view kServerFirst =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

PostgresScram of_the_rfc() { return {"pencil", "rOprNGfwEbeRWgbNEkqO", Binding::impossible, {}, "user"}; }

TEST(PostgresScram, SpeaksTheExampleOfRfc7677) {
  auto scram = of_the_rfc();
  EXPECT_EQ(scram.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
  EXPECT_EQ(scram.answer(kServerFirst),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
            "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
  EXPECT_TRUE(scram.verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
}

TEST(PostgresScram, SaysHowFarItIsBoundToTheConnection) {
  PostgresScram bound{"p", "abc", Binding::end_point, "hash"};
  EXPECT_EQ(bound.first(), "p=tls-server-end-point,,n=,r=abc");
  // The header and the hash, which the server compares with its own.
  EXPECT_TRUE(bound.answer("r=abcd,s=QSXCR+Q6sek8bf92,i=1").starts_with("c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsaGFzaA==,"));
  PostgresScram able{"p", "abc", Binding::not_offered, "hash"};
  EXPECT_EQ(able.first(), "y,,n=,r=abc");
  EXPECT_TRUE(able.answer("r=abcd,s=QSXCR+Q6sek8bf92,i=1").starts_with("c=eSws,"));
}

TEST(PostgresScram, RefusesAServerThatDoesNotKnowThePassword) {
  for (const auto* last : {"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=", "v=", "v=AAAA", "v", "", "e=other-error",
                           "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=,x=y"}) {
    auto scram = of_the_rfc();
    ASSERT_FALSE(scram.answer(kServerFirst).empty());
    EXPECT_FALSE(scram.verify(last)) << last;
    EXPECT_FALSE(scram.fault().empty()) << last;
  }
  auto early = of_the_rfc();
  EXPECT_FALSE(early.verify("v="));  // before it was computed, when it is empty
}

TEST(PostgresScram, RefusesWhatIsNoFirstMessageOfAServer) {
  for (const auto* first :
       {"", "r=rOprNGfwEbeRWgbNEkqOx", "r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "r=rOprNGfwEbeRWgbNEkqOx,s=,i=4096",
        "r=rOprNGfwEbeRWgbNEkqOx,s=!!!!,i=4096", "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=0",
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=-1",
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1000001",
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=99999999999999999999",
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,x=y",
        "m=x,r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"}) {
    auto scram = of_the_rfc();
    EXPECT_TRUE(scram.answer(first).empty()) << first;
    EXPECT_FALSE(scram.fault().empty()) << first;
    EXPECT_FALSE(scram.verify("v=")) << first;
  }
}

TEST(PostgresScram, AnswersARequestForMd5) {
  EXPECT_EQ(postgres_md5("shop", "s3cret", "\x01\x02\x03\x04"), "md5607401455b2ec14eb9d5b4bec9f0f84c");
}

}  // namespace
}  // namespace plimsoll::database
