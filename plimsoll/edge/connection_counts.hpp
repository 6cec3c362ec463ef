#pragma once

#include <arpa/inet.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace plimsoll::edge {

/// Why a connection was not accepted, or could not be.
enum class Rejection : std::uint8_t {
  connections,  ///< as many as `limits: {connections}` allows are open
  address,      ///< as many of its address as `connections-per-address` allows
  descriptors,  ///< the process, or the system, has no descriptor left (EMFILE, ENFILE)
  memory,       ///< too little memory
  system,       ///< accept(2) failed otherwise
};

/// How many connections there are, in all and of each address. Asked when one comes or goes, by any thread; never by a
/// request.
class ConnectionCounts {
 public:
  /// Counts one more; or says why not.
  std::optional<Rejection> enter(std::string_view address, std::int64_t in_all, std::int64_t of_address) {
    if (all_.fetch_add(1, std::memory_order_relaxed) >= in_all) {
      all_.fetch_sub(1, std::memory_order_relaxed);
      return Rejection::connections;
    }
    if (address == "unix") return std::nullopt;  // who connects there is whoever may open the file
    const auto key = group(address);
    auto& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    auto& count = shard.counts[key];
    if (count >= of_address) {
      if (count == 0) shard.counts.erase(key);
      all_.fetch_sub(1, std::memory_order_relaxed);
      return Rejection::address;
    }
    ++count;
    return std::nullopt;
  }
  void leave(std::string_view address) {
    all_.fetch_sub(1, std::memory_order_relaxed);
    if (address == "unix") return;
    const auto key = group(address);
    auto& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    if (const auto found = shard.counts.find(key); found != shard.counts.end() && --found->second == 0)
      shard.counts.erase(found);
  }
  std::int64_t all() const { return all_.load(std::memory_order_relaxed); }

 private:
  struct Shard {
    std::mutex mutex;
    std::unordered_map<std::string, std::int64_t> counts;
  };
  /// An IPv6 host has a /64 of addresses to choose from; they are one.
  static std::string group(std::string_view address) {
    std::string text{address};
    in6_addr v6;
    if (text.find(':') == text.npos || ::inet_pton(AF_INET6, text.c_str(), &v6) != 1) return text;
    return {reinterpret_cast<const char*>(v6.s6_addr), 8};
  }
  Shard& shard_of(const std::string& key) { return shards_[std::hash<std::string>{}(key) % shards_.size()]; }

  std::atomic<std::int64_t> all_{0};
  std::array<Shard, 16> shards_;
};

}  // namespace plimsoll::edge
