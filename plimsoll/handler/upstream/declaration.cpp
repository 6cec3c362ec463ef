#include "plimsoll/handler/upstream/declaration.hpp"

#include "plimsoll/base/letters.hpp"
#include "plimsoll/client/chain.hpp"
#include "plimsoll/client/plain_http.hpp"
#include "plimsoll/contract/lookalikes.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/target.hpp"

#include <algorithm>
#include <deque>
#include <set>

namespace plimsoll::handler::forwarding {
namespace {

struct HealthOptions {
  std::string path;
  config::Duration every{client::HealthCheckOptions{}.every}, timeout{client::HealthCheckOptions{}.timeout};
  std::int64_t failures = client::HealthCheckOptions{}.failures, successes = client::HealthCheckOptions{}.successes;
};
constexpr config::Field kHealth[] = {
    config::shown(config::field<&HealthOptions::path>(
                      "path", "The path that is requested from each target with GET; 2xx is healthy."),
                  "/healthz"),
    config::field<&HealthOptions::every>("every", "Interval of the checks, varied at random by a tenth.",
                                         {10 * kMillisecond, 3600 * kSecond}),
    config::field<&HealthOptions::timeout>("timeout", "How long one check may take.", {kMillisecond, 600 * kSecond}),
    config::field<&HealthOptions::failures>("failures", "Consecutive failed checks after which a target is not used.",
                                            {1, 100}),
    config::field<&HealthOptions::successes>("successes", "Consecutive successful checks after which it is used again.",
                                             {1, 100}),
};
struct Target {
  std::string url;
  std::int64_t weight = 1;
  std::string group = "stable";
};
constexpr config::Field kTarget[] = {
    config::shown(config::field<&Target::url>("url", "The server's URL."), "'https://reviews-1.internal:9000'"),
    config::field<&Target::weight>("weight", "Its share of the calls to those of the others.", {1, 1000}),
    config::field<&Target::group>("group", "The group of targets to which it belongs, with `split`."),
};
constexpr config::Field kOwn[] = {
    config::shaped(
        config::field<&Declaration::listed>(
            "targets",
            "URLs of equivalent servers; a path in a URL is put before the path of each request. `{url, weight}` for a "
            "server that gets more or fewer calls than the others."),
        R"("anyOf":[{"type":"string"},{"type":"array","items":{"anyOf":[{"type":"string"},{"type":"object","properties":{"url":{"type":"string"},"weight":{"type":"integer","minimum":1,"maximum":1000},"group":{"type":"string"}},"required":["url"],"additionalProperties":false}]}}])",
        "['https://reviews-1.internal:9000', {url: 'https://reviews-2.internal:9000', weight: 2}]"),
    config::shaped(
        config::field<&Declaration::split>(
            "split",
            "The share of the callers of each group of targets, such as {stable: 95, canary: 5}; each caller stays in "
            "one group. 0: none."),
        R"("type":"object","additionalProperties":{"type":"integer","minimum":0,"maximum":10000})",
        "{stable: 95, canary: 5}"),
    config::shaped(config::field<&Declaration::hash_by>(
                       "hash-by", "With `balance: hash`: header:NAME, cookie:NAME, claim:NAME or caller."),
                   R"("type":"string")", "'cookie:session'"),
    config::shown(config::object_of<HealthOptions>(
                      config::field<&Declaration::health>("health", "Checks the health of each target."), kHealth),
                  "{path: /healthz, every: 5s}"),
    config::field<&Declaration::authorities>(
        "authorities", "PEM file of the authorities that sign the targets' certificates; empty: the system's."),
    config::shown(config::field<&Declaration::certificate>(
                      "certificate",
                      "PEM file, or the text, of the certificate and its chain that this server shows to its targets "
                      "(mutual TLS); empty: none."),
                  "/run/secrets/reviews.crt"),
    config::shown(config::field<&Declaration::key>(
                      "key", "PEM file, or the text, of its private key; empty: it stands with the certificate."),
                  "/run/secrets/reviews.key"),
    config::shown(config::field<&Declaration::host>(
                      "host",
                      "The `Host` that targets are sent: a name, or `client` for that of the request; empty: each "
                      "target's own."),
                  "reviews.internal"),
    config::shown(config::field<&Declaration::http>(
                      "http",
                      "The version of HTTP with which targets are called; `auto`: over TLS what the target agrees to, "
                      "HTTP/2 first, and without TLS HTTP/1.1. 2 without TLS: the targets speak HTTP/2 from the first "
                      "byte. WebSockets use HTTP/1.1 where a target does not offer them over HTTP/2."),
                  "2"),
    config::field<&Declaration::plain_http>("plain-http",
                                            "Whether targets beyond this machine may be called without TLS."),
};

/// Words of the language that this version does not have yet.
constexpr std::string_view kLater[] = {"credential"};

/// The name of a group is the label of a metric, and is written in contracts.
bool is_group_name(std::string_view text) { return is_token(text) && text.size() <= 64; }

/// The policy `timeout` is written `timeouts` here, where there are several.
std::string_view written(std::string_view part) { return part == "timeout" ? "timeouts" : part; }

Result<> read_target(const json::Value& from, Declaration& declared) {
  Target target;
  if (from.is(json::Type::string)) {
    target.url = from.string();
  } else if (!from.is(json::Type::object)) {
    return config::wrong(from, "a target is a URL, or an object with `url` and `weight`");
  } else if (auto done = config::read(from, kTarget, &target); !done) {
    return done;
  }
  declared.targets.push_back(std::move(target.url));
  declared.weights.push_back(static_cast<double>(target.weight));
  declared.group_names.push_back(std::move(target.group));
  return {};
}
Result<> read_targets(Declaration& declared) {
  if (!declared.listed) return {};
  if (!declared.listed->is(json::Type::array)) return read_target(*declared.listed, declared);
  for (const auto& each : declared.listed->array())
    if (auto done = read_target(each, declared); !done) return done;
  return {};
}

/// The groups of `split`, and of each target the one to which it belongs.
Result<> read_split(const json::Value& from, Declaration& declared) {
  const auto* listed = from.find("targets");
  const auto named = [&](std::size_t i) {
    const auto& place = listed->is(json::Type::array) ? listed->array()[i] : *listed;
    return place.is(json::Type::object) ? place.find("group") : nullptr;
  };
  if (!declared.split) {
    for (std::size_t i = 0; i < declared.targets.size(); ++i)
      if (const auto* group = named(i))
        return config::wrong(*group,
                             "a target has a `group`, and the upstream no `split` that says what it gets, such "
                             "as {stable: 95, canary: 5}");
    return {};
  }
  if (!declared.split->is(json::Type::object) || declared.split->object().empty())
    return config::wrong(*declared.split, "`split` is an object of groups, such as {stable: 95, canary: 5}");
  double sum = 0;
  for (const auto& member : declared.split->object()) {
    if (!is_group_name(member.key))
      return config::wrong(member.value, "the name of a group is a word of letters, digits and -");
    const auto weight = config::Form<std::int64_t>::read(member.value);
    if (!weight || *weight < 0 || *weight > 10'000)
      return config::wrong(member.value, "the share of a group is a number from 0 to 10000");
    sum += static_cast<double>(*weight);
    declared.groups.push_back({std::string(member.key), static_cast<double>(*weight)});
  }
  if (declared.groups.size() > client::Split::kMostGroups)
    return config::wrong(*declared.split, "an upstream has at most 16 groups");
  if (sum <= 0) return config::wrong(*declared.split, "one group of `split` has a share above 0");
  std::vector<bool> used(declared.groups.size());
  for (std::size_t i = 0; i < declared.targets.size(); ++i) {
    const auto known = std::ranges::find(declared.groups, declared.group_names[i], &client::Group::name);
    if (known == declared.groups.end()) {
      const auto* group = named(i);
      const auto& place = listed->is(json::Type::array) ? listed->array()[i] : *listed;
      return config::wrong(group ? *group : place, "the target \"" + declared.targets[i] + "\" is in the group `" +
                                                       declared.group_names[i] + "`, of which `split` says nothing" +
                                                       (group ? "" : "; a target that names none is in `stable`"));
    }
    const auto index = static_cast<std::uint32_t>(known - declared.groups.begin());
    declared.group_of.push_back(index);
    used[index] = true;
  }
  for (std::size_t i = 0; i < used.size(); ++i)
    if (!used[i])
      return config::wrong(*declared.split->find(declared.groups[i].name),
                           "no target is in the group `" + declared.groups[i].name + "`");
  return {};
}

/// Whether all are called with TLS.
Result<bool> check_targets(const json::Value& from, const Declaration& declared) {
  const auto* at = from.find("targets");
  if (!at || declared.targets.empty())
    return config::wrong(at ? *at : from, "an upstream has `targets`, such as ['http://127.0.0.1:9000']",
                         "Name one server at least: `targets: ['https://reviews.internal:9000']`.");
  if (declared.targets.size() > client::CallState::kMostTargets)
    return config::wrong(*at, "an upstream has at most 256 targets");
  std::set<std::string> known;
  bool all_tls = true;
  for (std::size_t i = 0; i < declared.targets.size(); ++i) {
    const auto& listed = at->is(json::Type::array) ? at->array()[i] : *at;
    const auto& place = config::member_or(listed, "url");
    const auto named = "the target \"" + declared.targets[i] + '"';
    const auto url = client::configured_url(place, declared.targets[i], named, declared.plain_http);
    if (!url) return std::unexpected(url.error());
    if (url->target.contains('?')) return config::wrong(place, named + " has a query", client::kWriteUrl);
    if (!contract::fold_path(url->target))
      return config::wrong(place, named + " has a path with dot segments, controls or what is no UTF-8",
                           client::kWriteUrl);
    auto same = (url->tls ? "s " : " ") + lowered(url->host) + ' ' + std::to_string(url->port) + ' ' + url->target;
    if (!known.insert(std::move(same)).second)
      return config::wrong(place, named + " is there twice",
                           "Remove it; `{url: URL, weight: 2}` gives a target a larger share.");
    all_tls &= url->tls;
  }
  return all_tls;
}

}  // namespace

std::span<const config::Field> upstream_fields() {
  static std::deque<std::string> texts;
  static const std::vector<config::Field> fields = [] {
    std::vector<config::Field> all(std::begin(kOwn), std::end(kOwn));
    for (const auto& row : client::rows()) {
      const auto& key = row.part->key;
      config::Field field{.name = written(key.name), .sentence = key.sentence};
      const std::string off = R"("enum":["off",false])";
      field.schema = key.short_form.empty() ? std::string_view(texts.emplace_back(off))
                                            : std::string_view(texts.emplace_back(
                                                  R"("anyOf":[{)" + std::string(key.short_form) + "},{" + off + "}]"));
      // Read by the part itself.
      field.read = [](const json::Value&, void*) -> Result<> { return {}; };
      field.show = [](const void*) { return std::string("null"); };
      field.parts = key.options();
      field.standard = key.defaults;
      field.example = key.example.empty() && key.options().empty() ? std::string_view("off") : key.example;
      all.push_back(field);
    }
    return all;
  }();
  return fields;
}

const void* upstream_defaults() { return config::defaults_of<Declaration>(); }

json::Value parts_of(const json::Value& from, Arena& arena) {
  auto parts = json::Value::object({});
  for (const auto& row : client::rows())
    if (const auto* said = from.find(written(row.part->key.name))) parts.set(arena, row.part->key.name, *said);
  // `balance: hash, hash-by: cookie:session` is the long form of one key.
  if (const auto* key = from.find("hash-by")) {
    const auto* balance = parts.find("balance");
    auto whole = balance && balance->is(json::Type::object) ? *balance : json::Value::object({});
    if (balance && !balance->is(json::Type::object)) whole.set(arena, "by", *balance);
    whole.set(arena, "hash-by", *key);
    whole.set_position((balance ? *balance : *key).position());
    whole.set_source(key->source());
    parts.set(arena, "balance", whole);
  }
  return parts;
}

Result<Declaration> read_declaration(const json::Value& from) {
  if (!from.is(json::Type::object)) return config::wrong(from, "an upstream is an object with `targets`");
  for (const auto& member : from.object())
    if (std::ranges::find(kLater, member.key) != std::end(kLater)) {
      auto place = member.value;
      if (member.at.line) place.set_position(member.at);
      return config::wrong(place,
                           "this version does not implement `" + std::string(member.key) + "` of an upstream yet");
    }
  Declaration declared;
  // All names are known to one reading, so that a slip is told with the nearest of all.
  if (auto done = config::read(from, upstream_fields(), &declared); !done)
    return std::unexpected(std::move(done).error());
  if (auto done = read_targets(declared); !done) return std::unexpected(std::move(done).error());
  const auto all_tls = check_targets(from, declared);
  if (!all_tls) return std::unexpected(all_tls.error());
  if (auto done = read_split(from, declared); !done) return std::unexpected(std::move(done).error());
  if (!declared.key.empty() && declared.certificate.empty())
    return config::wrong(*from.find("key"), "an upstream has a `key` and no `certificate`");
  if (!declared.certificate.empty() && !*all_tls)
    return config::wrong(*from.find("certificate"), "a `certificate` is shown in TLS alone: all targets are https");
  if (declared.host != "client" && !declared.host.empty() && !is_authority(declared.host))
    return config::wrong(*from.find("host"), "`host` is a name with or without a port, or `client`");
  if (declared.health) {
    HealthOptions health;
    if (auto done = config::read(*declared.health, kHealth, &health); !done)
      return std::unexpected(std::move(done).error());
    if (!health.path.starts_with('/') || !split_target(health.path))
      return config::wrong(*declared.health, "`health` has a `path` that begins with /");
    declared.check = client::HealthCheckOptions{.path = health.path,
                                                .every = health.every.nanoseconds,
                                                .timeout = health.timeout.nanoseconds,
                                                .failures = health.failures,
                                                .successes = health.successes};
  }
  const Services none;
  Arena arena;
  const auto parts = parts_of(from, arena);
  for (const auto& row : client::rows())
    if (const auto* said = parts.find(row.part->key.name))
      if (auto built = row.part->build(said, client::Build{.service = "check", .timeouts = {}, .services = none});
          !built) {
        auto error = std::move(built).error();
        if (!config::located(error.detail).at.line) return config::wrong(*said, error.detail);
        return std::unexpected(std::move(error));
      }
  return declared;
}

Result<> check_section(const json::Value& section) {
  if (!section.is(json::Type::object)) return config::wrong(section, "`upstreams` is an object of upstreams by name");
  for (const auto& member : section.object())
    if (auto read = read_declaration(member.value); !read) {
      auto error = std::move(read).error();
      error.detail = config::preceded("upstream `" + std::string(member.key) + "`: ", error.detail);
      return std::unexpected(std::move(error));
    }
  return {};
}

}  // namespace plimsoll::handler::forwarding
