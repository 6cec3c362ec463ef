#pragma once

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/services.hpp"
#include "plimsoll/handler/job/run.hpp"
#include "plimsoll/queue/queue.hpp"

#include <memory>
#include <vector>

namespace plimsoll::handler::job {

/// `jobs:` of a deployment: what each kind is and what runs it. A kind of the program that the deployment does not name
/// has all defaults.
struct Declared {
  queue::Kind kind;
  std::unique_ptr<queue::Runner> runner;
  std::vector<SqlStatement> statements{};
};
/// The options of each, for the schema of the language and its documentation.
std::span<const config::Field> job_fields();
const void* job_defaults();
std::vector<Declared> declared_jobs(const contract::Contract&, const Services&, contract::Complaints&);

/// Brings the queue and its workers into the process, where a job is declared.
void provide(const contract::Contract&, Services&, contract::Complaints&);

/// Has the database compile the SQL of every job, without running it: a statement that cannot run stops the start.
/// Once the tables of the contract exist.
void prepare(const contract::Contract&, const Services&, contract::Complaints&);

}  // namespace plimsoll::handler::job
