#include "plimsoll/handler/hide.hpp"

#include "plimsoll/contract/body.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/http/negotiate.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"

namespace plimsoll::handler {
namespace {

using contract::BodyKind;
using contract::MarkedPlace;

class Hiding final : public Handler {
 public:
  struct Hidden {
    std::string_view status, type;
    std::shared_ptr<const contract::Marked> marked;
  };
  Hiding(std::unique_ptr<Handler> handler, std::vector<Hidden> hidden)
      : handler_(std::move(handler)), hidden_(std::move(hidden)) {}
  Audience audience() const noexcept override { return handler_->audience(); }

  Task<Result<Response>> handle(Request& request, Context& context) override {
    auto answer = co_await handler_->handle(request, context);
    if (answer) hide(*answer, context);
    co_return answer;
  }

 private:
  void hide(Response& answer, Context& context) const {
    const auto text = whole_text(answer.body).value_or("");
    if (text.empty()) return;
    const auto content_type = answer.headers.find("content-type");
    const auto kind = contract::body_kind(http::essence(content_type));
    const auto* place =
        kind == BodyKind::json || kind == BodyKind::json_lines ? place_of(answer.status, content_type) : nullptr;
    if (!place) return;
    auto& kept = context.keep<std::string>();
    if (kind == BodyKind::json) {
      if (!append_shown(kept, *place, text, context.arena)) return;
    } else {
      for (auto rest = text; !rest.empty();) {
        const auto line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(line.size() + 1, rest.size()));
        const auto& of_line = place->items ? *place->items : *place;
        if (!append_shown(kept, of_line, line, context.arena)) kept += line;
        kept += '\n';
      }
    }
    answer.body = lasting(kept);
  }

  /// False: there is nothing to hide.
  static bool append_shown(std::string& out, const MarkedPlace& place, std::string_view text, Arena& arena) {
    const auto value = json::parse(text, arena);
    if (!value || !contract::has_marked(place, *value)) return false;
    const auto shown = contract::without_marked(place, *value, arena);
    out += shown ? json::to_string(*shown) : "null";
    return true;
  }

  /// The declaration that fits status and type best: the exact one, its class, `default`.
  const MarkedPlace* place_of(std::uint16_t status, std::string_view content_type) const {
    const auto text = std::to_string(status);
    const Hidden* best = nullptr;
    int most = -1;
    for (const auto& each : hidden_) {
      const int exact = each.status == text                                        ? 2
                        : each.status.ends_with("XX") && each.status[0] == text[0] ? 1
                        : each.status == "default"                                 ? 0
                                                                                   : -1;
      const int close = http::media_type_coverage(each.type, content_type);
      if (exact < 0 || close < 0) continue;
      if (exact * 1000 + close > most) most = exact * 1000 + close, best = &each;
    }
    return best && best->marked ? best->marked->place() : nullptr;
  }

  std::unique_ptr<Handler> handler_;
  std::vector<Hidden> hidden_;
};

}  // namespace

Result<std::unique_ptr<Handler>> hide_write_only(std::unique_ptr<Handler> handler, const Build& build) {
  std::vector<Hiding::Hidden> hidden;
  bool any = false;
  for (const auto& spec : build.operation.responses)
    for (const auto& media : spec.content) {
      // All are listed: what fits best may be one without marks.
      auto& made = hidden.emplace_back(spec.status, media.name);
      if (!media.schema) continue;
      made.marked = build.contract.marked(*media.schema, contract::Mark::write_only);
      any |= made.marked->place() != nullptr;
      if (const auto& undecided = made.marked->undecided(); undecided && !build.services.mock)
        return config::wrong(
            undecided->at ? *undecided->at : *media.schema,
            "`writeOnly` of member \"" + undecided->member + "\" of response " + spec.status +
                " depends on the data: " + undecided->what +
                ". Mark the member in every alternative that declares it, or next to the alternatives, or in none.");
    }
  if (!any) return handler;
  return std::make_unique<Hiding>(std::move(handler), std::move(hidden));
}

}  // namespace plimsoll::handler
