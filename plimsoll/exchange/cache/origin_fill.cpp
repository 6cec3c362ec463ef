#include "plimsoll/exchange/cache/origin_fill.hpp"

namespace plimsoll::origin {

Fill::Fill(const Request& request, const Context& context, std::atomic<std::uint64_t>& gathered)
    : exchange(request, context), gathered(gathered) {}

void Fill::asks_for_all() {
  for_all = true;
  for (const auto* name : {"if-none-match", "if-modified-since", "if-range", "range"})
    exchange.request.headers.remove(name);
}

void Fill::confirms(std::shared_ptr<const Stored> from) {
  asks_for_all();
  confirming = std::move(from);
  const auto condition = http::origin::condition_of(*confirming);
  if (!condition.etag.empty()) exchange.request.headers.add("if-none-match", condition.etag);
  if (!condition.last_modified.empty()) exchange.request.headers.add("if-modified-since", condition.last_modified);
}

void Fill::fail(Error why) {
  if (head == Head::awaited)
    head = Head::failed;
  else if (body == Body::coming)
    body = Body::failed;
  else
    return;
  error = std::move(why);
  wake();
}

bool Fill::add(Bytes piece, std::uint64_t most) {
  pieces.emplace_back(as_text(piece));
  size += piece.size();
  return gathered.fetch_add(piece.size(), std::memory_order_relaxed) + piece.size() <= most;
}

Task<Result<Bytes>> FillBody::read() {
  auto& fill = *fill_;
  for (;;) {
    if (fill.body == Fill::Body::whole) {
      fill.release();
      const auto rest = as_bytes(fill.stored->content->text).subspan(given_);
      given_ += rest.size();
      co_return rest;
    }
    if (next_ < fill.pieces.size()) {
      // It stays where it is: a deque moves nothing when it grows.
      const auto piece = as_bytes(fill.pieces[next_++]);
      given_ += piece.size();
      co_return piece;
    }
    if (fill.body == Fill::Body::failed) co_return std::unexpected(*fill.error);
    if (fill.body == Fill::Body::left_to_reader) {
      auto piece = co_await fill.source->read();
      co_return piece;
    }
    auto woken = co_await fill.news.wait(loop_, patience_,
                                         [&] { return next_ < fill.pieces.size() || fill.body != Fill::Body::coming; });
    if (!woken) co_return std::unexpected(std::move(woken).error());
    if (!*woken) co_return fail(kDeadlineExceeded);
  }
}

}  // namespace plimsoll::origin
