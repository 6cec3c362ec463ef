#pragma once

#include "plimsoll/base/function_ref.hpp"
#include "plimsoll/base/result.hpp"
#include "plimsoll/base/steps.hpp"
#include "plimsoll/json/value.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::schema {

/// A schema that cannot be compiled: `detail` names the keyword and its place.
inline constexpr Problem kInvalidSchema{"invalid-schema", 500, "The schema is invalid",
                                        "Correct the schema at the place named."};

/// The budget of steps ended before a verdict.
inline constexpr Problem kTooComplex{"too-complex", 400, "The request is too complex to validate",
                                     "Send less at once, or nest it less deeply."};

/// One way in which an instance fails.
struct Failure {
  std::string instance;  ///< JSON pointer into the instance
  std::string schema;    ///< pointer (or absolute URI) of the keyword
  std::string keyword;
  std::string message;    ///< a sentence: "must be at least 1"
  std::string missing{};  ///< a member of `instance` that must be there and is not
};

struct Program;

/// The output formats of JSON Schema 2020-12 (Core, section 12.4).
enum class Output : std::uint8_t { flag, basic, detailed };

/// A compiled schema: immutable, shared by all threads.
class Validator {
 public:
  explicit Validator(std::unique_ptr<const Program> program);
  ~Validator();
  Validator(Validator&&) noexcept;
  Validator& operator=(Validator&&) noexcept;

  /// Yes or no, as fast as it goes. Nothing is allocated, unless a schema that refers to itself takes thousands of
  /// steps.
  bool valid(const json::Value& instance) const {
    Steps steps;
    return valid(instance, steps);
  }
  /// The same out of a budget: false, and `steps.exhausted()`, when it did not suffice.
  bool valid(const json::Value& instance, Steps& steps) const;
  /// Every failure, up to `cap`; empty when valid.
  std::vector<Failure> validate(const json::Value& instance, std::size_t cap = 32) const {
    Steps steps;
    return validate(instance, steps, cap);
  }
  /// The same out of a budget. Where it did not suffice to find even one failure, one says so (`too-complex`).
  std::vector<Failure> validate(const json::Value& instance, Steps& steps, std::size_t cap = 32) const;
  /// Every failure of an instance that is known to be invalid.
  std::vector<Failure> failures(const json::Value& instance, Steps& steps, std::size_t cap = 32) const;
  /// Appends the outcome as JSON.
  void write(std::string& out, const json::Value& instance, Output format, std::size_t cap = 32) const;

 private:
  std::unique_ptr<const Program> program_;
};

struct CompileOptions {
  /// OpenAPI 3.0's dialect differs from 2020-12: `nullable`, boolean exclusive bounds, `$ref` alone, `$id` is data.
  enum class Dialect : std::uint8_t { draft2020_12, openapi30, openapi31 } dialect = Dialect::draft2020_12;
  bool assert_formats = false;  ///< known `format`s are asserted; unknown ones are annotations
  std::string base_uri{};       ///< of the schema's document
  /// The document or schema behind an absolute URI (without fragment), or null. Called while compiling only.
  FunctionRef<const json::Value*(std::string_view uri)>* resolve = nullptr;
  /// The document in which the schema stands, for references such as `#/components/schemas/Pet`; null: the schema
  /// itself.
  const json::Value* document = nullptr;
  enum class Direction : std::uint8_t { none, request, response } direction = Direction::none;
  /// `readOnly` properties in a request and `writeOnly` ones in a response are never required. They are let through and
  /// checked like others, because clients send back what they have read; this refuses them.
  bool refuse_misplaced = false;
  /// JSON pointer of the schema in its document, for messages.
  std::string_view pointer{};
};

/// Compiles a schema. `schema` and all it refers to must outlive the validator.
Result<Validator> compile(const json::Value& schema, const CompileOptions& options);

}  // namespace plimsoll::schema
