#include "plimsoll/database/postgres_value.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace plimsoll::database {
namespace {

using Type = PostgresType;

TEST(PostgresValue, ReadsEachTypeByTheConventionsOfFields) {
  const struct {
    Type type;
    const char* text;
    Field field;
  } cases[] = {
      {Type::boolean, "t", std::int64_t{1}},
      {Type::boolean, "f", std::int64_t{0}},
      {Type::int8, "-9223372036854775808", INT64_MIN},
      {Type::int2, "7", std::int64_t{7}},
      {Type::float8, "0.1", 0.1},
      {Type::float8, "1e+300", 1e300},
      {Type::float8, "-Infinity", -HUGE_VAL},
      {Type{1700}, "12345678901234567890.10", std::string_view("12345678901234567890.10")},
      {Type::timestamptz, "2026-01-01 00:00:00+00", std::string_view("2026-01-01T00:00:00Z")},
      {Type::timestamptz, "2026-01-01 00:00:00.125+00", std::string_view("2026-01-01T00:00:00.125Z")},
      {Type::timestamp, "2026-01-01 00:00:00.5", std::string_view("2026-01-01T00:00:00.5Z")},
      {Type::timestamptz, "infinity", std::string_view("infinity")},
      {Type::timestamptz, "0044-03-15 00:00:00+00 BC", std::string_view("0044-03-15 00:00:00+00 BC")},
      {Type::bytea, "\\x00ff41", std::string_view("\x00\xff\x41", 3)},
      {Type{25}, "t", std::string_view("t")},
      {Type::jsonb, R"({"a": 1})", std::string_view(R"({"a": 1})")},
  };
  for (const auto& c : cases) {
    std::string scratch;
    EXPECT_EQ(postgres_field(c.type, c.text, scratch), c.field) << c.text;
  }
}

TEST(PostgresValue, WritesParametersAsText) {
  const struct {
    Cell cell;
    Type type;
    std::string_view text;
    bool binary;
  } cases[] = {
      {std::int64_t{-5}, Type::int8, "-5", false},
      {std::int64_t{2}, Type::boolean, "1", false},
      {0.1, Type::float8, "0.1", false},
      {HUGE_VAL, Type::float8, "Infinity", false},
      {std::string("a\\b"), Type{25}, "a\\b", false},
      {std::string("a\\b"), Type::bytea, "a\\b", true},
      {std::string("a\0b", 3), Type{25}, {"a\0b", 3}, true},
  };
  for (const auto& c : cases) {
    std::string scratch;
    const auto made = postgres_parameter(c.cell, c.type, scratch);
    EXPECT_EQ(std::string_view(made.text, static_cast<std::size_t>(made.size)), c.text);
    EXPECT_EQ(made.binary, c.binary) << c.text;
  }
  std::string scratch;
  EXPECT_EQ(postgres_parameter({}, Type::int8, scratch).text, nullptr);
}

}  // namespace
}  // namespace plimsoll::database
