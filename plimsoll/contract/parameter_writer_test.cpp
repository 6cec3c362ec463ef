#include "plimsoll/contract/parameter_writer.hpp"

#include "plimsoll/base/letters.hpp"
#include "plimsoll/contract/parameters.hpp"
#include "plimsoll/database/test_folder.hpp"
#include "plimsoll/json/write.hpp"

#include <gtest/gtest.h>
#include <array>
#include <fstream>
#include <random>

namespace plimsoll::contract {
namespace {

struct Shape {
  const char *style, *schema;
};
constexpr Shape kQuery[] = {
    {"", "{type: string}"},
    {"", "{type: integer, default: 5}"},
    {"", "{type: [integer, 'null']}"},
    {"", "{type: boolean}"},
    {"", "{anyOf: [{type: integer}, {type: string, maxLength: 3}]}"},
    {"", "{type: array, items: {type: string}}"},
    {", explode: false", "{type: array, items: {type: string}}"},
    {", explode: false", "{type: array, items: {type: number}}"},
    {", style: pipeDelimited, explode: false", "{type: array, items: {type: integer}}"},
    {", style: spaceDelimited, explode: false", "{type: array, items: {type: integer}}"},
    {", style: deepObject", "{type: object, properties: {a: {type: string}, b: {type: array, items: {type: string}}}}"},
    {", style: deepObject",
     "{type: object, additionalProperties: {type: object, additionalProperties: {type: string}}}"},
    {", explode: false", "{type: object, properties: {a: {type: string}, c: {type: integer}}}"},
    {"", "{type: object, properties: {spread: {type: string}, wide: {type: array, items: {type: string}}}}"},
};
constexpr Shape kPath[] = {
    {"", "{type: string}"},
    {"", "{type: integer}"},
    {"", "{type: array, items: {type: string}}"},
    {", style: label", "{type: string}"},
    {", style: label, explode: true", "{type: array, items: {type: string}}"},
    {", style: matrix", "{type: string}"},
    {", style: matrix", "{type: array, items: {type: string}}"},
    {", style: matrix, explode: true", "{type: array, items: {type: string}}"},
    {", style: matrix, explode: true", "{type: object, properties: {a: {type: string}, b: {type: string}}}"},
    {", explode: true", "{type: object, properties: {a: {type: string}, b: {type: string}}}"},
};

/// One operation with all the query parameters, and one for each kind of path parameter.
std::shared_ptr<const Contract> contract() {
  std::string text =
      "openapi: 3.1.0\ninfo: {title: t, version: '1'}\npaths:\n  /q:\n    get:\n      operationId: q\n"
      "      responses: {'200': {description: ok}}\n      parameters:\n"
      "        - {name: json, in: query, content: {application/json: {schema: {}}}}\n";
  for (std::size_t i = 0; i < std::size(kQuery); ++i)
    text += "        - {name: 'p" + std::to_string(i) + "[x]', in: query" + kQuery[i].style +
            ", schema: " + kQuery[i].schema + "}\n";
  for (std::size_t i = 0; i < std::size(kPath); ++i)
    text += "  /p" + std::to_string(i) + "/{id}/end:\n    get:\n      operationId: p" + std::to_string(i) +
            "\n      responses: {'200': {description: ok}}\n      parameters: [{name: id, in: path, required: true" +
            kPath[i].style + ", schema: " + kPath[i].schema + "}]\n";
  const database::TestFolder folder;
  std::ofstream(folder / "c.yaml") << text;
  auto loaded = load({.file = folder / "c.yaml"});
  if (loaded) return *loaded;
  for (auto& complaint : loaded.error()) ADD_FAILURE() << to_string(complaint);
  return nullptr;
}

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  std::size_t below(std::size_t n) { return engine_() % n; }
  std::string text() {
    static constexpr std::string_view kPieces[] = {"a", "Z", "0", " ",    ",", "|", ";", "=",
                                                   "&", "+", "%", "<>\"", "/", "?", "é", "."};
    std::string out;
    for (auto n = 1 + below(4); n > 0; --n) out += kPieces[below(std::size(kPieces))];
    return out;
  }
  std::string encoded(std::string_view text) {  // one of many spellings
    std::string out;
    for (const char c : text) {
      const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.';
      char hex[4];
      std::snprintf(hex, sizeof hex, below(2) ? "%%%02x" : "%%%02X", static_cast<unsigned char>(c));
      out += plain && below(4) ? std::string(1, c) : std::string(hex);
    }
    return out;
  }

 private:
  std::mt19937 engine_;
};

std::string show(std::span<const json::Value* const> values) {
  std::string out;
  for (auto* value : values) out += value ? json::to_string(*value) + "\n" : "-\n";
  return out;
}

struct Read {
  std::string values, query, path;
  bool wrong = false;
};
Read read(const Contract& contract, const Operation& operation, std::string_view path, std::string_view query) {
  const Parameters parameters(contract, operation, {.refuse_unknown_query = false});
  Arena arena;
  const Request request{.method = "GET", .target = path, .headers = Headers{arena}, .query = query};
  std::vector<FieldError> errors;
  std::vector<std::string_view> captured;
  if (!path.empty()) {
    const auto match = contract.match("GET", path);
    if (match.kind != Match::Kind::found) return {{}, {}, {}, true};  // `.` and `..` are no segments
    captured.assign(match.captured, match.captured + match.count);
  }
  Steps steps;
  const auto values = parameters.read(captured, request, arena, steps, errors);
  return {show(values), canonical_query(operation, values), canonical_path(operation, values, captured),
          !errors.empty()};
}

TEST(ParameterWriter, WhatItWritesIsReadAsTheSameValuesAndWrittenTheSameAgain) {
  const auto* given = std::getenv("PLIMSOLL_SEED");
  const auto seed = given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
  SCOPED_TRACE("PLIMSOLL_SEED=" + std::to_string(seed));
  Random random{seed};
  const auto all = contract();
  ASSERT_TRUE(all);
  const auto& operation = *all->find("q");
  int compared = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string query;
    const auto add = [&](std::string name, std::string value) {
      query += (query.empty() ? "" : "&") + random.encoded(name) + "=" + std::move(value);
    };
    const auto number = [&] { return std::to_string(random.below(100)); };
    for (auto n = random.below(6); n > 0; --n) {
      const auto i = random.below(std::size(kQuery));
      const auto name = "p" + std::to_string(i) + "[x]";
      const std::string_view style = kQuery[i].style, schema = kQuery[i].schema;
      if (schema.contains("spread")) {
        random.below(2) ? add("spread", random.encoded(random.text())) : add("wide", random.encoded(random.text()));
      } else if (style.contains("deepObject")) {
        const auto below = schema.contains("additional") ? std::string("[k") + number() + "][m]" : std::string("[a]");
        add(name + below, random.encoded(random.text()));
      } else if (schema.contains("type: object")) {
        add(name, "a," + random.encoded(random.text()) + ",c," + number());
      } else if (schema.contains("array")) {
        const char* between = style.contains("pipe") ? "|" : style.contains("space") ? "%20" : ",";
        const auto one = [&] { return schema.contains("string") ? random.encoded(random.text()) : number(); };
        add(name, style.empty() ? one() : one() + between + one());
      } else {
        add(name, schema.contains("{type: string}") ? random.encoded(random.text())
                  : schema.contains("boolean")      ? "true"
                                                    : number());
      }
    }
    if (!random.below(4)) add("json", random.encoded(R"({"a":[1,"x&y"]})"));
    add("undeclared", "secret");
    const auto first = read(*all, operation, {}, query);
    if (first.wrong) continue;
    ++compared;
    const auto second = read(*all, operation, {}, first.query);
    ASSERT_EQ(second.values, first.values) << query << "\n" << first.query;
    ASSERT_EQ(second.query, first.query) << query;
    ASSERT_EQ(first.query.find("secret"), std::string::npos) << first.query;
    ASSERT_EQ(first.query.find_first_of("<>\" \r\n"), std::string::npos) << first.query;
  }
  EXPECT_GT(compared, 500);
  for (std::size_t i = 0; i < std::size(kPath); ++i)
    for (int round = 0; round < 50; ++round) {
      const std::string_view style = kPath[i].style, schema = kPath[i].schema;
      const auto value =
          schema.contains("integer") ? std::to_string(random.below(1000)) : random.encoded(random.text());
      std::string segment = value;
      if (schema.contains("object"))
        segment = style.contains("matrix") ? ";a=" + value + ";b=x" : "a=" + value + ",b=x";
      else if (style.contains("label"))
        segment = "." + value + (style.contains("explode") ? ".x" : "");
      else if (style.contains("matrix"))
        segment = ";id=" + value + (style.contains("explode") ? ";id=x" : "");
      const auto base = "/p" + std::to_string(i) + "/";
      const auto& one = *all->find("p" + std::to_string(i));
      const auto first = read(*all, one, base + segment + "/end", {});
      if (first.wrong) continue;
      const auto second = read(*all, one, first.path, {});
      ASSERT_EQ(second.values, first.values) << segment << "\n" << first.path;
      ASSERT_EQ(second.path, first.path) << segment;
    }
}

/// The values of the fields and cookies, and what is written of them: the fields in order, then the cookies.
struct ReadFields {
  std::string values;
  std::vector<std::pair<std::string, std::string>> written;
  bool wrong = false;
};
ReadFields read_fields(const Contract& contract, const Operation& operation,
                       const std::vector<std::pair<std::string, std::string>>& fields) {
  const Parameters parameters(contract, operation, {});
  Arena arena;
  Request request{.method = "GET", .target = "/f", .headers = Headers{arena}};
  for (const auto& [name, value] : fields) request.headers.add(arena.keep(name), arena.keep(value));
  std::vector<FieldError> errors;
  Steps steps;
  const auto values = parameters.read({}, request, arena, steps, errors);
  ReadFields read;
  for (auto* value : values) {  // 1.0 is 1
    const auto integer = value && value->is(json::Type::number) ? value->integer() : std::nullopt;
    read.values += integer ? std::to_string(*integer) + "\n" : value ? json::to_string(*value) + "\n" : "-\n";
  }
  for (std::size_t i = 0; i < operation.parameters.size(); ++i)
    if (operation.parameters[i].in == In::header)
      if (const auto text = canonical_header(operation.parameters[i], values[i]))
        read.written.emplace_back(lowered(operation.parameters[i].name), *text);
  if (const auto cookies = canonical_cookies(operation, values); !cookies.empty())
    read.written.emplace_back("cookie", cookies);
  read.wrong = !errors.empty();
  return read;
}

TEST(ParameterWriter, FieldsAndCookiesAreReadAsTheSameValuesAndWrittenTheSameAgain) {
  const auto* given = std::getenv("PLIMSOLL_SEED");
  const auto seed = given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
  SCOPED_TRACE("PLIMSOLL_SEED=" + std::to_string(seed));
  Random random{seed};
  const database::TestFolder folder;
  std::ofstream(folder / "c.yaml") << R"(openapi: 3.1.0
info: {title: t, version: '1'}
paths:
  /f:
    get:
      operationId: f
      responses: {'200': {description: ok}}
      parameters:
        - {name: X-Text, in: header, schema: {type: string}}
        - {name: X-Number, in: header, schema: {type: number, default: 7}}
        - {name: X-List, in: header, schema: {type: array, items: {type: string}}}
        - {name: X-Map, in: header, explode: true, schema: {type: object, properties: {a: {type: integer}, b: {type: string}}}}
        - {name: X-Json, in: header, content: {application/json: {schema: {}}}}
        - {name: text, in: cookie, schema: {type: string}}
        - {name: number, in: cookie, schema: {type: number}}
        - {name: list, in: cookie, schema: {type: array, items: {type: string}}}
        - {name: flat, in: cookie, explode: false, schema: {type: array, items: {type: string}}}
        - {name: map, in: cookie, explode: false, schema: {type: object, properties: {a: {type: integer}, b: {type: string}}}}
)";
  const auto loaded = load({.file = folder / "c.yaml"});
  ASSERT_TRUE(loaded);
  const auto& operation = *(*loaded)->find("f");
  const auto text = [&](bool comma) {
    std::string out;
    for (const char c : random.text())
      if (comma || c != ',') out += c;
    while (out.starts_with(' ')) out.erase(0, 1);
    while (out.ends_with(' ')) out.pop_back();
    return out.empty() ? std::string("x") : out;
  };
  const auto number = [&] {
    return std::to_string(random.below(20)) + std::array{"", ".0", "e0", ".5"}[random.below(4)];
  };
  const auto digits = [&] { return std::to_string(random.below(20)); };
  int compared = 0;
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::pair<std::string, std::string>> fields;
    if (random.below(2)) fields.emplace_back("x-text", text(true));
    if (random.below(2)) fields.emplace_back("x-number", number());
    if (random.below(2)) fields.emplace_back("x-list", text(false) + (random.below(2) ? ", " : ",") + text(false));
    if (random.below(2)) fields.emplace_back("x-map", "a=" + digits() + ",b=" + digits());
    if (random.below(2)) fields.emplace_back("x-json", R"({"a": [1.0, )" + number() + R"(], "b":"x,y"})");
    std::string cookies = "other=secret";
    if (random.below(2)) cookies += "; text=" + random.encoded(random.text());
    if (random.below(2)) cookies += ";number=" + number();
    if (random.below(2)) cookies += "; list=" + random.encoded(text(false)) + "; list=" + random.encoded(text(true));
    if (random.below(2)) cookies += "; flat=" + random.encoded(text(true)) + "," + random.encoded(text(true));
    if (random.below(2)) cookies += "; map=a," + digits() + ",b," + random.encoded(text(true));
    fields.emplace_back("cookie", cookies);
    fields.emplace_back("x-undeclared", "secret");
    const auto first = read_fields(**loaded, operation, fields);
    if (first.wrong) continue;
    ++compared;
    const auto second = read_fields(**loaded, operation, first.written);
    ASSERT_FALSE(second.wrong) << testing::PrintToString(first.written);
    ASSERT_EQ(second.written, first.written) << testing::PrintToString(fields);
    for (const auto& [name, value] : first.written) ASSERT_FALSE(value.contains("secret")) << name << ": " << value;
    if (!second.values.contains('{')) ASSERT_EQ(second.values, first.values) << testing::PrintToString(fields);
  }
  EXPECT_GT(compared, 500);
}

TEST(ParameterWriter, OneTextForAllSpellings) {
  const auto all = contract();
  ASSERT_TRUE(all);
  const auto& operation = *all->find("q");
  const auto text = [&](const char* query) { return read(*all, operation, {}, query).query; };
  EXPECT_EQ(text("p3[x]=true&p0[x]=a+b"), "p0%5Bx%5D=a%20b&p3%5Bx%5D=true");
  EXPECT_EQ(text("x=1&%700%5bx%5d=%61%20b&p3%5Bx%5D=true&p1[x]=5"), "p0%5Bx%5D=a%20b&p3%5Bx%5D=true");
  EXPECT_EQ(text("p6[x]=a%2Cb,c"), "p6%5Bx%5D=a%2Cb,c");
}

}  // namespace
}  // namespace plimsoll::contract
