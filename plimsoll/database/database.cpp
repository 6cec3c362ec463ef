#include "plimsoll/database/database.hpp"

#include "plimsoll/database/row_copier.hpp"

namespace plimsoll::database {

std::string reason_of(const Error& error) {
  if (error.more_ && !error.more_->cause.empty())
    return error.more_->cause.substr(0, error.more_->cause.find(kRemedyFollows));
  return error.detail.empty() ? std::string(error.problem->title) : error.detail;
}

bool is_refused_statement(const Error& error) {
  return error.problem == &kInternal && error.more_ && error.more_->cause.starts_with("postgres ");
}

constexpr std::string_view kStatement =
    "Look at the statement and at what the database holds: objects that a migration makes may be missing, or differ "
    "from what the server expects.";

std::string_view own_remedy_of(const Error& error) {
  if (!error.more_) return {};
  const std::string_view cause = error.more_->cause;
  const auto at = cause.find(kRemedyFollows);
  return at == cause.npos ? std::string_view{} : cause.substr(at + kRemedyFollows.size());
}

namespace {

/// What an engine or the system says, without the names that it quotes: those of files and hosts choose no remedy.
std::string without_quoted(std::string_view text) {
  std::string made;
  char open = 0;
  for (const char c : text)
    if (open != 0) {
      if (c == open) open = 0;
    } else if (c == '`' || c == '"') {
      open = c;
    } else {
      made += c;
    }
  return made;
}

}  // namespace

std::string remedy_of(const Error& error) {
  if (const auto own = own_remedy_of(error); !own.empty()) return std::string(own);
  if (is_refused_statement(error)) return std::string(kStatement);
  if (error.problem != &kUnavailable) return std::string(error.problem->remedy);
  const auto reason = without_quoted(reason_of(error));
  const auto says = [&](std::string_view what) { return reason.find(what) != reason.npos; };
  if (says("postgres")) {
    if (says(" in: ")) return std::string(kStatement);  // it can be reached, and refuses what a session begins with
    if (says("certificate") || says("SSL"))
      return "Name the certificate of the authority that signed the server's with `sslrootcert=FILE` in the URL, and "
             "the host as the server's certificate names it.";
    if (says("password") || says("authentication") || says("pg_hba.conf") || says("role"))
      return "Correct the user and the password in `database: {url: …}`, or what the server allows this user.";
    if (says("does not exist"))
      return "Create the database on the server, or correct its name in `database: {url: …}`.";
    return "Start the server, or correct the host and the port in `database: {url: …}`.";
  }
  if (says("locked")) return "Another process holds a lock on the database: end it, or let it finish.";
  if (says("full") || says("No space left") || says("quota"))
    return "Free space on the file system of the database, or raise the quota.";
  if (says("I/O error") || says("Input/output error"))
    return "Look at the kernel log (`dmesg`): the disk or its file system refuses to read or write.";
  if (says("readonly") || says("Read-only") || says("Permission denied"))
    return "Make the file and its folder writable for this process; a file system may be mounted read-only.";
  if (says("Too many open files")) return "Raise the limit of open files of this process (`ulimit -n`).";
  if (says("unable to open") || says("cannot open"))
    return "Make the folder of the database, writable for this process, or name another file with `database: {url: "
           "'sqlite:PATH'}` in plimsoll.yaml.";
  if (says("cannot be looked up"))
    return "Look at the rights of its folder, at its mount and at the kernel log (`dmesg`); the server goes on by "
           "itself.";
  if (says("moved or deleted")) return "Put the file back, or another that fits: the server uses it without a restart.";
  if (says("not a database"))
    return "Name another file with `database: {url: 'sqlite:PATH'}` in plimsoll.yaml; this one is left as it is.";
  if (says("malformed")) return "Restore the database from a backup; `plimsoll database verify` lists the damage.";
  return std::string(error.problem->remedy);
}

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

Task<Result<std::int64_t>> Session::execute(std::string_view sql, std::span<const Cell> parameters) {
  auto done = co_await query(sql, parameters);
  if (!done) co_return std::unexpected(std::move(done).error());
  co_return changed();
}

Task<Result<std::unique_ptr<RowCopier>>> Session::copier(const CopiedRows&) { co_return nullptr; }

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
