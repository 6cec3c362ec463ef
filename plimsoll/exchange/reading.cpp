#include "plimsoll/exchange/reading.hpp"

#include "plimsoll/contract/contract.hpp"

namespace plimsoll {

database::Reading reading_of(const Context& context) {
  database::Reading reading{.exchange = true};
  if (context.operation) reading.operation = context.operation->id;
  if (const auto* who = context.principal) {
    reading.tenant = who->tenant;
    reading.scheme = who->scheme;
    reading.subject = who->subject;
    reading.roles = who->roles;
  }
  if (auto* consistency = context.noted<Consistency>()) {
    reading.site = consistency->site;
    reading.anywhere = consistency->safe;
    reading.kept = consistency->kept;
    reading.after = consistency->after;
    reading.wrote = &consistency->wrote;
  }
  return reading;
}

Task<Result<database::Rows>> read_as_caller(Context& context, std::string_view sql,
                                            std::span<const database::Cell> parameters, bool quick) {
  auto reading = reading_of(context);
  reading.quick = quick;
  reading.order = quick ? database::ReadClass::key : database::ReadClass::list;
  database::RowKeeper keeper;
  auto done = co_await context.services.database->read(context.loop, sql, parameters, reading, keeper);
  if (!done) co_return std::unexpected(std::move(done).error());
  if (keeper.too_large()) co_return fail(database::kResponseTooLarge);
  co_return std::move(keeper.rows);
}

}  // namespace plimsoll
