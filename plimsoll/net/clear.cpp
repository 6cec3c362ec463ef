#include "plimsoll/net/transport.hpp"

#include "plimsoll/base/owned_descriptor.hpp"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cerrno>

namespace plimsoll::net {
namespace {

class Clear final : public Transport {
 public:
  Clear(Loop& loop, OwnedDescriptor& socket) : Transport(loop, socket.release()) {}

  Moved read(std::span<char> into) noexcept override {
    if (!descriptor_.can_read()) return {.want = Want::read};
    for (;;) {
      const auto n = ::recv(descriptor_.get(), into.data(), into.size(), 0);
      if (n > 0) {
        // Less than was asked for: the socket is empty, and the next edge tells when it is not (epoll(7)).
        if (static_cast<std::size_t>(n) < into.size()) descriptor_.read_all();
        return {.bytes = static_cast<std::size_t>(n)};
      }
      if (n == 0) return {.ended = true};
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) return {.error = errno};
      descriptor_.read_all();
      if (descriptor_.can_read()) return {.ended = true};  // hung up with nothing left: an end, not a spin
      return {.want = Want::read};
    }
  }

  Moved write(std::span<const iovec> pieces) noexcept override {
    if (!descriptor_.can_write()) return {.want = Want::write};
    for (;;) {
      ssize_t n = 0;
      if (pieces.size() == 1) {
        n = ::send(descriptor_.get(), pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL);
      } else {
        msghdr message{};
        message.msg_iov = const_cast<iovec*>(pieces.data());
        message.msg_iovlen = pieces.size();
        n = ::sendmsg(descriptor_.get(), &message, MSG_NOSIGNAL);
      }
      if (n >= 0) return {.bytes = static_cast<std::size_t>(n)};
      if (errno == EINTR) continue;
      return refused(errno);
    }
  }

  Moved send_file(int file, std::uint64_t offset, std::size_t size) noexcept override {
    if (!descriptor_.can_write()) return {.want = Want::write};
    for (;;) {
      auto at = static_cast<off_t>(offset);
      const auto n = ::sendfile(descriptor_.get(), file, &at, size);
      if (n > 0) return {.bytes = static_cast<std::size_t>(n)};
      if (n == 0) return {.error = EIO};  // the file is shorter than was said
      if (errno == EINTR) continue;
      return refused(errno);
    }
  }

  void finish() noexcept override { ::shutdown(descriptor_.get(), SHUT_WR); }
  Task<Result<>> open(Nanoseconds) override { co_return Result<>{}; }

 private:
  Moved refused(int error) noexcept {
    if (error != EAGAIN && error != EWOULDBLOCK) return {.error = error};
    descriptor_.write_full();
    return {.want = Want::write};
  }
};

}  // namespace

void Transport::abort() noexcept {
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(descriptor_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

std::uint64_t Transport::unsent() const noexcept {
  int bytes = 0;
  return ::ioctl(descriptor_.get(), SIOCOUTQ, &bytes) == 0 && bytes > 0 ? static_cast<std::uint64_t>(bytes) : 0;
}

std::unique_ptr<Transport> clear_transport(Loop& loop, int socket) {
  OwnedDescriptor owned{socket};  // for want of memory a transport may not come to be
  return std::make_unique<Clear>(loop, owned);
}

}  // namespace plimsoll::net
