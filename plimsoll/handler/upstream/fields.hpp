#pragma once

#include "plimsoll/http/message.hpp"

#include <string>
#include <utility>
#include <vector>

namespace plimsoll::handler::forwarding {

/// What is changed of fields on their way: names in lower case. Of a request every spelling of a name is meant that a
/// server may take for it (http/field_name.hpp).
struct FieldRules {
  std::vector<std::pair<std::string, std::string>> set{};
  std::vector<std::string> remove{};

  bool empty() const { return set.empty() && remove.empty(); }
  /// Values are views of the rules.
  void apply_to_request(Headers& headers) const;
  void apply_to_response(Headers& headers) const;
};

/// What is to be known of an operation where fields of its requests are passed on.
struct Passing {
  bool coding = false;  ///< `Accept-Encoding` too, else it is `identity`
  bool parts = true;    ///< `Range` and `If-Range` too; else answers are asked for whole, because something reads them
  /// Fields that the contract has looked at, in lower case: parameters of the operation and keys of its callers. They
  /// pass in this spelling alone, and may be such as `redirects` a request.
  std::vector<std::string> declared{};
  /// Fields that act in the name of the credential that the service is shown, as `variable_name` has them; one that
  /// ends with `*` names all that begin so. A caller's pass only where they are declared.
  std::vector<std::string> reserved{};
  /// Cookies and parameters of the query that are keys of callers to this server, and are for no other.
  std::vector<std::string> keys_in_cookies{}, keys_in_query{};
};
/// The query as it is passed on.
std::string_view passed_query(std::string_view query, Arena& arena, const Passing& passing);
/// The fields of a request as they are passed on: names in lower case. What is not a view of the request is in `arena`.
Headers request_fields(const Request& request, Arena& arena, const Passing& passing = {});

/// Fields that make some servers take a request for another one: for another path, method, host or client. `name` as
/// `variable_name` has it.
bool redirects(std::string_view name);

/// Whether a field behind the body of a request may be passed on: none that must stand before a body, that acts for the
/// service, that the contract looks at in the head, or that is changed on the way. `name` in lower case.
bool passes_behind_body(std::string_view name, const Passing& passing, const FieldRules& rules);

/// The fields of an answer as they are passed back, added to `out`. `length`: its length is kept, because there is
/// no body to tell it.
void response_fields(const Response& answer, bool length, Headers& out);

}  // namespace plimsoll::handler::forwarding
