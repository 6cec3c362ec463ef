#include "plimsoll/handler/table/write.hpp"
#include "plimsoll/json/write.hpp"

#include <algorithm>

namespace plimsoll::table {
namespace {

using database::Cell;
using database::Session;

/// Many changes in one transaction. All or nothing: the rows, or the first failure with the place of its item. Else 207
/// with a result for each item, every one in a savepoint of its own.
class BatchOf final : public Writing {
 public:
  using Writing::Writing;

  Task<Result<Response>> handle(Request& request, Context& context) override {
    const bool minimal = may_be_minimal(plan_) && wants_minimal(request);
    auto who = caller(context);
    if (!who) co_return std::unexpected(std::move(who).error());
    auto fixed = path_conditions(context);
    if (!fixed) co_return fail(kNoSuchRow);
    const auto items = items_of(context.input.body);
    if (!items) co_return std::unexpected(wrong(kInvalidRow, "body", "", "type", "must be an array of items"));
    if (static_cast<std::int64_t>(items->array().size()) > plan_.batch->max)
      co_return fail(kBatchTooLarge, "at most " + std::to_string(plan_.batch->max) + " items");
    context.wrote(table().name);
    auto answer = co_await context.unit().answer([&](Session& session) -> Task<Result<Response>> {
      auto done = co_await in_transaction(context, session, items->array(), *who, *fixed, minimal);
      co_return done;
    });
    co_return answer;
  }

 private:
  static const json::Value* items_of(const json::Value* body) {
    if (body && body->is(json::Type::object)) body = body->find("data");
    return body && body->is(json::Type::array) ? body : nullptr;
  }

  static std::string prefix_of(std::size_t item) { return "/" + std::to_string(item); }

  /// JSON of the row that came out; empty for one that is gone.
  Task<Result<std::string>> one(Session& session, const Context& context, const json::Value& item, const Caller& who,
                                const std::vector<Condition>& fixed, const std::string& prefix) const {
    auto conditions = fixed;
    if (auto named = add_key(conditions, item, prefix); !named) co_return std::unexpected(std::move(named).error());
    const Wanted wanted{
        .model = model_.get(), .table = &table(), .conditions = conditions, .search = {}, .caller = &who};
    if (plan_.batch->action == Action::remove) {
      auto gone = co_await erase(session, wanted);
      if (!gone) co_return std::unexpected(std::move(gone).error());
      co_return std::string{};
    }
    const ChangeBy by{.caller = &who, .fixed = conditions, .wall = context.wall, .prefix = prefix};
    auto asked = merge_patch(table(), item, by);
    auto before = co_await current(session, wanted);
    if (!before) co_return std::unexpected(std::move(before).error());
    if (!asked)
      co_return std::unexpected(all_told(std::move(asked).error(), item, prefix, true, *before ? &**before : nullptr));
    if (!*before) co_return fail(kNoSuchRow, prefix);
    auto row = co_await change(session, wanted, std::move(*asked), &**before, prefix);
    if (!row) co_return std::unexpected(std::move(row).error());
    co_return shown(*row);
  }

  /// The row that an item names: its members, or itself where one column of the key is all that the path leaves open.
  Result<> add_key(std::vector<Condition>& conditions, const json::Value& item, const std::string& prefix) const {
    std::vector<FieldError> fields;
    const auto open = open_keys(plan_);
    for (auto index : table().keys) {
      const auto& column = table().columns[index];
      const bool alone = !item.is(json::Type::object) && open.size() == 1 && open[0] == index;
      const auto* said = item.is(json::Type::object) ? item.find(column.name) : alone ? &item : nullptr;
      const bool asked = std::ranges::find(open, index) != open.end();
      if (!said && !asked) continue;
      const auto pointer = alone ? prefix : prefix + "/" + column.name;
      const auto complain = [&](std::string_view keyword, std::string_view message) {
        fields.push_back({"body", pointer, std::string(keyword), std::string(message)});
      };
      auto cell = said && !said->is(json::Type::null) ? to_cell(column, *said) : std::expected<Cell, Misfit>{Cell{}};
      if (!said)
        complain("required", "names no row");
      else if (said->is(json::Type::null))
        complain("type", "names no row");
      else if (!cell)
        complain(cell.error().keyword, cell.error().sentence);
      else if (asked)
        conditions.push_back({.column = index, .values = {std::move(*cell)}});
      else if (*cell != std::ranges::find(conditions, index, &Condition::column)->values[0])
        complain("const", "is not what the path says");
    }
    if (fields.empty()) return {};
    return std::unexpected(wrong_fields(kInvalidRow, std::move(fields)));
  }

  static void write_error(json::Writer& out, const Error& error) {
    out.begin_object().key("status").integer(error.problem->status).key("error").begin_object();
    out.key("code").string(error.problem->code).key("title").string(error.problem->title);
    if (const auto detail = error.shown_detail(); !detail.empty()) out.key("detail").string(detail);
    if (error.more_ && !error.more_->fields.empty()) {
      out.key("errors").begin_array();
      for (auto& field : error.more_->fields) {
        out.begin_object().key("in").string(field.in).key("pointer").string(field.pointer);
        out.key("keyword").string(field.keyword).key("message").string(field.message).end_object();
      }
      out.end_array();
    }
    out.end_object().end_object();
  }

  /// What became of each new row, up to the first that ends the batch.
  Task<Result<std::vector<Result<Row>>>> create(const Context& context, Session& session,
                                                std::span<const json::Value> items, const Caller& who,
                                                const std::vector<Condition>& fixed) const {
    std::vector<Result<Row>> rows;
    std::vector<Change> changes;
    std::vector<std::size_t> places;  // of them among the items
    const auto prefix = [&](std::size_t i) { return prefix_of(places[i]); };
    bool valid = true, judged = true;
    for (std::size_t i = 0; i < items.size() && (rows.empty() || rows.back() || !ends(rows.back().error())); ++i) {
      const auto here = prefix_of(i);
      auto read = new_row(table(), items[i], {.caller = &who, .fixed = fixed, .wall = context.wall, .prefix = here});
      if (!read) {
        rows.emplace_back(std::unexpected(all_told(std::move(read).error(), items[i], here, false)));
        continue;
      }
      const auto sent = check_sent(*read, {});
      valid &= sent.has_value();
      judged &= sent.value_or(true);
      rows.emplace_back();
      places.push_back(i);
      changes.push_back(std::move(*read));
    }
    const auto became = [&](std::size_t i, Result<Row> row) {
      const bool last = !row && ends(row.error());
      rows[places[i]] = std::move(row);
      if (last) rows.resize(places[i] + 1);
      return !last;
    };
    const NewRows all{.changes = changes, .prefix = prefix, .valid = valid, .judged = judged};
    auto done = co_await insert_all(session, all, who, became);
    if (!done) co_return std::unexpected(std::move(done).error());
    co_return rows;
  }
  /// Whether this failure of an item is one of the whole batch.
  bool ends(const Error& error) const { return plan_.batch->all_or_nothing || error.problem->status >= 500; }

  /// Batches that change the same rows in other orders would wait for each other, which the database notices after a
  /// second: all rows are locked first, in the order of their keys, and then changed in the order of the items. What an
  /// item names wrongly, or is not there, is told when its turn comes.
  Task<Result<>> lock(Session& session, std::span<const json::Value> items, const Caller& who,
                      const std::vector<Condition>& fixed) const {
    constexpr std::size_t kTogether = 1'024;  ///< rows of a statement
    std::vector<std::vector<Condition>> named;
    for (const auto& item : items) {
      std::vector<Condition> key;
      for (const auto& condition : fixed)
        if (table().is_key(condition.column)) key.push_back(condition);
      if (add_key(key, item, {})) named.push_back(std::move(key));
    }
    const auto values = [](const Condition& condition) -> const Cell& { return condition.values[0]; };
    const auto before = [&](const std::vector<Condition>& one, const std::vector<Condition>& other) {
      return std::ranges::lexicographical_compare(one, other, {}, values, values);
    };
    std::ranges::sort(named, before);
    const auto open = open_keys(plan_);
    for (std::size_t i = 0; i < named.size();) {
      auto conditions = fixed;
      const auto count = open.size() == 1 ? std::min(kTogether, named.size() - i) : 1;
      for (const auto column : open) {
        Condition any{.column = column, .op = Operator::in, .values = {}};
        for (std::size_t j = 0; j < count; ++j)
          any.values.push_back(std::ranges::find(named[i + j], column, &Condition::column)->values[0]);
        conditions.push_back(std::move(any));
      }
      i += count;
      const Wanted wanted{
          .model = model_.get(), .table = &table(), .conditions = std::move(conditions), .search = {}, .caller = &who};
      const auto statement = lock_statement(database_.dialect(), wanted);
      if (!statement) co_return Result<>{};
      auto locked = co_await session.query(statement->sql, statement->cells);
      if (!locked) co_return std::unexpected(std::move(locked).error());
    }
    co_return Result<>{};
  }

  /// `minimal`: the caller wants no body, so none is written.
  Task<Result<Response>> in_transaction(Context& context, Session& session, std::span<const json::Value> items,
                                        const Caller& who, const std::vector<Condition>& fixed, bool minimal) const {
    const bool together = plan_.batch->all_or_nothing;
    const auto action = plan_.batch->action;
    std::string text;
    std::int64_t shown_rows = 0;
    const auto fits = [&] {
      auto few = within_budget(shown_rows);
      return few ? within_budget(text) : few;
    };
    json::Writer out{text};
    out.begin_object().key(together ? "data" : "results").begin_array();
    std::vector<Result<Row>> created;
    if (action == Action::create) {
      auto rows = co_await create(context, session, items, who, fixed);
      if (!rows) co_return std::unexpected(std::move(rows).error());
      created = std::move(*rows);
    }
    if (action == Action::update && items.size() > 1 && database_.dialect().locks_rows())
      if (auto locked = co_await lock(session, items, who, fixed); !locked)
        co_return std::unexpected(std::move(locked).error());
    for (std::size_t i = 0; i < items.size(); ++i) {
      Result<std::string> made;
      if (action == Action::create) {
        if (created[i])
          made = shown(*created[i]);
        else
          made = std::unexpected(std::move(created[i]).error());
      } else {
        const auto prefix = prefix_of(i);
        auto changed = co_await alone(session, one(session, context, items[i], who, fixed, prefix));
        made = std::move(changed);
      }
      if (!made && ends(made.error())) {
        auto error = std::move(made).error();
        if (error.detail.empty()) error.detail = "item " + std::to_string(i);
        co_return std::unexpected(std::move(error));
      }
      if (!made) {
        write_error(out, made.error());
        continue;
      }
      if (!together) {
        out.begin_object().key("status").integer(action == Action::create ? 201 : made->empty() ? 204 : 200);
        if (!made->empty()) out.key("data").raw(*made);
        out.end_object();
      } else if (!made->empty() && !minimal) {
        out.raw(*made);
      }
      if (!made->empty() && !minimal) ++shown_rows;
      if (auto allowed = fits(); !allowed) co_return std::unexpected(std::move(allowed).error());
    }
    if (minimal) co_return minimal_response(context);
    out.end_array().end_object();
    if (together && action == Action::remove) co_return Response{.status = 204, .headers = Headers{context.arena}};
    const std::uint16_t status = !together ? 207 : action == Action::create ? 201 : 200;
    co_return json_response(context, status, std::move(text));
  }
};

}  // namespace

std::unique_ptr<Handler> make_batch(std::shared_ptr<const Model> model, Plan plan, const Build& build) {
  return std::make_unique<BatchOf>(std::move(model), std::move(plan), build);
}

}  // namespace plimsoll::table
