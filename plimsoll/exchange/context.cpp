#include "plimsoll/exchange/context.hpp"

#include "plimsoll/contract/contract.hpp"

namespace plimsoll {

const json::Value* Context::parameter(std::string_view name) const {
  if (!operation) return nullptr;
  for (std::size_t i = 0; i < operation->parameters.size() && i < input.parameters.size(); ++i)
    if (operation->parameters[i].name == name) return input.parameters[i];
  return nullptr;
}

const json::Value* Context::parameter(std::string_view name, contract::In in) const {
  if (!operation) return nullptr;
  for (std::size_t i = 0; i < operation->parameters.size() && i < input.parameters.size(); ++i)
    if (operation->parameters[i].in == in && operation->parameters[i].name == name) return input.parameters[i];
  return nullptr;
}

}  // namespace plimsoll
