#pragma once

#include "plimsoll/async/loop.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/http/field_block.hpp"
#include "plimsoll/http/proxies.hpp"
#include "plimsoll/json/yaml.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <gtest/gtest.h>
#include <unistd.h>
#include <fstream>
#include <map>

namespace plimsoll::policy {

/// For tests of policies: a contract from text, a clock moved by hand, and exchanges without a socket.
class Trial {
 public:
  struct ManualClock final : Clock {
    Nanoseconds steady() const override { return now; }
    Nanoseconds wall() const override { return now + 1'700'000'000 * kSecond; }
    Nanoseconds now = 3600 * kSecond;
  };

  /// `parts`: whose keys the contract may use.
  Trial(std::string_view contract, std::span<const Part* const> parts, std::string_view deployment = {}) {
    std::vector<const config::Key*> keys;
    for (const auto* part : parts) keys.push_back(&part->key);
    auto path = testing::TempDir() + "plimsoll-trial-" + std::to_string(::getpid()) + ".yaml";
    std::ofstream(path) << contract;
    auto loaded = contract::load({.file = path, .keys = keys});
    ::unlink(path.c_str());
    if (!loaded) {
      for (auto& complaint : loaded.error()) ADD_FAILURE() << contract::to_string(complaint);
      throw std::runtime_error("the contract of this test does not load");
    }
    this->contract = std::move(*loaded);
    services.metrics = &metrics;
    services.clock = &clock;
    if (!deployment.empty()) {
      deployment_text_ = deployment;
      deployment_ = json::parse_yaml(deployment_text_, arena_).value();
      services.deployment = &deployment_;
      if (const auto* networks = deployment_.find("trusted-proxies"))
        trusted = Networks::parse(config::Form<std::vector<std::string>>::read(*networks).value()).value();
    }
  }

  Result<std::unique_ptr<Policy>> build(const Part& part, std::string_view operation, unsigned place = 0) {
    const auto& found = *contract->find(operation);
    const auto* settings = found.extension(part.key.name);
    return part.build(part, settings, {*contract, found, services, nullptr, place, settings});
  }

  /// One exchange: what the test says of the request, then what each check answers.
  struct Exchange {
    Arena arena;
    Request request{.headers = Headers{arena}};
    Context context;
    Exchange(Trial& trial, std::string_view operation, std::string_view address,
             std::initializer_list<Header> headers = {})
        : context(arena, trial.loop, trial.services) {
      context.now = context.started = trial.clock.steady();
      context.wall = trial.clock.wall();
      context.operation = trial.contract->find(operation);
      request.method = context.operation->method;
      request.path = context.operation->path;
      for (auto header : headers) request.headers.add(header.name, header.value);
      request.peer.address = client_behind(address, request.headers, trial.trusted, false).address;  // as the edge does
    }
    Result<> check(Policy& policy) { return policy.as_check()->check(request, context); }
    std::string promised(std::string_view name) {
      std::string found(context.promised.find(name));
      if (const auto* block = context.promised_fields())
        block->each([&](const Header& field) {
          if (field.name == name) found = field.value;
        });
      return found;
    }
    void principal(std::string_view subject, std::span<const std::string_view> roles = {},
                   std::string_view tenant = {}) {
      context.principal =
          &arena.make<Principal>(Principal{.subject = subject, .scheme = "test", .tenant = tenant, .roles = roles});
    }
  };

  Loop loop;
  ManualClock clock;
  telemetry::Registry metrics;
  Services services;
  Networks trusted;
  std::shared_ptr<const contract::Contract> contract;

 private:
  Arena arena_;
  std::string deployment_text_;
  json::Value deployment_;
};

}  // namespace plimsoll::policy
