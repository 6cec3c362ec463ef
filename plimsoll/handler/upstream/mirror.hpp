#pragma once

#include "plimsoll/client/service.hpp"
#include "plimsoll/config/options.hpp"
#include "plimsoll/exchange/background.hpp"

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll {
class Context;
struct Services;
}  // namespace plimsoll
namespace plimsoll::telemetry {
class Counter;
class Log;
}  // namespace plimsoll::telemetry

namespace plimsoll::handler::forwarding {

/// `mirror` of an operation's `upstream`.
struct MirrorOptions {
  std::string to;
  config::Ratio share{1};
  bool unsafe = false;
  std::int64_t at_most = 16;
  config::Duration timeout = config::seconds(5);
};
inline constexpr config::Field kMirrorFields[] = {
    config::shown(config::field<&MirrorOptions::to>("to", "The group of the upstream's targets that gets the copies."),
                  "canary"),
    config::field<&MirrorOptions::share>("share", "The share of the requests that are copied."),
    config::field<&MirrorOptions::unsafe>(
        "unsafe", "Whether requests of methods that change something (POST, PUT, PATCH, DELETE) are copied too."),
    config::field<&MirrorOptions::at_most>(
        "at-most", "Copies in progress to that group at the same time; further ones are skipped.", {1, 1000}),
    config::field<&MirrorOptions::timeout>("timeout", "How long a copy may take.", {kMillisecond, 60 * kSecond}),
};

/// A body as it is compared: JSON by its content, whatever the order of members, the spelling of numbers and the blanks
/// between; other bodies, and JSON of more than 256 KiB, byte by byte. Not for bodies of which somebody gains by making
/// two alike.
std::string body_fingerprint(std::string_view body, std::string_view content_type);

/// Copies that are under way for one plan.
class MirrorCopies {
 public:
  struct Copy;
  /// False: no more are begun.
  bool add(const std::shared_ptr<Copy>& copy);
  /// Ends all that are under way, and begins no more. Any thread.
  void end() noexcept;

 private:
  std::mutex mutex_;
  bool ended_ = false;
  std::vector<std::weak_ptr<Copy>> all_;
};

/// Nobody waits for copies: a server that drains, and a plan that is replaced, end them at once.
class MirrorEnd final : public Background {
 public:
  explicit MirrorEnd(std::shared_ptr<MirrorCopies> copies) : copies_(std::move(copies)) {}
  Result<> start() override { return {}; }
  void drain(std::int64_t) noexcept override { copies_->end(); }
  void retire() noexcept override { copies_->end(); }
  void stop() noexcept override { copies_->end(); }

 private:
  const std::shared_ptr<MirrorCopies> copies_;
};

/// Where copies go: a service of its own for the targets of one group, so that what comes of a copy says nothing about
/// circuits, retries and ejections of the calls that answer somebody.
struct MirrorTarget {
  std::shared_ptr<client::Service> service;
  std::atomic<std::int64_t> running{0};
};

/// What the service answered somebody, and the request that it answered.
struct Mirrored {
  std::string_view method, target, authority;
  std::span<const Header> fields;  ///< as they were passed on
  std::string_view traceparent, request_id;
  std::optional<std::string_view> request_body;  ///< nothing: there is one that was not kept
  std::uint16_t status;
  std::optional<std::string_view> body;  ///< nothing: it passes through, and is not compared
  std::string_view content_type;
};

/// Sends copies of an operation's requests to another group of targets, after the answer has gone out, and compares
/// what comes back. It never reaches the caller.
class Mirror {
 public:
  static constexpr std::string_view kMetric = "plimsoll_mirror_responses_total";
  static constexpr std::size_t kMostCompared = 1u << 20;  ///< bytes of a response

  Mirror(const MirrorOptions& options, std::uint32_t group, std::string_view upstream, std::string_view operation,
         std::shared_ptr<MirrorTarget> target, std::shared_ptr<MirrorCopies> copies, const Services& services);
  /// Whether this request is copied, which `of` was answered by.
  bool takes(std::string_view method) const;
  std::uint32_t group() const noexcept { return group_; }
  /// When the exchange has ended. What `mirrored` refers to lives until then.
  void after(Context& context, const Mirrored& mirrored) const;

  struct State;

 private:
  struct Kept;
  static Task<> send(std::shared_ptr<MirrorCopies::Copy> copy);
  const std::uint32_t group_;
  const double share_;
  const bool unsafe_;
  const std::shared_ptr<State> state_;
};

}  // namespace plimsoll::handler::forwarding
