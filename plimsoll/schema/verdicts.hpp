#pragma once

#include "plimsoll/json/value.hpp"

#include <cstdint>
#include <vector>

namespace plimsoll::schema {

/// How many failures a schema found in an array or object: 0 when it is valid.
///
/// A schema that refers to itself along two ways (the branches of a `oneOf`, the parts of an `allOf`) judges what is
/// below once for each way, and so 2^depth times in all. With the verdicts remembered it is judged once.
class Verdicts {
 public:
  static constexpr std::uint32_t kUnknown = 0xFFFFFFFF;

  /// `schema`: whatever names the schema. kUnknown: it has not judged this instance.
  std::uint32_t find(std::uint64_t schema, const json::Value& instance) const;
  void add(std::uint64_t schema, const json::Value& instance, std::uint32_t failures);

 private:
  struct Entry {
    std::uint64_t schema = 0;
    const json::Value* instance = nullptr;  ///< null: free
    std::uint32_t failures = 0;
  };
  static constexpr std::size_t kMost = std::size_t{1} << 17;  ///< what comes beyond is judged again
  std::size_t slot(std::uint64_t schema, const json::Value& instance) const;
  void grow();

  std::vector<Entry> entries_;  // open addressing, at most half taken
  std::size_t size_ = 0;
};

}  // namespace plimsoll::schema
