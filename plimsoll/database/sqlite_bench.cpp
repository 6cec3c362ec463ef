#include "plimsoll/database/sqlite.hpp"
#include "plimsoll/database/test_folder.hpp"
#include "plimsoll/database/wait.hpp"

#include <benchmark/benchmark.h>

namespace plimsoll::database {
namespace {

/// Rows a second of one client that waits for each commit: what the other ways of writing are measured against.
double row_by_row = 0;

class File {
 public:
  File() {
    database = std::move(*open_sqlite({.path = folder_ / "bench.db"}));
    wait_for([&](Loop& loop) -> Task<Result<>> {
      auto done = co_await database->write(loop, [](Session& session) -> Task<Result<>> {
        auto made = co_await session.script("CREATE TABLE row(id INTEGER PRIMARY KEY, text TEXT NOT NULL)");
        co_return made;
      });
      co_return done;
    });
  }
  /// `clients` at once write `units` each, of `rows` rows.
  void write(int clients, int units, int rows) {
    Loop loop;
    std::vector<Scope> scopes(static_cast<std::size_t>(clients));
    auto client = [&]() -> Task<> {
      for (int unit = 0; unit < units; ++unit) {
        auto done = co_await database->write(loop, [&](Session& session) -> Task<Result<>> {
          for (int i = 0; i < rows; ++i) {
            const Cell cells[] = {std::string(100, 'x')};
            auto put = co_await session.query("INSERT INTO row(text) VALUES(?)", cells);
            if (!put) co_return std::unexpected(std::move(put).error());
          }
          co_return Result<>{};
        });
        benchmark::DoNotOptimize(done);
      }
    };
    for (auto& scope : scopes) loop.spawn(scope, client());
    loop.run();
  }
  std::unique_ptr<Database> database;

 private:
  TestFolder folder_;
};

/// `synchronous=FULL` on the disk of the temporary folder. Counters: rows a second, and how many times row by row.
void writes(benchmark::State& state, int clients, int units, int rows) {
  File file;
  double seconds = 0;
  for (auto _ : state) {
    const auto begin = std::chrono::steady_clock::now();
    file.write(clients, units, rows);
    const auto spent = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    state.SetIterationTime(spent);
    seconds += spent;
  }
  const auto written = static_cast<double>(state.iterations()) * clients * units * rows;
  const auto rate = written / seconds;
  if (clients == 1 && rows == 1) row_by_row = rate;
  state.counters["rows/s"] = rate;
  if (row_by_row > 0) state.counters["times_row_by_row"] = rate / row_by_row;
}
BENCHMARK_CAPTURE(writes, row_by_row, 1, 50, 1)->UseManualTime();
BENCHMARK_CAPTURE(writes, group_of_64_clients, 64, 20, 1)->UseManualTime();
BENCHMARK_CAPTURE(writes, batch_of_1000, 1, 1, 1000)->UseManualTime();

void point_read(benchmark::State& state, bool quick) {
  File file;
  file.write(1, 10, 10'000);
  Loop loop;
  Scope scope;
  auto work = [&]() -> Task<> {
    std::int64_t id = 0;
    for (auto _ : state) {
      const Cell cells[] = {1 + (id += 7919) % 100'000};
      auto rows = co_await file.database->read(loop, "SELECT id, text FROM row WHERE id=?", cells, quick);
      benchmark::DoNotOptimize(rows);
    }
  };
  loop.spawn(scope, work());
  loop.run();
}
BENCHMARK_CAPTURE(point_read, where_it_stands, true);
BENCHMARK_CAPTURE(point_read, on_a_reader, false);

}  // namespace
}  // namespace plimsoll::database
