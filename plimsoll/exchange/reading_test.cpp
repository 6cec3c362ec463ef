#include "plimsoll/exchange/reading.hpp"

#include "plimsoll/database/wait.hpp"

#include <gtest/gtest.h>

namespace plimsoll {
namespace {

/// Notes for whom it was read.
class Noting final : public database::Database {
 public:
  const database::Dialect& dialect() const noexcept override { std::terminate(); }
  Task<Result<>> write(Loop&, database::Work, database::Hold) override { co_return fail(kInternal); }
  Task<Result<std::unique_ptr<database::Transaction>>> begin(Loop&) override { co_return fail(kInternal); }
  Task<Result<>> read(Loop&, std::string_view sql, std::span<const database::Cell> parameters,
                      const database::Reading& reading, database::RowSink& into) override {
    statement = sql;
    seen = reading;
    into.begin();
    std::vector<database::Field> fields;
    for (const auto& cell : parameters) fields.emplace_back(std::get<std::int64_t>(cell));
    into.row(fields);
    co_return Result<>{};
  }
  Result<bool> only_reads(std::string_view) override { return true; }
  database::Counts counts() const override { return {}; }
  database::Load load() const noexcept override { return {}; }
  std::string statement;
  database::Reading seen{};
};

struct ReadingTest : testing::Test {
  Arena arena;
  Loop loop;
  Noting database;
  Services services;
  ReadingTest() { services.database = &database; }
};

TEST_F(ReadingTest, IsTheCallers) {
  Context context{arena, loop, services};
  const std::string_view roles[] = {"clerk"};
  const Principal ada{.subject = "ada", .scheme = "bearer", .tenant = "acme", .scopes = {}, .roles = roles};
  context.principal = &ada;
  const database::Cell cells[] = {std::int64_t{7}};
  auto rows = database::wait_for([&](Loop&) -> Task<Result<database::Rows>> {
    auto read = co_await read_as_caller(context, "SELECT ?", cells, true);
    co_return read;
  });
  ASSERT_TRUE(rows);
  EXPECT_EQ((*rows)[0][0], database::Cell{std::int64_t{7}});
  const auto& seen = database.seen;
  EXPECT_EQ(std::tie(seen.tenant, seen.scheme, seen.subject), std::tie(ada.tenant, ada.scheme, ada.subject));
  EXPECT_EQ(seen.roles.data(), ada.roles.data());
  EXPECT_TRUE(seen.exchange) << "else row-level security would take it for the server's own";
  EXPECT_TRUE(seen.quick);
  EXPECT_FALSE(seen.anywhere) << "nothing is known of replicas";
}

TEST_F(ReadingTest, IsACallersThoughNobodyKnowsWhose) {
  Context context{arena, loop, services};
  EXPECT_TRUE(reading_of(context).exchange);
  EXPECT_EQ(reading_of(context).subject, "");
}

TEST_F(ReadingTest, ShowsWhatTheExchangeHasToShow) {
  Context context{arena, loop, services};
  context.note<Consistency>(Consistency{.safe = true, .kept = false, .site = 42, .after = 900});
  const auto reading = reading_of(context);
  EXPECT_TRUE(reading.anywhere);
  EXPECT_EQ(reading.site, 42u);
  EXPECT_EQ(reading.after, 900u);
  ASSERT_NE(reading.wrote, nullptr);
  *reading.wrote = 1'000;
  EXPECT_EQ(context.noted<Consistency>()->wrote, 1'000u);
}

}  // namespace
}  // namespace plimsoll
