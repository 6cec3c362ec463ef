#include "plimsoll/database/postgres_policies.hpp"

#include "plimsoll/database/renderer.hpp"

namespace plimsoll::database {
namespace {

/// What a transaction was told, asked once for a statement and not for each row; NULL where it was told nothing.
std::string setting(std::string_view name) {
  return "(SELECT nullif(current_setting('plimsoll." + std::string(name) + "',true),''))";
}

/// Byte by byte: the column's own collation may take other texts for equal.
std::string is_exactly(std::string_view column, std::string_view name) {
  return quoted(column) + "::text COLLATE \"C\"=" + setting(name);
}

std::string owned(const GuardedTable& table) {
  const auto own = is_exactly(table.owner, "subject");
  if (table.except_roles.empty()) return own;
  std::string roles;
  for (const auto& role : table.except_roles) roles += (roles.empty() ? "" : ",") + literal(role);
  return "(" + own + " OR string_to_array(" + setting("roles") + ",chr(10))&&ARRAY[" + roles + "])";
}

}  // namespace

std::vector<std::string> caller_settings(const Reading& reading) {
  std::vector<std::string> values(4);
  if (!reading.exchange) {
    values[3] = "on";
    return values;
  }
  // A text with a byte of 0 would end there, and be the name of another caller.
  const auto whole = [](std::string_view text) { return text.contains('\0') ? std::string_view{} : text; };
  values[0] = whole(reading.tenant);
  values[1] = whole(reading.subject);
  for (const auto role : reading.roles)
    if (!role.contains('\n') && !role.contains('\0')) values[2].append(values[2].empty() ? "" : "\n").append(role);
  return values;
}

std::string policy_statements(const GuardedTable& table) {
  const auto name = quoted(table.name), policy = std::string(kPolicy);
  std::string condition;
  if (!table.tenant.empty()) condition = is_exactly(table.tenant, "tenant");
  if (!table.owner.empty()) condition += (condition.empty() ? "" : " AND ") + owned(table);
  return "ALTER TABLE " + name + " ENABLE ROW LEVEL SECURITY;\nALTER TABLE " + name +
         " FORCE ROW LEVEL SECURITY;\nDROP POLICY IF EXISTS " + policy + " ON " + name + ";\nCREATE POLICY " + policy +
         " ON " + name + " USING (" + setting("server") + "='on' OR (" + condition + "));\n";
}

}  // namespace plimsoll::database
