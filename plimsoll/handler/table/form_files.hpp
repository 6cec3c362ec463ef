#pragma once

#include "plimsoll/base/arena.hpp"
#include "plimsoll/exchange/body_memory.hpp"
#include "plimsoll/handler/table/declaration.hpp"
#include "plimsoll/handler/table/operation.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace plimsoll::table {

/// What the columns of a file become; all NULL: it is removed.
struct FileCells {
  const FileColumns* file = nullptr;
  database::Cell bytes{}, digest{}, type{}, name{}, size{};
};

/// The media types of files that operations of the contract send, by file: none where no operation sends it.
class SentTypes {
 public:
  SentTypes() = default;
  SentTypes(const contract::Contract& contract, const Model& model, const Table& table);
  /// Whether one that is stored can be sent.
  bool has(const FileColumns& file, std::string_view media_type) const;

 private:
  std::vector<std::pair<const FileColumns*, std::vector<std::string_view>>> types_;
};

/// The parts of a form that are files of the table, by their names; `body` loses these members. What is wrong with them
/// is an error with a pointer to each.
Result<std::vector<FileCells>> take_files(const Table& table, const SentTypes& sent, std::string_view form,
                                          std::string_view content_type, json::Value& body, Arena& arena);

/// Names of media types that the contract declares for a file that is sent.
std::vector<std::string_view> sent_types(const contract::Operation& operation);
bool covers(const std::vector<std::string_view>& declared, std::string_view type);

}  // namespace plimsoll::table
