#include "plimsoll/server/deployment.hpp"

#include "plimsoll/base/read_file.hpp"
#include "plimsoll/contract/load_errors.hpp"
#include "plimsoll/database/engine.hpp"
#include "plimsoll/edge/server.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/json/yaml.hpp"
#include "plimsoll/server/redirect.hpp"
#include "plimsoll/server/words.hpp"
#include "plimsoll/telemetry/redact.hpp"

#include <sys/stat.h>
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

namespace plimsoll::config {

template <>
struct Words<telemetry::Level> {
  static constexpr std::string_view words[] = {"debug", "info", "warning", "error", "off"};
};
template <>
struct Words<server::LogFormat> {
  static constexpr std::string_view words[] = {"auto", "json", "text"};
};

}  // namespace plimsoll::config

namespace plimsoll::server {
namespace {

using config::field;

constexpr config::Field kDatabase[] = {
    field<&DatabaseOptions::url>(
        "url",
        "Where the rows are: `sqlite:PATH`, or `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…`. Beyond this "
        "machine only `sslmode=verify-full` is used. Empty: `sqlite:<name of the contract>.db` in the working "
        "directory."),
    field<&DatabaseOptions::migrations>(
        "migrations",
        "Folder of `*.sql` migrations, applied at the start; empty: `migrations` beside the "
        "contract, when it is there."),
    field<&DatabaseOptions::slow>("slow",
                                  "A statement that takes longer is logged as `slow-statement`, without the values of "
                                  "its parameters; 0: none.",
                                  {0, 3600 * kSecond}),
};
constexpr config::Field kTelemetry[] = {
    field<&TelemetryOptions::log>("log",
                                  "Lowest level of the lines that are logged: debug, info, warning, error or off."),
    field<&TelemetryOptions::format>("format", "`json`, `text`, or `auto`: text on a terminal, else JSON."),
};
constexpr config::Field kFields[] = {
    field<&Deployment::listen>(
        "listen",
        "Addresses of the public listener, `ADDRESS:PORT`, `[IPV6]:PORT` or `unix:PATH`; port 0 takes a free one."),
    field<&Deployment::management>("management", "Address of the management listener (metrics, health), or `off`."),
    field<&Deployment::threads>("threads", "I/O threads; 0: one for each core.", {0, 256}),
    field<&Deployment::overlap>("overlap",
                                "Whether another process may listen on the same addresses: for a restart in which the "
                                "old and the new one overlap."),
};
/// Keys whose options are read elsewhere in the house; the first has options of its own.
constexpr config::Field kNested[] = {
    field<&Deployment::limits>("limits", "Limits of the listeners and their connections."),
    field<&Deployment::store>("store", "Where shared state is stored; empty: in this process."),
    field<&Deployment::trusted_proxies>("trusted-proxies",
                                        "Addresses or networks of proxies whose forwarding headers are trusted."),
    field<&Deployment::redirect_to_https>("redirect-to-https",
                                          "Redirects requests without TLS to the same URL with https (308)."),
};
constexpr std::string_view kOwn[] = {"database", "telemetry", "tls"};

}  // namespace

std::vector<std::string_view> section_names() {
  std::vector<std::string_view> names(std::begin(kOwn), std::end(kOwn));
  for (const auto& field : kFields) names.push_back(field.name);
  for (const auto& field : kNested) names.push_back(field.name);
  for (const auto* section : deployment_sections()) names.push_back(section->key.name);
  return names;
}

namespace {

contract::Complaint complaint(const std::string& file, json::Position at, std::string code, std::string what,
                              std::string remedy) {
  return {.code = std::move(code), .file = file, .at = at, .what = std::move(what), .remedy = std::move(remedy)};
}

/// Fills `${NAME}` and `${file:PATH}` into every text of the document.
class Secrets {
 public:
  Secrets(const std::string& file, Arena& arena, contract::Complaints& complaints)
      : file_(file), arena_(arena), complaints_(complaints) {}

  void fill(json::Value& value) {
    if (value.is(json::Type::string)) return fill_text(value);
    for (auto& item : value.array()) fill(item);
    for (auto& member : value.object()) fill(member.value);
  }

 private:
  void fill_text(json::Value& value) {
    const auto text = value.string();
    if (!text.contains("${")) return;
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
      const auto begin = text.find("${", at), end = begin == text.npos ? text.npos : text.find('}', begin);
      if (end == text.npos) {
        out += text.substr(at);
        break;
      }
      out += text.substr(at, begin - at);
      out += look_up(text.substr(begin + 2, end - begin - 2), value.position());
      at = end + 1;
    }
    const auto where = value.position();
    value = json::Value::of(arena_.keep(out));
    value.set_position(where);
  }

  std::string look_up(std::string_view name, json::Position at) {
    if (name.starts_with("file:")) {
      const std::string path(name.substr(5));
      auto text = read_file(path);
      if (!text) {
        complaints_.push_back(complaint(file_, at, "missing-secret",
                                        "the secret file " + path + " cannot be read: " + text.error().message(),
                                        "Mount the file, or correct the path in `${file:…}`."));
        return {};
      }
      while (text->ends_with('\n') || text->ends_with('\r')) text->pop_back();
      return std::move(*text);
    }
    const std::string variable(name);
    const char* found = std::getenv(variable.c_str());
    if (!found || !*found) {
      complaints_.push_back(complaint(file_, at, "missing-secret",
                                      "the environment variable " + variable + " is not set",
                                      "Set " + variable + " before starting, or use `${file:PATH}`."));
      return {};
    }
    return found;
  }

  const std::string& file_;
  Arena& arena_;
  contract::Complaints& complaints_;
};

/// So that whoever finds something wrong with a value knows which file to name.
void mark(json::Value& value) {
  value.set_source(config::kDeploymentSource);
  for (auto& item : value.array()) mark(item);
  for (auto& member : value.object()) mark(member.value);
}

contract::Complaint misread(std::string_view key, const json::Value& value, const Error& error,
                            const std::string& file) {
  auto [at, what, source, remedy] = config::located(error.detail);
  if (remedy.empty()) remedy = "`plimsoll explain " + std::string(key) + "` describes it and its options.";
  return complaint(file, at.line ? at : value.position(), "configuration", "`" + std::string(key) + "`: " + what,
                   std::move(remedy));
}

/// Words of the language that this version does not have yet, and what there is instead.
struct Later {
  std::string_view section, key, remedy;
};
constexpr Later kLater[] = {
    {{}, "store", "Remove it: state is kept in this process."},
    {{}, "credentials", "Remove it: secrets stand where they are used, as `${NAME}` or `${file:PATH}`."},
    {"telemetry", "traces", "Remove it: trace ids are read, logged and forwarded, and not exported."},
};

void refuse_later_words(const json::Value& root, const std::string& file, contract::Complaints& complaints) {
  for (const auto& later : kLater) {
    const auto* section = later.section.empty() ? &root : root.find(later.section);
    if (!section) continue;
    for (const auto& member : section->object())
      if (member.key == later.key)
        complaints.push_back(complaint(file, member.at, "not-implemented",
                                       "this version does not implement `" +
                                           (later.section.empty() ? std::string{} : std::string(later.section) + ".") +
                                           std::string(later.key) + "` yet",
                                       std::string(later.remedy)));
  }
}

/// Keys that belong to the contract; `known` gets them, so that nothing else is said of them.
void refuse_contract_keys(const json::Value& root, const std::string& file, std::vector<std::string_view>& known,
                          contract::Complaints& complaints) {
  const auto sections = section_names();
  const auto keys = contract_keys();
  for (const auto& member : root.object()) {
    if (std::ranges::find(sections, member.key) != sections.end() ||
        std::ranges::find(keys, member.key, &config::Key::name) == keys.end())
      continue;
    known.push_back(member.key);
    const auto near = config::nearest(member.key, sections);
    complaints.push_back(complaint(file, member.at, "configuration",
                                   "unknown key \"" + std::string(member.key) + "\": it belongs to the contract" +
                                       (near.empty() ? "" : "; did you mean \"" + std::string(near) + "\"?"),
                                   "Write it under `x-plimsoll` of the document, of a path or of an operation."));
  }
}

/// Known words of a section that are read, or refused, elsewhere.
void also_known(std::string_view section, std::vector<std::string_view>& words) {
  for (const auto& later : kLater)
    if (later.section == section) words.push_back(later.key);
}

void read_part(const json::Value& root, std::string_view key, std::span<const config::Field> fields, void* options,
               const std::string& file, contract::Complaints& complaints) {
  const auto* value = root.find(key);
  if (!value) return;
  std::vector<std::string_view> others;
  also_known(key, others);
  if (auto done = config::read(*value, fields, options, others); !done)
    complaints.push_back(misread(key, *value, done.error(), file));
}

/// What the URL says, and what stands beside it for another engine.
void read_engine(const json::Value& value, Deployment& made, contract::Complaints& complaints) {
  const auto& url = made.database.url;
  const auto* engine = database::engine_of(url.empty() ? database::default_url({}) : url);
  if (!engine) {
    complaints.push_back(complaint(made.file, value.find("url")->position(), "not-implemented",
                                   "only " + database::listed_schemes("`", "and") + " are served by this version",
                                   "Use " + database::listed_forms("`", "or") + "."));
    return;
  }
  for (const auto& member : value.object())
    for (const auto* each : database::engines())
      if (each != engine && database::has_option(*each, member.key))
        complaints.push_back(complaint(made.file, member.at.line ? member.at : member.value.position(), "configuration",
                                       "`database." + std::string(member.key) + "` is for " + std::string(each->name),
                                       "Remove it: this database is one of " + std::string(engine->name) + "."));
  if (!engine->check) return;
  for (const auto& error : engine->check(made.database.place())) {
    auto [at, what, source, remedy] = config::located(error.detail);
    if (remedy.empty()) remedy = "`plimsoll explain database` describes it and its options.";
    complaints.push_back(
        complaint(made.file, at.line ? at : value.position(), "configuration", std::move(what), std::move(remedy)));
  }
}

void read_database(const json::Value& root, Deployment& made, contract::Complaints& complaints) {
  const auto* value = root.find("database");
  if (!value) return;
  std::vector<std::string_view> others;
  also_known("database", others);
  for (const auto* each : database::engines())
    for (const auto& option : database::options_of(*each)) others.push_back(option.name);
  made.database.section = value;
  if (auto done = config::read(*value, kDatabase, &made.database, others); !done)
    complaints.push_back(misread("database", *value, done.error(), made.file));
  else
    read_engine(*value, made, complaints);
}

}  // namespace

database::Place DatabaseOptions::place_for(const std::string& contract) const {
  auto made = place();
  if (made.url.empty()) made.url = database::default_url(std::filesystem::path(contract).stem().string());
  return made;
}

const std::span<const config::Field> kTelemetryFields = kTelemetry;
const std::span<const config::Field> kDeploymentFields = kFields;

std::vector<config::Key> built_in_sections() {
  std::vector<config::Key> sections{{.name = "database",
                                     .sentence = "The database that holds the rows.",
                                     .fields = kDatabase,
                                     .defaults = config::defaults_of<DatabaseOptions>,
                                     .example = "{url: 'sqlite:shop.db'}"}};
  for (const auto* each : database::engines())
    if (each->options)
      sections.push_back({.name = "database", .sentence = {}, .fields = each->options(), .defaults = each->defaults});
  const config::Key others[] = {{.name = "telemetry",
                                 .sentence = "Level and format of the log.",
                                 .fields = kTelemetry,
                                 .defaults = config::defaults_of<TelemetryOptions>,
                                 .example = "{log: warning, format: json}"},
                                {.name = "tls",
                                 .sentence = "Certificates of the public listener; without them it does not use TLS.",
                                 .fields = net::kTlsFields,
                                 .defaults = config::defaults_of<net::TlsOptions>,
                                 .example = "{certificate: /etc/shop/tls.crt, key: /etc/shop/tls.key}"},
                                {.name = "limits",
                                 .sentence = "Limits of the listeners and their connections.",
                                 .fields = edge::kLimitFields,
                                 .defaults = config::defaults_of<edge::Limits>,
                                 .example = "{drain: 30s, connections: 10000}"}};
  sections.insert(sections.end(), std::begin(others), std::end(others));
  return sections;
}

std::span<const config::Field> nested_fields() {
  static const std::vector<config::Field> fields{
      config::shown(config::object_of<edge::Proxies>(kNested[2], edge::kProxyFields,
                                                     config::Form<std::vector<std::string>>::schema),
                    "[10.0.0.0/8]"),
      config::shown(config::object_of<RedirectToHttps>(kNested[3], kRedirectFields, kRedirectShort),
                    "{from: [':80']}")};
  return fields;
}

namespace {

/// A redirect that nobody can follow would be found by clients only.
void set_redirect(Deployment& made, contract::Complaints& complaints) {
  const auto* said = made.redirect_to_https;
  const auto wrong = [&](std::string what, std::string remedy) {
    complaints.push_back(complaint(made.file, said->position(), "configuration",
                                   "`redirect-to-https`" + std::move(what), std::move(remedy)));
  };
  auto redirect = read_redirect(said);
  if (!redirect) {
    complaints.push_back(misread("redirect-to-https", *said, redirect.error(), made.file));
    return;
  }
  made.redirect = std::move(*redirect);
  if (!made.redirect) return;
  if (!made.redirect->from.empty() && !made.tls.has_certificate())
    wrong(" has listeners without TLS and there is no certificate: no listener would serve HTTPS",
          "Name one with `tls: {certificate: PATH, key: PATH}`; behind a proxy that terminates TLS write "
          "`redirect-to-https: true`.");
  else if (made.redirect->from.empty() && !made.trusted_proxies)
    wrong(" is on, and no request can arrive without TLS",
          "Name listeners, `redirect-to-https: {from: [':80']}`, or the proxies in front with `trusted-proxies`.");
}

/// The name of a deployment that nobody names.
constexpr const char* kUsualFile = "plimsoll.yaml";

/// A deployment beside a contract, where it is not the one of the working directory: it would not be read, and its
/// contract would be served with another database and without its limits.
contract::Complaints passed_over(std::span<const std::string> contracts) {
  namespace fs = std::filesystem;
  contract::Complaints complaints;
  for (const auto& each : contracts) {
    const auto beside = fs::path(each).parent_path() / kUsualFile;
    std::error_code unknown;
    if (!fs::exists(beside, unknown) || fs::equivalent(beside, kUsualFile, unknown)) continue;
    if (std::ranges::find(complaints, beside.string(), &contract::Complaint::file) != complaints.end()) continue;
    const bool here = fs::exists(kUsualFile, unknown);
    complaints.push_back({.code = "deployment-not-read",
                          .file = beside.string(),
                          .what = "this file is not read: without --config it is plimsoll.yaml in the working "
                                  "directory that is read" +
                                  std::string(here ? "" : ", and there is none"),
                          .remedy = "Write `--config " + beside.string() + "`" +
                                    (here ? ", or `--config plimsoll.yaml` for the one in the working directory."
                                          : ", or run the command in that folder.")});
  }
  return complaints;
}

}  // namespace

std::expected<Deployment, contract::Complaints> read_deployment(const std::string& given,
                                                                std::span<const std::string> contracts) {
  Deployment made;
  made.file = given;
  contract::Complaints complaints;
  if (given.empty()) {
    complaints = passed_over(contracts);
    struct stat info{};
    if (!complaints.empty()) return std::unexpected(std::move(complaints));
    if (::stat(kUsualFile, &info) != 0 && (errno == ENOENT || errno == ENOTDIR)) return made;
    made.file = kUsualFile;
  }
  auto text = read_file(made.file);
  if (!text) {
    complaints.push_back(complaint(made.file, {}, "file-unreadable",
                                   "the configuration cannot be read: " + text.error().message(),
                                   "Give the path of a readable file with --config."));
    return std::unexpected(std::move(complaints));
  }
  made.text = std::make_unique<std::string>(std::move(*text));
  made.memory = std::make_unique<Arena>();
  auto parsed = json::parse_yaml(*made.text, *made.memory);
  if (!parsed) {
    auto [at, what, source, remedy] = config::located(parsed.error().detail);
    complaints.push_back(complaint(made.file, at, "malformed-document", std::move(what),
                                   std::string(contract::load_error::kMalformedDocument.remedy)));
    return std::unexpected(std::move(complaints));
  }
  auto& root = made.memory->make<json::Value>(*parsed);
  if (root.is(json::Type::null)) root = json::Value::object({});
  Secrets secrets{made.file, *made.memory, complaints};
  // Sections that lack secrets: what else is wrong with them shows when they do not.
  std::vector<std::string_view> unset;
  for (auto& member : root.object()) {
    const auto before = complaints.size();
    secrets.fill(member.value);
    if (complaints.size() > before) unset.push_back(member.key);
  }
  const auto lacks_secret = [&](std::string_view key) { return std::ranges::find(unset, key) != unset.end(); };
  mark(root);
  made.root = &root;

  std::vector<config::Field> all(std::begin(kFields), std::end(kFields));
  all.insert(all.end(), std::begin(kNested), std::end(kNested));
  std::vector<std::string_view> others(std::begin(kOwn), std::end(kOwn));
  also_known({}, others);
  const auto sections = deployment_sections();
  for (const auto* section : sections) others.push_back(section->key.name);
  refuse_contract_keys(root, made.file, others, complaints);
  if (auto done = config::read(root, all, &made, others); !done) {
    auto [at, what, source, remedy] = config::located(done.error().detail);
    if (remedy.empty()) remedy = "`plimsoll config --explain` lists every option.";
    complaints.push_back(complaint(made.file, at, "configuration", std::move(what), std::move(remedy)));
  }
  for (const auto* section : sections)
    if (const auto* value = root.find(section->key.name); value && section->check && !lacks_secret(section->key.name))
      if (auto done = section->check(*value); !done)
        complaints.push_back(misread(section->key.name, *value, done.error(), made.file));
  read_database(root, made, complaints);
  read_part(root, "telemetry", kTelemetry, &made.telemetry, made.file, complaints);
  read_part(root, "tls", net::kTlsFields, &made.tls, made.file, complaints);
  // Without this the listener would serve in clear what was meant to be encrypted.
  if (const auto* tls = root.find("tls"); tls && !made.tls.has_certificate() && !lacks_secret("tls"))
    for (const auto& member : tls->object())
      if (member.key != "certificates") {
        complaints.push_back(complaint(made.file, member.at.line ? member.at : member.value.position(), "configuration",
                                       "`tls` has `" + std::string(member.key) + "` and no certificate",
                                       "Name the PEM file with `tls: {certificate: PATH}`, or remove `tls`."));
        break;
      }
  if (const auto* listen = root.find("listen"); listen && made.listen.empty())
    complaints.push_back(complaint(made.file, listen->position(), "configuration", "`listen` names no address",
                                   "Name one, `listen: ['127.0.0.1:8080']`, or remove it: that is the default."));
  if (const auto* listen = root.find("listen"))
    for (std::size_t i = 0; i < std::min(made.listen.size(), listen->array().size()); ++i)
      if (const auto& one = made.listen[i];
          !one.ends_with(":0") &&
          std::ranges::find(made.listen, one) < made.listen.begin() + static_cast<std::ptrdiff_t>(i))
        complaints.push_back(complaint(made.file, listen->array()[i].position(), "configuration",
                                       "`listen` names " + one + " twice", "Remove one of them."));
  set_redirect(made, complaints);
  made.names_database = root.find("database") != nullptr;
  if (made.limits) {
    edge::Limits limits;
    read_part(root, "limits", edge::kLimitFields, &limits, made.file, complaints);
  }
  refuse_later_words(root, made.file, complaints);
  if (!complaints.empty()) return std::unexpected(std::move(complaints));
  return made;
}

namespace {

void explain_fields(std::vector<Explained>& out, const std::string& prefix, std::span<const config::Field> fields,
                    const void* values, const void* standards, const json::Value* from, const std::string& file) {
  for (const auto& option : fields) {
    const auto* given = from ? from->find(option.name) : nullptr;
    const auto origin = given ? file + ":" + std::to_string(given->position().line) : std::string("default");
    out.push_back({prefix + std::string(option.name), option.show(values), origin, option.show(standards),
                   std::string(option.sentence)});
  }
}

/// Names under which a secret may stand in the file itself, though it should not. A `key` beside its `key-id` signs;
/// others are words and paths.
bool holds_secret(const json::Value& around, std::string_view name) {
  if (name == "token-url") return false;
  return telemetry::secret_name(name, {}) || name == "bearer" || name == "value" ||
         (name == "key" && around.find("key-id"));
}
void redact(json::Value& value, Arena& arena) {
  for (auto& item : value.array()) redact(item, arena);
  if (value.is(json::Type::string)) {
    const auto text = value.string();
    if (text.contains("PRIVATE KEY-----")) {
      value = json::Value::of("[redacted]");
      return;
    }
    const auto scheme = text.find("://"), at = scheme == text.npos ? text.npos : text.find('@', scheme);
    if (at != text.npos && at < text.find('/', scheme + 3)) {  // `http://user:password@host/`
      const auto place = value.position();
      value = json::Value::of(
          arena.keep(std::string(text.substr(0, scheme + 3)) + "[redacted]" + std::string(text.substr(at))));
      value.set_position(place);
    }
  }
  for (auto& member : value.object())
    if (member.key == "headers" && member.value.is(json::Type::object))
      for (auto& header : member.value.object()) header.value = json::Value::of("[redacted]");
    else if (!holds_secret(value, member.key) || member.value.is(json::Type::object))
      redact(member.value, arena);
    else if (!member.value.is(json::Type::string) || !member.value.string().starts_with("${"))
      member.value = json::Value::of("[redacted]");
}

/// URLs without their passwords, in a value or in a list of them.
void hide_passwords(json::Value& value, Arena& arena) {
  if (value.is(json::Type::string)) {
    const auto place = value.position();
    value = json::Value::of(arena.keep(database::without_password(value.string())));
    value.set_position(place);
  }
  for (auto& item : value.array()) hide_passwords(item, arena);
}

/// The options of all engines, those of an object each by itself.
void explain_engines(std::vector<Explained>& out, const Deployment& deployment) {
  Arena arena;
  const auto row = [&](const std::string& name, const json::Value* given, const config::Field& option,
                       const void* defaults) {
    const auto origin = given ? deployment.file + ":" + std::to_string(given->position().line) : std::string("default");
    auto standard = option.show(defaults);
    auto value = standard;
    if (given) {
      json::Value shown = *given;
      hide_passwords(shown, arena);
      value = json::to_string(shown);
    }
    out.push_back({name, std::move(value), origin, std::move(standard), std::string(option.sentence)});
  };
  for (const auto* engine : database::engines())
    for (const auto& option : database::options_of(*engine)) {
      const auto name = "database." + std::string(option.name);
      const auto* given = deployment.database.section ? deployment.database.section->find(option.name) : nullptr;
      if (option.parts.empty() || option.named || !option.standard) {
        row(name, given, option, engine->defaults());
        continue;
      }
      for (const auto& inner : option.parts)
        row(name + "." + std::string(inner.name), given ? given->find(inner.name) : nullptr, inner, option.standard());
    }
}

/// Sections of policies and handlers, as they are written in the file: what is filled in for `${…}` may be a secret.
void explain_sections(std::vector<Explained>& out, const Deployment& deployment) {
  Arena arena;
  std::optional<json::Value> written;
  if (deployment.text)
    if (auto parsed = json::parse_yaml(*deployment.text, arena)) redact(written.emplace(*parsed), arena);
  const auto row = [&](std::string name, const json::Value* value, std::string standard, std::string_view sentence) {
    const auto origin = value ? deployment.file + ":" + std::to_string(value->position().line) : std::string("default");
    out.push_back(
        {std::move(name), value ? json::to_string(*value) : standard, origin, standard, std::string(sentence)});
  };
  for (const auto* section : deployment_sections()) {
    const auto& key = section->key;
    const auto* value = written ? written->find(key.name) : nullptr;
    if (key.fields.empty() && (!key.entries || !key.entry_schema.empty()))
      row(std::string(key.name), value, "null", key.sentence);
    for (const auto& option : key.fields)
      row(std::string(key.name) + "." + std::string(option.name), value ? value->find(option.name) : nullptr,
          option.show(key.defaults()), option.sentence);
    if (!key.entries || !key.entry_schema.empty()) continue;
    // Members by names of the user's own: each as it is, or what one may hold.
    const auto entry = [&](const std::string& name, const json::Value* one) {
      for (const auto& option : key.entries())
        row(std::string(key.name) + "." + name + "." + std::string(option.name), one ? one->find(option.name) : nullptr,
            option.show(key.entry_defaults()), option.sentence);
    };
    bool any = false;
    if (value)
      for (const auto& member : value->object())
        if (std::ranges::find(key.fields, member.key, &config::Field::name) == key.fields.end())
          entry(std::string(member.key), &member.value), any = true;
    if (!any) entry("NAME", nullptr);
  }
}

}  // namespace

std::vector<Explained> explain(const Deployment& deployment) {
  const Deployment standard;
  std::vector<Explained> out;
  const auto part = [&](std::string_view key) { return deployment.root ? deployment.root->find(key) : nullptr; };
  explain_fields(out, "", kFields, &deployment, &standard, deployment.root, deployment.file);
  explain_fields(out, "database.", kDatabase, &deployment.database, &standard.database, part("database"),
                 deployment.file);
  explain_engines(out, deployment);
  explain_fields(out, "telemetry.", kTelemetry, &deployment.telemetry, &standard.telemetry, part("telemetry"),
                 deployment.file);
  explain_fields(out, "tls.", net::kTlsFields, &deployment.tls, &standard.tls, part("tls"), deployment.file);
  edge::Limits limits;
  const edge::Limits usual;
  if (deployment.limits) (void)config::read(*deployment.limits, edge::kLimitFields, &limits);
  explain_fields(out, "limits.", edge::kLimitFields, &limits, &usual, part("limits"), deployment.file);
  explain_fields(out, "", std::span(kNested).subspan(1), &deployment, &standard, deployment.root, deployment.file);
  explain_sections(out, deployment);
  for (const auto& later : kLater)
    if (!later.section.empty())
      out.push_back({std::string(later.section) + "." + std::string(later.key), "null", "not implemented", "null",
                     "This version does not implement it yet, and refuses it."});
  for (auto& row : out)
    for (const auto& later : kLater)
      if (later.section.empty() && later.key == row.name) row.origin = "not implemented";
  for (auto& row : out)
    // A key may be the text of a mounted secret instead of a path.
    if (row.name == "tls.key" && row.value.find("BEGIN") != std::string::npos) row.value = "\"[redacted]\"";
  for (auto& row : out)
    if (row.name == "database.url") row.value = database::without_password(row.value);
  return out;
}

}  // namespace plimsoll::server
