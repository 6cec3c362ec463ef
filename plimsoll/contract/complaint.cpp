#include "plimsoll/contract/complaint.hpp"

#include "plimsoll/base/letters.hpp"
#include "plimsoll/base/read_file.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace plimsoll::contract {
namespace {

constexpr std::string_view kBold = "\x1b[1m", kRed = "\x1b[1;31m", kYellow = "\x1b[1;33m", kBlue = "\x1b[1;34m",
                           kPlain = "\x1b[0m";
constexpr std::size_t kWidest = 120, kBefore = 60;  ///< of an excerpt: what stands before the place, at most
/// How far around the place a secret is looked for: a line may be a whole document.
constexpr std::size_t kNear = 1000;

std::optional<std::string> contents(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  auto text = read_file(path);
  return text ? std::optional(std::move(*text)) : std::nullopt;
}

bool may_be_secret(std::string_view line) {
  const auto small = lowered(line);
  for (const auto word : {"secret", "password", "passwd", "credentials", "-----begin"})
    if (small.contains(word)) return true;
  const auto scheme = small.find("://");
  if (scheme != small.npos && small.find('@', scheme) != small.npos) return true;
  // A line of PEM, or of anything else that is long and without a blank.
  std::size_t run = 0;
  for (const char c : small) {
    run = std::isalnum(static_cast<unsigned char>(c)) || c == '+' || c == '/' || c == '=' ? run + 1 : 0;
    if (run >= 48) return true;
  }
  return false;
}

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

/// What a terminal shows in one column each, control characters as blanks.
std::string shown(std::string_view text) {
  std::string made(text);
  for (char& c : made)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  return made;
}

}  // namespace

bool wants_colour(int descriptor) {
  const char* off = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return ::isatty(descriptor) && !(off && *off) && terminal && std::string_view(terminal) != "dumb";
}

std::optional<Printer::File> Printer::read(const std::string& path) {
  auto text = contents(path);
  if (!text) return std::nullopt;
  File file{std::move(*text), {0}};
  for (auto end = file.text.find('\n'); end != std::string::npos; end = file.text.find('\n', end + 1))
    file.lines.push_back(end + 1);
  return file;
}

std::string Printer::excerpt(const std::string& file, json::Position at) {
  if (!look_.excerpts || !at.line || !at.column || file.empty() || file.contains("://")) return {};
  auto& kept = files_.try_emplace(file).first->second;
  if (!kept) kept = read(file);
  if (!kept) return {};
  const auto& [whole, lines] = *kept;
  if (at.line > lines.size()) return {};
  const auto begin = lines[at.line - 1], end = at.line < lines.size() ? lines[at.line] - 1 : whole.size();
  auto text = std::string_view(whole).substr(begin, end - begin);
  if (text.ends_with('\r')) text.remove_suffix(1);
  std::size_t place = at.column - 1;
  if (place > text.size() || text.empty()) return {};
  const auto from = place > kNear ? place - kNear : 0;
  if (may_be_secret(text.substr(from, place - from + kNear))) return {};
  std::string before, after;
  if (place > kBefore) {
    auto cut = place - kBefore;
    while (cut < place && continues(text[cut])) ++cut;
    text.remove_prefix(cut), place -= cut;
    before = "… ";
  }
  if (text.size() > kWidest) {
    auto cut = kWidest;
    while (cut > place && continues(text[cut])) --cut;
    text = text.substr(0, cut);
    after = " …";
  }
  const auto columns = static_cast<std::size_t>(
      std::ranges::count_if(text.substr(0, place), [](char c) { return !continues(c); }) + (before.empty() ? 0 : 2));
  auto number = std::to_string(at.line);
  number.insert(0, number.size() < 5 ? 5 - number.size() : 0, ' ');
  const auto blue = look_.colour ? kBlue : "", red = look_.colour ? kRed : "", plain = look_.colour ? kPlain : "";
  std::string made = std::string(blue) + number + " |" + std::string(plain) + " " + before + shown(text) + after + "\n";
  return made + std::string(blue) + std::string(number.size(), ' ') + " |" + std::string(plain) + " " +
         std::string(columns, ' ') + std::string(red) + "^" + std::string(plain) + "\n";
}

std::string Printer::text(std::string_view severity, const Complaint& c) {
  const auto tint = severity == "error" ? kRed : severity == "warning" ? kYellow : kBlue;
  const auto in = [&](std::string_view colour, const std::string& text) {
    return look_.colour ? std::string(colour) + text + std::string(kPlain) : text;
  };
  std::string place = c.file.empty() ? "plimsoll" : c.file;
  if (c.at.line) place += ":" + std::to_string(c.at.line) + ":" + std::to_string(c.at.column);
  std::string text = in(kBold, place + ":") + " ";
  text +=
      in(tint, std::string(severity) + (c.code.empty() ? "" : "[" + c.code + "]")) + in(kBold, ": " + c.what) + "\n";
  text += excerpt(c.file, c.at);
  if (!c.pointer.empty()) text += "  at " + c.pointer + "\n";
  if (!c.remedy.empty()) text += "  " + in(kBold, "help:") + " " + c.remedy + "\n";
  return text;
}

std::string Printer::text(const Complaint& c) {
  return text(c.severity == Complaint::Severity::error ? "error" : "warning", c);
}

std::string Printer::text(const Complaints& all) {
  std::string made;
  const auto [some, rest] = shown(all);
  for (const auto* each : some) made += text(*each);
  return made + rest;
}

Shown shown(const Complaints& all) {
  Shown made;
  std::size_t counts[2] = {};
  for (const auto& each : all)
    if (counts[static_cast<std::size_t>(each.severity)]++ < kMostShown) made.some.push_back(&each);
  constexpr std::string_view kNames[] = {"error", "warning"};
  for (std::size_t i = 0; i < std::size(counts); ++i) {
    if (counts[i] <= kMostShown) continue;
    const auto more = counts[i] - kMostShown;
    made.rest += made.rest.empty() ? "plimsoll: and " : " and ";
    if (counts[i] >= kMostComplaints) made.rest += "at least ";
    made.rest += std::to_string(more) + " more " + std::string(kNames[i]) + (more == 1 ? "" : "s");
  }
  if (!made.rest.empty()) made.rest += '\n';
  return made;
}

std::string to_string(const Complaint& c) {
  auto text = Printer{{.excerpts = false}}.text(c);
  text.pop_back();
  return text;
}

void print(const Complaints& all) {
  const auto text = Printer(STDERR_FILENO).text(all);
  std::fwrite(text.data(), 1, text.size(), stderr);
}

}  // namespace plimsoll::contract
