#pragma once

#include "plimsoll/exchange/context.hpp"
#include "plimsoll/policy/cache/cache_store.hpp"

#include <memory>
#include <optional>

namespace plimsoll::policy {

/// An exchange that fills the cache: nobody's but the cache's own, with its own memory, so that it outlives whoever
/// caused it.
struct CacheFill {
  enum class Asks : std::uint8_t {
    /// For what the cache key holds: the declared parameters in canonical form, without credentials and undeclared
    /// parameters; without conditions and ranges: what is kept is whole.
    canonical,
    as_sent,  ///< for what was asked for, with all fields of the request
  };
  CacheFill(const Request& request, const Context& context, Asks asks = Asks::canonical);
  CacheFill(const CacheFill&) = delete;

  std::shared_ptr<const void> in_use;  ///< the plan that answers: it outlives the fill
  Arena arena;
  Scope scope;
  Request request;
  Context context;
  Principal principal{};
  std::string_view resource{};  ///< the path as it was asked for, which changes of the resource are known by
};

/// What an operation's answers may be used for, and for how long.
struct Keeping {
  Nanoseconds ttl = 0, browser_ttl = 0, while_revalidate = 0, if_error = 0;
  std::size_t largest = 1 << 20;  ///< bytes of a body
  bool is_private = false;        ///< the operation needs to know its caller
};

/// What a cache fill has fetched.
struct Fetched {
  std::shared_ptr<const CachedAnswer> answer;  ///< null: an error, or no answer that can be handed on
  std::optional<Error> error;
  bool storable = false;  ///< for all who ask under its key
  bool failed() const { return error ? error->problem->status >= 500 : answer && answer->status >= 500; }
};

/// Judges the answer (RFC 9111, section 3) and makes of it what is kept. `now` is steady. `promised` are headers that
/// the fill's own exchange promised: what policies before the cache promise, each exchange promises anew.
Fetched fetched_of(const Result<Response>& answer, const Headers& promised, const Keeping& keeping, Basis basis,
                   Nanoseconds now);
/// The answer with what the cache says of it: `Age`, `Cache-Control`, `CDN-Cache-Control`. One that may not be kept is
/// given as it came.
Response answer_from(std::shared_ptr<const CachedAnswer> kept, Context& context, const Keeping& keeping,
                     Nanoseconds now);

}  // namespace plimsoll::policy
