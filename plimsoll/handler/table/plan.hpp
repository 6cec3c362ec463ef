#pragma once

#include "plimsoll/handler/table/declaration.hpp"

#include <expected>
#include <optional>
#include <string>
#include <vector>

namespace plimsoll::table {

/// What an operation does with its table.
/// `file`: on a file of a row, which no word of `action` says.
enum class Action : std::uint8_t { list, read, create, update, replace, remove, batch, file };
inline constexpr std::string_view kActionNames[] = {"list", "read", "create", "update", "replace", "delete", "batch"};

/// Many changes in one request. `all_or_nothing`: the first failure undoes all; else each item has a result of its own.
struct Batch {
  Action action = Action::create;
  std::int64_t max = 100;
  bool all_or_nothing = true;
  bool import = false;      ///< rows of CSV or NDJSON, each in a savepoint where it must be, and all of them or none
  std::uint64_t body = 0;   ///< of an import: its longest body
  std::int64_t errors = 0;  ///< of an import: the most that are told
};

/// An operation on a table, as its `table` key, method and path say.
struct Plan {
  const Table* table = nullptr;
  Action action = Action::list;
  struct Fixed {
    std::size_t parameter, column;  ///< the parameter by its place in the template
  };
  std::vector<Fixed> key;    ///< path parameters that name the row: one for each column of the key
  std::vector<Fixed> fixed;  ///< others, which are columns: `/customers/{customer_id}/orders`
  std::optional<Batch> batch;
  struct File {
    enum class Does : std::uint8_t { send, store, remove };
    const FileColumns* is = nullptr;
    Does does = Does::send;
    std::uint64_t max = 0;  ///< bytes that are stored; 0: what the deployment says of bodies
  };
  std::optional<File> file{};  ///< of `Action::file`
};

/// Whether success may be told without a body (`Prefer: return=minimal`): there is one, and it holds nothing but the
/// rows that came out.
constexpr bool may_be_minimal(const Plan& plan) {
  if (plan.action == Action::file) return false;
  if (plan.action != Action::batch)
    return plan.action == Action::create || plan.action == Action::update || plan.action == Action::replace;
  return plan.batch->all_or_nothing && plan.batch->action != Action::remove;
}

/// `path` is a template; `options` the value of `table`, `batch` and `file` those of their keys or null. The error is a
/// sentence.
std::expected<Plan, std::string> plan(const Model& model, std::string_view method, std::string_view path,
                                      const json::Value& options, const json::Value* batch, const json::Value* file);

/// The columns of the key that an item of a batch names: those that the path does not say.
std::vector<std::size_t> open_keys(const Plan& plan);

/// Names in the braces of a template, in order.
std::vector<std::string_view> path_parameters(std::string_view path);

extern const std::span<const config::Field> kOptionFields, kBatchFields, kFileFields;
const void* option_defaults();
const void* batch_defaults();
const void* file_defaults();

}  // namespace plimsoll::table
