#include "plimsoll/exchange/declared_job.hpp"

#include "plimsoll/exchange/services.hpp"

#include <string>
#include <vector>

namespace plimsoll {

Result<const queue::Kind*> declared_job(const Build& build, std::string_view kind, const json::Value& place) {
  const auto& services = build.services;
  if (const auto* known = services.queue ? services.queue->kind(kind) : nullptr) return known;
  std::vector<std::string_view> names;
  const auto* jobs = services.deployment ? services.deployment->find("jobs") : nullptr;
  if (jobs && jobs->is(json::Type::object))
    for (const auto& member : jobs->object()) names.push_back(member.key);
  const auto near = config::nearest(kind, names);
  return config::wrong(place,
                       "there is no job `" + std::string(kind) + "`" +
                           (near.empty() ? "" : "; did you mean `" + std::string(near) + "`?"),
                       "Declare it under `jobs` of the deployment, which says what it runs, or correct the name.");
}

}  // namespace plimsoll
