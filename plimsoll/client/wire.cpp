#include "plimsoll/client/wire.hpp"

#include "plimsoll/base/arena_text.hpp"
#include "plimsoll/client/failure.hpp"
#include "plimsoll/exchange/body_memory.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/sent_once.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/negotiate.hpp"
#include "plimsoll/http/trailing.hpp"
#include "plimsoll/http/websocket.hpp"

#include <algorithm>
#include <optional>

namespace plimsoll::client {
namespace {

/// A body of known length up to this is sent together with the head, and can be sent again.
constexpr std::uint64_t kHeld = 64 * 1024;

/// Whether the first line of the request and its host can be sent, by any protocol; the fields are looked at when they
/// are written.
Result<> check_line(const Request& request, std::string_view host) {
  if (!is_token(request.method)) return fail(kInternal, "no method: " + std::string(request.method));
  if (std::ranges::any_of(request.target, ends_a_word) || request.target.contains('#'))
    return fail(kInternal, "a target that cannot be sent");
  if (std::ranges::any_of(host, ends_a_word)) return fail(kInternal, "a host that cannot be sent");
  return {};
}

/// The body of an answer while it is read: then its connection is given back. A body that is not read to its end takes
/// its connection along.
class AnswerBody final : public Stream, public http::Trailing, public Abandonable {
 public:
  AnswerBody(Connections& connections, std::shared_ptr<const Peer> peer, std::unique_ptr<Attempt> attempt,
             CallState& state)
      : connections_(connections), peer_(std::move(peer)), attempt_(std::move(attempt)), state_(state) {}

  Task<Result<Bytes>> read() override {
    if (failed_) co_return std::unexpected(*failed_);
    if (!attempt_) co_return Bytes{};
    auto piece = co_await attempt_->piece();
    if (!piece) {
      attempt_.reset();
      state_.finished();
      failed_ = unreachable(peer_->url, std::move(piece).error());
      if (failed_->problem == &kDeadlineExceeded && !failed_->more_)
        failed_ =
            std::move(*failed_).because(peer_->url.authority + ": the rest of the answer's body did not come within " +
                                        std::to_string(state_.timeouts.idle / kMillisecond) + " ms");
      co_return std::unexpected(*failed_);
    }
    if (piece->empty()) {
      take_trailers();
      connections_.give(*peer_, std::move(attempt_));
      state_.finished();
    }
    co_return as_bytes(*piece);
  }

  Task<> drain(std::size_t most) override {
    for (std::size_t taken = 0; attempt_ && taken <= most;) {
      const auto piece = co_await read();
      if (!piece || piece->empty()) break;
      taken += piece->size();
    }
  }
  std::span<const Header> trailers() const override { return trailers_; }
  void withhold(const std::vector<std::string>& names) noexcept override { withheld_ = &names; }
  void abandon() noexcept override { attempt_.reset(); }
  Switched take_over() override {
    Switched taken{.channel = nullptr};
    if (!attempt_) return taken;
    auto& attempt = *attempt_;
    if (const auto* connection = attempt.connection()) taken.early = connection->unread();
    taken.channel = attempt.channel(std::move(attempt_));
    taken.at_target = std::move(state_.at_target);
    state_.finished();
    return taken;
  }

 private:
  void take_trailers() {
    texts_ = attempt_->take_trailers();
    for (const auto& [name, value] : texts_)
      if (!withheld_ || std::ranges::find(*withheld_, name) == withheld_->end()) trailers_.push_back({name, value});
  }
  Connections& connections_;
  const std::shared_ptr<const Peer> peer_;
  std::unique_ptr<Attempt> attempt_;
  CallState& state_;
  std::optional<Error> failed_;
  std::vector<std::pair<std::string, std::string>> texts_;
  std::vector<Header> trailers_;
  const std::vector<std::string>* withheld_ = nullptr;
};

/// As `Trailer` lists them.
std::string names_of(std::span<const Header> fields) {
  std::string names;
  for (const auto& field : fields) names.append(names.empty() ? "" : ", ").append(field.name);
  return names;
}

}  // namespace

std::string_view base_path(const Url& url) {
  auto base = std::string_view(url.target).substr(0, url.target.find('?'));
  while (base.ends_with('/')) base.remove_suffix(1);
  return base;
}

std::string_view target_text(const Request& request, const Url& url) {
  if (request.target.empty()) return url.target;
  const auto base = base_path(url);
  if (base.empty()) return request.target;
  return (ArenaText{request.headers.arena(), base.size() + request.target.size()} << base << request.target).text();
}

Task<Result<>> hold_body(Request& request, Context& context) {
  auto& state = call_state(request, context);
  if (!request.body || state.held || !request.content_length || *request.content_length > kHeld) co_return Result<>{};
  std::string read;
  while (read.size() <= *request.content_length) {
    auto piece = co_await request.body->read();
    if (!piece) {
      state.body_failed = true;
      co_return std::unexpected(std::move(piece).error());
    }
    if (piece->empty()) break;
    read += as_text(*piece);
  }
  if (read.size() != *request.content_length) {
    state.body_failed = true;
    co_return fail(kInternal, "the body of a request does not have its declared length");
  }
  state.held = context.keep<std::string>(std::move(read));
  co_return Result<>{};
}

Task<Result<Response>> Wire::handle(Request& request, Context& context) {
  auto& state = call_state(request, context);
  // With the body of the answer, which may be read when the service that was called has gone.
  const std::shared_ptr<const Peer> peer{peers_, &(*peers_)[state.target]};
  const std::string_view host = request.authority.empty() ? peer->url.authority : request.authority;
  if (auto good = check_line(request, host); !good) [[unlikely]]
    co_return std::unexpected(std::move(good).error());
  const bool upgrade = !state.websocket_key.empty();
  const auto target = target_text(request, peer->url);
  Outgoing out{
      .method = request.method, .target = target, .authority = host, .fields = &request.headers, .upgrade = upgrade};
  if (request.body && !state.held) {
    auto kept = co_await hold_body(request, context);
    if (!kept) [[unlikely]]
      co_return std::unexpected(std::move(kept).error());
  }
  if (state.held) {
    out.body = *state.held;
  } else if (request.body) {
    out.rest = request.body;
    out.unknown_length = !request.content_length;
    out.rest_size = request.content_length.value_or(0);
    out.expects = state.expects_continue;
  }
  out.interim = state.informed ? &state : nullptr;
  out.trailing = state.trailing;
  // Of a body that is held they are known; of one that is still to come what its sender says of them.
  const auto trailer = state.held && state.trailing ? names_of(state.trailing->trailers()) : std::string(state.trailer);
  out.trailer = trailer;
  const bool may_have_body = request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
  out.says_length = !out.unknown_length && (state.held || request.body || may_have_body);

  auto& connections = context.loop.own<Connections>();
  // A body that comes as a stream is gone once it is read.
  const bool repeatable = !out.rest && is_repeatable(request, state);
  auto begun = co_await connections.begin(*peer, out, state, repeatable);
  if (out.rest && state.connected) state.spent = true;
  if (!begun) [[unlikely]]
    co_return std::unexpected(std::move(begun).error());
  auto& attempt = *begun;
  Response response{.status = 0, .headers = Headers{context.arena}};
  response.status = attempt->head(response.headers);
  if (says_nothing_done(response.status)) state.nothing_done();
  const bool switched = upgrade && response.status == 101;
  if (switched && attempt->connection()) [[unlikely]] {  // HTTP/2 knows no key (RFC 8441, section 5.1)
    const http::WebSocketAnswer said{.upgrade = response.headers.joined("upgrade"),
                                     .connection = response.headers.joined("connection"),
                                     .accept = response.headers.joined("sec-websocket-accept")};
    if (const auto why = http::refusal_of(said, state.websocket_key); !why.empty())
      co_return fail(kBadAnswer, std::string(why));
  }
  if (state.timeouts.passed_on) attempt->unbounded(http::is_event_stream(response.headers.find("content-type")));
  if (const auto body = attempt->short_body(BodyMemory::kUncounted); !body.empty()) response.body = context.kept(body);
  if (attempt->whole() && !switched) {
    connections.give(*peer, std::move(attempt));
  } else {
    auto& body = context.arena.make<AnswerBody>(connections, peer, std::move(attempt), state);
    state.answer = &body;
    response.body = lasting(body);
  }
  co_return response;
}

}  // namespace plimsoll::client
