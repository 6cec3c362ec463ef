#include "plimsoll/server/complaints.hpp"

#include "plimsoll/config/options.hpp"
#include "plimsoll/database/database.hpp"

#include <map>
#include <system_error>
#include <tuple>

namespace plimsoll::server {

contract::Complaint complaint(const contract::Contract& contract, const contract::Operation& operation,
                              std::string code, std::string what, std::string remedy) {
  return {.code = std::move(code),
          .file = operation.file.empty() ? contract.file : operation.file,
          .at = operation.raw ? operation.raw->position() : json::Position{},
          .pointer = operation.pointer,
          .what = std::move(what),
          .remedy = std::move(remedy)};
}

contract::Complaint complaint_of(const Error& error, const contract::Contract& contract,
                                 const contract::Operation& operation, const std::string& deployment_file) {
  if (database::is_refused_statement(error))  // of no line of the contract
    return {.code = "database",
            .file = deployment_file,
            .what = "the database refuses a statement of the start: " + database::reason_of(error),
            .remedy = database::remedy_of(error)};
  auto [at, what, source, remedy] = config::located(database::reason_of(error));
  if (remedy.empty()) remedy = database::remedy_of(error);
  auto made = complaint(contract, operation, std::string(error.problem->code), std::move(what), std::move(remedy));
  if (!at.line) return made;
  made.at = at;
  made.pointer = {};  // the place says it
  made.file = source == config::kDeploymentSource ? deployment_file
              : source < contract.files.size()    ? contract.files[source]
                                                  : contract.file;
  return made;
}

contract::Complaint complaint_of(const std::exception& error, std::string code) {
  const auto* system = dynamic_cast<const std::system_error*>(&error);
  const bool no_descriptors = system && (system->code() == std::errc::too_many_files_open ||
                                         system->code() == std::errc::too_many_files_open_in_system);
  return {
      .code = std::move(code),
      .what = error.what(),
      .remedy = no_descriptors ? std::string(kRaiseOpenFiles) : "This is a fault of the program; please report it."};
}

void point_to_key(Error& error, std::string_view key, const json::Value* at) {
  if (error.problem == &config::kConfiguration && config::located(error.detail).remedy.empty())
    error.detail =
        config::wrong({}, error.detail, "`plimsoll explain " + std::string(key) + "` describes it and its options.")
            .error()
            .detail;
  if (at && !config::located(error.detail).at.line) error.detail = config::placed(*at, error.detail);
}

contract::Complaints told_once(contract::Complaints all) {
  contract::Complaints kept;
  std::map<std::tuple<std::string, std::uint32_t, std::uint32_t, std::string>, std::size_t> places;
  std::map<std::string, std::pair<std::size_t, std::size_t>, std::less<>> reasons;  // where it is kept, how often
  for (auto& each : all) {
    if (!places.try_emplace({each.file, each.at.line, each.at.column, each.what}, kept.size()).second) continue;
    const auto comma = each.what.starts_with("operation ") ? each.what.find(", policy ") : std::string::npos;
    if (comma != std::string::npos) {
      const auto [place, fresh] = reasons.try_emplace(each.what.substr(comma), kept.size(), 0);
      ++place->second.second;
      if (!fresh) continue;
    }
    kept.push_back(std::move(each));
  }
  for (const auto& [reason, place] : reasons)
    if (const auto others = place.second - 1)
      kept[place.first].what.insert(kept[place.first].what.size() - reason.size(),
                                    " and " + std::to_string(others) + (others == 1 ? " other" : " others"));
  return kept;
}

}  // namespace plimsoll::server
