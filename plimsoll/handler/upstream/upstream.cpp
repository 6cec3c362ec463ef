#include "plimsoll/handler/upstream/upstream.hpp"

#include "plimsoll/base/arena_text.hpp"
#include "plimsoll/client/call_state.hpp"
#include "plimsoll/client/problems.hpp"
#include "plimsoll/client/random.hpp"
#include "plimsoll/client/service.hpp"
#include "plimsoll/client/targets.hpp"
#include "plimsoll/contract/body.hpp"
#include "plimsoll/contract/lookalikes.hpp"
#include "plimsoll/database/database.hpp"
#include "plimsoll/exchange/body_memory.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/request_trailers.hpp"
#include "plimsoll/handler/upstream/fields.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/method.hpp"
#include "plimsoll/http/negotiate.hpp"
#include "plimsoll/http/trailing.hpp"
#include "plimsoll/http/websocket.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

namespace plimsoll::handler::forwarding {
namespace {

/// The same as of the server, whose room is a younger one.
constexpr Problem kNoSuchPath{"not-found", 404, "Not found", "Check the path; /openapi.json lists the operations."};
constexpr std::uint64_t kMostHeld = 16u << 20;  ///< of an answer that something looks at

/// A body of which the beginning has been read already.
class BegunStream final : public Stream, public http::Trailing {
 public:
  BegunStream(std::string begun, Stream& rest) : begun_(std::move(begun)), rest_(rest) {}
  Task<Result<Bytes>> read() override {
    if (!std::exchange(given_, true) && !begun_.empty()) co_return as_bytes(begun_);
    auto piece = co_await rest_.read();
    co_return piece;
  }
  std::span<const Header> trailers() const override { return http::trailers_of(rest_); }

 private:
  const std::string begun_;
  Stream& rest_;
  bool given_ = false;
};

struct Beginning {
  std::string text;
  bool whole = false;
};
/// As much of a body as is compared with that of a copy.
Task<Result<Beginning>> beginning(const Response& answer, Stream& stream) {
  Beginning begun;
  const auto told = answer.headers.find("content-length");
  std::uint64_t length = 0;
  if (std::from_chars(told.data(), told.data() + told.size(), length).ec == std::errc{} &&
      length > Mirror::kMostCompared)
    co_return begun;
  while (begun.text.size() <= Mirror::kMostCompared) {
    auto piece = co_await stream.read();
    if (!piece) co_return std::unexpected(std::move(piece).error());
    begun.whole = piece->empty();
    if (begun.whole) break;
    begun.text += as_text(*piece);
  }
  co_return begun;
}

/// There is no room for the answer. What was asked for may have been done all the same.
Error without_room(std::string_view method, Error error) {
  if (http::is_safe(method)) return error;
  return Error{&database::kOutcomeUnknown}.because("the response of the service had no room in memory or on disk");
}

/// What is learned of one exchange, as far as it has passed.
struct Lesson {
  std::shared_ptr<Learned> learned;
  std::string method, path, query, request_type, response_type;
  std::string request_body{}, response_body{};
  bool request_whole = false, response_whole = false;
  std::uint16_t status = 0;

  void end() const {
    learned->take({.method = method,
                   .path = path,
                   .query = query,
                   .request_type = request_type,
                   .request_body = request_whole ? std::optional<std::string_view>(request_body) : std::nullopt,
                   .status = status,
                   .response_type = response_type,
                   .response_body = response_whole ? std::optional<std::string_view>(response_body) : std::nullopt});
  }
};

/// A body on its way, of which a copy is kept while it is small.
class Copied final : public Stream, public http::Trailing {
 public:
  /// `ends`: null, or the lesson that ends with it.
  Copied(Stream& body, std::string& into, bool& whole, const Lesson* ends)
      : body_(body), into_(into), whole_(whole), ends_(ends) {}
  Task<Result<Bytes>> read() override {
    auto piece = co_await body_.read();
    if (!piece) co_return piece;
    if (!piece->empty()) {
      fits_ = fits_ && into_.size() + piece->size() <= Learned::kLargestBody;
      if (fits_)
        into_.append(reinterpret_cast<const char*>(piece->data()), piece->size());
      else
        into_ = {};
    } else if (!ended_) {
      ended_ = true;
      whole_ = fits_;
      if (ends_) ends_->end();
    }
    co_return piece;
  }
  std::span<const Header> trailers() const override { return http::trailers_of(body_); }

 private:
  Stream& body_;
  std::string& into_;
  bool& whole_;
  const Lesson* ends_;
  bool fits_ = true, ended_ = false;
};

/// Fields behind the body of the request, as they are passed on.
class PassedTrailers final : public http::Trailing {
 public:
  PassedTrailers(Context& context, const Route& route) : context_(context), route_(route) {}
  std::span<const Header> trailers() const override {
    const auto* came = context_.noted<RequestTrailers>();
    if (!came) return {};
    auto* const passed = context_.arena.array<Header>(came->fields.size());
    const auto end = std::ranges::copy_if(came->fields, passed, [&](const Header& field) {
                       return passes_behind_body(field.name, route_.passing, route_.request);
                     }).out;
    return {passed, end};
  }
  /// Those of the names that `Trailer` lists.
  std::string_view listed(std::string_view names) const {
    std::string passed;
    each_of(names, [&](std::string_view one) {
      const auto name = lowered(one);
      if (!passes_behind_body(name, route_.passing, route_.request)) return;
      if (!passed.empty()) passed += ", ";
      passed += name;
    });
    return context_.arena.keep(passed);
  }

 private:
  Context& context_;
  const Route& route_;
};

/// Passes interim answers on, with the fields that those of an answer may have.
class PassedInterim final : public client::InterimTaker {
 public:
  PassedInterim(Context& context, const FieldRules& rules) : context_(context), rules_(rules) {}
  void interim(client::Answer answer) override {
    if (!context_.interim) return;
    Response came{.status = answer.status, .headers = Headers{context_.arena}};
    for (const auto& [name, value] : answer.headers) came.headers.add(name, value);
    Headers passed{context_.arena};
    response_fields(came, false, passed);
    for (const auto& name : rules_.remove) passed.remove(name);
    for (const auto& [name, value] : rules_.set) passed.remove(name);
    context_.interim->inform(answer.status, {passed.begin(), passed.end()});
  }

 private:
  Context& context_;
  const FieldRules& rules_;
};

class Upstream final : public Handler {
 public:
  explicit Upstream(Route route) : route_(std::move(route)) {}

  Task<Result<Response>> handle(Request& request, Context& context) override {
    std::optional<client::Permit> websocket;
    if (route_.websockets && http::asks_for_websocket(request)) [[unlikely]] {
      auto entered = route_.websockets->enter(request, context);
      if (!entered) co_return std::unexpected(std::move(entered).error());
      websocket = std::move(*entered);
    }
    auto target = request.path;
    if (!route_.path.empty()) {
      auto path = route_.path.path(context.path_values);
      if (!path) co_return std::unexpected(std::move(path).error());
      target = context.kept(std::move(*path));
    } else if (route_.declared && context.operation && !route_.declared->is_clear(*context.operation, request.path)) {
      co_return fail(kNoSuchPath, "a path that may be taken for another one is not passed on");
    }
    const auto query = passed_query(request.query, context.arena, route_.passing);
    if (request.has_query && query.empty() == request.query.empty()) {
      ArenaText whole{context.arena, target.size() + 1 + query.size()};
      target = (whole << target << "?" << query).text();
    }
    // In the arena: the state of the call is found by it as long as the answer is read.
    auto& onward = context.keep<Request>(Request{
        .method = request.method, .target = target, .headers = request_fields(request, context.arena, route_.passing)});
    route_.request.apply_to_request(onward.headers);
    const auto copied = route_.mirror ? kept_fields(onward.headers) : std::span<const Header>{};
    onward.authority = route_.host == "client" ? request.authority : std::string_view(route_.host);
    onward.peer = request.peer;
    auto& state = client::call_state(onward, context);
    if (const auto read = context.input.body_text; !request.body && !read.empty()) {
      onward.body = &context.arena.make<TextStream>(read);
      onward.content_length = read.size();
      state.held = read;
    } else if (request.body) {
      onward.body = request.body;
      onward.content_length = request.content_length;
      state.expects_continue = same_as_lower(request.headers.find("expect"), "100-continue");
    }
    pass_both_ways(request, onward, state, context);
    // A WebSocket shows nothing that an operation could be written from.
    auto* lesson = route_.learned && !websocket ? begin_lesson(request, onward, context) : nullptr;
    if (websocket) [[unlikely]] {
      // An extended CONNECT has no key, and what a client says all the same is not one.
      if (!request.protocol.empty())
        onward.headers.set("sec-websocket-key", http::new_websocket_key(client::random_bits(), client::random_bits()));
      state.websocket_key = onward.headers.find("sec-websocket-key");
    }
    auto answered = co_await route_.service->call(onward, context);
    if (!answered) [[unlikely]]
      co_return std::unexpected(std::move(answered).error());
    if (state.credential_refused) [[unlikely]] {
      if (state.answer) state.answer->abandon();
      // 401 would make the caller doubt its own credential.
      co_return std::unexpected(Error{&client::kCredentialRefused}.because(
          "service `" + route_.service->name() + "` answered " + std::to_string(answered->status) +
          " to this server's credential"));
    }
    if (answered->status == 206 && !route_.passing.parts && !onward.headers.contains("range")) [[unlikely]] {
      if (state.answer) state.answer->abandon();
      co_return std::unexpected(Error{&client::kBadAnswer}.because(
          "service `" + route_.service->name() + "` answered with a part (206) where it was asked for all"));
    }
    state.use_interim();
    Response response{.status = answered->status, .headers = Headers{context.arena}};
    if (answered->status == 101 && websocket) [[unlikely]] {
      auto& tunnel = context.keep<client::Tunnel>(context.loop, state.answer->take_over(), std::move(*websocket),
                                                  route_.websockets->tunnel());
      context.note<Upgrading>("websocket", tunnel);
      response_fields(*answered, false, response.headers);
      if (!request.protocol.empty())
        response.headers.remove("sec-websocket-accept");
      else if (!response.headers.contains("sec-websocket-accept"))  // the service was asked by HTTP/2, without a key
        response.headers.add("sec-websocket-accept", http::websocket_accept(state.websocket_key));
      route_.response.apply_to_response(response.headers);
      co_return response;
    }
    auto* const* stream = std::get_if<Stream*>(&answered->body);
    const bool mirrored = route_.mirror && route_.mirror->takes(request.method);
    auto whole = whole_text(answered->body);
    if (stream && is_held(*answered)) {
      auto all = co_await hold(*answered, request, context);
      if (!all) co_return std::unexpected(std::move(all).error());
      whole = *all;
    } else if (stream && mirrored &&
               is_text(*answered)) {  // a long one passes through, and its caller notices no mirror
      auto begun = co_await beginning(*answered, **stream);
      if (!begun) co_return std::unexpected(std::move(begun).error());
      if (begun->whole)
        whole = context.keep<std::string>(std::move(begun->text));
      else
        response.body = lasting(context.arena.make<BegunStream>(std::move(begun->text), **stream));
    } else if (stream) {
      response.body = std::move(answered->body);
    }
    if (state.answer && !route_.response.remove.empty()) state.answer->withhold(route_.response.remove);
    response_fields(*answered, !whole || request.method == "HEAD", response.headers);
    route_.response.apply_to_response(response.headers);
    const auto seen = whole;
    if (whole) {
      if (!whole->empty()) response.body = lasting(*whole);
      // How long the answer to GET would be was not said: it is not 0.
      if (request.method == "HEAD" && !answered->headers.contains("content-length"))
        response.body = lasting(context.arena.make<TextStream>(""));
    }
    if (lesson) [[unlikely]]
      end_lesson(*lesson, *answered, seen, response, context);
    if (mirrored) [[unlikely]] {
      const auto* targets = route_.service->targets().get();
      const auto* split = targets ? targets->split() : nullptr;
      // A caller of that group is answered by it already.
      if (!split || split->of_target(state.target) != route_.mirror->group())
        route_.mirror->after(context, {.method = onward.method,
                                       .target = target,
                                       .authority = onward.authority,
                                       .fields = copied,
                                       .traceparent = onward.headers.find("traceparent"),
                                       .request_id = onward.headers.find("x-request-id"),
                                       .request_body = onward.body ? state.held : std::optional<std::string_view>(""),
                                       .status = answered->status,
                                       .body = seen,
                                       .content_type = answered->headers.find("content-type")});
    }
    co_return response;
  }

 private:
  /// As they are now, whatever comes of them on the way.
  static std::span<const Header> kept_fields(const Headers& headers) {
    auto* const kept = headers.arena().array<Header>(headers.size());
    return {kept, std::ranges::copy(headers, kept).out};
  }

  /// What passes beside the two messages: fields behind the body of the request, interim answers.
  void pass_both_ways(const Request& request, const Request& onward, client::CallState& state, Context& context) const {
    if (context.interim) state.informed = &context.arena.make<PassedInterim>(context, route_.response);
    if (!onward.body) return;
    const auto& trailers = context.arena.make<PassedTrailers>(context, route_);
    state.trailing = &trailers;
    if (request.headers.contains("trailer")) state.trailer = trailers.listed(request.headers.joined("trailer"));
  }

  /// JSON or another text, but no events.
  static bool is_text(const Response& answer) {
    const auto type = http::essence(answer.headers.find("content-type"));
    const auto kind = contract::body_kind(type);
    using enum contract::BodyKind;
    return !http::is_event_stream(type) && (kind == json || kind == json_lines || kind == text);
  }

  /// The whole body, within the budget of all bodies that are held; lives as long as the exchange.
  Task<Result<std::string_view>> hold(const Response& answer, const Request& request, Context& context) const {
    const auto method = request.method;
    auto* const* stream = std::get_if<Stream*>(&answer.body);
    if (!route_.bodies) {
      auto all = co_await client::whole_body(answer, kMostHeld);
      if (!all) co_return std::unexpected(std::move(all).error());
      co_return std::string_view(context.keep<std::string>(std::move(*all)));
    }
    std::optional<std::uint64_t> length;
    const auto said = answer.headers.find("content-length");
    if (std::uint64_t bytes = 0; method != "HEAD" && answer.status != 304 &&
                                 std::from_chars(said.data(), said.data() + said.size(), bytes).ec == std::errc{})
      length = bytes;
    auto& whole = context.keep<WholeBody>(context, *route_.bodies, request.peer, kMostHeld, length);
    while (whole.fits() && !whole.error()) {
      auto piece = co_await (*stream)->read();
      if (!piece) co_return std::unexpected(std::move(piece).error());
      if (piece->empty()) break;
      whole.add(*piece);
      if (whole.spools()) co_await whole.spool();
    }
    if (!whole.fits()) co_return fail(client::kAnswerTooLarge);
    const auto text = whole.error() ? std::string_view{} : whole.text();
    if (whole.error()) co_return std::unexpected(without_room(method, *whole.error()));
    if (route_.copies && text.size() > BodyMemory::kUncounted) {
      auto& copy = context.keep<BodyShare>(*route_.bodies, request.peer);
      if (!copy.take_memory(text.size())) co_return std::unexpected(without_room(method, copy.refused()));
    }
    co_return text;
  }

  /// What something looks at is held whole, and so is what is small; the rest passes through.
  bool is_held(const Response& answer) const {
    if (http::is_event_stream(answer.headers.find("content-type"))) return false;
    if (route_.holds_text && is_text(answer)) return true;
    const auto told = answer.headers.find("content-length");
    std::uint64_t length = 0;
    return std::from_chars(told.data(), told.data() + told.size(), length).ec == std::errc{} &&
           length <= route_.held_anyhow;
  }

  /// Null: no operation of the contract can have that path.
  Lesson* begin_lesson(const Request& request, Request& onward, Context& context) const {
    auto path = std::optional<std::string_view>{};
    for (const std::string_view base : route_.bases)
      if (request.path.starts_with(base) && (request.path.size() == base.size() || request.path[base.size()] == '/') &&
          (!path || request.path.size() - base.size() < path->size()))
        path = request.path.substr(base.size());
    if (!path) return nullptr;
    auto& lesson = context.keep<Lesson>(Lesson{.learned = route_.learned,
                                               .method = std::string(request.method),
                                               .path = std::string(path->empty() ? "/" : *path),
                                               .query = std::string(request.query),
                                               .request_type = {},
                                               .response_type = {}});
    if (onward.body) {
      lesson.request_type = request.headers.find("content-type");
      if (!request.headers.contains("content-encoding"))
        onward.body = &context.keep<Copied>(*onward.body, lesson.request_body, lesson.request_whole, nullptr);
    }
    return &lesson;
  }
  static void end_lesson(Lesson& lesson, const Response& answered, std::optional<std::string_view> seen,
                         Response& response, Context& context) {
    lesson.status = answered.status;
    lesson.response_type = answered.headers.find("content-type");
    const bool coded = answered.headers.contains("content-encoding");
    auto* const* stream = std::get_if<Stream*>(&response.body);
    if (!seen && stream && *stream && !coded) {
      response.body = lasting(context.keep<Copied>(**stream, lesson.response_body, lesson.response_whole, &lesson));
      return;
    }
    if (seen && !coded && seen->size() <= Learned::kLargestBody) {
      lesson.response_body = *seen;
      lesson.response_whole = true;
    }
    lesson.end();
  }

  const Route route_;
};

/// Segments of a path as the most lenient of servers reads it, 0 of `/`; nothing where that cannot be said.
std::optional<std::ptrdiff_t> segments_of(std::string_view path) {
  const auto folded = contract::fold_path(path);
  if (!folded) return std::nullopt;
  return *folded == "/" ? 0 : std::ranges::count(*folded, '/');
}

}  // namespace

Result<PathTemplate> PathTemplate::make(std::string_view text, std::span<const std::string> parameters) {
  PathTemplate made;
  if (!text.starts_with('/')) return fail(config::kConfiguration, "`path` begins with /");
  while (!text.empty()) {
    const auto open = text.find('{');
    Part part{.text = std::string(text.substr(0, open))};
    if (part.text.contains('}') || part.text.contains('?') || part.text.contains('#') || part.text.contains(' '))
      return fail(config::kConfiguration, "`path` is a path whose values stand in {braces}, without query");
    text.remove_prefix(part.text.size());
    if (!text.empty()) {
      const auto close = text.find('}');
      if (close == text.npos) return fail(config::kConfiguration, "`path` has a { that is not closed");
      const auto name = text.substr(1, close - 1);
      const auto known = std::ranges::find(parameters, name);
      if (known == parameters.end())
        return fail(config::kConfiguration,
                    "`path` names {" + std::string(name) + "}, which is no path parameter of the operation");
      part.value = static_cast<int>(known - parameters.begin());
      text.remove_prefix(close + 1);
    }
    made.parts_.push_back(std::move(part));
  }
  std::string plain;
  for (const auto& part : made.parts_) plain.append(part.text).append(part.value < 0 ? "" : "x");
  const auto segments = segments_of(plain);
  if (!segments) return fail(config::kConfiguration, "`path` has no dot segments and no controls");
  made.segments_ = *segments;
  return made;
}

Result<std::string> PathTemplate::path(std::span<const std::string_view> values) const {
  std::string path;
  for (const auto& part : parts_) {
    path += part.text;
    if (part.value < 0) continue;
    const auto index = static_cast<std::size_t>(part.value);
    // A value is one segment: it neither ends the path nor begins a segment in place of one that another value removes.
    if (index >= values.size() || segments_of("/x" + std::string(values[index])) != 1)
      return fail(kNoSuchPath, "a value of the path is no name");
    path += values[index];
  }
  if (segments_of(path) != segments_) return fail(kNoSuchPath, "a value of the path is no name");
  return path;
}

std::unique_ptr<Handler> make_upstream(Route route) { return std::make_unique<Upstream>(std::move(route)); }

}  // namespace plimsoll::handler::forwarding

namespace plimsoll::handler {

Result<std::unique_ptr<Handler>> upstream(std::string_view url, const Services& services) {
  if (url.contains('?')) return fail(client::kBadUrl, "`" + std::string(url) + "` holds a query");
  auto service =
      client::Service::make({.name = "upstream", .url = std::string(url), .timeouts = {.passed_on = true}}, services);
  if (!service) return std::unexpected(std::move(service).error());
  return forwarding::make_upstream({.service = std::move(*service)});
}

}  // namespace plimsoll::handler
