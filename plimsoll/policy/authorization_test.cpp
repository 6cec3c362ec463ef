#include "plimsoll/policy/authentication/identity.hpp"
#include "plimsoll/policy/trial.hpp"

namespace plimsoll::policy {
extern const Part authorize;
namespace {

constexpr config::Key kTable{"table", "", {}}, kTables{"tables", "", {}}, kWebhook{"webhook", "", {}};
constexpr Part kOthers[] = {{.key = kTable}, {.key = kTables}, {.key = kWebhook}};
constexpr const Part* kParts[] = {&authorize, &kOthers[0], &kOthers[1], &kOthers[2]};

struct Gate : Trial {
  explicit Gate(const std::string& operation, const std::string& method = "post")
      : Trial(R"(
openapi: 3.1.0
info: {title: Shop, version: '1'}
x-plimsoll: {tables: {mine: {owner: customer_id}, ours: {key: id}}}
components:
  securitySchemes:
    bearer: {type: http, scheme: bearer}
    key: {type: apiKey, in: header, name: X-API-Key}
paths:
  /a: {)" + method +
                  ": {operationId: a, " + operation + " responses: {'200': {description: ok}}}}\n",
              kParts) {}

  /// A caller of the scheme with those scopes and roles.
  bool lets(std::vector<std::string_view> scopes, std::vector<std::string_view> roles = {},
            std::string_view scheme = "bearer") {
    last = std::make_unique<Exchange>(*this, "a", "192.0.2.1");
    auto built = build(authorize, "a").value();
    if (!built) return true;
    Vouched::By by[1];
    if (!scheme.empty()) {
      for (const auto& each : contract->security_schemes)
        if (each.name == scheme)
          by[0] = {&each, Principal{.subject = "ada", .scheme = scheme, .scopes = scopes, .roles = roles}};
      last->context.principal = &by[0].principal;
      last->context.note<Vouched>(std::span<const Vouched::By>(by));
    }
    return decided(*built);
  }
  /// A caller for whom several schemes vouch, each with its scopes.
  bool lets_both(std::vector<std::string_view> by_key, std::vector<std::string_view> by_bearer) {
    last = std::make_unique<Exchange>(*this, "a", "192.0.2.1");
    auto built = build(authorize, "a").value();
    Vouched::By by[2];
    for (const auto& each : contract->security_schemes)
      by[each.name == "bearer"] = {
          &each,
          Principal{.subject = "ada", .scheme = each.name, .scopes = each.name == "bearer" ? by_bearer : by_key}};
    last->context.principal = &by[0].principal;
    last->context.note<Vouched>(std::span<const Vouched::By>(by));
    return decided(*built);
  }
  bool decided(Policy& policy) {
    auto verdict = last->check(policy);
    detail = verdict ? "" : verdict.error().detail;
    if (!verdict) EXPECT_EQ(verdict.error().problem->status, 403);
    return verdict.has_value();
  }
  std::string detail;
  bool starts() { return build(authorize, "a").has_value(); }
  std::unique_ptr<Exchange> last;
};

TEST(Authorize, AllScopesOfOneAlternativeAreNeeded) {
  Gate gate("security: [{bearer: [read, write]}, {key: [all]}],");
  EXPECT_TRUE(gate.lets({"read", "write", "more"}));
  EXPECT_FALSE(gate.lets({"read"}));
  EXPECT_EQ(gate.last->promised("www-authenticate"), "Bearer error=\"insufficient_scope\", scope=\"read write\"");
  EXPECT_FALSE(gate.lets({"all"}));
  EXPECT_TRUE(gate.lets({"all"}, {}, "key"));
  EXPECT_TRUE(gate.lets({"*"}));
  EXPECT_FALSE(gate.lets({}));
  EXPECT_FALSE(gate.lets({"read", "write"}, {}, ""));
}

TEST(Authorize, WhatIsMissingIsNamedAndNothingElse) {
  Gate either("security: [{key: [all]}, {bearer: [read, write]}],");
  EXPECT_FALSE(either.lets({"read"}));  // by bearer: the way of the key is not theirs
  EXPECT_EQ(either.detail, "This needs the scope write.");
  EXPECT_EQ(either.last->promised("www-authenticate"), "Bearer error=\"insufficient_scope\", scope=\"read write\"");
  EXPECT_FALSE(either.lets({"read"}, {}, "key"));
  EXPECT_EQ(either.detail, "This needs the scope all.");
  EXPECT_EQ(either.last->promised("www-authenticate"), "") << "a key is not what RFC 6750 challenges";
  Gate both("security: [{key: [read], bearer: [write, send]}],");
  EXPECT_TRUE(both.lets_both({"read"}, {"write", "send"}));
  EXPECT_FALSE(both.lets_both({"read"}, {"send"}));
  EXPECT_EQ(both.detail, "This needs the scope write by bearer.");
  EXPECT_FALSE(both.lets_both({}, {"read"}));
  EXPECT_EQ(both.detail, "This needs the scope read by key, write by bearer, send by bearer.");
  EXPECT_FALSE(both.lets_both({"write", "send"}, {"read"})) << "each needs its own";
  EXPECT_EQ(both.detail, "This needs the scope read by key, write by bearer, send by bearer.");
  Gate more("security: [{bearer: []}], x-plimsoll: {authorization: {scopes: [a, b]}},");
  EXPECT_FALSE(more.lets({"a"}));
  EXPECT_EQ(more.detail, "This needs the scope b.");
}

TEST(Authorize, AMissingRoleChallengesABearerAndNamesNoScope) {
  Gate gate("security: [{bearer: []}], x-plimsoll: {authorization: {roles: [support, admin]}},");
  EXPECT_TRUE(gate.lets({}, {"support"}));
  EXPECT_FALSE(gate.lets({"read"}, {"sales"}));
  EXPECT_EQ(gate.detail, "This needs one of the roles support, admin.");
  EXPECT_EQ(gate.last->promised("www-authenticate"), "Bearer error=\"insufficient_scope\"");
  Gate by_key("security: [{key: []}], x-plimsoll: {authorization: {roles: [support]}},");
  EXPECT_FALSE(by_key.lets({}, {}, "key"));
  EXPECT_EQ(by_key.last->promised("www-authenticate"), "") << "a key is not what RFC 6750 challenges";
}

TEST(Authorize, AScopeOfSecurityMayBeARole) {  // OpenAPI 3.1, Security Requirement Object
  Gate gate("security: [{key: [support]}],");
  EXPECT_TRUE(gate.lets({}, {"support"}, "key"));
  EXPECT_FALSE(gate.lets({}, {"sales"}, "key"));
}

TEST(Authorize, RolesAndScopesOfTheExtensionAreAskedToo) {
  Gate roles("security: [{bearer: []}], x-plimsoll: {authorization: {roles: [support, admin]}},");
  EXPECT_TRUE(roles.lets({}, {"admin"}));
  EXPECT_FALSE(roles.lets({"admin"}, {"customer"}));
  Gate scopes("security: [{bearer: []}], x-plimsoll: {authorization: {scopes: [a, b]}},");
  EXPECT_TRUE(scopes.lets({"a", "b"}));
  EXPECT_FALSE(scopes.lets({"a"}));
}

TEST(Authorize, WhatChangesSomethingMustSayForWhom) {
  EXPECT_FALSE(Gate("").starts());
  EXPECT_FALSE(Gate("security: [{bearer: []}],").starts());
  EXPECT_FALSE(Gate("security: [{bearer: [write]}, {}],").starts());
  EXPECT_FALSE(Gate("security: [{bearer: []}], x-plimsoll: {table: ours},").starts());
  EXPECT_TRUE(Gate("security: [{bearer: [write]}],").starts());
  EXPECT_TRUE(Gate("x-plimsoll: {authorization: any-caller},").starts());
  EXPECT_TRUE(Gate("security: [{bearer: []}], x-plimsoll: {authorization: {roles: [admin]}},").starts());
  EXPECT_TRUE(Gate("security: [{bearer: []}], x-plimsoll: {table: mine},").starts());
  EXPECT_TRUE(Gate("x-plimsoll: {webhook: {scheme: github}},").starts());
  EXPECT_TRUE(Gate("", "get").starts());
  for (const auto method : {"put", "patch", "delete"}) EXPECT_FALSE(Gate("", method).starts()) << method;
}

TEST(Authorize, RolesWithoutSecurityAndNonsenseAreRefusedAtTheStart) {
  EXPECT_FALSE(Gate("x-plimsoll: {authorization: {roles: [admin]}},").starts());
  EXPECT_FALSE(Gate("x-plimsoll: {authorization: everybody},").starts());
  EXPECT_FALSE(Gate("security: [{bearer: []}], x-plimsoll: {authorization: {rolls: [admin]}},").starts());
}

}  // namespace
}  // namespace plimsoll::policy
