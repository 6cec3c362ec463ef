#include "plimsoll/contract/parameter_writer.hpp"
#include "plimsoll/handler/table/access_plan.hpp"
#include "plimsoll/handler/table/export.hpp"
#include "plimsoll/handler/table/operation.hpp"
#include "plimsoll/handler/table/page_rows.hpp"
#include "plimsoll/handler/table/parameters.hpp"
#include "plimsoll/handler/table/wide_lists.hpp"
#include "plimsoll/http/conditional.hpp"
#include "plimsoll/http/negotiate.hpp"
#include "plimsoll/http/rows.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/schema/format.hpp"

#include <algorithm>

namespace plimsoll::table {
namespace {

constexpr std::int64_t kDeepest = 10'000;     ///< the last row that `page` reaches
constexpr std::int64_t kQuickPage = 100;      ///< rows that may be read where the request stands
constexpr std::uint64_t kAround = 64 * 1024;  ///< of the response's bytes: for what stands around the rows
constexpr std::uint64_t kEnvelope = 256;      ///< of these: for all but the cursors
constexpr std::uint64_t kTight = 8 * (2 * CursorKey::kLongest + kEnvelope);  ///< below it the cursors are counted
constexpr std::string_view kHead = "{\"data\":[", kCursorWord = "cursor=";
constexpr int kMostWildcards = 8;  ///< LIKE backtracks at each

/// A parameter of the query that lists know, found once.
struct ListParameter {
  ListParameter(const contract::Operation& operation, std::string_view name)
      : place(static_cast<std::size_t>(std::ranges::find_if(operation.parameters,
                                                            [&](auto& parameter) {
                                                              return parameter.in == contract::In::query &&
                                                                     parameter.name == name;
                                                            }) -
                                       operation.parameters.begin())) {}
  /// Null: the request does not have it, or the contract does not declare it.
  const json::Value* of(const Context& context) const {
    const auto& values = context.input.parameters;
    return place < values.size() ? values[place] : nullptr;
  }
  std::size_t place;
};

class List final : public Operation {
 public:
  List(std::shared_ptr<const Model> model, Plan plan, const Build& build, std::shared_ptr<const CursorKey> key)
      : Operation(std::move(model), std::move(plan), build),
        cursor_(build.operation, "cursor"),
        page_(build.operation, "page"),
        limit_(build.operation, "limit"),
        sort_(build.operation, "sort"),
        fields_(build.operation, "fields"),
        embed_(build.operation, "embed"),
        words_(build.operation, "q"),
        count_(build.operation, "count"),
        unlinked_names_(contract::credential_parameters(build.contract)),
        key_(std::move(key)),
        wide_(std::make_unique<WideLists>(build.services, table().name)),
        types_(types_of(build.operation)),
        exports_(std::ranges::any_of(types_, [](auto type) { return format_of(type) != Format::json; })),
        everything_{table(), everything(table())} {
    unlinked_names_.insert(unlinked_names_.end(), {"cursor", "page"});
    unlinked_.assign(unlinked_names_.begin(), unlinked_names_.end());
    const auto& parameters = build.operation.parameters;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      if (parameters[i].in != contract::In::query) continue;
      for (auto& filter : table().filters)
        for (auto op : filter.operators)
          if (parameters[i].name == filter_parameter(table().columns[filter.column], op))
            if (std::ranges::none_of(filters_, [&](auto& f) { return f.parameter == i; }))
              filters_.push_back(
                  {i, filter.column, op == Operator::eq && filter.has(Operator::in) ? Operator::in : op});
    }
  }

  Task<Result<Response>> handle(Request& request, Context& context) override {
    auto who = caller(context);
    if (!who) co_return std::unexpected(std::move(who).error());
    const bool shaped = fields_.of(context) || embed_.of(context);
    std::optional<Shown> chosen;
    if (shaped) {
      auto selection = selection_of(*model_, table(), context);
      if (!selection) co_return std::unexpected(std::move(selection).error());
      if (auto allowed = may_show(*selection, context); !allowed) co_return std::unexpected(std::move(allowed).error());
      chosen.emplace(table(), std::move(*selection));
    }
    const auto& [selection, writer] = chosen ? *chosen : everything_;
    auto wanted = wanted_of(context, *who);
    if (!wanted) co_return std::unexpected(std::move(wanted).error());
    Cursor cursor;
    auto page = page_of(context, *wanted, cursor);
    if (!page) co_return std::unexpected(std::move(page).error());
    if (!cursor.rows.empty()) [[unlikely]] {
      auto found = co_await position_of(request, context, *wanted, page->sort, cursor);
      if (!found) co_return std::unexpected(std::move(found).error());
      page->from = std::move(*found);
    }
    if (exports_) [[unlikely]] {
      context.promise("vary", "accept");
      const auto& type = types_[http::best_media_type(request.headers.joined("accept"), types_).value_or(0)];
      if (const auto format = format_of(type); format != Format::json) {
        auto response = exported(request, context, format, type,
                                 {.caller = std::move(*who),
                                  .selection = selection,
                                  .wanted = std::move(*wanted),
                                  .page = std::move(*page),
                                  .budget = read_budget()});
        co_return response;
      }
    }

    const auto most = budgets_.response.bytes;
    const bool tight = most < kTight;
    PageRows rows{writer, sort_places(table(), selection, page->sort), static_cast<std::size_t>(page->limit),
                  most - std::min<std::uint64_t>(tight ? kEnvelope : most / 8, kAround), kHead};
    if (tight) rows.count_cursors(key_places(table(), page->sort));
    auto budget = read_budget();
    auto asked = *page;
    ++asked.limit;  // one more tells whether there is more
    AccessPlanner planner{database_.dialect(), *wanted, asked};
    auto statements = planner.open() ? std::vector<Statement>{}
                                     : list_statements(database_.dialect(), *wanted, selection, asked, budget.rows);
    if (statements) {
      const bool quick = page->limit <= kQuickPage && page->offset == 0;
      const auto reading = reading_of(request, context, class_of(*wanted), quick, budget);
      auto done = planner.open()
                      ? co_await planner.read(database_, context.loop, selection, reading, rows)
                      : co_await read_page(database_, context.loop, std::move(*statements), asked, reading, rows);
      if (!done) co_return std::unexpected(std::move(done).error());
      if (planner.wide()) [[unlikely]]
        tell_missing(planner.missing_indexes());
      if (rows.more && rows.ends.empty()) co_return fail(database::kResponseTooLarge, "one row is more than allowed");
    }
    std::optional<std::int64_t> total;
    if (count_.of(context)) {
      total = 0;
      if (const auto counting = count_statement(database_.dialect(), *wanted)) {
        const auto reading = reading_of(request, context, database::ReadClass::search, false, budget);
        database::RowKeeper counted;
        budget = {};  // the one row of the count is not one of the response
        auto done = co_await database_.read(context.loop, counting->sql, counting->cells, reading, counted);
        if (!done) co_return std::unexpected(std::move(done).error());
        total = std::get<std::int64_t>(counted.rows.at(0).at(0));
      }
    }
    note_read(context, selection);
    context.shaped = shaped;
    auto response = answer(request, context, *wanted, *page, rows, total);
    co_return response;
  }

 private:
  struct Filtering {
    std::size_t parameter, column;
    Operator op;
  };

  /// The members that are shown, and how a row with them is written.
  struct Shown {
    Shown(const Table& table, Selection selected) : selection(std::move(selected)), writer(table, selection) {}
    Selection selection;
    RowWriter writer;
  };

  /// Several: one of them makes the list cheap, which one its values decide.
  void tell_missing(const std::vector<std::vector<std::size_t>>& indexes) const {
    std::string text;
    for (const auto& columns : indexes) (text += text.empty() ? "" : "; or ") += table().names_of(columns);
    if (!text.empty()) wide_->add(text);
  }

  static std::unexpected<Error> refuse_query(const std::string& parameter, std::string_view keyword,
                                             std::string message) {
    return std::unexpected(wrong(kInvalidQuery, "query", "/" + parameter, keyword, std::move(message)));
  }

  Result<database::Cell> value_of(const Column& column, const json::Value& value, const std::string& name) const {
    if (column.kind == Kind::instant && value.is(json::Type::string) && value.string().size() == 10) {
      auto first = to_utc(std::string(value.string()) + "T00:00:00Z");
      if (!first) return refuse_query(name, "format", "must be a date or a date-time (RFC 3339)");
      auto cell = instant_cell(column, std::move(*first));
      if (!cell) return refuse_query(name, cell.error().keyword, cell.error().sentence);
      return std::move(*cell);
    }
    auto cell = to_cell(column, value);
    if (!cell) return refuse_query(name, cell.error().keyword, cell.error().sentence);
    if (column.kind == Kind::text)
      if (const auto is_right = schema::find_format(column.format); is_right && !is_right(value.string()))
        return refuse_query(name, "format", "must be " + std::string(schema::form_of(column.format)));
    return std::move(*cell);
  }

  Result<Condition> condition_of(const Filtering& filtering, const json::Value& value) const {
    const auto& column = table().columns[filtering.column];
    const auto name = filter_parameter(column, filtering.op);
    Condition made{.column = filtering.column, .op = filtering.op, .values = {}};
    if (filtering.op == Operator::is_null) {
      made.negated = value.is(json::Type::boolean) ? !value.boolean() : value.string() == "false";
      return made;
    }
    if (filtering.op == Operator::like) {
      if (!value.is(json::Type::string)) return refuse_query(name, "type", "must be a string");
      auto pattern = like_pattern(value.string());
      if (pattern.find('\0') != pattern.npos) return refuse_query(name, "pattern", "must not contain U+0000");
      if (std::ranges::count(pattern, '%') > kMostWildcards)
        return refuse_query(name, "like", "has more than 8 wildcards");
      made.values.push_back(std::move(pattern));
      return made;
    }
    const auto add = [&](const json::Value& one) -> Result<> {
      auto cell = value_of(column, one, name);
      if (!cell) return std::unexpected(std::move(cell).error());
      if (std::ranges::find(made.values, *cell) == made.values.end()) made.values.push_back(std::move(*cell));
      return {};
    };
    if (value.is(json::Type::array)) {
      for (auto& one : value.array())
        if (auto done = add(one); !done) return std::unexpected(std::move(done).error());
    } else if (auto done = add(value); !done) {
      return std::unexpected(std::move(done).error());
    }
    if (made.values.empty()) return refuse_query(name, "minItems", "names no value");
    if (made.op == Operator::in && made.values.size() == 1) made.op = Operator::eq;
    return made;
  }

  Result<Wanted> wanted_of(const Context& context, const Caller& who) const {
    Wanted wanted{.model = model_.get(), .table = &table(), .conditions = {}, .search = {}, .caller = &who};
    auto fixed = path_conditions(context);
    if (!fixed) return fail(kNoSuchRow);
    wanted.conditions = std::move(*fixed);
    for (auto& filtering : filters_) {
      const auto* value = filtering.parameter < context.input.parameters.size()
                              ? context.input.parameters[filtering.parameter]
                              : nullptr;
      if (!value) continue;
      auto condition = condition_of(filtering, *value);
      if (!condition) return std::unexpected(std::move(condition).error());
      wanted.conditions.push_back(std::move(*condition));
    }
    if (const auto* words = table().search.empty() ? nullptr : words_.of(context)) {
      wanted.search = database_.dialect().search_words(words->string());
      if (wanted.search.empty()) return refuse_query("q", "q", "has no words");
    }
    return wanted;
  }

  /// The position of a row that a cursor names by its key: of the first that is there and has not moved.
  Task<Result<Position>> position_of(const Request& request, const Context& context, const Wanted& wanted,
                                     const std::vector<Sort>& sort, const Cursor& cursor) const {
    const auto identity = query_identity(wanted, sort);
    for (auto& row : cursor.rows) {
      const auto statement = place_statement(database_.dialect(), wanted, sort, row.key);
      if (!statement) break;
      auto budget = read_budget();
      const auto reading = reading_of(request, context, database::ReadClass::key, true, budget);
      database::RowKeeper found;
      auto done = co_await database_.read(context.loop, statement->sql, statement->cells, reading, found);
      if (!done) co_return std::unexpected(std::move(done).error());
      if (found.rows.empty() || key_->mark_of(found.rows.front(), identity) != row.mark) continue;
      co_return Position{
          .values = std::move(found.rows.front()), .backward = cursor.position.backward, .inclusive = row.inclusive};
    }
    co_return fail(kInvalidCursor, "the rows at which that page ended have gone or changed");
  }

  Result<Page> page_of(const Context& context, const Wanted& wanted, Cursor& place) const {
    Page page{.sort = {}, .from = {}, .limit = table().page_default};
    for (auto word : words_of(sort_.of(context))) {
      const bool descending = word.starts_with('-');
      const auto column = table().column(descending ? word.substr(1) : word);
      const bool known =
          column && (table().is_key(*column) || std::ranges::find(table().sort, *column) != table().sort.end());
      if (!known) return refuse_query("sort", "sort", "there is no order by \"" + std::string(word) + "\"");
      if (std::ranges::any_of(page.sort, [&](auto& by) { return by.column == *column; }))
        return refuse_query("sort", "sort", "names \"" + table().columns[*column].name + "\" twice");
      page.sort.push_back({*column, descending});
    }
    page.sort = total_order(table(), std::move(page.sort));
    if (const auto* limit = limit_.of(context)) page.limit = limit->integer().value_or(0);
    if (page.limit < 1 || page.limit > table().page_max)
      return refuse_query("limit", "maximum", "must be from 1 to " + std::to_string(table().page_max));
    const auto* cursor = cursor_.of(context);
    const auto* number = page_.of(context);
    if (cursor && number) return refuse_query("page", "page", "cannot be combined with `cursor`");
    if (number) {
      const auto n = number->integer().value_or(0);
      if (n < 1 || n > kDeepest || n * page.limit > kDeepest)
        return refuse_query("page", "maximum", "reaches beyond row 10,000; go on with `cursor`");
      page.offset = (n - 1) * page.limit;
    }
    if (cursor) {
      auto opened =
          key_->open(cursor->string(), query_identity(wanted, page.sort), page.sort.size(), table().keys.size());
      if (!opened) return fail(kInvalidCursor);
      place = std::move(*opened);
      page.from = place.position;
    }
    return page;
  }

  /// All rows from the place that the request names on, or as many as it asks for with `limit`, as they are read.
  Result<Response> exported(const Request& request, Context& context, Format format, std::string_view type,
                            ExportQuery query) const {
    if (count_.of(context)) return refuse_query("count", "count", "has no place in " + std::string(type));
    if (query.page.from && query.page.from->backward)
      return refuse_query("cursor", "cursor", "leads backward, and " + std::string(type) + " begins at the front");
    if (limits(context) || page_.of(context)) query.rows = query.page.limit;
    query.reading = reading_of(request, context, class_of(query.wanted), false, query.budget);
    query.reading.budget = nullptr;  // each page has one of its own
    note_read(context, query.selection);
    Response response{.headers = Headers{context.arena}};
    response.headers.add("content-type", lasting(format == Format::csv ? http::kCsv : type));
    response.headers.add("cache-control", "private, no-cache");
    response.body = lasting(context.keep<Export>(database_, context.loop, std::move(query), format));
    return response;
  }

  /// Whether `limit` is in the request, and is not its default.
  bool limits(const Context& context) const {
    const auto* value = limit_.of(context);
    return value && context.operation->parameters[limit_.place].default_value != value;
  }

  /// Words are looked for in more rows than are found.
  static database::ReadClass class_of(const Wanted& wanted) {
    const bool like = std::ranges::any_of(wanted.conditions, [](auto& c) { return c.op == Operator::like; });
    return like || !wanted.search.empty() ? database::ReadClass::search : database::ReadClass::list;
  }

  Result<Response> answer(Request& request, Context& context, const Wanted& wanted, const Page& page, PageRows& rows,
                          std::optional<std::int64_t> total) const {
    const bool backward = page.from && page.from->backward;
    const bool first_page = !page.from && page.offset == 0;
    std::string next, previous;
    const auto identity = query_identity(wanted, page.sort);
    const auto keys = key_places(table(), page.sort);
    // Where the budget is tight, a longer cursor is left for a shorter one.
    const auto room =
        (budgets_.response.bytes - std::min<std::uint64_t>(budgets_.response.bytes, rows.size() + kEnvelope)) / 2;
    const auto most = std::clamp<std::size_t>(room, CursorKey::kWhole / 2, CursorKey::kLongest);
    static const std::vector<database::Cell> kUnknown;
    const auto seal = [&](const Position& position, const std::vector<database::Cell>& beyond) {
      auto text = key_->seal(position, keys, beyond, identity, most);
      if (text.empty() && most < CursorKey::kLongest)
        text = key_->seal(position, keys, kUnknown, identity, cursor_size(position.values, keys));
      return text;
    };
    // As read: behind the last row is `more`; before the first is where we came from.
    auto& onward = backward ? previous : next;
    auto& return_way = backward ? next : previous;
    bool unnamed = false;  // a row whose key is too long for a cursor
    if (rows.more) {
      onward = seal({.values = rows.last, .backward = backward}, rows.beyond);
      unnamed = onward.empty();
    }
    if (!first_page) {
      if (!rows.ends.empty()) return_way = seal({.values = rows.first, .backward = !backward}, kUnknown);
      if (return_way.empty() && page.from)
        return_way =
            seal({.values = page.from->values, .backward = !backward, .inclusive = !page.from->inclusive}, kUnknown);
      unnamed |= return_way.empty() && (page.from || !rows.ends.empty());
    }
    if (unnamed)
      return refuse_query("limit", "limit",
                          "ends the page at a row whose key is longer than the " +
                              std::to_string(CursorKey::kLongestKey) + " bytes that a cursor can name: choose another");
    if (backward) rows.reverse();
    auto& body = rows.text;
    body += ']';
    const auto member = [&](std::string_view snake, std::string_view camel) {
      ((body += ",\"") += table().camel ? camel : snake) += "\":";
    };
    const auto cursor = [&](std::string_view snake, std::string_view camel, const std::string& text) {
      member(snake, camel);
      if (text.empty())
        body += "null";
      else
        ((body += '"') += text) += '"';
    };
    cursor("next_cursor", "nextCursor", next);
    cursor("prev_cursor", "prevCursor", previous);
    member("has_more", "hasMore");
    body += next.empty() ? "false" : "true";
    if (total) {
      member("total", "total");
      body += std::to_string(*total);
    }
    body += '}';
    if (auto fits = within_budget(body); !fits) return std::unexpected(std::move(fits).error());
    const auto tag = context.kept(tag_of(body, context));
    const bool unchanged = http::evaluate(request.method, request.headers, {.etag = tag}, context.wall / kSecond) ==
                           http::Precondition::not_modified;
    auto response = unchanged ? Response{.status = 304, .headers = Headers{context.arena}}
                              : json_response(context, 200, std::move(body));
    response.headers.add("etag", tag);
    response.headers.add("cache-control", "private, no-cache");
    if (const auto links = link_header(context, next, previous); !links.empty())
      response.headers.add("link", context.kept(links));
    return response;
  }

  /// RFC 8288: the same query with another cursor. Made from the values of the declared parameters: the request's own
  /// text may hold a credential or anything undeclared, and a cache may give this response to other callers.
  std::string link_header(const Context& context, const std::string& next, const std::string& previous) const {
    if (next.empty() && previous.empty()) return {};
    const auto& operation = *context.operation;
    const auto& values = context.input.parameters;
    auto target = contract::canonical_path(operation, values, context.path_values) + '?';
    if (const auto query = contract::canonical_query(operation, values, unlinked_); !query.empty())
      (target += query) += '&';
    std::string links;
    const auto add = [&](const std::string& cursor, std::string_view relation) {
      // What is longer would be refused: whoever asked has room for the cursor in an address of their own, or has not.
      if (cursor.empty() || target.size() + kCursorWord.size() + cursor.size() > longest_target_) return;
      if (!links.empty()) links += ", ";
      (links += "<").append(target).append(kCursorWord).append(cursor).append(">; rel=\"").append(relation) += '"';
    };
    add(next, "next");
    add(previous, "prev");
    return links;
  }

  const ListParameter cursor_, page_, limit_, sort_, fields_, embed_, words_, count_;
  std::vector<std::string> unlinked_names_;
  std::vector<std::string_view> unlinked_;  ///< parameters that no link repeats
  std::shared_ptr<const CursorKey> key_;
  std::unique_ptr<WideLists> wide_;
  std::vector<Filtering> filters_;
  std::vector<std::string_view> types_;  ///< of answers that the contract declares and that can be made
  bool exports_;                         ///< one of them is not JSON
  const Shown everything_;               ///< what requests without `fields` and `embed` show
};

}  // namespace

std::unique_ptr<Handler> make_list(std::shared_ptr<const Model> model, Plan plan, const Build& build,
                                   std::shared_ptr<const CursorKey> key) {
  return std::make_unique<List>(std::move(model), std::move(plan), build, std::move(key));
}

}  // namespace plimsoll::table
