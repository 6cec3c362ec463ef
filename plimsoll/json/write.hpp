#pragma once

#include "plimsoll/json/value.hpp"

#include <string>

namespace plimsoll::json {

/// Appends JSON to a string. Commas and colons come by themselves; nesting is the caller's to keep right.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}
  Writer& begin_object() { return open('{'); }
  Writer& end_object() { return close('}'); }
  Writer& begin_array() { return open('['); }
  Writer& end_array() { return close(']'); }
  Writer& key(std::string_view name);
  Writer& string(std::string_view text);
  Writer& integer(std::int64_t value);
  Writer& number(double value);  ///< shortest text that reads back the same; not finite: null
  Writer& boolean(bool value);
  Writer& null();
  /// Text that is JSON already.
  Writer& raw(std::string_view json);
  Writer& value(const Value& value);

 private:
  Writer& open(char c);
  Writer& close(char c);
  void comma();
  std::string& out_;
  bool first_ = true;
};

/// Appends `text` as a JSON string, quotes included.
void append_string(std::string& out, std::string_view text);
/// One line of JSON.
std::string to_string(const Value& value);
/// Readable: two blanks a level, a line per member.
std::string to_pretty_string(const Value& value);

}  // namespace plimsoll::json
