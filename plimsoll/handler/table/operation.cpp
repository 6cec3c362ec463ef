#include "plimsoll/handler/table/operation.hpp"

#include "plimsoll/base/percent.hpp"
#include "plimsoll/exchange/parameter_of.hpp"
#include "plimsoll/exchange/reading.hpp"

#include <algorithm>

namespace plimsoll::table {

namespace {

/// `limits.target` of the deployment, which the listeners obey.
std::size_t longest_target(const json::Value* deployment) {
  const auto* limits = deployment ? deployment->find("limits") : nullptr;
  const auto* target = limits ? limits->find("target") : nullptr;
  const auto said = target && target->is(json::Type::string) ? config::parse_size(target->string()) : std::nullopt;
  return said.value_or(config::Size{kUsualTarget}).bytes;
}

}  // namespace

Operation::Operation(std::shared_ptr<const Model> model, Plan plan, const Build& build)
    : model_(std::move(model)),
      plan_(std::move(plan)),
      database_(*build.services.database),
      tags_(build.services.shared->of<Secrets>()->tags),
      budgets_(budgets_of(build.operation).value_or(Budgets{})),  // read once before: an error refused the start
      access_(build.services.of_plan->of<EmbedAccessInForce>()->access),
      longest_target_(longest_target(build.services.deployment)) {
  if (!access_) access_ = std::make_shared<const EmbedAccess>(*build.contract.root, *model_);
  const auto& ways = build.operation.security;
  if (ways.empty()) return;
  for (auto& needed : ways.front().all)
    if (std::ranges::all_of(ways, [&](auto& way) {
          return std::ranges::any_of(way.all, [&](auto& one) { return one.scheme == needed.scheme; });
        }))
      assured_.push_back(needed.scheme->name);
}

Audience Operation::audience() const noexcept {
  bool owner = false, tenant = false, roles = false;
  if (access_->depends(*model_, table())) owner = roles = true;  // `owner`: the scheme is told with the subject
  // Embeds may show rows of other tables, which have owners of their own.
  for (auto& table : model_->tables) {
    owner |= table.owner.has_value();
    tenant |= table.tenant.has_value();
    roles |= !table.owner_except.empty();
  }
  return {.subject = owner, .tenant = tenant, .grants = roles, .claims = false};
}

Result<Caller> Operation::caller(const Context& context) const {
  Caller caller;
  const bool needed = table().owner || table().tenant;
  if (!context.principal) {
    // Refused at the start; should it happen all the same, no row exists.
    if (needed) return std::unexpected(Error{&kInternal}.because("a table with an owner was asked without a caller"));
    return caller;
  }
  caller.subject = context.principal->subject;
  caller.tenant = context.principal->tenant;
  for (auto role : context.principal->roles) caller.roles.emplace_back(role);
  return caller;
}

std::optional<std::string> decoded(std::string_view segment) {
  if (segment.find('%') == segment.npos) return std::string(segment);
  std::string text;
  if (!append_decoded(text, segment)) return std::nullopt;
  return text;
}

std::optional<database::Cell> Operation::cell_of(const Context& context, const Plan::Fixed& in) const {
  if (in.parameter >= context.path_values.size()) return std::nullopt;
  const auto text = decoded(context.path_values[in.parameter]);
  return text ? to_cell(table().columns[in.column], *text) : std::nullopt;
}

std::optional<std::vector<Condition>> Operation::path_conditions(const Context& context) const {
  std::vector<Condition> conditions;
  for (auto& fixed : plan_.fixed) {
    auto cell = cell_of(context, fixed);
    if (!cell) return std::nullopt;
    conditions.push_back({.column = fixed.column, .values = {std::move(*cell)}});
  }
  return conditions;
}

std::optional<std::vector<Condition>> Operation::row_conditions(const Context& context) const {
  auto conditions = path_conditions(context);
  for (auto& key : plan_.key) {
    auto cell = conditions ? cell_of(context, key) : std::nullopt;
    if (!cell) return std::nullopt;
    conditions->push_back({.column = key.column, .values = {std::move(*cell)}});
  }
  return conditions;
}

Error Operation::wrong(const Problem& problem, std::string_view in, std::string pointer, std::string_view keyword,
                       std::string message) {
  return wrong_fields(problem, {{std::string(in), std::move(pointer), std::string(keyword), std::move(message)}});
}

Error wrong_fields(const Problem& problem, std::vector<FieldError> fields) {
  Error error{declared(problem), summary(fields)};
  error.more().fields = std::move(fields);
  return error;
}

namespace {

void note_embedded(Context& context, const Selection& selection) {
  for (auto& embedded : selection.embeds) {
    context.read(embedded.table->name);
    note_embedded(context, embedded.selection);
  }
}

}  // namespace

void Operation::note_read(Context& context, const Selection& selection) const {
  context.read(table().name);
  note_embedded(context, selection);
}

Result<> Operation::within_budget(const std::string& body) const {
  if (body.size() <= budgets_.response.bytes) return {};
  return fail(database::kResponseTooLarge, "at most " + config::to_string(budgets_.response));
}

Result<> Operation::within_budget(std::int64_t rows) const {
  if (rows <= budgets_.rows) return {};
  return fail(database::kResponseTooLarge, "at most " + std::to_string(budgets_.rows) + " rows");
}

database::Reading Operation::reading_of(const Request& request, const Context& context, database::ReadClass order,
                                        bool quick, database::ReadBudget& budget) {
  auto reading = plimsoll::reading_of(context);
  reading.quick = quick;
  reading.order = order;
  reading.site = request.peer.site;
  reading.budget = &budget;
  return reading;
}

Response Operation::json_response(Context& context, std::uint16_t status, std::string body) {
  Response response{.status = status, .headers = Headers{context.arena}, .body = context.body(std::move(body))};
  response.headers.add("content-type", "application/json");
  return response;
}

std::vector<std::string_view> words_of(const json::Value* value) {
  std::vector<std::string_view> words;
  if (!value) return words;
  if (value->is(json::Type::array)) {
    for (auto& word : value->array())
      if (word.is(json::Type::string)) words.push_back(word.string());
  } else if (value->is(json::Type::string)) {
    for (auto rest = value->string();;) {
      const auto comma = rest.find(',');
      words.push_back(rest.substr(0, comma));
      if (comma == rest.npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
  return words;
}

bool shapes(const Context& context) {
  return parameter_of(context, "fields", contract::In::query) || parameter_of(context, "embed", contract::In::query);
}

Result<Selection> selection_of(const Model& model, const Table& table, const Context& context) {
  const auto* fields = parameter_of(context, "fields", contract::In::query);
  const auto text = fields && fields->is(json::Type::string) ? fields->string() : std::string_view{};
  auto made = select(model, table, text, words_of(parameter_of(context, "embed", contract::In::query)));
  if (made) return std::move(*made);
  return std::unexpected(wrong_fields(kInvalidQuery, {{"query", "/fields", "fields", std::move(made).error()}}));
}

}  // namespace plimsoll::table
