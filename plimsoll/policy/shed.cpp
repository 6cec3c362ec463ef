#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/exchange/upgrade.hpp"
#include "plimsoll/policy/shed_gate.hpp"

template <>
struct plimsoll::config::Words<plimsoll::policy::Priority> {
  static constexpr std::string_view words[] = {"critical", "default", "sheddable"};
};

namespace plimsoll::policy {
namespace {

constexpr Problem kOverloaded{"overloaded", 503, "The server is overloaded", "Repeat the request after Retry-After.",
                              true};

/// `shed:` of the deployment.
struct Capacity {
  std::int64_t concurrency = 4096;
};
constexpr config::Field kCapacityFields[] = {
    config::field<&Capacity::concurrency>("concurrency", "Requests in progress at the same time, over all threads.",
                                          {1, 10'000'000}),
};
constexpr config::Section kShed = config::section<Capacity, kCapacityFields>(
    "shed", "How many requests are handled at once before more are rejected.", "{concurrency: 1000}");

/// Refuses work above what the process can hold, before the body is read: what can wait first, what is critical last.
class Shed final : public Check {
 public:
  struct Options {
    Priority priority = Priority::normal;
  };
  static constexpr config::Field fields[] = {
      config::field<&Options::priority>("class", "`critical` is rejected last, `sheddable` first."),
  };
  static constexpr std::string_view short_form = R"("enum":["critical","default","sheddable","off"])";
  static constexpr std::string_view example = "sheddable";
  static constexpr const Problem* problems[] = {&kOverloaded};
  static constexpr config::Section deployment[] = {kShed};

  static Result<Options> read(const json::Value& from) {
    Options options;
    if (from.is(json::Type::object)) {
      if (auto done = config::read(from, fields, &options, kEveryPolicy); !done)
        return std::unexpected(std::move(done).error());
      return options;
    }
    auto priority = config::Form<Priority>::read(from);
    if (!priority) return std::unexpected(std::move(priority).error());
    options.priority = *priority;
    return options;
  }
  static Result<std::unique_ptr<Policy>> build(Options options, const Build& build) {
    const auto bound = read_section<Capacity>(build.services, kShed);
    if (!bound) return std::unexpected(bound.error());
    if (bound->concurrency < 4)
      return config::wrong(*build.services.deployment->find(kShed.key.name), "`concurrency` is at least 4");
    auto gate = build.services.shared->of<ShedGate>(bound->concurrency);
    gate->bound(bound->concurrency);
    return std::make_unique<Shed>(options, std::move(gate), offers_websocket(build.operation));
  }
  static void describe(const Options&, const Description&, contract::Promises& promises) {
    promises.refuses(kOverloaded);
  }
  Shed(Options options, std::shared_ptr<ShedGate> gate, bool upgrades)
      : options_(options), gate_(std::move(gate)), upgrades_(upgrades) {}

  Importance importance() const noexcept override {
    switch (options_.priority) {
      case Priority::critical: return Importance::critical;
      case Priority::normal: return Importance::normal;
      case Priority::sheddable: return Importance::sheddable;
    }
    return Importance::normal;
  }
  Result<> check(Request&, Context& context) override {
    const auto& admission = context.admission;
    if (!admission.refused && gate_->enter(options_.priority, admission.waiting)) {
      auto& permit = context.keep<Permit>(*gate_);
      if (upgrades_) [[unlikely]]
        context.note<EndsAtUpgrade>(&permit, [](void* held) noexcept { static_cast<Permit*>(held)->end(); });
      return {};
    }
    Error error{&kOverloaded};
    error.more().retry_after = 1 + (context.now >> 10) % 3;  // not all at the same second
    return std::unexpected(std::move(error));
  }

 private:
  /// Held until the last byte is sent or the client is gone.
  class Permit {
   public:
    explicit Permit(ShedGate& gate) : gate_(&gate) {}
    Permit(const Permit&) = delete;
    ~Permit() { end(); }
    void end() noexcept {
      if (auto* gate = std::exchange(gate_, nullptr)) gate->leave();
    }

   private:
    ShedGate* gate_;
  };
  Options options_;
  std::shared_ptr<ShedGate> gate_;
  const bool upgrades_;  ///< a request may become a connection of another protocol, which is not under way here
};

}  // namespace

extern constinit const Part shed =
    part<Shed>("priority", "Rejects requests when the process is overloaded, the least important first.");

}  // namespace plimsoll::policy
