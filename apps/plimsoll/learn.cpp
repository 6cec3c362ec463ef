#include "apps/plimsoll/commands.hpp"
#include "apps/plimsoll/management_client.hpp"
#include "plimsoll/base/arena.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/json/yaml.hpp"

#include <algorithm>
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

namespace plimsoll::command {
namespace {

struct Options {
  bool forget = false;
  Management management;
};

constexpr std::size_t kLine = 120;  ///< characters of what stands on one line

/// Text as a scalar of YAML: plain where YAML reads it back as the same text, else in quotes.
std::string scalar(std::string_view text) {
  const bool plain = !text.empty() &&
                     std::ranges::all_of(text,
                                         [](char c) {
                                           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                                                  (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '/' ||
                                                  c == ' ' || c == '.';
                                         }) &&
                     text.front() != '-' && text.front() != ' ' && text.back() != ' ';
  if (plain) {
    Arena arena;
    const auto read = json::parse_yaml(text, arena);
    if (read && read->is(json::Type::string) && read->string() == text) return std::string(text);
  }
  std::string quoted;
  json::append_string(quoted, text);
  return quoted;
}

/// A name of a path or a template, which is plain in blocks alone.
std::string key_of(std::string_view name) {
  if (name.starts_with('/') && name.contains('{') && name.find_first_of(" #:,&*!|>'\"%@`[]") == std::string_view::npos)
    return std::string(name);
  return scalar(name);
}

/// The value on one line.
std::string flow(const json::Value& value) {
  std::string out;
  if (value.is(json::Type::object)) {
    for (const auto& member : value.object())
      out += (out.empty() ? "" : ", ") + scalar(member.key) + ": " + flow(member.value);
    return "{" + out + "}";
  }
  if (value.is(json::Type::array)) {
    for (const auto& item : value.array()) out += (out.empty() ? "" : ", ") + flow(item);
    return "[" + out + "]";
  }
  return value.is(json::Type::string) ? scalar(value.string()) : json::to_string(value);
}

/// The value in lines, each after `indent`. What fits on one line, and is no map of paths or operations, stands there.
void block(std::string& out, const json::Value& value, std::size_t indent) {
  const auto lead = std::string(indent, ' ');
  const auto add = [&](std::string_view head, const json::Value& of) {
    const auto line = lead + std::string(head) + " " + flow(of);
    const bool leaf = !of.is(json::Type::object) && !of.is(json::Type::array);
    if (leaf || (line.size() <= kLine && indent >= 6)) {
      out += line + "\n";
    } else if (of.is(json::Type::array)) {
      out += lead + std::string(head) + "\n";
      for (const auto& item : of.array()) out += lead + "  - " + flow(item) + "\n";
    } else {
      out += lead + std::string(head) + "\n";
      block(out, of, indent + 2);
    }
  };
  for (const auto& member : value.object()) add(key_of(member.key) + ":", member.value);
}

int run(const Options& options) {
  auto answer = ask(options.management, options.forget ? "DELETE /learned" : "GET /learned", 10);
  if (!answer) return complain(answer.error());
  Arena arena;
  const auto parsed = json::parse(answer->body, arena);
  const auto* document = parsed ? parsed->find("document") : nullptr;
  if (answer->status != 200 || !document)
    return complain(refusal_of(*answer, parsed ? &*parsed : nullptr), {},
                    text_of(parsed ? &*parsed : nullptr, "remedy"));
  if (options.forget) {
    std::puts("what was learned is forgotten");
    return 0;
  }
  const auto count = [&](std::string_view name) {
    const auto* number = parsed->find(name);
    return number ? std::string(number->number_text()) : "0";
  };
  std::string text = "# Drafted from " + count("requests") + " forwarded requests";
  if (count("dropped") != "0") text += "; " + count("dropped") + " more found no room";
  text +=
      ".\n# A draft says what was seen, not what is allowed: read it, add `security`, and correct names, types and "
      "limits.\n";
  block(text, *document, 0);
  std::fputs(text.c_str(), stdout);
  return 0;
}

Subcommand::Run declare(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_flag("--forget", options->forget, "Forgets what was learned so far");
  add_options(app, options->management);
  return [options] { return run(*options); };
}

const Subcommand learn{"learn", "Writes draft operations from requests that a running server has forwarded", declare};

}  // namespace
}  // namespace plimsoll::command
