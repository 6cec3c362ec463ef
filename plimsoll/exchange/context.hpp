#pragma once

#include "plimsoll/async/loop.hpp"
#include "plimsoll/base/clock.hpp"
#include "plimsoll/base/steps.hpp"
#include "plimsoll/exchange/policy.hpp"
#include "plimsoll/exchange/principal.hpp"
#include "plimsoll/exchange/services.hpp"
#include "plimsoll/http/field_block.hpp"
#include "plimsoll/http/message.hpp"
#include "plimsoll/json/value.hpp"

#include <concepts>
#include <span>
#include <string>
#include <string_view>

namespace plimsoll::contract {
struct Operation;
}

namespace plimsoll {

/// What the request says, checked against the contract: defaults filled in, types right.
struct Input {
  /// One value per parameter of the operation, in the contract's order; null where absent and without default.
  std::span<const json::Value* const> parameters{};
  const json::Value* body = nullptr;  ///< of a JSON (or form) body; null when there is none
  std::string_view body_text{};       ///< raw bytes of a body that was read whole
  std::string_view media_type{};      ///< of the body, without parameters
};

/// What is written about the exchange when its last byte has gone.
struct Outcome {
  std::uint16_t status = 0;
  std::string_view problem{};            ///< code, empty: none
  std::string_view policy{};             ///< that refused
  std::string_view detail{};             ///< for the log
  std::uint64_t sent = 0, received = 0;  ///< body bytes
  bool cut = false;                      ///< the body of the answer failed: it is this side that ended it early
  bool client_gone = false;
  const Headers* failure_headers = nullptr;  ///< of a response with status 400 or above, else null
  std::string_view failure_body{};           ///< of such a response where its bytes are in the arena, else empty

  /// The client left before anything was sent to it: whatever was made of that on the way is no error of the server.
  void left() {
    status = kClientGone.status;
    problem = kClientGone.code;
    policy = {};
    sent = 0;
    client_gone = true;
  }
};

/// How an exchange came to its turn on a loop that has much to do. Written by the edge, read by whoever refuses for
/// load.
struct Admission {
  /// Requests that were ready as well and had not been begun, as important as this one or more.
  std::int64_t waiting = 0;
  /// Its loop has more to do than it can: this one is among those that should be refused.
  bool refused = false;
};

/// Interim responses (1xx) to a client, before the final one (RFC 9110, section 15.2).
class InterimResponses {
 public:
  /// Sends one, where the client's version of HTTP knows them and the final response has not begun. Nothing is used
  /// after the call.
  virtual void inform(std::uint16_t status, std::span<const Header> fields) = 0;

 protected:
  ~InterimResponses() = default;
};

/// What is known about one exchange. One per request, in its arena, used by one thread.
class Context {
 public:
  Context(Arena& arena, Loop& loop, const Services& services)
      : arena(arena), loop(loop), services(services), promised(arena) {}
  Context(const Context&) = delete;

  Arena& arena;
  Loop& loop;
  const Services& services;
  Nanoseconds started = 0;  ///< steady
  Nanoseconds now = 0;      ///< steady, of this turn of the loop
  Nanoseconds wall = 0;     ///< Unix
  const contract::Operation* operation = nullptr;
  const Link* chain = nullptr;  ///< of the operation, once the request has been routed
  Admission admission;
  std::string_view path{};                          ///< of the request, percent-encoded
  std::span<const std::string_view> path_values{};  ///< captured, percent-encoded, in template order
  Input input;
  const Principal* principal = nullptr;  ///< null: nobody has vouched
  std::string_view trace_id{}, span_id{}, request_id{};
  bool trace_sampled = false;
  Outcome outcome;
  Scope* scope = nullptr;               ///< of the exchange's line of work
  InterimResponses* interim = nullptr;  ///< null: there is no client to send them to
  /// Bytes of body that are read before the caller is refused (413): the listener's limit, or the operation's own once
  /// somebody sets it.
  std::uint64_t body_limit = UINT64_MAX;
  /// What holding this request against the contract may still cost, whoever does it.
  Steps steps;

  /// The handler has left out of the body, or put into it, what the caller asked for: the declared schema does not say
  /// which members there are.
  bool shaped = false;

  /// A header of whatever answer leaves, be it a refusal: known before the answer is, so no policy has to wait for one.
  /// A header of the same name that the answer brings itself wins; `vary` is gathered from all who promise it.
  [[gnu::always_inline]] void promise(FieldText name, FieldText value) {
    if (name.view() == "vary")
      promised.add(name, value);
    else
      promised.set(name, value);
  }
  /// The same for fields that never change; the block outlives the exchange. All of it is sent at once where the answer
  /// brings no name of it.
  void promise(const FieldBlock&& block) = delete;
  void promise(const FieldBlock& block) {
    if (!promised_block_)
      promised_block_ = &block;
    else
      promise_each(block);
  }
  /// The same for fields whose values are worked out when the answer leaves; they live in the exchange's arena.
  void promise_late(LateFields& fields) {
    fields.next = std::exchange(late_, &fields);
    fields.before = std::exchange(promised_block_, &fields);
  }
  /// All promised blocks, now that the answer leaves: those that are late are written.
  const FieldBlock* promised_fields();
  /// Kept until the last byte of the answer is sent or the client is gone: permits, leases, what a log line needs.
  /// Ended, last made first, while the request and this context (with its `outcome`) are still there.
  template <class T, class... A>
  T& keep(A&&... arguments) {
    return arena.make<T>(std::forward<A>(arguments)...);
  }
  /// A copy of the text, to be sent: a body, a field.
  Lasting kept(std::string_view text) { return lasting(arena.keep(text)); }
  /// The text itself where it is long, else a copy.
  template <std::same_as<std::string> S>
  Lasting kept(S&& text) {
    return keep_string(std::move(text));
  }
  /// The body of a response. Up to 16 KiB lie in the arena until the exchange ends; the memory of a longer text is
  /// given back when it is sent, or when it has to wait on disk for its reader (`hold_unread`).
  Body body(std::string&& text);
  /// A stream that is sent: the body of a response that comes piece by piece.
  template <std::derived_from<Stream> S, class... A>
  LastingStream stream(A&&... arguments) {
    return lasting(keep<S>(std::forward<A>(arguments)...));
  }
  /// A piece of an open file, to be sent. The exchange closes the descriptor when it ends.
  File file(int descriptor, std::uint64_t offset, std::uint64_t length);
  /// The instant (steady) at which the exchange ended: the first time somebody asks, once its last byte is sent.
  Nanoseconds ended() const {
    if (ended_ == 0) ended_ = services.clock->steady();
    return ended_;
  }
  /// What a part leaves for its own later place in the chain, one T per exchange; `noted` gives null before.
  template <class T, class... A>
  T& note(A&&... arguments) {
    auto& made = arena.make<T>(std::forward<A>(arguments)...);
    notes_ = &arena.make<Note>(&type_key<T>, &made, notes_);
    return made;
  }
  template <class T>
  T* noted() const {
    for (auto* at = notes_; at; at = at->before)
      if (at->key == &type_key<T>) return static_cast<T*>(at->value);
    return nullptr;
  }
  /// Shortens the exchange: at that instant (steady) its scope is told to stop. Only ever earlier. Arms itself.
  /// `by` answers for it when it has passed.
  void deadline(Nanoseconds at, const Policy* by = nullptr);
  Nanoseconds deadline() const { return deadline_; }  ///< 0: none
  const Policy* deadline_by() const { return deadline_by_; }
  /// Called by the edge when the answer is whole: what is sent has limits of its own.
  void answered() { cut_.disarm(); }

  /// The answer was read from this table: a cached answer is old once that is written.
  void read(FieldText table) { tables_read_.add(arena, table); }
  /// The unit of work writes this table: known to caches when it has committed.
  void wrote(FieldText table) { tables_written_.add(arena, table); }
  std::span<const std::string_view> tables_read() const { return tables_read_.all(); }
  std::span<const std::string_view> tables_written() const { return tables_written_.all(); }

  /// What becomes durable together with the answer. Made at the first call.
  Unit& unit();
  Unit* begun_unit() const { return unit_; }

  Headers promised;

 private:
  Lasting keep_string(std::string&& text);
  const FieldBlock* promised_block_ = nullptr;
  void promise_each(const FieldBlock& block);
  LateFields* late_ = nullptr;
  struct Names {  // few, each once
    std::string_view* names = nullptr;
    std::uint32_t size = 0, room = 0;
    std::span<const std::string_view> all() const { return {names, size}; }
    void add(Arena& arena, FieldText name);
  };
  struct Note {
    const void* key;
    void* value;
    Note* before;
  };
  Note* notes_ = nullptr;
  Names tables_read_, tables_written_;
  struct Cut : Alarm {
    Context* context = nullptr;
  };
  Nanoseconds deadline_ = 0;
  const Policy* deadline_by_ = nullptr;
  mutable Nanoseconds ended_ = 0;
  Cut cut_;
  Unit* unit_ = nullptr;
};

/// Whether the fields of a response are where they last as long as the exchange.
inline bool lasts(const Response& response, const Context& context) {
  return &response.headers.arena() == &context.arena;
}
/// What is told of one whose fields do not.
Error fields_elsewhere();

}  // namespace plimsoll
