#pragma once

#include "plimsoll/handler/table/embed_access.hpp"
#include "plimsoll/handler/table/plan.hpp"

namespace plimsoll::table {

/// Writes into a document what its tables add to it: the query parameters of lists and rows. Complains of what cannot
/// be served.
void augment(contract::Draft& draft);

/// Name of the query parameter that filters a column by an operator: `total[ge]`; equality and lists are the bare name.
std::string filter_parameter(const Column& column, Operator op);

/// The parameters that a list or row takes, as a list of OpenAPI parameters (JSON text). `known`: no caller is let in
/// whom no scheme knows.
std::string parameters_of(const Plan& plan, const EmbedAccess& access, bool known);

/// A declaration's fault as a complaint of a document.
contract::Complaint complaint(const Wrong& wrong, const std::vector<std::string>& files);

}  // namespace plimsoll::table
