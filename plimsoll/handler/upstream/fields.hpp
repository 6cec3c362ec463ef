#pragma once

#include "plimsoll/http/message.hpp"

#include <string>
#include <utility>
#include <vector>

namespace plimsoll::handler::forwarding {

/// The fields of a request as they are passed on.
std::vector<std::pair<std::string, std::string>> request_fields(const Request& request);

/// The fields of an answer as they are passed back: views of `answer`. `length`: its length is kept, because there is
/// no body to tell it.
void response_fields(const Response& answer, bool length, Headers& out);

}  // namespace plimsoll::handler::forwarding
