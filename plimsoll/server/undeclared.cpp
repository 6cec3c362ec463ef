#include "plimsoll/server/undeclared.hpp"

#include "plimsoll/exchange/context.hpp"
#include "plimsoll/server/chain.hpp"
#include "plimsoll/server/handlers.hpp"

#include <algorithm>
#include <deque>

namespace plimsoll::server {
namespace {

constexpr std::string_view kName = "undeclared";

/// What may stand within: one way of answering, and the policies that need no declaration.
std::span<const config::Field> fields() {
  static std::deque<std::string> texts;
  static const std::vector<config::Field> fields = [] {
    std::vector<config::Field> all;
    const auto add = [&](const config::Key& key) {
      if (std::ranges::find(all, key.name, &config::Field::name) != all.end()) return;
      config::Field field{.name = key.name, .sentence = key.sentence};
      field.schema = texts.emplace_back(R"("$ref":"#/$defs/x-plimsoll.)" + std::string(key.name) + '"');
      field.read = [](const json::Value&, void*) -> Result<> { return {}; };  // its owner reads it
      field.show = [](const void*) { return std::string("null"); };
      field.example = key.example;
      all.push_back(field);
    };
    for (const auto* each : handlings())
      if (each->undeclared) add(each->key);
    for (const auto& row : rows())
      if (row.reach <= Reach::undeclared) add(row.part->key);
    return all;
  }();
  return fields;
}

class OnlyUndeclared final : public Handler {
 public:
  OnlyUndeclared(const contract::Contract& contract, std::unique_ptr<Handler> handler, const Problem& not_found,
                 const Problem& wrong_method)
      : contract_(contract), handler_(std::move(handler)), not_found_(not_found), wrong_method_(wrong_method) {}

  PLIMSOLL_FORWARDS Task<Result<Response>> handle(Request& request, Context& context) override {
    if (request.method == "TRACE") {
      context.promise("allow", "GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE");
      return refuse(Error{declared(wrong_method_)});
    }
    if (contract_.resembles_declared(request.path))
      return refuse(Error{declared(not_found_),
                          "a path that the contract declares, or one that leads out of its folder, is not "
                          "passed on in another spelling"});
    return handler_->handle(request, context);
  }

 private:
  const contract::Contract& contract_;
  const std::unique_ptr<Handler> handler_;
  const Problem &not_found_, &wrong_method_;
};

bool lets_strangers_in(const contract::Contract& contract) {
  return contract.security.empty() ||
         std::ranges::any_of(contract.security, [](const auto& requirement) { return requirement.all.empty(); });
}

std::unexpected<Error> told(std::unexpected<Error> failed) {
  failed.error().detail = config::preceded("`undeclared`: ", failed.error().detail);
  return failed;
}

}  // namespace

constinit const config::Key kUndeclaredKey{.name = kName,
                                           .sentence =
                                               "Forwards requests for paths without an operation to one of "
                                               "`upstreams`, behind the policies that need no declaration.",
                                           .fields = {},
                                           .fields_elsewhere = fields,
                                           .example = "{upstream: legacy, authorization: any-caller}",
                                           .scopes = config::Scopes::document};

Result<std::optional<Undeclared>> undeclared_of(const contract::Contract& contract) {
  const auto* said = contract.extension ? contract.extension->find(kName) : nullptr;
  if (!said) return std::nullopt;
  if (!said->is(json::Type::object))
    return config::wrong(*said, "`undeclared` is an object such as {upstream: legacy}");
  int nothing = 0;
  if (auto done = config::read(*said, fields(), &nothing); !done) return told(std::unexpected(std::move(done).error()));
  Undeclared made;
  auto& operation = made.operation;
  operation.id = kName;
  operation.path = kName;
  operation.undeclared = true;
  operation.security = contract.security;
  operation.file = contract.file;
  operation.pointer = "/x-plimsoll/undeclared";
  for (const auto& member : said->object())
    if (const auto* way = handling(member.key)) {
      made.handling = way;
      made.options = &member.value;
      operation.extensions.push_back({member.key, &member.value, kName, {&member.value}});
    }
  if (!made.handling) return told(config::wrong(*said, "it names no service that answers: `upstream: legacy`"));
  for (const auto& row : rows()) {
    const auto key = row.part->key.name;
    if (row.reach > Reach::undeclared || operation.find_extension(key)) continue;
    const auto* own = said->find(key);
    const auto* outer = contract.extension->find(key);
    if (own || outer)
      operation.extensions.push_back({key, own ? own : outer, own ? kName : "document", {own ? own : outer}});
  }
  if (lets_strangers_in(contract)) {
    const auto* said_of_callers = said->find("authorization");
    const auto mode = Part::mode_of(said_of_callers);
    if (!said_of_callers || !mode || *mode == Mode::off)
      return told(config::wrong(
          said_of_callers ? *said_of_callers : *said,
          "everybody may call undeclared paths, because the document's `security` requires no credentials",
          "Give the document a `security`, or write `authorization: any-caller` within `undeclared`."));
  }
  return made;
}

std::unique_ptr<Handler> only_undeclared(const contract::Contract& contract, std::unique_ptr<Handler> handler,
                                         const Problem& not_found, const Problem& wrong_method) {
  return std::make_unique<OnlyUndeclared>(contract, std::move(handler), not_found, wrong_method);
}

}  // namespace plimsoll::server
