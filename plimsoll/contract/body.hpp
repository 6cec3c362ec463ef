#pragma once

#include "plimsoll/contract/parameters.hpp"
#include "plimsoll/contract/sanitize.hpp"

namespace plimsoll::contract {

/// How a body is read into a value that a schema can judge.
enum class BodyKind : std::uint8_t { json, json_lines, form, multipart, text, binary };
/// Of a media type without parameters, lower case.
BodyKind body_kind(std::string_view media_type);
/// Why a body, or a part of a form, is not read whose Content-Type has parameters, whatever type is declared: texts are
/// UTF-8, and of a parameter that comes twice another reader could take the other one. `type`: that without parameters,
/// lower case. Empty: nothing is wrong.
std::string refusal_of_type(std::string_view type, std::string_view content_type);

/// Reads the bodies of one declared media type. Made once, used for each request.
class BodyReader {
 public:
  BodyReader(const Contract&, const MediaType&, Sanitizer = {});
  /// The value, valid; null for a binary body. What does not satisfy the schema is appended to `errors`, and what
  /// cannot be read at all is an Error (`malformed-json`, `malformed-body`), as is what the steps do not suffice for
  /// (`too-complex`). `content_type`: the header as sent.
  /// `kind` is that of the type that was sent, which may be one of many that the declared one stands for.
  Result<const json::Value*> read(std::string_view bytes, BodyKind kind, std::string_view content_type, Arena&,
                                  Steps& steps, std::vector<FieldError>& errors) const;
  const MediaType& media_type() const { return media_; }

 private:
  /// One part of a multipart body.
  struct Part {
    std::string_view name, content_type, body;
    bool is_file = false;  ///< it has a file name
  };
  class Parts;
  struct Property {
    ValueReader reader;
    bool json = false;
    bool json_items = false;    ///< it is a list, of which each item is a JSON text
    std::string content_types;  ///< of `encoding`: what a part may be, comma-separated; empty: anything
    bool takes(std::string_view type) const;
  };
  Result<json::Value> lines(std::string_view, Arena&) const;
  Result<json::Value> form(std::string_view, Arena&, std::vector<FieldError>&) const;
  Result<json::Value> multipart(std::string_view, std::string_view content_type, Arena&,
                                std::vector<FieldError>&) const;
  json::Value part_value(const Part&, const Property*, Arena&, std::vector<FieldError>&) const;
  const Property* property(std::string_view name) const;
  void judge(const json::Value&, const std::string& pointer, Steps&, std::vector<FieldError>&) const;

  const MediaType& media_;
  Sanitizer sanitizer_;
  ValueShape shape_;
  std::vector<Property> properties_;
};

inline constexpr Problem kMalformedBody{"malformed-body", 400, "The body does not match its media type",
                                        "Send the body as its Content-Type says."};

}  // namespace plimsoll::contract
