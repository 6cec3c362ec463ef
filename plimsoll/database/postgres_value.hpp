#pragma once

#include "plimsoll/database/database.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace plimsoll::database {

/// Types by their numbers in `pg_type`, which never change.
enum class PostgresType : std::uint32_t {
  boolean = 16,
  bytea = 17,
  int8 = 20,
  int2 = 21,
  int4 = 23,
  text = 25,
  oid = 26,
  json = 114,
  float4 = 700,
  float8 = 701,
  varchar = 1043,
  timestamp = 1114,
  timestamptz = 1184,
  numeric = 1700,
  uuid = 2950,
  jsonb = 3802,
};

/// A value as PostgreSQL writes it as text (DateStyle ISO, TimeZone UTC, bytea_output hex) by the conventions of
/// `Field`: booleans as 0 and 1, whole numbers as integers, `float4` and `float8` as doubles, instants in RFC 3339,
/// UTC; everything else, `numeric` among it, as it is written. `scratch` holds what had to be written anew.
Field postgres_field(PostgresType type, std::string_view text, std::string& scratch);

/// A parameter as PostgreSQL reads it. `binary`: its bytes as they are, which is how a `bytea` is given, and a text
/// with a byte of 0, that only a `bytea` can hold.
struct PostgresParameter {
  const char* text = nullptr;  ///< null: NULL
  int size = 0;
  bool binary = false;
};
/// `scratch` holds a number's text; a text is pointed to.
PostgresParameter postgres_parameter(const Cell& cell, PostgresType type, std::string& scratch);

}  // namespace plimsoll::database
