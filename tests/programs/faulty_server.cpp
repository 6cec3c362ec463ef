// A program that links the library and serves what a test says, with handlers that can be made to fail:
//
//   FAULTY="operationId=behaviour …" faulty_server CONTRACT [the options of `plimsoll serve`]
//
// Behaviours: `answers` reads the body and says so; `throws`; `starves` for want of memory; `refuses` for a reason of
// its own; `strays` breaks its contract; `waits` rests as long as the query says in milliseconds; `calls` the URL of
// the query; `form` reads a multipart body into the folder of the query.

#include "plimsoll/async/pause.hpp"
#include "plimsoll/client/service.hpp"
#include "plimsoll/http/multipart.hpp"
#include "plimsoll/server/application.hpp"

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <stdexcept>

namespace {

using namespace plimsoll;

Response said(Context& context, std::string_view text) {
  Response made{.status = 200, .headers = Headers{context.arena}, .body = context.kept(text)};
  made.headers.add("content-type", "application/json");
  return made;
}

Task<Result<Response>> answers(Request& request, Context& context) {
  while (request.body) {
    const auto piece = co_await request.body->read();
    if (!piece) co_return std::unexpected(piece.error());
    if (piece->empty()) break;
  }
  co_return said(context, R"({"message":"served"})");
}

Task<Result<Response>> throws(Request&, Context&) {
  throw std::runtime_error("thrown by a handler");
  co_return fail(kInternal);
}

Task<Result<Response>> starves(Request&, Context& context) {
  context.arena.take(std::size_t{1} << 60);
  co_return fail(kInternal);
}

Task<Result<Response>> strays(Request&, Context& context) { co_return said(context, R"({"message":7})"); }

constexpr Problem kOutOfTea{"out-of-tea", 409, "There is no tea", "Ask for coffee."};
Task<Result<Response>> refuses(Request&, Context&) { co_return fail(kOutOfTea, "the pot is empty"); }

Task<Result<Response>> waits(Request& request, Context& context) {
  std::int64_t span = 0;
  const auto digits = request.query.substr(request.query.find('=') + 1);  // `3000`, or a parameter's value
  std::from_chars(digits.data(), digits.data() + digits.size(), span);
  const bool rested = co_await pause(context.loop, span * kMillisecond);
  if (!rested) co_return std::unexpected(error_of(context.scope->stopped()));
  co_return said(context, R"({"message":"rested"})");
}

Task<Result<Response>> calls(Request& request, Context& context) {
  auto service = client::Service::make({.url = std::string(request.query)}, context.services);
  if (!service) co_return std::unexpected(std::move(service).error());
  Request call{.method = "GET", .target = {}, .headers = Headers{context.arena}};
  auto answer = co_await (*service)->call(call, context);
  if (!answer) co_return std::unexpected(std::move(answer).error());
  const auto body = co_await client::whole_body(*answer, 1024);
  if (!body) co_return std::unexpected(body.error());
  co_return said(context, R"({"message":"called"})");
}

Task<Result<Response>> form(Request& request, Context& context) {
  auto boundary = http::multipart_boundary(request.headers.find("content-type"));
  if (!boundary || !request.body) co_return fail(http::kMultipartMalformed);
  const http::MultipartLimits limits{.part = 4096, .in_memory = 64};
  auto parts = co_await http::read_form(*request.body, std::move(*boundary), limits, std::string(request.query));
  if (!parts) co_return std::unexpected(std::move(parts).error());
  co_return said(context, R"({"message":"read"})");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: FAULTY=\"operation=behaviour …\" faulty_server CONTRACT [OPTIONS]\n", stderr);
    return 2;
  }
  Application application{argv[1]};
  application.problem(kOutOfTea);
  const char* bindings = std::getenv("FAULTY");
  std::istringstream all(bindings ? bindings : "");
  for (std::string each; all >> each;) {
    const auto at = each.find('=');
    const auto id = each.substr(0, at), how = each.substr(at + 1);
    if (how == "answers") application.on(id, answers);
    if (how == "throws") application.on(id, throws);
    if (how == "starves") application.on(id, starves);
    if (how == "refuses") application.on(id, refuses);
    if (how == "strays") application.on(id, strays);
    if (how == "waits") application.on(id, waits);
    if (how == "calls") application.on(id, calls);
    if (how == "form") application.on(id, form);
  }
  return application.run(argc - 1, argv + 1);
}
