#include "plimsoll/database/postgres_protocol_check.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>

namespace plimsoll::database {
namespace {

using Protocol = PostgresProtocol;
using Kind = Protocol::Kind;
using Fault = Protocol::Fault;
using std::string_literals::operator""s;
using std::string_view_literals::operator""sv;

void receive(Protocol& protocol, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto room = protocol.room();
    const auto size = std::min(room.size(), bytes.size());
    std::copy_n(bytes.data(), size, room.data());
    protocol.received(size);
    bytes.remove_prefix(size);
  }
}

std::string taken(Protocol& protocol) {
  std::string made(protocol.output());
  protocol.sent(made.size());
  return made;
}

Protocol::Startup shop() {
  return {.parameters = {{"user", "shop"}, {"database", "goods"}},
          .password = "s3cret",
          .nonce = "fyko+d2lbbFgONRv9qkxdawL"};
}

/// Let in, with nothing said.
void greet(Protocol& protocol) {
  protocol.start(shop());
  taken(protocol);
  receive(protocol, ServerBytes{}.greeting().all);
  while (protocol.next().kind != Kind::ready) ASSERT_FALSE(protocol.failed()) << protocol.fault_text();
  ASSERT_EQ(protocol.next().kind, Kind::none);
}

std::vector<Kind> kinds(Protocol& protocol) {
  std::vector<Kind> made;
  for (auto event = protocol.next(); event.kind != Kind::none; event = protocol.next()) {
    made.push_back(event.kind);
    if (event.kind == Kind::failed) break;
  }
  return made;
}

/// What becomes of these bytes behind a greeting, with things said.
Fault fault_of(std::string_view said, const ServerBytes& bytes) {
  return trace_of({.said = std::string(said)}, bytes.all, [](std::size_t left) { return left; }).fault;
}

TEST(PostgresProtocol, BeginsWithItsParameters) {
  Protocol protocol;
  protocol.start(shop());
  EXPECT_EQ(taken(protocol), "\0\0\0\x22\0\3\0\0user\0shop\0database\0goods\0\0"s);
  receive(protocol, ServerBytes{}.authentication(0).parameter("TimeZone", "UTC").key(7, 0xfffffffe).ready().all);
  EXPECT_EQ(protocol.next().kind, Kind::authenticated);
  const auto parameter = protocol.next();
  EXPECT_EQ(parameter.kind, Kind::parameter);
  EXPECT_EQ(parameter.name, "TimeZone");
  EXPECT_EQ(parameter.text, "UTC");
  const auto key = protocol.next();
  EXPECT_EQ(key.kind, Kind::key);
  EXPECT_EQ(key.process, 7u);
  EXPECT_EQ(key.secret, 0xfffffffe);
  EXPECT_EQ(protocol.next().kind, Kind::ready);
  EXPECT_EQ(protocol.next().kind, Kind::none);
  EXPECT_EQ(protocol.transaction(), 'I');
}

TEST(PostgresProtocol, AsksForTlsAndTakesNothingThatHasNotComeThroughIt) {
  for (const char answer : {'S', 'N'}) {
    Protocol protocol;
    protocol.ask_for_tls();
    EXPECT_EQ(taken(protocol), "\0\0\0\x8\x4\xd2\x16\x2f"s);
    receive(protocol, std::string(1, answer));
    EXPECT_EQ(protocol.next().kind, answer == 'S' ? Kind::secured : Kind::unsecured);
    protocol.start(shop());
    receive(protocol, ServerBytes{}.greeting().all);
    EXPECT_EQ(kinds(protocol).back(), Kind::ready);
  }
  for (const auto& bytes : {"S"s + ServerBytes{}.greeting().all, "N"s + ServerBytes{}.greeting().all, "X"s,
                            ServerBytes{}.error("FATAL", "53300", "too many clients").all}) {
    Protocol protocol;
    protocol.ask_for_tls();
    taken(protocol);
    receive(protocol, bytes);
    EXPECT_EQ(kinds(protocol), std::vector{Kind::failed});
  }
}

TEST(PostgresProtocol, SendsThePasswordWhereItMay) {
  for (const bool may : {true, false}) {
    Protocol protocol;
    auto startup = shop();
    startup.cleartext = may;
    protocol.start(startup);
    taken(protocol);
    receive(protocol, ServerBytes{}.authentication(3).all);
    EXPECT_EQ(protocol.next().kind, may ? Kind::none : Kind::failed);
    EXPECT_EQ(taken(protocol), may ? "p\0\0\0\xbs3cret\0"s : ""s);
    EXPECT_EQ(protocol.fault(), may ? Fault::none : Fault::authentication);
  }
  Protocol protocol;
  protocol.start(shop());
  taken(protocol);
  receive(protocol, ServerBytes{}.authentication(5, "\1\2\3\4").all);
  EXPECT_EQ(protocol.next().kind, Kind::none);
  const auto hash = taken(protocol);
  EXPECT_TRUE(hash.starts_with("p\0\0\0\x28md5"s)) << hash;
  receive(protocol, ServerBytes{}.authentication(0).all);
  EXPECT_EQ(protocol.next().kind, Kind::authenticated);
}

TEST(PostgresProtocol, AuthenticatesByScramInBothDirections) {
  // A conversation for this nonce and password, computed with another implementation (Python's hashlib).
  const auto mechanisms = "SCRAM-SHA-256\0\0"sv;
  const auto first = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096"sv;
  const auto proof = "aGx2QcPUqSJ159ZU8hpFTOI3+DSvyIq6ca4BB3EPcLM="s,
             signature = "UTLo8qPATiIShig7E7VYiptOg6VeeFFwz8i37kiokiU="s;
  const auto begin = [&](Protocol& protocol) {
    protocol.start(shop());
    taken(protocol);
    receive(protocol, ServerBytes{}.authentication(10, mechanisms).all);
    EXPECT_EQ(protocol.next().kind, Kind::none);
    EXPECT_EQ(taken(protocol), "p\0\0\0\x36SCRAM-SHA-256\0\0\0\0\x20n,,n=,r=fyko+d2lbbFgONRv9qkxdawL"s);
    receive(protocol, ServerBytes{}.authentication(11, first).all);
    EXPECT_EQ(protocol.next().kind, Kind::none);
    const auto answer = "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=" + proof;
    EXPECT_EQ(taken(protocol), "p" + ServerBytes::number(static_cast<std::uint32_t>(answer.size()) + 4, 4) + answer);
  };
  {
    Protocol protocol;
    begin(protocol);
    receive(protocol, ServerBytes{}.authentication(12, "v=" + signature).greeting().all);
    EXPECT_EQ(kinds(protocol).back(), Kind::ready);
  }
  {
    Protocol protocol;  // let in without the proof that the server knows the password
    begin(protocol);
    receive(protocol, ServerBytes{}.greeting().all);
    EXPECT_EQ(kinds(protocol), std::vector{Kind::failed});
    EXPECT_EQ(protocol.fault(), Fault::authentication);
  }
  {
    Protocol protocol;
    begin(protocol);
    receive(protocol, ServerBytes{}.authentication(12, "v=" + std::string(43, 'A') + "=").all);
    EXPECT_EQ(kinds(protocol), std::vector{Kind::failed});
    EXPECT_EQ(protocol.fault(), Fault::authentication);
  }
}

TEST(PostgresProtocol, BindsScramToTheTlsConnection) {
  using Binding = Protocol::ChannelBinding;
  const auto both = "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"sv, plain = "SCRAM-SHA-256\0\0"sv;
  struct Case {
    bool secure;
    Binding binding;
    std::string_view offered;
    std::string_view says;  ///< empty: refused
  };
  for (const auto& [secure, binding, offered, says] :
       {Case{true, Binding::preferred, both, "SCRAM-SHA-256-PLUS\0\0\0\0\x35p=tls-server-end-point,,n=,r="sv},
        Case{true, Binding::required, both, "p=tls-server-end-point,,"}, Case{true, Binding::off, both, "n,,"},
        Case{true, Binding::preferred, plain, "y,,"}, Case{true, Binding::required, plain, ""},
        Case{false, Binding::preferred, plain, "n,,"}, Case{false, Binding::required, plain, ""},
        Case{false, Binding::preferred, both, ""}, Case{true, Binding::preferred, "SCRAM-SHA-512\0\0"sv, ""},
        Case{true, Binding::preferred, "\0"sv, ""}, Case{true, Binding::preferred, "SCRAM-SHA-256"sv, ""}}) {
    Protocol protocol;
    auto startup = shop();
    startup.secure = secure;
    startup.end_point = secure ? "hash" : "";
    startup.binding = binding;
    protocol.start(startup);
    taken(protocol);
    receive(protocol, ServerBytes{}.authentication(10, offered).all);
    EXPECT_EQ(protocol.next().kind, says.empty() ? Kind::failed : Kind::none) << offered;
    const auto out = taken(protocol);
    EXPECT_NE(out.find(says), out.npos);
    EXPECT_EQ(out.empty(), says.empty());
  }
  // Another way in than the one that is required.
  for (const auto code : {0u, 3u, 5u}) {
    Protocol protocol;
    auto startup = shop();
    startup.secure = startup.cleartext = true;
    startup.end_point = "hash";
    startup.binding = Binding::required;
    protocol.start(startup);
    taken(protocol);
    receive(protocol, ServerBytes{}.authentication(code, code == 5 ? "salt" : "").all);
    EXPECT_EQ(protocol.next().kind, Kind::failed) << code;
    EXPECT_EQ(protocol.output(), "");
  }
}

TEST(PostgresProtocol, RefusesOtherAuthenticationsAndPasswordsAskedForTwice) {
  for (const auto code : {2u, 6u, 7u, 8u, 9u, 11u, 12u, 13u, 0xffffffffu})
    EXPECT_EQ(trace_of({.greeted = false}, ServerBytes{}.authentication(code).all, [](auto n) { return n; }).fault,
              Fault::authentication)
        << code;
  const auto twice = ServerBytes{}.authentication(5, "salt").authentication(5, "salt");
  EXPECT_EQ(trace_of({.greeted = false}, twice.all, [](auto n) { return n; }).fault, Fault::authentication);
  Protocol protocol;
  auto startup = shop();
  startup.password.clear();
  protocol.start(startup);
  taken(protocol);
  receive(protocol, ServerBytes{}.authentication(5, "salt").all);
  EXPECT_EQ(protocol.next().kind, Kind::failed);
  EXPECT_NE(protocol.fault_text().find("there is none"), std::string_view::npos);
}

TEST(PostgresProtocol, TellsWhyTheServerDoesNotLetUsIn) {
  Protocol protocol;
  protocol.start(shop());
  taken(protocol);
  receive(protocol, ServerBytes{}.error("FATAL", "28P01", "password authentication failed").all);
  const auto event = protocol.next();
  EXPECT_EQ(event.kind, Kind::error);
  EXPECT_EQ(event.said['C'], "28P01");
  EXPECT_EQ(event.said['M'], "password authentication failed");
  EXPECT_EQ(event.said['D'], "");
  EXPECT_TRUE(event.said.is_fatal());
  EXPECT_EQ(protocol.next().kind, Kind::none);
}

TEST(PostgresProtocol, WritesEachMessageAsTheProtocolDescribesIt) {
  Protocol protocol;
  greet(protocol);
  protocol.parse("p1", "SELECT $1");
  EXPECT_EQ(taken(protocol), "P\0\0\0\x13p1\0SELECT $1\0\0\0"s);
  protocol.describe("p1");
  EXPECT_EQ(taken(protocol), "D\0\0\0\x8Sp1\0"s);
  const PostgresParameter parameters[] = {{"abc", 3, false}, {nullptr, 0, false}, {"", 0, false}};
  protocol.bind("p1", parameters);
  EXPECT_EQ(taken(protocol), "B\0\0\0\x1d\0p1\0\0\0\0\3\0\0\0\3abc\xff\xff\xff\xff\0\0\0\0\0\0"s);
  const PostgresParameter bytes[] = {{"a\0b", 3, true}, {"c", 1, false}};
  protocol.bind("", bytes);
  EXPECT_EQ(taken(protocol), "B\0\0\0\x1c\0\0\0\2\0\1\0\0\0\2\0\0\0\3a\0b\0\0\0\1c\0\0"s);
  for (const std::size_t size : {1u, 100u, 5'000u, 100'000u}) {  // whatever memory is there already
    const std::string text(size, 'x');
    const PostgresParameter one[] = {{text.data(), static_cast<int>(size), false}};
    protocol.bind("", one);
    protocol.bind("", {});
    const auto length = static_cast<std::uint32_t>(size);
    EXPECT_EQ(taken(protocol), "B" + ServerBytes::number(length + 16, 4) + "\0\0\0\0\0\1"s +
                                   ServerBytes::number(length, 4) + text + "\0\0"s + "B\0\0\0\xc\0\0\0\0\0\0\0\0"s);
  }
  protocol.describe_portal();
  EXPECT_EQ(taken(protocol), "D\0\0\0\6P\0"s);
  protocol.execute(1);
  EXPECT_EQ(taken(protocol), "E\0\0\0\x9\0\0\0\0\0"s);
  protocol.close("p1");
  EXPECT_EQ(taken(protocol), "C\0\0\0\x8Sp1\0"s);
  protocol.sync();
  EXPECT_EQ(taken(protocol), "S\0\0\0\4"s);
  protocol.query("SELECT 1");
  EXPECT_EQ(taken(protocol), "Q\0\0\0\xdSELECT 1\0"s);
  protocol.terminate();
  EXPECT_EQ(taken(protocol), "X\0\0\0\4"s);
  EXPECT_EQ(protocol.pending(), 2u);
  EXPECT_EQ(Protocol::cancel_request(0x01020304, 0xfffefdfc), "\0\0\0\x10\x4\xd2\x16\x2e\1\2\3\4\xff\xfe\xfd\xfc"s);
}

TEST(PostgresProtocol, RefusesToSayWhatCannotBeSaid) {
  const auto refuses = [](auto say) {
    Protocol protocol{{.output = 100'000}};
    greet(protocol);
    say(protocol);
    EXPECT_TRUE(protocol.failed());
    EXPECT_EQ(protocol.fault(), Fault::misuse);
    EXPECT_EQ(protocol.output(), "");
    EXPECT_EQ(protocol.next().kind, Kind::failed);
  };
  refuses([](Protocol& protocol) { protocol.parse("", "SELECT '\0'"sv); });
  refuses([](Protocol& protocol) { protocol.parse("a\0b"sv, "SELECT 1"); });
  refuses([](Protocol& protocol) { protocol.query("SELECT '\0'"sv); });
  refuses([](Protocol& protocol) { protocol.query(std::string(100'001, ' ')); });
  refuses([](Protocol& protocol) {
    const std::vector<PostgresParameter> many(65'536);
    protocol.bind("p", many);
  });
  refuses([](Protocol& protocol) {
    const std::string long_text(100'000, 'x');
    const PostgresParameter one[] = {{long_text.data(), static_cast<int>(long_text.size()), false}};
    protocol.bind("p", one);
  });
  Protocol protocol;
  protocol.start({.parameters = {{"user", "a\0b"s}}});
  EXPECT_EQ(protocol.fault(), Fault::misuse);
}

TEST(PostgresProtocol, GivesRowsOfAStatementDescribedOnce) {
  Protocol protocol;
  greet(protocol);
  protocol.parse("p1", "SELECT id, name FROM item WHERE id=$1");
  protocol.describe("p1");
  protocol.sync();
  receive(protocol, ServerBytes{}.message('1').types({20}).columns({{"id", 20}, {"name", 25}}).ready().all);
  EXPECT_EQ(protocol.next().kind, Kind::parsed);
  const auto types = protocol.next();
  ASSERT_EQ(types.kind, Kind::parameter_types);
  EXPECT_EQ(types.types[0], PostgresType::int8);
  const auto columns = protocol.next();
  ASSERT_EQ(columns.kind, Kind::columns);
  ASSERT_EQ(columns.columns.size(), 2u);
  EXPECT_EQ(columns.columns[0].type, PostgresType::int8);
  EXPECT_EQ(columns.columns[1].name, "name");
  EXPECT_EQ(columns.columns[1].table, 7u);
  EXPECT_EQ(protocol.next().kind, Kind::ready);
  protocol.bind("p1", {});
  protocol.execute(2);
  protocol.sync();
  EXPECT_EQ(protocol.pending(), 1u);
  receive(protocol, ServerBytes{}.message('2').row({"1", nullptr}).row({"2", ""}).complete("SELECT 2").ready('T').all);
  EXPECT_EQ(protocol.next().kind, Kind::bound);
  const auto first = protocol.next();
  ASSERT_EQ(first.kind, Kind::row);
  EXPECT_EQ(first.cells[0].text(), "1");
  EXPECT_TRUE(first.cells[1].is_null());
  const auto second = protocol.next();
  EXPECT_FALSE(second.cells[1].is_null());
  EXPECT_EQ(second.cells[1].text(), "");
  const auto complete = protocol.next();
  EXPECT_EQ(complete.kind, Kind::complete);
  EXPECT_EQ(complete.text, "SELECT 2");
  EXPECT_EQ(protocol.next().kind, Kind::ready);
  EXPECT_EQ(protocol.transaction(), 'T');
  EXPECT_EQ(protocol.pending(), 0u);
}

TEST(PostgresProtocol, AnErrorEndsItsUnitAndNotTheNext) {
  Protocol protocol;
  greet(protocol);
  for (int i = 0; i < 2; ++i) {
    protocol.parse("", "SELECT 1");
    protocol.bind("", {});
    protocol.execute();
    protocol.sync();
  }
  receive(protocol, ServerBytes{}
                        .message('1')
                        .error("ERROR", "22012", "division by zero")
                        .ready('E')
                        .message('1')
                        .message('2')
                        .row({"1"})
                        .complete("SELECT 1")
                        .ready()
                        .all);
  EXPECT_EQ(kinds(protocol), (std::vector{Kind::parsed, Kind::error, Kind::ready, Kind::parsed, Kind::bound, Kind::row,
                                          Kind::complete, Kind::ready}));
  // At the sync itself: a constraint that was deferred.
  protocol.parse("", "INSERT");
  protocol.bind("", {});
  protocol.execute();
  protocol.sync();
  receive(
      protocol,
      ServerBytes{}.message('1').message('2').complete("INSERT 0 1").error("ERROR", "23503", "deferred").ready().all);
  EXPECT_EQ(kinds(protocol), (std::vector{Kind::parsed, Kind::bound, Kind::complete, Kind::error, Kind::ready}));
}

TEST(PostgresProtocol, WhatComesUnaskedDisturbsNothing) {
  Protocol protocol;
  greet(protocol);
  protocol.query("SELECT 1");
  const auto notice = "SNOTICE\0C00000\0Mhello\0\0"s;
  const auto notification = ServerBytes::number(5, 4) + "jobs\0new\0"s;
  receive(protocol, ServerBytes{}
                        .message('N', notice)
                        .columns({{"a"}})
                        .parameter("TimeZone", "UTC")
                        .row({"1"})
                        .message('A', notification)
                        .complete("SELECT 1")
                        .message('N', notice)
                        .ready()
                        .message('A', notification)
                        .all);
  EXPECT_EQ(protocol.next().said['M'], "hello");
  EXPECT_EQ(protocol.next().kind, Kind::columns);
  EXPECT_EQ(protocol.next().kind, Kind::parameter);
  EXPECT_EQ(protocol.next().kind, Kind::row);
  const auto event = protocol.next();
  EXPECT_EQ(event.kind, Kind::notification);
  EXPECT_EQ(event.name, "jobs");
  EXPECT_EQ(event.text, "new");
  EXPECT_EQ(event.process, 5u);
  EXPECT_EQ(kinds(protocol), (std::vector{Kind::complete, Kind::notice, Kind::ready, Kind::notification}));
}

TEST(PostgresProtocol, AFatalErrorIsTheLastWord) {
  Protocol protocol;
  greet(protocol);
  const auto bye = ServerBytes{}.error("FATAL", "57P01", "terminating connection").all;
  receive(protocol, bye);
  const auto event = protocol.next();
  EXPECT_EQ(event.kind, Kind::error);
  EXPECT_TRUE(event.said.is_fatal());
  EXPECT_EQ(protocol.next().kind, Kind::none);
  receive(protocol, ServerBytes{}.ready().all);
  EXPECT_EQ(protocol.next().kind, Kind::failed);
}

TEST(PostgresProtocol, RefusesCopy) {
  const auto in = ServerBytes{}.message('1').message('2').message('G', "\0\0\1\0\0"sv);
  Protocol protocol;
  greet(protocol);
  protocol.parse("", "COPY a FROM STDIN");
  protocol.bind("", {});
  protocol.execute();
  protocol.sync();
  taken(protocol);
  receive(protocol, in.all);
  EXPECT_EQ(kinds(protocol), (std::vector{Kind::parsed, Kind::bound, Kind::copy_refused}));
  // The first sync was overlooked by the server while it waited for data.
  EXPECT_EQ(taken(protocol),
            "f\0\0\0\x2a"
            "COPY from the client is not supported\0S\0\0\0\4"s);
  receive(protocol, ServerBytes{}.error("ERROR", "57014", "COPY failed").ready().all);
  EXPECT_EQ(kinds(protocol), (std::vector{Kind::error, Kind::ready}));

  protocol.query("COPY a TO STDOUT; SELECT 1");
  receive(protocol, ServerBytes{}
                        .message('H', "\0\0\1\0\0"sv)
                        .message('d', "data")
                        .message('d', "data")
                        .message('c')
                        .complete("COPY 2")
                        .columns({{"a"}})
                        .row({"1"})
                        .complete("SELECT 1")
                        .ready()
                        .all);
  EXPECT_EQ(kinds(protocol),
            (std::vector{Kind::copy_refused, Kind::complete, Kind::columns, Kind::row, Kind::complete, Kind::ready}));
  EXPECT_EQ(fault_of("\2\5\7\2\5\7", ServerBytes{}.message('2').message('G', "\0\0\0"sv)), Fault::order);
  EXPECT_EQ(fault_of("\5\7", ServerBytes{}.message('W', "\0\0\0"sv)), Fault::order);
  EXPECT_EQ(fault_of("\5\7", ServerBytes{}.message('d', "data")), Fault::order);
  EXPECT_EQ(fault_of("\5\7", ServerBytes{}.message('H', "\0\0\0"sv).row({"1"})), Fault::order);
}

TEST(PostgresProtocol, CopiesFromTheClientWhereItWasAskedFor) {
  const auto begins = ServerBytes{}.message('G', "\0\0\2\0\0\0\0"sv);
  Protocol protocol;
  greet(protocol);
  protocol.copy("COPY a FROM STDIN");
  EXPECT_EQ(taken(protocol),
            "Q\0\0\0\x16"
            "COPY a FROM STDIN\0"s);
  EXPECT_FALSE(protocol.takes_data());
  receive(protocol, begins.all);
  EXPECT_EQ(kinds(protocol), std::vector{Kind::copy_in});
  EXPECT_TRUE(protocol.takes_data());
  protocol.copy_data("1\tx\n");
  protocol.copy_data({});
  protocol.copy_done();
  EXPECT_EQ(taken(protocol),
            "d\0\0\0\x8"
            "1\tx\nc\0\0\0\4"s);
  EXPECT_FALSE(protocol.takes_data());
  EXPECT_EQ(protocol.pending(), 1u);
  receive(protocol, ServerBytes{}.complete("COPY 1").ready('T').all);
  EXPECT_EQ(kinds(protocol), (std::vector{Kind::complete, Kind::ready}));
  EXPECT_EQ(protocol.pending(), 0u);

  // What is refused in the middle is told before its end was said: no more of it is taken.
  protocol.copy("COPY a FROM STDIN");
  protocol.bind("p", {});
  protocol.execute();
  protocol.sync();
  receive(protocol, begins.all);
  EXPECT_EQ(kinds(protocol), std::vector{Kind::copy_in});
  receive(protocol,
          ServerBytes{}.error("ERROR", "22P02", "no number").ready('E').message('2').complete("SELECT 0").ready().all);
  EXPECT_EQ(kinds(protocol), (std::vector{Kind::error, Kind::ready, Kind::bound, Kind::complete, Kind::ready}));
  EXPECT_FALSE(protocol.takes_data());

  // Refused before it begins, and given up.
  protocol.copy("COPY a FROM STDIN");
  receive(protocol, ServerBytes{}.error("ERROR", "42P01", "no table").ready('E').all);
  EXPECT_EQ(kinds(protocol), (std::vector{Kind::error, Kind::ready}));
  protocol.copy("COPY a FROM STDIN");
  receive(protocol, begins.all);
  taken(protocol);
  EXPECT_EQ(kinds(protocol), std::vector{Kind::copy_in});
  protocol.copy_fail("no more");
  EXPECT_EQ(taken(protocol),
            "f\0\0\0\xc"
            "no more\0"s);
  receive(protocol, ServerBytes{}.error("ERROR", "57014", "COPY failed").ready('E').all);
  EXPECT_EQ(kinds(protocol), (std::vector{Kind::error, Kind::ready}));
  EXPECT_FALSE(protocol.failed());

  // Long data goes in many messages.
  protocol.copy("COPY a FROM STDIN");
  receive(protocol, begins.all);
  EXPECT_EQ(kinds(protocol), std::vector{Kind::copy_in});
  taken(protocol);
  const std::string long_data(200'000, 'x');
  protocol.copy_data(long_data);
  std::string said;
  auto out = taken(protocol);
  for (std::string_view rest = out; !rest.empty();) {
    ASSERT_EQ(rest[0], 'd');
    std::size_t size = 0;
    for (std::size_t i = 1; i <= 4; ++i) size = size << 8 | static_cast<unsigned char>(rest[i]);
    EXPECT_LE(size, (64u << 10) + 4);
    said += rest.substr(5, size - 4);
    rest.remove_prefix(1 + size);
  }
  EXPECT_EQ(said, long_data);
}

TEST(PostgresProtocol, ACopyThatDoesNotFitEndsTheConnection) {
  const auto begins = ServerBytes{}.message('G', "\0\0\0"sv);
  const auto with = [&](ServerBytes (*more)(ServerBytes)) { return fault_of("\x8", more(ServerBytes{})); };
  EXPECT_EQ(with([](ServerBytes bytes) { return bytes.message('H', "\0\0\0"sv); }), Fault::order);
  EXPECT_EQ(with([](ServerBytes bytes) { return bytes.message('W', "\0\0\0"sv); }), Fault::order);
  EXPECT_EQ(with([](ServerBytes bytes) { return bytes.row({"1"}); }), Fault::order);
  EXPECT_EQ(with([](ServerBytes bytes) { return bytes.columns({{"a"}}); }), Fault::order);
  EXPECT_EQ(with([](ServerBytes bytes) { return bytes.message('I'); }), Fault::order);
  EXPECT_EQ(with([](ServerBytes bytes) { return bytes.message('s'); }), Fault::order);
  EXPECT_EQ(with([](ServerBytes bytes) { return bytes.ready(); }), Fault::order);
  EXPECT_EQ(with([](ServerBytes bytes) { return bytes.message('G'); }), Fault::content);
  EXPECT_EQ(with([](ServerBytes bytes) { return bytes.message('G', "\0\0\1"sv); }), Fault::content);
  EXPECT_EQ(with([](ServerBytes bytes) { return bytes.message('G', "\1\0\0"sv); }), Fault::content) << "binary";
  EXPECT_EQ(with([](ServerBytes bytes) { return bytes.message('G', "\0\0\1\0\1"sv); }), Fault::content);
  for (const char type : {'G', 'd', 'c', 'D', '2'}) {
    auto twice = begins;
    EXPECT_NE(fault_of("\x8", twice.message(type, "\0\0\0"sv)), Fault::none) << type;
  }
  // Its end cannot come before that of its data, nor data where none is taken.
  for (const bool complete : {true, false}) {
    Protocol protocol;
    greet(protocol);
    protocol.copy("COPY a FROM STDIN");
    receive(protocol, begins.all);
    EXPECT_EQ(kinds(protocol), std::vector{Kind::copy_in});
    receive(protocol, complete ? ServerBytes{}.complete("COPY 0").all : ServerBytes{}.ready().all);
    EXPECT_EQ(protocol.next().kind, Kind::failed);
    EXPECT_EQ(protocol.fault(), Fault::order);
  }
  for (int what = 0; what < 3; ++what) {
    Protocol protocol;
    greet(protocol);
    protocol.copy("COPY a FROM STDIN");
    if (what == 0) protocol.copy_data("1\n");
    if (what == 1) protocol.copy_done();
    if (what == 2) protocol.copy_fail("why");
    EXPECT_EQ(protocol.fault(), Fault::misuse);
  }
}

TEST(PostgresProtocol, PassesOverARowThatIsTooLarge) {
  Protocol protocol{{.row = 100}};
  greet(protocol);
  protocol.bind("p", {});
  protocol.execute(1);
  protocol.sync();
  const std::string large(100'000, 'x');
  receive(protocol,
          ServerBytes{}.message('2').row({"a"}).row({large.c_str()}).row({"b"}).complete("SELECT 3").ready().all);
  EXPECT_EQ(kinds(protocol),
            (std::vector{Kind::bound, Kind::row, Kind::too_large, Kind::row, Kind::complete, Kind::ready}));
}

TEST(PostgresProtocol, HoldsNoMoreThanHasArrived) {
  Protocol protocol;
  greet(protocol);
  protocol.bind("p", {});
  protocol.execute(1);
  protocol.sync();
  // A row of 200 MB is announced, of which a little comes.
  receive(protocol, ServerBytes{}.message('2').all + "D" + ServerBytes::number(200u << 20, 4) + std::string(1000, 'x'));
  EXPECT_EQ(kinds(protocol), std::vector{Kind::bound});
  EXPECT_LE(protocol.held(), 64u << 10);
  // A large one that is whole leaves its memory behind it.
  Protocol other;
  greet(other);
  other.bind("p", {});
  other.execute(1);
  other.sync();
  const std::string large(10 << 20, 'x');
  receive(other, ServerBytes{}.message('2').row({large.c_str()}).complete("SELECT 1").ready().all);
  EXPECT_EQ(kinds(other).back(), Kind::ready);
  EXPECT_GE(other.held(), 10u << 20);
  (void)other.room();
  EXPECT_LE(other.held(), 64u << 10);
}

TEST(PostgresProtocol, MalformedMessagesEndTheConnection) {
  struct Case {
    const char* what;
    std::string_view said;
    ServerBytes bytes;
    Fault fault;
  };
  const auto said = "\2\x5\7"sv;  // bind, execute, sync
  const auto bound = [] { return ServerBytes{}.message('2'); };
  const std::string broad = ServerBytes::number(9, 2) + std::string(36, '\0');
  ServerBytes short_length;
  short_length.all = "Z\0\0\0\3"s;
  ServerBytes long_length;
  long_length.all = "Z\x7f\xff\xff\xff"s;
  const Case cases[] = {
      {"a length below 4", said, short_length, Fault::length},
      {"a length beyond all bounds", said, long_length, Fault::length},
      {"an unknown kind", said, ServerBytes{}.message('?'), Fault::order},
      {"a greeting again", said, ServerBytes{}.authentication(0), Fault::order},
      {"a row before the bind", said, ServerBytes{}.row({"1"}), Fault::order},
      {"a row that nothing asked for", "", ServerBytes{}.row({"1"}), Fault::order},
      {"an end that nothing asked for", "", ServerBytes{}.ready(), Fault::order},
      {"a bind twice", said, bound().message('2'), Fault::order},
      {"a tag before the bind", said, ServerBytes{}.complete("SELECT"), Fault::order},
      {"ready before the end", said, bound().ready(), Fault::order},
      {"an unknown state", said, bound().complete("A").ready('X'), Fault::content},
      {"ready without a state", said, bound().complete("A").message('Z'), Fault::content},
      {"a bind with content", said, ServerBytes{}.message('2', "x"), Fault::content},
      {"a row without a count", said, bound().message('D', "\0"sv), Fault::content},
      {"a row without its values", said, bound().message('D', "\0\1"sv), Fault::content},
      {"a value longer than its row", said, bound().message('D', "\0\1\0\0\0\5abcd"sv), Fault::content},
      {"a value with a length below -1", said, bound().message('D', "\0\1\xff\xff\xff\xfe"sv), Fault::content},
      {"a row with more than its values", said, bound().message('D', "\0\1\0\0\0\1ab"sv), Fault::content},
      {"a row with too many columns", said, bound().message('D', broad), Fault::length},
      {"a row with other columns", "\2\x0e\7", bound().row({"1", "2"}), Fault::content},
      {"a row of a query without columns", "\x9", ServerBytes{}.row({"1"}), Fault::content},
      {"a tag without an end", said, bound().message('C', "SELECT"), Fault::content},
      {"a tag with more", said, bound().message('C', "SELECT\0x"sv), Fault::content},
      {"an error without an end", said, bound().message('E', "SERROR\0"sv), Fault::content},
      {"an error without a text", said, bound().message('E', "SERROR"), Fault::content},
      {"an error with more", said, bound().message('E', "SERROR\0\0x"sv), Fault::content},
      {"an empty error", said, bound().message('E'), Fault::content},
      {"a parameter without a value", said, ServerBytes{}.message('S', "name\0"sv), Fault::content},
      {"a notification without a text", said, ServerBytes{}.message('A', "\0\0\0\1jobs\0"sv), Fault::content},
      {"columns that nothing asked for", said, bound().columns({{"a"}}), Fault::order},
      {"columns without a count", "\3\x5\7", ServerBytes{}.message('T'), Fault::content},
      {"columns that are not there", "\3\x5\7", ServerBytes{}.message('T', "\0\1"sv), Fault::content},
      {"more columns than allowed", "\3\x5\7", ServerBytes{}.message('T', "\0\x9"sv), Fault::length},
      {"types that are not there", "\1\7", ServerBytes{}.message('t', "\0\2\0\0\0\1"sv), Fault::content},
      {"rows behind other columns", "\3\x5\7", ServerBytes{}.columns({{"a"}}).row({"1", "2"}), Fault::content},
  };
  for (const auto& [what, before, bytes, fault] : cases) EXPECT_EQ(fault_of(before, bytes), fault) << what;
}

TEST(PostgresProtocol, GreetingsOutOfOrderEndTheConnection) {
  const auto fault = [](const ServerBytes& bytes) {
    return trace_of({.greeted = false}, bytes.all, [](std::size_t left) { return left; }).fault;
  };
  EXPECT_EQ(fault(ServerBytes{}.ready()), Fault::order);
  EXPECT_EQ(fault(ServerBytes{}.key(1, 2)), Fault::order);
  EXPECT_EQ(fault(ServerBytes{}.row({"1"})), Fault::order);
  EXPECT_EQ(fault(ServerBytes{}.authentication(0).authentication(0)), Fault::order);
  EXPECT_EQ(fault(ServerBytes{}.authentication(0).message('K', "abc")), Fault::content);
  EXPECT_EQ(fault(ServerBytes{}.authentication(0).ready('T')), Fault::content);
  EXPECT_EQ(fault(ServerBytes{}.message('R', "ab")), Fault::content);
  EXPECT_EQ(fault(ServerBytes{}.authentication(0, "x")), Fault::content);
  EXPECT_EQ(fault(ServerBytes{}.authentication(5, "toolong")), Fault::content);
  EXPECT_EQ(fault(ServerBytes{}.authentication(0).parameter("long", std::string(600, 'x'))), Fault::length);
  ServerBytes http;
  http.all = "HTTP/1.1 400 Bad Request\r\n\r\n";
  EXPECT_NE(fault(http), Fault::none);
  ServerBytes ssh;
  ssh.all = "SSH-2.0-OpenSSH_9.2\r\n";
  EXPECT_NE(fault(ssh), Fault::none);
}

/// Conversations of all kinds, as a first byte (how it begins), a count and things said, and what the server sends.
std::vector<std::pair<std::string, std::string>> seeds() {
  const auto scram = "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"sv;
  const auto first = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4"s;
  return {
      {"greeting", "\0\0"s + ServerBytes{}.greeting().all},
      {"cleartext", "\4\0"s + ServerBytes{}.authentication(3).greeting().all},
      {"md5", "\0\0"s + ServerBytes{}.authentication(5, "salt").greeting().all},
      {"scram", "\4\0"s + ServerBytes{}
                              .authentication(10, scram)
                              .authentication(11, first)
                              .authentication(12, "v=AAAA")
                              .greeting()
                              .all},
      {"scram-plain", "\0\0"s + ServerBytes{}
                                    .authentication(10, "SCRAM-SHA-256\0\0"sv)
                                    .authentication(11, first)
                                    .authentication(12, "v=fj1aFVLVYrmvDpJKZN0MW5ScxAxqGG2v8QAJsQmWiG4=")
                                    .greeting()
                                    .all},
      {"scram-required", "\x14\0"s + ServerBytes{}.authentication(10, scram).authentication(11, first).all},
      {"refused", "\0\0"s + ServerBytes{}.error("FATAL", "28P01", "no").all},
      {"tls", "\5\0S"s},
      {"no-tls", "\1\0N"s},
      {"prepare",
       "\2\3\0\1\7"s + ServerBytes{}.message('1').types({20, 25}).columns({{"id", 20}, {"name", 25}}).ready().all},
      {"rows", "\2\3\2\x0e\7"s + ServerBytes{}.message('2').row({"1"}).row({nullptr}).complete("SELECT 2").ready().all},
      {"portal",
       "\2\4\2\3\5\7"s + ServerBytes{}.message('2').columns({{"a"}}).row({"1"}).complete("SELECT 1").ready().all},
      {"no-rows", "\2\4\2\3\5\7"s + ServerBytes{}.message('2').message('n').complete("INSERT 0 1").ready('T').all},
      {"units", "\2\6\2\5\7\2\5\7"s +
                    ServerBytes{}.error("ERROR", "22012", "zero").ready('E').message('2').message('I').ready().all},
      {"query",
       "\2\1\x9"s + ServerBytes{}.columns({{"a"}}).row({"1"}).complete("SELECT 1").complete("SET").ready().all},
      {"copy-in", "\2\2\5\7"s + ServerBytes{}.message('G', "\0\0\0"sv).error("ERROR", "57014", "copy").ready().all},
      {"copy-taken", "\2\1\x8"s + ServerBytes{}.message('G', "\0\0\1\0\0"sv).complete("COPY 1").ready('T').all},
      {"copy-given-up", "\2\1\x8"s + ServerBytes{}
                                         .message('N', "SN\0\0"sv)
                                         .message('G', "\0\0\0"sv)
                                         .error("ERROR", "57014", "no")
                                         .ready('E')
                                         .all},
      {"copy-refused",
       "\2\3\x8\2\7"s +
           ServerBytes{}.error("ERROR", "42P01", "no table").ready('E').error("ERROR", "25P02", "in").ready('E').all},
      {"copy-out",
       "\2\1\x9"s +
           ServerBytes{}.message('H', "\0\0\0"sv).message('d', "x").message('c').complete("COPY 1").ready().all},
      {"close", "\2\2\6\7"s + ServerBytes{}.message('3').ready().all},
      {"suspended", "\2\2\5\7"s + ServerBytes{}.message('s').ready().all},
      {"unasked", "\2\0"s + ServerBytes{}
                                .message('N', "SNOTICE\0Mhello\0\0"sv)
                                .message('A', "\0\0\0\1jobs\0new\0"sv)
                                .parameter("a", "b")
                                .error("FATAL", "57P01", "bye")
                                .all},
      {"large-row",
       "\2\2\5\7"s + ServerBytes{}.row({std::string(300, 'x').c_str()}).row({"1"}).complete("SELECT 2").ready().all},
  };
}

TEST(PostgresProtocol, EverySplitOfAStreamGivesTheSameEvents) {
  for (const auto& [name, bytes] : seeds()) {
    EXPECT_EQ(protocol_fault(bytes), "") << name;
    const ProtocolScene scene{.tls = (bytes[0] & 3) == 1,
                              .secure = (bytes[0] & 4) != 0,
                              .greeted = (bytes[0] & 3) >= 2,
                              .said = bytes.substr(2, static_cast<std::size_t>(bytes[1]))};
    const auto stream = std::string_view(bytes).substr(2 + static_cast<std::size_t>(bytes[1]));
    const auto whole = trace_of(scene, stream, [](std::size_t left) { return left; });
    EXPECT_FALSE(whole.events.empty() && whole.output.empty()) << name;
    for (std::size_t cut = 1; cut < stream.size(); ++cut) {
      bool first = true;
      const auto split =
          trace_of(scene, stream, [&](std::size_t left) { return std::exchange(first, false) ? cut : left; });
      ASSERT_EQ(split, whole) << name << " at " << cut;
    }
  }
}

TEST(PostgresProtocol, RandomChangesNeitherCrashNorSplit) {
  const auto seed = std::random_device{}();
  std::mt19937 random(seed);
  const auto all = seeds();
  for (int round = 0; round < 20'000; ++round) {
    auto bytes = all[random() % all.size()].second;
    for (auto changes = 1 + random() % 3; changes > 0; --changes) {
      const auto at = random() % bytes.size();
      switch (random() % 4) {
        case 0: bytes[at] = static_cast<char>(random()); break;
        case 1: bytes.insert(at, 1, static_cast<char>(random())); break;
        case 2: bytes.erase(at, 1); break;
        default: bytes += all[random() % all.size()].second.substr(2); break;
      }
      if (bytes.empty()) break;
    }
    ASSERT_EQ(protocol_fault(bytes), "") << "seed " << seed << " round " << round;
  }
}

/// The corpus holds the seeds by name; PLIMSOLL_SEEDS=1 writes them.
TEST(PostgresProtocol, CorpusHoldsItsSeedsAndPasses) {
  const std::filesystem::path folder = PLIMSOLL_SOURCE_DIR "/fuzz/postgres_protocol_fuzz";
  for (const auto& [name, bytes] : seeds()) {
    const auto path = folder / name;
    if (std::getenv("PLIMSOLL_SEEDS")) {
      std::filesystem::create_directories(folder);
      std::ofstream(path, std::ios::binary) << bytes;
    }
    std::ifstream file(path, std::ios::binary);
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), bytes) << path << ": write it by PLIMSOLL_SEEDS=1";
  }
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    EXPECT_EQ(protocol_fault(std::string(std::istreambuf_iterator<char>(file), {})), "") << entry.path();
  }
}

}  // namespace
}  // namespace plimsoll::database
