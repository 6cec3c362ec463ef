#pragma once

#include "plimsoll/base/result.hpp"
#include "plimsoll/contract/contract.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace plimsoll::command {

/// A subcommand: one file, which declares it by a constant of this type; main finds them all.
///
/// `declare` adds options to the subcommand and gives what is to be run after parsing. That returns the exit status: 0,
/// or that of `complain`. Nothing else ends the process.
class Subcommand {
 public:
  using Run = std::function<int()>;
  Subcommand(const char* name, const char* sentence, Run (*declare)(CLI::App&));
  const char* name;
  const char* sentence;
  Run (*declare)(CLI::App&);
  const Subcommand* next;
};

/// The first of all subcommands; the others follow by `next`.
const Subcommand* first_subcommand();

/// Says on standard error what is wrong, in the shape of all complaints: what, where (may be empty), remedy (may be
/// empty). Returns 2.
int complain(std::string_view what, std::string_view where, std::string_view remedy);
/// The same of files that are wrong.
int complain(const std::vector<contract::Complaint>&);
/// The same of an error, with the cause that only operators see. Returns 75 where the environment refuses and the same
/// command may succeed later (a locked database, a full disk), else 2.
int complain(const Error& error);

/// Complaints where an error is asked for: said now, and nothing more is said of this error by `complain`.
std::unexpected<Error> said(const std::vector<contract::Complaint>&);

}  // namespace plimsoll::command
