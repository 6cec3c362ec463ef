#include "plimsoll/exchange/rows.hpp"

namespace plimsoll {
namespace rows {

std::unexpected<Error> misfit(std::size_t column, std::string_view name, const char* what) {
  auto cause = name.empty() ? "a row of " + std::to_string(column) + " columns"
                            : "column " + std::to_string(column + 1) + ", read into `" + std::string(name) + "`,";
  return std::unexpected(Error{&kInternal}.because(cause + " is not " + what));
}

}  // namespace rows

Task<Result<database::Rows>> Database::query(Context& context, std::string_view sql,
                                             std::span<const database::Cell> parameters) {
  database::Reading reading{.exchange = true};
  if (const auto* who = context.principal) {
    reading.tenant = who->tenant;
    reading.scheme = who->scheme;
    reading.subject = who->subject;
    reading.roles = who->roles;
  }
  database::RowKeeper keeper;
  auto done = co_await context.services.database->read(context.loop, sql, parameters, reading, keeper);
  if (!done) co_return std::unexpected(std::move(done).error());
  if (keeper.too_large()) co_return fail(database::kResponseTooLarge);
  co_return std::move(keeper.rows);
}

}  // namespace plimsoll
