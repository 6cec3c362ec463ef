#include "plimsoll/client/hash_key.hpp"

#include "plimsoll/base/hash.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/principal.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/client_address.hpp"
#include "plimsoll/json/write.hpp"

#include <algorithm>

namespace plimsoll::client {
namespace {

std::uint64_t hash_of(std::string_view text) { return content_hash(text).low; }

}  // namespace

std::optional<std::string_view> cookie_in(std::string_view field, std::string_view name) {
  while (!field.empty()) {
    const auto end = std::min(field.find(';'), field.size());
    const auto pair = trimmed(field.substr(0, end));
    field.remove_prefix(std::min(end + 1, field.size()));
    if (pair.size() > name.size() && pair.starts_with(name) && pair[name.size()] == '=')
      return pair.substr(name.size() + 1);
  }
  return std::nullopt;
}

std::optional<std::uint64_t> caller_hash(std::string_view service, const Request& request, const Context& context) {
  std::string text(service);
  if (const auto* caller = context.principal) {
    text.append(1, '\0').append(caller->tenant).append(1, '\0').append(caller->subject);
  } else if (const auto where = request.peer.address; !where.empty()) {
    const auto address = Address::parse(where);
    text.append(1, '\0').append(address ? address->site() : where);
  } else {
    return std::nullopt;
  }
  return hash_of(text);
}

std::expected<HashKey, std::string> HashKey::read(std::string_view text) {
  HashKey made;
  if (text == "caller") return made;
  constexpr std::pair<std::string_view, Source> sources[] = {
      {"header:", Source::header}, {"cookie:", Source::cookie}, {"claim:", Source::claim}};
  for (const auto& [prefix, source] : sources)
    if (text.starts_with(prefix)) {
      made.source_ = source;
      made.name_ = text.substr(prefix.size());
      if (source == Source::header) std::ranges::transform(made.name_, made.name_.begin(), lower);
      if (made.name_.empty() || (source != Source::claim && !is_token(made.name_))) break;
      return made;
    }
  return std::unexpected("`hash-by` is header:NAME, cookie:NAME, claim:NAME or caller, and not \"" + std::string(text) +
                         "\"");
}

std::optional<std::uint64_t> HashKey::of(const Request& request, const Context& context) const {
  switch (source_) {
    case Source::header:
      if (!request.headers.contains(name_)) return std::nullopt;
      return hash_of(request.headers.joined(name_));
    case Source::cookie:
      for (const auto& field : request.headers)
        if (same_as_lower(field.name, "cookie"))
          if (const auto value = cookie_in(field.value, name_)) return hash_of(*value);
      return std::nullopt;
    case Source::claim: {
      const auto* claims = context.principal ? context.principal->claims : nullptr;
      const auto* value = claims ? claims->find(name_) : nullptr;
      if (!value || value->is(json::Type::null)) return std::nullopt;
      return value->is(json::Type::string) ? hash_of(value->string()) : hash_of(json::to_string(*value));
    }
    case Source::caller:
      if (!context.principal) return std::nullopt;
      return hash_of(context.principal->subject);
  }
  return std::nullopt;
}

}  // namespace plimsoll::client
