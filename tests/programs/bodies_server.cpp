// A program that links the library and answers with every kind of body, and says what it was sent:
//
//   bodies_server CONTRACT [the options of `plimsoll serve`]
//
// `file` is file.bin of the working directory, `cut` the same as if it were twice as long; `csv` and `ndjson` are rows
// that a spreadsheet must not run; `events` counts up from the `Last-Event-ID` to 3 and then says nothing more; `alive`
// tells how many such streams there are; `form` tells the parts of a form, spooled into the folder `spool`; `who` tells
// whose certificate the caller has shown.

#include "plimsoll/async/pause.hpp"
#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/encoding.hpp"
#include "plimsoll/exchange/event_stream.hpp"
#include "plimsoll/http/multipart.hpp"
#include "plimsoll/http/rows.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/server/application.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace {

using namespace plimsoll;

Response said(Context& context, std::string_view type, Body body) {
  Response made{.status = 200, .headers = Headers{context.arena}, .body = std::move(body)};
  made.headers.add("content-type", type);
  return made;
}

Response file_of(Context& context, std::uint64_t times) {
  const int descriptor = ::open("file.bin", O_RDONLY | O_CLOEXEC);
  struct stat now{};
  ::fstat(descriptor, &now);
  return said(context, "application/octet-stream",
              context.file(descriptor, 0, static_cast<std::uint64_t>(now.st_size) * times));
}
Task<Result<Response>> file(Request&, Context& context) { co_return file_of(context, 1); }
Task<Result<Response>> cut(Request&, Context& context) { co_return file_of(context, 2); }

constexpr std::string_view kColumns[] = {"name", "amount"};

/// A row of each kind of text, then plain ones: 20,000 in all.
class Table final : public http::Rows {
 public:
  Task<Result<const json::Value*>> next() override {
    constexpr std::string_view kRows[] = {
        R"j({"name":"=1+1","amount":-5})j",        R"j({"name":"@SUM(A1)","amount":"-5"})j",
        R"j({"name":"a,\"b\"\n","amount":null})j", R"j({"name":"+49 30 1234","amount":"-2+3"})j",
        R"j({"name":"\tx","amount":1.50})j",       R"j({"name":"plain","amount":2})j"};
    if (at_ == 20'000) co_return nullptr;
    arena_.release();
    auto row = json::parse(kRows[std::min(at_++, std::size(kRows) - 1)], arena_);
    if (!row) co_return std::unexpected(std::move(row).error());
    row_ = *row;
    co_return &row_;
  }

 private:
  Arena arena_;
  json::Value row_;
  std::size_t at_ = 0;
};

Task<Result<Response>> csv(Request&, Context& context) {
  auto& rows = context.keep<Table>();
  co_return said(context, http::kCsv, context.stream<http::RowStream>(rows, kColumns));
}
Task<Result<Response>> ndjson(Request&, Context& context) {
  auto& rows = context.keep<Table>();
  co_return said(context, http::kNdjson, context.stream<http::RowStream>(rows, std::span<const std::string_view>{}));
}

std::atomic<int> streams = 0;

class Counting final : public Events {
 public:
  Counting(Loop& loop, int from) : loop_(loop), at_(from) { ++streams; }
  ~Counting() override { --streams; }
  Task<Result<std::optional<http::ServerEvent>>> next() override {
    if (at_ < 3) {
      id_ = std::to_string(++at_);
      co_return http::ServerEvent{.data = data(), .id = id_};
    }
    for (;;) {
      const bool rested = co_await pause(loop_, 3600 * kSecond);
      const Scope* scope = co_await this_scope();
      if (!rested) co_return std::unexpected(error_of(scope->stopped()));
    }
  }

 private:
  std::string_view data() {
    data_ = "number\n" + id_;
    return data_;
  }
  Loop& loop_;
  int at_;
  std::string id_, data_;
};

Task<Result<Response>> events(Request& request, Context& context) {
  const auto from = std::atoi(std::string(http::last_event_id(request.headers)).c_str());
  auto& source = context.keep<Counting>(context.loop, from);
  co_return said(context, http::kEventStream, context.stream<EventStream>(context.loop, source, 50 * kMillisecond));
}
Task<Result<Response>> alive(Request&, Context& context) {
  co_return said(context, "text/plain", context.kept(std::to_string(streams)));
}

Task<Result<Response>> form(Request& request, Context& context) {
  auto boundary = http::multipart_boundary(request.headers.find("content-type"));
  if (!boundary || !request.body) co_return fail(http::kMultipartMalformed);
  context.body_limit = 8 << 20;
  const http::MultipartLimits limits{.parts = 3, .part_head = 200, .part = 1 << 20, .in_memory = 1000};
  auto parts = co_await http::read_form(*request.body, std::move(*boundary), limits, "spool");
  if (!parts) co_return std::unexpected(std::move(parts).error());
  std::string text;
  json::Writer out(text);
  out.begin_array();
  for (const auto& part : *parts) {
    std::string content(part.size, '\0');
    if (part.on_disk())
      content.resize(static_cast<std::size_t>(
          std::max<ssize_t>(::pread(part.descriptor(), content.data(), content.size(), 0), 0)));
    else
      content = part.text();
    Sha256 digest;
    digest.update(content);
    out.begin_array().string(part.head.name).string(part.head.filename);
    out.string(part.on_disk() ? "disk" : "memory").string(to_hex(as_text(digest.finish()))).end_array();
  }
  out.end_array();
  co_return said(context, "application/json", context.kept(text));
}

Task<Result<Response>> who(Request& request, Context& context) {
  co_return said(context, "text/plain", context.kept(request.peer.certificate_subject));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: bodies_server CONTRACT [OPTIONS]\n", stderr);
    return 2;
  }
  Application application{argv[1]};
  application.on("file", file);
  application.on("cut", cut);
  application.on("csv", csv);
  application.on("ndjson", ndjson);
  application.on("events", events);
  application.on("alive", alive);
  application.on("form", form);
  application.on("who", who);
  return application.run(argc - 1, argv + 1);
}
