// Parameters in every style and bodies of every kind, from any bytes: what is read without complaint satisfies its
// schema, and reading it again gives the same.

#include "plimsoll/contract/body.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/http/negotiate.hpp"
#include "plimsoll/json/write.hpp"

#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace {

using namespace plimsoll;
using namespace plimsoll::contract;

constexpr std::string_view kTypes[] = {
    "{type: string, maxLength: 9}",
    "{type: integer, minimum: -5}",
    "{type: number}",
    "{type: boolean}",
    "{type: [integer, 'null']}",
    "{type: array, items: {type: integer}, maxItems: 5}",
    "{type: array, items: {type: string}}",
    "{type: object, properties: {a: {type: integer}, b: {type: array, items: {type: string}}}, additionalProperties: "
    "{type: number}}",
    "{oneOf: [{type: integer}, {type: string, pattern: '^[a-z]+$'}]}",
    "{enum: [1, true, null, 1.5, abc, [1], {a: 1}]}",
    "{}",
};
struct Place {
  std::string_view in, style;
};
constexpr Place kPlaces[] = {{"path", "simple"},      {"path", "label"},           {"path", "matrix"},
                             {"query", "form"},       {"query", "spaceDelimited"}, {"query", "pipeDelimited"},
                             {"query", "deepObject"}, {"header", "simple"},        {"cookie", "form"}};

/// Every type in every place, and bodies of each kind; what a style cannot say is left out.
std::string text() {
  std::string out = "openapi: 3.1.0\ninfo: {title: t, version: '1'}\npaths:\n";
  int number = 0;
  const std::string responses = "responses: {'200': {description: ok}}";
  for (const auto& place : kPlaces)
    for (const auto type : kTypes)
      for (const bool explode : {false, true}) {
        const bool array = type.contains("type: array"), object = type.contains("type: object");
        if ((place.style == "spaceDelimited" || place.style == "pipeDelimited") && (!(array || object) || explode))
          continue;
        if (place.style == "deepObject" && !(object && explode)) continue;
        const auto name = "/o" + std::to_string(number++);
        out += "  " + name + (place.in == "path" ? "/{v}" : "") + ": {get: {" + responses +
               ", parameters: [{name: v, in: " + std::string(place.in) + ", style: " + std::string(place.style) +
               ", explode: " + (explode ? "true" : "false") + (place.in == "path" ? ", required: true" : "") +
               ", schema: " + std::string(type) + "}]}}\n";
      }
  for (const auto media : {"application/json", "application/x-ndjson", "application/x-www-form-urlencoded",
                           "multipart/form-data", "multipart/mixed", "text/plain"})
    for (const auto type : kTypes) {
      if (std::string_view(media).contains("form") && !type.contains("type: object")) continue;
      out +=
          "  /o" + std::to_string(number++) + ": {post: {" + responses + ", requestBody: {content: {" + media +
          ": {schema: " + std::string(type) +
          (std::string_view(media).contains("form") ? ", encoding: {b: {style: pipeDelimited, explode: false}}" : "") +
          "}}}}}\n";
    }
  return out;
}

std::shared_ptr<const Contract> make() {
  const char* folder = std::getenv("TMPDIR");
  const auto file = std::string(folder ? folder : "/tmp") + "/parameters-fuzz-" + std::to_string(::getpid()) + ".yaml";
  std::ofstream(file) << text();
  auto loaded = load({.file = file});
  ::unlink(file.c_str());
  if (loaded) return *loaded;
  for (const auto& complaint : loaded.error()) std::fprintf(stderr, "%s\n", to_string(complaint).c_str());
  std::abort();
}

[[noreturn]] void fault(const char* what, const Operation& operation) {
  std::fprintf(stderr, "%s: %s %s\n", what, operation.method.c_str(), json::to_string(*operation.raw).c_str());
  std::abort();
}

void read_parameters(const Contract& contract, const Operation& operation, std::string_view bytes) {
  const Parameters parameters(contract, operation, {.refuse_unknown_query = bytes.size() % 2 == 0});
  std::string before;
  for (int time = 0; time < 2; ++time) {
    Arena arena;
    Request request{.method = operation.method, .target = operation.path, .headers = Headers{arena}};
    request.query = bytes;
    request.headers.add("v", bytes);
    request.headers.add("cookie", bytes);
    const std::string_view captured[] = {bytes};
    std::vector<FieldError> errors;
    Steps steps;
    const auto values = parameters.read(captured, request, arena, steps, errors);
    std::string told;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto& validator = operation.parameters[i].validator;
      if (!values[i]) continue;
      told += json::to_string(*values[i]);
      if (errors.empty() && validator && !validator->valid(*values[i]))
        fault("read without complaint, but not valid", operation);
    }
    if (time == 1 && told != before) fault("read otherwise the second time", operation);
    before = told;
  }
}

void read_body(const Contract& contract, const Operation& operation, std::string_view bytes) {
  const auto& media = operation.body->content[0];
  const BodyReader reader(contract, media);
  Arena arena;
  std::vector<FieldError> errors;
  Steps steps;
  const auto type = media.name + (media.name.starts_with("multipart/") ? "; boundary=B" : "");
  const auto value = reader.read(bytes, body_kind(http::essence(media.name)), type, arena, steps, errors);
  if (!value || !*value || !errors.empty() || media.name == "application/x-ndjson") return;
  if (media.validator && !media.validator->valid(**value)) fault("read without complaint, but not valid", operation);
}

}  // namespace

/// The first byte chooses the operation.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto contract = make();
  if (size == 0) return 0;
  const auto& operation = contract->operations[data[0] % contract->operations.size()];
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (operation.body)
    read_body(*contract, operation, bytes);
  else
    read_parameters(*contract, operation, bytes);
  return 0;
}
