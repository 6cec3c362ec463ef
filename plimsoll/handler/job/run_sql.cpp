#include "plimsoll/config/options.hpp"
#include "plimsoll/handler/job/run.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"

namespace plimsoll::handler::job {
namespace {

using database::Cell;

bool is_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

/// Behind what `text` has at `at`: a quoted text or name, or a comment; `at` itself when it is none of these.
std::size_t skipped(std::string_view text, std::size_t at) {
  const auto rest = text.substr(at);
  if (rest.starts_with("--")) return std::min(text.find('\n', at), text.size());
  if (rest.starts_with("/*")) {
    const auto end = text.find("*/", at + 2);
    return end == text.npos ? text.size() : end + 2;
  }
  const char quote = text[at];
  if (quote != '\'' && quote != '"' && quote != '`') return at;
  for (auto end = text.find(quote, at + 1); end != text.npos; end = text.find(quote, end + 2))
    if (end + 1 >= text.size() || text[end + 1] != quote) return end + 1;
  return text.size();
}

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

const json::Value* find(const json::Value& payload, std::string_view name) {
  for (auto* part : {"body", "parameters", "response", "caller"})
    if (auto* inner = payload.find(part))
      if (auto* value = inner->find(name)) return value;
  return payload.find(name);
}

struct ResultOptions {
  std::string type, file;
};
constexpr config::Field kResultFields[] = {
    config::field<&ResultOptions::type>("type", "Media type of the lines that can be downloaded, such as `text/csv`."),
    config::field<&ResultOptions::file>("file", "Name of the file that is downloaded."),
};

/// The first column, a line each.
std::string lines(const database::Rows& rows) {
  std::string text;
  for (const auto& row : rows) {
    if (row.empty()) continue;
    if (auto* line = std::get_if<std::string>(&row[0])) text += *line;
    if (auto* number = std::get_if<std::int64_t>(&row[0])) text += std::to_string(*number);
    text += '\n';
  }
  return text;
}

class SqlRun final : public queue::Runner {
 public:
  SqlRun(std::vector<NamedStatement> statements, ResultOptions result)
      : statements_(std::move(statements)), result_(std::move(result)) {}
  Task<Result<queue::Output>> run(queue::Execution& execution) override {
    Arena arena;
    auto payload = json::parse(execution.job.payload, arena);
    if (!payload) co_return fail(kRefused, "the payload is not JSON");
    auto done = co_await execution.complete([&](database::Session& session) -> Task<Result<queue::Output>> {
      queue::Output output{.media_type = result_.type, .file_name = result_.file};
      for (auto& statement : statements_) {
        std::vector<Cell> cells;
        for (auto& name : statement.names)
          cells.push_back(name == "job_id" ? Cell{execution.job.id} : cell_of(find(*payload, name)));
        auto rows = co_await session.query(statement.sql, cells);
        if (!rows) co_return std::unexpected(std::move(rows).error());
        if (!result_.type.empty() && &statement == &statements_.back()) output.bytes = lines(*rows);
      }
      co_return output;
    });
    if (!done) co_return std::unexpected(std::move(done).error());
    co_return queue::Output{};
  }

 private:
  const std::vector<NamedStatement> statements_;
  const ResultOptions result_;
};

}  // namespace

Result<NamedStatement> named_statement(std::string_view text) {
  NamedStatement made;
  for (std::size_t at = 0; at < text.size();) {
    if (const auto behind = skipped(text, at); behind != at) {
      made.sql += text.substr(at, behind - at);
      at = behind;
    } else if (text[at] == '?') {
      return fail(config::kConfiguration, "`?` has no name: write `:name`");
    } else if (text.substr(at).starts_with("::")) {  // a cast
      made.sql += "::";
      at += 2;
    } else if (text[at] == ':' && at + 1 < text.size() && is_name(text[at + 1])) {
      auto end = at + 1;
      while (end < text.size() && is_name(text[end])) ++end;
      made.names.emplace_back(text.substr(at + 1, end - at - 1));
      made.sql += '?';
      at = end;
    } else {
      made.sql += text[at++];
    }
  }
  return made;
}

Result<std::unique_ptr<queue::Runner>> run_sql(const json::Value& run) {
  const auto& from = *run.find("sql");
  const auto* result = run.find("result");
  std::vector<NamedStatement> statements;
  ResultOptions wanted;
  if (result) {
    if (auto read = config::read(*result, kResultFields, &wanted); !read)
      return std::unexpected(std::move(read).error());
    if (wanted.type.empty()) return config::wrong(*result, "`result` names the `type` of what is downloaded");
  }
  auto add = [&](const json::Value& one) -> Result<> {
    if (!one.is(json::Type::string)) return config::wrong(one, "`sql` is a statement or a list of them");
    auto read = named_statement(one.string());
    if (!read) return config::wrong(one, read.error().detail);
    statements.push_back(std::move(*read));
    return {};
  };
  if (from.is(json::Type::array)) {
    for (auto& one : from.array())
      if (auto done = add(one); !done) return std::unexpected(std::move(done).error());
  } else if (auto done = add(from); !done) {
    return std::unexpected(std::move(done).error());
  }
  return std::make_unique<SqlRun>(std::move(statements), std::move(wanted));
}

}  // namespace plimsoll::handler::job
