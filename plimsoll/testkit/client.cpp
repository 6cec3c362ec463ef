#include "plimsoll/testkit/client.hpp"

#include "plimsoll/async/loop.hpp"
#include "plimsoll/base/letters.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/http/field_block.hpp"
#include "plimsoll/server/problems.hpp"
#include "plimsoll/server/site.hpp"

#include <unistd.h>
#include <algorithm>
#include <stdexcept>
#include <utility>

namespace plimsoll::testkit {
namespace {

Task<Result<std::string>> gathered(const Body& body) {
  std::string out(whole_text(body).value_or(""));
  if (const auto* file = std::get_if<File>(&body)) {
    out.resize(file->length);
    const auto got = ::pread(file->descriptor, out.data(), out.size(), static_cast<off_t>(file->offset));
    if (got != static_cast<ssize_t>(out.size()))
      co_return fail(kInternal, "the file of the answer is shorter than it says");
  }
  if (const auto* stream = std::get_if<Stream*>(&body))
    for (;;) {
      auto piece = co_await (*stream)->read();
      if (!piece) co_return std::unexpected(std::move(piece).error());
      if (piece->empty()) break;
      out += as_text(*piece);
    }
  co_return out;
}

}  // namespace

std::string_view Answer::header(std::string_view name) const {
  const auto found = std::ranges::find(headers, name, [](const auto& pair) { return std::string_view(pair.first); });
  return found == headers.end() ? std::string_view{} : std::string_view(found->second);
}

struct Client::State {
  server::Instance& instance;
  Loop loop;
  std::string
      broken{};  ///< why the body of the last answer stopped; told outside of the loop, which takes no exceptions

  Task<> exchange(edge::Service& service, Request& request, Context& context, Answer& answer) {
    auto response = co_await service.serve(request, context);
    context.answered();
    answer.status = context.outcome.status = response.status;
    for (const auto& [name, value] : response.headers) answer.headers.emplace_back(lowered(name), value);
    if (response.block)
      response.block->each([&](const Header& field) { answer.headers.emplace_back(field.name, field.value); });
    auto body = co_await gathered(response.body);
    if (!body)
      broken = "the answer's stream failed: " + body.error().detail;
    else if (request.method != "HEAD")
      answer.body = std::move(*body);
    answer.problem = context.outcome.problem;
    context.outcome.sent = answer.body.size();
    service.finished(request, context);
  }
};

Client::Client(server::Instance& instance) : state_(new State{instance, {}}) {}
Client::~Client() = default;

Answer Client::request(std::string_view method, std::string_view target, const HeaderList& headers,
                       std::string_view body) {
  Arena arena;
  Scope scope;
  TextStream whole{body};
  const auto question = target.find('?');
  Request request{.method = method,
                  .target = target,
                  .headers = Headers{arena},
                  .body = body.empty() ? nullptr : &whole,
                  .content_length = body.empty() ? std::nullopt : std::optional<std::uint64_t>{body.size()},
                  .path = target.substr(0, question),
                  .query = question == target.npos ? std::string_view{} : target.substr(question + 1),
                  .has_query = question != target.npos,
                  .authority = "localhost",
                  .peer = {.address = "127.0.0.1", .port = 1}};
  request.headers.add("host", "localhost");
  for (const auto& [name, value] : headers) request.headers.add(name, value);
  const auto in_force = state_->instance.service();
  auto& service = in_force->chooses() ? in_force->choose(request) : *in_force;
  Context context{arena, state_->loop, service.services()};
  context.scope = &scope;
  context.started = context.now = context.services.clock->steady();
  context.wall = context.services.clock->wall();
  Answer answer;
  state_->loop.spawn(scope, state_->exchange(service, request, context, answer));
  state_->loop.run();
  arena.release();  // what is kept in it refers to the context
  if (!state_->broken.empty()) throw std::runtime_error(std::exchange(state_->broken, {}));
  if (answer.status == 0) throw std::runtime_error("the exchange did not end with an answer");
  if (!answer.problem.empty()) {
    const auto known = server::problem_table(state_->instance.own_problems());
    if (std::ranges::none_of(known, [&](const auto& each) { return each.problem->code == answer.problem; }))
      throw std::runtime_error("the answer carries the problem \"" + answer.problem + "\", which no part declares");
  }
  return answer;
}

namespace {

HeaderList with_type(const HeaderList& headers, const char* type) {
  auto all = headers;
  if (std::ranges::none_of(headers, [](const auto& h) { return h.first == "content-type"; }))
    all.emplace_back("content-type", type);
  return all;
}

}  // namespace

Answer Client::post(std::string_view target, std::string_view body, const HeaderList& headers) {
  return request("POST", target, with_type(headers, "application/json"), body);
}
Answer Client::patch(std::string_view target, std::string_view body, const HeaderList& headers) {
  return request("PATCH", target, with_type(headers, "application/merge-patch+json"), body);
}

}  // namespace plimsoll::testkit
