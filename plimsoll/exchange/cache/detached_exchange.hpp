#pragma once

#include "plimsoll/exchange/cache/fills.hpp"
#include "plimsoll/exchange/context.hpp"

#include <cstdint>
#include <memory>
#include <string_view>

namespace plimsoll {

/// An exchange that fills a cache: nobody's but the cache's own, with its own memory, so that it outlives whoever
/// caused it. A GET of what the request is for, by the same caller.
struct DetachedExchange {
  enum class Fields : std::uint8_t { as_sent, left_out };
  /// All that is used of `request` and `context` is copied. Without `Fields::as_sent` the request has no fields.
  DetachedExchange(const Request& request, const Context& context, Fields fields = Fields::as_sent);
  DetachedExchange(const DetachedExchange&) = delete;

  std::shared_ptr<const void> in_use;  ///< the plan that answers: it outlives the fill
  Arena arena;
  Scope scope;
  Fills::Entry entry;  ///< the end of the process waits for it, and stops it
  Request request;
  Context context;
  Principal principal{};
  std::string_view resource{};  ///< the path as it was asked for, which changes of the resource are known by
};

}  // namespace plimsoll
