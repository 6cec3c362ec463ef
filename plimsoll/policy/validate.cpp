#include "plimsoll/base/letters.hpp"
#include "plimsoll/contract/body.hpp"
#include "plimsoll/exchange/body_memory.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/long_work.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/http/body_problems.hpp"
#include "plimsoll/http/negotiate.hpp"
#include "plimsoll/json/parse.hpp"

#include <algorithm>
#include <cstring>

namespace plimsoll::config {
enum class UnknownQuery : std::uint8_t { refuse, ignore };
template <>
struct Words<UnknownQuery> {
  static constexpr std::string_view words[] = {"refuse", "ignore"};
};
enum class BodyReading : std::uint8_t { whole, stream };
template <>
struct Words<BodyReading> {
  static constexpr std::string_view words[] = {"whole", "stream"};
};
}  // namespace plimsoll::config

namespace plimsoll::policy {
namespace {

using contract::BodyKind;

constexpr std::string_view kSanitize = "sanitize";
constexpr config::Key kKeys[] = {
    {.name = kSanitize,
     .sentence =
         "What is done to the texts of parameters and bodies before the contract judges them. A schema may say it "
         "too, for its value and what is below.",
     .fields = contract::kSanitizeFields,
     .defaults = config::defaults_of<contract::Sanitizing>,
     .short_form = contract::kSanitizeShort,
     .example = "{trim: true, nfc: true, control: strip}"},
};

constexpr contract::HeaderField kAccept{"Accept", "Media types of bodies that the operation takes."};
constexpr contract::HeaderField kAcceptEncoding{"Accept-Encoding",
                                                "Content codings of bodies that the operation takes."};

/// type/subtype of a Content-Type, lower case, in the arena only where it must be changed.
std::string_view essence(std::string_view content_type, Arena& arena) {
  content_type = content_type.substr(0, content_type.find(';'));
  while (content_type.ends_with(' ') || content_type.ends_with('\t')) content_type.remove_suffix(1);
  if (std::ranges::none_of(content_type, [](char c) { return c >= 'A' && c <= 'Z'; })) return content_type;
  return arena.keep(lowered(content_type));
}

/// Decodes what a request says and holds it against the contract: parameters, media types, body. What passes is in
/// Context::input, typed and with defaults; all that is wrong is told at once.
///
/// The body of a JSON, form or text type is read whole and bounded. One of a binary type, or of an operation with
/// `body: stream`, is left to the handler unread.
class Validate final : public Policy {
 public:
  struct Options {
    config::UnknownQuery unknown_query = config::UnknownQuery::refuse;
    config::BodyReading body = config::BodyReading::whole;
    config::Size body_limit{};
  };
  static constexpr config::Field fields[] = {
      config::field<&Options::unknown_query>(
          "unknown-query", "What to do with query parameters that the contract does not declare: refuse or ignore."),
      config::field<&Options::body>("body",
                                    "whole: the body is read and checked before the handler; stream: the handler reads "
                                    "it, and only its media type is checked."),
      config::field<&Options::body_limit>("body-limit",
                                          "The longest body that is read whole; 0: the deployment's `limits.body`."),
  };
  static constexpr const Problem& kInvalid = http::kInvalid;
  static constexpr Problem kUnsupported{
      "unsupported-media-type", 415, "The media type of the body is not supported",
      "Send one of the media types that the contract declares, and name it in Content-Type."};
  static constexpr Problem kNotAcceptable{"not-acceptable", 406, "No acceptable representation",
                                          "Accept one of the media types that the contract declares."};
  static constexpr std::string_view example = "{unknown-query: ignore}";
  static constexpr std::span<const config::Key> more_keys = kKeys;
  static constexpr const Problem* problems[] = {
      &kInvalid,         &kUnsupported,        &kNotAcceptable,           &http::kBodyTooLarge,
      &json::kMalformed, &schema::kTooComplex, &contract::kMalformedBody, &kTooManyBodies};

  static Result<std::unique_ptr<Policy>> build(Options options, const Build& build) {
    if (takes_body_itself(build.operation)) options.body = config::BodyReading::stream;
    auto sanitizers = sanitizers_of(options, build);
    if (!sanitizers) return std::unexpected(std::move(sanitizers).error());
    auto made = std::make_unique<Validate>(std::move(options), build, std::move(*sanitizers));
    if (auto found = made->find_read_only(build); !found) return std::unexpected(std::move(found).error());
    if (made->idle()) return nullptr;
    return made;
  }
  static void describe(const Options& options, const Description& description, contract::Promises& promises) {
    const auto& operation = description.operation;
    promises.refuses(kInvalid);
    promises.refuses(schema::kTooComplex);
    if (std::ranges::any_of(operation.responses,
                            [](auto& spec) { return spec.status.starts_with('2') && !spec.content.empty(); }))
      promises.refuses(kNotAcceptable);
    if (!operation.body) return;
    promises.refuses(kUnsupported);
    promises.sends(kAccept, contract::only(415));
    promises.sends(kAcceptEncoding, contract::only(415));
    if (options.body == config::BodyReading::stream || takes_body_itself(operation)) return;
    promises.refuses(http::kBodyTooLarge);
    promises.refuses(kTooManyBodies);
    promises.refuses(json::kMalformed);
    promises.refuses(contract::kMalformedBody);
  }
  /// `sanitize`, compiled: per parameter (none: nothing is done to any), and per media type of the body.
  struct Sanitizers {
    std::vector<contract::Sanitizer> parameters, bodies;
  };
  Validate(Options options, const Build& build, Sanitizers sanitizers)
      : options_(std::move(options)),
        bodies_(build.services.shared->of<BodyMemory>()),
        operation_(build.operation),
        parameters_(build.contract, build.operation,
                    rules(options_, build.contract, std::move(sanitizers.parameters))) {
    for (auto& spec : operation_.responses)
      if (spec.status.starts_with('2'))
        for (auto& media : spec.content) offer(media.name);
    for (auto offer : offers_) any_offer_ |= offer.contains('*');
    takes_any_body_ = operation_.extension("webhook") != nullptr;  // its scheme, not the contract, says what it is
    if (!operation_.body) return;
    for (std::size_t i = 0; auto& media : operation_.body->content) {
      readers_.push_back(
          {{build.contract, media, std::move(sanitizers.bodies[i++])}, contract::body_kind(media.name), nullptr});
      any_parameters_ |= media.name.contains(';');
      accepted_ += (accepted_.empty() ? "" : ", ") + media.name;
    }
  }

  PLIMSOLL_FORWARDS Task<Result<Response>> apply(Request& request, Context& context, Next next) override {
    std::vector<FieldError> errors;
    if (auto head = check_head(request, context, errors); !head) [[unlikely]]
      if (refuses(context, head.error())) return refuse(std::move(head).error());
    Reading reading;
    const auto before = errors.size();
    if (auto found = find_reader(request, context, errors); found && errors.size() == before) [[likely]] {
      reading = *found;
    } else if (request.body && !request.content_length && request.method != "GET" && mode() == Mode::enforce) {
      return unless_empty(request, context, next, std::move(errors), before,
                          found ? std::optional<Error>{} : std::move(found).error());
    } else if (!found && refuses(context, found.error())) {
      return refuse(std::move(found).error());
    }
    // A part would be stored as the whole (RFC 9110, section 9.3.4). Who reads the body itself may know parts.
    const bool whole = reading.reader && request.body && options_.body == config::BodyReading::whole;
    if (whole && request.method == "PUT" && request.headers.contains("content-range")) [[unlikely]]
      errors.push_back(
          {"header", "/content-range", "unexpected", "a part of the content is not taken: send all of it"});
    if (whole) return with_body(request, context, next, reading, std::move(errors));
    if (!errors.empty()) [[unlikely]] {
      auto error = invalid(std::move(errors));
      if (refuses(context, error)) return refuse(std::move(error));
    }
    return next(request, context);
  }

 private:
  /// Rows that a table takes as they arrive, and files.
  static bool takes_body_itself(const contract::Operation& operation) {
    const auto* batch = operation.extension("batch");
    return (batch && batch->find("import")) || (operation.extension("table") && operation.extension("file"));
  }
  struct Declared {
    contract::BodyReader reader;
    BodyKind kind;
    std::shared_ptr<const contract::Marked> read_only;
  };
  /// How a body is read; no reader: there is nothing to read, or the handler reads it.
  struct Reading {
    const contract::BodyReader* reader = nullptr;
    BodyKind kind = BodyKind::binary;
    std::string_view content_type{};
    const contract::MarkedPlace* read_only = nullptr;  ///< members that no handler is given
  };

  /// Who reads the body takes what it says: a client could assign what the schema marks `readOnly`. It is taken out,
  /// so that what was read can be sent back. Tables do that themselves, with the schema of their rows.
  Result<> find_read_only(const Build& build) {
    if (!operation_.body || build.services.mock || operation_.extension("table") || operation_.extension("mock"))
      return {};
    for (auto& declared : readers_) {
      const auto& media = declared.reader.media_type();
      if (!media.schema || declared.kind == BodyKind::binary || declared.kind == BodyKind::text) continue;
      declared.read_only = build.contract.marked(*media.schema, contract::Mark::read_only);
      if (const auto& undecided = declared.read_only->undecided())
        return config::wrong(
            undecided->at ? *undecided->at : *media.schema,
            "\"readOnly\" of member \"" + undecided->member + "\" of the body depends on the data: " + undecided->what +
                ". Mark the member in every alternative that declares it, or next to the alternatives, or in none.");
    }
    return {};
  }

  /// The rows of a `table`: what their schema says of a text holds wherever it comes from, in a merge patch, a batch or
  /// a filter too.
  struct Rows {
    const json::Value* filters = nullptr;
    json::Value one, body;  ///< schemas: of a row, and of a body, which is a list of rows where it is a batch
  };
  static std::optional<Rows> rows_of(const Build& build, Arena& arena) {
    const auto* table = build.operation.extension("table");
    const auto* name = table && !table->is(json::Type::string) ? table->find("name") : table;
    const auto* tables =
        name && name->is(json::Type::string) ? build.contract.root->at("x-plimsoll", "tables") : nullptr;
    const auto* declared = tables ? tables->find(name->string()) : nullptr;
    const auto* schema = declared ? declared->find("schema") : nullptr;
    if (!schema) return std::nullopt;
    const auto wrapped = [&](std::string_view key, const json::Value& value) {
      auto* member = arena.array<json::Member>(1);
      member->key = key, member->value = value;
      return json::Value::object({member, 1});
    };
    Rows rows{.filters = declared->find("filters")};
    rows.one = schema->is(json::Type::string) ? wrapped("$ref", *schema) : *schema;
    rows.body = build.operation.extension("batch") ? wrapped("items", rows.one) : rows.one;
    return rows;
  }

  struct SaidSanitize {
    explicit SaidSanitize(const json::Value& document) : anywhere(contract::says_sanitize(document)) {}
    const bool anywhere;
  };

  static Result<Sanitizers> sanitizers_of(const Options& options, const Build& build) {
    const auto outer = contract::sanitizing_of(build.operation);
    if (!outer) return std::unexpected(outer.error());
    Arena arena{1024};
    const auto table_rows = rows_of(build, arena);
    // Most contracts say it nowhere: then no schema is walked through.
    const bool said_anywhere = outer->any() || build.services.of_plan->of<SaidSanitize>(*build.contract.root)->anywhere;
    const auto sanitizer_of = [&](const json::Value& schema, const contract::Sanitizing& around,
                                  const json::Value* also = nullptr) {
      return said_anywhere ? contract::Sanitizer::of(build.contract, schema, around, also)
                           : Result<contract::Sanitizer>();
    };
    auto row = sanitizer_of(table_rows ? table_rows->one : json::Value::object({}), *outer);
    if (!row) return std::unexpected(std::move(row).error());
    Sanitizers made;
    bool any = false;
    const auto add = [&](std::vector<contract::Sanitizer>& to, const json::Value* schema,
                         const contract::Sanitizing& around, const json::Value* also = nullptr) -> Result<> {
      static const json::Value anything = json::Value::object({});
      auto sanitizer = sanitizer_of(schema ? *schema : anything, around, also);
      if (!sanitizer) return std::unexpected(std::move(sanitizer).error());
      any |= !sanitizer->idle();
      to.push_back(std::move(*sanitizer));
      return {};
    };
    for (auto& parameter : build.operation.parameters) {
      if (parameter.in == contract::In::path) {  // it names a resource, for routes, logs and caches too
        made.parameters.emplace_back();
      } else {
        const auto column = std::string_view(parameter.name).substr(0, parameter.name.find('['));
        const bool filters = table_rows && table_rows->filters && parameter.in == contract::In::query &&
                             table_rows->filters->find(column);
        if (auto done = add(made.parameters, parameter.schema, filters ? row->texts_of(column) : *outer); !done)
          return std::unexpected(std::move(done).error());
      }
    }
    const bool in_parameters = any;
    const auto* said = build.operation.extension(kSanitize);
    const bool unread =
        takes_body_itself(build.operation);  // of rows the handler does it for each; files stay as they are
    if (build.operation.body)
      for (auto& media : build.operation.body->content) {
        if (unread || contract::body_kind(media.name) == BodyKind::binary) {
          made.bodies.emplace_back();
        } else if (auto done = add(made.bodies, media.schema, *outer, table_rows ? &table_rows->body : nullptr);
                   !done) {
          return std::unexpected(std::move(done).error());
        }
      }
    const auto& place = said ? *said : *build.operation.raw;
    if (any && build.operation.extension("upstream"))
      return config::wrong(place,
                           "`sanitize` has no effect on what the upstream of operation " + build.operation.id +
                               " is sent: the request as it came",
                           "Write `sanitize: false` at the operation.");
    if (any && !in_parameters && options.body == config::BodyReading::stream)
      return config::wrong(
          place,
          "`sanitize` has no effect on a body that the handler reads itself (`body: stream`) of operation " +
              build.operation.id,
          "Write `sanitize: false` at the operation, or leave `body: stream` out.");
    if (!in_parameters) made.parameters.clear();
    return made;
  }

  static contract::Parameters::Rules rules(const Options& options, const contract::Contract& contract,
                                           std::vector<contract::Sanitizer> sanitizers) {
    contract::Parameters::Rules rules{.refuse_unknown_query = options.unknown_query == config::UnknownQuery::refuse,
                                      .sanitizers = std::move(sanitizers)};
    for (auto& scheme : contract.security_schemes)
      if (scheme.type == "apiKey" && scheme.in == contract::In::query) rules.also_in_query.push_back(scheme.parameter);
    return rules;
  }
  void offer(const std::string& name) {
    if (std::ranges::find(offers_, name) == offers_.end()) offers_.push_back(name);
  }
  bool idle() const { return parameters_.idle() && !operation_.body && takes_any_body_ && offers_.empty(); }

  static Error invalid(std::vector<FieldError> errors) {
    Error error{&kInvalid, summary(errors)};
    error.more().fields = std::move(errors);
    return error;
  }

  Result<> check_head(Request& request, Context& context, std::vector<FieldError>& errors) {
    if (!offers_.empty() && !any_offer_)
      if (const auto accept = request.headers.joined("accept"); !accept.empty() && accept != "*/*")
        if (!http::best_media_type(accept, offers_)) {
          std::string all;
          for (auto offer : offers_) all += (all.empty() ? "" : ", ") + std::string(offer);
          return fail(kNotAcceptable, "the answer is of the type " + all);
        }
    if (!operation_.parameters.empty() || !request.query.empty())
      context.input.parameters = parameters_.read(context.path_values, request, context.arena, context.steps, errors);
    if (context.steps.exhausted() && errors.empty())
      return fail(schema::kTooComplex, "the parameters take too many steps to check");
    return {};
  }

  Result<Reading> find_reader(Request& request, Context& context, std::vector<FieldError>& errors) {
    const bool there = request.body && request.content_length != std::optional<std::uint64_t>{0};
    if (!operation_.body) {
      if (there && !takes_any_body_) errors.push_back({"body", "", "unexpected", "this operation takes no body"});
      return Reading{};
    }
    if (!there) {
      if (operation_.body->required) errors.push_back({"body", "", "required", "a body is required"});
      return Reading{};
    }
    const auto content_type = request.headers.find("content-type");
    // Who reads the body behind us could take the other one.
    if (request.headers.count("content-type") > 1)
      return unsupported(context, "the request has more than one Content-Type");
    if (const auto coding = request.headers.joined("content-encoding");
        !coding.empty() && !same_as_lower(coding, "identity")) {
      context.promise("accept-encoding", "identity");  // RFC 9110, section 12.5.3
      return fail(kUnsupported, "bodies with the content coding \"" + std::string(coding) + "\" are not accepted");
    }
    if (content_type.empty()) {  // bytes of any kind (RFC 9110, section 8.3), where those are taken
      for (std::string_view any : {"application/octet-stream", "*/*"})
        for (const auto& declared : readers_)
          if (declared.reader.media_type().name == any)
            return taken(declared, BodyKind::binary, "application/octet-stream", {}, context);
      return unsupported(context, "the request has a body and no Content-Type");
    }
    if (!any_parameters_)  // mostly just what is declared is sent
      for (const auto& declared : readers_)
        if (declared.reader.media_type().name == content_type)
          return taken(declared, declared.kind, content_type, content_type, context);
    const auto type = essence(content_type, context.arena);
    if (auto refusal = contract::refusal_of_type(type, content_type); !refusal.empty())
      return unsupported(context, std::move(refusal));
    const auto* declared = reader_for(type, content_type);
    if (!declared)
      return unsupported(context, "bodies of the type \"" + std::string(type) + "\" are not accepted" +
                                      (accepted_.empty() ? "" : "; send " + accepted_));
    return taken(*declared, contract::body_kind(type), type, content_type, context);
  }
  Reading taken(const Declared& declared, BodyKind kind, std::string_view type, std::string_view content_type,
                Context& context) const {
    context.input.media_type = type;
    if (options_.body == config::BodyReading::whole && options_.body_limit.bytes)
      context.body_limit = options_.body_limit.bytes;
    return {kind == BodyKind::binary ? nullptr : &declared.reader, kind, content_type,
            declared.read_only ? declared.read_only->place() : nullptr};
  }
  std::unexpected<Error> unsupported(Context& context, std::string detail) {
    if (!accepted_.empty()) context.promise("accept", lasting(accepted_));  // RFC 9110, section 15.5.16
    return fail(kUnsupported, std::move(detail));
  }
  /// The most specific of the declared types.
  const Declared* reader_for(std::string_view type, std::string_view content_type) const {
    const Declared* found = nullptr;
    int best = -1;
    for (auto& declared : readers_) {
      const std::string_view name = declared.reader.media_type().name;
      if (name == type && !any_parameters_) return &declared;
      const auto closeness = http::media_type_coverage(name, content_type);
      if (closeness > best) best = closeness, found = &declared;
    }
    return found;
  }

  /// A body that would be refused, and whose length nobody has said (chunked, HTTP/2 without a length): of no bytes it
  /// is none. `before` of the errors are not about the body.
  Task<Result<Response>> unless_empty(Request& request, Context& context, Next next, std::vector<FieldError> errors,
                                      std::size_t before, std::optional<Error> refusal) {
    auto piece = co_await request.body->read();
    if (!piece) co_return std::unexpected(std::move(piece).error());
    if (piece->empty()) {
      request.body = nullptr;
      refusal.reset();
      errors.resize(before);
      if (operation_.body && operation_.body->required)
        errors.push_back({"body", "", "required", "a body is required"});
    }
    if (refusal && refuses(context, *refusal)) co_return std::unexpected(std::move(*refusal));
    if (!errors.empty()) {
      auto error = invalid(std::move(errors));
      if (refuses(context, error)) co_return std::unexpected(std::move(error));
    }
    auto answer = co_await next(request, context);
    co_return answer;
  }

  Task<Result<Response>> with_body(Request& request, Context& context, Next next, Reading reading,
                                   std::vector<FieldError> errors) {
    WholeBody whole{context, *bodies_, request.peer, context.body_limit, request.content_length};
    while (whole.fits()) {
      auto piece = co_await request.body->read();
      // Refused even in shadow: what is too long or broken cannot be handed on.
      if (!piece) {
        if (piece.error().problem == &http::kBodyTooLarge) answers_for(piece.error());
        co_return std::unexpected(std::move(piece).error());
      }
      if (piece->empty()) break;
      whole.add(*piece);
      if (whole.spools()) [[unlikely]]
        co_await whole.spool();
      if (whole.error()) [[unlikely]]
        break;
    }
    const auto bytes = whole.text();
    if (auto* failed = whole.error()) {
      auto error = *failed;
      answers_for(error);
      co_return std::unexpected(std::move(error));
    }
    if (!whole.fits()) {
      Error error{&http::kBodyTooLarge,
                  "bodies of at most " + config::to_string(config::Size{whole.limit()}) + " are taken"};
      answers_for(error);
      co_return std::unexpected(std::move(error));
    }
    request.body = nullptr;  // read
    context.input.body_text = bytes;
    if (bytes.empty() && operation_.body->required) {
      errors.push_back({"body", "", "required", "a body is required"});
    } else if (!bytes.empty()) {
      std::vector<FieldError> wrong;
      auto body = co_await long_work(context, bytes.size(), [&] {
        return reading.reader->read(bytes, reading.kind, reading.content_type, context.arena, context.steps, wrong);
      });
      if (!body) {
        if (refuses(context, body.error())) co_return std::unexpected(std::move(body).error());
      } else {
        context.input.body = *body;
        if (reading.read_only) take_out(*reading.read_only, reading.kind, context);
      }
      errors.insert(errors.end(), std::make_move_iterator(wrong.begin()), std::make_move_iterator(wrong.end()));
    }
    if (!errors.empty()) {
      auto error = invalid(std::move(errors));
      if (refuses(context, error)) co_return std::unexpected(std::move(error));
    }
    auto answer = co_await next(request, context);
    co_return answer;
  }

  static void take_out(const contract::MarkedPlace& read_only, BodyKind kind, Context& context) {
    const auto* body = context.input.body;
    if (!body) return;
    // The schema of lines is that of each, or of all of them as a list.
    const contract::MarkedPlace lines{.below = true, .items = &read_only};
    const auto& place = kind == BodyKind::json_lines && !read_only.items ? lines : read_only;
    if (!contract::has_marked(place, *body)) return;
    const auto left = contract::without_marked(place, *body, context.arena);
    context.input.body = left ? &context.arena.make<json::Value>(*left) : nullptr;
  }

  Options options_;
  std::shared_ptr<BodyMemory> bodies_;
  const contract::Operation& operation_;
  contract::Parameters parameters_;
  std::vector<Declared> readers_;
  std::vector<std::string_view> offers_;  ///< of the successful answers
  std::string accepted_;
  bool any_offer_ = false, takes_any_body_ = false;
  bool any_parameters_ = false;  ///< of a declared media type: `application/json; version=2`
};

}  // namespace

extern constinit const Part validate = part<Validate>("validate", "Validates requests against the contract.");

}  // namespace plimsoll::policy
