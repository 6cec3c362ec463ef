#pragma once

#include "plimsoll/base/clock.hpp"
#include "plimsoll/handler/upstream/learned_shape.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace plimsoll::handler {

/// What forwarded requests for paths without an operation looked like: paths, names and types of parameters, the shapes
/// of JSON bodies, statuses. No value is kept, neither of a path, a parameter, a header nor a body. Its memory is
/// bounded; what comes when it is full is counted and not learned. Safe from any thread.
class Learned {
 public:
  struct Exchange {
    std::string_view method, path, query;            ///< as they came, without `?`
    std::string_view request_type;                   ///< media type; empty: no body
    std::optional<std::string_view> request_body{};  ///< of JSON, whole; nothing: not known
    std::uint16_t status = 0;
    std::string_view response_type;
    std::optional<std::string_view> response_body{};
  };
  static constexpr std::size_t kLargestBody = 64u << 10;  ///< bytes; of larger ones only the media type is learned

  Learned();
  ~Learned();
  /// Learns from one. A request that fails (4xx and 5xx) is learned only where the same operation has succeeded before,
  /// so that callers who try paths leave nothing here.
  void take(const Exchange& exchange);
  /// An OpenAPI 3.1 document with an operation for each that was seen, each with `x-plimsoll: {upstream: NAME}`.
  std::string document();
  /// `upstream`: whose traffic is learned. `authorization`: what the drafted operations say under that key; empty:
  /// nothing.
  void begin(std::string_view upstream, std::string_view authorization = {});
  std::string upstream() const;  ///< empty: none, nothing is learned
  void clear();
  std::uint64_t exchanges() const;  ///< learned from
  std::uint64_t dropped() const;    ///< not learned, since there was no room

 private:
  struct Operation;
  struct Segment;
  void write_paths(json::Writer& out, const Segment& at, const std::string& path) const;

  mutable std::mutex mutex_;
  std::unique_ptr<Segment> root_;
  std::string upstream_, authorization_;
  std::uint64_t exchanges_ = 0, dropped_ = 0;
  std::size_t operations_ = 0, shapes_left_ = 0, segments_left_ = 0;
};

}  // namespace plimsoll::handler
