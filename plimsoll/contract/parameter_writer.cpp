#include "plimsoll/contract/parameter_writer.hpp"

#include "plimsoll/base/percent.hpp"
#include "plimsoll/json/write.hpp"

#include <algorithm>

namespace plimsoll::contract {
namespace {

using json::Type;
using json::Value;

void encode(std::string& out, std::string_view text, char also = 0) { append_encoded(out, text, also); }

/// A JSON text that equal values share: `1`, `1.0` and `1e0` are one number.
void write_json(std::string& out, const Value& value) {
  bool first = true;
  const auto next = [&] { out += std::exchange(first, false) ? "" : ","; };
  switch (value.type()) {
    case Type::number:
      if (const auto integer = value.integer()) {
        out += std::to_string(*integer);
        return;
      }
      break;
    case Type::array:
      out += '[';
      for (auto& item : value.array()) next(), write_json(out, item);
      out += ']';
      return;
    case Type::object:
      out += '{';
      for (auto& member : value.object()) {
        next();
        out += json::to_string(Value::of(member.key)) + ':';
        write_json(out, member.value);
      }
      out += '}';
      return;
    default: break;
  }
  out += json::to_string(value);
}
std::string json_of(const Value& value) {
  std::string out;
  write_json(out, value);
  return out;
}

/// A value that is no list and no object, as it stands in a field.
std::string plain(const Value& value) {
  if (value.is(Type::string)) return std::string(value.string());
  return value.is(Type::null) ? std::string{} : json_of(value);
}

/// A value of `content`: a text itself, any other a JSON text.
std::string content(const Parameter& parameter, const Value& value) {
  return parameter.content_type.starts_with("text/") && value.is(Type::string) ? std::string(value.string())
                                                                               : json_of(value);
}

void encode(std::string& out, const Value& value, char also = 0) { encode(out, plain(value), also); }

class Writing {
 public:
  explicit Writing(std::span<const std::string_view> without) : without_(without) {}

  void parameter(const Parameter& parameter, const Value& value) {
    if (!parameter.content_type.empty()) {
      if (!begin(parameter.name)) return;
      encode(text, content(parameter, value));
    } else if (value.is(Type::object)) {
      object(parameter, value);
    } else if (value.is(Type::array)) {
      list(parameter, value);
    } else if (begin(parameter.name)) {
      encode(text, value);
    }
  }

  /// The query itself, without a name: a form, or the encoded text.
  void whole(const Parameter& parameter, const Value& value) {
    if (parameter.content_type == "application/x-www-form-urlencoded" && value.is(Type::object))
      object({.in = In::query}, value);
    else if (parameter.content_type.starts_with("text/"))
      encode(text, value);
    else
      encode(text, json_of(value));
  }

  std::string text;

 private:
  /// `&name=`; false when the name is left out.
  bool begin(std::string_view name) {
    if (std::ranges::find(without_, name) != without_.end()) return false;
    if (!text.empty()) text += '&';
    encode(text, name);
    text += '=';
    return true;
  }
  void list(const Parameter& parameter, const Value& value) {
    if (parameter.explode && parameter.style == Style::form) {
      for (auto& item : value.array())
        if (begin(parameter.name)) encode(text, item);
      return;
    }
    if (!begin(parameter.name)) return;
    const std::string_view between = parameter.style == Style::space_delimited  ? "%20"
                                     : parameter.style == Style::pipe_delimited ? "%7C"
                                                                                : ",";
    items(value, between);
  }
  void items(const Value& list, std::string_view between) {
    bool first = true;
    for (auto& item : list.array()) {
      if (!std::exchange(first, false)) text += between;
      encode(text, item);
    }
  }
  void object(const Parameter& parameter, const Value& value) {
    if (parameter.style == Style::deep_object) return deep(parameter.name, value);
    if (parameter.explode) {  // spread: the names of the members
      for (auto& member : value.object()) {
        if (!member.value.is(Type::array)) {
          if (begin(member.key)) encode(text, member.value);
          continue;
        }
        for (auto& item : member.value.array())
          if (begin(member.key)) encode(text, item);
      }
      return;
    }
    if (!begin(parameter.name)) return;
    bool first = true;
    for (auto& member : value.object()) {
      if (!std::exchange(first, false)) text += ',';
      encode(text, member.key);
      text += ',';
      encode(text, member.value);
    }
  }
  void deep(const std::string& name, const Value& value) {
    if (std::ranges::find(without_, name) != without_.end()) return;
    for (auto& member : value.object()) {
      const auto below = name + '[' + std::string(member.key) + ']';
      if (member.value.is(Type::object)) {
        deep(below, member.value);
      } else if (begin(below)) {
        if (member.value.is(Type::array))
          items(member.value, ",");
        else
          encode(text, member.value);
      }
    }
  }

  std::span<const std::string_view> without_;
};

/// A path segment (RFC 6570: simple, label, matrix).
void write_segment(std::string& out, const Parameter& parameter, const Value& value) {
  if (!parameter.content_type.empty()) return encode(out, content(parameter, value));
  const bool label = parameter.style == Style::label, matrix = parameter.style == Style::matrix;
  const bool explode = parameter.explode;
  const char also = label ? '.' : char{0};
  const char* const between = !explode ? "," : label ? "." : matrix ? ";" : ",";
  const auto named = [&] {
    out += ';';
    encode(out, parameter.name);
    out += '=';
  };
  if (label) out += '.';
  if (matrix && value.is(Type::object) && explode)
    out += ';';
  else if (matrix && !(value.is(Type::array) && explode))
    named();
  bool first = true;
  const auto next = [&] {
    if (!std::exchange(first, false)) out += between;
  };
  if (value.is(Type::array)) {
    for (auto& item : value.array()) {
      if (matrix && explode)
        named();
      else
        next();
      encode(out, item, also);
    }
  } else if (value.is(Type::object)) {
    for (auto& member : value.object()) {
      next();
      encode(out, member.key, also);
      out += explode ? '=' : ',';
      encode(out, member.value, also);
    }
  } else {
    encode(out, value, also);
  }
}

/// Lists and objects behind commas; `writes` appends one text.
void write_list(std::string& out, bool explode, const Value& value, auto&& writes) {
  bool first = true;
  const auto next = [&] { out += std::exchange(first, false) ? "" : ","; };
  if (value.is(Type::array)) {
    for (auto& item : value.array()) next(), writes(out, plain(item));
  } else if (value.is(Type::object)) {
    for (auto& member : value.object()) {
      next();
      writes(out, member.key);
      out += explode ? '=' : ',';
      writes(out, plain(member.value));
    }
  } else {
    writes(out, plain(value));
  }
}

/// Of a cookie: what a cookie cannot hold (RFC 6265, section 4.1.1) is encoded, and what would be decoded. The rest
/// stays, because many services decode nothing.
void write_cookie(std::string& out, std::string_view text) {
  for (const char c : text) {
    const bool stays = c > ' ' && c < 127 && c != '"' && c != ',' && c != ';' && c != '\\' && c != '%';
    if (stays)
      out += c;
    else
      append_encoded(out, {&c, 1}, 0);
  }
}

bool is_default(const Parameter& parameter, const Value& value) {
  const auto* otherwise = parameter.default_value;
  return otherwise && (&value == otherwise || json_of(value) == json_of(*otherwise));
}

}  // namespace

std::optional<std::string> canonical_header(const Parameter& parameter, const Value* value) {
  if (!value || is_default(parameter, *value)) return std::nullopt;
  if (!parameter.content_type.empty()) return content(parameter, *value);
  std::string out;
  write_list(out, parameter.explode, *value, [](std::string& to, std::string_view text) { to += text; });
  return out;
}

std::string canonical_cookies(const Operation& operation, std::span<const Value* const> values) {
  std::string out;
  for (std::size_t i = 0; i < values.size() && i < operation.parameters.size(); ++i) {
    const auto& parameter = operation.parameters[i];
    if (parameter.in != In::cookie || !values[i] || is_default(parameter, *values[i])) continue;
    const auto& value = *values[i];
    const auto writes = [&](std::string& to, std::string_view text) {
      if (parameter.style == Style::cookie)
        to += text;
      else
        write_cookie(to, text);
    };
    const auto pair = [&](std::string_view name, const Value& of) {
      if (!out.empty()) out += "; ";
      writes(out, name);
      out += '=';
      write_list(out, false, of, writes);
    };
    if (!parameter.content_type.empty()) {
      if (!out.empty()) out += "; ";
      writes(out, parameter.name);
      out += '=';
      writes(out, content(parameter, value));
    } else if (parameter.explode && value.is(Type::object)) {
      for (auto& member : value.object()) pair(member.key, member.value);
    } else if (parameter.explode && value.is(Type::array)) {
      for (auto& item : value.array()) pair(parameter.name, item);
    } else {
      pair(parameter.name, value);
    }
  }
  return out;
}

std::string canonical_query(const Operation& operation, std::span<const Value* const> values,
                            std::span<const std::string_view> without) {
  Writing writing{without};
  for (std::size_t i = 0; i < values.size() && i < operation.parameters.size(); ++i) {
    const auto& parameter = operation.parameters[i];
    if ((parameter.in != In::query && parameter.in != In::querystring) || !values[i]) continue;
    if (is_default(parameter, *values[i])) continue;
    if (parameter.in == In::querystring)
      writing.whole(parameter, *values[i]);
    else
      writing.parameter(parameter, *values[i]);
  }
  return std::move(writing.text);
}

std::string canonical_path(const Operation& operation, std::span<const Value* const> values,
                           std::span<const std::string_view> captured) {
  std::string path;
  std::string_view rest = operation.path;
  for (const auto segment : captured) {
    const auto open = rest.find('{');
    const auto close = rest.find('}', open);
    if (open == rest.npos || close == rest.npos) break;
    const auto name = rest.substr(open + 1, close - open - 1);
    path += rest.substr(0, open);
    rest.remove_prefix(close + 1);
    const Value* value = nullptr;
    const Parameter* parameter = nullptr;
    for (std::size_t i = 0; i < values.size() && i < operation.parameters.size(); ++i)
      if (operation.parameters[i].in == In::path && operation.parameters[i].name == name)
        value = values[i], parameter = &operation.parameters[i];
    if (value)
      write_segment(path, *parameter, *value);
    else  // nobody has read it
      path += segment;
  }
  return path += rest;
}

std::vector<std::string> credential_parameters(const Contract& contract) {
  std::vector<std::string> names;
  for (auto& scheme : contract.security_schemes)
    if (scheme.type == "apiKey" && scheme.in == In::query) names.push_back(scheme.parameter);
  return names;
}

}  // namespace plimsoll::contract
