#include "plimsoll/handler/job/declaration.hpp"

#include "plimsoll/http/method.hpp"

namespace plimsoll::handler::job {
namespace {

constexpr std::string_view kActions[] = {"start", "status", "result", "cancel"};

}  // namespace

const void* defaults() {
  static const Options options{};
  return &options;
}

Result<Declaration> read(const json::Value& from, std::string_view method) {
  Options options;
  if (from.is(json::Type::string)) {
    options.kind = from.string();
  } else if (auto done = config::read(from, kDeclarationFields, &options); !done) {
    return std::unexpected(std::move(done).error());
  }
  if (options.kind.empty()) return config::wrong(from, "`job` names the kind of job, such as `job: generate_report`");
  Declaration made{.kind = std::move(options.kind)};
  const bool safe = http::is_safe(method);
  if (options.action.empty()) {
    made.action = safe ? Action::status : method == "DELETE" ? Action::cancel : Action::start;
    return made;
  }
  const auto* found = std::ranges::find(kActions, options.action);
  if (found == std::end(kActions))
    return config::wrong(from, "`action` is one of start, status, result, cancel: \"" + options.action + "\"");
  made.action = static_cast<Action>(found - kActions);
  if (safe != (made.action == Action::status || made.action == Action::result))
    return config::wrong(from, "a " + std::string(method) + " cannot be the action `" + options.action +
                                   "`: what changes something is no GET, what only reads is one");
  return made;
}

}  // namespace plimsoll::handler::job
