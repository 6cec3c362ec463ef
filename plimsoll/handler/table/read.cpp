#include "plimsoll/handler/table/operation.hpp"
#include "plimsoll/http/conditional.hpp"

namespace plimsoll::table {
namespace {

/// GET of a row by its key: the whole row with a statement made at the start, parts of it with one made now.
class Read final : public Operation {
 public:
  Read(std::shared_ptr<const Model> model, Plan plan, const Build& build)
      : Operation(std::move(model), std::move(plan), build),
        whole_(everything(table())),
        unseen_(unseen(table())),
        stored_(whole_),
        writer_(table(), whole_),
        unseen_writer_(table(), unseen_, RowWriter::Hidden::shown),
        plain_(plan_.fixed.empty() && plan_.key.size() == 1 && !table().owner && !table().tenant) {
    for (std::size_t i = 0; i < build.operation.parameters.size(); ++i) {
      const auto& parameter = build.operation.parameters[i];
      if (parameter.in == contract::In::query && (parameter.name == "fields" || parameter.name == "embed"))
        shaping_.push_back(i);
    }
    const Wanted wanted{.model = model_.get(),
                        .table = &table(),
                        .conditions = {{.column = table().keys[0], .values = {std::int64_t{0}}}},
                        .search = {}};
    // What is not shown is read beside a whole row, for its tag.
    stored_.columns.insert(stored_.columns.end(), unseen_.columns.begin(), unseen_.columns.end());
    if (plain_) sql_ = row_statement(database_.dialect(), wanted, stored_)->sql;
  }

  Task<Result<Response>> handle(Request& request, Context& context) override {
    bool shaped = false;
    for (auto index : shaping_) shaped |= index < context.input.parameters.size() && context.input.parameters[index];
    if (plain_ && !shaped) {
      auto key = cell_of(context, plan_.key[0]);
      if (!key) co_return fail(kNoSuchRow);
      const database::Cell cells[] = {std::move(*key)};
      OneRow row{writer_, beside()};
      auto budget = read_budget();
      const auto reading = reading_of(request, context, database::ReadClass::key, true, budget);
      auto done = co_await database_.read(context.loop, sql_, cells, reading, row);
      if (!done) co_return std::unexpected(std::move(done).error());
      co_return answer(request, context, whole_, std::move(row));
    }
    auto answered = co_await read_part(request, context);
    co_return answered;
  }

 private:
  Task<Result<Response>> read_part(Request& request, Context& context) {
    auto conditions = row_conditions(context);
    if (!conditions) co_return fail(kNoSuchRow);
    auto who = caller(context);
    if (!who) co_return std::unexpected(std::move(who).error());
    auto selection = selection_of(*model_, table(), context);
    if (!selection) co_return std::unexpected(std::move(selection).error());
    if (auto allowed = may_show(*selection, context); !allowed) co_return std::unexpected(std::move(allowed).error());
    const Wanted wanted{
        .model = model_.get(), .table = &table(), .conditions = std::move(*conditions), .search = {}, .caller = &*who};
    context.shaped = shapes(context);
    auto budget = read_budget();
    const auto statement =
        row_statement(database_.dialect(), wanted, context.shaped ? *selection : stored_, budget.rows);
    if (!statement) co_return fail(kNoSuchRow);
    const RowWriter writer{table(), *selection};
    OneRow row{writer, context.shaped ? nullptr : beside()};
    const auto reading = reading_of(request, context, database::ReadClass::key, true, budget);
    auto done = co_await database_.read(context.loop, statement->sql, statement->cells, reading, row);
    if (!done) co_return std::unexpected(std::move(done).error());
    co_return answer(request, context, *selection, std::move(row));
  }

  const RowWriter* beside() const { return unseen_.columns.empty() ? nullptr : &unseen_writer_; }

  Result<Response> answer(Request& request, Context& context, const Selection& selection, OneRow row) const {
    auto& text = row.text;
    note_read(context, selection);
    if (text.empty()) return fail(kNoSuchRow);
    if (auto fits = within_budget(text); !fits) return std::unexpected(std::move(fits).error());
    const auto tag = context.kept(tag_of(text, context, row.unseen));
    const auto condition = http::evaluate(request.method, request.headers, {.etag = tag}, context.wall / kSecond);
    if (condition == http::Precondition::failed) return fail(kPreconditionFailed);
    auto response = condition == http::Precondition::not_modified
                        ? Response{.status = 304, .headers = Headers{context.arena}}
                        : json_response(context, 200, std::move(text));
    response.headers.add("etag", tag);
    response.headers.add("cache-control", "private, no-cache");
    return response;
  }

  Selection whole_, unseen_, stored_;  ///< `stored_`: the one and then the other
  RowWriter writer_, unseen_writer_;
  bool plain_;
  std::string sql_;
  std::vector<std::size_t> shaping_;
};

}  // namespace

std::unique_ptr<Handler> make_read(std::shared_ptr<const Model> model, Plan plan, const Build& build) {
  return std::make_unique<Read>(std::move(model), std::move(plan), build);
}

}  // namespace plimsoll::table
