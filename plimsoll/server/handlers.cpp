#include "plimsoll/server/handlers.hpp"

#include <vector>

namespace plimsoll::handler {
// Each is defined in the file or folder of its name.
extern const Handling table, job_handling, upstream_handling, mock_handling;
}  // namespace plimsoll::handler

namespace plimsoll::server {

// One row for each way to answer.
constexpr const Handling* kHandlings[] = {
    &handler::table,
    &handler::job_handling,
    &handler::upstream_handling,
    &handler::mock_handling,
};

namespace {

std::vector<const Handling*>& all_handlings() {
  static std::vector<const Handling*> all(std::begin(kHandlings), std::end(kHandlings));
  return all;
}

}  // namespace

std::span<const Handling* const> handlings() { return all_handlings(); }

Result<> add_handling(const Handling& handling) {
  for (const auto* each : all_handlings()) {
    if (each == &handling) return {};
    if (each->key.name == handling.key.name)
      return fail(config::kConfiguration, "the program brings a kind of handler `" + std::string(handling.key.name) +
                                              "`, and there is one of that name");
  }
  all_handlings().push_back(&handling);
  return {};
}

const Handling* handling(std::string_view name) {
  for (const auto* each : handlings())
    if (each->key.name == name) return each;
  return nullptr;
}

}  // namespace plimsoll::server
