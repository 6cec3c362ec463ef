#include "plimsoll/contract/body.hpp"
#include "plimsoll/contract/example_validator.hpp"
#include "plimsoll/contract/header_fields.hpp"
#include "plimsoll/contract/parameter_writer.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/handling.hpp"
#include "plimsoll/exchange/problems.hpp"
#include "plimsoll/handler/mock/credentials.hpp"
#include "plimsoll/handler/mock/generate.hpp"
#include "plimsoll/handler/mock/preference.hpp"
#include "plimsoll/handler/mock/text.hpp"
#include "plimsoll/handler/mock/write.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/negotiate.hpp"
#include "plimsoll/json/write.hpp"

#include <charconv>
#include <list>
#include <mutex>

namespace plimsoll::handler {
namespace mocking {
namespace {

using contract::MediaType;
using contract::ResponseSpec;
using json::Value;

constexpr Problem kNoSuchAnswer{"mock-no-such-answer", 404, "The contract declares no such response",
                                "Request a status or an example that the contract declares, or remove the preference."};
constexpr Problem kNotAcceptable{"mock-not-acceptable", 406, "No acceptable representation",
                                 "Accept one of the media types that the contract declares for this response."};
constexpr Problem kNotGenerated{"mock-not-generated", 500, "No data satisfies the schema of the response",
                                "Add an example that satisfies the schema of the response."};
constexpr const Problem* kProblems[] = {&kNoSuchAnswer, &kNotAcceptable, &kNotGenerated, &kUnauthenticated};

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
  /// The example of that name; null where there is none.
  const Value* example(std::string_view name) {
    const auto found = std::ranges::find(examples(), name, &Example::name);
    return found == examples_.end() ? nullptr : found->value;
  }
  std::optional<Value> generate(const GenerateOptions& wish, Arena& arena) {
    examples();
    if (!schema()) return Value::of("");
    return validator_ ? mocking::generate(contract_, *schema(), *validator_, wish, arena) : std::nullopt;
  }

 private:
  const Value* schema() const { return media_.events ? media_.events : media_.schema; }
  void prepare() {
    if (schema())
      if (auto made = contract::example_validator(contract_, *schema())) validator_ = std::move(*made);
    const auto offer = [&](std::string_view name, const Value* value) {
      const bool written = media_.events && value && value->is(json::Type::string);  // the stream as it is sent
      if (value && (!validator_ || written || validator_->valid(*value))) examples_.push_back({name, value});
    };
    offer({}, media_.raw->find("example"));
    if (const auto* named = media_.raw->find("examples"))
      for (auto& member : named->object()) {
        const auto& example = contract_.resolve(member.value);
        const auto* value = example.find("value");
        offer(member.key, value ? value : example.find("dataValue"));
      }
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
  }
  const ResponseSpec& spec;
  std::list<Representation> representations;  ///< most have none; an empty list takes no memory

  /// Interim: no answer ends with it.
  bool interim() const { return spec.status.starts_with('1'); }
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
    if (wish.code || !wish.example.empty() || wish.dynamic) applied(wish, response);
    GenerateOptions seed{.seed = seed_of(request, context), .examples = !wish.dynamic};
    headers(*answer, seed, response, context.arena);
    if (answer->representations.empty() || response.status == 204 || response.status == 205 || response.status == 304) {
      if (!wish.example.empty()) co_return fail(kNoSuchAnswer, "this answer has no examples");
      co_return response;
    }
    if (answer->representations.size() > 1) context.promise("vary", "accept");
    const auto acceptable = represent(*answer, response.status, request, wish);
    if (!acceptable) co_return std::unexpected(acceptable.error());
    std::string why;
    for (auto* each : *acceptable) {
      const auto type = concrete(each->name());
      auto value = value_of(*each, wish, seed, context.arena);
      if (!value) continue;
      auto text = written(*value, type);
      if (!text) {
        why = "the generated value is not " + type + ": only an example that is text can be sent";
        continue;
      }
      response.headers.add("content-type", context.kept(type));
      response.body = context.body(std::move(*text));
      co_return response;
    }
    co_return fail(kNotGenerated, std::move(why));
  }

 private:
  /// The answer of that code: exact before class before default. Without a code: the first success, else the first.
  Answer* choose(std::uint16_t code) {
    Answer* best = nullptr;
    const auto rank = [](const Answer& a) {
      return a.spec.status == "default" ? 1 : a.spec.status.ends_with("XX") ? 2 : 3;
    };
    for (auto& answer : answers_) {
      if (answer.interim() || (code ? !answer.covers(code) : !answer.spec.status.starts_with('2'))) continue;
      if (!best || (code ? rank(answer) > rank(*best) : answer.code() < best->code())) best = &answer;
    }
    if (best || code) return best;
    for (auto& answer : answers_)
      if (answer.spec.status == "default") return &answer;
    const auto first = std::ranges::find_if(answers_, [](auto& answer) { return !answer.interim(); });
    return first == answers_.end() ? nullptr : &*first;
  }

  /// What the caller accepts, the most wanted first, of equals the earlier; those only that have the example asked for.
  static Result<std::vector<Representation*>> represent(Answer& answer, std::uint16_t status, const Request& request,
                                                        const Preference& wish) {
    const auto accept = request.headers.joined("accept");
    std::vector<std::pair<int, Representation*>> weighed;
    for (auto& each : answer.representations)
      if (const auto weight = http::media_type_weight(accept, concrete(each.name())); weight > 0)
        weighed.emplace_back(-weight, &each);
    // A refusal may come in another type than asked for (RFC 9110, section 15.5.7), as those of real servers do.
    if (weighed.empty() && request.headers.contains("accept") && status >= 400)
      for (auto& each : answer.representations) weighed.emplace_back(0, &each);
    if (weighed.empty()) return fail(kNotAcceptable);
    std::ranges::stable_sort(weighed, {}, &std::pair<int, Representation*>::first);
    std::vector<Representation*> found;
    for (auto& [weight, each] : weighed)
      if (wish.example.empty() || each->example(wish.example)) found.push_back(each);
    if (found.empty())
      return fail(kNoSuchAnswer, "there is no example \"" + std::string(wish.example) + "\" that satisfies the schema");
    return found;
  }

  static std::optional<Value> value_of(Representation& of, const Preference& wish, const GenerateOptions& seed,
                                       Arena& arena) {
    if (!wish.example.empty()) return *of.example(wish.example);
    if (!wish.dynamic && !of.examples().empty()) return *of.examples()[0].value;
    return of.generate(seed, arena);
  }

  static void applied(const Preference& wish, Response& response) {
    std::string text;
    const auto add = [&](std::string part) { text += (text.empty() ? "" : ", ") + std::move(part); };
    if (wish.code) add("code=" + std::to_string(wish.code));
    if (!wish.example.empty()) add("example=" + std::string(wish.example));
    if (wish.dynamic) add("dynamic=true");
    response.headers.add("preference-applied", text);
  }

  std::uint64_t seed_of(const Request& request, const Context& context) const {
    auto seed = mix(0xCBF29CE484222325, operation_.id);
    // Of the declared parameters: what they do not say changes nothing, and must not reach others through a cache.
    const auto& values = context.input.parameters;
    if (values.size() == operation_.parameters.size()) {
      seed = mix(seed, contract::canonical_path(operation_, values, context.path_values));
      seed = mix(seed, contract::canonical_query(operation_, values));
    } else {  // nobody has read them
      seed = mix(mix(seed, request.path), request.query);
    }
    return mix(seed, context.input.body_text);
  }

  /// The declared headers: their example, or a value made up for their schema.
  void headers(const Answer& answer, const GenerateOptions& wish, Response& response, Arena& arena) const {
    for (auto& header : answer.spec.headers) {
      if (same_as_lower(header.name, "content-type")) continue;
      const auto* content = header.raw->find("content");
      const bool by_content = content && !content->object().empty();
      const Value& declared = by_content ? content->object()[0].value : *header.raw;
      auto own = wish;
      own.seed = mix(wish.seed, header.name);
      const auto value = header_value(declared, own, arena);
      if (!value) continue;
      const bool json = by_content && contract::body_kind(content->object()[0].key) == contract::BodyKind::json;
      const auto text = header_text(*value, header.explode, json);
      if (!text.empty()) response.headers.add(header.name, text);
    }
  }

  std::optional<Value> header_value(const Value& declared, const GenerateOptions& wish, Arena& arena) const {
    const auto* schema = declared.find("schema");
    std::shared_ptr<const schema::Validator> validator;
    if (schema)
      if (auto made = contract::example_validator(contract_, *schema)) validator = std::move(*made);
    const auto fits = [&](const Value* value) { return value && (!validator || validator->valid(*value)); };
    if (const auto* example = declared.find("example"); fits(example)) return *example;
    if (const auto* named = declared.find("examples"))
      for (auto& member : named->object())
        if (const auto* example = contract_.resolve(member.value).find("value"); fits(example)) return *example;
    if (!validator) return std::nullopt;
    return generate(contract_, *schema, *validator, wish, arena);
  }

  const contract::Contract& contract_;
  const contract::Operation& operation_;
  std::list<Answer> answers_;
};

constexpr contract::HeaderField kPrefer{"Prefer",
                                        "Which of the declared responses is wished (RFC 7240): `code=404`, "
                                        "`example=name`, `dynamic=true`."};
constexpr contract::HeaderField kApplied{"Preference-Applied", "What of `Prefer` was obeyed."};

void describe(const Value&, const Description& description, contract::Promises& promises) {
  promises.takes(kPrefer);
  promises.sends(kApplied);
  for (const auto* problem : {&kNoSuchAnswer, &kNotAcceptable, &kNotGenerated}) promises.refuses(*problem);
  if (description.operation.security.empty()) return;
  promises.refuses(kUnauthenticated);
  promises.sends(contract::kChallenge, contract::only(401));
}

Result<std::unique_ptr<Handler>> build(const Value& options, const Build& build) {
  const bool plain = (options.is(json::Type::boolean) && options.boolean()) ||
                     (options.is(json::Type::object) && options.object().empty());
  if (!plain) return config::wrong(options, "`mock` is true and has no options", "Write `mock: true`, or remove it.");
  return std::make_unique<Mock>(build.contract, build.operation);
}

}  // namespace
}  // namespace mocking

extern constinit const Handling mock_handling{
    .key = {.name = "mock",
            .sentence = "Answers with the examples of the contract, or with data generated from its schemas.",
            .short_form = R"("anyOf":[{"const":true},{"type":"object","maxProperties":0}])",
            .example = "true"},
    .problems = mocking::kProblems,
    .build = mocking::build,
    .needs_database = false,
    .describe = mocking::describe,
};

}  // namespace plimsoll::handler
