#pragma once

#include "plimsoll/server/effective.hpp"
#include "plimsoll/server/process.hpp"
#include "plimsoll/server/site.hpp"
#include "plimsoll/server/versions.hpp"

#include <memory>
#include <string>
#include <vector>

namespace plimsoll::server {

/// One contract with its deployment, compiled: routes, chains, policies, handlers. Immutable once it is built. It is
/// part of a Generation, and lives as long.
class Plan {
 public:
  /// `services`: what it has in common with the other plans of its generation.
  Plan(Process& process, const Services& services, const Deployment& deployment,
       std::shared_ptr<const contract::Contract> contract, Version version);
  ~Plan();
  Plan(const Plan&) = delete;

  bool needs_database() const;
  /// Operations and pages; what they share is prepared.
  contract::Complaints build();

  Site& site() const { return *site_; }
  Services& services() { return services_; }
  const Services& services() const { return services_; }
  const contract::Contract& contract() const { return *contract_; }
  const Version& version() const { return version_; }
  Answering answering() const;
  std::shared_ptr<const contract::Contract> shared_contract() const { return contract_; }
  /// `/docs`, `/openapi.json` and `/problems` of the contract, at these paths below `prefix`.
  contract::Complaints mount_pages(Site& to, const std::string& prefix) const;

 private:
  Result<std::unique_ptr<Handler>> handler_of(const contract::Operation& operation, contract::Complaints& complaints);

  Process& process_;
  const Deployment& deployment_;
  const std::shared_ptr<const contract::Contract> contract_;
  const Version version_;
  Services services_;
  std::unique_ptr<Site> site_;  // its policies and handlers use all of the above
};

/// Adds a page to a site, and what is wrong with it to the complaints.
void add_page(contract::Complaints& complaints, Site& to, std::string path, std::unique_ptr<Handler> handler,
              std::string route = {}, std::string allow = "GET, HEAD");
/// The pages of Health.
void add_health(contract::Complaints& complaints, Site& to, Health& health, Health::Audience audience);
/// `/problems` and the page of each problem, below `prefix`.
void add_problems(contract::Complaints& complaints, Site& to, std::span<const Problem* const> of_program,
                  const std::string& prefix);

}  // namespace plimsoll::server
