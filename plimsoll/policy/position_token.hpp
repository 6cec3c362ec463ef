#pragma once

#include "plimsoll/database/database.hpp"

#include <string>
#include <string_view>

namespace plimsoll::policy {

/// A position of the database as callers carry it (`Plimsoll-After`): opaque, and good for one cluster only. Who has no
/// key makes none: a position far ahead would send all reads that carry it to the primary.
class PositionToken {
 public:
  PositionToken() = default;
  /// `cluster`: to which the positions belong.
  PositionToken(std::string key, std::string cluster) : key_(std::move(key)), cluster_(std::move(cluster)) {}

  std::string write(database::Position position) const;
  /// 0 where it is no token of this key and cluster.
  database::Position read(std::string_view text) const;

 private:
  std::string mac_of(std::string_view position) const;
  std::string key_, cluster_;
};

}  // namespace plimsoll::policy
