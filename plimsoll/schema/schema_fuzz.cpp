#include "plimsoll/json/parse.hpp"
#include "plimsoll/schema/validator.hpp"

#include <cstdlib>

/// Reads `[schema, instance, …]`: each instance must be judged alike by the fast way and by the one that explains, and
/// all three dialects must take or refuse the schema without harm.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace plimsoll;
  using Dialect = schema::CompileOptions::Dialect;
  Arena arena;
  const auto all = json::parse({reinterpret_cast<const char*>(data), size}, arena, {.depth = 64});
  if (!all || all->array().empty()) return 0;
  for (const auto dialect : {Dialect::draft2020_12, Dialect::openapi30, Dialect::openapi31}) {
    const auto validator = schema::compile(all->array()[0], {.dialect = dialect, .assert_formats = true});
    if (!validator) continue;
    for (const auto& instance : all->array()) {
      const bool valid = validator->valid(instance);
      if (valid != validator->validate(instance, 8).empty()) std::abort();
    }
  }
  return 0;
}
