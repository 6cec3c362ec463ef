#include "plimsoll/server/learned_page.hpp"

#include "plimsoll/exchange/context.hpp"
#include "plimsoll/handler/upstream/learned.hpp"
#include "plimsoll/json/write.hpp"

namespace plimsoll::server {
namespace {

class LearnedPage final : public Handler {
  Task<Result<Response>> handle(Request& request, Context& context) override {
    auto& learned = *context.services.shared->of<handler::Learned>();
    if (learned.upstream().empty()) co_return fail(kNotLearning, "no contract says `learn: true`");
    if (request.method == "DELETE") learned.clear();
    std::string text;
    json::Writer out{text};
    out.begin_object().key("requests").integer(static_cast<std::int64_t>(learned.exchanges()));
    out.key("dropped").integer(static_cast<std::int64_t>(learned.dropped()));
    out.key("document").raw(learned.document()).end_object();
    Response response{.status = 200, .headers = Headers{context.arena}, .body = context.kept(text)};
    response.headers.add("content-type", "application/json");
    response.headers.add("cache-control", "no-store");
    co_return response;
  }
};

}  // namespace

std::unique_ptr<Handler> learned_page() { return std::make_unique<LearnedPage>(); }

}  // namespace plimsoll::server
