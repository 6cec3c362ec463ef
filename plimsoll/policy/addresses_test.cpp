#include "plimsoll/policy/trial.hpp"

namespace plimsoll::policy {
extern const Part addresses;
namespace {

constexpr const Part* kParts[] = {&addresses};
constexpr std::string_view kContract = R"(
openapi: 3.1.0
info: {title: T, version: '1'}
x-plimsoll: {addresses: {allow: [10.0.0.0/8, '2001:db8::/32', unix], deny: [10.1.0.0/16]}}
paths:
  /inherited: {get: {operationId: inherited, responses: {'200': {description: ok}}}}
  /denied: {get: {operationId: denied, x-plimsoll: {addresses: {deny: [192.0.2.7]}}, responses: {'200': {description: ok}}}}
  /off: {get: {operationId: off, x-plimsoll: {addresses: off}, responses: {'200': {description: ok}}}}
  /none: {get: {operationId: none, x-plimsoll: {addresses: {}}, responses: {'200': {description: ok}}}}
  /bad: {get: {operationId: bad, x-plimsoll: {addresses: {deny: [10.0.0.0/33]}}, responses: {'200': {description: ok}}}}
  /word: {get: {operationId: word, x-plimsoll: {addresses: {allow: [localhost]}}, responses: {'200': {description: ok}}}}
)";

TEST(Addresses, AreAllowedAndDeniedByTheirNetwork) {
  Trial trial(kContract, kParts);
  const auto inherited = trial.build(addresses, "inherited").value(), denied = trial.build(addresses, "denied").value();
  for (const auto& [address, in_inherited, in_denied] :
       {std::tuple{"10.0.0.1", true, true}, std::tuple{"10.1.0.1", false, true}, std::tuple{"10.2.255.255", true, true},
        std::tuple{"11.0.0.1", false, true}, std::tuple{"192.0.2.7", false, false},
        std::tuple{"192.0.2.8", false, true}, std::tuple{"::ffff:10.0.0.1", true, true},
        std::tuple{"::ffff:192.0.2.7", false, false}, std::tuple{"2001:db8::1", true, true},
        std::tuple{"2001:db9::1", false, true}, std::tuple{"unix", true, true}, std::tuple{"", false, true},
        std::tuple{"10.0.0.1, 192.0.2.7", false, true}}) {
    Trial::Exchange one(trial, "inherited", address), other(trial, "denied", address);
    EXPECT_EQ(one.check(*inherited).has_value(), in_inherited) << address;
    EXPECT_EQ(other.check(*denied).has_value(), in_denied) << address;
  }
  EXPECT_EQ(trial.build(addresses, "off").value(), nullptr);
}

TEST(Addresses, ThatCannotBeReadRefuseTheStart) {
  Trial trial(kContract, kParts);
  for (const auto& [operation, what] : {std::pair{"none", "names no network"}, std::pair{"bad", "between 0 and 32"},
                                        std::pair{"word", "\"localhost\" is not an address or network"}}) {
    const auto made = trial.build(addresses, operation);
    ASSERT_FALSE(made) << operation;
    EXPECT_NE(made.error().detail.find(what), std::string::npos) << made.error().detail;
  }
}

}  // namespace
}  // namespace plimsoll::policy
