#pragma once

#include "plimsoll/base/result.hpp"

#include <functional>
#include <string>
#include <string_view>

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

/// One readable block on standard error: what, where (may be empty), remedy (may be empty). Returns 2.
int complain(std::string_view what, std::string_view where, std::string_view remedy);
/// The same of an error, with the cause that only operators see. Returns 75 where the environment refuses and the same
/// command may succeed later (a locked database, a full disk), else 2.
int complain(const Error& error);

}  // namespace plimsoll::command
