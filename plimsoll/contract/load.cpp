#include "plimsoll/contract/compiled.hpp"
#include "plimsoll/contract/links.hpp"
#include "plimsoll/contract/overlay.hpp"

#include <algorithm>

namespace plimsoll::contract {
namespace {

using json::Type;

/// Is it OpenAPI, and of which version?
bool recognise(Compiled& made, Report& report) {
  const auto& root = made.sources[0].root;
  const auto* version = root.find("openapi");
  if (!version || !version->is(Type::string)) {
    report.add(load_error::kNotOpenapi, version ? version : &root, {},
               root.find("swagger") ? "this is Swagger 2.0, not OpenAPI"
               : version            ? "`openapi` must be text, such as '3.1.0'"
                                    : "there is no `openapi` at the top of the document");
    return false;
  }
  const auto text = version->string();
  if (text.starts_with("3.0.")) {
    made.dialect = schema::CompileOptions::Dialect::openapi30;
    made.minor = 0;
  } else if (text.starts_with("3.2.")) {
    made.minor = 2;
  } else if (!text.starts_with("3.1.")) {
    report.add(load_error::kUnsupportedVersion, version, "/openapi", "OpenAPI " + std::string(text) + " is not read");
    return false;
  }
  return true;
}

/// In the order of the text, the document's own first.
void sort(Complaints& complaints, const Sources& sources) {
  using Place = std::tuple<std::ptrdiff_t, std::uint32_t, std::uint32_t, std::size_t>;
  std::vector<Place> order;
  for (const auto& c : complaints)
    order.emplace_back(std::ranges::find(sources, c.file, &Source::file) - sources.begin(), c.at.line, c.at.column,
                       order.size());
  std::ranges::sort(order);
  Complaints sorted;
  for (const auto& place : order) sorted.push_back(std::move(complaints[std::get<3>(place)]));
  complaints = std::move(sorted);
}

void prepare(Compiled& made, const LoadOptions& options, Complaints& complaints, Report& report) {
  Reader reader{made.sources, made.arena, report, options.fetch};
  if (!reader.open(options.file, nullptr, {}) || !recognise(made, report)) return;
  for (auto& overlay : options.overlays)
    if (const auto index = reader.open(overlay, nullptr, {}, true)) {
      mark(made.sources[*index].root, static_cast<std::uint16_t>(*index));
      apply_overlay(made.sources, *index, made.arena, report);
    }
  if (!bundle(made.sources, made.arena, reader, report)) return;
  auto& root = made.sources[0].root;
  for (const auto& source : made.sources) made.files.push_back(source.file);
  Draft draft{.root = root, .arena = made.arena, .complaints = complaints, .files = made.files};
  for (auto& augment : options.augment) augment(draft);
  made.root = &root;
  check_structure(root, made.minor, report);
  check_references(root, report);
  compile(made, options, report);
  check_links(made, report);
}

/// Errors that the document survives become warnings; those of what Plimsoll itself reads from it do not.
void tolerate(Complaints& complaints) {
  for (auto& complaint : complaints) {
    const bool ours = complaint.what.contains("x-plimsoll") || complaint.pointer.contains("/x-plimsoll");
    const auto known = std::ranges::find(load_error::kAll, complaint.code, [](auto* error) { return error->code; });
    if (complaint.severity != Complaint::Severity::error || ours || known == std::end(load_error::kAll) ||
        contains(load_error::kNeverTolerated, *known))
      continue;
    complaint.severity = Complaint::Severity::warning;
    complaint.tolerated = true;
  }
}

}  // namespace

std::expected<std::shared_ptr<const Contract>, Complaints> load(const LoadOptions& options) {
  auto made = std::make_shared<Compiled>();
  made->file = options.file;
  Complaints complaints;
  Report report{made->sources, complaints};
  prepare(*made, options, complaints, report);
  for (auto& complaint : complaints)  // what an option said of its own place, on the way through its owner
    if (auto [at, what, source, remedy] = config::located(complaint.what); at.line || !remedy.empty()) {
      complaint.what = std::move(what);
      if (!remedy.empty()) complaint.remedy = std::move(remedy);
      if (!at.line) continue;
      complaint.at = at;
      if (source < made->sources.size()) complaint.file = made->sources[source].file;
    }
  report.keep_causes();
  sort(complaints, made->sources);
  if (options.tolerant && made->root) tolerate(complaints);
  if (std::ranges::any_of(complaints, [](auto& c) { return c.severity == Complaint::Severity::error; }))
    return std::unexpected(std::move(complaints));
  made->warnings = std::move(complaints);
  return made;
}

}  // namespace plimsoll::contract
