#include "apps/plimsoll/commands.hpp"
#include "apps/plimsoll/database_path.hpp"
#include "plimsoll/base/timestamp.hpp"
#include "plimsoll/config/options.hpp"
#include "plimsoll/contract/complaint.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/policy/authentication/api_key.hpp"
#include "plimsoll/server/deployment.hpp"
#include "plimsoll/server/instance.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>

namespace plimsoll::command {
namespace {

using policy::ApiKey;
using policy::ApiKeys;

struct Options {
  std::string config, database, contract, name, subject, tenant, expires, overlap = "24h", id, prefix = "pk";
  std::vector<std::string> scopes, roles;
  bool json = false;
};

std::string instant(Nanoseconds wall) { return wall == 0 ? "never" : rfc3339_seconds(wall / kSecond); }

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : ",") + word;
  return out.empty() ? "-" : out;
}

/// Opens, prepares the table, and does `work(keys, loop, now)`.
template <class F>
int with_keys(const Options& options, bool existing, F work) {
  auto opened = open_database(options.database, options.config, existing);
  if (!opened) return complain(opened.error());
  ApiKeys keys(**opened);
  const auto ready = database::wait_for([&](Loop& loop) -> Task<Result<>> {
    auto done = co_await keys.prepare(loop);
    co_return done;
  });
  if (!ready) return complain(ready.error());
  return work(keys, system_clock().wall());
}

/// All texts of a value.
void add_texts(const json::Value& value, std::vector<std::string_view>& to) {
  if (value.is(json::Type::string)) to.push_back(value.string());
  for (const auto& item : value.array()) add_texts(item, to);
  for (const auto& member : value.object()) add_texts(member.value, to);
}

/// Words of which one may be a scope or a role that the contract asks for.
std::vector<std::string_view> words_of(const contract::Contract& contract) {
  std::vector<std::string_view> words;
  for (const auto& operation : contract.operations) {
    for (const auto& requirement : operation.security)
      for (const auto& needed : requirement.all) words.insert(words.end(), needed.scopes.begin(), needed.scopes.end());
    for (const auto& extension : operation.extensions)
      if (extension.key == "authorization") add_texts(*extension.value, words);
  }
  if (const auto* tables = contract.root->at("x-plimsoll", "tables")) add_texts(*tables, words);  // `except-roles`
  return words;
}

/// Says which scopes and roles of a new key nothing asks for: no request would show a slip of the pen. Not 0: the
/// documents cannot be read.
int note_unknown(const Options& options) {
  std::vector<std::string_view> asked, roles;
  std::shared_ptr<const contract::Contract> contract;
  if (!options.contract.empty()) {
    auto loaded = server::load_contract(options.contract, {});
    if (!loaded) return complain(loaded.error());
    contract = std::move(*loaded);
    asked = words_of(*contract);
  }
  const auto deployment = server::read_deployment(options.config);
  if (!deployment) return complain(deployment.error());
  const auto* declared = deployment->root ? deployment->root->find("roles") : nullptr;
  if (declared)
    for (const auto& member : declared->object()) roles.push_back(member.key);
  roles.insert(roles.end(), asked.begin(), asked.end());
  std::vector<contract::Complaint> unknown;
  const auto note = [&](std::string_view what, const std::string& word, const std::vector<std::string_view>& known) {
    if (word == "*" || std::ranges::find(known, word) != known.end()) return;
    const auto near = config::nearest(word, known);
    unknown.push_back({.severity = contract::Complaint::Severity::warning,
                       .code = "unknown-" + std::string(what),
                       .what = "nothing asks for the " + std::string(what) + " \"" + word + "\"" +
                               (near.empty() ? "" : "; did you mean \"" + std::string(near) + "\"?"),
                       .remedy = "The key is made all the same; `plimsoll keys revoke` ends it."});
  };
  if (contract)
    for (const auto& scope : options.scopes) note("scope", scope, asked);
  if (contract || declared)
    for (const auto& role : options.roles) note("role", role, roles);
  if (!unknown.empty()) contract::print(unknown);
  return 0;
}

int create(const Options& options) {
  ApiKey key{.name = options.name,
             .subject = options.subject.empty() ? options.name : options.subject,
             .tenant = options.tenant,
             .scopes = options.scopes,
             .roles = options.roles};
  Nanoseconds life = 0;
  if (!options.expires.empty()) {
    const auto span = config::parse_duration(options.expires);
    if (!span || span->nanoseconds <= 0)
      return complain("\"" + options.expires + "\" is not a duration", "--expires", "Write 90d or 12h.");
    life = span->nanoseconds;
  }
  if (options.name.empty()) return complain("a key needs a name", "--name", "Write `--name` and what the key is for.");
  if (options.prefix.empty())
    return complain("a key without a prefix is never accepted", "--prefix", "Leave it out, or give it a few letters.");
  for (const char c : options.prefix)
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_') || options.prefix.size() > 32)
      return complain("\"" + options.prefix + "\" is not a valid prefix", "--prefix",
                      "Use lower case letters, digits and _, at most 32.");
  if (const int status = note_unknown(options)) return status;
  return with_keys(options, false, [&](ApiKeys& keys, Nanoseconds now) {
    if (life > 0) key.expires = now + life;
    const auto made = database::wait_for([&](Loop& loop) -> Task<Result<std::string>> {
      auto secret = co_await keys.create(loop, key, options.prefix, now);
      co_return secret;
    });
    if (!made) return complain(made.error());
    std::fprintf(stderr, "This is the only time the key is shown:\n");
    std::puts(made->c_str());
    return 0;
  });
}

int list(const Options& options) {
  const auto opened = open_database(options.database, options.config, true, Purpose::look);
  if (!opened) return complain(opened.error());
  ApiKeys keys(**opened);
  const auto now = system_clock().wall();
  const auto all = database::wait_for([&](Loop& loop) -> Task<Result<std::vector<ApiKey>>> {
    auto found = co_await keys.list(loop);
    co_return found;
  });
  if (!all) return complain(all.error());
  std::string text;
  json::Writer out(text);
  if (options.json) out.begin_array();
  for (const auto& key : *all) {
    const auto state = key.revoked != 0 ? "revoked" : key.expires != 0 && key.expires <= now ? "expired" : "valid";
    if (!options.json) {
      text += key.id + "  " + key.hint + "…  " + state + "  expires " + instant(key.expires) + "  " + key.name +
              "  subject " + key.subject + "  tenant " + (key.tenant.empty() ? "-" : key.tenant) + "  scopes " +
              joined(key.scopes) + "  roles " + joined(key.roles) + "\n";
      continue;
    }
    out.begin_object().key("id").string(key.id).key("hint").string(key.hint).key("state").string(state);
    out.key("name").string(key.name).key("subject").string(key.subject).key("tenant").string(key.tenant);
    for (const auto& [name, words] : {std::pair{"scopes", &key.scopes}, std::pair{"roles", &key.roles}}) {
      out.key(name).begin_array();
      for (const auto& word : *words) out.string(word);
      out.end_array();
    }
    out.key("created_at").string(instant(key.created)).key("expires_at");
    key.expires ? out.string(instant(key.expires)) : out.null();
    out.end_object();
  }
  if (options.json) out.end_array(), text += '\n';
  std::fputs(text.c_str(), stdout);
  return 0;
}

int rotate(const Options& options) {
  const auto span = config::parse_duration(options.overlap);
  if (!span || span->nanoseconds < 0)
    return complain("\"" + options.overlap + "\" is not a duration", "--overlap", "Write 24h or 0s.");
  return with_keys(options, true, [&](ApiKeys& keys, Nanoseconds now) {
    const auto made = database::wait_for([&](Loop& loop) -> Task<Result<std::string>> {
      auto secret = co_await keys.rotate(loop, options.id, span->nanoseconds, now);
      co_return secret;
    });
    if (!made) return complain(made.error());
    std::fprintf(stderr, "The old key expires at %s. This is the only time the new key is shown:\n",
                 instant(now + span->nanoseconds).c_str());
    std::puts(made->c_str());
    return 0;
  });
}

int revoke(const Options& options) {
  return with_keys(options, true, [&](ApiKeys& keys, Nanoseconds now) {
    const auto done = database::wait_for([&](Loop& loop) -> Task<Result<bool>> {
      auto found = co_await keys.revoke(loop, options.id, now);
      co_return found;
    });
    if (!done) return complain(done.error());
    if (!*done)
      return complain("there is no key " + options.id + " that is not revoked", {}, "`plimsoll keys list` shows them.");
    std::puts(("revoked " + options.id + "; servers reject it within 5 s").c_str());
    return 0;
  });
}

Subcommand::Run declare(CLI::App& app) {
  auto options = std::make_shared<Options>();
  auto which = std::make_shared<int (*)(const Options&)>(nullptr);
  app.require_subcommand(1);
  const auto add = [&](const char* name, const char* sentence, int (*run)(const Options&)) {
    auto* sub = app.add_subcommand(name, sentence);
    sub->add_option("--config", options->config, "Deployment; without it plimsoll.yaml in the working directory")
        ->type_name("FILE");
    sub->add_option("--database", options->database, "Instead of the deployment's")->type_name("URL");
    sub->callback([which, run] { *which = run; });
    return sub;
  };
  auto* creates = add("create", "Creates a key and prints it, once", create);
  creates->add_option("--name", options->name, "Name of the key, to recognise it in lists")->required();
  creates->add_option("--subject", options->subject, "Subject of callers with this key; without it, the name");
  creates->add_option("--tenant", options->tenant, "Tenant of the caller");
  creates->add_option("--scope", options->scopes, "Granted scope; may be repeated");
  creates->add_option("--role", options->roles, "Role; may be repeated");
  creates
      ->add_option("--contract", options->contract,
                   "OpenAPI document that the key is for: scopes and roles that nothing in it asks for are named")
      ->type_name("FILE");
  creates->add_option("--expires", options->expires, "Lifetime, such as 90d; without it the key does not expire");
  creates->add_option("--prefix", options->prefix, "Text that the key begins with")->capture_default_str();
  auto* lists = add("list", "Shows all keys, never their secrets", list);
  lists->add_flag("--json", options->json, "As JSON");
  auto* rotates = add("rotate", "Creates a successor of a key; the old key expires after the overlap", rotate);
  rotates->add_option("id", options->id, "Id of the key, from `keys list`")->required();
  rotates->add_option("--overlap", options->overlap, "How long both are valid")->capture_default_str();
  auto* revokes = add("revoke", "Revokes a key at once", revoke);
  revokes->add_option("id", options->id, "Id of the key, from `keys list`")->required();
  return [options, which] { return (*which)(*options); };
}

const Subcommand keys{"keys", "Creates, lists, rotates and revokes API keys", declare};

}  // namespace
}  // namespace plimsoll::command
