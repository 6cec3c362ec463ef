#include "plimsoll/contract/body.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/http/negotiate.hpp"
#include "plimsoll/json/parse.hpp"

#include <algorithm>
#include <atomic>

namespace plimsoll::policy {
namespace {

using contract::ResponseSpec;
using Direction = schema::CompileOptions::Direction;

/// Holds what leaves against the contract: status, media type, required headers, JSON body. Off unless the contract
/// says otherwise. In `shadow` what is wrong is counted and logged; in `enforce` it becomes a 500 whose reason is only
/// in the log. Streams and files pass unread, and so do refusals, which are problem documents of our own.
class Responses final : public Policy {
 public:
  struct Options {
    config::Ratio sample{1};
    bool on = false;
  };
  static constexpr config::Field fields[] = {
      config::field<&Options::sample>("sample", "The share of answers that are looked at."),
  };
  static constexpr std::string_view short_form = R"("enum":["off","shadow","enforce"])";
  static constexpr Problem kInvalid{"invalid-response", 500, "The answer does not satisfy the contract",
                                    "Give the trace id to whoever runs this server."};
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
      auto& expected = made->expected_.emplace_back(Expected{.spec = &spec});
      for (auto& media : spec.content) {
        auto& type = expected.types.emplace_back(Type{.name = media.name});
        if (!media.schema) continue;
        auto validator = build.contract.validator(*media.schema, Direction::response);
        if (!validator) return std::unexpected(std::move(validator).error());
        type.validator = std::move(*validator);
      }
    }
    return made;
  }
  explicit Responses(Options options) : options_(options) {}

  Task<Result<Response>> apply(Request& request, Context& context, Next next) override {
    auto answer = co_await next(request, context);
    if (!answer || !sampled()) co_return answer;
    auto wrong = fault(request, *answer, context.arena);
    if (!wrong.empty()) {
      auto error = Error{&kInvalid, "the answer does not satisfy the contract"}.because(std::move(wrong));
      if (refuses(context, error)) co_return std::unexpected(std::move(error));
    }
    co_return answer;
  }

 private:
  struct Type {
    std::string name;
    std::shared_ptr<const schema::Validator> validator;
  };
  struct Expected {
    const ResponseSpec* spec;
    std::vector<Type> types;
  };

  bool sampled() {
    if (options_.sample.value >= 1) return true;
    const auto before = seen_.fetch_add(1, std::memory_order_relaxed);
    const auto share = [&](std::uint64_t n) {
      return static_cast<std::uint64_t>(static_cast<double>(n) * options_.sample.value);
    };
    return share(before + 1) != share(before);
  }

  const Expected* expected(std::uint16_t status) const {
    const auto text = std::to_string(status);
    const Expected *by_class = nullptr, *otherwise = nullptr;
    for (auto& each : expected_) {
      if (each.spec->status == text) return &each;
      if (each.spec->status == "default")
        otherwise = &each;
      else if (each.spec->status.ends_with("XX") && each.spec->status[0] == text[0])
        by_class = &each;
    }
    return by_class ? by_class : otherwise;
  }

  /// What is wrong; empty: nothing.
  std::string fault(const Request& request, const Response& answer, Arena& arena) const {
    if (answer.status == 304 || answer.status == 206) return {};  // of a representation that was declared as 200
    const auto* wanted = expected(answer.status);
    if (!wanted) return "status " + std::to_string(answer.status) + " is not declared";
    for (auto& header : wanted->spec->headers)
      if (header.required && !answer.headers.contains(header.name)) return "the header " + header.name + " is missing";
    std::string_view text;
    if (const auto* view = std::get_if<std::string_view>(&answer.body))
      text = *view;
    else if (const auto* buffer = std::get_if<Buffer>(&answer.body))
      text = as_text(buffer->bytes);
    else if (!std::holds_alternative<std::monostate>(answer.body))
      return {};
    if (text.empty()) return {};
    const auto content_type = answer.headers.find("content-type");
    const Type* found = nullptr;
    int best = -1;
    for (auto& each : wanted->types)
      if (const auto closeness = http::media_type_coverage(each.name, content_type); closeness > best)
        best = closeness, found = &each;
    std::string type(content_type.substr(0, content_type.find(';')));
    while (type.ends_with(' ') || type.ends_with('\t')) type.pop_back();
    std::ranges::transform(type, type.begin(), [](unsigned char c) { return std::tolower(c); });
    if (!found)
      return "the media type \"" + std::string(content_type) + "\" is not declared for status " +
             std::to_string(answer.status);
    if (!found->validator || contract::body_kind(type) != contract::BodyKind::json || request.method == "HEAD")
      return {};
    if (const auto coding = answer.headers.find("content-encoding"); !coding.empty() && coding != "identity")
      return "the body has the content coding \"" + std::string(coding) + "\" and cannot be looked at";
    const auto body = json::parse(text, arena);
    if (!body) return "the body is not JSON: " + body.error().detail;
    if (found->validator->valid(*body)) return {};
    std::string all;
    for (auto& failure : found->validator->validate(*body, 8))
      all += (all.empty() ? "" : "; ") + (failure.instance.empty() ? "body" : failure.instance) + " " + failure.message;
    return all;
  }

  Options options_;
  std::vector<Expected> expected_;
  std::atomic<std::uint64_t> seen_{0};
};

}  // namespace

extern constinit const Part responses = part<Responses>("responses", "Holds answers against the contract.");

}  // namespace plimsoll::policy
