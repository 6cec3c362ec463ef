#include "plimsoll/base/arena_text.hpp"
#include "plimsoll/base/hash.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/contract/header_fields.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/http/date.hpp"
#include "plimsoll/http/field_block.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/schema/format.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <map>
#include <mutex>
#include <new>
#include <utility>

namespace plimsoll::policy {
namespace {

constexpr Problem kGone{"operation-gone", 410, "The operation is no longer available",
                        "Call the successor that `detail` and the Link header (`rel=\"successor-version\"`) name. If "
                        "they name none, contact the operator of this API."};
constexpr Metric kRequests{"plimsoll_deprecated_requests_total", "1",
                           "Requests for deprecated operations by caller: the first 100 of each operation, then "
                           "`other`."};

constexpr contract::HeaderField kDeprecationField{"Deprecation", "Since when the operation is deprecated (RFC 9745)."};
constexpr contract::HeaderField kSunsetField{"Sunset", "When the operation ends (RFC 8594)."};

constexpr std::string_view kSince = "deprecated-since", kSunset = "sunset", kSuccessor = "successor",
                           kAfterSunset = "after-sunset";
constexpr std::string_view kDate = R"("type":"string","pattern":"^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt].+)?$")";
constexpr std::string_view kAfterSunsetWords[] = {"serve", "gone"};

constexpr config::Key kKeys[] = {
    {.name = kSince,
     .sentence = "Date from which deprecated operations are deprecated: `Deprecation` (RFC 9745).",
     .fields = {},
     .short_form = kDate,
     .example = "2026-01-01"},
    {.name = kSunset,
     .sentence = "Date at which deprecated operations end: `Sunset` (RFC 8594).",
     .fields = {},
     .short_form = kDate,
     .example = "2026-12-31"},
    {.name = kSuccessor,
     .sentence = "The successor of deprecated operations, an operationId, a path or a URL: `Link` with "
                 "`rel=\"successor-version\"`.",
     .fields = {},
     .short_form = R"("type":"string")",
     .example = "/v2/orders"},
    {.name = kAfterSunset,
     .sentence =
         "How deprecated operations answer after `sunset`: as before (`serve`, the default), or with 410 (`gone`).",
     .fields = {},
     .short_form = R"("enum":["serve","gone"])",
     .example = "gone"},
};

// --- dates ---

int number_at(std::string_view text, std::size_t at, std::size_t digits) {
  int number = 0;
  std::from_chars(text.data() + at, text.data() + at + digits, number);
  return number;
}

/// Unix seconds of a date (its first second in UTC) or a date-time, both of RFC 3339; fractions of a second are
/// dropped. Nothing where it is neither, or outside of what HTTP can say after 1970.
std::optional<std::int64_t> instant_of(std::string_view text) {
  const bool day = schema::is_date(text);
  if (!day && !schema::is_date_time(text)) return std::nullopt;
  using namespace std::chrono;
  const sys_days days = year{number_at(text, 0, 4)} / month(static_cast<unsigned>(number_at(text, 5, 2))) /
                        std::chrono::day(static_cast<unsigned>(number_at(text, 8, 2)));
  std::int64_t at = std::int64_t{days.time_since_epoch().count()} * 86400;
  if (!day) {
    at += number_at(text, 11, 2) * 3600 + number_at(text, 14, 2) * 60 + number_at(text, 17, 2);
    if ((text.back() | 0x20) != 'z') {
      const auto sign = text.size() - 6;
      const int offset = number_at(text, sign + 1, 2) * 3600 + number_at(text, sign + 4, 2) * 60;
      at -= text[sign] == '-' ? -offset : offset;
    }
  }
  constexpr std::int64_t kEndOfYear9999 = 253'402'300'799;
  if (at < 0 || at > kEndOfYear9999) return std::nullopt;
  return at;
}

/// The date that may have been meant: `2026-02-28` for `2026-02-30`, `2026-06-01` for `2026/6/1`. Empty: none.
std::string nearest_date(std::string_view text) {
  std::array<int, 3> parts{};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parts[i]);
    if (error != std::errc{} || parts[i] < 0) return {};
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (i < 2 && (text.empty() || !std::string_view("-/.").contains(text[0]))) return {};
    if (i < 2) text.remove_prefix(1);
  }
  const auto [year, month, day] = parts;
  if (year < 1970 || year > 9999 || month < 1 || month > 12 || day < 1 || day > 31) return {};
  const auto last = (std::chrono::year{year} / std::chrono::month(static_cast<unsigned>(month)) / std::chrono::last);
  const auto written = [](int number) { return (number < 10 ? "-0" : "-") + std::to_string(number); };
  return std::to_string(year) + written(month) + written(std::min(day, static_cast<int>(unsigned{last.day()})));
}

Result<std::optional<std::int64_t>> date_of(const contract::Operation& operation, std::string_view key) {
  const auto* value = operation.extension(key);
  if (!value) return std::nullopt;
  const auto text = value->is(json::Type::string) ? std::string(value->string()) : json::to_string(*value);
  if (value->is(json::Type::string))
    if (const auto at = instant_of(text)) return at;
  const auto near = nearest_date(text);
  return config::wrong(*value, "`" + std::string(key) +
                                   "` is a date such as 2026-12-31 or a time such as 2026-12-31T18:00:00Z, from 1970 "
                                   "on, and \"" +
                                   text + "\" is neither" + (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
}

// --- the successor ---

/// A URI reference in which `{name}` stands for the path parameter of that name of the request.
class Target {
 public:
  /// `where` is the value that names the successor, for errors.
  static Result<Target> parse(std::string_view text, const json::Value& where, const Build& build) {
    Target made;
    const auto names = build.contract.path_parameters(build.operation);
    std::string sample;
    for (auto rest = text;;) {
      const auto open = rest.find('{');
      const auto close = open == rest.npos ? rest.npos : rest.find('}', open);
      made.texts_.emplace_back(rest.substr(0, close == rest.npos ? rest.npos : open));
      sample += made.texts_.back();
      if (close == rest.npos) break;
      const auto name = rest.substr(open + 1, close - open - 1);
      const auto found = std::ranges::find(names, name);
      if (found == names.end())
        return config::wrong(where, "the successor " + std::string(text) + " needs {" + std::string(name) +
                                        "}, which is no path parameter of " + build.operation.method + " " +
                                        build.operation.path);
      made.holes_.push_back(static_cast<std::size_t>(found - names.begin()));
      sample += 'x';
      rest.remove_prefix(close + 1);
    }
    if (!schema::is_uri_reference(sample))
      return config::wrong(where, "the successor " + std::string(text) +
                                      " is no URI: write characters that a URI does not allow as %XX, such as %20");
    return made;
  }

  bool fixed() const { return holes_.empty(); }
  const std::string& text() const { return texts_[0]; }  ///< of one that is fixed
  /// `before`, the target with the values of this request, `after`. The router lets only characters of a path through,
  /// none of which ends a target between `<` and `>`.
  std::string_view fill(std::string_view before, std::string_view after, const Context& context) const {
    const auto value = [&](std::size_t hole) {
      return hole < context.path_values.size() ? context.path_values[hole] : std::string_view{};
    };
    auto room = before.size() + after.size();
    for (const auto& text : texts_) room += text.size();
    for (const auto hole : holes_) room += value(hole).size();
    ArenaText out{context.arena, room};
    out << before << texts_[0];
    for (std::size_t i = 0; i < holes_.size(); ++i) out << value(holes_[i]) << texts_[i + 1];
    return (out << after).text();
  }

 private:
  std::vector<std::string> texts_;  ///< one more than holes
  std::vector<std::size_t> holes_;  ///< indexes of path parameters
};

Result<std::optional<Target>> successor_of(const Build& build) {
  const auto* value = build.operation.extension(kSuccessor);
  if (!value) return std::nullopt;
  constexpr std::string_view kExpected = "`successor` is an operationId, a path such as /v2/orders or an http(s) URL";
  if (!value->is(json::Type::string) || value->string().empty()) return config::wrong(*value, kExpected);
  const auto text = value->string();
  if (text.starts_with('/') && !text.starts_with("//")) return Target::parse(text, *value, build);
  if (const auto colon = text.find("://"); colon != text.npos) {
    const auto host = text.substr(colon + 3);
    if ((!text.starts_with("https://") && !text.starts_with("http://")) || host.empty() || host.starts_with('/'))
      return config::wrong(*value, std::string(kExpected) + ", and \"" + std::string(text) + "\" is none of them");
    return Target::parse(text, *value, build);
  }
  const auto* operation = build.contract.find(text);
  if (!operation) {
    std::vector<std::string_view> ids;
    for (const auto& each : build.contract.operations) ids.push_back(each.id);
    const auto near = config::nearest(text, ids);
    return config::wrong(*value, std::string(kExpected) + ", and no operation has the operationId \"" +
                                     std::string(text) + "\"" +
                                     (near.empty() ? "" : "; did you mean \"" + std::string(near) + "\"?"));
  }
  if (operation == &build.operation)
    return config::wrong(*value, "operation " + operation->id + " is no successor of itself");
  return Target::parse(operation->path, *value, build);
}

// --- all keys together ---

struct Lifecycle {
  std::optional<std::int64_t> since, sunset;  ///< Unix seconds
  std::optional<Target> successor;
  bool gone = false;  ///< 410 after the sunset
};

/// Of the keys in force. They are checked where the operation is not deprecated, too: what is wrong in an outer scope
/// must not wait for the first deprecated operation.
Result<Lifecycle> lifecycle_of(const Build& build) {
  const auto& operation = build.operation;
  Lifecycle made;
  auto since = date_of(operation, kSince);
  if (!since) return std::unexpected(std::move(since).error());
  auto sunset = date_of(operation, kSunset);
  if (!sunset) return std::unexpected(std::move(sunset).error());
  made.since = *since, made.sunset = *sunset;
  if (made.since && made.sunset && *made.sunset < *made.since) {
    const auto& at = *operation.extension(kSunset);
    const auto& from = *operation.extension(kSince);
    return config::wrong(at, "`sunset` " + std::string(at.string()) + " is before `deprecated-since` " +
                                 std::string(from.string()) + ": an operation is deprecated first and ends later");
  }
  const auto* after = operation.find_extension(kAfterSunset);
  if (after) {
    auto word = config::read_word(*after->value, kAfterSunsetWords);
    if (!word) {
      auto error = std::move(word).error();
      error.detail = config::preceded("`after-sunset`: ", error.detail);
      return std::unexpected(std::move(error));
    }
    made.gone = *word == 1;
  }
  if (!operation.deprecated) {
    for (const auto key : {kSince, kSunset, kSuccessor, kAfterSunset})
      if (const auto* own = operation.find_extension(key); own && own->scope == "operation")
        return config::wrong(*own->value, "`" + std::string(key) + "` has no effect on operation " + operation.id +
                                              ", which is not deprecated: add `deprecated: true` to it");
    return made;
  }
  if (made.gone && !made.sunset && after->scope == "operation")
    return config::wrong(*after->value,
                         "`after-sunset: gone` has no effect without a date: add `sunset: 2026-12-31` beside it");
  auto successor = successor_of(build);
  if (!successor) return std::unexpected(std::move(successor).error());
  made.successor = std::move(*successor);
  return made;
}

// --- who still calls ---

/// Counters of the callers of one deprecated operation. They outlive a reload: otherwise each would add 100 more.
class Callers {
 public:
  Callers(telemetry::Registry& registry, std::string operation, std::string version, std::atomic<std::size_t>& series)
      : registry_(registry),
        operation_(std::move(operation)),
        version_(std::move(version)),
        series_(series),
        expectation_(registry, telemetry::Kind::counter, kRequests.name, kRequests.sentence, *this) {}

  /// The labels of callers that are not known.
  void expected(telemetry::Expectation::Tell tell) const {
    const auto all = labels("anonymous");
    tell(telemetry::without_empty_last(all));
  }

  void count(const Principal* caller) noexcept {
    try {
      if (!caller) return of(anonymous_, "anonymous").add();
      const auto subject = shortened(caller->subject);
      const auto hash = hash64(subject);
      if (auto* known = find(subject, hash)) return known->counter.add();
      if (!full_.load(std::memory_order_acquire))
        if (auto* made = add(subject, hash)) return made->counter.add();
      of(other_, "other").add();
    } catch (const std::bad_alloc&) {  // no memory for a caller that is seen first: this request is not counted
    }
  }

 private:
  static constexpr std::size_t kCallers = 100;    ///< of one operation
  static constexpr std::size_t kSeries = 10'000;  ///< of the process, 1 KiB each
  static constexpr std::size_t kLongest = 128;    ///< bytes of a subject: longer ones are cut
  static constexpr std::size_t kSlots = 256;      ///< more than twice as many as callers: searches are short
  struct Caller {
    std::string subject;
    std::uint64_t hash;
    telemetry::Counter& counter;
  };

  /// Cut before a character of UTF-8, not within it.
  static std::string_view shortened(std::string_view subject) {
    if (subject.size() <= kLongest) return subject;
    auto size = kLongest;
    while (size > 0 && (static_cast<unsigned char>(subject[size]) & 0xC0) == 0x80) --size;
    return subject.substr(0, size);
  }
  std::array<telemetry::Label, 3> labels(std::string_view caller) const {
    return {{{"operation", operation_}, {"caller", caller}, {"version", version_}}};
  }
  telemetry::Counter& of(std::atomic<telemetry::Counter*>& slot, std::string_view caller) {
    if (auto* known = slot.load(std::memory_order_acquire)) [[likely]]
      return *known;
    const auto all = labels(caller);
    auto& made = registry_.counter(kRequests.name, kRequests.sentence, telemetry::without_empty_last(all));
    slot.store(&made, std::memory_order_release);
    return made;
  }
  /// Without a lock: slots are only ever filled, and most are empty.
  Caller* find(std::string_view subject, std::uint64_t hash) const {
    for (auto at = hash % kSlots;; at = (at + 1) % kSlots) {
      auto* caller = slots_[at].load(std::memory_order_acquire);
      if (!caller || (caller->hash == hash && caller->subject == subject)) return caller;
    }
  }
  /// Null where there are as many as may be.
  Caller* add(std::string_view subject, std::uint64_t hash) {
    const std::scoped_lock lock(mutex_);
    if (auto* known = find(subject, hash)) return known;
    if (owned_.size() >= kCallers || series_.load(std::memory_order_relaxed) >= kSeries) {
      full_.store(true, std::memory_order_release);
      return nullptr;
    }
    owned_.reserve(kCallers);
    const auto all = labels(subject);
    owned_.push_back(std::make_unique<Caller>(
        std::string(subject), hash,
        registry_.counter(kRequests.name, kRequests.sentence, telemetry::without_empty_last(all))));
    series_.fetch_add(1, std::memory_order_relaxed);
    auto at = hash % kSlots;
    while (slots_[at].load(std::memory_order_relaxed)) at = (at + 1) % kSlots;
    slots_[at].store(owned_.back().get(), std::memory_order_release);
    return owned_.back().get();
  }

  telemetry::Registry& registry_;
  const std::string operation_, version_;
  std::atomic<std::size_t>& series_;
  std::array<std::atomic<Caller*>, kSlots> slots_{};
  std::atomic<telemetry::Counter*> anonymous_{nullptr}, other_{nullptr};
  std::atomic<bool> full_{false};
  std::mutex mutex_;
  std::vector<std::unique_ptr<Caller>> owned_;
  const telemetry::Expectation expectation_;  ///< last: it reads all others
};

/// Those of all operations, by version and operationId: what they mean is the same after a reload.
class CallersByOperation {
 public:
  Callers& of(telemetry::Registry& registry, const std::string& operation, const std::string& version) {
    const std::scoped_lock lock(mutex_);
    auto& found = all_[{version, operation}];
    if (!found) found = std::make_unique<Callers>(registry, operation, version, series_);
    return *found;
  }

 private:
  std::mutex mutex_;
  std::atomic<std::size_t> series_{0};
  std::map<std::pair<std::string, std::string>, std::unique_ptr<Callers>> all_;
};

struct Remarked {
  bool done = false;
};
/// RFC 9745 knows no `Deprecation` without a date, and one that is made up would be wrong: the operator is asked for
/// it.
void ask_for_date(const Build& build) {
  if (std::exchange(build.services.of_plan->of<Remarked>()->done, true)) return;
  build.services.remarks->push_back("plimsoll: operation " + build.operation.id +
                                    " is deprecated without a date, and its responses have no Deprecation header: "
                                    "add `deprecated-since: 2026-01-01` to x-plimsoll");
}

/// Tells callers of a deprecated operation since when it is deprecated, when it ends and what replaces it, counts who
/// calls it, and answers 410 after its end where the contract says so (RFC 9745, RFC 8594, RFC 5829). Stands in two
/// places of the chain: headers are promised before anything may refuse; what depends on the caller waits until it is
/// known. No I/O.
class Deprecation final : public Check {
 public:
  struct Options {};
  static constexpr std::span<const config::Field> fields{};
  static constexpr std::string_view example = "off";
  static constexpr std::span<const config::Key> more_keys = kKeys;
  static constexpr const Problem* problems[] = {&kGone};
  static constexpr Metric metrics[] = {kRequests};

  enum class Place : std::uint8_t { before_all, after_authentication };

  static Result<std::unique_ptr<Policy>> build(Options, const Build& build) {
    auto lifecycle = lifecycle_of(build);
    if (!lifecycle) return std::unexpected(std::move(lifecycle).error());
    if (!build.operation.deprecated) return nullptr;
    const auto place = build.place == 0 ? Place::before_all : Place::after_authentication;
    if (place == Place::before_all && !lifecycle->since) ask_for_date(build);
    return std::make_unique<Deprecation>(place, std::move(*lifecycle), build);
  }
  static void describe(const Options&, const Description& description, contract::Promises& promises) {
    const auto& operation = description.operation;
    if (!operation.deprecated) return;
    if (operation.extension(kSince)) promises.sends(kDeprecationField);
    if (operation.extension(kSunset)) promises.sends(kSunsetField);
    if (operation.extension(kSuccessor)) promises.sends(contract::kLink);
    const auto* after = operation.extension(kAfterSunset);
    if (after && after->is(json::Type::string) && after->string() == "gone") promises.refuses(kGone);
  }
  Deprecation(Place place, Lifecycle lifecycle, const Build& build)
      : place_(place), lifecycle_(std::move(lifecycle)), operation_(build.operation.id) {
    if (lifecycle_.since) headers_.add("deprecation", "@" + std::to_string(*lifecycle_.since));
    if (lifecycle_.sunset) headers_.add("sunset", http::as_text(http::format_date(*lifecycle_.sunset)));
    if (lifecycle_.successor && lifecycle_.successor->fixed())
      link_ = std::string(kBefore) + lifecycle_.successor->text() + std::string(kAfter);
    if (place == Place::after_authentication && build.services.metrics)
      callers_ = &build.services.shared->of<CallersByOperation>()->of(*build.services.metrics, operation_,
                                                                      build.services.version);
  }

  Result<> check(Request&, Context& context) override {
    if (place_ == Place::before_all) {
      announce(context);
      return {};
    }
    if (callers_) callers_->count(context.principal);
    if (lifecycle_.gone && lifecycle_.sunset && context.wall / kSecond >= *lifecycle_.sunset) return gone(context);
    return {};
  }

 private:
  static constexpr std::string_view kBefore = "<", kAfter = ">; rel=\"successor-version\"";

  void announce(Context& context) const {
    if (!headers_.fields.empty()) context.promise(headers_);
    if (!lifecycle_.successor) return;
    // Added, and not promised, which would replace: `link` is gathered from all who add one and from the response.
    context.promised.add("link", lifecycle_.successor->fixed() ? std::string_view(link_)
                                                               : lifecycle_.successor->fill(kBefore, kAfter, context));
  }
  std::unexpected<Error> gone(const Context& context) const {
    auto detail = "Operation " + operation_ + " ended on " +
                  std::string(http::as_text(http::format_date(*lifecycle_.sunset))) + ".";
    if (lifecycle_.successor)
      detail += " Its successor is " + std::string(lifecycle_.successor->fill({}, {}, context)) + ".";
    return fail(kGone, std::move(detail));
  }

  const Place place_;
  const Lifecycle lifecycle_;
  const std::string operation_;
  std::string link_;  ///< of a successor that is fixed
  FixedFields headers_;
  Callers* callers_ = nullptr;
};

}  // namespace

extern constinit const Part deprecation = part<Deprecation>(
    "deprecation", "Announces to callers of deprecated operations when the operation ends and what replaces it.");

}  // namespace plimsoll::policy
