// Asks at a constant rate, whatever the answers do, and says how long they took from the instant at which each request
// was due: one that had to wait for a connection because the ones before it were late has waited all the same
// (so-called coordinated omission is left to nobody).
//
//   steady_load PORT TARGET CONNECTIONS RATE SECONDS [LOCAL_PORT,...]
//
// (from those local ports, in turn) prints one line of JSON, latencies in microseconds. The first fifth of the requests
// is for warming up. Busy all the time, so that no wake-up of its own is measured: give it a core.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Line {
  int socket = -1;
  Clock::time_point due;
  std::string answer;
};

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

/// `from`: the local port; 0: any.
int connected(std::uint16_t port, std::uint16_t from) {
  const int s = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const linger none{.l_onoff = 1, .l_linger = 0};  // the port can be used again at once
  const auto here = loopback(from), to = loopback(port);
  const int shared = 1;  // with connections of others to elsewhere that have ended
  if (from && (::setsockopt(s, SOL_SOCKET, SO_LINGER, &none, sizeof none) != 0 ||
               ::setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &shared, sizeof shared) != 0 ||
               ::bind(s, reinterpret_cast<const sockaddr*>(&here), sizeof here) != 0))
    return -1;
  if (s < 0 || ::connect(s, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) return -1;
  const int on = 1;
  ::setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::fcntl(s, F_SETFL, O_NONBLOCK);
  return s;
}

/// 1: whole and 200; 0: more is to come; -1: not what was asked for.
int judge(std::string_view answer) {
  const auto head = answer.find("\r\n\r\n");
  if (head == answer.npos) return 0;
  if (!answer.starts_with("HTTP/1.1 200")) return -1;
  std::string lower(answer.substr(0, head));
  std::ranges::transform(lower, lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c | 32) : c; });
  constexpr std::string_view kLength = "\r\ncontent-length: ";
  const auto at = lower.find(kLength);
  if (at == lower.npos) return -1;
  std::size_t length = 0;
  std::from_chars(lower.data() + at + kLength.size(), lower.data() + lower.size(), length);
  return answer.size() >= head + 4 + length ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6 && argc != 7) {
    std::fputs("usage: steady_load PORT TARGET CONNECTIONS RATE SECONDS [LOCAL_PORT,...]\n", stderr);
    return 2;
  }
  const auto port = static_cast<std::uint16_t>(std::atoi(argv[1]));
  const std::string request =
      std::string("GET ") + argv[2] + " HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: steady/1\r\nAccept: */*\r\n\r\n";
  const auto rate = std::atof(argv[4]);
  const auto total = static_cast<std::size_t>(rate * std::atof(argv[5]));
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  std::vector<Line> lines(static_cast<std::size_t>(std::atoi(argv[3])));
  std::deque<Line*> free;
  const char* from = argc == 7 ? argv[6] : "";
  for (auto& line : lines) {
    line.socket = connected(port, static_cast<std::uint16_t>(std::atoi(from)));
    if (const char* next = std::strchr(from, ',')) from = next + 1;
    epoll_event event{.events = EPOLLIN, .data = {.ptr = &line}};
    if (line.socket < 0 || ::epoll_ctl(epoll, EPOLL_CTL_ADD, line.socket, &event) != 0) {
      std::perror("steady_load: connect");
      return 1;
    }
    free.push_back(&line);
  }

  std::vector<double> took;
  took.reserve(total);
  const auto begin = Clock::now();
  const auto end = begin + std::chrono::duration_cast<Clock::duration>(
                               std::chrono::duration<double>(static_cast<double>(total) / rate + 10));
  const auto due = [&](std::size_t i) {
    return begin +
           std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(static_cast<double>(i) / rate));
  };
  std::size_t begun = 0, done = 0;
  for (auto now = begin; done < total && now < end; now = Clock::now()) {
    for (; begun < total && due(begun) <= now && !free.empty(); ++begun) {
      auto& line = *free.front();
      free.pop_front();
      line.due = due(begun);
      if (::send(line.socket, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) {
        std::perror("steady_load: send");
        return 1;
      }
    }
    epoll_event events[64];
    const int count = ::epoll_wait(epoll, events, 64, 0);
    for (int i = 0; i < count; ++i) {
      auto& line = *static_cast<Line*>(events[i].data.ptr);
      char piece[16384];
      const auto n = ::recv(line.socket, piece, sizeof piece, 0);
      if (n <= 0) {
        std::fputs("steady_load: a connection was closed\n", stderr);
        return 1;
      }
      line.answer.append(piece, static_cast<std::size_t>(n));
      const int verdict = judge(line.answer);
      if (verdict < 0) {
        std::fprintf(stderr, "steady_load: answered %.80s\n", line.answer.c_str());
        return 1;
      }
      if (verdict == 0) continue;
      const auto latency = std::chrono::duration<double, std::micro>(Clock::now() - line.due).count();
      if (++done > total / 5) took.push_back(latency);
      line.answer.clear();
      free.push_back(&line);
    }
  }
  if (done < total) {
    std::fprintf(stderr, "steady_load: %zu of %zu answered 10 s after the last was due\n", done, total);
    return 1;
  }
  const auto spent = std::chrono::duration<double>(Clock::now() - begin).count();
  std::ranges::sort(took);
  const auto quantile = [&](double q) {
    return took[std::min(took.size() - 1, static_cast<std::size_t>(q * static_cast<double>(took.size())))];
  };
  std::printf(R"({"requests":%zu,"rate":%.0f,"p50":%.1f,"p90":%.1f,"p99":%.1f,"p999":%.1f,"max":%.1f})"
              "\n",
              total, static_cast<double>(total) / spent, quantile(0.5), quantile(0.9), quantile(0.99), quantile(0.999),
              took.back());
  return 0;
}
