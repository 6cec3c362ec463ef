#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace plimsoll::telemetry {

/// Which names are secret: those of `redacted` (log.hpp) and these besides, compared without regard to case.
using SecretNames = std::span<const std::string>;

bool secret_name(std::string_view name, SecretNames more) noexcept;

/// At most `limit` bytes of a JSON text, with `"[redacted]"` in place of the value of every member with a secret name,
/// at any depth. The text may be cut: of a value without an end nothing is shown. In what is not JSON before that,
/// names cannot be told from values with certainty: look first.
std::string redact_json(std::string_view text, SecretNames more, std::size_t limit);

/// The same for `name=value&…` (application/x-www-form-urlencoded, query strings).
std::string redact_form(std::string_view text, SecretNames more, std::size_t limit);

}  // namespace plimsoll::telemetry
