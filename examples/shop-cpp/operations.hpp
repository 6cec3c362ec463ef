#pragma once

#include <plimsoll/server/application.hpp>
#include <string>

namespace shop {

/// `shop.yaml`, where it lies.
std::string contract();
/// Adds the operations of this folder to the contract, and binds them.
void bind(plimsoll::Application& application);

}  // namespace shop
