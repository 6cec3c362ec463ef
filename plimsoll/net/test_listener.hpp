#pragma once

// For tests only.

#include "plimsoll/net/dial.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <vector>

namespace plimsoll::net {

/// A TCP socket that listens on a loopback address, for tests.
struct TestListener {
  Socket socket;
  std::uint16_t port = 0;

  /// `backlog`: connections that wait to be accepted (one more than said); `on` 0: any free port.
  explicit TestListener(const char* address, std::uint16_t on = 0, int backlog = 0) {
    socket = Socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    const int yes = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_storage where;
    auto size = Address::parse(address)->write(on, where);
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&where), size), 0) << errno;
    EXPECT_EQ(::listen(socket.get(), backlog), 0);
    ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&where), &size);
    port = ntohs(reinterpret_cast<sockaddr_in&>(where).sin_port);
    address_ = address;
  }
  /// Connections that fill the queue: as long as they are there, a further one is neither accepted nor refused.
  std::vector<Socket> fill() const {
    std::vector<Socket> all;
    for (int i = 0; i < 4; ++i) {
      all.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      sockaddr_storage where;
      const auto size = Address::parse(address_)->write(port, where);
      (void)::connect(all.back().get(), reinterpret_cast<sockaddr*>(&where), size);
    }
    return all;
  }

 private:
  const char* address_;
};

}  // namespace plimsoll::net
