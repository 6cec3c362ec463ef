#include "plimsoll/exchange/rows.hpp"

#include "plimsoll/exchange/reading.hpp"

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
  auto rows = co_await read_as_caller(context, sql, parameters, false);
  co_return rows;
}

}  // namespace plimsoll
