#pragma once

#include "plimsoll/client/health_checks.hpp"
#include "plimsoll/client/http_versions.hpp"
#include "plimsoll/client/plain_http.hpp"
#include "plimsoll/config/options.hpp"

#include <memory>
#include <string>
#include <vector>

namespace plimsoll::handler::forwarding {

/// One of `upstreams` in the deployment.
struct Declaration {
  config::Raw listed = nullptr;            ///< `targets` as they are written
  std::vector<std::string> targets{};      ///< their URLs
  std::vector<double> weights{};           ///< of each
  std::vector<std::string> group_names{};  ///< of each
  config::Raw split = nullptr;             ///< as it is written
  std::vector<client::Group> groups{};     ///< of targets, where callers are split among them; else empty
  std::vector<std::uint32_t> group_of{};   ///< of each target
  std::string authorities;
  std::string certificate, key;
  std::string host;
  config::Raw hash_by = nullptr;  ///< read with `balance`
  client::HttpVersions http = client::HttpVersions::negotiated;
  config::PlainHttp plain_http = config::PlainHttp::refused;
  config::Raw health = nullptr;
  std::optional<client::HealthCheckOptions> check{};  ///< what `health` says
};

/// The options of each of `upstreams`: its own, and those of the policies around its calls.
std::span<const config::Field> upstream_fields();
const void* upstream_defaults();

/// Reads one and checks all of it, without opening anything. Error: `configuration`.
Result<Declaration> read_declaration(const json::Value& from);
/// The options of the policies around its calls, as client/chain.cpp reads them.
json::Value parts_of(const json::Value& from, Arena& arena);
/// All of `upstreams`.
Result<> check_section(const json::Value& section);

}  // namespace plimsoll::handler::forwarding
