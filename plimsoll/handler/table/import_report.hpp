#pragma once

#include "plimsoll/base/result.hpp"
#include "plimsoll/handler/table/operation.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plimsoll::table {

/// What is wrong with the rows of an import, up to so many lines of report.
class ImportReport {
 public:
  explicit ImportReport(std::size_t most) : most_(most) {}
  void add(const Error& error, std::string_view prefix, std::int64_t line) {
    if (!problem_) problem_ = error.problem;
    if (error.more_ && !error.more_->fields.empty()) {
      for (const auto& field : error.more_->fields) add(field, line);
      return;
    }
    add(FieldError{"body", std::string(prefix), std::string(error.problem->code),
                   error.detail.empty() ? std::string(error.problem->title) : error.detail},
        line);
  }
  void add(FieldError field, std::int64_t line) {
    if (!problem_) problem_ = &kInvalidRow;
    if (full()) return;
    field.message.insert(0, "line " + std::to_string(line) + ": ");
    fields_.push_back(std::move(field));
  }
  bool empty() const { return problem_ == nullptr; }
  /// Nothing more is looked at.
  bool full() const { return ended_ || fields_.size() >= most_; }
  void end() { ended_ = true; }
  Error error() && {
    auto made = wrong_fields(*problem_, std::move(fields_));
    return made;
  }

 private:
  std::size_t most_;
  bool ended_ = false;
  const Problem* problem_ = nullptr;  ///< of the first row that is wrong
  std::vector<FieldError> fields_;
};

}  // namespace plimsoll::table
