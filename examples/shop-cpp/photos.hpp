#pragma once

#include <plimsoll/server/application.hpp>

namespace shop {

/// `putPhoto`: keeps the body as `photos/{id}.jpg`.
void bind_photos(plimsoll::Application& application);

}  // namespace shop
