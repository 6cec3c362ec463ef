#pragma once

#include "plimsoll/base/problem.hpp"

#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll {

inline constexpr Problem kInternal{.code = "internal",
                                   .status = 500,
                                   .title = "Internal error",
                                   .remedy = "Send the trace id to the operator of this server.",
                                   .internal = true};

/// One field of a request that is wrong. All of them are told at once, up to a cap.
struct FieldError {
  std::string in;       ///< `body`, `query`, `path`, `header`, `cookie`
  std::string pointer;  ///< JSON pointer into that part, or `/name` of the parameter
  std::string keyword;  ///< the keyword of JSON Schema that failed, or a word of ours
  std::string message;  ///< a sentence for people
};

/// The first of the fields that are wrong, and how many more there are: `body /price: must be a string; 2 more are in
/// errors`.
inline std::string summary(const std::vector<FieldError>& fields) {
  if (fields.empty()) return {};
  auto text = fields[0].in + (fields[0].pointer.empty() ? "" : " ") + fields[0].pointer + ": " + fields[0].message;
  if (const auto more = fields.size() - 1)
    text += "; " + std::to_string(more) + (more == 1 ? " more is" : " more are") + " in errors";
  return text;
}

/// A problem that is there as long as the program: a constant at namespace scope or of a class. A local one, or one
/// made on the way, is refused by the compiler, since the answer that names it is written later.
class DeclaredProblem {
 public:
  consteval DeclaredProblem(const Problem& problem) : problem_(&problem) {}
  consteval DeclaredProblem(const Problem* problem) : problem_(problem) {}
  constexpr const Problem* operator->() const { return problem_; }
  constexpr operator const Problem*() const { return problem_; }

 private:
  constexpr DeclaredProblem(const Problem* problem, int) : problem_(problem) {}
  friend constexpr DeclaredProblem declared(const Problem& problem);
  const Problem* problem_;
};
/// Of several, the one that is chosen as it comes. Whoever calls this vouches for it: it is declared somewhere.
constexpr DeclaredProblem declared(const Problem& problem) { return {&problem, 0}; }

/// What went wrong: which declared problem, what to tell the caller, what only an operator may see, may it be repeated.
struct Error {
  /// What few errors have, kept apart so that a Result stays small.
  struct More {
    std::vector<FieldError> fields;
    std::string cause;              ///< for the log only, never for the caller
    std::string_view policy;        ///< the policy that refused; static
    std::int64_t retry_after = -1;  ///< seconds; negative: says nothing
  };

  DeclaredProblem problem = &kInternal;
  std::string detail{};
  bool retryable = problem->retryable;
  std::shared_ptr<More> more_{};

  More& more() {
    if (!more_) more_ = std::make_shared<More>();
    return *more_;
  }
  /// What of the detail is for the caller.
  std::string_view shown_detail() const { return problem->internal ? std::string_view{} : std::string_view(detail); }
  /// Tells the operator, and only the operator, what is behind it.
  Error because(std::string cause) && {
    more().cause = std::move(cause);
    return std::move(*this);
  }
};

template <class T = void>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(DeclaredProblem problem, std::string detail = {}) {
  return std::unexpected<Error>(Error{problem, std::move(detail)});
}

template <class T>
inline constexpr bool is_result = false;
template <class T>
inline constexpr bool is_result<std::expected<T, Error>> = true;

}  // namespace plimsoll
