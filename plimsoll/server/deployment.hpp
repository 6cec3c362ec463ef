#pragma once

#include "plimsoll/config/options.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/database/engine.hpp"
#include "plimsoll/net/tls.hpp"
#include "plimsoll/server/redirect.hpp"
#include "plimsoll/telemetry/log.hpp"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace plimsoll::server {

/// What a deployment says of the database, whatever its engine is.
struct DatabaseOptions {
  std::string url;  ///< empty: a file with the name of the contract
  std::string migrations;
  config::Duration slow = config::milliseconds(500);
  const json::Value* section = nullptr;  ///< all of it, with the options of the engine; null: nothing is said

  database::Place place() const { return {.url = url, .options = section}; }
  /// The same where a contract is known, whose name the file has if no URL is said.
  database::Place place_for(const std::string& contract) const;
};

enum class LogFormat : std::uint8_t { automatic, json, text };
struct TelemetryOptions {
  telemetry::Level log = telemetry::Level::info;
  LogFormat format = LogFormat::automatic;
};
extern const std::span<const config::Field> kTelemetryFields;

/// The names of all sections of `plimsoll.yaml`.
std::vector<std::string_view> section_names();

/// Where and with what a contract is run: `plimsoll.yaml`, read, secrets filled in, checked. Sections that belong to
/// policies and handlers (server/words.hpp) are checked here and read by their owners.
struct Deployment {
  std::string file;  ///< empty: none was given
  std::vector<std::string> listen = {"127.0.0.1:8080"};
  std::string management = "127.0.0.1:9180";
  std::int64_t threads = 0;
  bool overlap = false;
  DatabaseOptions database;
  TelemetryOptions telemetry;
  net::TlsOptions tls;
  config::Raw limits = nullptr, store = nullptr, trusted_proxies = nullptr, redirect_to_https = nullptr;
  std::optional<RedirectToHttps> redirect;  ///< `redirect_to_https`, read
  bool names_database = false;              ///< somebody said which

  const json::Value* root = nullptr;  ///< the document, or null
  std::unique_ptr<Arena> memory;      ///< of `root`
  std::unique_ptr<std::string> text;
};
extern const std::span<const config::Field> kDeploymentFields;  ///< of those without a section

/// The sections that the server itself reads (`database`, `telemetry`, `tls`, `limits`), for the schema and the
/// reference; the options of one may be spread over several of these.
std::vector<config::Key> built_in_sections();
/// Options that stand beside the sections, each read elsewhere.
std::span<const config::Field> nested_fields();

/// Reads a deployment; `file` empty: `plimsoll.yaml` in the working directory when there is one, else the defaults.
/// Another one beside a contract, which would be passed over, is a complaint. `${NAME}` is taken from the environment
/// and `${file:PATH}` from a file; one that is missing is a complaint.
std::expected<Deployment, contract::Complaints> read_deployment(const std::string& file,
                                                                std::span<const std::string> contracts = {});

/// One option, for `config --explain`.
struct Explained {
  std::string name, value, origin, standard, sentence;
};
std::vector<Explained> explain(const Deployment&);

}  // namespace plimsoll::server
