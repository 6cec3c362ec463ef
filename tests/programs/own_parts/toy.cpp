// A database engine that no other file knows: `toy:PATH`. Its language is that of SQLite with a word before each
// statement, and it refuses a statement about a table of the contract that its own dialect has not written. So it finds
// whoever takes it for SQLite, by its URL or by its SQL.
//
// It is used twice: by a program outside the tree (Application::engine), and as a folder in plimsoll/database with one
// row in engine.cpp (tests/rooms_test.py).
#include <plimsoll/database/dialect.hpp>
#include <plimsoll/database/engine.hpp>

#include <mutex>
#include <set>

namespace plimsoll::database {
namespace {

constexpr std::string_view kWord = "TOY ";

std::string toy(std::string text) { return text.empty() || text.starts_with("--") ? text : std::string(kWord) + text; }
Statement toy(Statement statement) { return {toy(std::move(statement.sql)), std::move(statement.cells)}; }
std::vector<std::string> toy(std::vector<std::string> statements) {
  for (auto& each : statements) each = toy(std::move(each));
  return statements;
}

/// The tables that the dialect has met.
struct Tables {
  void met(std::string_view name) {
    const std::scoped_lock lock(mutex);
    names.insert('"' + std::string(name) + '"');
  }
  bool in(std::string_view sql) {
    const std::scoped_lock lock(mutex);
    for (const auto& name : names)
      if (sql.contains(name)) return true;
    return false;
  }
  std::mutex mutex;
  std::set<std::string> names;
};
Tables& tables() {
  static Tables all;
  return all;
}

/// A statement, or several lines of them, in the language of what is below.
Result<std::string> below(std::string_view sql) {
  std::string made(sql);
  bool any = false;
  for (std::size_t at = 0; at != made.npos && at < made.size();) {
    if (std::string_view(made).substr(at).starts_with(kWord)) made.erase(at, kWord.size()), any = true;
    at = made.find('\n', at);
    if (at != made.npos) ++at;
  }
  if (!any && tables().in(made))
    return std::unexpected(Error{&kInternal}.because("not a statement of the toy: " + made));
  return made;
}

class ToySession final : public Session {
 public:
  explicit ToySession(Session& inner) : inner_(inner) {}
  Task<Result<Rows>> query(std::string_view sql, std::span<const Cell> parameters) override {
    auto said = below(sql);
    if (!said) co_return std::unexpected(std::move(said).error());
    auto rows = co_await inner_.query(*said, parameters);
    co_return rows;
  }
  Task<Result<>> script(std::string_view sql) override {
    auto said = below(sql);
    if (!said) co_return std::unexpected(std::move(said).error());
    auto done = co_await inner_.script(*said);
    co_return done;
  }
  void alone(std::string_view what) override { inner_.alone(what); }
  std::int64_t changed() const override { return inner_.changed(); }
  Session& inner() { return inner_; }

 private:
  Session& inner_;
};

class ToyTransaction final : public Transaction {
 public:
  explicit ToyTransaction(std::unique_ptr<Transaction> inner) : inner_(std::move(inner)), session_(*inner_) {}
  Task<Result<Rows>> query(std::string_view sql, std::span<const Cell> parameters) override {
    auto done = co_await session_.query(sql, parameters);
    co_return done;
  }
  Task<Result<>> script(std::string_view sql) override {
    auto done = co_await session_.script(sql);
    co_return done;
  }
  void alone(std::string_view what) override { inner_->alone(what); }
  std::int64_t changed() const override { return inner_->changed(); }
  Task<Result<>> end(bool commit) override {
    auto done = co_await inner_->end(commit);
    co_return done;
  }

 private:
  std::unique_ptr<Transaction> inner_;
  ToySession session_;
};

class ToyDialect final : public Dialect {
 public:
  explicit ToyDialect(const Dialect& inner) : inner_(inner) {}
  std::string_view name() const noexcept override { return "toy"; }
  Statement select(const Select& rows) const override { return toy(inner_.select(rows)); }
  Statement select_file(const SelectFile& file) const override { return toy(inner_.select_file(file)); }
  Statement insert(const Insert& row) const override { return toy(inner_.insert(row)); }
  Statement update(const Update& rows) const override { return toy(inner_.update(rows)); }
  Statement remove(const Delete& rows) const override { return toy(inner_.remove(rows)); }
  bool nulls_first(bool descending) const noexcept override { return inner_.nulls_first(descending); }
  std::string search_words(std::string_view typed) const override { return inner_.search_words(typed); }
  std::vector<std::string> create_table(const TableDefinition& table) const override {
    tables().met(table.name);
    return toy(inner_.create_table(table));
  }
  std::string create_index(const TableDefinition& table, const std::vector<std::size_t>& columns,
                           bool unique) const override {
    return toy(inner_.create_index(table, columns, unique));
  }
  std::string add_column(const TableDefinition& table, std::size_t column) const override {
    return toy(inner_.add_column(table, column));
  }
  std::string refuse_nulls(const TableDefinition& table, std::size_t column) const override {
    return toy(inner_.refuse_nulls(table, column));
  }
  std::string rows_without_key(const TableDefinition& table) const override {
    return toy(inner_.rows_without_key(table));
  }
  bool indexes_end_with_key() const noexcept override { return inner_.indexes_end_with_key(); }
  std::vector<std::string> create_search(const TableDefinition& table) const override {
    return toy(inner_.create_search(table));
  }
  std::string fill_search(const TableDefinition& table) const override { return toy(inner_.fill_search(table)); }
  std::string create_own_table(std::string_view name, std::string_view columns) const override {
    return toy(inner_.create_own_table(name, columns));
  }
  bool completes_own_tables() const noexcept override { return inner_.completes_own_tables(); }
  std::string where_missing(std::string statement) const override {
    if (statement.starts_with(kWord)) statement.erase(0, kWord.size());
    return toy(inner_.where_missing(std::move(statement)));
  }
  Statement has_table(std::string name) const override { return toy(inner_.has_table(std::move(name))); }

  Task<Result<std::optional<FoundTable>>> find_table(Session& session, const TableDefinition& table) const override {
    tables().met(table.name);
    auto done = co_await inner_.find_table(inside(session), table);
    co_return done;
  }
  Task<Result<SearchState>> find_search(Session& session, const TableDefinition& table) const override {
    auto done = co_await inner_.find_search(inside(session), table);
    co_return done;
  }
  Task<Result<std::vector<ForeignKey>>> foreign_keys(Session& session, std::string table) const override {
    auto done = co_await inner_.foreign_keys(inside(session), std::move(table));
    co_return done;
  }
  Task<Result<PresentStatements>> present_statements(Session& session, const TableDefinition& table) const override {
    auto found = co_await inner_.present_statements(inside(session), table);
    if (!found) co_return std::unexpected(std::move(found).error());
    for (auto* part : {&found->needed, &found->tables, &found->views, &found->references})
      *part = toy(std::move(*part));
    co_return found;
  }
  void note_storage(Column& column, const FoundColumn* there, const FoundTable* found) const override {
    inner_.note_storage(column, there, found);
  }
  void check_storage(const TableDefinition& table, std::size_t column, const FoundColumn& there,
                     const FoundTable& found, std::vector<Finding>& all) const override {
    inner_.check_storage(table, column, there, found, all);
  }
  Violation violation_of(const Error& error) const override { return inner_.violation_of(error); }
  Task<Result<std::vector<std::string>>> columns_of_rule(Session& session, std::string table,
                                                         std::string rule) const override {
    auto done = co_await inner_.columns_of_rule(inside(session), std::move(table), std::move(rule));
    co_return done;
  }

 private:
  static Session& inside(Session& session) {
    auto* own = dynamic_cast<ToySession*>(&session);
    return own ? own->inner() : session;
  }
  const Dialect& inner_;
};

class Toy final : public Database {
 public:
  explicit Toy(std::unique_ptr<Database> inner) : inner_(std::move(inner)) {}

  const Dialect& dialect() const noexcept override {
    static const ToyDialect made(inner_->dialect());
    return made;
  }
  Task<Result<>> write(Loop& loop, Work work, Hold hold) override {
    auto in_toy = [&](Session& session) -> Task<Result<>> {
      ToySession own(session);
      auto done = co_await work(own);
      co_return done;
    };
    auto written = co_await inner_->write(loop, in_toy, hold);
    co_return written;
  }
  Task<Result<std::unique_ptr<Transaction>>> begin(Loop& loop) override {
    auto begun = co_await inner_->begin(loop);
    if (!begun) co_return std::unexpected(std::move(begun).error());
    co_return std::make_unique<ToyTransaction>(std::move(*begun));
  }
  Task<Result<>> read(Loop& loop, std::string_view sql, std::span<const Cell> parameters, const Reading& reading,
                      RowSink& into) override {
    auto said = below(sql);
    if (!said) co_return std::unexpected(std::move(said).error());
    auto done = co_await inner_->read(loop, *said, parameters, reading, into);
    co_return done;
  }
  Result<bool> only_reads(std::string_view sql) override {
    auto said = below(sql);
    if (!said) return std::unexpected(std::move(said).error());
    return inner_->only_reads(*said);
  }
  Task<Result<std::string>> plan_of(Loop& loop, std::string_view sql, std::size_t parameters) override {
    auto said = below(sql);
    if (!said) co_return std::unexpected(std::move(said).error());
    auto plan = co_await inner_->plan_of(loop, *said, parameters);
    co_return plan;
  }
  Counts counts() const override { return inner_->counts(); }
  Load load() const noexcept override { return inner_->load(); }
  LogState log_state() const noexcept override { return inner_->log_state(); }
  void interrupt() noexcept override { inner_->interrupt(); }

 private:
  std::unique_ptr<Database> inner_;
};

constexpr std::string_view kSchemes[] = {"toy:"};

struct Options {
  std::int64_t pieces = 1;
};
constexpr config::Field kFields[] = {
    config::field<&Options::pieces>("pieces", "How many pieces the toy has.", {1, 100}),
};

const Engine& sqlite() { return *engine_of(default_url("toy")); }
Place place_below(const Place& place) { return {.url = std::string(sqlite().schemes.front()) + file_of(place.url)}; }

std::vector<Error> check(const Place& place) {
  Options options;
  if (auto read = read_options(place, kFields, &options); !read) return {std::move(read).error()};
  if (options.pieces == 13)
    return {
        config::wrong(config::member_or(*place.options, "pieces"), "no toy has 13 pieces", "Take one away.").error()};
  return {};
}

Result<OpenDatabase> open(const Place& place, const Opening& opening) {
  auto opened = sqlite().open(place_below(place), opening);
  if (!opened) return opened;
  opened->database = std::make_unique<Toy>(std::move(opened->database));
  return opened;
}

class Scratch final : public ScratchDatabase {
 public:
  explicit Scratch(std::unique_ptr<ScratchDatabase> inner) : inner_(std::move(inner)) {}
  const std::string& url() const noexcept override { return url_; }
  Result<> remove() override { return inner_->remove(); }

 private:
  std::unique_ptr<ScratchDatabase> inner_;
  const std::string url_ = std::string(kSchemes[0]) + file_of(inner_->url());
};

Result<std::unique_ptr<ScratchDatabase>> scratch(const Place& beside) {
  auto made = sqlite().scratch(place_below(beside));
  if (!made) return made;
  return std::make_unique<Scratch>(std::move(*made));
}

}  // namespace

extern constinit const Engine toy_engine{
    .name = "Toy",
    .schemes = kSchemes,
    .form = "toy:PATH",
    .file = true,
    .options = [] { return std::span<const config::Field>(kFields); },
    .defaults = config::defaults_of<Options>,
    .check = check,
    .open = open,
    .scratch = scratch,
    .catalogue = [](Session& session) -> Task<Result<std::vector<CatalogueTable>>> {
      auto read = co_await sqlite().catalogue(session);
      co_return read;
    },
    .schema_of = [](const CatalogueColumn& column) { return sqlite().schema_of(column); },
};

}  // namespace plimsoll::database
