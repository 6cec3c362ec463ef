#include "plimsoll/database/postgres_connection.hpp"

#include "plimsoll/database/postgres_error.hpp"
#include "plimsoll/database/postgres_statement.hpp"
#include "plimsoll/net/dial.hpp"

#include <libpq-fe.h>
#include <poll.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <system_error>

namespace plimsoll::database {
namespace {

/// A result that is cleared by whoever holds it.
using Answer = std::unique_ptr<PGresult, decltype([](PGresult* result) { PQclear(result); })>;

std::string_view said(const PGresult* result, int field) {
  const char* text = PQresultErrorField(result, field);
  return text ? text : "";
}

/// What is said while connecting, of which only the server's number and key for cancel requests are wanted: libpq has
/// no call that tells the key. The text is in memory and is gone when the connection stands.
class KeyTrace {
 public:
  explicit KeyTrace(PGconn* conn) : conn_(conn), file_(::open_memstream(&text_, &size_)) {
    if (file_) PQtrace(conn_, file_);
  }
  ~KeyTrace() {
    if (!file_) return;
    PQuntrace(conn_);
    std::fclose(file_);
    if (text_) ::explicit_bzero(text_, size_);
    std::free(text_);
  }
  KeyTrace(const KeyTrace&) = delete;
  /// The two numbers behind `BackendKeyData`; false where there are none.
  bool find(int& pid, int& key) {
    if (!file_) return false;
    std::fflush(file_);
    const std::string_view all(text_, size_);
    constexpr std::string_view kWord = "BackendKeyData";
    auto at = all.find(kWord);
    if (at == all.npos) return false;
    const auto number = [&](int& into) {
      at = all.find_first_of("-0123456789", at);
      if (at == all.npos) return false;
      const auto read = std::from_chars(all.data() + at, all.data() + all.size(), into);
      at = static_cast<std::size_t>(read.ptr - all.data());
      return read.ec == std::errc{};
    };
    at += kWord.size();
    return number(pid) && number(key);
  }

 private:
  PGconn* conn_;
  char* text_ = nullptr;
  std::size_t size_ = 0;
  std::FILE* file_;
};

/// Time limits that a session is given: few, so that the setting seldom changes from one statement to the next. The
/// limit itself is kept by whoever waits.
std::int64_t server_limit(Nanoseconds limit) {
  constexpr std::int64_t kSteps[] = {100,    200,    500,    1'000,   2'000,   5'000,   10'000,
                                     20'000, 30'000, 60'000, 120'000, 300'000, 900'000, 3'600'000};
  if (limit <= 0) return 0;
  const auto milliseconds = limit / kMillisecond;
  for (const auto step : kSteps)
    if (milliseconds <= step) return step;
  return milliseconds;
}

void say_nothing(void*, const char*) {}

}  // namespace

PostgresConnection::~PostgresConnection() {
  detach();
  PQfinish(conn_);
}

void PostgresConnection::attach(Loop& loop) {
  detach();
  descriptor_.emplace(loop, PQsocket(conn_));
}

void PostgresConnection::detach() noexcept {
  if (!descriptor_) return;
  (void)descriptor_->release();
  descriptor_.reset();
}

Task<Result<std::unique_ptr<PostgresConnection>>> PostgresConnection::open(Loop& loop,
                                                                           const PostgresParameters& parameters,
                                                                           Options options) {
  std::vector<const char*> names, values;
  for (const auto& [name, value] : parameters) {
    names.push_back(name.c_str());
    values.push_back(value.c_str());
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  auto* conn = PQconnectStartParams(names.data(), values.data(), 0);
  if (!conn) co_return fail(kUnavailable, "no memory for a connection");
  std::unique_ptr<PostgresConnection> made{new PostgresConnection(conn, options)};
  PQsetNoticeProcessor(conn, say_nothing, nullptr);
  KeyTrace trace{conn};
  const auto cannot = [&] {
    // The server's own words come last; before them stands where libpq tried to connect to.
    auto error = postgres_unavailable(PQerrorMessage(conn));
    return std::unexpected(std::move(error));
  };
  if (PQstatus(conn) == CONNECTION_BAD) co_return cannot();
  for (auto state = PGRES_POLLING_WRITING; state != PGRES_POLLING_OK; state = PQconnectPoll(conn)) {
    if (state == PGRES_POLLING_FAILED) co_return cannot();
    // Anew each time: the poll may have gone on to another address, with another socket.
    made->attach(loop);
    auto& descriptor = *made->descriptor_;
    Wake woken = Wake::ready;
    if (state == PGRES_POLLING_WRITING) {
      descriptor.write_full();
      woken = co_await descriptor.writable(0);
    } else {
      woken = co_await descriptor.readable(0);
    }
    made->detach();
    if (woken == Wake::stopped) {
      const Scope* scope = co_await this_scope();
      co_return std::unexpected(error_of(scope->stopped()));
    }
  }
  auto& cancel = made->cancel_key_;
  cancel.size = sizeof cancel.address;
  if (!trace.find(cancel.pid, cancel.key) ||
      ::getpeername(PQsocket(conn), reinterpret_cast<sockaddr*>(&cancel.address), &cancel.size) != 0)
    cancel = {};
  made->attach(loop);
  auto settled = co_await made->settle();
  made->detach();
  if (!settled) co_return std::unexpected(std::move(settled).error());
  co_return std::move(made);
}

Task<Result<>> PostgresConnection::settle() {
  if (PQsetnonblocking(conn_, 1) != 0 || PQenterPipelineMode(conn_) != 1)
    co_return std::unexpected(postgres_unavailable(PQerrorMessage(conn_)));
  first(
      "SELECT set_config('DateStyle','ISO, YMD',false), set_config('TimeZone','UTC',false), "
      "set_config('bytea_output','hex',false), set_config('extra_float_digits','1',false), "
      "set_config('standard_conforming_strings','on',false)");
  auto done = co_await command("SELECT 1");
  if (!done) co_return std::unexpected(std::move(done).error());
  co_return Result<>{};
}

bool PostgresConnection::broken() const noexcept { return lost_ || PQstatus(conn_) != CONNECTION_OK; }

bool PostgresConnection::in_transaction() const noexcept {
  const auto status = PQtransactionStatus(conn_);
  return status == PQTRANS_INTRANS || status == PQTRANS_INERROR;
}

bool PostgresConnection::dirty() const noexcept { return busy() || PQtransactionStatus(conn_) != PQTRANS_IDLE; }

bool PostgresConnection::gone() const noexcept {
  if (broken()) return true;
  pollfd look{.fd = PQsocket(conn_), .events = POLLIN, .revents = 0};
  // A connection that is not used says nothing, until it is closed: first why, then its end.
  return ::poll(&look, 1, 0) > 0;
}

Error PostgresConnection::lost() {
  lost_ = true;
  return postgres_unavailable(PQerrorMessage(conn_));
}

Task<Result<>> PostgresConnection::wait() {
  auto& descriptor = *descriptor_;
  const int left = PQflush(conn_);
  if (left < 0) co_return std::unexpected(lost());
  // What has been read may not have been all there was, and libpq does not say: of that there is no further edge.
  bool more = false;
  if (waited_) {
    pollfd look{.fd = descriptor.get(), .events = POLLIN, .revents = 0};
    more = ::poll(&look, 1, 0) > 0;
  }
  if (!more) {
    Wake woken = Wake::ready;
    if (left > 0) {
      // The server may wait for us to read before it reads on.
      descriptor.write_full();
      woken = co_await descriptor.changed(patience());
    } else {
      woken = co_await descriptor.readable(patience());
    }
    if (woken == Wake::stopped) {
      const Scope* scope = co_await this_scope();
      co_return std::unexpected(error_of(scope->stopped()));
    }
    if (woken == Wake::late) {
      lost_ = true;
      co_return std::unexpected(postgres_unavailable("the server does not answer"));
    }
  }
  waited_ = true;
  descriptor.read_all();
  if (PQconsumeInput(conn_) != 1) co_return std::unexpected(lost());
  co_return Result<>{};
}

void PostgresConnection::sync() {
  if (PQpipelineSync(conn_) == 1) ++syncs_;
  waited_ = false;
}

void PostgresConnection::send(std::string_view sql) {
  const std::string text(sql);
  if (PQsendQueryParams(conn_, text.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0) != 1) lost_ = true;
}

void PostgresConnection::send_first() {
  for (const auto& sql : first_) send(sql);
}

PGresult* PostgresConnection::next_answer(std::size_t& nothing) {
  constexpr std::size_t kMost = 10'000;  // one for each statement of a unit
  auto* answer = PQgetResult(conn_);
  // Where libpq and we do not agree on what is to come, it would give nothing for ever.
  if (!answer && ++nothing > kMost) lost_ = true;
  return answer;
}

Error PostgresConnection::error_of_result(const PGresult* result, std::string_view sql) {
  timeout_ = -1;  // what was set in a transaction that is rolled back is not set
  const auto state = said(result, PG_DIAG_SQLSTATE);
  if (state.empty() || ends_connection(state)) {
    lost_ = true;
    return postgres_unavailable(PQresultErrorMessage(result));
  }
  return postgres_error({.sqlstate = state,
                         .message = said(result, PG_DIAG_MESSAGE_PRIMARY),
                         .detail = said(result, PG_DIAG_MESSAGE_DETAIL),
                         .table = said(result, PG_DIAG_TABLE_NAME),
                         .column = said(result, PG_DIAG_COLUMN_NAME),
                         .constraint = said(result, PG_DIAG_CONSTRAINT_NAME)},
                        sql);
}

Task<Result<const PostgresConnection::Kept*>> PostgresConnection::prepare(std::string_view sql) {
  if (auto found = by_sql_.find(sql); found != by_sql_.end()) {
    kept_.splice(kept_.begin(), kept_, found->second);
    co_return &kept_.front();
  }
  Kept made{.sql = std::string(sql),
            .name = options_.statements ? "p" + std::to_string(++names_) : "",
            .numbered = numbered_parameters(sql),
            .parameters = {},
            .writes = {}};
  send_first();
  std::size_t before = first_.size();
  PQsendPrepare(conn_, made.name.c_str(), made.numbered.c_str(), 0, nullptr);
  PQsendDescribePrepared(conn_, made.name.c_str());
  if (kept_.size() >= kStatements) {
    auto& last = kept_.back();
    // Behind what could fail: a statement that is forgotten here is forgotten there only where all went well.
    if (options_.statements) send("DEALLOCATE " + last.name);
    by_sql_.erase(last.sql);
    kept_.pop_back();
  }
  sync();
  first_.clear();
  Result<> outcome{};
  for (std::size_t command = 0;;) {
    while (PQisBusy(conn_))
      if (auto waited = co_await wait(); !waited) co_return std::unexpected(std::move(waited).error());
    const Answer answer{next_answer(command)};
    if (!answer) {
      if (broken()) co_return std::unexpected(lost());
      continue;
    }
    const auto status = PQresultStatus(answer.get());
    if (status == PGRES_PIPELINE_SYNC) {
      --syncs_;
      break;
    }
    if (status == PGRES_FATAL_ERROR) {
      outcome = std::unexpected(error_of_result(answer.get(), sql));
      if (lost_) co_return std::unexpected(std::move(outcome).error());
    } else if (status == PGRES_COMMAND_OK && command == before + 1) {
      for (int i = 0; i < PQnparams(answer.get()); ++i)
        made.parameters.push_back(static_cast<PostgresType>(PQparamtype(answer.get(), i)));
    }
  }
  if (!outcome) co_return std::unexpected(std::move(outcome).error());
  made.writes = tables_written(sql);
  kept_.push_front(std::move(made));
  by_sql_.emplace(kept_.front().sql, kept_.begin());
  co_return &kept_.front();
}

Task<Result<>> PostgresConnection::run(const Statement& statement) {
  if (broken()) co_return std::unexpected(lost());
  limit_ = statement.limit;
  const auto timeout = server_limit(statement.limit);
  if (options_.statements && timeout != timeout_) {
    first_.insert(first_.begin() + (first_.empty() ? 0 : 1), "SET statement_timeout=" + std::to_string(timeout));
    timeout_ = timeout;
  }
  auto prepared = co_await prepare(statement.sql);
  if (!prepared) co_return std::unexpected(std::move(prepared).error());
  const auto& kept = **prepared;
  for (const auto& table : kept.writes)
    if (std::ranges::find(written_, table) == written_.end()) written_.push_back(table);
  const auto count = statement.parameters.size();
  if (count != kept.parameters.size())
    co_return std::unexpected(Error{&kInternal}.because("postgres: " + std::to_string(count) + " parameters for " +
                                                        std::to_string(kept.parameters.size()) +
                                                        " in: " + kept.sql.substr(0, 500)));
  std::vector<const char*> values(count);
  std::vector<int> sizes(count), formats(count);
  std::vector<std::string> texts(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto parameter = postgres_parameter(statement.parameters[i], kept.parameters[i], texts[i]);
    values[i] = parameter.text;
    sizes[i] = parameter.size;
    formats[i] = parameter.binary ? 1 : 0;
  }
  // Behind a pooler that gives a session to others after each transaction nothing stays set: the limit goes with the
  // statement.
  if (!options_.statements)
    first_.insert(first_.begin() + (first_.empty() ? 0 : 1),
                  "SELECT set_config('statement_timeout','" + std::to_string(timeout) + "',true)");
  send_first();
  const int sent = options_.statements ? PQsendQueryPrepared(conn_, kept.name.c_str(), static_cast<int>(count),
                                                             values.data(), sizes.data(), formats.data(), 0)
                                       : PQsendQueryParams(conn_, kept.numbered.c_str(), static_cast<int>(count),
                                                           nullptr, values.data(), sizes.data(), formats.data(), 0);
  sync();
  if (sent != 1) co_return std::unexpected(lost());
  auto answered = co_await answers(statement);
  // A plan that no longer fits its table is made anew.
  if (!answered && answered.error().problem == &kRunAgain && options_.statements) {
    if (auto found = by_sql_.find(statement.sql); found != by_sql_.end()) {
      const auto kept_at = found->second;
      by_sql_.erase(found);
      kept_.erase(kept_at);
    }
  }
  co_return answered;
}

Task<Result<>> PostgresConnection::answers(const Statement& statement) {
  const auto before = first_.size();
  first_.clear();
  Result<> outcome{};
  std::int64_t rows = 0;
  bool enough = false, began = false;
  tag_.clear();
  if (before == 0 && statement.rows == Rows::one_by_one) PQsetSingleRowMode(conn_);
  for (std::size_t command = 0;;) {
    while (PQisBusy(conn_))
      if (auto waited = co_await wait(); !waited) co_return waited;
    const Answer answer{next_answer(command)};
    if (!answer) {
      if (broken()) co_return std::unexpected(lost());
      if (command == before && statement.rows == Rows::one_by_one) PQsetSingleRowMode(conn_);
      continue;
    }
    switch (PQresultStatus(answer.get())) {
      case PGRES_PIPELINE_SYNC:
        --syncs_;
        if (statement.budget) statement.budget->rows -= std::min(rows, statement.budget->rows);
        co_return outcome;
      case PGRES_FATAL_ERROR:
        if (outcome) outcome = std::unexpected(error_of_result(answer.get(), statement.sql));
        if (lost_) co_return outcome;
        break;
      case PGRES_TUPLES_OK:
      case PGRES_SINGLE_TUPLE: {
        if (command != before || !statement.into || enough || !outcome) break;
        if (!std::exchange(began, true)) statement.into->begin();
        auto taken = take_rows(answer.get(), statement, rows);
        if (!taken)
          outcome = std::unexpected(std::move(taken).error());
        else
          enough = !*taken;
        break;
      }
      case PGRES_COMMAND_OK:
        if (command == before) tag_ = PQcmdStatus(answer.get());
        break;
      default: break;
    }
  }
}

Result<bool> PostgresConnection::take_rows(const PGresult* result, const Statement& statement, std::int64_t& count) {
  const int columns = PQnfields(result), rows = PQntuples(result);
  const auto width = static_cast<std::size_t>(columns);
  fields_.resize(width);
  scratch_.resize(std::max(scratch_.size(), width));
  types_.resize(width);
  for (int c = 0; c < columns; ++c) types_[static_cast<std::size_t>(c)] = static_cast<PostgresType>(PQftype(result, c));
  for (int r = 0; r < rows; ++r) {
    if (statement.budget && count + 1 > statement.budget->rows) return fail(kResponseTooLarge);
    ++count;
    std::int64_t embedded = 0;
    for (int c = 0; c < columns; ++c) {
      const auto i = static_cast<std::size_t>(c);
      if (PQgetisnull(result, r, c)) {
        fields_[i] = {};
        continue;
      }
      const std::string_view text(PQgetvalue(result, r, c), static_cast<std::size_t>(PQgetlength(result, r, c)));
      if (types_[i] == PostgresType::json || types_[i] == PostgresType::jsonb)
        embedded += static_cast<std::int64_t>(text.size());
      fields_[i] = postgres_field(types_[i], text, scratch_[i]);
    }
    if (statement.budget && embedded > statement.budget->bytes) return fail(kResponseTooLarge);
    if (!statement.into->row(fields_)) return false;
  }
  return true;
}

void PostgresConnection::first(std::string_view sql) {
  if (sql.starts_with("ROLLBACK")) timeout_ = -1;
  first_.emplace_back(sql);
}

Task<Result<std::string>> PostgresConnection::command(std::string_view sql) {
  if (broken()) co_return std::unexpected(lost());
  limit_ = kLongest;
  if (sql.starts_with("ROLLBACK")) timeout_ = -1;
  send_first();
  const std::string text(sql);
  const int sent = PQsendQueryParams(conn_, text.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0);
  sync();
  if (sent != 1) co_return std::unexpected(lost());
  const Statement statement{.sql = sql};
  auto done = co_await answers(statement);
  if (!done) co_return std::unexpected(std::move(done).error());
  co_return tag_;
}

Task<Result<>> PostgresConnection::script(std::string_view sql, Nanoseconds limit) {
  if (broken()) co_return std::unexpected(lost());
  // What `first` holds, and the mark by which is seen whether the transaction is still the same one behind it.
  constexpr std::string_view kMark = "SELECT set_config('plimsoll.script','1',true)";
  const bool inside = in_transaction() || !first_.empty();
  if (inside) {
    auto marked = co_await command(kMark);
    if (!marked) co_return std::unexpected(std::move(marked).error());
  }
  limit_ = limit;
  if (PQexitPipelineMode(conn_) != 1) co_return std::unexpected(lost());
  const std::string text(sql);
  if (PQsendQuery(conn_, text.c_str()) != 1) co_return std::unexpected(lost());
  simple_ = true;
  waited_ = false;
  timeout_ = -1;
  Result<> outcome{};
  for (;;) {
    while (PQisBusy(conn_))
      if (auto waited = co_await wait(); !waited) co_return waited;
    const Answer answer{PQgetResult(conn_)};
    if (!answer) break;
    const auto status = PQresultStatus(answer.get());
    if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
      lost_ = true;  // there is no other way out of it
      co_return std::unexpected(Error{&kInternal}.because("COPY from or to the client cannot stand in a script"));
    }
    if (status != PGRES_FATAL_ERROR) continue;
    outcome = std::unexpected(error_of_result(answer.get(), {}));
    if (const auto place = said(answer.get(), PG_DIAG_STATEMENT_POSITION); !place.empty()) {
      std::size_t at = 0;
      std::from_chars(place.data(), place.data() + place.size(), at);
      auto& error = outcome.error();
      error.more().cause =
          "line " +
          std::to_string(1 + std::count(text.begin(),
                                        text.begin() + static_cast<std::ptrdiff_t>(std::min(at, text.size())), '\n')) +
          ": " + reason_of(error);
    }
    if (lost_) co_return outcome;
  }
  if (broken()) co_return std::unexpected(lost());
  simple_ = false;
  if (PQenterPipelineMode(conn_) != 1) co_return std::unexpected(lost());
  if (!outcome || !inside) co_return outcome;
  RowKeeper keeper;
  const Statement asks{.sql = "SELECT current_setting('plimsoll.script',true)", .into = &keeper};
  auto asked = co_await run(asks);
  if (!asked) co_return asked;
  if (!in_transaction() || keeper.rows.empty() || keeper.rows[0][0] != Cell{std::string("1")})
    co_return std::unexpected(Error{&kInternal}.because("a script ended its transaction"));
  co_return Result<>{};
}

Task<Result<>> PostgresConnection::recover() {
  forget_first();
  limit_ = kLongest;
  for (std::size_t nothing = 0;;) {
    if (broken()) co_return std::unexpected(lost());
    if (!busy()) break;
    while (PQisBusy(conn_))
      if (auto waited = co_await wait(); !waited) co_return waited;
    const Answer answer{next_answer(nothing)};
    if (!answer && simple_) {
      simple_ = false;
      if (PQenterPipelineMode(conn_) != 1) co_return std::unexpected(lost());
    }
    if (answer && PQresultStatus(answer.get()) == PGRES_PIPELINE_SYNC) --syncs_;
  }
  timeout_ = -1;
  if (PQtransactionStatus(conn_) == PQTRANS_IDLE) co_return Result<>{};
  auto ended = co_await command("ROLLBACK");
  if (!ended) co_return std::unexpected(std::move(ended).error());
  co_return Result<>{};
}

Task<Result<>> PostgresConnection::cancel(Loop& loop, CancelKey key) {
  if (!key.pid) co_return fail(kUnavailable, "the server gave no key");
  net::Socket socket{::socket(key.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (!socket) co_return fail(kUnavailable, std::generic_category().message(errno));
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&key.address), key.size) != 0 && errno != EINPROGRESS)
    co_return fail(kUnavailable, std::generic_category().message(errno));
  Descriptor descriptor{loop, socket.release()};
  descriptor.write_full();
  const auto writable = co_await descriptor.writable(kSecond);
  if (writable != Wake::ready) co_return fail(kUnavailable, "the cancel request was not taken");
  // CancelRequest (protocol, section 55.7): its length, its code, the process and its key.
  std::array<unsigned char, 16> request{};
  const auto put = [&](std::size_t at, std::uint32_t value) {
    for (std::size_t i = 0; i < 4; ++i) request[at + i] = static_cast<unsigned char>(value >> (24 - 8 * i));
  };
  put(0, 16);
  put(4, 80877102);
  put(8, static_cast<std::uint32_t>(key.pid));
  put(12, static_cast<std::uint32_t>(key.key));
  if (::send(descriptor.get(), request.data(), request.size(), MSG_NOSIGNAL) != 16)
    co_return fail(kUnavailable, "the cancel request was not taken");
  // The server closes when it has done what was asked.
  (void)co_await descriptor.readable(kSecond);
  co_return Result<>{};
}

}  // namespace plimsoll::database
