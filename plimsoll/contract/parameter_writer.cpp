#include "plimsoll/contract/parameter_writer.hpp"

#include "plimsoll/base/percent.hpp"
#include "plimsoll/json/write.hpp"

#include <algorithm>

namespace plimsoll::contract {
namespace {

using json::Type;
using json::Value;

void encode(std::string& out, std::string_view text, char also = 0) { append_encoded(out, text, also); }

void encode(std::string& out, const Value& value, char also = 0) {
  switch (value.type()) {
    case Type::string: return encode(out, value.string(), also);
    case Type::null: return;
    default: return encode(out, json::to_string(value), also);
  }
}

class Writing {
 public:
  explicit Writing(std::span<const std::string_view> without) : without_(without) {}

  void parameter(const Parameter& parameter, const Value& value) {
    if (!parameter.content_type.empty()) {
      if (!begin(parameter.name)) return;
      // A text parameter holds the text itself, any other a JSON text.
      if (parameter.content_type.starts_with("text/") && value.is(Type::string))
        encode(text, value.string());
      else
        encode(text, json::to_string(value));
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
      encode(text, json::to_string(value));
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
  if (!parameter.content_type.empty()) {
    const bool text = parameter.content_type.starts_with("text/") && value.is(Type::string);
    return encode(out, text ? value.string() : std::string_view(json::to_string(value)));
  }
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

}  // namespace

std::string canonical_query(const Operation& operation, std::span<const Value* const> values,
                            std::span<const std::string_view> without) {
  Writing writing{without};
  for (std::size_t i = 0; i < values.size() && i < operation.parameters.size(); ++i) {
    const auto& parameter = operation.parameters[i];
    if ((parameter.in != In::query && parameter.in != In::querystring) || !values[i]) continue;
    const auto* otherwise = parameter.default_value;
    if (otherwise && (values[i] == otherwise || json::to_string(*values[i]) == json::to_string(*otherwise))) continue;
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
