// A document, however broken, is loaded or refused: it never crashes and never hangs. What loads is routed and its
// parameters are read with bytes of the input too.
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/contract/json_path.hpp"
#include "plimsoll/contract/lint.hpp"
#include "plimsoll/contract/parameters.hpp"
#include "plimsoll/json/yaml.hpp"

#include <unistd.h>
#include <cstdlib>
#include <fstream>

namespace {

const std::string& file() {
  static const std::string name = [] {
    const char* folder = std::getenv("TMPDIR");
    return std::string(folder ? folder : "/tmp") + "/contract-fuzz-" + std::to_string(::getpid()) + ".yaml";
  }();
  return name;
}

void route(const plimsoll::contract::Contract& contract, std::string_view text) {
  using namespace plimsoll;
  Arena arena;
  for (auto& operation : contract.operations) {
    std::string path = operation.path;
    for (auto at = path.find('{'); at != path.npos; at = path.find('{', at + 1)) {
      const auto close = path.find('}', at);
      if (close == path.npos) break;
      path.replace(at, close - at + 1, text.substr(0, 8));
    }
    const auto match = contract.match(operation.method, path);
    if (!match.operation) continue;
    Request request{.method = operation.method, .target = path, .headers = Headers{arena}};
    request.query = text.substr(text.size() / 2);
    request.headers.add("cookie", text);
    for (auto& parameter : operation.parameters)
      if (parameter.in == contract::In::header) request.headers.add(parameter.name, text);
    std::vector<FieldError> errors;
    Steps steps;
    contract::Parameters{contract, *match.operation, {}}.read({match.captured, match.count}, request, arena, steps,
                                                              errors);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::ofstream(file(), std::ios::binary) << text;
  if (auto loaded = plimsoll::contract::load({.file = file(), .tolerant = true})) {
    route(**loaded, text);
    plimsoll::contract::lint(**loaded);
  }
  if (auto path = plimsoll::contract::JsonPath::parse(text.substr(0, 200))) {
    plimsoll::Arena arena;
    plimsoll::Steps steps{100'000};
    if (auto root = plimsoll::json::parse_yaml(text, arena)) (void)path->select(*root, steps);
  }
  return 0;
}
