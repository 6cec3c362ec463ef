#include "plimsoll/handler/table/form_files.hpp"

#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/encoding.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/handler/table/file_fields.hpp"
#include "plimsoll/http/multipart.hpp"
#include "plimsoll/http/negotiate.hpp"

#include <algorithm>

namespace plimsoll::table {
namespace {

constexpr std::size_t kPiece = 64 * 1024;
constexpr std::size_t kMostParts = 1000;  ///< as the contract reads forms

/// Keeps the parts that are files.
class FileParts final : public http::MultipartParts {
 public:
  struct Part {
    const FileColumns* file;
    http::PartHead head;
    std::string bytes;
  };
  explicit FileParts(const Table& table) : table_(table) {}
  std::vector<Part> parts;

  Result<> begin(http::PartHead head) override {
    const auto* file = table_.file(head.name);
    taking_ = file != nullptr;
    if (taking_) parts.push_back({file, std::move(head), {}});
    return {};
  }
  Result<> data(std::string_view piece) override {
    if (taking_) parts.back().bytes += piece;
    return {};
  }
  Result<> end() override { return {}; }

 private:
  const Table& table_;
  bool taking_ = false;
};

json::Value without_files(const Table& table, const json::Value& body, Arena& arena) {
  const auto members = body.object();
  auto* kept = arena.array<json::Member>(members.size());
  const auto end = std::ranges::copy_if(members, kept, [&](auto& member) { return !table.file(member.key); }).out;
  return json::Value::object({kept, static_cast<std::size_t>(end - kept)});
}

}  // namespace

std::vector<std::string_view> sent_types(const contract::Operation& operation) {
  std::vector<std::string_view> types;
  for (const auto& spec : operation.responses)
    if (spec.status == "200")
      for (const auto& media : spec.content) types.push_back(media.name);
  return types;
}

bool covers(const std::vector<std::string_view>& declared, std::string_view type) {
  return std::ranges::any_of(declared, [&](auto each) { return http::media_type_coverage(each, type) >= 0; });
}

SentTypes::SentTypes(const contract::Contract& contract, const Model& model, const Table& table) {
  for (const auto& operation : contract.operations) {
    const auto *options = operation.extension("table"), *file = operation.extension("file");
    if (!options || !file || operation.method != "GET") continue;
    const auto made = plan(model, operation.method, operation.path, *options, operation.extension("batch"), file);
    if (made && made->file && made->table == &table) types_.emplace_back(made->file->is, sent_types(operation));
  }
}

bool SentTypes::has(const FileColumns& file, std::string_view media_type) const {
  return std::ranges::all_of(types_,
                             [&](auto& each) { return each.first != &file || covers(each.second, media_type); });
}

Result<std::vector<FileCells>> take_files(const Table& table, const SentTypes& sent, std::string_view form,
                                          std::string_view content_type, json::Value& body, Arena& arena) {
  std::vector<FileCells> files;
  const auto boundary = http::multipart_boundary(content_type);
  if (!boundary || !body.is(json::Type::object)) return files;
  FileParts taken{table};
  http::MultipartParser parser{*boundary, {.parts = kMostParts, .part = form.size()}, taken};
  Result<> read;
  for (; read && !form.empty(); form.remove_prefix(std::min(kPiece, form.size())))
    read = parser.feed(form.substr(0, kPiece));
  if (!read) return std::unexpected(std::move(read).error());  // it has been read before
  std::vector<FieldError> wrong;
  for (auto& part : taken.parts) {
    const auto complain = [&](std::string_view keyword, std::string message) {
      wrong.push_back({"body", "/" + part.file->name, std::string(keyword), std::move(message)});
    };
    const auto type = kept_media_type(part.head.content_type.empty() ? "application/octet-stream"
                                                                     : std::string_view(part.head.content_type));
    if (std::ranges::find(files, part.file, &FileCells::file) != files.end())
      complain("unique", "is given twice");
    else if (part.bytes.empty())
      complain("required", "has no bytes");
    else if (!type || !sent.has(*part.file, *type))
      complain("contentType", "is of a media type that is not accepted");
    else {
      auto& made = files.emplace_back(FileCells{.file = part.file});
      made.digest = to_hex(as_text(sha256(part.bytes)));
      made.bytes = std::move(part.bytes);
      made.type = *type;
      if (part.file->file_name && part.head.has_filename)
        if (auto name = clean_file_name(part.head.filename); !name.empty()) made.name = std::move(name);
    }
  }
  if (!wrong.empty()) return std::unexpected(wrong_fields(kInvalidRow, std::move(wrong)));
  body = without_files(table, body, arena);
  return files;
}

}  // namespace plimsoll::table
