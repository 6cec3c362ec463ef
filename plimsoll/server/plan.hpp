#pragma once

#include "plimsoll/server/process.hpp"
#include "plimsoll/server/site.hpp"

#include <algorithm>
#include <iterator>
#include <memory>
#include <semaphore>
#include <string>
#include <vector>

namespace plimsoll::server {

/// What the user has written, read and checked for itself.
struct Documents {
  std::shared_ptr<const Deployment> deployment;
  std::shared_ptr<const contract::Contract> contract;
};
/// All that is wrong with either is told at once.
std::expected<Documents, contract::Complaints> read_documents(const Settings& settings);

/// One contract with its deployment, compiled: routes, chains, policies, handlers, background work. Immutable once it
/// is built. It lives until its last user has ended: every exchange holds it by `service`, and whatever outlives the
/// exchange that began it by `Services::in_use` (docs/design/plans.md).
class Plan {
 public:
  Plan(Process& process, Documents documents);
  ~Plan();
  Plan(const Plan&) = delete;

  /// What only the documents decide; after it `management` can be served.
  /// `desk`: where operators ask for a reload.
  contract::Complaints begin(ReloadDesk* desk);
  /// Nothing is opened, and no file is made, for a contract that only answers from its examples.
  bool needs_database() const;
  /// Tables, operations and pages; the database is open.
  contract::Complaints build();

  void remark(std::vector<std::string> sentences) { std::ranges::move(sentences, std::back_inserter(remarks_)); }

  /// What listeners serve. Whoever holds one of them holds the plan.
  std::shared_ptr<edge::Service> service() const { return {use_, site_.get()}; }
  std::shared_ptr<edge::Service> management_service() const { return {use_, management_.get()}; }
  /// The plan is no longer in force: ends its background work in its own time, and returns when nobody uses it.
  void retire();

  Site& site() const { return *site_; }
  Site& management() const { return *management_; }
  const Services& services() const { return services_; }
  const contract::Contract& contract() const { return *documents_.contract; }
  const Deployment& deployment() const { return *documents_.deployment; }
  /// Sentences for whoever starts it: defaults that are on, warnings.
  const std::vector<std::string>& remarks() const { return remarks_; }

 private:
  contract::Complaints mount_management(ReloadDesk* desk);
  contract::Complaints mount();
  Result<std::unique_ptr<Handler>> handler_of(const contract::Operation& operation, contract::Complaints& complaints);

  Process& process_;
  const Documents documents_;
  Services services_;
  std::vector<std::string> remarks_;
  std::shared_ptr<std::binary_semaphore> unused_ = std::make_shared<std::binary_semaphore>(0);
  std::shared_ptr<const void> use_;
  std::unique_ptr<Site> site_, management_;  // their policies and handlers use all of the above
};

}  // namespace plimsoll::server
