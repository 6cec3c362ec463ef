#pragma once

#include "plimsoll/async/wait_list.hpp"
#include "plimsoll/exchange/cache/detached_exchange.hpp"
#include "plimsoll/http/origin_rules.hpp"

#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace plimsoll::origin {

using http::origin::Asked;
using http::origin::Stored;

/// One request to an origin whose response is gathered to be stored, while the one who caused it reads along: a slow
/// reader holds up nobody else, and one that leaves ends nothing. What turns out not to be stored is left to the reader
/// at the reader's own pace. Used by one loop.
struct Fill : std::enable_shared_from_this<Fill> {
  enum class Head : std::uint8_t { awaited, failed, confirmed, response };
  enum class Body : std::uint8_t { coming, whole, failed, left_to_reader };

  Fill(const Request& request, const Context& context, std::atomic<std::uint64_t>& gathered);
  ~Fill() { gathered.fetch_sub(size, std::memory_order_relaxed); }
  Fill(const Fill&) = delete;

  /// Asks whether `stored` is current, in place of whatever the request had asked for.
  void confirms(std::shared_ptr<const Stored> stored);
  /// Asks for the whole response, whatever of it the request has or wants.
  void asks_for_all();
  /// Ends early: head or body, whichever is awaited.
  void fail(Error error);
  /// Takes a piece of the body; false: all fills together have gathered as much as they may, `most`.
  bool add(Bytes piece, std::uint64_t most);
  /// Its body is in `stored`, and no view of a piece is in use.
  void release() {
    pieces.clear();
    gathered.fetch_sub(std::exchange(size, 0), std::memory_order_relaxed);
  }
  void wake() { news.wake_all(); }

  /// The fields that select a response, whatever is added to them on the way to the origin.
  const Headers& selecting() const { return asked_with ? *asked_with : exchange.request.headers; }

  DetachedExchange exchange;
  std::optional<Headers> asked_with{};  ///< a copy: the way to the origin changes those of `exchange`
  Asked asked;
  std::shared_ptr<const Stored> confirming{};  ///< null: the request is not conditional, or not by us
  bool for_all = false;                        ///< what the request has, or wants of it, was not sent on
  WaitList news;
  Head head = Head::awaited;
  Body body = Body::coming;
  std::optional<Error> error{};            ///< of head or body
  std::optional<Response> response{};      ///< of `Head::response`; its body is `source`, or whole
  std::shared_ptr<const Stored> stored{};  ///< what was confirmed or gathered
  bool kept = false;                       ///< `stored` is in the store
  bool stores = false;                     ///< the response will be in the store when it is whole
  Stream* source = nullptr;
  std::deque<std::string> pieces;
  std::uint64_t size = 0;  ///< of the pieces
  std::atomic<std::uint64_t>& gathered;
};

/// The body of a response while it is gathered.
class FillBody final : public Stream {
 public:
  FillBody(std::shared_ptr<Fill> fill, Loop& loop, Nanoseconds patience)
      : fill_(std::move(fill)), loop_(loop), patience_(patience) {}
  Task<Result<Bytes>> read() override;

 private:
  const std::shared_ptr<Fill> fill_;
  Loop& loop_;
  const Nanoseconds patience_;  ///< for one piece
  std::size_t next_ = 0;        ///< piece
  std::uint64_t given_ = 0;     ///< bytes
};

}  // namespace plimsoll::origin
