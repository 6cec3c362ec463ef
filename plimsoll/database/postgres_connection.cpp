#include "plimsoll/database/postgres_connection.hpp"

#include "plimsoll/async/pause.hpp"
#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/encoding.hpp"
#include "plimsoll/database/postgres_dialect.hpp"
#include "plimsoll/database/postgres_error.hpp"
#include "plimsoll/database/postgres_policies.hpp"
#include "plimsoll/database/postgres_statement.hpp"
#include "plimsoll/net/dial.hpp"

#include <netinet/tcp.h>
#include <poll.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <system_error>

namespace plimsoll::database {
namespace {

using EventKind = PostgresProtocol::Kind;

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

/// The statement that sets it until the transaction ends.
std::string local_limit(Nanoseconds limit) {
  return "SELECT set_config('statement_timeout','" + std::to_string(server_limit(limit)) + "',true)";
}

/// A connection that is there in time or is given up by whoever waits.
Task<Result<net::Socket>> connect_unix(Loop& loop, const PostgresEndpoint& at) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  const auto path = at.host + "/.s.PGSQL." + std::to_string(at.port);
  if (path.size() >= sizeof address.sun_path)
    co_return fail(net::kNetwork, "the path of a Unix socket has at most 107 bytes");
  path.copy(address.sun_path, path.size());
  if (path[0] == '@') address.sun_path[0] = '\0';
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + (path[0] == '@' ? 0 : 1));
  net::Socket socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (!socket) co_return fail(net::kNetwork, std::generic_category().message(errno));
  // It connects at once, or not at all: EAGAIN says that too many are waiting there already.
  while (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) {
    if (errno == EINTR) continue;
    if (errno != EAGAIN) co_return fail(net::kNetwork, std::generic_category().message(errno));
    const bool rested = co_await pause(loop, 10 * kMillisecond);
    if (rested) continue;
    const Scope* scope = co_await this_scope();
    co_return std::unexpected(error_of(scope->stopped()));
  }
  co_return socket;
}

Task<Result<net::Socket>> connect(Loop& loop, const PostgresEndpoint& at) {
  if (at.is_unix()) {
    auto made = co_await connect_unix(loop, at);
    co_return made;
  }
  auto made = co_await net::dial(loop, {*at.address}, at.port);
  co_return made;
}

/// Why a server could not be reached, unless it is this line of work that was stopped.
Error unreachable(const PostgresEndpoint& at, Error error) {
  if (error.problem != &net::kNetwork && error.problem != &kUnavailable) return error;
  auto why = error.more_ ? reason_of(error) : error.detail;
  if (why.starts_with("postgres: ")) why.erase(0, 10);
  auto made = postgres_unavailable(at.text() + ": " + why);
  made.retryable = error.retryable;
  return made;
}

void keep_alive(int socket, const PostgresTarget& target) {
  const auto set = [&](int level, int option, int value) { ::setsockopt(socket, level, option, &value, sizeof value); };
  if (target.keepalives) {
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    if (target.keepalives_idle > 0) set(IPPROTO_TCP, TCP_KEEPIDLE, target.keepalives_idle);
    if (target.keepalives_interval > 0) set(IPPROTO_TCP, TCP_KEEPINTVL, target.keepalives_interval);
    if (target.keepalives_count > 0) set(IPPROTO_TCP, TCP_KEEPCNT, target.keepalives_count);
  }
  if (target.user_timeout > 0) set(IPPROTO_TCP, TCP_USER_TIMEOUT, target.user_timeout);
}

bool is_stale_plan(const Error& error) {
  return error.problem == &kRunAgain && reason_of(error).find("cached plan") != std::string::npos;
}

/// What a further attempt may correct: the server has no room for us now, starts, ends or recovers.
bool may_pass(std::string_view sqlstate, std::string_view message) {
  return sqlstate.starts_with("53") || sqlstate.starts_with("57") || sqlstate.starts_with("08006") ||
         message.find("too many") != message.npos || message.find("no more connections") != message.npos;
}

/// The line of a position, which PostgreSQL counts in characters from 1.
std::size_t line_of(std::string_view sql, std::string_view place) {
  std::size_t left = 0, line = 1;
  std::from_chars(place.data(), place.data() + place.size(), left);
  for (const char c : sql) {
    if ((static_cast<unsigned char>(c) & 0xc0) == 0x80) continue;
    if (left-- <= 1) break;
    line += c == '\n';
  }
  return line;
}

Task<Result<>> write_all(net::Transport& transport, std::string_view bytes) {
  while (!bytes.empty()) {
    const iovec piece{.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
    const auto moved = transport.write({&piece, 1});
    if (moved.failed()) co_return fail(kUnavailable, std::generic_category().message(moved.error));
    bytes.remove_prefix(moved.bytes);
    if (moved.want == net::Want::nothing) continue;
    const auto woken = co_await transport.wait(moved.want, kSecond);
    if (woken != Wake::ready) co_return fail(kUnavailable, "the cancel request was not taken");
  }
  co_return Result<>{};
}

/// 0 bytes: the server has closed.
Task<Result<std::size_t>> read_some(net::Transport& transport, std::span<char> into) {
  for (;;) {
    const auto moved = transport.read(into);
    if (moved.failed()) co_return fail(kUnavailable, std::generic_category().message(moved.error));
    if (moved.want == net::Want::nothing) co_return moved.bytes;
    const auto woken = co_await transport.wait(moved.want, kSecond);
    if (woken != Wake::ready) co_return fail(kUnavailable, "the cancel request was not answered");
  }
}

Error copy_refused() { return Error{&kInternal}.because("postgres: COPY from or to the client is not supported"); }

}  // namespace

PostgresConnection::~PostgresConnection() {
  detach();
  if (broken() || busy()) return;
  protocol_.terminate();
  (void)flush();
}

void PostgresConnection::attach(Loop& loop) { transport_->descriptor().attach(loop); }

void PostgresConnection::detach() noexcept { transport_->descriptor().detach(); }

Task<Result<std::unique_ptr<PostgresConnection>>> PostgresConnection::open(Loop& loop, const PostgresTarget& target,
                                                                           std::span<const PostgresEndpoint> endpoints,
                                                                           std::shared_ptr<net::TlsClient> tls,
                                                                           Options options, Nanoseconds until) {
  using Session = PostgresTarget::Session;
  std::string causes;
  bool retryable = false;
  auto wanted = target.session == Session::prefer_standby ? Session::standby : target.session;
  const std::size_t rounds = target.session == Session::prefer_standby ? 2 : 1;
  for (std::size_t i = 0; i < rounds * endpoints.size(); ++i) {
    if (i >= endpoints.size()) wanted = Session::any;
    const auto& at = endpoints[i % endpoints.size()];
    // One that does not answer leaves the others their time.
    auto share = (until - loop.now()) / static_cast<Nanoseconds>(rounds * endpoints.size() - i);
    if (target.connect_timeout > 0) share = std::min(share, target.connect_timeout * kSecond);
    const auto ends = loop.now() + std::max(share, kMillisecond);
    auto made = co_await within(loop, std::max(share, kMillisecond), open_one(loop, target, at, tls, options));
    const Scope* scope = co_await this_scope();
    if (scope && scope->stopped() != Stop::none) co_return std::unexpected(error_of(scope->stopped()));
    if (made) {
      (*made)->attach(loop);
      auto fits = co_await within(loop, std::max(ends - loop.now(), kMillisecond), (*made)->judge(wanted));
      (*made)->detach();
      if (fits) co_return std::move(*made);
      made = std::unexpected(unreachable(at, std::move(fits).error()));
    }
    auto error = std::move(made).error();
    if (error.problem == &kDeadlineExceeded) error = postgres_unavailable(at.text() + ": the server does not answer");
    auto cause = reason_of(error);
    if (cause.starts_with("postgres: ")) cause.erase(0, 10);
    causes.append(causes.empty() ? "" : "; ").append(cause);
    retryable |= error.retryable;
    // It has answered and refuses: the others would refuse as well, and it is for the operator to know why.
    if (!error.retryable) break;
  }
  auto error = postgres_unavailable(causes.empty() ? "there is no server to connect to" : causes);
  error.retryable = retryable;
  co_return std::unexpected(std::move(error));
}

Task<Result<std::unique_ptr<PostgresConnection>>> PostgresConnection::open_one(Loop& loop, const PostgresTarget& target,
                                                                               const PostgresEndpoint& at,
                                                                               std::shared_ptr<net::TlsClient> tls,
                                                                               Options options) {
  auto socket = co_await connect(loop, at);
  if (!socket) co_return std::unexpected(unreachable(at, std::move(socket).error()));
  if (!at.is_unix()) keep_alive(socket->get(), target);
  std::unique_ptr<PostgresConnection> made{
      new PostgresConnection(net::clear_transport(loop, socket->release()), options)};
  made->cancel_key_.at = at;
  if (tls && !at.is_unix()) {
    auto secured = co_await made->secure(loop, target, at, std::move(tls));
    if (!secured) co_return std::unexpected(unreachable(at, std::move(secured).error()));
  }
  auto greeted = co_await made->greet(target, at.is_unix());
  if (!greeted) co_return std::unexpected(unreachable(at, std::move(greeted).error()));
  auto settled = co_await made->settle();
  if (!settled) co_return std::unexpected(unreachable(at, std::move(settled).error()));
  made->detach();
  co_return std::move(made);
}

Task<Result<>> PostgresConnection::secure(Loop& loop, const PostgresTarget& target, const PostgresEndpoint& at,
                                          std::shared_ptr<net::TlsClient> tls) {
  protocol_.ask_for_tls();
  for (;;) {
    const auto event = next();
    if (event.kind == EventKind::none) {
      auto received = co_await receive();
      if (!received) co_return received;
      continue;
    }
    if (event.kind == EventKind::unsecured) {
      if (target.tls == PostgresTarget::Tls::prefer) co_return Result<>{};
      auto error = postgres_unavailable("the server does not support TLS, and `sslmode` requires it");
      error.retryable = false;
      co_return std::unexpected(std::move(error));
    }
    if (event.kind == EventKind::secured) break;
    co_return std::unexpected(lost(protocol_.fault_text()));
  }
  transport_ = tls->transport(loop, transport_->descriptor().release(), at.host);
  auto opened = co_await transport_->open(kLongest);
  if (!opened) {
    if (opened.error().problem == &net::kNetwork)
      opened.error().retryable = opened.error().detail.find("certificate") == std::string::npos;
    co_return opened;
  }
  cancel_key_.tls = std::move(tls);
  co_return Result<>{};
}

Task<Result<>> PostgresConnection::greet(const PostgresTarget& target, bool unix_socket) {
  role_ = target.user;
  PostgresProtocol::Startup startup{.parameters = {{"user", target.user}},
                                    .password = target.password,
                                    .cleartext = unix_socket || transport_->secure() || target.cleartext,
                                    .nonce = to_base64(random_bytes(18)),
                                    .end_point = transport_->server_end_point(),
                                    .secure = transport_->secure(),
                                    .binding = target.binding};
  if (!target.database.empty()) startup.parameters.emplace_back("database", target.database);
  startup.parameters.emplace_back("client_encoding", "UTF8");
  startup.parameters.insert(startup.parameters.end(), target.settings.begin(), target.settings.end());
  protocol_.start(std::move(startup));
  for (;;) {
    const auto event = protocol_.next();
    switch (event.kind) {
      case EventKind::none: {
        auto received = co_await receive();
        if (!received) co_return received;
        break;
      }
      case EventKind::ready: co_return Result<>{};
      case EventKind::key:
        cancel_key_.process = event.process;
        cancel_key_.secret = event.secret;
        cancel_key_.known = true;
        break;
      case EventKind::parameter:
        if (event.name == "in_hot_standby") standby_ = event.text;
        if (event.name == "default_transaction_read_only") read_only_ = event.text;
        break;
      case EventKind::failed: {
        auto error = lost(protocol_.fault_text());
        error.retryable = protocol_.fault() != Protocol::Fault::authentication;
        co_return std::unexpected(std::move(error));
      }
      case EventKind::error: {
        auto error = lost("FATAL: " + std::string(event.said['M']) + " (" + std::string(event.said['C']) + ")");
        error.retryable = may_pass(event.said['C'], event.said['M']);
        co_return std::unexpected(std::move(error));
      }
      default: break;
    }
  }
}

Task<Result<>> PostgresConnection::settle() {
  auto done = co_await command(
      "SELECT set_config('DateStyle','ISO, YMD',false), set_config('TimeZone','UTC',false), "
      "set_config('bytea_output','hex',false), set_config('extra_float_digits','1',false), "
      "set_config('standard_conforming_strings','on',false), "
      "set_config('idle_in_transaction_session_timeout','10s',false)");
  if (!done) co_return std::unexpected(std::move(done).error());
  co_return Result<>{};
}

Task<Result<>> PostgresConnection::judge(PostgresTarget::Session wanted) {
  using Session = PostgresTarget::Session;
  if (wanted == Session::any) co_return Result<>{};
  if (standby_.empty() || read_only_.empty()) {  // a pooler does not hand them on
    RowKeeper keeper;
    const Statement asks{
        .sql =
            "SELECT CASE WHEN pg_is_in_recovery() THEN 'on' ELSE 'off' END, current_setting('transaction_read_only')",
        .into = &keeper};
    auto asked = co_await run(asks);
    if (!asked) co_return asked;
    standby_ = std::get<std::string>(keeper.rows.at(0).at(0));
    read_only_ = std::get<std::string>(keeper.rows.at(0).at(1));
  }
  const bool standby = standby_ == "on", read_only = standby || read_only_ == "on";
  std::string_view is;
  switch (wanted) {
    case Session::read_write: is = read_only ? "it is read-only" : ""; break;
    case Session::read_only: is = read_only ? "" : "it is not read-only"; break;
    case Session::primary: is = standby ? "it is a standby" : ""; break;
    case Session::standby: is = standby ? "" : "it is not a standby"; break;
    default: break;
  }
  if (is.empty()) co_return Result<>{};
  co_return std::unexpected(postgres_unavailable(std::string(is) + " (`target_session_attrs`)"));
}

bool PostgresConnection::broken() const noexcept { return lost_ || protocol_.failed(); }

bool PostgresConnection::in_transaction() const noexcept { return protocol_.transaction() != 'I'; }

bool PostgresConnection::dirty() const noexcept { return busy() || in_transaction(); }

bool PostgresConnection::gone() const noexcept {
  if (broken()) return true;
  pollfd look{.fd = transport_->descriptor().get(), .events = POLLIN, .revents = 0};
  // A connection that is not used says nothing, until it is closed: first why, then its end.
  return ::poll(&look, 1, 0) > 0;
}

Error PostgresConnection::lost(std::string_view why) {
  lost_ = true;
  return postgres_unavailable(why);
}

Result<bool> PostgresConnection::flush() {
  for (auto out = protocol_.output(); !out.empty(); out = protocol_.output()) {
    const iovec piece{.iov_base = const_cast<char*>(out.data()), .iov_len = out.size()};
    const auto moved = transport_->write({&piece, 1});
    if (moved.failed()) return std::unexpected(lost(std::generic_category().message(moved.error)));
    if (moved.want != net::Want::nothing) return false;
    protocol_.sent(moved.bytes);
  }
  return true;
}

Task<Result<>> PostgresConnection::receive() {
  for (;;) {
    const auto flushed = flush();
    if (!flushed) co_return std::unexpected(flushed.error());
    const auto moved = transport_->read(protocol_.room());
    if (moved.ended) co_return std::unexpected(lost("the server has closed the connection"));
    if (moved.failed()) co_return std::unexpected(lost(std::generic_category().message(moved.error)));
    auto& descriptor = transport_->descriptor();
    if (moved.want == net::Want::nothing) {
      protocol_.received(moved.bytes);
      constexpr unsigned kInARow = 16;
      if (++reads_ < kInARow) co_return Result<>{};
      // A long result that comes as fast as it is read: others have their turn.
      reads_ = 0;
      co_await next_turn(descriptor.loop());
      const Scope* scope = co_await this_scope();
      if (scope && scope->stopped() != Stop::none) co_return std::unexpected(error_of(scope->stopped()));
      co_return Result<>{};
    }
    reads_ = 0;
    Wake woken = Wake::ready;
    if (!*flushed) {
      // The server may wait for us to read before it reads on.
      woken = co_await descriptor.changed(patience());
    } else {
      woken = co_await transport_->wait(moved.want, patience());
    }
    if (woken == Wake::stopped) {
      const Scope* scope = co_await this_scope();
      co_return std::unexpected(error_of(scope->stopped()));
    }
    if (woken == Wake::late) co_return std::unexpected(lost("the server does not answer"));
  }
}

PostgresProtocol::Event PostgresConnection::next() {
  for (;;) {
    auto event = protocol_.next();
    if (event.kind != EventKind::notice && event.kind != EventKind::parameter && event.kind != EventKind::notification)
      return event;
  }
}

void PostgresConnection::send(std::string_view sql) {
  protocol_.parse({}, sql);
  protocol_.bind({}, {});
  protocol_.execute();
}

void PostgresConnection::send_first() {
  for (const auto& one : first_) {
    if (!one.caller) {
      send(one.sql);
      continue;
    }
    const auto name = options_.statements ? kCallerName : std::string_view{};
    if (!caller_kept_) {
      // Where it failed before it may be known there all the same.
      if (options_.statements) protocol_.close(name);
      protocol_.parse(name, kSetCaller);
    }
    PostgresParameter values[kCallerValues] = {};
    for (std::size_t i = 0; i < std::size(values) && i < one.caller->size(); ++i)
      values[i] = {.text = (*one.caller)[i].c_str(), .size = static_cast<int>((*one.caller)[i].size())};
    protocol_.bind(name, values);
    protocol_.execute();
  }
}

Error PostgresConnection::error_of_said(const PostgresSaid& said, std::string_view sql) {
  timeout_ = -1;  // what was set in a transaction that is rolled back is not set
  const auto state = said['C'];
  if (state.empty() || said.is_fatal() || ends_connection(state) || !busy())
    return lost(std::string(said['S']) + ": " + std::string(said['M']));
  return postgres_error({.sqlstate = state,
                         .message = said['M'],
                         .detail = said['D'],
                         .table = said['t'],
                         .column = said['c'],
                         .constraint = said['n'],
                         .routine = said['R'],
                         .role = role_},
                        sql);
}

const PostgresConnection::Kept* PostgresConnection::find(std::string_view sql) {
  const auto found = by_sql_.find(sql);
  if (found == by_sql_.end()) return nullptr;
  if (found->second != kept_.begin()) kept_.splice(kept_.begin(), kept_, found->second);
  return &kept_.front();
}

Task<Result<const PostgresConnection::Kept*>> PostgresConnection::prepare(std::string_view sql) {
  Kept made{.sql = std::string(sql),
            .name = options_.statements ? "p" + std::to_string(++names_) : "",
            .numbered = numbered_parameters(sql),
            .parameters = {},
            .columns = {},
            .writes = {}};
  send_first();
  protocol_.parse(made.name, made.numbered);
  protocol_.describe(made.name);
  if (kept_.size() >= kStatements) {
    auto& last = kept_.back();
    if (options_.statements) stale_.push_back(std::move(last.name));
    by_sql_.erase(last.sql);
    kept_.pop_back();
  }
  const auto closed = stale_.size();
  for (const auto& name : stale_) protocol_.close(name);
  protocol_.sync();
  first_.clear();
  Result<> outcome{};
  for (bool ended = false; !ended;) {
    const auto event = next();
    switch (event.kind) {
      case EventKind::none: {
        auto received = co_await receive();
        if (!received) co_return std::unexpected(std::move(received).error());
        break;
      }
      case EventKind::failed: co_return std::unexpected(lost(protocol_.fault_text()));
      case EventKind::error:
        if (outcome) outcome = std::unexpected(error_of_said(event.said, sql));
        if (lost_) co_return std::unexpected(std::move(outcome).error());
        break;
      case EventKind::copy_refused:
        if (outcome) outcome = std::unexpected(copy_refused());
        break;
      case EventKind::parameter_types: made.parameters.assign(event.types.begin(), event.types.end()); break;
      case EventKind::columns:
        for (const auto& column : event.columns) made.columns.push_back(column.type);
        break;
      case EventKind::ready: ended = true; break;
      default: break;
    }
  }
  if (!outcome) {
    // It may be parsed all the same, where what failed stood behind it.
    if (options_.statements) stale_.push_back(std::move(made.name));
    co_return std::unexpected(std::move(outcome).error());
  }
  stale_.erase(stale_.begin(), stale_.begin() + static_cast<std::ptrdiff_t>(closed));
  made.writes = tables_written(sql);
  kept_.push_front(std::move(made));
  by_sql_.emplace(kept_.front().sql, kept_.begin());
  co_return &kept_.front();
}

void PostgresConnection::bind(const Statement& statement, const Kept& kept) {
  const auto count = statement.parameters.size();
  if (scratch_.size() < count) scratch_.resize(count);
  parameters_.resize(count);
  for (std::size_t i = 0; i < count; ++i)
    parameters_[i] = postgres_parameter(statement.parameters[i], kept.parameters[i], scratch_[i]);
  protocol_.bind(kept.name, parameters_);
}

void PostgresConnection::limit_next(Nanoseconds limit) {
  limit_ = limit;
  const auto timeout = server_limit(limit);
  if (!options_.statements || timeout == timeout_) return;
  ahead({.sql = "SET statement_timeout=" + std::to_string(timeout)});
  timeout_ = timeout;
}

void PostgresConnection::note_written(const std::string& table) {
  if (std::ranges::find(written_, table) == written_.end()) written_.push_back(table);
}

Task<Result<>> PostgresConnection::run(const Statement& statement) {
  if (broken()) co_return std::unexpected(lost("the connection was lost"));
  limit_next(statement.limit);
  const auto* kept = find(statement.sql);
  if (!kept) {
    auto prepared = co_await prepare(statement.sql);
    if (!prepared) co_return std::unexpected(std::move(prepared).error());
    kept = *prepared;
  }
  for (const auto& table : kept->writes) note_written(table);
  const auto count = statement.parameters.size();
  if (count != kept->parameters.size())
    co_return std::unexpected(Error{&kInternal}.because("postgres: " + std::to_string(count) + " parameters for " +
                                                        std::to_string(kept->parameters.size()) +
                                                        " in: " + kept->sql.substr(0, 500)));
  // Behind a pooler that gives a session to others after each transaction nothing stays set: the limit goes with the
  // statement.
  if (!options_.statements) ahead({.sql = local_limit(statement.limit)});
  if (!statement.settings.empty()) ahead({.sql = {}, .caller = statement.settings});
  const auto before = first_.size();
  if (before > 0) {
    send_first();
    first_.clear();
  }
  if (!options_.statements) protocol_.parse({}, kept->numbered);
  bind(statement, *kept);
  // Nobody keeps a plan there, so that what it gives may have changed.
  if (!options_.statements) protocol_.describe_portal();
  protocol_.execute(options_.statements ? static_cast<int>(kept->columns.size()) : -1);
  protocol_.sync();
  tag_.clear();
  Unit unit{statement,
            options_.statements ? std::span<const PostgresType>(kept->columns) : std::span<const PostgresType>{},
            before};
  auto answered = co_await answers(unit);
  caller_kept_ |= answered && options_.statements && !statement.settings.empty();
  if (!answered && options_.statements && is_stale_plan(answered.error())) forget(statement.sql);
  co_return answered;
}

void PostgresConnection::forget(std::string_view sql) {
  const auto found = by_sql_.find(sql);
  if (found == by_sql_.end()) return;
  const auto kept_at = found->second;
  stale_.push_back(std::move(kept_at->name));
  by_sql_.erase(found);
  kept_.erase(kept_at);
}

Task<Result<>> PostgresConnection::make_ready(const Statement& statement) {
  if (broken()) co_return std::unexpected(lost("the connection was lost"));
  limit_ = statement.limit;
  const auto timeout = server_limit(statement.limit);
  const bool changes = timeout != timeout_;
  const auto set = "SET statement_timeout=" + std::to_string(timeout);
  timeout_ = timeout;
  if (find(statement.sql)) {
    if (!changes) co_return Result<>{};
    auto done = co_await command(set);
    if (!done) co_return std::unexpected(std::move(done).error());
    co_return Result<>{};
  }
  if (changes) first(set);
  auto prepared = co_await prepare(statement.sql);
  if (!prepared) co_return std::unexpected(std::move(prepared).error());
  co_return Result<>{};
}

PostgresConnection::Prepared PostgresConnection::can_pipe(const Statement& statement) {
  if (broken() || !options_.statements || !first_.empty() || server_limit(statement.limit) != timeout_) return nullptr;
  const auto* kept = find(statement.sql);
  return kept && kept->writes.empty() && kept->parameters.size() == statement.parameters.size() ? kept : nullptr;
}

void PostgresConnection::pipe(const Statement& statement, Prepared prepared, Unit& unit) {
  const auto& kept = *prepared;
  limit_ = busy() ? std::max(limit_, statement.limit) : statement.limit;
  bind(statement, kept);
  protocol_.execute(static_cast<int>(kept.columns.size()));
  protocol_.sync();
  unit = Unit{statement, kept.columns, 0};
}

Task<Result<>> PostgresConnection::answers(Unit& unit) {
  for (;;) {
    const auto event = next();
    if (event.kind == EventKind::none) {
      auto received = co_await receive();
      if (!received) co_return received;
      continue;
    }
    if (take(unit, event)) co_return std::move(unit.outcome);
  }
}

bool PostgresConnection::take(Unit& unit, const Protocol::Event& event) {
  const auto fail_once = [&](Error error) {
    if (unit.outcome) unit.outcome = std::unexpected(std::move(error));
  };
  switch (event.kind) {
    case EventKind::row:
      if (unit.command_ == unit.before_ && unit.statement_ && unit.statement_->into && !unit.enough_ && unit.outcome)
        take_row(unit, event.cells);
      return lost_;
    case EventKind::complete:
      if (unit.command_ + 1 == unit.before_) tag_before_ = event.text;
      if (unit.command_++ != unit.before_) return false;
      tag_ = event.text;
      if (!unit.began_ && unit.statement_ && unit.statement_->into && unit.outcome && !unit.types_.empty())
        unit.statement_->into->begin();
      return false;
    case EventKind::columns:
      described_.clear();
      for (const auto& column : event.columns) described_.push_back(column.type);
      unit.types_ = described_;
      return false;
    case EventKind::ready:
      if (unit.statement_ && unit.statement_->budget)
        unit.statement_->budget->rows -= std::min(unit.rows_, unit.statement_->budget->rows);
      if (unit.statement_ && unit.statement_->rows) *unit.statement_->rows = unit.rows_;
      return true;
    case EventKind::error:
      fail_once(error_of_said(event.said, unit.statement_ ? unit.statement_->sql : ""));
      if (unit.statement_ && unit.statement_->budget && !lost_ && event.said['C'] == "22P02" &&
          event.said['M'].find(kMoreThanAllowed) != event.said['M'].npos)
        unit.outcome = fail(kResponseTooLarge);
      return lost_;
    case EventKind::too_large: fail_once(Error{&kResponseTooLarge}); return false;
    case EventKind::copy_refused: fail_once(copy_refused()); return false;
    case EventKind::failed: unit.outcome = std::unexpected(lost(protocol_.fault_text())); return true;
    default: return false;
  }
}

void PostgresConnection::take_row(Unit& unit, std::span<const PostgresCell> cells) {
  const auto width = cells.size();
  const auto& statement = *unit.statement_;
  const auto types = unit.types_;
  if (types.size() != width) {
    unit.outcome = std::unexpected(lost("a row has other columns than were described"));
    return;
  }
  if (!std::exchange(unit.began_, true)) statement.into->begin();
  if (statement.budget && unit.rows_ + 1 > statement.budget->rows) {
    unit.outcome = fail(kResponseTooLarge);
    return;
  }
  ++unit.rows_;
  if (fields_.size() != width) fields_.resize(width);
  if (scratch_.size() < width) scratch_.resize(width);
  std::int64_t embedded = 0;
  for (std::size_t i = 0; i < width; ++i) {
    if (cells[i].is_null()) {
      fields_[i] = {};
      continue;
    }
    if (types[i] == PostgresType::json || types[i] == PostgresType::jsonb)
      embedded += static_cast<std::int64_t>(cells[i].size);
    fields_[i] = postgres_field(types[i], cells[i].text(), scratch_[i]);
  }
  if (statement.budget && embedded > statement.budget->bytes) {
    unit.outcome = fail(kResponseTooLarge);
    return;
  }
  unit.enough_ = !statement.into->row(fields_);
}

void PostgresConnection::ahead(First setting) {
  auto place = first_.end();
  while (place != first_.begin() && !begins_with(std::prev(place)->sql, "BEGIN") &&
         !begins_with(std::prev(place)->sql, "ROLLBACK"))
    --place;
  first_.insert(place, std::move(setting));
}

void PostgresConnection::begin(std::string_view how) {
  first(how);
  if (!options_.statements) first("SET LOCAL idle_in_transaction_session_timeout='10s'");
}

void PostgresConnection::begin_again(std::string_view how, std::string_view then) {
  const auto begun = std::ranges::find_if(first_, [](const First& one) { return begins_with(one.sql, "BEGIN"); });
  if (begun == first_.end()) {
    begin(how);
    return first(then);
  }
  begun->sql = how;
  first_.insert(std::next(begun), {.sql = std::string(then)});
}

void PostgresConnection::first(std::string_view sql) {
  if (begins_with(sql, "ROLLBACK")) timeout_ = -1;
  first_.push_back({.sql = std::string(sql)});
}

Task<Result<std::string>> PostgresConnection::command(std::string_view sql) {
  if (broken()) co_return std::unexpected(lost("the connection was lost"));
  limit_ = kLongest;
  if (begins_with(sql, "ROLLBACK")) timeout_ = -1;
  send_first();
  const auto before = first_.size();
  first_.clear();
  send(sql);
  protocol_.sync();
  tag_.clear();
  const Statement statement{.sql = sql};
  Unit unit{statement, {}, before};
  auto done = co_await answers(unit);
  if (!done) co_return std::unexpected(std::move(done).error());
  co_return tag_;
}

Task<Result<PostgresConnection::CommitTag>> PostgresConnection::commit_and_locate() {
  if (broken()) co_return std::unexpected(lost("the connection was lost"));
  limit_ = kLongest;
  send_first();
  const auto before = first_.size();
  first_.clear();
  send("COMMIT");
  send(kLocate);  // in a transaction of its own
  protocol_.sync();
  tag_.clear();
  tag_before_.clear();
  static constexpr PostgresType kTypes[] = {PostgresType::int8};
  RowKeeper keeper;
  const Statement statement{.sql = "COMMIT", .into = &keeper};
  Unit unit{statement, kTypes, before + 1};
  auto done = co_await answers(unit);
  if (!done && tag_before_ != "COMMIT") co_return std::unexpected(std::move(done).error());
  CommitTag made{.tag = std::move(tag_before_)};
  if (done && !keeper.rows.empty())
    if (const auto* at = std::get_if<std::int64_t>(&keeper.rows[0][0])) made.at = static_cast<Position>(*at);
  co_return made;
}

Task<Result<>> PostgresConnection::copy(const Copy& copy) {
  if (broken()) co_return std::unexpected(lost("the connection was lost"));
  // What goes ahead is a unit of its own: were it to fail outside of a transaction, the rows would be stored alone.
  if (!in_transaction()) co_return std::unexpected(Error{&kInternal}.because("postgres: COPY outside a transaction"));
  limit_next(copy.limit);
  if (!options_.statements) ahead({.sql = local_limit(copy.limit)});
  note_written(std::string(copy.table));
  const auto before = first_.size();
  if (before > 0) {
    send_first();
    first_.clear();
    protocol_.sync();
  }
  protocol_.copy(copy.sql);
  Result<> outcome{};
  if (before > 0) {
    Unit unit;
    outcome = co_await answers(unit);
    if (!outcome && (broken() || protocol_.pending() > 1)) co_return outcome;
  }
  while (protocol_.pending() > 0) {
    const auto event = next();
    switch (event.kind) {
      case EventKind::none: {
        auto received = co_await receive();
        if (!received) co_return received;
        break;
      }
      case EventKind::copy_in: {
        // All at once, so that whoever leaves here leaves no COPY that waits for more.
        protocol_.copy_data(copy.rows);
        protocol_.copy_done();
        auto flushed = flush();
        if (!flushed) co_return std::unexpected(std::move(flushed).error());
        co_return Result<>{};
      }
      case EventKind::error:
        if (outcome) outcome = std::unexpected(error_of_said(event.said, copy.sql));
        if (lost_) co_return outcome;
        break;
      case EventKind::failed: co_return std::unexpected(lost(protocol_.fault_text()));
      default: break;
    }
  }
  co_return outcome;
}

Task<Result<>> PostgresConnection::copied(std::string_view sql) {
  if (broken()) co_return std::unexpected(lost("the connection was lost"));
  const Statement statement{.sql = sql};
  Unit unit{statement, {}, 0};
  auto done = co_await answers(unit);
  co_return done;
}

Task<Result<>> PostgresConnection::script(std::string_view sql, Nanoseconds limit) {
  if (broken()) co_return std::unexpected(lost("the connection was lost"));
  // What `first` holds, and the mark by which is seen whether the transaction is still the same one behind it.
  constexpr std::string_view kMark = "SELECT set_config('plimsoll.script','1',true)";
  const bool inside = in_transaction() || !first_.empty();
  if (inside) {
    auto marked = co_await command(kMark);
    if (!marked) co_return std::unexpected(std::move(marked).error());
  }
  limit_ = limit;
  timeout_ = -1;
  protocol_.query(sql);
  Result<> outcome{};
  for (bool ended = false; !ended;) {
    const auto event = next();
    switch (event.kind) {
      case EventKind::none: {
        auto received = co_await receive();
        if (!received) co_return received;
        break;
      }
      case EventKind::failed: co_return std::unexpected(lost(protocol_.fault_text()));
      case EventKind::copy_refused:
        if (outcome) outcome = std::unexpected(copy_refused());
        break;
      case EventKind::error: {
        auto error = error_of_said(event.said, {});
        if (const auto place = event.said['P']; !place.empty())
          error.more().cause = "line " + std::to_string(line_of(sql, place)) + ": " + reason_of(error);
        if (outcome) outcome = std::unexpected(std::move(error));
        if (lost_) co_return outcome;
        break;
      }
      case EventKind::ready: ended = true; break;
      default: break;
    }
  }
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
  while (busy()) {
    if (broken()) co_return std::unexpected(lost("the connection was lost"));
    const auto event = next();
    if (event.kind == EventKind::failed) co_return std::unexpected(lost(protocol_.fault_text()));
    if (event.kind == EventKind::error && (event.said.is_fatal() || ends_connection(event.said['C'])))
      co_return std::unexpected(lost(event.said['M']));
    if (event.kind == EventKind::copy_in) protocol_.copy_fail("the request has ended");
    if (event.kind != EventKind::none) continue;
    auto received = co_await receive();
    if (!received) co_return received;
  }
  timeout_ = -1;
  if (!in_transaction()) co_return Result<>{};
  auto ended = co_await command("ROLLBACK");
  if (!ended) co_return std::unexpected(std::move(ended).error());
  co_return Result<>{};
}

Task<Result<>> PostgresConnection::cancel(Loop& loop, CancelKey key) {
  if (!key.known) co_return fail(kUnavailable, "the server gave no key");
  auto socket = co_await connect(loop, key.at);
  if (!socket) co_return std::unexpected(std::move(socket).error());
  auto transport = net::clear_transport(loop, socket->release());
  char answer[1];
  if (key.tls) {
    const auto asks = PostgresProtocol::tls_request();
    auto asked = co_await write_all(*transport, asks);
    if (!asked) co_return asked;
    auto answered = co_await read_some(*transport, answer);
    if (!answered) co_return std::unexpected(std::move(answered).error());
    // The key is a secret, which was told over TLS: it does not go in clear.
    if (*answered != 1 || answer[0] != 'S') co_return fail(kUnavailable, "the server takes no cancel request over TLS");
    transport = key.tls->transport(loop, transport->descriptor().release(), key.at.host);
    auto opened = co_await transport->open(5 * kSecond);
    if (!opened) co_return opened;
  }
  const auto request = PostgresProtocol::cancel_request(key.process, key.secret);
  auto written = co_await write_all(*transport, request);
  if (!written) co_return written;
  // The server closes when it has done what was asked.
  auto closed = co_await read_some(*transport, answer);
  (void)closed;
  co_return Result<>{};
}

}  // namespace plimsoll::database
