#include "plimsoll/contract/example_validator.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/handling.hpp"
#include "plimsoll/handler/mock/credentials.hpp"
#include "plimsoll/handler/mock/generate.hpp"
#include "plimsoll/handler/mock/preference.hpp"
#include "plimsoll/handler/mock/text.hpp"
#include "plimsoll/http/negotiate.hpp"
#include "plimsoll/json/write.hpp"

#include <charconv>
#include <deque>
#include <mutex>

namespace plimsoll::handler {
namespace mocking {
namespace {

using contract::MediaType;
using contract::ResponseSpec;
using json::Value;

constexpr Problem kNoSuchAnswer{"mock-no-such-answer", 404, "The contract declares no such answer",
                                "Ask for a status or an example that the contract declares, or for none."};
constexpr Problem kNotAcceptable{"mock-not-acceptable", 406, "No acceptable representation",
                                 "Accept one of the media types that the contract declares for this answer."};
constexpr Problem kNotGenerated{"mock-not-generated", 500, "No data satisfies the schema of the answer",
                                "Give the answer an example that satisfies its schema."};
constexpr const Problem* kProblems[] = {&kNoSuchAnswer, &kNotAcceptable, &kNotGenerated, &kUnauthorized};

bool is_json(std::string_view type) {
  type = type.substr(0, type.find(';'));
  return type == "application/json" || type.ends_with("+json") || type.ends_with("/*");
}

/// One media type of one answer: its examples that satisfy the schema, made ready at the first use.
class Representation {
 public:
  Representation(const contract::Contract& contract, const MediaType& media) : contract_(contract), media_(media) {}
  std::string_view name() const { return media_.name; }

  struct Example {
    std::string_view name;
    const Value* value;
  };
  /// In the order of the contract. Safe from any thread.
  const std::vector<Example>& examples() {
    std::call_once(once_, [this] { prepare(); });
    return examples_;
  }
  std::optional<Value> generate(const Wish& wish, Arena& arena) {
    examples();
    if (!media_.schema) return Value::of("");
    return validator_ ? mocking::generate(contract_, *media_.schema, *validator_, wish, arena) : std::nullopt;
  }

 private:
  void prepare() {
    if (media_.schema)
      if (auto made = contract::example_validator(contract_, *media_.schema)) validator_ = std::move(*made);
    const auto offer = [&](std::string_view name, const Value* value) {
      if (value && (!validator_ || validator_->valid(*value))) examples_.push_back({name, value});
    };
    offer({}, media_.raw->find("example"));
    if (const auto* named = media_.raw->find("examples"))
      for (auto& member : named->object()) offer(member.key, contract_.resolve(member.value).find("value"));
  }
  const contract::Contract& contract_;
  const MediaType& media_;
  std::once_flag once_;
  std::shared_ptr<const schema::Validator> validator_;
  std::vector<Example> examples_;
};

struct Answer {
  Answer(const contract::Contract& contract, const ResponseSpec& spec) : spec(spec) {
    for (auto& media : spec.content) representations.emplace_back(contract, media);
    for (auto& each : representations) offers.push_back(each.name());
  }
  const ResponseSpec& spec;
  std::deque<Representation> representations;
  std::vector<std::string_view> offers;

  bool covers(std::uint16_t code) const {
    if (spec.status == "default") return true;
    const auto text = std::to_string(code);
    return spec.status == text || (spec.status.ends_with("XX") && spec.status[0] == text[0]);
  }
  std::uint16_t code() const {
    if (spec.status == "default") return 200;
    return static_cast<std::uint16_t>(
        (spec.status[0] - '0') * 100 +
        (spec.status.ends_with("XX") ? 0 : (spec.status[1] - '0') * 10 + spec.status[2] - '0'));
  }
};

/// Answers from the examples of the contract, or with data made up for its schemas: the same request gives the same
/// answer. A caller chooses by `Prefer` (RFC 7240): `code=404`, `example=name`, `dynamic=true`.
class Mock final : public Handler {
 public:
  Mock(const contract::Contract& contract, const contract::Operation& operation)
      : contract_(contract), operation_(operation) {
    for (auto& spec : operation.responses) answers_.emplace_back(contract, spec);
  }

  Task<Result<Response>> handle(Request& request, Context& context) override {
    if (auto there = require_credentials(operation_, request, context); !there)
      co_return std::unexpected(std::move(there).error());
    const auto wish = read_preference(request.headers.joined("prefer"));
    auto* answer = choose(wish.code);
    if (!answer) co_return fail(kNoSuchAnswer, "status " + std::to_string(wish.code) + " is not declared");
    Response response{.status = wish.code ? wish.code : answer->code(), .headers = Headers{context.arena}};
    if (wish.code || !wish.example.empty() || wish.dynamic) applied(wish, response, context.arena);
    Wish seed{.seed = seed_of(request, context), .examples = !wish.dynamic};
    headers(*answer, seed, response, context.arena);
    if (answer->representations.empty() || response.status == 204 || response.status == 304) {
      if (!wish.example.empty()) co_return fail(kNoSuchAnswer, "this answer has no examples");
      co_return response;
    }
    auto* chosen = represent(*answer, request, wish);
    if (!chosen) co_return fail(kNotAcceptable);
    const Value* value = nullptr;
    if (!wish.example.empty()) {
      for (auto& example : chosen->examples())
        if (example.name == wish.example) value = example.value;
      if (!value)
        co_return fail(kNoSuchAnswer,
                       "there is no example \"" + std::string(wish.example) + "\" that satisfies the schema");
    } else if (!wish.dynamic && !chosen->examples().empty()) {
      value = chosen->examples()[0].value;
    }
    Value made;
    if (!value) {
      auto generated = chosen->generate(seed, context.arena);
      if (!generated) co_return fail(kNotGenerated);
      made = *generated;
      value = &made;
    }
    auto type = chosen->name();
    if (type == "*/*" || type == "application/*")
      type = "application/json";
    else if (type == "text/*")
      type = "text/plain";
    response.headers.add("content-type", type);
    response.body = context.arena.keep(value->is(json::Type::string) && !is_json(type) ? std::string(value->string())
                                                                                       : json::to_string(*value));
    co_return response;
  }

 private:
  /// The answer of that code: exact before class before default. Without a code: the first success, else the first.
  Answer* choose(std::uint16_t code) {
    Answer* best = nullptr;
    const auto rank = [](const Answer& a) {
      return a.spec.status == "default" ? 1 : a.spec.status.ends_with("XX") ? 2 : 3;
    };
    for (auto& answer : answers_) {
      if (code ? !answer.covers(code) : !answer.spec.status.starts_with('2')) continue;
      if (!best || (code ? rank(answer) > rank(*best) : answer.code() < best->code())) best = &answer;
    }
    if (best || code) return best;
    for (auto& answer : answers_)
      if (answer.spec.status == "default") return &answer;
    return answers_.empty() ? nullptr : &answers_.front();
  }

  /// What the caller accepts most, preferably one that has the example asked for.
  static Representation* represent(Answer& answer, Request& request, const Preference& wish) {
    const auto best = http::best_media_type(request.headers.joined("accept"), answer.offers);
    if (!best) return nullptr;
    auto* chosen = &answer.representations[*best];
    if (wish.example.empty()) return chosen;
    const auto has = [&](Representation& r) {
      return std::ranges::any_of(r.examples(), [&](auto& example) { return example.name == wish.example; });
    };
    if (!has(*chosen) && request.headers.joined("accept").empty())
      for (auto& other : answer.representations)
        if (has(other)) return &other;
    return chosen;
  }

  static void applied(const Preference& wish, Response& response, Arena& arena) {
    std::string text;
    const auto add = [&](std::string part) { text += (text.empty() ? "" : ", ") + std::move(part); };
    if (wish.code) add("code=" + std::to_string(wish.code));
    if (!wish.example.empty()) add("example=" + std::string(wish.example));
    if (wish.dynamic) add("dynamic=true");
    response.headers.add("preference-applied", arena.keep(text));
  }

  std::uint64_t seed_of(const Request& request, const Context& context) const {
    auto seed = mix(0xCBF29CE484222325, operation_.id);
    seed = mix(seed, request.path);
    seed = mix(seed, request.query);
    return mix(seed, context.input.body_text);
  }

  /// The declared headers: their example, or a value made up for their schema.
  void headers(const Answer& answer, const Wish& wish, Response& response, Arena& arena) const {
    for (auto& header : answer.spec.headers) {
      if (header.name.size() == 12 && (header.name[0] == 'C' || header.name[0] == 'c') && header.name.ends_with("ype"))
        continue;
      const Value* value = header.raw->find("example");
      Value made;
      if (!value && header.schema) {
        const auto validator = contract::example_validator(contract_, *header.schema);
        if (!validator) continue;
        Wish own = wish;
        own.seed = mix(wish.seed, header.name);
        const auto generated = generate(contract_, *header.schema, **validator, own, arena);
        if (!generated) continue;
        made = *generated;
        value = &made;
      }
      if (!value) continue;
      std::string text;
      if (value->is(json::Type::string))
        text = value->string();
      else if (value->is(json::Type::array))
        for (auto& item : value->array())
          text += (text.empty() ? "" : ",") +
                  (item.is(json::Type::string) ? std::string(item.string()) : json::to_string(item));
      else if (!value->is(json::Type::object))
        text = json::to_string(*value);
      std::erase_if(text, [](unsigned char c) { return c < 0x20 || c == 0x7F; });
      if (!text.empty()) response.headers.add(arena.keep(header.name), arena.keep(text));
    }
  }

  const contract::Contract& contract_;
  const contract::Operation& operation_;
  std::deque<Answer> answers_;
};

Result<std::unique_ptr<Handler>> build(const Value& options, const Build& build) {
  if (options.is(json::Type::object) && !options.object().empty())
    return config::wrong(options, "`mock` has no options: write `mock: true` or `mock: {}`");
  return std::make_unique<Mock>(build.contract, build.operation);
}

}  // namespace
}  // namespace mocking

extern constinit const Handling mock_handling{
    .key = {"mock",
            "Answers from the examples of the contract, or with data made up for its schemas.",
            {},
            nullptr,
            R"("anyOf":[{"const":true},{"type":"object","maxProperties":0}])"},
    .problems = mocking::kProblems,
    .build = mocking::build,
};

}  // namespace plimsoll::handler
