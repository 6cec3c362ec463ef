// The schema compiler: any schema, in every dialect and direction, is compiled or refused; what is compiled judges
// alike whichever way it is asked, and by the plain bounds that stand at its root.

#include "plimsoll/schema/schema_check.hpp"

#include <charconv>
#include <cstdio>
#include <cstdlib>

namespace {

using namespace plimsoll;

void check(const std::string& fault) {
  if (fault.empty()) return;
  std::fprintf(stderr, "%s\n", fault.c_str());
  std::abort();
}

/// `r:2` is the third value of the input.
const json::Value* numbered(const json::Value& all, std::string_view uri) {
  std::size_t at = 0;
  if (!uri.starts_with("r:") || std::from_chars(uri.data() + 2, uri.data() + uri.size(), at).ec != std::errc{})
    return nullptr;
  return at < all.array().size() ? &all.array()[at] : nullptr;
}

}  // namespace

/// Reads `[schema, instance or further document, …]`, or an object whose `schema` stands in it as in a document.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using Options = schema::CompileOptions;
  Arena arena;
  auto all = json::parse({reinterpret_cast<const char*>(data), size}, arena, {.depth = 64, .positions = size % 2 == 0});
  if (!all) return 0;
  Options options{.assert_formats = true};
  const auto* schema = all->find("schema");
  if (schema) {
    options.document = &*all;
    options.base_uri = "r:document";
  } else {
    if (all->array().empty()) return 0;
    schema = &all->array()[0];
  }
  const auto find = [&](std::string_view uri) { return numbered(*all, uri); };
  FunctionRef<const json::Value*(std::string_view)> resolve(find);
  options.resolve = &resolve;
  const auto instances = all->is(json::Type::array) ? all->array() : std::span(&*all, 1);
  // As it is, and in one of the other ways: the size chooses, so that every way comes to every shape.
  constexpr Options::Dialect kDialects[] = {Options::Dialect::draft2020_12, Options::Dialect::openapi30,
                                            Options::Dialect::openapi31};
  constexpr Options::Direction kDirections[] = {Options::Direction::none, Options::Direction::request,
                                                Options::Direction::response};
  for (const std::size_t way : {std::size_t{0}, 1 + size % 8}) {
    options.dialect = kDialects[way % 3];
    options.direction = kDirections[way / 3];
    options.refuse_misplaced = way / 3 == 2;
    const auto judge = schema::compile_to_judge(*schema, options);
    if (!judge) continue;
    for (const auto& instance : instances) {
      check(schema::verdict_fault(*judge, instance));
      if (way == 0 && schema->is(json::Type::object) && !schema->find("$schema") && judge->validator.valid(instance))
        check(schema::bound_fault(*schema, instance));
    }
  }
  return 0;
}
