#pragma once

#include "plimsoll/server/plan.hpp"
#include "plimsoll/server/process.hpp"
#include "plimsoll/server/site.hpp"
#include "plimsoll/server/versions.hpp"

#include <memory>
#include <semaphore>
#include <string>
#include <vector>

namespace plimsoll::server {

/// What the user has written, read and checked for itself.
struct Documents {
  std::shared_ptr<const Deployment> deployment;
  std::vector<std::shared_ptr<const contract::Contract>> contracts;  ///< at least one, in the order given
};
/// All that is wrong with any of them is told at once.
std::expected<Documents, contract::Complaints> read_documents(const Settings& settings);

/// All that one reading of the documents has made: a plan for each contract, and what they have in common (background
/// work, the operators' pages, and how requests are divided among several contracts). It is put in force and replaced
/// as a whole. It lives until its last user has ended: every exchange holds it by `service`, and whatever outlives the
/// exchange that began it by `Services::in_use` (docs/design/plans.md).
class Generation {
 public:
  Generation(Process& process, Documents documents);
  ~Generation();
  Generation(const Generation&) = delete;

  /// What only the documents decide; after it `management` can be served. `desk`: where operators ask for a reload.
  contract::Complaints begin(ReloadDesk* desk);
  /// Nothing is opened, and no file is made, for contracts that only answer from their examples.
  bool needs_database() const;
  /// Tables, operations and pages; the database is open.
  contract::Complaints build();

  void remark(std::vector<std::string> sentences);

  /// What listeners serve. Whoever holds one of them holds the generation.
  std::shared_ptr<edge::Service> service() const;
  std::shared_ptr<edge::Service> management_service() const { return {use_, management_.get()}; }
  /// It is no longer in force: ends its background work in its own time, and returns when nobody uses it.
  void retire();

  const std::vector<std::unique_ptr<Plan>>& plans() const { return plans_; }
  Site& management() const { return *management_; }
  Backgrounds& backgrounds() const { return *services_.backgrounds; }
  /// Ends what has no end of its own: WebSockets that were opened on it. False: there are none.
  bool end_tunnels();
  const Documents& documents() const { return documents_; }
  const Deployment& deployment() const { return *documents_.deployment; }
  const std::string& deployment_file() const { return services_.deployment_file; }
  /// Sentences for whoever starts it: defaults that are on, warnings.
  const std::vector<std::string>& remarks() const { return remarks_; }

 private:
  contract::Complaints mount_management(ReloadDesk* desk);
  contract::Complaints mount_front();
  contract::Complaints prepare();
  bool several() const { return plans_.size() > 1; }

  Process& process_;
  const Documents documents_;
  Services services_;  ///< that the plans begin with, and those of the front and of management
  std::vector<std::string> remarks_;
  std::shared_ptr<std::binary_semaphore> unused_ = std::make_shared<std::binary_semaphore>(0);
  std::shared_ptr<const void> use_;
  contract::Complaints ambiguous_;  ///< how requests would be divided among the contracts
  std::vector<std::unique_ptr<Plan>> plans_;
  std::unique_ptr<Versions> versions_;        ///< of several contracts
  std::unique_ptr<Site> front_, management_;  // their policies and handlers use all of the above
};

}  // namespace plimsoll::server
