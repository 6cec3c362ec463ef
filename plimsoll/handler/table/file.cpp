#include "plimsoll/async/pause.hpp"
#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/encoding.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/database/cells.hpp"
#include "plimsoll/exchange/body_memory.hpp"
#include "plimsoll/handler/table/file_fields.hpp"
#include "plimsoll/handler/table/file_upload.hpp"
#include "plimsoll/handler/table/form_files.hpp"
#include "plimsoll/handler/table/write.hpp"
#include "plimsoll/http/body_problems.hpp"
#include "plimsoll/http/negotiate.hpp"
#include "plimsoll/http/range.hpp"

#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>

/// A file of a row: what `GET`, `PUT` and `DELETE` do to the columns that hold it.
namespace plimsoll::table {
namespace {

using database::Cell;
using database::Session;

constexpr std::size_t kPiece = 256 * 1024;  ///< of a file, read and sent at once
constexpr std::string_view kAnyBytes = "application/octet-stream";

/// What is known of a file without its bytes.
struct FileHead {
  std::uint64_t length = 0;
  std::string digest, type, name;  ///< as they are stored; empty: nothing is
  std::string stored;              ///< its name in the folder of files
};

/// As `file_statement` gives it; nothing: the row has no file.
std::optional<FileHead> head_of(const FileColumns& file, const std::vector<Cell>& row) {
  if (row.at(0).index() == 0) return std::nullopt;
  return FileHead{.length = static_cast<std::uint64_t>(std::max<std::int64_t>(0, database::number_at(row, 0))),
                  .digest = database::text_at(row, 1),
                  .type = database::text_at(row, 2),
                  .name = file.file_name ? database::text_at(row, 3) : std::string{},
                  .stored = file.in_folder() ? database::text_at(row, row.size() - 1) : std::string{}};
}

/// A representation is its bytes and its media type.
std::string represented(const FileHead& head) { return head.digest + ' ' + head.type; }

/// The row whose file is meant, as long as the exchange.
struct FileOf {
  Caller caller;
  Wanted wanted;
  const FileColumns* file;

  FileOf(const Model& model, const Table& table, std::vector<Condition> conditions, Caller who, const FileColumns& of)
      : caller(std::move(who)),
        wanted{.model = &model, .table = &table, .conditions = std::move(conditions), .search = {}, .caller = &caller},
        file(&of) {}
  FileOf(const FileOf&) = delete;
};

/// Bytes of a file, read piece by piece as the caller takes them. Each piece is of the file that the head was of:
/// where it is not there any more, the connection ends before the end of the body.
class FileBytes : public Stream {
 public:
  void begin(FileHead head, std::uint64_t first, std::uint64_t length) {
    head_ = std::move(head);
    at_ = first;
    left_ = length;
    fetched_ = false;
  }
  /// The next piece; false: it is not there any more.
  Task<Result<bool>> fetch() {
    piece_.clear();
    const auto length = std::min<std::uint64_t>(left_, kPiece);
    auto there = co_await load(length);
    if (!there || !*there) co_return there;
    if (piece_.size() != length) co_return false;
    at_ += length;
    left_ -= length;
    fetched_ = true;
    co_return true;
  }
  /// All of it, where one piece is all.
  std::string take() { return std::move(piece_); }
  bool more() const { return left_ > 0; }

  Task<Result<Bytes>> read() override {
    if (!std::exchange(fetched_, false)) {
      if (left_ == 0) co_return Bytes{};
      auto there = co_await fetch();
      if (!there) co_return std::unexpected(std::move(there).error());
      if (!*there)
        co_return std::unexpected(Error{&database::kUnavailable}.because("the file was replaced while it was sent"));
      fetched_ = false;
    }
    co_return as_bytes(piece_);
  }

 protected:
  /// Fills `piece_` with so many bytes from `at_`; false: the file of the head is not there.
  virtual Task<Result<bool>> load(std::uint64_t length) = 0;
  FileHead head_;
  std::string piece_;
  std::uint64_t at_ = 0;

 private:
  std::uint64_t left_ = 0;
  bool fetched_ = false;  ///< `piece_` has not been sent
};

/// Of a column. Where the file has been replaced or removed meanwhile, there is no further piece.
class ColumnBytes final : public FileBytes {
 public:
  ColumnBytes(database::Database& database, Loop& loop, const FileOf& of, database::Reading reading)
      : database_(database), loop_(loop), of_(of), reading_(reading) {}

 private:
  Task<Result<bool>> load(std::uint64_t length) override {
    const database::SelectFile::Piece piece{
        .offset = static_cast<std::int64_t>(at_), .length = static_cast<std::int64_t>(length), .digest = &head_.digest};
    const auto statement = file_statement(database_.dialect(), of_.wanted, *of_.file, piece);
    if (!statement) co_return false;
    database::RowKeeper rows;
    auto done = co_await database_.read(loop_, statement->sql, statement->cells, reading_, rows);
    if (!done) co_return std::unexpected(std::move(done).error());
    if (rows.rows.size() != 1) co_return false;
    auto* bytes = std::get_if<std::string>(&rows.rows.front().at(0));
    if (bytes) piece_ = std::move(*bytes);
    co_return bytes != nullptr;
  }

  database::Database& database_;
  Loop& loop_;
  const FileOf& of_;
  database::Reading reading_;
};

/// Of the folder. A file there is never changed, and one that is removed meanwhile is still there for who reads it.
class FolderBytes final : public FileBytes {
 public:
  FolderBytes(Context& context, std::shared_ptr<FileFolder> folder, const Table& table, const FileColumns& file)
      : context_(context), folder_(std::move(folder)), area_(FileFolder::area_of(table.name, file.name)) {}
  /// A file that was not read to its end is closed where that may hang.
  ~FolderBytes() {
    if (open_ && open_->file)
      folder_->later([open = std::move(open_)](FileFolder&) { open->file = OwnedDescriptor{}; });
  }
  /// Why the last fetch found nothing.
  const std::string& why() const { return why_; }

 private:
  struct Open {
    std::string name;
    OwnedDescriptor file;
  };
  struct Piece {
    std::string bytes;
    std::string why;  ///< empty: it was read
  };

  Task<Result<bool>> load(std::uint64_t length) override {
    if (!open_ || open_->name != head_.stored) open_ = std::make_shared<Open>(head_.stored, OwnedDescriptor{});
    auto piece = co_await folder_->apart(
        context_.loop, [open = open_, area = area_, size = head_.length, length, at = at_](FileFolder& folder) {
          return read_piece(folder, *open, area, size, length, at);
        });
    if (!piece) co_return std::unexpected(std::move(piece).error());
    piece_ = std::move(piece->bytes);
    why_ = std::move(piece->why);
    co_return why_.empty();
  }
  static Result<Piece> read_piece(FileFolder& folder, Open& open, const std::string& area, std::uint64_t size,
                                  std::uint64_t length, std::uint64_t at) {
    if (!open.file) {
      auto opened = folder.read(area, open.name);
      if (!opened) return Piece{.bytes = {}, .why = database::reason_of(opened.error())};
      open.file = std::move(*opened);
      struct stat seen{};
      if (::fstat(open.file.get(), &seen) != 0 || static_cast<std::uint64_t>(seen.st_size) != size)
        return Piece{.bytes = {},
                     .why = "the file " + area + "/" + open.name + " has not the length that its row says"};
    }
    Piece piece{.bytes = std::string(length, '\0'), .why = {}};
    if (!read_at(open.file.get(), piece.bytes.data(), length, at))
      piece.why = "the file " + area + "/" + open.name + " cannot be read: " + std::system_category().message(errno);
    else if (at + length == size)
      open.file = OwnedDescriptor{};
    return piece;
  }

  Context& context_;
  std::shared_ptr<FileFolder> folder_;
  std::string area_, why_;
  std::shared_ptr<Open> open_;
};

/// GET and HEAD.
class SendFile final : public Operation {
 public:
  SendFile(std::shared_ptr<const Model> model, Plan plan, const Build& build)
      : Operation(std::move(model), std::move(plan), build),
        types_(sent_types(build.operation)),
        folder_(build.services.of_plan->of<PlanFolder>()->folder) {}

  Task<Result<Response>> handle(Request& request, Context& context) override {
    auto conditions = row_conditions(context);
    if (!conditions) co_return fail(kNoSuchRow);
    auto who = caller(context);
    if (!who) co_return std::unexpected(std::move(who).error());
    const auto& of = context.keep<FileOf>(*model_, table(), std::move(*conditions), std::move(*who), *plan_.file->is);
    context.read(table().name);
    database::ReadBudget none;
    auto reading = reading_of(request, context, database::ReadClass::key, false, none);
    reading.budget = nullptr;
    reading.anywhere = false;  // the head and all pieces must be of one state
    auto* stored = of.file->in_folder() ? &context.keep<FolderBytes>(context, folder_, table(), *of.file) : nullptr;
    FileBytes& bytes =
        stored ? static_cast<FileBytes&>(*stored) : context.keep<ColumnBytes>(database_, context.loop, of, reading);
    // Where it is replaced between the head and the first piece, it is looked at again.
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      const auto statement = file_statement(database_.dialect(), of.wanted, *of.file);
      if (!statement) co_return fail(kNoSuchRow);
      database::RowKeeper rows;
      auto done = co_await database_.read(context.loop, statement->sql, statement->cells, reading, rows);
      if (!done) co_return std::unexpected(std::move(done).error());
      auto head = rows.rows.empty() ? std::nullopt : head_of(*of.file, rows.rows.front());
      if (!head) co_return fail(kNoSuchRow);
      auto answer = answer_to(request, context, *head, bytes);
      const bool head_only = request.method == "HEAD";
      if (!answer || answer->status == 304 || (head_only && !stored) || !bytes.more()) co_return answer;
      auto there = co_await bytes.fetch();
      if (!there) co_return std::unexpected(std::move(there).error());
      if (!*there) continue;
      if (head_only) co_return answer;  // of a file whose bytes are there
      if (bytes.more())
        answer->body = lasting(bytes);
      else
        answer->body = context.body(bytes.take());
      co_return answer;
    }
    if (stored) co_return std::unexpected(Error{&kFilesUnavailable}.because(stored->why()));
    co_return std::unexpected(Error{&database::kUnavailable}.because("the file was replaced whenever it was read"));
  }

 private:
  static constexpr int kAttempts = 3;

  /// Only types that the contract declares: others were stored by another program, perhaps for a page of its own.
  std::string sent_type(const FileHead& head) const {
    if (head.type.empty() && types_.size() == 1 && !types_[0].contains('*')) return std::string(types_[0]);
    return kept_media_type(head.type) && covers(types_, head.type) ? head.type : std::string(kAnyBytes);
  }

  /// All of the answer but its body; `bytes` are made ready to be read.
  Result<Response> answer_to(const Request& request, Context& context, const FileHead& head, FileBytes& bytes) const {
    const auto tag = context.kept(tag_of(represented(head), context));
    const http::Validators current{.etag = tag};
    const auto now = context.wall / kSecond;
    const auto condition = http::evaluate(request.method, request.headers, current, now);
    if (condition == http::Precondition::failed) return fail(kPreconditionFailed);
    Response response{.status = 200, .headers = Headers{context.arena}};
    auto& headers = response.headers;
    headers.add("etag", tag);
    headers.add("cache-control", "private, no-cache");
    if (condition == http::Precondition::not_modified) {
      response.status = 304;
      return response;
    }
    http::ByteRange range;
    if (request.method == "GET" && request.headers.count("range") == 1 &&
        http::range_applies(request.headers, current, now))
      range = http::byte_range(request.headers.find("range"), head.length);
    const auto size = std::to_string(head.length);
    if (range.kind == http::ByteRange::Kind::unsatisfiable) {
      context.promise("content-range", context.kept("bytes */" + size));
      return fail(kRangeNotSatisfiable, "the file has " + size + " bytes");
    }
    if (range.kind == http::ByteRange::Kind::whole) {
      range.first = 0;
      range.length = head.length;
    } else {
      response.status = 206;
      headers.add("content-range", context.kept("bytes " + std::to_string(range.first) + "-" +
                                                std::to_string(range.first + range.length - 1) + "/" + size));
    }
    const auto type = sent_type(head);
    headers.add("content-type", context.kept(type));
    headers.add("content-length", context.kept(std::to_string(range.length)));
    headers.add("accept-ranges", "bytes");
    headers.add("content-disposition", context.kept(disposition_of(type, head.name)));
    // Whatever a caller has stored: nothing of it runs as a page of this server.
    headers.add("x-content-type-options", "nosniff");
    headers.add("content-security-policy", "default-src 'none'; sandbox");
    bytes.begin(head, range.first, range.length);
    return response;
  }

  std::vector<std::string_view> types_;
  std::shared_ptr<FileFolder> folder_;
};

/// PUT and DELETE.
class ChangeFile final : public Writing {
 public:
  ChangeFile(std::shared_ptr<const Model> model, Plan plan, const Build& build)
      : Writing(std::move(model), std::move(plan), build),
        file_(*plan_.file->is),
        memory_(build.services.shared->of<BodyMemory>()),
        folder_(build.services.of_plan->of<PlanFolder>()->folder) {
    const auto shows = [&](const Column& column) { return table().column(column.name).has_value(); };
    shown_in_rows_ = shows(file_.type) || (file_.file_name && shows(*file_.file_name));
  }

  Task<Result<Response>> handle(Request& request, Context& context) override {
    auto who = caller(context);
    if (!who) co_return std::unexpected(std::move(who).error());
    const auto conditions = row_conditions(context);
    if (!conditions) co_return fail(kNoSuchRow);
    if (table().require_match && !conditional(request)) co_return fail(kPreconditionRequired);
    const Wanted wanted{
        .model = model_.get(), .table = &table(), .conditions = *conditions, .search = {}, .caller = &*who};
    FileCells stored{.file = &file_};
    BodyShare taken{*memory_, request.peer};
    std::optional<Upload> upload;
    if (file_.in_folder())
      upload.emplace(context, request.peer, folder_, *memory_, FileFolder::area_of(table().name, file_.name));
    if (plan_.file->does == Plan::File::Does::store) {
      auto read = co_await receive(request, context, stored, taken, upload ? &*upload : nullptr);
      if (!read) co_return std::unexpected(std::move(read).error());
    }
    context.wrote(table().name);
    auto answer = co_await context.unit().answer([&](Session& session) -> Task<Result<Response>> {
      auto done = co_await in_transaction(request, context, session, wanted, stored);
      co_return done;
    });
    const bool failed = answer ? answer->status >= 400 : answer.error().problem != &database::kOutcomeUnknown;
    if (upload && failed) upload->discard();
    co_return answer;
  }

 private:
  static std::unexpected<Error> too_large(std::uint64_t most) {
    return fail(http::kBodyTooLarge, "files of at most " + config::to_string(config::Size{most}) + " are taken");
  }

  Task<Result<>> receive(Request& request, Context& context, FileCells& stored, BodyShare& taken,
                         Upload* upload) const {
    if (request.headers.contains("content-range"))  // it would be stored as the whole (RFC 9110, section 9.3.4)
      co_return std::unexpected(wrong(http::kInvalid, "header", "/content-range", "unexpected",
                                      "a part of the file is not taken: send all of it"));
    auto sent = request.headers.find("content-type");
    const auto type = kept_media_type(sent.empty() ? kAnyBytes : sent);
    if (!type)
      co_return std::unexpected(
          wrong(http::kInvalid, "header", "/content-type", "format", "is no media type: `image/png`"));
    const auto limit = plan_.file->max ? plan_.file->max : context.body_limit;
    stored.type = *type;
    if (file_.file_name)
      if (auto name = sent_file_name(request.headers.find("content-disposition")); !name.empty())
        stored.name = std::move(name);
    if (upload) {
      auto done = co_await to_folder(request, context, stored, *upload, limit);
      co_return done;
    }
    std::string_view text = context.input.body_text;
    Sha256 digest;
    if (text.data()) {  // somebody has read it before, within the limit of other bodies
      if (text.size() > limit) co_return too_large(limit);
      for (auto rest = text; !rest.empty(); rest.remove_prefix(std::min(kPiece, rest.size()))) {
        digest.update(rest.substr(0, kPiece));
        co_await next_turn(context.loop);
      }
    } else if (request.body) {
      context.body_limit = limit;
      auto& whole = context.keep<WholeBody>(context, *memory_, request.peer, limit, request.content_length);
      while (whole.fits()) {
        auto piece = co_await request.body->read();
        if (!piece) co_return std::unexpected(std::move(piece).error());
        if (piece->empty()) break;
        whole.add(*piece);
        if (whole.spools()) co_await whole.spool();
        if (const auto* failed = whole.error()) co_return std::unexpected(*failed);
        digest.update(as_text(*piece));
      }
      if (!whole.fits()) co_return too_large(limit);
      request.body = nullptr;  // read
      text = whole.text();
      if (const auto* failed = whole.error()) co_return std::unexpected(*failed);
    }
    if (text.empty()) co_return std::unexpected(no_bytes());
    // The value of the statement is a copy in memory, whatever disk the body has taken.
    if (!taken.take_memory(text.size())) co_return std::unexpected(taken.refused());
    stored.bytes = std::string(text);
    stored.digest = to_hex(as_text(digest.finish()));
    co_return Result<>{};
  }

  static Error no_bytes() { return wrong(kInvalidRow, "body", "", "required", "a file is required: it has no bytes"); }

  /// The bytes, as they come, into the folder of files.
  static Task<Result<>> to_folder(Request& request, Context& context, FileCells& stored, Upload& upload,
                                  std::uint64_t limit) {
    const auto text = context.input.body_text;  // where somebody has read it before
    const auto declared = text.data() ? text.size() : request.content_length.value_or(0);
    if (declared > limit) co_return too_large(limit);
    auto begun = co_await upload.begin();
    if (!begun) co_return begun;
    Sha256 digest;
    for (auto rest = text; !rest.empty(); rest.remove_prefix(std::min(kPiece, rest.size()))) {
      digest.update(rest.substr(0, kPiece));
      auto added = co_await upload.add(rest.substr(0, kPiece));
      if (!added) co_return added;
      co_await next_turn(context.loop);
    }
    if (!text.data() && request.body) {
      context.body_limit = limit;
      for (;;) {
        auto piece = co_await request.body->read();
        if (!piece) co_return std::unexpected(std::move(piece).error());
        if (piece->empty()) break;
        if (piece->size() > limit - upload.size()) co_return too_large(limit);
        digest.update(as_text(*piece));
        auto added = co_await upload.add(as_text(*piece));
        if (!added) co_return added;
      }
      request.body = nullptr;  // read
    }
    if (upload.size() == 0) co_return std::unexpected(no_bytes());
    auto published = co_await upload.publish();
    if (!published) co_return published;
    stored.bytes = upload.name();
    stored.size = static_cast<std::int64_t>(upload.size());
    stored.digest = to_hex(as_text(digest.finish()));
    co_return Result<>{};
  }

  Task<Result<Response>> in_transaction(const Request& request, Context& context, Session& session,
                                        const Wanted& wanted, const FileCells& stored) const {
    const auto looking = file_statement(database_.dialect(), wanted, file_);
    if (!looking) co_return fail(kNoSuchRow);
    auto heads = co_await session.query(looking->sql, looking->cells);
    if (!heads) co_return std::unexpected(std::move(heads).error());
    if (heads->empty()) co_return fail(kNoSuchRow);
    const auto head = head_of(file_, heads->front());
    const bool removes = plan_.file->does == Plan::File::Does::remove;
    if (removes && !head) co_return fail(kNoSuchRow);
    if (conditional(request)) {
      std::string tag;
      if (head) tag = tag_of(represented(*head), context);
      const auto verdict = http::evaluate(request.method, request.headers, {.exists = head.has_value(), .etag = tag},
                                          context.wall / kSecond);
      if (verdict == http::Precondition::failed || verdict == http::Precondition::not_modified)
        co_return fail(kPreconditionFailed);
    }
    std::optional<Row> before;
    if (shown_in_rows_) {
      auto there = co_await current(session, wanted);
      if (!there) co_return std::unexpected(std::move(there).error());
      if (!*there) co_return fail(kNoSuchRow);
      before = std::move(*there);
    }
    auto changed = co_await assign_file(session, wanted, stored, before ? &*before : nullptr, context.wall);
    if (!changed) co_return std::unexpected(std::move(changed).error());
    Response response{.status = static_cast<std::uint16_t>(removes || head ? 204 : 201),
                      .headers = Headers{context.arena}};
    if (!removes) {
      const FileHead now{.length = 0,
                         .digest = database::text_of(stored.digest),
                         .type = database::text_of(stored.type),
                         .name = {},
                         .stored = {}};
      response.headers.add("etag", context.kept(tag_of(represented(now), context)));
    }
    co_return response;
  }

  const FileColumns& file_;
  std::shared_ptr<BodyMemory> memory_;
  std::shared_ptr<FileFolder> folder_;  ///< null: no table has files in one
  bool shown_in_rows_ = false;          ///< rows have a member that says something of the file
};

/// Other operations on the same file that send it.
std::vector<const contract::Operation*> senders(const Build& build, const Plan& plan, const Model& model) {
  std::vector<const contract::Operation*> all;
  for (const auto& operation : build.contract.operations) {
    const auto *options = operation.extension("table"), *file = operation.extension("file");
    if (!options || !file || operation.method != "GET") continue;
    const auto other =
        table::plan(model, operation.method, operation.path, *options, operation.extension("batch"), file);
    if (other && other->file && other->table == plan.table && other->file->is == plan.file->is)
      all.push_back(&operation);
  }
  return all;
}

/// What is stored must be such that it can be sent.
Result<> check_types(const Build& build, const Plan& plan, const Model& model) {
  const auto& operation = build.operation;
  const auto who = "operation " + operation.id + ": ";
  if (plan.file->does == Plan::File::Does::send) {
    if (sent_types(operation).empty())
      return config::wrong(*operation.raw, who + "no media type of the file is declared",
                           "Declare it under `responses.200.content`: `image/png: {}`.");
    return {};
  }
  if (plan.file->does == Plan::File::Does::remove) return {};
  const auto* body = operation.body ? &*operation.body : nullptr;
  if (!body || body->content.empty())
    return config::wrong(*operation.raw, who + "no media type of the file is declared",
                         "Declare it under `requestBody.content`: `image/png: {}`.");
  for (const auto& media : body->content) {
    const auto type = http::essence(media.name);
    if (type.starts_with("multipart/") || type == "application/x-www-form-urlencoded")
      return config::wrong(*operation.raw, who + "a file is stored as it is sent, and not from a form (" + type + ")",
                           "Declare the media types of the file itself: `image/png: {}`.");
    for (const auto* sender : senders(build, plan, model))
      if (!covers(sent_types(*sender), type))
        return config::wrong(*operation.raw,
                             who + "it stores files of the type " + type + ", which operation " + sender->id +
                                 " does not declare and would send as application/octet-stream",
                             "Declare the type under `responses.200.content` of " + sender->id + " too.");
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Handler>> make_file(std::shared_ptr<const Model> model, Plan plan, const Build& build) {
  if (auto checked = check_types(build, plan, *model); !checked) return std::unexpected(std::move(checked).error());
  if (plan.file->does == Plan::File::Does::send)
    return std::make_unique<SendFile>(std::move(model), std::move(plan), build);
  return std::make_unique<ChangeFile>(std::move(model), std::move(plan), build);
}

}  // namespace plimsoll::table
