#include "apps/plimsoll/commands.hpp"
#include "plimsoll/async/loop.hpp"
#include "plimsoll/client/service.hpp"
#include "plimsoll/contract/complaint.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/server/effective.hpp"
#include "plimsoll/server/instance.hpp"
#include "plimsoll/server/words.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>

namespace plimsoll::command {
namespace {

struct Wishes {
  std::string contract;
  std::vector<std::string> overlays;
  bool effective = false, network = false, strict = false;
};

/// What is behind a URL, waited for.
std::expected<std::string, std::string> fetch(const std::string& url) {
  const auto call = [](client::Service& service, Loop& loop, Result<client::Answer>& answer) -> Task<> {
    const client::Call get{.limit = 64u << 20};
    auto came = co_await client::fetch(service, loop, get);
    answer = std::move(came);
  };
  Result<client::Answer> answer = fail(client::kUnreachable);
  if (auto service = client::Service::make({.url = url}, {}); service) {
    Loop loop;
    Scope scope;
    loop.spawn(scope, call(**service, loop, answer));
    loop.run();
  } else {
    answer = std::unexpected(std::move(service).error());
  }
  const auto cannot = [&](const std::string& why) {
    return std::unexpected("\"" + url + "\" cannot be fetched: " + why);
  };
  if (!answer)
    return cannot(answer.error().detail.empty() ? std::string(answer.error().problem->title) : answer.error().detail);
  if (answer->status != 200) return cannot("the answer is " + std::to_string(answer->status));
  return std::move(answer->body);
}

auto load(const Wishes& wishes) {
  if (wishes.effective) return server::load_contract(wishes.contract, wishes.overlays, !wishes.strict);
  const auto keys = server::contract_keys();
  const auto later = server::later_words();
  contract::LoadOptions options{
      .file = wishes.contract, .overlays = wishes.overlays, .keys = keys, .later_words = later};
  options.tolerant = !wishes.strict && !wishes.network;  // what was to be fetched must be there
  if (wishes.network) options.fetch = fetch;
  return contract::load(options);
}

std::string text_of(const contract::Contract& contract, bool effective) {
  if (!effective) return json::to_pretty_string(*contract.root);
  Arena arena;
  const auto written = server::effective_contract(contract, {}, true);
  const auto parsed = json::parse(written, arena);
  return parsed ? json::to_pretty_string(*parsed) : written;
}

Subcommand::Run declare(CLI::App& app) {
  auto wishes = std::make_shared<Wishes>();
  app.add_option("CONTRACT", wishes->contract, "OpenAPI document, YAML or JSON")->required();
  app.add_option("--overlay", wishes->overlays, "Overlay applied to the document; may be repeated");
  auto* effective = app.add_flag("--effective", wishes->effective,
                                 "Print the effective contract, as served at /openapi.json, and keep x-plimsoll");
  app.add_flag("--strict", wishes->strict,
               "Stop at faults, as `serve` does; without it faults are warnings and the rest is printed");
  app.add_flag("--allow-network", wishes->network, "Fetch references to http: and https: URLs")->excludes(effective);
  return [wishes] {
    const auto loaded = load(*wishes);
    if (!loaded) return complain(loaded.error());
    contract::print((*loaded)->warnings);
    const auto text = text_of(**loaded, wishes->effective) + "\n";
    std::fwrite(text.data(), 1, text.size(), stdout);
    return 0;
  };
}

const Subcommand bundle{"bundle", "Prints a contract of several files as one document, with overlays applied", declare};

}  // namespace
}  // namespace plimsoll::command
