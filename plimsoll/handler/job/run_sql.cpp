#include "plimsoll/config/options.hpp"
#include "plimsoll/handler/job/run.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"

#include <algorithm>

namespace plimsoll::handler::job {
namespace {

using database::Cell;

Cell cell_of(const json::Value* value) {
  if (!value) return {};
  switch (value->type()) {
    case json::Type::null: return {};
    case json::Type::boolean: return std::int64_t{value->boolean()};
    case json::Type::string: return std::string(value->string());
    case json::Type::number:
      if (auto integer = value->integer()) return *integer;
      return std::string(value->number_text());  // exact, as decimals are kept
    default: return json::to_string(*value);
  }
}

const json::Value* find(const json::Value& payload, std::string_view part, std::span<const std::string> path) {
  const auto* at = payload.find(part);
  for (auto& segment : path) at = at ? at->find(segment) : nullptr;
  return at;
}

/// The value of a name: exactly from the source that was decided at start. Absent values are NULL.
Cell value_of(const ValueName& name, const json::Value& payload, const queue::Record& job) {
  switch (name.source) {
    case Source::body: return cell_of(find(payload, "body", name.path));
    case Source::parameter: return cell_of(find(payload, "parameters", name.path));
    case Source::response: return cell_of(find(payload, "response", name.path));
    case Source::run:
      if (name.path[0] == "job_id") return job.id;
      if (name.path[0] == "kind") return job.kind;
      return std::int64_t{job.standing.attempts};
    default: break;
  }
  const auto* caller = payload.find("caller");
  if (!caller) return {};
  if (name.source == Source::subject) return cell_of(caller->find("subject"));
  if (name.source == Source::tenant) return cell_of(caller->find("tenant"));
  return cell_of(find(*caller, "claims", name.path));
}

struct Statement {
  std::string sql;
  std::vector<ValueName> names;
};

struct ResultOptions {
  std::string type, file;
};
constexpr config::Field kResultFields[] = {
    config::field<&ResultOptions::type>("type", "Media type of the lines that can be downloaded, such as `text/csv`."),
    config::field<&ResultOptions::file>("file", "Name of the file that is downloaded."),
};

void append_line(std::string& text, const auto& first) {
  std::visit(
      [&]<class T>(const T& value) {
        if constexpr (std::is_same_v<T, std::int64_t>)
          text += std::to_string(value);
        else if constexpr (std::is_constructible_v<std::string_view, T>)
          text += value;
      },
      first);
  text += '\n';
}

std::unexpected<Error> several_columns() {
  return fail(kRefused, "the rows of the last statement have several columns, and a line of the result is one");
}

/// The one column, a line each.
Result<std::string> lines(const database::Rows& rows) {
  std::string text;
  for (const auto& row : rows) {
    if (row.size() > 1) return several_columns();
    if (!row.empty()) append_line(text, row[0]);
  }
  return text;
}

/// The same as they are read; ends when there is more than a job may give, which the queue then refuses.
class Lines final : public database::RowSink {
 public:
  void begin() override { text.clear(); }
  bool row(std::span<const database::Field> fields) override {
    several = fields.size() > 1;
    if (fields.size() == 1) append_line(text, fields[0]);
    return !several && text.size() <= kMost;
  }
  std::string text;
  bool several = false;  ///< columns

 private:
  static constexpr std::size_t kMost = 64u << 20;  ///< what the queue keeps of a job
};

class SqlRun final : public queue::Runner {
 public:
  SqlRun(std::vector<Statement> statements, ResultOptions result)
      : statements_(std::move(statements)), result_(std::move(result)) {}
  Task<Result<queue::Output>> run(queue::Execution& execution) override {
    Arena arena;
    auto payload = json::parse(execution.job.payload, arena);
    if (!payload) co_return fail(kRefused, "the payload is not JSON");
    if (only_reads(execution.database)) {
      auto read = co_await read_all(execution, *payload);
      co_return read;
    }
    auto done = co_await execution.complete([&](database::Session& session) -> Task<Result<queue::Output>> {
      queue::Output output{.media_type = result_.type, .file_name = result_.file};
      for (auto& statement : statements_) {
        const auto cells = cells_of(statement, *payload, execution.job);
        auto rows = co_await session.query(statement.sql, cells);
        if (!rows) co_return std::unexpected(std::move(rows).error());
        if (result_.type.empty() || &statement != &statements_.back()) continue;
        auto made = lines(*rows);
        if (!made) co_return std::unexpected(std::move(made).error());
        output.bytes = std::move(*made);
      }
      co_return output;
    });
    if (!done) co_return std::unexpected(std::move(done).error());
    co_return queue::Output{};
  }

 private:
  /// A job that changes nothing does not hold the writer: it runs on the readers, like a search, on an account that all
  /// jobs share.
  static constexpr std::uint64_t kJobs = 0x6a6f6273;

  bool only_reads(database::Database& database) const {
    return std::ranges::all_of(statements_, [&](auto& statement) {
      const auto only = database.only_reads(statement.sql);
      return only && *only;
    });
  }
  Task<Result<queue::Output>> read_all(queue::Execution& execution, const json::Value& payload) const {
    queue::Output output{.media_type = result_.type, .file_name = result_.file};
    const database::Reading reading{.order = database::ReadClass::search, .site = kJobs};
    for (auto& statement : statements_) {
      Lines lines;
      const auto cells = cells_of(statement, payload, execution.job);
      auto done = co_await execution.database.read(execution.loop, statement.sql, cells, reading, lines);
      if (!done) co_return std::unexpected(std::move(done).error());
      if (result_.type.empty() || &statement != &statements_.back()) continue;
      if (lines.several) co_return several_columns();
      output.bytes = std::move(lines.text);
    }
    co_return output;
  }
  static std::vector<Cell> cells_of(const Statement& statement, const json::Value& payload, const auto& job) {
    std::vector<Cell> cells;
    for (auto& name : statement.names) cells.push_back(value_of(name, payload, job));
    return cells;
  }

  const std::vector<Statement> statements_;
  const ResultOptions result_;
};

/// What would end the transaction in which the job completes, or reach beyond its database.
bool leaves_transaction(std::string_view sql) {
  const auto begin = sql.find_first_not_of(" \t\r\n;");
  if (begin == sql.npos) return false;
  std::string word;
  for (auto c : sql.substr(begin)) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c < 'a' || c > 'z') break;
    word += c;
  }
  constexpr std::string_view kRefused[] = {"begin",   "commit", "end",    "rollback", "savepoint",
                                           "release", "attach", "detach", "vacuum",   "pragma"};
  return std::ranges::find(kRefused, word) != std::end(kRefused);
}

}  // namespace

Result<SqlJob> run_sql(const json::Value& run, const RequestSources& sources) {
  const auto& from = *run.find("sql");
  const auto* result = run.find("result");
  std::vector<Statement> statements;
  ResultOptions wanted;
  SqlJob made;
  if (result) {
    if (auto read = config::read(*result, kResultFields, &wanted); !read)
      return std::unexpected(std::move(read).error());
    if (wanted.type.empty()) return config::wrong(*result, "`result` names the `type` of what is downloaded");
  }
  auto add = [&](const json::Value& one) -> Result<> {
    if (!one.is(json::Type::string)) return config::wrong(one, "`sql` is a statement or a list of them");
    if (leaves_transaction(one.string()))
      return fail(kBadStatement,
                  "the statements of a job run in one transaction, which they must not begin, end or leave");
    auto read = named_statement(one.string());
    if (!read) return std::unexpected(std::move(read).error());
    Statement statement{.sql = std::move(read->sql), .names = {}};
    for (auto& written : read->names) {
      auto name = sources.resolve(written);
      if (!name) return std::unexpected(std::move(name).error());
      if (name->source == Source::claims && std::ranges::find(made.claims, name->path[0]) == made.claims.end())
        made.claims.push_back(name->path[0]);
      statement.names.push_back(std::move(*name));
    }
    made.statements.push_back({statement.sql, statement.names.size(), one.position()});
    statements.push_back(std::move(statement));
    return {};
  };
  if (from.is(json::Type::array)) {
    for (auto& one : from.array())
      if (auto done = add(one); !done) return std::unexpected(std::move(done).error());
  } else if (auto done = add(from); !done) {
    return std::unexpected(std::move(done).error());
  }
  if (result && !made.statements.empty()) made.statements.back().gives_lines = true;
  if (statements.empty()) return config::wrong(from, "`sql` holds no statement");
  made.runner = std::make_unique<SqlRun>(std::move(statements), std::move(wanted));
  return made;
}

}  // namespace plimsoll::handler::job
