#include "plimsoll/contract/example_validator.hpp"

namespace plimsoll::contract {

Result<std::shared_ptr<const schema::Validator>> example_validator(const Contract& contract,
                                                                   const json::Value& schema) {
  using Options = schema::CompileOptions;
  const auto* version = contract.root->find("openapi");
  const bool old = version && version->is(json::Type::string) && version->string().starts_with("3.0.");
  auto made = schema::compile(schema, {.dialect = old ? Options::Dialect::openapi30 : Options::Dialect::openapi31,
                                       .assert_formats = true,
                                       .document = contract.root,
                                       .direction = Options::Direction::response});
  if (!made) return std::unexpected(std::move(made).error());
  return std::make_shared<const schema::Validator>(std::move(*made));
}

}  // namespace plimsoll::contract
