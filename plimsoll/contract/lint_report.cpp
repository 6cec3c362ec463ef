#include "plimsoll/contract/lint.hpp"
#include "plimsoll/contract/load_errors.hpp"
#include "plimsoll/json/write.hpp"

#include <cstring>
#include <set>

namespace plimsoll::contract {
namespace {

std::string_view name_of(LintRule::Severity severity) {
  constexpr std::string_view names[] = {"error", "warning", "info"};
  return names[static_cast<std::size_t>(severity)];
}

}  // namespace

std::string to_text(std::span<const Finding> findings, Printer printer) {
  std::string text;
  std::size_t counts[3] = {};
  for (auto& f : findings) {
    ++counts[static_cast<std::size_t>(f.severity)];
    text += printer.text(
        name_of(f.severity),
        {.code = f.rule, .file = f.file, .at = f.at, .pointer = f.pointer, .what = f.message, .remedy = f.remedy});
  }
  text += std::to_string(counts[0]) + " errors, " + std::to_string(counts[1]) + " warnings, " +
          std::to_string(counts[2]) + " notes\n";
  return text;
}

std::string to_json(std::span<const Finding> findings) {
  std::string text;
  json::Writer out{text};
  out.begin_array();
  for (auto& f : findings) {
    out.begin_object();
    out.key("rule").string(f.rule).key("severity").string(name_of(f.severity)).key("file").string(f.file);
    out.key("line").integer(f.at.line).key("column").integer(f.at.column).key("pointer").string(f.pointer);
    out.key("message").string(f.message).key("remedy").string(f.remedy);
    out.end_object();
  }
  out.end_array();
  return text + "\n";
}

namespace {

/// A path as a URI reference, which SARIF asks for (2.1.0, section 3.4.3).
std::string uri_of(std::string_view path) {
  std::string uri;
  char escape[4];
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 128 && (std::isalnum(byte) || std::strchr("-._~/:@!$&'()*+,;=", c))) {
      uri += c;
    } else {
      std::snprintf(escape, sizeof escape, "%%%02X", static_cast<unsigned>(byte));
      uri += escape;
    }
  }
  return uri;
}

}  // namespace

std::string to_sarif(std::span<const Finding> findings, std::string_view version) {
  std::string text;
  json::Writer out{text};
  out.begin_object();
  out.key("$schema").string("https://json.schemastore.org/sarif-2.1.0.json").key("version").string("2.1.0");
  out.key("runs").begin_array().begin_object();
  out.key("tool").begin_object().key("driver").begin_object();
  out.key("name").string("plimsoll lint").key("version").string(version);
  out.key("rules").begin_array();
  std::set<std::string_view> used;
  for (auto& f : findings) used.insert(f.rule);
  const auto describe = [&](std::string_view id, std::string_view sentence, std::string_view remedy) {
    if (!used.contains(id)) return;
    out.begin_object().key("id").string(id);
    out.key("shortDescription").begin_object().key("text").string(sentence).end_object();
    out.key("help").begin_object().key("text").string(remedy).end_object().end_object();
  };
  for (auto& rule : lint_rules()) describe(rule.id, rule.sentence, rule.remedy);
  for (auto* error : load_error::kAll) describe(error->code, error->what, error->remedy);
  out.end_array().end_object().end_object();
  out.key("results").begin_array();
  for (auto& f : findings) {
    out.begin_object().key("ruleId").string(f.rule);
    out.key("level").string(f.severity == LintRule::Severity::info ? "note" : name_of(f.severity));
    out.key("message").begin_object().key("text").string(f.message + ". " + f.remedy).end_object();
    out.key("locations").begin_array().begin_object().key("physicalLocation").begin_object();
    out.key("artifactLocation").begin_object().key("uri").string(uri_of(f.file)).end_object();
    if (f.at.line) {
      out.key("region").begin_object().key("startLine").integer(f.at.line);
      out.key("startColumn").integer(f.at.column).end_object();
    }
    out.end_object();
    if (!f.pointer.empty())
      out.key("logicalLocations")
          .begin_array()
          .begin_object()
          .key("fullyQualifiedName")
          .string(f.pointer)
          .end_object()
          .end_array();
    out.end_object().end_array().end_object();
  }
  out.end_array().end_object().end_array().end_object();
  return text + "\n";
}

}  // namespace plimsoll::contract
