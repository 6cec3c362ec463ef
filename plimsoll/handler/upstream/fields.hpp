#pragma once

#include "plimsoll/http/message.hpp"

#include <string>
#include <utility>
#include <vector>

namespace plimsoll::handler::forwarding {

/// What is changed of fields on their way: names in lower case.
struct FieldRules {
  std::vector<std::pair<std::string, std::string>> set{};
  std::vector<std::string> remove{};

  bool empty() const { return set.empty() && remove.empty(); }
  void apply(std::vector<std::pair<std::string, std::string>>& fields) const;
  /// Values are views of the rules.
  void apply(Headers& headers) const;
};

/// The fields of a request as they are passed on. `coding`: `Accept-Encoding` too, else it is `identity`.
std::vector<std::pair<std::string, std::string>> request_fields(const Request& request, bool coding = false);

/// The fields of an answer as they are passed back: views of `answer`. `length`: its length is kept, because there is
/// no body to tell it.
void response_fields(const Response& answer, bool length, Headers& out);

}  // namespace plimsoll::handler::forwarding
