// Sends requests at a constant rate whatever becomes of them: a request that is due never waits for an answer to
// another one, but takes a further connection (an open loop, as many independent clients make it).
//
//   open_load PORT RATE SECONDS TARGET [EVERY OTHER_TARGET]
//
// Each EVERY-th request goes to OTHER_TARGET. Prints one line of JSON: of each target how many were sent, answered 200,
// refused (503), answered otherwise or not at all, and the latencies of what was answered 200, in microseconds from the
// instant at which it was due; and how many connections there were at most. Busy all the time: give it a core.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

/// How long answers may come after the last request, in seconds. It ends earlier where all have come.
constexpr double kPatience = 30;

struct Target {
  std::string request;
  std::size_t sent = 0, ok = 0, refused = 0, otherwise = 0;
  std::vector<double> took{};
};

struct Line {
  int socket = -1;
  Target* target = nullptr;
  Clock::time_point due;
  std::string answer;
};

int connected(std::uint16_t port) {
  const int s = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (s < 0 || ::connect(s, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) {
    if (s >= 0) ::close(s);
    return -1;
  }
  const int on = 1;
  ::setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::fcntl(s, F_SETFL, O_NONBLOCK);
  return s;
}

/// The status of a whole answer; 0: more is to come; -1: it cannot be read.
int judge(std::string_view answer) {
  const auto head = answer.find("\r\n\r\n");
  if (head == answer.npos) return 0;
  int status = 0;
  if (answer.size() < 12 || std::from_chars(answer.data() + 9, answer.data() + 12, status).ec != std::errc{}) return -1;
  constexpr std::string_view kLength = "\r\ncontent-length: ";
  const auto at = answer.find(kLength);
  if (at == answer.npos || at > head) return -1;
  std::size_t length = 0;
  std::from_chars(answer.data() + at + kLength.size(), answer.data() + head, length);
  return answer.size() >= head + 4 + length ? status : 0;
}

std::string request_for(const char* target) {
  return std::string("GET ") + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: open/1\r\nAccept: */*\r\n\r\n";
}

void tell(const char* name, Target& target, const char* end) {
  std::ranges::sort(target.took);
  const auto quantile = [&](double q) {
    if (target.took.empty()) return 0.0;
    return target
        .took[std::min(target.took.size() - 1, static_cast<std::size_t>(q * static_cast<double>(target.took.size())))];
  };
  std::printf(R"("%s":{"sent":%zu,"ok":%zu,"refused":%zu,"otherwise":%zu,"p50":%.0f,"p99":%.0f,"max":%.0f}%s)", name,
              target.sent, target.ok, target.refused, target.otherwise, quantile(0.5), quantile(0.99), quantile(1),
              end);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5 && argc != 7) {
    std::fputs("usage: open_load PORT RATE SECONDS TARGET [EVERY OTHER_TARGET]\n", stderr);
    return 2;
  }
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  const auto port = static_cast<std::uint16_t>(std::atoi(argv[1]));
  const auto rate = std::atof(argv[2]);
  const auto total = static_cast<std::size_t>(rate * std::atof(argv[3]));
  const auto every = argc == 7 ? static_cast<std::size_t>(std::atoi(argv[5])) : 0;
  Target one{request_for(argv[4])}, other{request_for(argc == 7 ? argv[6] : argv[4])};
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  std::vector<std::unique_ptr<Line>> lines;
  std::vector<Line*> free;
  std::size_t under_way = 0;

  const auto end_of = [&](Line& line) {  // the connection is gone
    ::close(line.socket);
    line.socket = -1;
    line.answer.clear();
    free.push_back(&line);
  };
  const auto begin = Clock::now();
  const auto patience = begin + std::chrono::duration_cast<Clock::duration>(
                                    std::chrono::duration<double>(static_cast<double>(total) / rate + kPatience));
  const auto due = [&](std::size_t i) {
    return begin +
           std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(static_cast<double>(i) / rate));
  };
  std::size_t begun = 0;
  for (auto now = begin; (begun < total || under_way > 0) && now < patience; now = Clock::now()) {
    for (; begun < total && due(begun) <= now; ++begun) {
      auto& target = every && begun % every == every - 1 ? other : one;
      ++target.sent;
      if (free.empty()) free.push_back(lines.emplace_back(std::make_unique<Line>()).get());
      auto& line = *free.back();
      free.pop_back();
      if (line.socket < 0) {
        line.socket = connected(port);
        epoll_event event{.events = EPOLLIN, .data = {.ptr = &line}};
        if (line.socket < 0 || ::epoll_ctl(epoll, EPOLL_CTL_ADD, line.socket, &event) != 0) {
          ++target.otherwise;
          end_of(line);
          continue;
        }
      }
      line.target = &target;
      line.due = due(begun);
      if (::send(line.socket, target.request.data(), target.request.size(), MSG_NOSIGNAL) !=
          static_cast<ssize_t>(target.request.size())) {
        ++target.otherwise;
        end_of(line);
        continue;
      }
      ++under_way;
    }
    epoll_event events[64];
    const int count = ::epoll_wait(epoll, events, 64, 0);
    for (int i = 0; i < count; ++i) {
      auto& line = *static_cast<Line*>(events[i].data.ptr);
      if (line.socket < 0) continue;
      char piece[65536];
      const auto n = ::recv(line.socket, piece, sizeof piece, 0);
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (n <= 0) {
        if (line.target) ++line.target->otherwise, --under_way, line.target = nullptr;
        end_of(line);
        continue;
      }
      line.answer.append(piece, static_cast<std::size_t>(n));
      const int status = judge(line.answer);
      if (status == 0 || !line.target) continue;
      auto& target = *std::exchange(line.target, nullptr);
      --under_way;
      if (status == 200) {
        ++target.ok;
        target.took.push_back(std::chrono::duration<double, std::micro>(Clock::now() - line.due).count());
      } else if (status == 503) {
        ++target.refused;
      } else {
        ++target.otherwise;
      }
      line.answer.clear();
      if (status < 0)
        end_of(line);
      else
        free.push_back(&line);
    }
  }
  for (auto& line : lines)
    if (line->target) ++line->target->otherwise;
  const auto spent = std::chrono::duration<double>(Clock::now() - begin).count();
  std::printf(R"({"seconds":%.3f,"connections":%zu,)", spent, lines.size());
  tell("target", one, ",");
  tell("other", other, "}\n");
  return 0;
}
