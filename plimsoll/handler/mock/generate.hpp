#pragma once

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/handler/mock/random.hpp"

#include <optional>

namespace plimsoll::handler::mocking {

/// How data is made up for a schema.
struct GenerateOptions {
  std::uint64_t seed = 0;
  bool examples = true;  ///< prefer the `example`, `examples` and `default` of parts of the schema
  std::size_t attempts = 40;
};

/// A value that satisfies the schema: checked by `validator`, or nothing when none was found in that many attempts (a
/// schema that nothing satisfies, or one too intricate to be met by construction). The same wish gives the same value.
/// Over the seeds every branch of `oneOf` and `anyOf` and every optional property comes.
std::optional<json::Value> generate(const contract::Contract&, const json::Value& schema, const schema::Validator&,
                                    const GenerateOptions&, Arena&);

}  // namespace plimsoll::handler::mocking
