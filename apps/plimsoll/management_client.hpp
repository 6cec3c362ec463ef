#pragma once

#include "plimsoll/client/response_reader.hpp"

#include <string>

namespace plimsoll::command {

/// Asks the management listener of a running server: `target` is method and path, such as `POST /reload`. `address`:
/// empty: that of the deployment. Each step (connect, send, the next bytes) may take `seconds`.
Result<client::Answer> ask_management(std::string address, const std::string& config, const std::string& target,
                                      int seconds);

}  // namespace plimsoll::command
