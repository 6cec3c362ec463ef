#pragma once

#include "plimsoll/config/options.hpp"
#include "plimsoll/contract/contract.hpp"

#include <span>
#include <vector>

namespace plimsoll::server {

/// Who is served a page that tells of the contract.
enum class PageAccess : std::uint8_t { everyone, authenticated, off };

/// The keys `openapi` and `docs` of the document's `x-plimsoll`.
std::span<const config::Key> page_keys();
/// What one of them says: `public` unless it says otherwise; `docs` is what `openapi` is.
Result<PageAccess> page_access(const contract::Contract& contract, std::string_view key);
/// Whoever one of the contract's operations knows, whatever their scopes. Empty: no operation knows anybody.
std::vector<contract::SecurityRequirement> every_caller(const contract::Contract& contract);

}  // namespace plimsoll::server
