#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"

#include <charconv>

namespace plimsoll::policy {
namespace {

/// Bounds the time of an exchange. At the deadline its scope is told to stop, every wait below ends, and the answer is
/// 504. In `shadow` it only looks whether the answer was there.
class Deadline final : public Check {
 public:
  struct Options {
    config::Duration after = config::seconds(30);
    std::string header;
  };
  static constexpr config::Field fields[] = {
      config::field<&Options::after>("after", "Time from the arrival of the head to the response."),
      config::field<&Options::header>(
          "header", "Request header, in seconds, with which a trusted caller may shorten the deadline; empty: none."),
  };
  static constexpr std::string_view short_form = R"("type":"string","pattern":"^[0-9]+(ms|s|m|h)$")";
  static constexpr std::string_view example = "2s";
  static constexpr const Problem* problems[] = {&kDeadlineExceeded};

  static Result<Options> read(const json::Value& from) {
    auto read = read_either<&Options::after>(from, fields);
    if (!read) return read;
    const auto& options = *read;
    if (options.after.nanoseconds <= 0) return config::wrong(from, "a deadline is longer than zero; `off` removes it");
    return read;
  }
  static Result<std::unique_ptr<Policy>> build(Options options, const Build&) {
    return std::make_unique<Deadline>(std::move(options));
  }
  static void describe(const Options& options, const Description& description, contract::Promises& promises) {
    promises.refuses(kDeadlineExceeded);
    if (description.mode == Mode::enforce)
      promises.notes("Answered within `" + config::to_string(options.after) + "`, or with 504.");
    if (!options.header.empty())
      promises.takes({promises.keep(options.header), "Seconds that the caller waits: a shorter deadline.",
                      R"({"type":"number","exclusiveMinimum":0})"});
  }
  explicit Deadline(Options options) : options_(std::move(options)) {}

  Result<> check(Request& request, Context& context) override {
    auto span = options_.after.nanoseconds;
    if (!options_.header.empty())
      if (const auto text = request.headers.find(options_.header); !text.empty()) {
        double seconds = 0;
        const auto [end, error] =
            std::from_chars(text.data(), text.data() + text.size(), seconds, std::chars_format::fixed);
        if (error == std::errc{} && end == text.data() + text.size() && seconds > 0 && seconds < 86400)
          span = std::min(span, static_cast<Nanoseconds>(seconds * 1e9));
      }
    if (context.started + span <= context.now) return fail(kDeadlineExceeded);  // it waited for its turn so long
    if (mode() == Mode::shadow)
      context.keep<Watch>(*this, context, context.started + span);
    else
      context.deadline(context.started + span, this);
    return {};
  }

 private:
  /// Rings when the answer would have been cut off.
  struct Watch : Alarm {
    Watch(const Deadline& policy, Context& context, Nanoseconds at) : policy(policy), context(context) {
      ring = [](Alarm& alarm) {
        auto& self = static_cast<Watch&>(alarm);
        Error error{&kDeadlineExceeded};
        if (self.context.outcome.status == 0) (void)self.policy.refuses(self.context, error);
      };
      context.loop.wheel().arm(*this, context.loop.tick_in(std::max<Nanoseconds>(at - context.now, 0)));
    }
    const Deadline& policy;
    Context& context;
  };
  Options options_;
};

}  // namespace

extern constinit const Part deadline = part<Deadline>("deadline", "Limits the time until the response.");

}  // namespace plimsoll::policy
