#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/long_work.hpp"
#include "plimsoll/exchange/parameter_of.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/policy/field_selection.hpp"

namespace plimsoll::policy {
namespace {

/// Partial answers: `?fields=id,name,items(sku)` leaves out what is not named. `table` operations do that in their SQL;
/// this is for all others, and reads and writes the answer again.
class Fields final : public Policy {
 public:
  struct Options {};
  static constexpr std::span<const config::Field> fields{};
  static constexpr std::string_view short_form = R"("type":"boolean")";
  static constexpr Problem kInvalid{
      "invalid-fields", 400, "The selection of fields is malformed",
      "Write names separated by commas, nested names in parentheses: fields=id,items(sku)."};
  static constexpr std::string_view example = "true";
  static constexpr const Problem* problems[] = {&kInvalid};

  static Result<Options> read(const json::Value& from) {
    if (from.is(json::Type::boolean)) return Options{};
    if (auto done = config::read(from, fields, nullptr, kEveryPolicy); !done)
      return std::unexpected(std::move(done).error());
    return Options{};
  }
  static Result<std::unique_ptr<Policy>> build(Options, const Build& build) {
    const auto* said = build.operation.extension("fields");
    if (!said || build.operation.extension("table")) return nullptr;
    for (const auto& parameter : build.operation.parameters)
      if (parameter.name == "fields" && parameter.in == contract::In::query) return std::make_unique<Fields>();
    return config::wrong(*said, "`fields` needs a query parameter of that name, so that callers can see it");
  }

  static void describe(const Options&, const Description& description, contract::Promises& promises) {
    const auto& operation = description.operation;
    if (operation.extension("fields") && !operation.extension("table")) promises.refuses(kInvalid);
  }

  PLIMSOLL_FORWARDS Task<Result<Response>> apply(Request& request, Context& context, Next next) override {
    const auto* asked = parameter_of(context, "fields", contract::In::query);
    if (!asked) return next(request, context);
    return select(*asked, request, context, next);
  }

 private:
  Task<Result<Response>> select(const json::Value& asked, Request& request, Context& context, Next next) {
    std::string text;
    if (asked.is(json::Type::string)) text = asked.string();
    for (const auto& item : asked.array()) text += (text.empty() ? "" : ",") + std::string(item.string());
    const auto selection = parse_fields(text);
    if (!selection) {
      Error error{&kInvalid, "`" + text.substr(0, 200) + "` cannot be read as a selection of fields."};
      error.more().fields.push_back(
          {"query", "/fields", "fields", "must be names separated by commas, nested ones in brackets"});
      if (refuses(context, error)) co_return std::unexpected(std::move(error));
    }
    auto answer = co_await next(request, context);
    if (!answer || answer->status >= 300 || !selection || mode() == Mode::shadow) co_return answer;
    const auto body = whole_text(answer->body);
    if (!body || !answer->headers.find("content-type").contains("json")) co_return answer;
    std::string out;
    const bool written = co_await long_work(context, body->size(), [&] {
      const auto parsed = json::parse(*body, context.arena);
      if (!parsed) return false;
      json::Writer writer{out};
      write_selected(writer, *parsed, *selection);
      return true;
    });
    if (!written) co_return answer;
    answer->body = context.body(std::move(out));
    answer->headers.remove("etag");  // it named the whole representation
    co_return answer;
  }
};

}  // namespace

extern constinit const Part fields =
    part<Fields>("fields", "Returns only the fields that the caller names in `fields=`.");

}  // namespace plimsoll::policy
