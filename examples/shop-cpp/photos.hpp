#pragma once

#include <memory>
#include <plimsoll/exchange/policy.hpp>

namespace shop {

/// `PUT /products/{id}/photo`: keeps the body as `photos/{id}.jpg`.
std::unique_ptr<plimsoll::Handler> put_photo();

}  // namespace shop
