#pragma once

#include "plimsoll/config/options.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/edge/server.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::server {

class Plan;
class Site;

inline constexpr Problem kUnknownVersion{
    "unknown-version", 400, "Unknown API version",
    "Send the header that `detail` names with one of the versions that it lists; each is described at /versions."};

/// `version` of `x-plimsoll`: how a request chooses among several contracts of one process.
extern const config::Key kVersionKey;

/// One of the contracts that a process serves, and the requests that are its own.
struct Version {
  /// Of the only contract: empty. Else the value of its header, or its base path (`/` where that is empty).
  std::string name;
  std::vector<std::string> bases;  ///< base paths of `servers`
  std::string header;              ///< in lower case; empty: its base paths are its alone
  std::string written_header;      ///< as the document writes it
  bool standard = false;           ///< requests without the header are its own
};

/// How requests are divided among these contracts, in their order. What makes that ambiguous is a complaint that names
/// both files.
std::vector<Version> versions_of(std::span<const std::shared_ptr<const contract::Contract>> contracts,
                                 contract::Complaints& complaints);

/// Whether the path is the base path or below it.
bool below(std::string_view path, std::string_view base);

/// What listeners serve where there are several contracts: gives each request to the one it belongs to, and answers
/// itself what belongs to none (health, the list of versions, a version that is not there). Immutable while it serves.
class Versions final : public edge::Service {
 public:
  /// The plans outlive this; `front` answers what is no plan's.
  explicit Versions(const std::vector<std::unique_ptr<Plan>>& plans);
  ~Versions() override;
  void front(Site& front) { front_ = &front; }

  bool chooses() const noexcept override { return true; }
  bool offers_websockets() const noexcept override;
  Service& choose(const Request& request) noexcept override;
  Importance route(Request&, Context&) override;
  Task<Response> serve(Request&, Context&) override;
  Response refused(const Error&, Request&, Context&) override;
  void finished(const Request&, Context&) noexcept override;
  const Services& services() const override;

  /// Answers what neither a plan nor a page of the front does: which versions there are.
  std::unique_ptr<Handler> unmatched() const;
  /// `/versions`: an HTML page that leads to the documentation of each.
  std::string index() const;
  /// Where the documentation of a version is read by who cannot send a header; empty: at its base path.
  static std::string pages_of(const Version& version) {
    return version.header.empty() ? std::string{} : "/versions/" + version.name;
  }
  /// Whether no contract has paths of its own below `/versions`.
  bool has_pages() const;

 private:
  class Unmatched;
  /// A contract with base paths of its own, or those that one header tells apart.
  struct Group {
    std::vector<std::string> bases;
    std::string header, written_header;
    std::vector<const Plan*> members;
    const Plan* standard = nullptr;
  };
  const Group* group_of(std::string_view path) const noexcept;
  Service& of_group(const Group& group, const Request& request) const noexcept;
  Error explain(const Request& request, Context& context) const;

  std::vector<Group> groups_;
  Site* front_ = nullptr;
};

}  // namespace plimsoll::server
