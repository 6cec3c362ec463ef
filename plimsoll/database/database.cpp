#include "plimsoll/database/database.hpp"

namespace plimsoll::database {

bool RowKeeper::row(std::span<const Field> fields) {
  bytes_ += sizeof(std::vector<Cell>) + fields.size() * sizeof(Cell);
  for (const auto& field : fields)
    if (auto* text = std::get_if<std::string_view>(&field)) bytes_ += text->size();
  if (too_large()) return false;
  auto& row = rows.emplace_back();
  row.reserve(fields.size());
  for (const auto& field : fields)
    std::visit(
        [&]<class T>(const T& value) {
          if constexpr (std::is_same_v<T, std::string_view>)
            row.emplace_back(std::in_place_type<std::string>, value);
          else
            row.emplace_back(value);
        },
        field);
  return true;
}

namespace {

constexpr Reading kQuick{.quick = true, .order = ReadClass::key};
constexpr Reading kSlow{.quick = false, .order = ReadClass::list};

}  // namespace

PLIMSOLL_FORWARDS Task<Result<>> Database::write(Loop& loop, Work work) { return write(loop, work, Hold::patient); }

PLIMSOLL_FORWARDS Task<Result<>> Database::read(Loop& loop, std::string_view sql, std::span<const Cell> parameters,
                                                bool quick, RowSink& into) {
  return read(loop, sql, parameters, quick ? kQuick : kSlow, into);
}

Task<Result<Rows>> Database::read(Loop& loop, std::string_view sql, std::span<const Cell> parameters, bool quick) {
  RowKeeper keeper;
  auto done = co_await read(loop, sql, parameters, quick ? kQuick : kSlow, keeper);
  if (!done) co_return std::unexpected(std::move(done).error());
  if (keeper.too_large()) co_return fail(kResponseTooLarge);
  co_return std::move(keeper.rows);
}

}  // namespace plimsoll::database
