#pragma once

#include <cctype>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::table {

/// Attacks by class, for tests; each is tried in every position of a query and of a body.
inline const std::map<std::string, std::vector<std::string>>& attacks() {
  static const std::map<std::string, std::vector<std::string>> all = {
      {"sql in values",
       {"' OR '1'='1", "1; DROP TABLE things", "x' UNION SELECT * FROM plimsoll_secrets --", "\" OR 1=1 --"}},
      {"sql in names", {"id) OR (1=1", "name\" FROM things--", "rowid", "_rowid_", "sqlite_schema.sql", "*"}},
      {"operators", {"[eq]", "name[xx]", "name[eq][eq]", "name[", "ge:5", ">=5", "$ne"}},
      {"type confusion", {"true", "null", "[1,2]", "{\"a\":1}", "1e3", "0x10", "1.0", "\"5\"", "NaN", "Infinity"}},
      {"overflow",
       {"9223372036854775807", "9223372036854775808", "-9223372036854775809", "1e400", "-1e400", std::string(400, '9'),
        "0." + std::string(400, '3')}},
      {"encodings", {"\xff\xfe", "\xc0\xaf", "\xed\xa0\x80", "%27", "%2527", "\xe2\x80\xae"}},
      {"nul", {std::string("a\0b", 3), std::string("\0", 1)}},
      {"deep nesting",
       {std::string(5'000, '('), "items" + std::string(300, '(') + "id" + std::string(300, ')'),
        std::string(2'000, '[')}},
      {"huge lists", {[] {
         std::string list;
         for (int i = 0; i < 1'500; ++i) list += (i ? "," : "") + std::to_string(i);
         return list;
       }()}},
      {"patterns", {"%%%%%%%%%%%%%%%%a", "********************b", "_\\", "\\", "\\\\\\", "[a-z]*"}},
      {"full text", {"\"", "a\"b", "NEAR(a b)", "name:a", "a OR b", "^a", "-a", "(", "*", "a*b*", "AND"}},
      {"white space", {" ", "\t", "\r\n", "a\nb", "  1  "}},
      {"forged cursors",
       {"AAAA", "AQ", std::string(8'000, 'A'), "AQEBAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "-", "_", "eyJpZCI6MX0"}},
  };
  return all;
}

/// Percent-encoded, whatever may be.
inline std::string encoded(std::string_view text) {
  constexpr std::string_view hex = "0123456789ABCDEF";
  std::string out;
  for (unsigned char c : text)
    if (std::isalnum(c))
      out += static_cast<char>(c);
    else
      ((out += '%') += hex[c >> 4]) += hex[c & 15];
  return out;
}

}  // namespace plimsoll::table
