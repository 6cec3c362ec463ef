#include "plimsoll/testkit/growth.hpp"

#include "plimsoll/contract/lint.hpp"
#include "plimsoll/database/test_folder.hpp"
#include "plimsoll/http/conditional.hpp"
#include "plimsoll/http/h1_drive.hpp"
#include "plimsoll/http/hpack_reader.hpp"
#include "plimsoll/http/multipart.hpp"
#include "plimsoll/http/negotiate.hpp"
#include "plimsoll/json/object_builder.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/json/yaml.hpp"
#include "plimsoll/policy/field_selection.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <memory>

// Texts of a quarter, a half and all of what the limits admit: each parser costs about twice as much for twice the
// size.

namespace plimsoll::testkit {
namespace {

TEST(Growth, OfJsonAsItIsParsed) {
  const Reading readings[] = {
      {"items", kBody / 2, [](std::size_t n) { return "[" + listed(n, ",", [](std::size_t) { return "1"; }) + "]"; }},
      {"members", kBody / 12,
       [](std::size_t n) { return "{" + listed(n, ",", [](auto i) { return '"' + name(i) + "\":1"; }) + "}"; }},
      {"members of one word", kBody / 14,
       [](std::size_t n) {
         return "{" + listed(n, ",", [](auto i) { return "\"aaaaaaaa" + name(i) + "\":1"; }) + "}";
       }},
      {"nested arrays", kBody / kDepth / 2,
       [](std::size_t n) {
         const auto one = repeated("[", kDepth - 2) + repeated("]", kDepth - 2);
         return "[" + listed(n, ",", [&](std::size_t) { return one; }) + "]";
       }},
      {"nested objects", kBody / kDepth / 6,
       [](std::size_t n) {
         const auto one = repeated("{\"a\":", kDepth - 2) + "1" + repeated("}", kDepth - 2);
         return "[" + listed(n, ",", [&](std::size_t) { return one; }) + "]";
       }},
      {"a string", kBody, [](std::size_t n) { return '"' + repeated("a", n) + '"'; }},
      {"escapes", kBody / 6, [](std::size_t n) { return '"' + repeated("\\u00e9", n) + '"'; }},
      {"surrogates", kBody / 12, [](std::size_t n) { return '"' + repeated("\\ud83d\\ude00", n) + '"'; }},
      {"digits of a number", kBody, [](std::size_t n) { return repeated("7", n); }},
      {"digits of a fraction", kBody, [](std::size_t n) { return "0." + repeated("0", n) + "1"; }},
      {"numbers", kBody / 8, [](std::size_t n) { return "[" + listed(n, ",", [](auto) { return "1.5e300"; }) + "]"; }},
      {"blanks", kBody, [](std::size_t n) { return repeated(" ", n) + "1"; }},
      {"an end that is missing", kBody / 2, [](std::size_t n) { return "[" + repeated("1,", n); }},
      {"a string that does not end", kBody / 2, [](std::size_t n) { return '"' + repeated("\\\\", n); }},
  };
  for (const auto& each : readings)
    expect_bounded(std::string("JSON: ") + each.name, cpu_growth(each.largest, [&](std::size_t n) {
                     const auto text = std::make_shared<std::string>(each.text(n));
                     const auto arena = std::make_shared<Arena>();
                     return [=] {
                       (void)json::parse(*text, *arena);
                       arena->release();
                     };
                   }));
}

TEST(Growth, OfJsonValuesAsTheyAreComparedAndWritten) {
  const auto members_of = [](std::size_t n, bool backwards) {
    return "{" + listed(n, ",", [&](auto i) { return '"' + name(backwards ? n - i : i + 1) + "\":[1]"; }) + "}";
  };
  expect_bounded("JSON: equal objects in another order", cpu_growth(kBody / 16, [&](std::size_t n) {
                   const auto arena = std::make_shared<Arena>();
                   const auto a = *json::parse(arena->keep(members_of(n, false)), *arena);
                   const auto b = *json::parse(arena->keep(members_of(n, true)), *arena);
                   EXPECT_TRUE(json::equal(a, b));
                   return [=, kept = arena] { (void)json::equal(a, b); };
                 }));
  expect_bounded("JSON: written", cpu_growth(kBody / 16, [&](std::size_t n) {
                   const auto arena = std::make_shared<Arena>();
                   const auto value = *json::parse(arena->keep(members_of(n, false)), *arena);
                   return [=, kept = arena] { (void)json::to_string(value); };
                 }));
}

TEST(Growth, OfYamlAsItIsParsed) {
  const Reading readings[] = {
      {"keys", 16'000, [](std::size_t n) { return listed(n, "\n", [](auto i) { return name(i) + ": 1"; }); }},
      {"items", 32'000, [](std::size_t n) { return listed(n, "\n", [](auto i) { return "- " + number(i); }); }},
      {"flow items", 32'000, [](std::size_t n) { return "a: [" + listed(n, ", ", number) + "]"; }},
      {"a plain text of lines", 16'000,
       [](std::size_t n) { return "a: " + listed(n, "\n  ", [](auto) { return "word"; }); }},
      {"a folded text", 16'000,
       [](std::size_t n) { return "a: >\n  " + listed(n, "\n  ", [](auto) { return "word"; }); }},
      {"a quoted text of lines", 16'000,
       [](std::size_t n) { return "a: \"" + listed(n, "\n  ", [](auto) { return "word"; }) + "\""; }},
      {"comments", 32'000, [](std::size_t n) { return repeated("# a comment\n", n) + "a: 1"; }},
      {"anchors and aliases", 8'000,
       [](std::size_t n) {
         return listed(n, "\n",
                       [](auto i) { return name(i) + ": &" + name(i) + " {a: 1}\nb" + name(i) + ": *" + name(i); });
       }},
      {"merge keys", 8'000,
       [](std::size_t n) {
         return "a: &a {x: 1, y: 2}\nb:\n" +
                listed(n, "\n", [](auto i) { return "  " + name(i) + ": {<<: *a, z: 1}"; });
       }},
      {"one map merged of many", 8'000,
       [](std::size_t n) {
         return listed(n, "\n", [](auto i) { return name(i) + ": &" + name(i) + " {k" + number(i) + ": 1}"; }) +
                "\nall:\n  <<: [" + listed(n, ", ", [](auto i) { return "*" + name(i); }) + "]";
       }},
  };
  for (const auto& each : readings)
    expect_bounded(std::string("YAML: ") + each.name, cpu_growth(each.largest, [&](std::size_t n) {
                     const auto text = std::make_shared<std::string>(each.text(n));
                     const auto arena = std::make_shared<Arena>();
                     if (auto read = json::parse_yaml(*text, *arena); !read)
                       ADD_FAILURE() << each.name << ": " << read.error().detail;
                     return [=] {
                       (void)json::parse_yaml(*text, *arena);
                       arena->release();
                     };
                   }));
}

TEST(Growth, OfHeadsAndBodiesOfHttp1) {
  const Reading readings[] = {
      {"fields", kFields, [](std::size_t n) { return repeated("x-field-of-some-length: value\r\n", n - 4); }},
      {"fields of one name", kFields, [](std::size_t n) { return repeated("accept: a/b\r\n", n - 4); }},
      {"a long field", kHead - 1024, [](std::size_t n) { return "x: " + repeated("a", n) + "\r\n"; }},
      {"a field of commas", kHead - 1024, [](std::size_t n) { return "connection: " + repeated(",", n) + "\r\n"; }},
      {"codings of a body", kHead - 1024,
       [](std::size_t n) { return "transfer-encoding: " + repeated("a,", n / 2) + "chunked\r\n"; }},
  };
  for (const auto& each : readings)
    for (const std::size_t cut : {std::size_t{0}, std::size_t{1}})
      expect_bounded(std::string("HTTP/1: ") + each.name + (cut ? " byte by byte" : ""),
                     cpu_growth(each.largest, [&](std::size_t n) {
                       const auto text =
                           std::make_shared<std::string>("GET / HTTP/1.1\r\nhost: a\r\n" + each.text(n) + "\r\n");
                       return [=] {
                         const std::size_t cuts[] = {cut};
                         (void)h1::drive(*text, cuts);
                       };
                     }));
  expect_bounded("HTTP/1: a long target", cpu_growth(kTarget, [](std::size_t n) {
                   const auto text =
                       std::make_shared<std::string>("GET /" + repeated("a", n - 20) + " HTTP/1.1\r\nhost: a\r\n\r\n");
                   return [=] { (void)h1::drive(*text); };
                 }));
  // Fed in pieces of one size, as a connection does: the driver itself moves what is left.
  for (const auto* const chunk : {"1\r\na\r\n", "1;a=b\r\na\r\n", "00000001\r\na\r\n"})
    expect_bounded(std::string("HTTP/1: chunks ") + chunk, cpu_growth(kBody / 4, [&](std::size_t n) {
                     const auto text = std::make_shared<std::string>(
                         "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n" +
                         repeated(chunk, n / std::string_view(chunk).size()) + "0\r\n\r\n");
                     return [=] {
                       const std::size_t cuts[] = {4096};
                       (void)h1::drive(*text, cuts);
                     };
                   }));
}

TEST(Growth, OfFieldBlocksOfHttp2) {
  const auto literal = [](std::string_view prefix, std::string_view name, std::string_view value) {
    std::string out(prefix);
    for (const auto text : {name, value}) {
      out += static_cast<char>(text.size());
      out += text;
    }
    return out;
  };
  const Reading readings[] = {
      {"literals that are not kept", 48 << 10,
       [&](std::size_t n) { return repeated(literal({"\0", 1}, "n", "v"), n / 5); }},
      {"literals that are kept", 48 << 10,
       [&](std::size_t n) {
         return listed(n / 10, "", [&](auto i) { return literal("\x40", "n" + number(i % 1000), "v"); });
       }},
      {"indexed fields", 48 << 10, [](std::size_t n) { return repeated("\x82", n); }},
      {"the last of a full table", 48 << 10,
       [&](std::size_t n) {
         return listed(100, "", [&](auto i) { return literal("\x40", "n" + number(i), "v"); }) + repeated("\xfe", n);
       }},
  };
  for (const auto& each : readings)
    expect_bounded(std::string("HPACK: ") + each.name, cpu_growth(each.largest, [&](std::size_t n) {
                     const auto block = std::make_shared<std::string>(each.text(n));
                     return [=] {
                       http::HpackReader reader;
                       http::HpackReader::Field field;
                       reader.begin(*block);
                       while (reader.next(field) == http::HpackReader::Step::field) {}
                       reader.end();
                     };
                   }));
}

TEST(Growth, OfFieldsAsTheyAreRead) {
  const std::string_view offers[] = {"application/json", "text/html; charset=utf-8", "application/problem+json",
                                     "image/png"};
  expect_bounded("Accept", cpu_growth(kHead - 1024, [&](std::size_t n) {
                   const auto text = std::make_shared<std::string>(repeated("a/b;q=0.1,", n / 10) + "x/y");
                   return [=] { (void)http::best_media_type(*text, offers); };
                 }));
  expect_bounded("Accept with parameters", cpu_growth(kHead - 1024, [&](std::size_t n) {
                   const auto text = std::make_shared<std::string>("text/html" + repeated(";a=\"b\"", n / 6));
                   return [=] { (void)http::best_media_type(*text, offers); };
                 }));
  expect_bounded("Accept-Encoding", cpu_growth(kHead - 1024, [](std::size_t n) {
                   const auto text = std::make_shared<std::string>(repeated("x;q=0.1,", n / 8));
                   return [=] {
                     const std::string_view view(*text);
                     constexpr http::Coding codings[] = {http::Coding::br, http::Coding::gzip, http::Coding::zstd};
                     (void)http::best_coding(&view, codings);
                   };
                 }));
  for (const auto* const field : {"if-none-match", "if-match"})
    expect_bounded(field, cpu_growth(kHead - 1024, [&](std::size_t n) {
                     const auto text = std::make_shared<std::string>(repeated("\"a\",", n / 4) + "\"b\"");
                     return [=] {
                       Arena arena;
                       Headers headers{arena};
                       headers.add(field, *text);
                       (void)http::evaluate("GET", headers, {.etag = "\"c\""}, 0);
                     };
                   }));
  expect_bounded("fields", cpu_growth(kTarget, [](std::size_t n) {
                   const auto text = std::make_shared<std::string>(
                       listed(n / 8, ",", [](auto i) { return "abcd" + number(i % 100); }));
                   return [=] { (void)policy::parse_fields(*text); };
                 }));
}

class Ignored final : public http::MultipartParts {
 public:
  Result<> begin(http::PartHead) override { return {}; }
  Result<> data(std::string_view) override { return {}; }
  Result<> end() override { return {}; }
};

TEST(Growth, OfMultipartBodiesAsTheyAreTakenApart) {
  const std::string part = "--B\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\n";
  const Reading readings[] = {
      {"parts", 1000, [&](std::size_t n) { return listed(n, "\r\n", [&](auto) { return part; }) + "\r\n--B--"; }},
      {"content", kBody, [&](std::size_t n) { return part + repeated("a", n) + "\r\n--B--"; }},
      {"what is nearly a delimiter", kBody,
       [&](std::size_t n) { return part + repeated("\r\n--", n / 4) + "\r\n--B--"; }},
      {"line ends", kBody, [&](std::size_t n) { return part + repeated("\r\n", n / 2) + "\r\n--B--"; }},
      {"a preamble", kBody, [&](std::size_t n) { return repeated("a\r\n-", n / 4) + "\r\n" + part + "\r\n--B--"; }},
      {"an epilogue", kBody, [&](std::size_t n) { return part + "\r\n--B--" + repeated("\r\n--B", n / 5); }},
  };
  for (const auto& each : readings)
    for (const std::size_t cut : {std::size_t{7}, std::size_t{4096}})
      expect_bounded(std::string("multipart: ") + each.name + " in pieces of " + number(cut),
                     cpu_growth(each.largest, [&](std::size_t n) {
                       const auto text = std::make_shared<std::string>(each.text(n));
                       return [=] {
                         Ignored parts;
                         http::MultipartParser parser("B", {.parts = 1000, .part = kBody}, parts);
                         for (std::string_view rest = *text; !rest.empty();
                              rest.remove_prefix(std::min(cut, rest.size())))
                           if (!parser.feed(rest.substr(0, cut))) break;
                       };
                     }));
}

TEST(Growth, OfFindingsInADocumentOfOneLine) {
  expect_bounded("findings: in one line", cpu_growth(4'000, [](std::size_t n) {
                   const auto folder = std::make_shared<database::TestFolder>();
                   const auto file = *folder / "contract.json";
                   const auto member = "\"unused\": {\"description\": \"" + repeated("one of them, ", 80) + "\"}, ";
                   std::ofstream(file) << listed(n, "", [&](std::size_t) { return member; });
                   const auto findings = std::make_shared<std::vector<contract::Finding>>();
                   for (std::size_t i = 0; i < n; ++i)
                     findings->push_back({.rule = "unused-component",
                                          .severity = contract::LintRule::Severity::warning,
                                          .file = file,
                                          .at = {1, static_cast<std::uint32_t>(i * member.size() + 1)},
                                          .message = "is unused"});
                   const auto text = contract::to_text(*findings, contract::Printer());
                   EXPECT_EQ(static_cast<std::size_t>(std::ranges::count(text, '^')), n);
                   return [=, kept = folder] { (void)contract::to_text(*findings, contract::Printer()); };
                 }));
}

}  // namespace
}  // namespace plimsoll::testkit
