#include "plimsoll/config/options.hpp"

#include "plimsoll/base/letters.hpp"
#include "plimsoll/config/bounds.hpp"
#include "plimsoll/json/write.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace plimsoll::config {
namespace {

std::string quoted(std::string_view text) {
  std::string out;
  json::append_string(out, text);
  return out;
}

/// A whole number at the start of `text`, taken off it.
std::optional<std::int64_t> take_number(std::string_view& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || value < 0) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

struct Unit {
  std::string_view name;
  std::int64_t size;
};
constexpr Unit kTimes[] = {{"d", 86400 * kSecond},
                           {"h", 3600 * kSecond},
                           {"m", 60 * kSecond},
                           {"s", kSecond},
                           {"ms", kMillisecond},
                           {"us", 1000},
                           {"ns", 1}};
constexpr Unit kSizes[] = {{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}};
constexpr Unit kPeriods[] = {
    {"second", kSecond}, {"minute", 60 * kSecond}, {"hour", 3600 * kSecond}, {"day", 86400 * kSecond}};

std::optional<std::int64_t> amount(std::string_view text, std::span<const Unit> units) {
  const auto number = take_number(text);
  if (!number) return std::nullopt;
  for (const auto& unit : units)
    if (unit.name == text) {
      std::int64_t product = 0;
      if (__builtin_mul_overflow(*number, unit.size, &product)) return std::nullopt;
      return product;
    }
  return std::nullopt;
}

std::string in_largest(std::int64_t value, std::span<const Unit> units) {
  for (const auto& unit : units)
    if (value % unit.size == 0 && (value != 0 || unit.size == 1))
      return std::to_string(value / unit.size) + std::string(unit.name);
  return std::to_string(value);
}

}  // namespace

std::size_t distance(std::string_view a, std::string_view b) {
  const auto plain = [](char c) { return c == '_' ? '-' : lower(c); };
  const auto width = b.size() + 1;
  std::vector<std::size_t> rows(3 * width);  // the two rows above are needed for letters that have changed places
  auto *before = rows.data(), *above = before + width, *row = above + width;
  for (std::size_t j = 0; j < width; ++j) above[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j < width; ++j) {
      const bool same = plain(a[i - 1]) == plain(b[j - 1]);
      row[j] = std::min({row[j - 1] + 1, above[j] + 1, above[j - 1] + !same});
      if (i > 1 && j > 1 && plain(a[i - 1]) == plain(b[j - 2]) && plain(a[i - 2]) == plain(b[j - 1]))
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before = std::exchange(above, std::exchange(row, before));
  }
  return above[b.size()];
}

namespace {

constexpr std::string_view kDeploymentMark = "deployment ", kFileMark = "file ", kLine = "line ", kColumn = ", column ",
                           kEnd = ": ";
constexpr char kRemedyMark = '\x1f';    ///< stands in no text of a configuration
constexpr std::size_t kMostNames = 16;  ///< options that a remedy lists

/// What to do where the object has no such option.
std::string known_names(std::span<const std::string_view> names) {
  if (names.empty()) return "Remove it: there are no options here.";
  if (names.size() > kMostNames)
    return "Correct the name; `plimsoll explain` with the name of the section lists its options.";
  std::string all;
  for (const auto name : names) all += (all.empty() ? "" : ", ") + std::string(name);
  return "The options here are: " + all + ".";
}

}  // namespace

std::string placed(const json::Value& at, std::string_view what) {
  const auto place = at.position();
  if (!place.line) return std::string(what);
  std::string text;
  if (at.source() == kDeploymentSource)
    text = kDeploymentMark;
  else if (at.source())
    text = std::string(kFileMark) + std::to_string(at.source()) + " ";
  text += std::string(kLine) + std::to_string(place.line) + std::string(kColumn) + std::to_string(place.column);
  return text + std::string(kEnd) + std::string(what);
}

std::unexpected<Error> wrong(const json::Value& at, std::string_view what, std::string_view remedy) {
  std::string sentence(what);
  if (!remedy.empty()) (sentence += kRemedyMark) += remedy;
  return fail(kConfiguration, placed(at, sentence));
}

const json::Value& member_or(const json::Value& object, std::string_view name) {
  const auto* found = object.is(json::Type::object) ? object.find(name) : nullptr;
  return found ? *found : object;
}

Located located(std::string_view sentence) {
  Located made{.at = {}, .what = std::string(sentence)};
  const auto number = [&]<class N>(std::string_view before, N& into) {
    if (!sentence.starts_with(before)) return false;
    sentence.remove_prefix(before.size());
    const auto read = std::from_chars(sentence.data(), sentence.data() + sentence.size(), into);
    sentence.remove_prefix(static_cast<std::size_t>(read.ptr - sentence.data()));
    return read.ec == std::errc{};
  };
  json::Position at;
  std::uint16_t source = 0;
  if (sentence.starts_with(kDeploymentMark))
    sentence.remove_prefix(kDeploymentMark.size()), source = kDeploymentSource;
  else if (sentence.starts_with(kFileMark) && number(kFileMark, source) && sentence.starts_with(' '))
    sentence.remove_prefix(1);
  if (number(kLine, at.line) && number(kColumn, at.column) && sentence.starts_with(kEnd))
    made = {.at = at, .what = std::string(sentence.substr(kEnd.size())), .source = source};
  // What has no place may have a remedy.
  if (const auto end = made.what.find(kRemedyMark); end != made.what.npos) {
    made.remedy = made.what.substr(end + 1);
    made.what.resize(end);
  }
  return made;
}

std::string preceded(std::string_view before, std::string_view sentence) {
  const auto found = located(sentence);
  const auto rest = found.what.size() + (found.remedy.empty() ? 0 : found.remedy.size() + 1);
  const auto place = sentence.size() - rest;
  return std::string(sentence.substr(0, place)) + std::string(before) + std::string(sentence.substr(place));
}

std::string followed(std::string_view sentence, std::string_view after) {
  const auto end = std::min(sentence.find(kRemedyMark), sentence.size());
  return std::string(sentence.substr(0, end)) + std::string(after) + std::string(sentence.substr(end));
}

namespace {

/// Singular and plural alike: `retries` and `retry`.
std::string singular(std::string_view word) {
  if (word.ends_with("ies")) return std::string(word.substr(0, word.size() - 3)) + 'y';
  if (word.ends_with('s') && !word.ends_with("ss")) word.remove_suffix(1);
  return std::string(word);
}

}  // namespace

std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates) {
  std::string_view best;
  std::size_t least = std::max<std::size_t>(2, word.size() / 3) + 1;
  const auto of_one = singular(word);
  for (auto candidate : candidates) {
    auto d = distance(word, candidate);
    if (d > 1 && singular(candidate) == of_one) d = 1;
    if (d < least) least = d, best = candidate;
  }
  return best;
}

namespace {

/// Its first option, as it is written.
std::string such_as(std::span<const Field> fields) {
  if (fields.empty()) return {};
  const auto& first = fields.front();
  return ", such as {" + std::string(first.name) + ": " + std::string(first.example.empty() ? "…" : first.example) +
         "}";
}

}  // namespace

Result<> read(const json::Value& from, std::span<const Field> fields, void* options,
              std::span<const std::string_view> ignored) {
  const auto all_names = [&] {
    std::vector<std::string_view> names(ignored.begin(), ignored.end());
    for (const auto& field : fields) names.push_back(field.name);
    return names;
  };
  if (!from.is(json::Type::object)) {
    const auto names = all_names();
    return wrong(from, "an object is expected here" + such_as(fields),
                 fields.empty() || names.size() > kMostNames ? std::string() : known_names(names));
  }
  for (const auto& [key, value, at] : from.object()) {
    if (std::ranges::find(ignored, key) != ignored.end()) continue;
    const auto field = std::ranges::find(fields, key, &Field::name);
    if (field == fields.end()) {
      const auto names = all_names();
      const auto near = nearest(key, names);
      json::Value place = value;
      if (at.line) place.set_position(at);
      return wrong(place,
                   "unknown key \"" + std::string(key) + "\"" +
                       (near.empty() ? std::string{} : "; did you mean \"" + std::string(near) + "\"?"),
                   known_names(names));
    }
    const auto about = [&] { return "`" + std::string(key) + "`: " + std::string(field->sentence); };
    if (auto done = field->read(value, options); !done) {
      auto error = std::move(done).error();
      error.detail = followed(error.detail, " for \"" + std::string(key) + "\"");
      if (located(error.detail).remedy.empty()) (error.detail += kRemedyMark) += about();
      return std::unexpected(std::move(error));
    }
    if (auto within = check_bounds(value, *field, options); !within) return within;
  }
  return {};
}

Result<> check_bounds(const json::Value& said, const Field& field, const void* options) {
  if (!field.bounds) return {};
  const auto amount = field.amount(options);
  if (amount >= field.bounds->least && amount <= field.bounds->most) return {};
  return wrong(said,
               "\"" + std::string(field.name) + "\" is " + field.show_amount(amount) + ", and must be " +
                   field.show_amount(field.bounds->least) + " to " + field.show_amount(field.bounds->most),
               "`" + std::string(field.name) + "`: " + std::string(field.sentence));
}

Result<> check_bounds(const json::Value& said, std::span<const Field> fields, const void* options) {
  for (const auto& field : fields)
    if (auto within = check_bounds(said, field, options); !within) return within;
  return {};
}

std::string schema(std::span<const Field> fields, const void* defaults) {
  std::string out = R"({"type":"object","additionalProperties":false,"properties":{)";
  bool first = true;
  for (const auto& field : fields) {
    if (!std::exchange(first, false)) out += ',';
    json::append_string(out, field.name);
    out += ":{";
    if (!field.parts.empty()) {  // an object, beside its short form if it has one
      const auto inner = schema(field.parts, field.standard ? field.standard() : nullptr);
      out += "\"anyOf\":[";
      if (!field.schema.empty()) out += "{" + std::string(field.schema) + "},";
      out += field.named ? R"({"type":"object","additionalProperties":)" + inner + "}" : inner;
      out += "],\"description\":" + quoted(field.sentence) + "}";
      continue;
    }
    out += field.schema;
    if (field.bounds && field.schema == Form<std::int64_t>::schema)
      out +=
          ",\"minimum\":" + std::to_string(field.bounds->least) + ",\"maximum\":" + std::to_string(field.bounds->most);
    if (const auto shown = defaults ? field.show(defaults) : "null"; shown != "null") out += ",\"default\":" + shown;
    if (!field.schema.contains("\"description\"")) out += ",\"description\":" + quoted(field.sentence);
    out += '}';
  }
  return out + "}}";
}

std::optional<Duration> parse_duration(std::string_view text) {
  if (const auto n = amount(text, kTimes)) return Duration{*n};
  return std::nullopt;
}
std::string to_string(Duration d) { return d.nanoseconds == 0 ? "0s" : in_largest(d.nanoseconds, kTimes); }

std::optional<Size> parse_size(std::string_view text) {
  if (const auto n = amount(text, kSizes)) return Size{static_cast<std::uint64_t>(*n)};
  return std::nullopt;
}
std::string to_string(Size s) { return in_largest(static_cast<std::int64_t>(s.bytes), kSizes); }

std::optional<Rate> parse_rate(std::string_view text) {
  const auto limit = take_number(text);
  if (!limit || !text.starts_with('/')) return std::nullopt;
  text.remove_prefix(1);
  for (const auto& period : kPeriods)
    if (period.name == text) return Rate{*limit, {period.size}};
  const auto span = parse_duration(text);
  if (!span || span->nanoseconds <= 0) return std::nullopt;
  return Rate{*limit, *span};
}
std::string to_string(const Rate& r) {
  for (const auto& period : kPeriods)
    if (period.size == r.per.nanoseconds) return std::to_string(r.limit) + "/" + std::string(period.name);
  return std::to_string(r.limit) + "/" + to_string(r.per);
}

Result<std::size_t> read_word(const json::Value& v, std::span<const std::string_view> words) {
  if (v.is(json::Type::string))
    if (const auto found = std::ranges::find(words, v.string()); found != words.end())
      return static_cast<std::size_t>(found - words.begin());
  std::string all;
  for (auto word : words) all += (all.empty() ? "" : ", ") + std::string(word);
  return wrong(v, "one of " + all + " is expected");
}

Result<bool> Form<bool>::read(const json::Value& v) {
  if (v.is(json::Type::boolean)) return v.boolean();
  return wrong(v, "true or false is expected");
}
std::string Form<bool>::show(const bool& b) { return b ? "true" : "false"; }

Result<std::string> Form<std::string>::read(const json::Value& v) {
  if (v.is(json::Type::string)) return std::string(v.string());
  return wrong(v, "text is expected");
}
std::string Form<std::string>::show(const std::string& s) { return quoted(s); }

Result<std::int64_t> Form<std::int64_t>::read(const json::Value& v) {
  if (v.is(json::Type::number))
    if (const auto n = v.integer()) return *n;
  return wrong(v, "a whole number is expected");
}
std::string Form<std::int64_t>::show(const std::int64_t& i) { return std::to_string(i); }

Result<Duration> Form<Duration>::read(const json::Value& v) {
  if (v.is(json::Type::string))
    if (const auto d = parse_duration(v.string())) return *d;
  return wrong(v, "a duration with its unit is expected, such as 250ms, 30s, 5m, 1h or 7d");
}
std::string Form<Duration>::show(const Duration& d) { return quoted(to_string(d)); }

Result<Size> Form<Size>::read(const json::Value& v) {
  if (v.is(json::Type::string))
    if (const auto s = parse_size(v.string())) return *s;
  return wrong(v, "a size with its unit is expected, such as 512B, 64KiB or 10MiB");
}
std::string Form<Size>::show(const Size& s) { return quoted(to_string(s)); }

Result<Rate> Form<Rate>::read(const json::Value& v) {
  if (v.is(json::Type::string))
    if (const auto r = parse_rate(v.string())) return *r;
  return wrong(v, "a rate is expected, such as 100/minute or 20/10s");
}
std::string Form<Rate>::show(const Rate& r) { return quoted(to_string(r)); }

Result<Ratio> Form<Ratio>::read(const json::Value& v) {
  if (v.is(json::Type::string) && v.string().ends_with('%')) {
    const auto text = v.string().substr(0, v.string().size() - 1);
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    if (error == std::errc{} && end == text.data() + text.size() && value >= 0 && value <= 100)
      return Ratio{value / 100};
  }
  return wrong(v, "a ratio is expected, such as 5%");
}
std::string Form<Ratio>::show(const Ratio& r) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, r.value * 100).ptr;
  return '"' + std::string(text, end) + "%\"";
}

Result<std::vector<std::string>> Form<std::vector<std::string>>::read(const json::Value& v) {
  if (v.is(json::Type::string)) return std::vector<std::string>{std::string(v.string())};
  std::vector<std::string> out;
  if (!v.is(json::Type::array)) return wrong(v, "a text or a list of texts is expected");
  for (const auto& item : v.array()) {
    if (!item.is(json::Type::string)) return wrong(item, "text is expected");
    out.emplace_back(item.string());
  }
  return out;
}
std::string Form<std::vector<std::string>>::show(const std::vector<std::string>& list) {
  std::string out = "[";
  for (const auto& text : list) out += (out.size() > 1 ? "," : "") + quoted(text);
  return out + "]";
}

Result<Raw> Form<Raw>::read(const json::Value& v) { return &v; }
std::string Form<Raw>::show(const Raw& v) { return v ? json::to_string(*v) : "null"; }

Result<RawObject> Form<RawObject>::read(const json::Value& v) {
  if (!v.is(json::Type::object)) return wrong(v, "an object is expected");
  return RawObject{&v};
}
std::string Form<RawObject>::show(const RawObject& v) { return Form<Raw>::show(v.value); }

}  // namespace plimsoll::config
