#include "plimsoll/exchange/cache.hpp"

#include "plimsoll/config/options.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/store/store.hpp"

#include <charconv>

namespace plimsoll::binding {

void tables(const Build& build, std::span<const std::string_view> names,
            std::span<const database::TableVersions::Table*> found, Mistakes& mistakes) {
  if (!names.empty() && !build.services.database) return database(build, mistakes);
  const auto* declared = build.contract.extension ? build.contract.extension->find("tables") : nullptr;
  std::vector<std::string_view> known;
  if (declared)
    for (const auto& member : declared->object()) known.push_back(member.key);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto near = declared && !declared->find(names[i]) ? config::nearest(names[i], known) : std::string_view{};
    if (!near.empty())
      mistakes.push_back("the handler caches what it reads from the table \"" + std::string(names[i]) +
                         "\", which `tables` does not have; did you mean \"" + std::string(near) + "\"?");
    found[i] = &build.services.database->versions().of(names[i]);
  }
}

std::uint64_t now_of(const Context& context) {
  return context.services.database ? context.services.database->versions().now() : 0;
}

Task<Result<std::optional<std::string_view>>> kept_text(Context& context, std::string_view key,
                                                        std::span<const database::TableVersions::Table* const> tables) {
  auto kept = co_await context.services.store->get(context.loop, key);
  if (!kept) co_return std::unexpected(std::move(kept).error());
  if (!*kept) co_return std::nullopt;
  const auto text = context.arena.keep(**kept);
  std::uint64_t when = 0;
  const auto number = std::from_chars(text.data(), text.data() + text.size(), when);
  for (const auto* table : tables)
    if (table->written_since(when)) co_return std::nullopt;
  co_return text.substr(static_cast<std::size_t>(number.ptr - text.data()) + 1);
}

Task<Result<>> keep_text(Context& context, std::string_view key, std::string_view text, std::uint64_t when,
                         Nanoseconds ttl) {
  auto value = std::to_string(when) + " ";
  value += text;
  auto done = co_await context.services.store->put(context.loop, key, value, ttl);
  co_return done;
}

}  // namespace plimsoll::binding
