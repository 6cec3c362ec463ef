#include "plimsoll/http/negotiate.hpp"

#include "plimsoll/http/characters.hpp"

#include <algorithm>

namespace plimsoll::http {
namespace {

/// Where the next `separator` stands that is not within quotes.
std::size_t find_outside_quotes(std::string_view text, char separator) {
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (quoted && text[i] == '\\')
      ++i;
    else if (text[i] == '"')
      quoted = !quoted;
    else if (!quoted && text[i] == separator)
      return i;
  }
  return text.size();
}

/// `0`, `0.5`, `1.000`: thousandths; 0 for anything else.
int weight_of(std::string_view text) {
  if (text.empty() || text.size() > 5 || (text[0] != '0' && text[0] != '1')) return 0;
  if (text.size() > 1 && text[1] != '.') return 0;
  int value = (text[0] - '0') * 1000, unit = 100;
  for (char c : text.substr(std::min<std::size_t>(2, text.size()))) {
    if (c < '0' || c > '9') return 0;
    value += (c - '0') * unit;
    unit /= 10;
  }
  return value > 1000 ? 0 : value;
}

struct Parameter {
  std::string_view name, value;
};
bool next_parameter(std::string_view& text, Parameter& out) {
  while (!text.empty()) {
    if (text.front() == ';') text.remove_prefix(1);
    const auto end = find_outside_quotes(text, ';');
    const auto one = trimmed(text.substr(0, end));
    text.remove_prefix(end);
    if (one.empty()) continue;
    const auto equals = std::min(one.find('='), one.size());
    out = {trimmed(one.substr(0, equals)), equals < one.size() ? trimmed(one.substr(equals + 1)) : ""};
    if (out.value.size() > 1 && out.value.front() == '"' && out.value.back() == '"')
      out.value = out.value.substr(1, out.value.size() - 2);
    return true;
  }
  return false;
}

struct MediaType {
  std::string_view type, subtype, parameters;
};
MediaType split(std::string_view text) {
  const auto end = std::min(text.find(';'), text.size());
  const auto name = trimmed(text.substr(0, end));
  const auto slash = std::min(name.find('/'), name.size());
  return {name.substr(0, slash), slash < name.size() ? name.substr(slash + 1) : "", text.substr(end)};
}

/// What an offer need not say to have it: our texts are UTF-8, and JSON has no parameter for that; our CSV begins with
/// the names of its columns (RFC 4180).
bool goes_without_saying(const Parameter& asked, const MediaType& offer) {
  if (same_as_lower(asked.name, "charset")) return same_as_lower(asked.value, "utf-8");
  if (!same_as_lower(asked.name, "header") || !same_as_lower(asked.value, "present")) return false;
  Parameter own;
  for (auto theirs = offer.parameters; next_parameter(theirs, own);)
    if (same_as_lower(own.name, "header")) return false;
  return same_as_lower(offer.type, "text") && same_as_lower(offer.subtype, "csv");
}

/// How exactly a range names the offer: -1 not at all, then by type, subtype and parameters that agree.
int specificity(const Preference& range, const MediaType& offer) {
  const auto wanted = split(range.value);
  if (wanted.type == "*" && (wanted.subtype == "*" || wanted.subtype.empty())) return 0;
  if (!equal_ignoring_case(wanted.type, offer.type)) return -1;
  if (wanted.subtype == "*") return 1;
  if (!equal_ignoring_case(wanted.subtype, offer.subtype)) return -1;
  int agreed = 2;
  Parameter asked;
  for (auto rest = range.parameters; next_parameter(rest, asked);) {
    bool found = false;
    Parameter own;
    for (auto theirs = offer.parameters; next_parameter(theirs, own);)
      found |= equal_ignoring_case(asked.name, own.name) && equal_ignoring_case(asked.value, own.value);
    if (!found && !goes_without_saying(asked, offer)) return -1;
    agreed += found;
  }
  return agreed;
}

}  // namespace

bool next_preference(std::string_view& list, Preference& out) {
  while (!list.empty()) {
    const auto end = find_outside_quotes(list, ',');
    auto member = trimmed(list.substr(0, end));
    list.remove_prefix(std::min(end + 1, list.size()));
    if (member.empty()) continue;
    const auto value_end = find_outside_quotes(member, ';');
    out = {.value = trimmed(member.substr(0, value_end)), .parameters = {}};
    if (out.value.empty() || out.value.find_first_of(" \t\"") != std::string_view::npos) continue;
    // The weight ends the parameters of the value; what follows it once were extensions, and means nothing (RFC 9110,
    // section 12.5.1).
    const auto parameters = member.substr(value_end);
    auto rest = parameters;
    out.parameters = parameters;
    for (Parameter one; !rest.empty();) {
      const auto before = parameters.size() - rest.size();
      if (!next_parameter(rest, one)) break;
      if (!same_as_lower(one.name, "q")) continue;
      out.weight = weight_of(one.value);
      out.parameters = parameters.substr(0, before);
      break;
    }
    return true;
  }
  return false;
}

int media_type_weight(std::string_view accept, std::string_view offer) {
  if (trimmed(accept).empty()) return 1000;
  const auto offered = split(offer);
  int best = -1, weight = 0;
  Preference range;
  while (next_preference(accept, range)) {
    const auto exact = specificity(range, offered);
    if (exact > best || (exact == best && exact >= 0 && range.weight > weight)) best = exact, weight = range.weight;
  }
  return weight;
}

std::optional<std::size_t> best_media_type(std::string_view accept, std::span<const std::string_view> offers) {
  std::optional<std::size_t> best;
  int most = 0;
  for (std::size_t i = 0; i < offers.size(); ++i)
    if (const auto weight = media_type_weight(accept, offers[i]); weight > most) best = i, most = weight;
  return best;
}

int media_type_coverage(std::string_view declared, std::string_view content_type) {
  const auto range = split(declared), offered = split(content_type);
  if (range.subtype.starts_with("*+")) {  // of no RFC, and written all the same
    const auto suffix = range.subtype.substr(1);
    const bool ends = offered.subtype.size() > suffix.size() &&
                      equal_ignoring_case(offered.subtype.substr(offered.subtype.size() - suffix.size()), suffix);
    return ends && equal_ignoring_case(range.type, offered.type) ? 3 : -1;
  }
  const auto end = std::min(declared.find(';'), declared.size());
  const auto exact = specificity({.value = trimmed(declared.substr(0, end)), .parameters = range.parameters}, offered);
  return exact < 0 ? exact : 2 * exact;
}

std::string essence(std::string_view content_type) {
  return lowered(trimmed(content_type.substr(0, content_type.find(';'))));
}

bool is_event_stream(std::string_view content_type) {
  return equal_ignoring_case(trimmed(content_type.substr(0, content_type.find(';'))), "text/event-stream");
}

std::optional<std::string_view> media_type_parameter(std::string_view media_type, std::string_view name) {
  Parameter one;
  for (auto rest = split(media_type).parameters; next_parameter(rest, one);)
    if (equal_ignoring_case(one.name, name)) return one.value;
  return std::nullopt;
}

bool repeats_parameter(std::string_view media_type) {
  Parameter one, other;
  int read = 0;
  for (auto rest = split(media_type).parameters; next_parameter(rest, one);) {
    if (++read > 8) return true;  // nobody has a use for so many, and each is compared with those behind it
    for (auto behind = rest; next_parameter(behind, other);)
      if (equal_ignoring_case(one.name, other.name)) return true;
  }
  return false;
}

std::string_view name_of(Coding coding) {
  constexpr std::string_view kNames[] = {"identity", "gzip", "br", "zstd"};
  return kNames[static_cast<std::size_t>(coding)];
}

namespace {

std::optional<Coding> coding_named(std::string_view name) {
  switch (name.size()) {
    case 2: return same_as_lower(name, "br") ? std::optional(Coding::br) : std::nullopt;
    case 4:
      return same_as_lower(name, "gzip")   ? Coding::gzip
             : same_as_lower(name, "zstd") ? std::optional(Coding::zstd)
                                           : std::nullopt;
    case 6:
      return same_as_lower(name, "x-gzip") ? std::optional(Coding::gzip) : std::nullopt;  // RFC 9110, section 8.4.1.3
    case 8: return same_as_lower(name, "identity") ? std::optional(Coding::identity) : std::nullopt;
    default: return std::nullopt;
  }
}

constexpr int kUnsaid = -1;
/// How much each coding is wanted, in thousandths.
struct Weights {
  int named[4] = {kUnsaid, kUnsaid, kUnsaid, kUnsaid};
  int others = kUnsaid;  ///< `*`

  void add(std::string_view name, int weight) {
    if (name == "*") others = std::max(others, weight);
    if (const auto coding = coding_named(name)) {
      auto& known = named[static_cast<std::size_t>(*coding)];
      known = std::max(known, weight);
    }
  }
};

/// The common list of nothing but names; false: there is more in it than that.
bool read_names(std::string_view list, Weights& weights) {
  for (std::size_t begin = 0; begin < list.size();) {
    auto end = begin;
    for (; end < list.size() && list[end] != ','; ++end)
      if (list[end] == ';' || list[end] == '"') return false;
    const auto name = trimmed(list.substr(begin, end - begin));
    weights.add(name, 1000);
    begin = end + 1;
  }
  return true;
}

}  // namespace

Coding best_coding(const std::string_view* accept_encoding, std::span<const Coding> offers) {
  if (!accept_encoding || *accept_encoding == "identity") return Coding::identity;
  Weights weights;
  if (!read_names(*accept_encoding, weights)) {
    weights = {};
    Preference one;
    for (auto list = *accept_encoding; next_preference(list, one);) weights.add(one.value, one.weight);
  }
  const auto weight = [&](Coding coding) {
    const auto said = weights.named[static_cast<std::size_t>(coding)];
    return said == kUnsaid ? std::max(0, weights.others) : said;
  };
  // Identity is acceptable unless it is excluded; unnamed, it is what is left.
  auto best = Coding::identity;
  int most = std::max(0, weights.named[0]);
  for (auto offer : offers)
    if (const auto w = weight(offer); w > 0 && (w > most || (w == most && best == Coding::identity)))
      best = offer, most = w;
  return best;
}

}  // namespace plimsoll::http
