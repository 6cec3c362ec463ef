#include "plimsoll/server/handlers.hpp"

namespace plimsoll::handler {
// Each is defined in the file or folder of its name.
extern const Handling table, job_handling;
}  // namespace plimsoll::handler

namespace plimsoll::server {

constexpr const Handling* kHandlings[] = {&handler::table, &handler::job_handling};

std::span<const Handling* const> handlings() { return kHandlings; }

const Handling* handling(std::string_view name) {
  for (const auto* each : kHandlings)
    if (each->key.name == name) return each;
  return nullptr;
}

}  // namespace plimsoll::server
