#pragma once

#include "plimsoll/exchange/budgets.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/exchange/unit.hpp"
#include "plimsoll/handler/table/cursor.hpp"
#include "plimsoll/handler/table/embed_access.hpp"
#include "plimsoll/handler/table/entity_tag.hpp"
#include "plimsoll/handler/table/plan.hpp"
#include "plimsoll/handler/table/row_writer.hpp"
#include "plimsoll/handler/table/statement.hpp"
#include "plimsoll/http/conditional.hpp"

#include <memory>
#include <mutex>

namespace plimsoll::table {

inline constexpr Problem kNoSuchRow{"no-such-row", 404, "The resource does not exist",
                                    "Check the id. Rows of other owners are not visible."};
inline constexpr Problem kInvalidQuery{"invalid-query", 400, "The query parameters are invalid",
                                       "Correct the parameters that `errors` names."};
inline constexpr Problem kInvalidCursor{"invalid-cursor", 400, "The cursor does not belong to this list",
                                        "Start again without `cursor`, or use a cursor from a page of the same query."};
using http::kPreconditionFailed;
inline constexpr Problem kPreconditionRequired{"precondition-required", 428, "This change requires If-Match",
                                               "Send `If-Match` with the ETag of the row that was read."};
inline constexpr Problem kInvalidRow{"invalid-row", 422, "The change would make the row invalid",
                                     "Correct the fields that `errors` names."};
inline constexpr Problem kBatchTooLarge{"batch-too-large", 413, "The batch has too many items",
                                        "Send several batches."};

inline constexpr Problem kRangeNotSatisfiable{"range-not-satisfiable", 416, "The file has none of these bytes",
                                              "Ask for bytes within the length that Content-Range names."};

/// What is read from the database once per process, before the first operation is built: other instances on it take
/// the cursors and tags of this one.
struct Secrets {
  std::mutex mutex;
  std::shared_ptr<const CursorKey> cursors;
  EntityTags tags;
};

/// What all operations on tables have: the table, the way to the row, the caller.
class Operation : public Handler {
 public:
  Operation(std::shared_ptr<const Model> model, Plan plan, const Build& build);
  Audience audience() const noexcept override;

 protected:
  /// Whose rows exist; an error where the table needs a caller and nobody has vouched for one.
  Result<Caller> caller(const Context& context) const;
  /// Conditions that the path says (without the key). Nothing: no row can be meant.
  std::optional<std::vector<Condition>> path_conditions(const Context& context) const;
  /// A parameter of the path as a value of its column. Nothing: no row can have it.
  std::optional<database::Cell> cell_of(const Context& context, const Plan::Fixed& in) const;
  /// Conditions of the row that the path names.
  std::optional<std::vector<Condition>> row_conditions(const Context& context) const;
  const Table& table() const { return *plan_.table; }
  /// A field of the request's body or query that is wrong.
  static Error wrong(const Problem& problem, std::string_view in, std::string pointer, std::string_view keyword,
                     std::string message);
  /// Refuses what the selection embeds of tables that the caller may not read directly.
  Result<> may_show(const Selection& selection, const Context& context) const {
    return selection.embeds.empty() ? Result<>{} : access_->check(selection, context.principal, assured_);
  }
  /// Notes for caches which tables the answer was read from.
  void note_read(Context& context, const Selection& selection) const;
  /// Of a representation that the caller is shown; `unseen` is what is stored of a whole row beside it.
  EntityTag tag_of(std::string_view representation, const Context& context, std::string_view unseen = {}) const {
    return tags_.of(representation,
                    table().tenant && context.principal ? context.principal->tenant : std::string_view{}, unseen);
  }
  static Response json_response(Context& context, std::uint16_t status, std::string body);
  /// A body that may be sent, or `response-too-large`.
  Result<> within_budget(const std::string& body) const;
  Result<> within_budget(std::int64_t rows) const;
  /// What the reads of one exchange may give.
  database::ReadBudget read_budget() const {
    return {.rows = budgets_.rows, .bytes = static_cast<std::int64_t>(budgets_.response.bytes)};
  }
  /// A read of this exchange, on the account of its caller.
  static database::Reading reading_of(const Request& request, const Context& context, database::ReadClass order,
                                      bool quick, database::ReadBudget& budget);

  std::shared_ptr<const Model> model_;
  Plan plan_;
  database::Database& database_;
  EntityTags tags_;
  Budgets budgets_;
  std::shared_ptr<const EmbedAccess> access_;
  std::size_t longest_target_;        ///< of an address that this server takes: none that it gives is longer
  std::vector<std::string> assured_;  ///< schemes that every alternative of the operation's security names
};

/// Fields of a request that are wrong, all of them.
Error wrong_fields(const Problem& problem, std::vector<FieldError> fields);
/// A path segment, percent-decoded; nothing when it is malformed.
std::optional<std::string> decoded(std::string_view segment);
/// The selection that `fields` and `embed` of a request ask for.
Result<Selection> selection_of(const Model& model, const Table& table, const Context& context);
/// Whether the request has a word for which members are shown.
bool shapes(const Context& context);
/// A list parameter: an array, or a text with commas.
std::vector<std::string_view> words_of(const json::Value* value);

using MakeHandler = std::unique_ptr<Handler>(std::shared_ptr<const Model>, Plan, const Build&);
std::unique_ptr<Handler> make_read(std::shared_ptr<const Model> model, Plan plan, const Build& build);
std::unique_ptr<Handler> make_list(std::shared_ptr<const Model> model, Plan plan, const Build& build,
                                   std::shared_ptr<const CursorKey> key);
Result<std::unique_ptr<Handler>> make_file(std::shared_ptr<const Model> model, Plan plan, const Build& build);
Result<std::unique_ptr<Handler>> make_write(std::shared_ptr<const Model> model, Plan plan, const Build& build);

}  // namespace plimsoll::table
