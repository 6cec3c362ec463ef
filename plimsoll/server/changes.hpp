#pragma once

#include "plimsoll/contract/contract.hpp"

#include <string>
#include <vector>

namespace plimsoll::server {

/// Operations by id that a contract has gained, lost, or says something else of.
struct Changes {
  std::vector<std::string> added, removed, changed;
};

/// An operation has changed where its own text has, or the text of anything that it refers to: schemas, parameters and
/// responses behind references, keys of `x-plimsoll` that are in force for it, its security schemes, and the
/// declaration of its table with those that it embeds.
Changes changes_between(const contract::Contract& before, const contract::Contract& after);

}  // namespace plimsoll::server
