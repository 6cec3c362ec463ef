#include "plimsoll/contract/body.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/long_work.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/negotiate.hpp"
#include "plimsoll/json/parse.hpp"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <deque>
#include <span>

namespace plimsoll::policy {
namespace {

using contract::BodyKind;
using contract::ResponseSpec;
using Direction = schema::CompileOptions::Direction;

/// Holds what leaves against the contract: status, media type, headers, and bodies of JSON, lines of it and text. Off
/// unless the contract
/// says otherwise. In `shadow` what is wrong is counted and logged; in `enforce` it becomes a 500 whose reason is only
/// in the log. The bodies of streams and files pass unread, and refusals, which are problem documents of our own.
class Responses final : public Policy {
 public:
  struct Options {
    config::Ratio sample{1};
    bool on = false;
  };
  static constexpr config::Field fields[] = {
      config::field<&Options::sample>("sample", "The share of responses that are validated."),
  };
  static constexpr std::string_view short_form = R"("enum":["off","shadow","enforce"])";
  static constexpr Problem kInvalid{"invalid-response", 500, "The response does not satisfy the contract",
                                    "Send the trace id to the operator of this server."};
  static constexpr std::string_view example = "shadow";
  static constexpr const Problem* problems[] = {&kInvalid};

  static Result<Options> read(const json::Value& from) {
    Options options;
    if (from.is(json::Type::object)) {
      if (auto done = config::read(from, fields, &options, kEveryPolicy); !done)
        return std::unexpected(std::move(done).error());
    } else if (!from.is(json::Type::string) || (from.string() != "shadow" && from.string() != "enforce")) {
      return config::wrong(from, "one of off, shadow, enforce is expected, or the long form");
    }
    options.on = true;
    return options;
  }
  static Result<std::unique_ptr<Policy>> build(Options options, const Build& build) {
    if (!options.on || build.operation.responses.empty()) return nullptr;
    auto made = std::make_unique<Responses>(std::move(options));
    for (auto& spec : build.operation.responses) {
      auto& expected = made->expected_.emplace_back();
      expected.spec = &spec;
      expected.status = number_of(spec.status);
      for (auto& media : spec.content) {
        auto& type = expected.types.emplace_back();
        type.media = media;
        type.kind = contract::body_kind(media.name);
        expected.any_parameters |= media.name.contains(';');
        if (!media.schema) continue;
        auto validator = build.contract.validator(*media.schema, Direction::response);
        if (!validator) return std::unexpected(std::move(validator).error());
        type.media.validator = std::move(*validator);
        type.reader = std::make_unique<contract::BodyReader>(build.contract, type.media);
      }
      for (auto& header : spec.headers)
        if (auto field = field_of(build.contract, header)) expected.fields.push_back(std::move(*field));
    }
    return made;
  }
  static void describe(const Options& options, const Description& description, contract::Promises& promises) {
    if (options.on && !description.operation.responses.empty()) promises.refuses(kInvalid);
  }
  explicit Responses(Options options) : options_(options) {}

  PLIMSOLL_FORWARDS Task<Result<Response>> apply(Request& request, Context& context, Next next) override {
    if (!sampled()) return next(request, context);
    return look(request, context, next);
  }

 private:
  /// For an answer of the largest size that is not streamed; the request has a budget of its own.
  static constexpr std::uint64_t kSteps = 16 * Steps::kDefault;
  /// What a schema says of which members there are: nothing where the caller has chosen them.
  static constexpr std::string_view kMembership[] = {"required",      "additionalProperties", "unevaluatedProperties",
                                                     "minProperties", "maxProperties",        "dependentRequired"};
  struct Type {
    contract::MediaType media;
    BodyKind kind = BodyKind::binary;              ///< of what is named just so
    std::unique_ptr<contract::BodyReader> reader;  ///< null without a schema
  };
  /// A declared header whose value can be held against something.
  struct Field {
    contract::ValueReader reader;
    std::shared_ptr<const schema::Validator> validator;
  };
  struct Expected {
    const ResponseSpec* spec = nullptr;
    std::uint16_t status = 0;     ///< 1 to 5: all that begin with it; 0: all others
    bool any_parameters = false;  ///< of a declared media type
    std::deque<Type> types;       // their readers look at them
    std::vector<Field> fields;
  };

  static std::optional<Field> field_of(const contract::Contract& contract, const contract::Parameter& header) {
    contract::ValueReader::How how{
        .name = header.name, .style = contract::Style::simple, .explode = header.explode, .encoded = false};
    const auto* schema = header.schema;
    if (const auto* content = header.raw->find("content"); content && !content->object().empty()) {
      how.json = contract::body_kind(content->object()[0].key) == BodyKind::json;
      how.text = !how.json;
      schema = content->object()[0].value.find("schema");
    }
    if (!schema || same_as_lower(header.name, "content-type")) return std::nullopt;  // OpenAPI 3.1.1, 4.8.17.1
    auto validator = contract.validator(*schema, Direction::response);
    if (!validator) return std::nullopt;
    return Field{{std::move(how), contract::shape_of(contract, *schema)}, std::move(*validator)};
  }

  /// Of `200`, `4XX` or `default`.
  static std::uint16_t number_of(std::string_view status) {
    if (status == "default") return 0;
    std::uint16_t number = 0;
    const auto* const end = status.data() + (status.ends_with("XX") ? 1 : status.size());
    const auto read = std::from_chars(status.data(), end, number);
    return read.ec == std::errc{} && read.ptr == end ? number : 0xFFFF;  // which no answer has
  }

  Task<Result<Response>> look(Request& request, Context& context, Next next) {
    auto answer = co_await next(request, context);
    if (!answer) co_return answer;
    const auto whole = whole_text(answer->body);
    auto wrong =
        co_await long_work(context, whole ? whole->size() : 0, [&] { return fault(request, *answer, context); });
    if (!wrong.empty()) {
      auto error = Error{&kInvalid, "the answer does not satisfy the contract"}.because(std::move(wrong));
      if (refuses(context, error)) co_return std::unexpected(std::move(error));
    }
    co_return answer;
  }

  bool sampled() {
    if (options_.sample.value >= 1) return true;
    const auto before = seen_.fetch_add(1, std::memory_order_relaxed);
    const auto share = [&](std::uint64_t n) {
      return static_cast<std::uint64_t>(static_cast<double>(n) * options_.sample.value);
    };
    return share(before + 1) != share(before);
  }

  const Expected* expected(std::uint16_t status) const {
    const Expected *by_class = nullptr, *otherwise = nullptr;
    for (auto& each : expected_) {
      if (each.status == status) return &each;
      if (each.status == 0)
        otherwise = &each;
      else if (each.status == status / 100)
        by_class = &each;
    }
    return by_class ? by_class : otherwise;
  }

  /// What is wrong; empty: nothing.
  std::string fault(const Request& request, const Response& answer, Context& context) const {
    if (answer.status == 304) return {};  // of a representation that was declared as 200
    if (answer.status == 101) return {};  // its operation says that it opens WebSockets
    if (answer.status == 206) return fault_of_part(answer);
    // A refusal, which the unit of work has made a problem document of already.
    if (answer.status >= 400 && !context.outcome.problem.empty()) return {};
    const auto* wanted = expected(answer.status);
    if (!wanted) return "status " + std::to_string(answer.status) + " is not declared";
    for (auto& header : wanted->spec->headers)
      if (header.required && !answer.headers.contains(header.name)) return "the header " + header.name + " is missing";
    for (auto& field : wanted->fields)
      if (auto wrong = fault_of_field(field, answer.headers, context.arena); !wrong.empty()) return wrong;
    const auto whole = whole_text(answer.body);
    const auto text = whole.value_or("");
    const auto content_type = answer.headers.find("content-type");
    if (text.empty() &&
        (content_type.empty() || request.method == "HEAD" || answer.status == 204 || answer.status == 205))
      return {};
    const auto* found = named(*wanted, content_type);
    const bool just_so = found != nullptr;
    if (!found) found = type_of(*wanted, content_type);
    if (!found) return undeclared(content_type, answer.status);
    if (!whole || !found->reader || request.method == "HEAD") return {};
    const auto coding = answer.headers.find("content-encoding");
    const auto kind = just_so ? found->kind : contract::body_kind(http::essence(content_type));
    return fault_of_body(*found->reader, text, kind, content_type, coding, context);
  }

  static std::string undeclared(std::string_view content_type, std::uint16_t status) {
    return "the media type \"" + std::string(content_type) + "\" is not declared for status " + std::to_string(status);
  }

  /// Of a representation that is declared as 206, or else as 200. Several parts have a type of their own.
  std::string fault_of_part(const Response& answer) const {
    const auto* wanted = expected(206);
    if (!wanted || wanted->status != 206) wanted = expected(200);
    if (!wanted) return "status 206 is not declared";
    const auto content_type = answer.headers.find("content-type");
    if (content_type.empty() || http::essence(content_type) == "multipart/byteranges") return {};
    return type_of(*wanted, content_type) ? std::string() : undeclared(content_type, 206);
  }

  /// What is mostly sent: a type just as it is declared.
  static const Type* named(const Expected& wanted, std::string_view content_type) {
    if (!wanted.any_parameters)
      for (auto& each : wanted.types)
        if (each.media.name == content_type) return &each;
    return nullptr;
  }

  /// The most specific of the declared types.
  static const Type* type_of(const Expected& wanted, std::string_view content_type) {
    const Type* found = nullptr;
    int best = -1;
    for (auto& each : wanted.types)
      if (const auto closeness = http::media_type_coverage(each.media.name, content_type); closeness > best)
        best = closeness, found = &each;
    return found;
  }

  static std::string fault_of_field(const Field& field, const Headers& headers, Arena& arena) {
    const auto found = field.reader.from_header(headers, arena);
    const auto begin = "the header " + field.reader.name() + " ";
    if (!found.wrong.empty()) return begin + std::string(found.wrong);
    if (!found.value || field.validator->valid(*found.value)) return {};
    if (found.plain.data())  // text by choice: another reading may be what the schema wants
      for (auto& other : contract::alternatives(found.plain, field.reader.shape()))
        if (field.validator->valid(other)) return {};
    const auto failures = field.validator->validate(*found.value, 1);
    return begin + (failures.empty() ? std::string("is invalid") : failures[0].message);
  }

  static std::string fault_of_body(const contract::BodyReader& reader, std::string_view text, BodyKind kind,
                                   std::string_view content_type, std::string_view coding, Context& context) {
    if (kind != BodyKind::json && kind != BodyKind::json_lines && kind != BodyKind::text) return {};
    if (!coding.empty() && coding != "identity")
      return "the body has the content coding \"" + std::string(coding) + "\" and cannot be looked at";
    std::vector<FieldError> errors;
    Steps steps(kSteps);
    const auto body = reader.read(text, kind, content_type, context.arena, steps, errors);
    if (!body) return (kind == BodyKind::json ? "the body is not JSON: " : "") + body.error().detail;
    if (context.shaped)
      std::erase_if(errors,
                    [](auto& error) { return std::ranges::find(kMembership, error.keyword) != std::end(kMembership); });
    std::string all;
    constexpr std::size_t kTold = 8;
    for (auto& error : std::span(errors).first(std::min(errors.size(), kTold)))
      all += (all.empty() ? "" : "; ") + (error.pointer.empty() ? "body" : error.pointer) + " " + error.message;
    return all;
  }

  Options options_;
  std::deque<Expected> expected_;
  std::atomic<std::uint64_t> seen_{0};
};

}  // namespace

extern constinit const Part responses = part<Responses>("responses", "Validates responses against the contract.");

}  // namespace plimsoll::policy
