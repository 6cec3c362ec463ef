#pragma once

#include "plimsoll/schema/program.hpp"

namespace plimsoll::schema {

/// An operation in its two forms: within a sequence, and as its last.
struct OperationPair {
  Operation more, last;
};

extern const OperationPair kIntegerOnly, kMinimum, kMaximum, kExclusiveMinimum, kExclusiveMaximum, kMultipleOf, kLength,
    kPattern, kFormatted, kOneString, kStrings, kIntegers, kValues, kTrue, kFalse, kItemCount, kItems, kContains,
    kUnique, kMemberCount, kObject, kObjectPlain, kObjectFew, kPropertyNames, kDependencies, kCall, kNegation, kAnyOf,
    kOneOf, kCondition, kUnevaluated, kRecursion;

bool fail_operation(const Instruction*, const json::Value&, Run&);
bool pass_operation(const Instruction*, const json::Value&, Run&);

/// Whether no two items are equal.
bool is_unique(std::span<const json::Value> items, Steps& steps);

}  // namespace plimsoll::schema
