#pragma once

#include "plimsoll/base/result.hpp"
#include "plimsoll/contract/sanitize.hpp"
#include "plimsoll/contract/shape.hpp"
#include "plimsoll/http/message.hpp"

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::contract {

/// A name and its value as they were sent: of a query, a form, a cookie header.
struct RawPair {
  std::string_view name, value;  ///< still encoded
  bool used = false;
  bool malformed = false;  ///< the name cannot be decoded
};

/// Takes `a=1&b=2` apart at `&` and the first `=`, in the arena.
std::span<RawPair> split_pairs(std::string_view text, Arena& arena, std::string_view separator = "&");
/// Decodes the names, once for all who look for theirs; one that cannot be decoded stays as it was sent.
void decode_names(std::span<RawPair> pairs, Arena& arena);

/// How one value is written (OpenAPI 3.1.1, section 4.8.12.6, after RFC 6570). Made once, used for each request; also
/// for the properties of a form.
class ValueReader {
 public:
  struct How {
    std::string name;
    Style style = Style::form;
    bool explode = true, plus = true, allow_empty = false;
    bool json = false, text = false;  ///< `content`: the value is a JSON text, or a text
    bool json_items = false;          ///< each item of the list is a JSON text
    bool encoded = true;              ///< percent-encoded; false for headers
  };
  ValueReader(How how, ValueShape shape) : how_(std::move(how)), shape_(std::move(shape)) {}

  /// What was found: absent, wrong (a sentence), or a value.
  struct Found {
    const json::Value* value = nullptr;
    std::string_view wrong{};
    std::string pointer{};     ///< below the parameter, where it is wrong
    std::string_view plain{};  ///< the decoded text of a plain value, for other readings of it
    bool empty = false;        ///< present and empty, which `allowEmptyValue` allows
  };
  Found from_path(std::string_view segment, Arena&) const;
  Found from_header(const Headers&, Arena&) const;
  /// The whole query of a `content` parameter.
  Found from_query(std::string_view query, Arena&) const;
  /// Of pairs whose names are decoded; marks those it has used.
  Found from_pairs(std::span<RawPair>, Arena&) const;

  const ValueShape& shape() const { return shape_; }
  const std::string& name() const { return how_.name; }
  /// A form-exploded object takes pairs that bear the names of its properties.
  bool spreads() const {
    return how_.style == Style::form && how_.explode && !how_.json && !how_.text && shape_.may(ValueShape::object) &&
           !shape_.may(ValueShape::text) && !shape_.may(ValueShape::array);
  }

 private:
  class Reading;
  How how_;
  ValueShape shape_;
};

/// All parameters of an operation.
class Parameters {
 public:
  struct Rules {
    bool refuse_unknown_query = true;
    std::vector<std::string> also_in_query{};  ///< names of credentials, which are allowed and belong to no parameter
    std::vector<Sanitizer> sanitizers{};       ///< one per parameter of the operation, or none at all
  };
  Parameters(const Contract&, const Operation&, Rules rules);
  /// Nothing to read, and nothing to refuse.
  bool idle() const { return readers_.empty() && !rules_.refuse_unknown_query; }

  /// One value per parameter of the operation, in the contract's order: null where absent and without default. What is
  /// wrong is appended to `errors`. Values live in the arena, or as long as the request.
  /// Once `steps` are exhausted, the rest is not read.
  std::span<const json::Value* const> read(std::span<const std::string_view> path, const Request&, Arena&, Steps& steps,
                                           std::vector<FieldError>& errors) const;

 private:
  class QueryForm;
  void unknown(std::span<RawPair>, std::vector<FieldError>&) const;
  const Operation& operation_;
  std::vector<ValueReader> readers_;
  std::vector<std::uint32_t> in_path_;  ///< for each parameter: its place among the captured segments
  bool any_query_ = false, any_cookie_ = false;
  Rules rules_;
  std::shared_ptr<const QueryForm> query_form_;  ///< of the parameter that is the whole query, where it is a form
  std::vector<std::string> credentials_;         ///< of `also_in_query`: those that are no parameter's name
};

std::string_view to_string(In in);
/// A failure of a validator as an error of that part of the request, below `prefix`. A missing member is told at its
/// own place.
FieldError field_error(std::string_view in, std::string_view prefix, const schema::Failure& failure);
/// Appends what a validator says of a value that it has found invalid, as errors of that part of the request.
void append_failures(std::vector<FieldError>& errors, std::string_view in, const std::string& prefix,
                     const schema::Validator&, const json::Value&, Steps& steps);

/// So many errors of one request are told; what is beyond is not looked at.
inline constexpr std::size_t kMostErrors = 64;

}  // namespace plimsoll::contract
