#include "plimsoll/exchange/handling.hpp"
#include "plimsoll/client/problems.hpp"
#include "plimsoll/client/quota.hpp"
#include "plimsoll/client/service.hpp"
#include "plimsoll/client/targets.hpp"
#include "plimsoll/contract/body.hpp"
#include "plimsoll/database/database.hpp"
#include "plimsoll/exchange/body_memory.hpp"
#include "plimsoll/exchange/cache/fills.hpp"
#include "plimsoll/exchange/problems.hpp"
#include "plimsoll/exchange/upgrade.hpp"
#include "plimsoll/handler/upstream/declaration.hpp"
#include "plimsoll/handler/upstream/upstream.hpp"
#include "plimsoll/handler/upstream/upstreams.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/field_name.hpp"
#include "plimsoll/http/negotiate.hpp"
#include "plimsoll/http/target.hpp"

#include <algorithm>

namespace plimsoll::handler {
namespace forwarding {
namespace {

struct Rules {
  config::RawObject set{};
  std::vector<std::string> remove;
};
constexpr config::Field kRules[] = {
    config::shaped(config::field<&Rules::set>("set", "Headers by name, with their values."),
                   R"("type":"object","additionalProperties":{"type":"string"})", "{x-tenant: shop}"),
    config::shown(config::field<&Rules::remove>("remove", "Names of headers that are not forwarded."), "[x-internal]"),
};

/// `upstream: reviews`, or the long form.
struct Options {
  std::string name, path, host;
  config::Raw request_headers = nullptr, response_headers = nullptr, mirror = nullptr, websocket = nullptr;
  bool learn = false;
};
constexpr config::Field kFields[] = {
    config::shown(config::field<&Options::name>("name", "The name of one of the deployment's `upstreams`."), "reviews"),
    config::shown(
        config::field<&Options::path>(
            "path", "The path that is requested, with {names} of path parameters; empty: the path of the request."),
        "'/inner/reviews'"),
    config::shown(config::field<&Options::host>("host",
                                                "The `Host` that is sent: a name, or `client` for that of the request; "
                                                "empty: the value of the deployment."),
                  "client"),
    config::object_of<Rules>(
        config::field<&Options::request_headers>("request-headers", "Headers of the request that are set or removed."),
        kRules),
    config::object_of<Rules>(config::field<&Options::response_headers>(
                                 "response-headers", "Headers of the response that are set or removed."),
                             kRules),
    config::shown(
        config::object_of<MirrorOptions>(
            config::field<&Options::mirror>("mirror",
                                            "Sends copies of requests to a group of the upstream's targets after the "
                                            "response, and compares the responses."),
            kMirrorFields),
        "{to: canary, share: 10%}"),
    config::field<&Options::learn>(
        "learn",
        "Of `undeclared`: keeps the paths, parameters and shapes of what is forwarded, without values, from which "
        "`plimsoll learn` writes operations."),
    config::shown(config::object_of<WebSocketOptions>(
                      config::field<&Options::websocket>(
                          "websocket", "Whether clients may open a WebSocket to the upstream with this operation."),
                      kWebSocketFields, kWebSocketShort),
                  "true"),
};

Result<FieldRules> rules_of(config::Raw from) {
  FieldRules made;
  if (!from) return made;
  Rules rules;
  if (auto done = config::read(*from, kRules, &rules); !done) return std::unexpected(std::move(done).error());
  constexpr std::string_view kMade[] = {
      "host",    "content-length",    "transfer-encoding",     "connection",          "keep-alive", "te", "trailer",
      "upgrade", "sec-websocket-key", "sec-websocket-version", "sec-websocket-accept"};
  const auto wrong = [&](std::string_view name) {
    return !is_token(name) || std::ranges::any_of(kMade, [&](auto each) { return same_variable(each, name); });
  };
  if (rules.set)
    for (const auto& member : rules.set->object()) {
      auto name = lowered(member.key);
      if (!member.value.is(json::Type::string)) return config::wrong(member.value, "a field's value is text");
      const auto value = member.value.string();
      if (wrong(name) || find_control(value.data(), 0, value.size()) != value.size())
        return config::wrong(member.value, "the field `" + name + "` cannot be set",
                             same_variable("host", name) ? "Write `upstream: {name: NAME, host: " + std::string(value) +
                                                               "}`: it is an option of its own."
                                                         : "");
      made.set.emplace_back(std::move(name), value);
    }
  for (const auto& text : rules.remove) {
    made.remove.push_back(lowered(text));
    if (wrong(made.remove.back())) return config::wrong(*from, "the field `" + text + "` cannot be removed");
  }
  return made;
}

/// Whether a policy of the contract looks at the bodies of the operation's answers.
bool in_force(const contract::Operation& operation, std::string_view key) {
  const auto* value = operation.extension(key);
  const auto mode = Part::mode_of(value);
  return value && (!mode || *mode != Mode::off);
}
/// The service judges the callers' own credentials: it is shown none of this server, or `refusals: pass` says so.
bool judges_callers(const json::Value* credential) {
  const auto* refusals = credential ? credential->find("refusals") : nullptr;
  return !credential || (refusals && refusals->is(json::Type::string) && refusals->string() == "pass");
}
Passing passing(const contract::Operation& operation, const Upstreams::One& upstream) {
  Passing made{.coding = operation.undeclared, .declared = {}, .reserved = upstream.reserved};
  for (const auto& parameter : operation.parameters)
    if (parameter.in == contract::In::header) made.declared.push_back(lowered(parameter.name));
  for (const auto& requirement : operation.security)
    for (const auto& needed : requirement.all) {
      const auto& scheme = *needed.scheme;
      if (scheme.type != "apiKey") continue;
      if (scheme.in == contract::In::header && upstream.judges_callers)
        made.declared.push_back(lowered(scheme.parameter));
      else if (scheme.in == contract::In::header)
        made.reserved.push_back(variable_name(scheme.parameter));
      else if (!upstream.judges_callers)
        (scheme.in == contract::In::cookie ? made.keys_in_cookies : made.keys_in_query).push_back(scheme.parameter);
    }
  return made;
}
/// Adds the field that a credential signs, unless it says only how the body is written or what is accepted.
void reserve_signed(std::vector<std::string>& names, std::string_view field) {
  if (!is_token(field)) return;  // `@method`
  auto name = variable_name(field);
  if (name != "content-type" && name != "accept") names.push_back(std::move(name));
}
/// `Passing::reserved` for the `authentication` of an upstream. The service takes what stands in these fields for the
/// word of this server: with a caller's `X-Amz-Copy-Source`, for instance, it would read what the caller may not.
std::vector<std::string> reserved_by(const json::Value* credential) {
  std::vector<std::string> names;
  if (!credential || !credential->is(json::Type::object)) return names;
  names = {"x-amz*", "x-goog-*", "x-ms-*"};  // commands in fields
  // A token for this API, with which another service could act as the caller here.
  if (!judges_callers(credential)) names.emplace_back("authorization");
  const auto reserve_named = [&](const json::Value& from) {
    if (const auto* field = from.find("header"); field && field->is(json::Type::string))
      names.push_back(variable_name(field->string()));
  };
  reserve_named(*credential);
  if (credential->find("aws")) names.emplace_back("date");
  if (const auto* signature = credential->find("signature"); signature && signature->is(json::Type::object)) {
    for (const auto* name : {"signature", "signature-input", "content-digest"}) names.emplace_back(name);
    if (const auto* components = signature->find("components"); components && components->is(json::Type::array))
      for (const auto& each : components->array())
        if (each.is(json::Type::string)) reserve_signed(names, each.string());
  }
  if (const auto* hmac = credential->find("hmac"); hmac && hmac->is(json::Type::object)) {
    reserve_named(*hmac);
    constexpr std::string_view kField = "{header:";
    if (const auto* text = hmac->find("template"); text && text->is(json::Type::string))
      for (auto rest = text->string(); rest.contains(kField);) {
        rest.remove_prefix(rest.find(kField) + kField.size());
        reserve_signed(names, rest.substr(0, rest.find('}')));
      }
  }
  return names;
}
bool hides(const Build& build) {
  for (const auto& spec : build.operation.responses)
    for (const auto& media : spec.content)
      if (media.schema && build.contract.marked(*media.schema, contract::Mark::write_only)->place()) return true;
  return false;
}
/// Whether bodies of answers are read and changed or refused: of a part of one, nothing could be said.
bool reads_bodies(const Build& build) {
  const auto enforced = [&](std::string_view key) {
    const auto* value = build.operation.extension(key);
    const auto mode = Part::mode_of(value);
    return value && mode && *mode == Mode::enforce;
  };
  if (hides(build)) return true;
  if (!enforced("responses") && !enforced("fields")) return false;
  using enum contract::BodyKind;
  for (const auto& spec : build.operation.responses)
    for (const auto& media : spec.content) {
      const auto kind = contract::body_kind(http::essence(media.name));
      if (kind == json || kind == json_lines || kind == text || media.name.contains('*')) return true;
    }
  return false;
}

/// The service that gets the copies for a group, made for the first operation that names it. It repeats nothing and has
/// no circuit: a copy that fails has failed.
Result<std::shared_ptr<MirrorTarget>> mirror_target(Upstreams::One& upstream, const std::string& name,
                                                    const std::string& group, std::uint32_t index,
                                                    const Services& services) {
  auto& known = upstream.mirrors[group];
  if (known) return known;
  const auto& written = *services.deployment->find("upstreams")->find(name);
  auto declared = read_declaration(written);
  if (!declared) return std::unexpected(std::move(declared).error());
  Arena arena;
  auto parts = parts_of(written, arena);
  for (const auto* key : {"cache", "retry", "hedge", "breaker", "concurrency", "trace"})
    parts.set(arena, key, json::Value::of("off"));
  client::ServiceOptions calls{.name = name + ":mirror", .url = {}};
  for (std::size_t i = 0; i < declared->targets.size(); ++i) {
    if (declared->group_of[i] != index) continue;
    calls.weights.push_back(declared->weights[i]);
    if (calls.url.empty())
      calls.url = declared->targets[i];
    else
      calls.more_urls.push_back(declared->targets[i]);
  }
  calls.authorities = declared->authorities;
  calls.certificate = declared->certificate;
  calls.key = declared->key;
  calls.http = declared->http;
  auto service = client::Service::make(std::move(calls), services, &parts);
  if (!service) return std::unexpected(std::move(service).error());
  known = std::make_shared<MirrorTarget>(std::move(*service));
  return known;
}

Result<std::shared_ptr<const Mirror>> mirror_of(config::Raw from, Upstreams& upstreams, Upstreams::One& upstream,
                                                const std::string& name, const Build& build) {
  if (!from) return nullptr;
  MirrorOptions options;
  if (auto done = config::read(*from, kMirrorFields, &options); !done) return std::unexpected(std::move(done).error());
  const auto* targets = upstream.service->targets().get();
  const auto* split = targets ? targets->split() : nullptr;
  if (options.to.empty()) return config::wrong(*from, "`mirror` names the group that gets the copies: `to: canary`");
  std::vector<std::string_view> names;
  for (std::size_t i = 0; split && i < split->size(); ++i) names.push_back(split->name(i));
  const auto found = std::ranges::find(names, options.to);
  if (found == names.end()) {
    const auto near = config::nearest(options.to, names);
    return config::wrong(*from->find("to"), "the upstream `" + name + "` has no group `" + options.to + "`" +
                                                (near.empty() ? "; `split` of the deployment declares groups"
                                                              : "; did you mean `" + std::string(near) + "`?"));
  }
  const auto index = static_cast<std::uint32_t>(found - names.begin());
  if (!split->others_than(index))
    return config::wrong(*from->find("to"), "every caller of the upstream `" + name + "` is in the group `" +
                                                options.to +
                                                "`, so that nothing would be copied: name another group, or give "
                                                "another one a share above 0 in `split`");
  auto target = mirror_target(upstream, name, options.to, index, build.services);
  if (!target) return std::unexpected(std::move(target).error());
  if (!upstreams.copies) {
    upstreams.copies = std::make_shared<MirrorCopies>();
    build.services.backgrounds->add(std::make_unique<MirrorEnd>(upstreams.copies));
  }
  return std::make_shared<const Mirror>(options, index, name, build.operation.id, std::move(*target), upstreams.copies,
                                        build.services);
}

Result<std::unique_ptr<Handler>> build(const json::Value& from, const Build& build) {
  Options options;
  if (from.is(json::Type::string)) {
    options.name = from.string();
  } else if (auto done = config::read(from, kFields, &options); !done) {
    return std::unexpected(std::move(done).error());
  }
  const auto upstreams = build.services.of_generation->of<Upstreams>();
  const auto known = upstreams->all.find(options.name);
  if (known == upstreams->all.end()) {
    std::vector<std::string_view> names;
    for (const auto& each : upstreams->all) names.push_back(each.first);
    const auto near = config::nearest(options.name, names);
    return config::wrong(from,
                         "`upstreams` of the deployment has no `" + options.name + "`" +
                             (near.empty() ? "" : "; did you mean `" + std::string(near) + "`?"),
                         near.empty() ? "Write `upstreams: {" + options.name +
                                            ": {targets: ['http://127.0.0.1:9000']}}` into plimsoll.yaml."
                                      : "Correct the name, here or there.");
  }
  Route route{.service = known->second.service, .host = options.host.empty() ? known->second.host : options.host};
  if (!options.host.empty() && options.host != "client" && !is_authority(options.host))
    return config::wrong(from, "`host` is a name with or without a port, or `client`");
  if (build.operation.undeclared && !options.path.empty())
    return config::wrong(*from.find("path"), "what is not declared goes to the path it came with");
  if (!options.path.empty()) {
    auto path = PathTemplate::make(options.path, build.contract.path_parameters(build.operation));
    if (!path) return config::wrong(*from.find("path"), path.error().detail);
    route.path = std::move(*path);
  } else if (!build.operation.undeclared) {
    route.declared = upstreams->paths_of(build.contract);
  }
  if (options.learn) {
    if (!build.operation.undeclared)
      return config::wrong(*from.find("learn"), "an operation that is declared is known");
    route.learned = build.services.shared->of<Learned>();
    const auto* caller = build.operation.extension("authorization");
    const bool says = caller && caller->is(json::Type::string);
    route.learned->begin(options.name, says ? caller->string() : std::string_view{});
    route.bases = build.contract.base_paths;
  }
  auto mirror = mirror_of(options.mirror, *upstreams, known->second, options.name, build);
  if (!mirror) return std::unexpected(std::move(mirror).error());
  route.mirror = std::move(*mirror);
  if (options.websocket) {
    auto websockets = WebSockets::make(*options.websocket, options.name, build);
    if (!websockets) return std::unexpected(std::move(websockets).error());
    route.websockets = std::move(*websockets);
  }
  auto request = rules_of(options.request_headers), response = rules_of(options.response_headers);
  if (!request) return std::unexpected(std::move(request).error());
  if (!response) return std::unexpected(std::move(response).error());
  route.request = std::move(*request), route.response = std::move(*response);
  // `cache: origin` gathers the bodies itself while they pass.
  const bool gathers = Part::says(build.operation.extension("cache"), "origin");
  const bool keeps = (in_force(build.operation, "cache") && !gathers) || in_force(build.operation, "idempotency");
  route.holds_text =
      keeps || in_force(build.operation, "responses") || in_force(build.operation, "fields") || hides(build);
  route.bodies = build.services.shared->of<BodyMemory>();
  route.copies = in_force(build.operation, "idempotency");
  if (!keeps) route.held_anyhow = 16 * 1024;
  route.passing = passing(build.operation, known->second);
  route.passing.parts = !reads_bodies(build);
  if (route.learned) route.passing.coding = false;  // what is compressed cannot be learned from
  return make_upstream(std::move(route));
}

/// All of the deployment's upstreams, and what asks whether they are well.
void provide(const contract::Contract&, Services& services, contract::Complaints& complaints) {
  const auto* section = services.deployment ? services.deployment->find("upstreams") : nullptr;
  if (!section || services.mock) return;
  const auto complain = [&](const std::string& name, const json::Value& at, const Error& error) {
    auto [place, what, source, remedy] = config::located(error.detail);
    complaints.push_back({.code = std::string(error.problem->code),
                          .file = services.deployment_file,
                          .at = place.line ? place : at.position(),
                          .pointer = "/upstreams/" + name,
                          .what = std::move(what),
                          .remedy = remedy.empty() ? std::string(error.problem->remedy) : std::move(remedy)});
  };
  const auto upstreams = services.of_generation->of<Upstreams>();
  if (std::exchange(upstreams->made, true)) return;  // with the first contract
  Fills::keep_account(services);
  auto checks = std::make_unique<client::HealthChecks>();
  for (const auto& member : section->object()) {
    const std::string name(member.key);
    auto declared = read_declaration(member.value);
    if (!declared) {
      complain(name, member.value, declared.error());
      continue;
    }
    Arena arena;
    const auto parts = parts_of(member.value, arena);
    const client::ServiceOptions calls{.name = name,
                                       .url = declared->targets.front(),
                                       .more_urls = {declared->targets.begin() + 1, declared->targets.end()},
                                       .weights = declared->weights,
                                       .groups = declared->groups,
                                       .group_of = declared->group_of,
                                       .authorities = declared->authorities,
                                       .certificate = declared->certificate,
                                       .key = declared->key,
                                       .timeouts = {.passed_on = true},
                                       .http = declared->http,
                                       .resilient = true};
    auto service = client::Service::make(calls, services, &parts);
    if (!service) {
      complain(name, member.value, service.error());
      continue;
    }
    if (declared->check)
      if (auto added = checks->add((*service)->targets(), declared->targets, calls,
                                   declared->host == "client" ? std::string{} : declared->host, *declared->check);
          !added)
        complain(name, member.value, added.error());
    const auto* credential = member.value.find("authentication");
    upstreams->all.emplace(
        name, Upstreams::One{std::move(*service), declared->host, reserved_by(credential), judges_callers(credential)});
  }
  services.backgrounds->add(std::move(checks));
}

constexpr const Problem* kProblems[] = {
    &client::kUnreachable, &client::kBadAnswer, &client::kAnswerTooLarge, &client::kCircuitOpen, &client::kTooManyCalls,
    &client::kQuotaExhausted, &client::kNoCredential, &client::kBodyNotSigned, &client::kCredentialRefused,
    &kDeadlineExceeded, &kTooManyBodies, &kNotCached, &database::kOutcomeUnknown,
    // of handshakes alone
    &http::kWebSocketHandshake, &http::kWebSocketVersion, &kCrossSite, &kTooManyWebSockets, &http::kWebSocketNotOpened};
constexpr auto kOfEveryCall = std::span(kProblems).first(std::size(kProblems) - std::size(kWebSocketProblems));

void describe(const json::Value&, const Description& description, contract::Promises& promises) {
  promises.refuses(kOfEveryCall);
  if (!offers_websocket(description.operation)) return;
  promises.refuses(kWebSocketProblems);
  promises.answers(101, "A WebSocket is open.");
  promises.notes("A GET with `Upgrade: websocket` opens a WebSocket (RFC 6455).");
}

constexpr config::Section kSections[] = {
    {.key = {.name = "upstreams",
             .sentence = "Upstream services, by name.",
             .example = "{reviews: {targets: ['https://reviews-1.internal:9000', 'https://reviews-2.internal:9000']}}",
             .entries = upstream_fields,
             .entry_defaults = upstream_defaults},
     .check = check_section}};

constexpr Handling make() {
  Handling made{.key = {.name = "upstream",
                        .sentence = "Forwards the request to an upstream service and returns its response.",
                        .fields = kFields,
                        .defaults = config::defaults_of<Options>,
                        .short_form = R"("type":"string")",
                        .example = "reviews"},
                .problems = kProblems};
  made.deployment = kSections;
  made.provide = provide;
  made.build = build;
  made.describe = describe;
  made.metrics = kWebSocketMetrics;
  made.needs_database = false;
  made.undeclared = true;
  return made;
}

}  // namespace
}  // namespace forwarding

extern constinit const Handling upstream_handling;
constinit const Handling upstream_handling = forwarding::make();

}  // namespace plimsoll::handler
