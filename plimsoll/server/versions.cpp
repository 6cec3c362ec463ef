#include "plimsoll/server/versions.hpp"

#include "plimsoll/exchange/context.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/server/html.hpp"
#include "plimsoll/server/plan.hpp"
#include "plimsoll/server/site.hpp"

#include <algorithm>
#include <cctype>

namespace plimsoll::server {
namespace {

struct Options {
  std::string header, value;
  bool standard = false;
};
constexpr config::Field kFields[] = {
    config::field<&Options::header>(
        "header", "Request header whose value selects the contract if the base paths of several contracts overlap."),
    config::field<&Options::value>("value", "Value of that header that selects this contract; empty: `info.version`."),
    config::field<&Options::standard>("default", "Whether requests without the header are for this contract."),
};

constexpr std::size_t kLongest = 64;  ///< characters of a version

/// What stands in URLs, log lines and labels as it is.
bool can_be_named(std::string_view value) {
  return !value.empty() && value.size() <= kLongest && value.find_first_not_of('.') != value.npos &&
         std::ranges::all_of(value,
                             [](unsigned char c) { return std::isalnum(c) || c == '.' || c == '_' || c == '-'; });
}

using Contracts = std::span<const std::shared_ptr<const contract::Contract>>;

/// A place in a contract, as in `v1.yaml:6`.
std::string place(const contract::Contract& contract, const json::Value* at) {
  const auto source = at ? at->source() : 0;
  const auto& file = source < contract.files.size() ? contract.files[source] : contract.file;
  return at && at->position().line ? file + ":" + std::to_string(at->position().line) : file;
}

contract::Complaint complaint(const contract::Contract& contract, const json::Value* at, std::string code,
                              std::string what, std::string remedy) {
  const auto source = at ? at->source() : 0;
  return {.code = std::move(code),
          .file = source < contract.files.size() ? contract.files[source] : contract.file,
          .at = at ? at->position() : json::Position{},
          .what = std::move(what),
          .remedy = std::move(remedy)};
}

const json::Value* key_of(const contract::Contract& contract) {
  return contract.extension ? contract.extension->find(kVersionKey.name) : nullptr;
}
/// Where a contract says what its base paths are.
const json::Value* servers_of(const contract::Contract& contract) {
  const auto* servers = contract.root ? contract.root->find("servers") : nullptr;
  return servers ? servers : contract.root;
}

std::string shown(std::string_view base) { return base.empty() ? "/" : std::string(base); }

/// The first base paths of both of which one is the other or stands above it.
std::optional<std::pair<std::string, std::string>> overlap(const Version& a, const Version& b) {
  for (const auto& one : a.bases)
    for (const auto& other : b.bases)
      if (below(one, other) || below(other, one)) return std::pair{one, other};
  return std::nullopt;
}

Version version_of(const contract::Contract& contract, bool alone, contract::Complaints& complaints) {
  Version made{.name = {}, .bases = contract.base_paths, .header = {}, .written_header = {}};
  Options options;
  const auto* key = key_of(contract);
  if (key)
    if (auto read = config::read(*key, kFields, &options); !read) {
      auto [at, what, source, remedy] = config::located(read.error().detail);
      auto one = complaint(contract, key, "configuration", "`version`: " + what,
                           remedy.empty() ? "Correct the line named." : remedy);
      if (at.line) one.at = at;
      complaints.push_back(std::move(one));
      return made;
    }
  const auto& value = options.value.empty() ? contract.version : options.value;
  if (key && options.header.empty())
    complaints.push_back(complaint(contract, key, "configuration", "`version` names no header",
                                   "Write `version: {header: API-Version}`, or remove it: without it the base paths of "
                                   "`servers` distinguish contracts."));
  else if (key && !is_token(options.header))
    complaints.push_back(complaint(contract, key, "configuration",
                                   "`version`: \"" + options.header + "\" is not a valid header name",
                                   "Use a name such as API-Version."));
  else if (key && !can_be_named(value))
    complaints.push_back(complaint(contract, key, "configuration",
                                   "`version`: \"" + value + "\" cannot be a version: it is 1 to " +
                                       std::to_string(kLongest) + " letters, digits, `.`, `_` and `-`",
                                   "Give it another with `version: {value: '2'}`."));
  if (alone) return made;
  made.written_header = options.header;
  made.header = options.header;
  std::ranges::transform(made.header, made.header.begin(), lower);
  made.standard = options.standard;
  made.name = made.header.empty() ? shown(made.bases.front()) : value;
  return made;
}

void check_pair(const contract::Contract& a, const Version& one, const contract::Contract& b, const Version& other,
                contract::Complaints& complaints) {
  if (one.header.empty() || one.header != other.header) {
    const auto both = overlap(one, other);
    if (!both) return;
    const bool neither = one.header.empty() && other.header.empty();
    complaints.push_back(complaint(
        b,
        neither     ? servers_of(b)
        : key_of(b) ? key_of(b)
                    : servers_of(b),
        "versions-overlap",
        "the base path " + shown(both->second) + " of " + b.file +
            (both->first == both->second ? " is that of " : " overlaps with " + shown(both->first) + " of ") +
            place(a, servers_of(a)) +
            (neither ? ", and no header distinguishes them" : ", and they do not choose by the same header"),
        "Give each contract a base path of its own in `servers`, or the same header in all: `x-plimsoll: {version: "
        "{header: API-Version}}`."));
    return;
  }
  if (one.name == other.name)
    complaints.push_back(
        complaint(b, key_of(b), "versions-overlap",
                  "the version \"" + other.name + "\" of " + b.file + " is also that of " + place(a, key_of(a)),
                  "Give one of them another `info.version`, or another `version: {value: …}`."));
  if (one.standard && other.standard)
    complaints.push_back(complaint(b, key_of(b), "versions-overlap",
                                   b.file + " and " + place(a, key_of(a)) +
                                       " are both the default for requests without the header " + one.written_header,
                                   "Keep `default: true` in one of them."));
}

std::string listed(const std::vector<std::string>& all) {
  std::string text;
  for (std::size_t i = 0; i < all.size(); ++i) text += (i == 0 ? "" : i + 1 == all.size() ? " and " : ", ") + all[i];
  return text;
}

}  // namespace

extern constinit const config::Key kVersionKey{.name = "version",
                                               .sentence =
                                                   "How this contract is selected if a process serves several: by a "
                                                   "header; without it by the base path of `servers`.",
                                               .fields = kFields,
                                               .defaults = config::defaults_of<Options>,
                                               .example = "{header: API-Version, value: '2'}",
                                               .scopes = config::Scopes::document};

bool below(std::string_view path, std::string_view base) {
  return path.starts_with(base) && (path.size() == base.size() || path[base.size()] == '/' || base.empty());
}

std::vector<Version> versions_of(Contracts contracts, contract::Complaints& complaints) {
  std::vector<Version> all;
  for (const auto& each : contracts) all.push_back(version_of(*each, contracts.size() == 1, complaints));
  if (!complaints.empty()) return all;
  for (std::size_t i = 0; i < all.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) check_pair(*contracts[j], all[j], *contracts[i], all[i], complaints);
  return all;
}

Versions::Versions(const std::vector<std::unique_ptr<Plan>>& plans) {
  for (const auto& plan : plans) {
    const auto& version = plan->version();
    auto group = version.header.empty() ? groups_.end() : std::ranges::find(groups_, version.header, &Group::header);
    if (group == groups_.end())
      group = groups_.insert(groups_.end(), Group{{}, version.header, version.written_header, {}, nullptr});
    for (const auto& base : version.bases)
      if (std::ranges::find(group->bases, base) == group->bases.end()) group->bases.push_back(base);
    group->members.push_back(plan.get());
    if (version.standard) group->standard = plan.get();
  }
}
Versions::~Versions() = default;

const Versions::Group* Versions::group_of(std::string_view path) const noexcept {
  for (const auto& group : groups_)
    for (const auto& base : group.bases)
      if (below(path, base)) return &group;
  return nullptr;
}

edge::Service& Versions::choose(const Request& request) noexcept {
  if (const auto* group = group_of(request.path)) return of_group(*group, request);
  // Path items and operations may have servers of their own.
  for (const auto& group : groups_)
    for (const auto* plan : group.members)
      if (plan->contract().match(request.method, request.path).kind != contract::Match::Kind::not_found)
        return of_group(group, request);
  return *front_;
}

edge::Service& Versions::of_group(const Group& group, const Request& request) const noexcept {
  if (group.header.empty()) return group.members.front()->site();
  const auto value = request.headers.find(group.header);
  if (!value.empty()) {
    if (request.headers.count(group.header) == 1)
      for (const auto* plan : group.members)
        if (plan->version().name == value) return plan->site();
    return *front_;
  }
  if (below(request.path, "/versions") && has_pages()) return *front_;
  if (group.standard) return group.standard->site();
  // A preflight cannot send the header: whoever has the operation says which origins may call it.
  if (request.method == "OPTIONS")
    if (const auto method = request.headers.find("access-control-request-method"); !method.empty())
      for (const auto* plan : group.members)
        if (plan->contract().match(method, request.path).kind == contract::Match::Kind::found) return plan->site();
  return *front_;
}

bool Versions::offers_websockets() const noexcept {
  for (const auto& group : groups_)
    for (const auto* plan : group.members)
      if (plan->site().offers_websockets()) return true;
  return false;
}

Importance Versions::route(Request& request, Context& context) { return front_->route(request, context); }
PLIMSOLL_FORWARDS Task<Response> Versions::serve(Request& request, Context& context) {
  return front_->serve(request, context);
}
Response Versions::refused(const Error& error, Request& request, Context& context) {
  return front_->refused(error, request, context);
}
void Versions::finished(const Request& request, Context& context) noexcept { front_->finished(request, context); }
const Services& Versions::services() const { return front_->services(); }

bool Versions::has_pages() const {
  for (const auto& group : groups_)
    for (const auto* plan : group.members)
      for (const auto& operation : plan->contract().operations)
        if (below(operation.path, "/versions")) return false;
  return true;
}

class Versions::Unmatched final : public Handler {
 public:
  explicit Unmatched(const Versions& versions) : versions_(versions) {}
  Task<Result<Response>> handle(Request& request, Context& context) override {
    co_return std::unexpected(versions_.explain(request, context));
  }

 private:
  const Versions& versions_;
};

std::unique_ptr<Handler> Versions::unmatched() const { return std::make_unique<Unmatched>(*this); }

Error Versions::explain(const Request& request, Context& context) const {
  if (const auto* group = group_of(request.path); group && !group->header.empty()) {
    context.promise("vary", lasting(group->header));
    std::vector<std::string> names;
    for (const auto* plan : group->members) names.push_back(plan->version().name);
    const auto value = request.headers.find(group->header);
    return {&kUnknownVersion,
            (value.empty() ? "The header " + group->written_header + " is missing"
                           : group->written_header + " is \"" + std::string(value.substr(0, kLongest)) + "\"") +
                "; the versions are " + listed(names) + "."};
  }
  std::vector<std::string> names;
  for (const auto& group : groups_)
    for (const auto& base : group.bases) names.push_back(shown(base));
  return {&kNotFound, "The versions of this API are at " + listed(names) + "."};
}

std::string Versions::index() const {
  std::string body = "<h1>Versions</h1>\n<table><tr><th>API</th><th>Version</th><th>Requests</th><th></th></tr>\n";
  for (const auto& group : groups_)
    for (const auto* plan : group.members) {
      const auto& version = plan->version();
      const auto& contract = plan->contract();
      const auto pages = version.header.empty() ? version.bases.front() : pages_of(version);
      body += "<tr><td>" + escaped_html(contract.title) + "</td><td>" + escaped_html(contract.version) +
              "</td><td><code>" + escaped_html(shown(version.bases.front())) + "</code>" +
              (version.header.empty() ? ""
                                      : " with <code>" + escaped_html(version.written_header + ": " + version.name) +
                                            "</code>" + (version.standard ? " or without that header" : "")) +
              "</td><td><a href=\"" + escaped_html(pages) + "/docs\">documentation</a>, <a href=\"" +
              escaped_html(pages) + "/openapi.json\">openapi.json</a></td></tr>\n";
    }
  return html_page("Versions", body + "</table>\n");
}

}  // namespace plimsoll::server
