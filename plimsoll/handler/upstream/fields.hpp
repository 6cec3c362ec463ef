#pragma once

#include "plimsoll/client/client.hpp"
#include "plimsoll/exchange/context.hpp"

#include <string>
#include <utility>
#include <vector>

namespace plimsoll::handler::forwarding {

/// The fields of a request as they are passed on.
std::vector<std::pair<std::string, std::string>> request_fields(const Request& request, const Context& context);

/// The fields of an answer as they are passed back: views of `answer`. Its length is kept only where there is no body
/// to tell it (`HEAD`).
void response_fields(const client::Answer& answer, bool head, Headers& out);

}  // namespace plimsoll::handler::forwarding
