#include "plimsoll/contract/body.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/handling.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/exchange/problem_document.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <algorithm>
#include <charconv>

namespace plimsoll::policy {
namespace {

constexpr contract::HeaderField kDegraded{"Plimsoll-Degraded", "The response is a substitute, and why."};

/// Answers in place of an operation that fails: with a body of the contract, with what another operation answers, or
/// with a cached response that is no longer fresh. What is answered so says so in `Plimsoll-Degraded`, and nobody
/// stores it.
///
/// An operation fails by an error or a response of 500 and above, except 501 and 505: its deadline passed, a service
/// behind it is down, too much is to be done.
class Fallback final : public Policy {
 public:
  struct Options {
    config::Raw body = nullptr;
    std::string operation, flag = "fallback";
    bool stale = false;
  };
  static constexpr config::Field fields[] = {
      config::shaped(config::field<&Options::body>("body", "The JSON body of the fallback response."),
                     R"("type":["object","array","string","number","boolean"])", "{data: []}"),
      config::shown(config::field<&Options::operation>(
                        "operation",
                        "The `operationId` of a GET that produces the fallback response; its path parameters and its "
                        "required parameters must be among those of the operation that fails."),
                    "getDefaults"),
      config::field<&Options::stale>("stale",
                                     "Whether a stale cached response is returned, up to a day old; needs `cache`."),
      config::field<&Options::flag>("flag", "Value of the header `Plimsoll-Degraded`."),
  };
  static constexpr std::string_view short_form = R"("const":"stale")";
  static constexpr std::string_view example = "{body: {data: []}, flag: reviews-unavailable}";
  // A write that failed is never said to have succeeded.
  static constexpr auto methods = config::Methods::safe;
  static constexpr std::span<const Problem* const> problems{};
  static constexpr Metric metrics[] = {{"plimsoll_fallbacks_total", "responses",
                                        "Responses given in place of those of an operation that failed, by cause."}};

  static Result<Options> read(const json::Value& from) {
    Options options;
    if (from.is(json::Type::string) && from.string() == "stale") {
      options.stale = true;
      return options;
    }
    if (!from.is(json::Type::object))
      return config::wrong(from, "`fallback` is `stale`, or an object with `body`, `operation` or `stale: true`");
    if (auto done = config::read(from, fields, &options, kEveryPolicy); !done)
      return std::unexpected(std::move(done).error());
    if ((options.body != nullptr) + !options.operation.empty() + options.stale != 1)
      return config::wrong(from, "`fallback` has one of `body`, `operation` and `stale: true`");
    if (!is_token(options.flag))
      return config::wrong(*from.find("flag"), "`flag` is one word, such as `reviews-unavailable`");
    return options;
  }

  static Result<std::unique_ptr<Policy>> build(Options options, const Build& build) {
    if (!applies(options, build.operation)) return nullptr;
    auto made = std::make_unique<Fallback>(std::move(options), build);
    if (auto done = made->prepare(build); !done) return std::unexpected(std::move(done).error());
    return made;
  }
  static void describe(const Options& options, const Description& description, contract::Promises& promises) {
    if (!applies(options, description.operation)) return;
    promises.sends(kDegraded, contract::kSuccess);
  }
  Fallback(Options options, const Build& build)
      : options_(std::move(options)), operation_(build.operation), registry_(build.services.metrics) {}

  Task<Result<Response>> apply(Request& request, Context& context, Next next) override {
    auto answer = co_await next(request, context);
    if (!failed(answer)) {
      if (answer && options_.stale && is_stale(*answer)) {
        if (mode() == Mode::enforce) mark(*answer);
        count("stale");
      }
      co_return answer;
    }
    if (options_.stale) co_return answer;
    const auto cause = answer ? std::to_string(answer->status) : std::string(answer.error().problem->code);
    count(cause);
    if (mode() == Mode::shadow) co_return answer;
    if (options_.body) {
      note(context, answer, cause);
      Response response{.status = status_, .headers = Headers{context.arena}, .body = lasting(body_)};
      response.headers.add("content-type", lasting(media_type_));
      mark(response);
      co_return response;
    }
    auto instead = co_await other(request, context);
    if (!instead || instead->status >= 400) co_return answer;
    note(context, answer, cause);
    mark(*instead);
    co_return instead;
  }

 private:
  static bool applies(const Options& options, const contract::Operation& operation) {
    return operation.method == "GET" && (options.body || !options.operation.empty() || options.stale);
  }
  static bool failed(const Result<Response>& answer) {
    const int status = answer ? answer->status : answer.error().problem->status;
    return status >= 500 && status != 501 && status != 505;
  }
  /// As the cache says it (RFC 9211).
  static bool is_stale(const Response& answer) {
    return answer.headers.find("cache-status").contains("detail=stale-if-error");
  }
  void mark(Response& response) const {
    response.headers.set("plimsoll-degraded", lasting(options_.flag));
    response.headers.set("cache-control", "no-store");
    for (const auto* name : {"etag", "last-modified", "expires", "cdn-cache-control"}) response.headers.remove(name);
  }
  void count(std::string_view cause) const {
    if (!registry_) return;
    const telemetry::Label labels[] = {{"operation", operation_.id}, {"cause", cause}};
    registry_->counter(metrics[0].name, metrics[0].sentence, labels).add();
  }
  /// For the line of log: what it is in place of.
  static void note(Context& context, const Result<Response>& answer, const std::string& cause) {
    auto text = "fallback: " + cause;
    if (!answer) {
      const auto detail = log_text(answer.error());
      if (!detail.empty()) text.append(": ").append(detail);
    }
    context.outcome.detail = context.arena.keep(text);
  }

  Result<> prepare(const Build& build) {
    const auto* from = build.operation.extension("fallback");
    const auto& at = *from;
    if (options_.body) return prepare_body(build, *options_.body);
    if (options_.stale) {
      if (!build.operation.extension("cache"))
        return config::wrong(at, "`fallback: stale` needs `cache` for operation " + build.operation.id);
      return {};
    }
    const auto* other = build.contract.find(options_.operation);
    if (!other || other->method != "GET" || other == &build.operation)
      return config::wrong(at, "`fallback` of operation " + build.operation.id + " names `" + options_.operation +
                                   "`, which must be another GET operation of this contract");
    const auto own = build.contract.path_parameters(build.operation);
    for (const auto& name : build.contract.path_parameters(*other)) {
      const auto found = std::ranges::find(own, name);
      if (found == own.end())
        return config::wrong(at, "operation " + build.operation.id + " has no path parameter {" + name + "}, which `" +
                                     other->id + "` needs");
      path_values_.push_back(static_cast<std::size_t>(found - own.begin()));
    }
    for (const auto& parameter : other->parameters) {
      const auto found = std::ranges::find_if(build.operation.parameters, [&](const auto& each) {
        return each.name == parameter.name && each.in == parameter.in;
      });
      const bool known = found != build.operation.parameters.end();
      if (!known && parameter.required && !parameter.default_value)
        return config::wrong(at, "operation " + build.operation.id + " has no parameter \"" + parameter.name +
                                     "\", which `" + other->id + "` requires");
      parameters_.push_back(known ? found - build.operation.parameters.begin() : -1);
    }
    other_ = other;
    handlers_ = build.services.of_plan->of<OperationHandlers>();
    return {};
  }

  /// The body fits the first successful response that the contract declares.
  Result<> prepare_body(const Build& build, const json::Value& body) {
    for (const auto& spec : build.operation.responses) {
      if (!spec.status.starts_with('2')) continue;
      std::from_chars(spec.status.data(), spec.status.data() + spec.status.size(), status_);
      if (status_ < 200) status_ = 200;  // `2XX`
      for (const auto& media : spec.content) {
        if (contract::body_kind(media.name) != contract::BodyKind::json) continue;
        media_type_ = media.name.contains('*') ? "application/json" : media.name;
        if (!media.schema) break;
        const auto validator = build.contract.validator(*media.schema, schema::CompileOptions::Direction::response);
        if (!validator) return std::unexpected(validator.error());
        if (const auto failures = (*validator)->validate(body); !failures.empty())
          return config::wrong(body, "the body of `fallback` does not fit the response " + spec.status +
                                         " of operation " + build.operation.id + ": " +
                                         (failures[0].instance.empty() ? "" : failures[0].instance + " ") +
                                         failures[0].message);
        break;
      }
      break;
    }
    body_ = json::to_string(body);
    return {};
  }

  /// The answer of the other operation's handler, for the parameters of this one.
  Task<Result<Response>> other(Request& request, Context& context) {
    const auto handler = handlers_->all.find(other_->id);
    if (handler == handlers_->all.end()) co_return fail(kInternal, "operation " + other_->id + " has no handler");
    const auto* operation = context.operation;
    const auto input = context.input;
    const auto values = context.path_values;
    auto* own = context.arena.array<std::string_view>(path_values_.size());
    for (std::size_t i = 0; i < path_values_.size(); ++i) own[i] = values[path_values_[i]];
    auto* parameters = context.arena.array<const json::Value*>(parameters_.size());
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      const auto from = parameters_[i];
      parameters[i] = from >= 0 && static_cast<std::size_t>(from) < input.parameters.size()
                          ? input.parameters[static_cast<std::size_t>(from)]
                          : other_->parameters[i].default_value;
    }
    context.operation = other_;
    context.path_values = {own, path_values_.size()};
    context.input = Input{.parameters = {parameters, parameters_.size()}};
    auto answer = co_await handler->second->handle(request, context);
    context.operation = operation;
    context.path_values = values;
    context.input = input;
    co_return answer;
  }

  const Options options_;
  const contract::Operation& operation_;
  telemetry::Registry* const registry_;
  std::string body_, media_type_ = "application/json";
  std::uint16_t status_ = 200;
  const contract::Operation* other_ = nullptr;
  std::shared_ptr<const OperationHandlers> handlers_;
  std::vector<std::size_t> path_values_;    ///< of the other operation: which of ours each is
  std::vector<std::ptrdiff_t> parameters_;  ///< the same; -1: ours has none
};

}  // namespace

extern constinit const Part fallback = part<Fallback>("fallback", "Returns a fallback response if an operation fails.");

}  // namespace plimsoll::policy
