#pragma once

#include "plimsoll/exchange/cache/cache_store.hpp"
#include "plimsoll/exchange/cache/detached_exchange.hpp"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::policy {

/// An exchange that fills the cache.
struct CacheFill : DetachedExchange {
  enum class Asks : std::uint8_t {
    /// For what the cache key holds: the declared parameters in canonical form, without credentials and undeclared
    /// parameters; without conditions and ranges: what is kept is whole.
    canonical,
    /// The same, and with nothing else that is not in the key: of the fields only declared parameters and what `vary`
    /// names, no address of a client. For what is sent to a service, which may make its response from anything.
    keyed,
  };
  /// `vary`: names of fields that the key holds as the request has them.
  CacheFill(const Request& request, const Context& context, Asks asks = Asks::canonical,
            std::span<const std::string> vary = {});
  std::vector<std::string> carries;  ///< these names
};

/// How the request of a fill with `Asks::keyed` stands to a field of that name (lower case).
enum class Carried : std::uint8_t {
  by_vary,  ///< it is carried where the key holds it because of `Vary`
  always,   ///< what is sent for it is made from the key
  never,    ///< a credential, or what tells of one client or request
};
Carried carried(const contract::Operation& operation, std::string_view name);

/// What an operation's answers may be used for, and for how long.
struct Keeping {
  Nanoseconds ttl = 0, browser_ttl = 0, while_revalidate = 0, if_error = 0;
  std::size_t largest = 1 << 20;  ///< bytes of a body
  bool is_private = false;        ///< the operation needs to know its caller
  /// Of the operation whose fills are `CacheFill::Asks::keyed`: `Vary` names nothing that is `Carried::always`, and a
  /// response that varies by something of the client alone is not for others. Null: of another.
  const contract::Operation* keyed = nullptr;
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
