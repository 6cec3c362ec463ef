#pragma once

// What the fuzz target checks, and the replay of its corpus.

#include "plimsoll/http/h2.hpp"

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

namespace plimsoll::http {
/// Serves whatever comes, in ways that the input chooses, and checks what a session promises.
struct CheckedServer final : H2Requests {
  struct Stream final : H2Stream {
    CheckedServer* server = nullptr;
    std::size_t held = 0;
    bool ended = false, over = false, tunnel = false, finished = false;
    void body(Bytes piece) override {
      if (ended || over) server->fault = "content behind the end";
      held += piece.size();
      if (held > server->options.stream_window) server->fault = "more content than the window was open for";
    }
    void body_ended() override {
      if (ended || over) server->fault = "ended twice";
      ended = true;
    }
    void trailers(std::span<const Header>) override {
      if (tunnel) server->fault = "fields behind a tunnel";
    }
    void drained() override {
      if (over) server->fault = "drained after its end";
    }
    void closed(H2Error) override {
      if (over) server->fault = "closed twice";
      over = true;
    }
  };
  H2Options options{
      .streams = 16, .stream_window = 4096, .connection_window = 70'000, .header_list = 4096, .extended_connect = true};
  std::deque<Stream> streams;
  std::string fault;
  std::size_t alive() const {
    std::size_t n = 0;
    for (auto& s : streams) n += !s.over;
    return n;
  }

  H2Stream* request(const H2Head& head) override {
    if (head.method.empty() || (!head.refusal && !head.path.starts_with('/') && head.path != "*"))
      fault = "a malformed head";
    for (auto& field : head.fields)
      for (char c : field.name)
        if (c >= 'A' && c <= 'Z') fault = "a name in upper case";
    if (alive() > options.streams) fault = "more streams than told";
    auto& made = streams.emplace_back();
    made.server = this;
    made.ended = head.ended;
    made.tunnel = !head.protocol.empty();
    if (made.tunnel && head.method != "CONNECT") fault = "a protocol of another method";
    return &made;
  }
};

/// What a session promised and did not keep, or empty. The first bytes choose how the rest is cut and what is answered;
/// before it, the preface was sent and settings exchanged, so that our windows are those in force.
inline std::string h2_fault(std::string_view input) {
  const auto* data = reinterpret_cast<const std::uint8_t*>(input.data());
  const auto size = input.size();
  if (size < 2) return {};
  const std::size_t cut = data[0] + 1u;
  const int answers = data[1];
  std::string_view rest{reinterpret_cast<const char*>(data) + 2, size - 2};
  CheckedServer server;
  H2Session session{server.options, server};
  Arena arena;
  std::string out;
  const std::string content(9000, 'x');
  std::deque<H2Interim> interim;
  Nanoseconds now = kSecond;
  constexpr std::string_view kSettings{"\0\0\0\4\0\0\0\0\0", 9}, kAcknowledged{"\0\0\0\4\1\0\0\0\0", 9};
  bool alive = session.receive(plimsoll::as_bytes(kH2Preface), now);
  alive = alive && session.receive(plimsoll::as_bytes(kSettings), now);
  session.gather(out, 1 << 16);
  alive = alive && session.receive(plimsoll::as_bytes(kAcknowledged), now);
  for (std::size_t turn = 0; alive && !rest.empty(); ++turn) {
    const auto piece = rest.substr(0, cut);
    rest.remove_prefix(piece.size());
    alive = session.receive(plimsoll::as_bytes(piece), now += kMillisecond);
    for (std::size_t i = 0; i < server.streams.size(); ++i) {
      auto& s = server.streams[i];
      if (s.over) continue;
      if (s.held && (answers & 1)) session.consumed(s, s.held), s.held = 0;
      if (turn % 3 == 0 && (answers & 2)) {
        Headers headers{arena};
        headers.add("content-type", "text/plain");
        if (s.pending() == 0 && s.sent() == 0) {
          interim.push_back({.status = 103, .fields = {headers.begin(), headers.end()}});
          if (answers & 32) session.inform(s, interim.back());
          session.respond(s, 200, headers, {}, s.tunnel || (answers & 4) != 0);
          if (s.tunnel)
            session.finish(s), s.finished = true;
          else if (answers & 4)
            session.supply(s, plimsoll::as_bytes(content), true);
        }
      } else if (s.finished && turn % 7 == 6) {
        session.end(s);
      } else if (turn % 5 == 4 && (answers & 8)) {
        session.reset(s, H2Error::cancel);
      }
    }
    if (turn == 7 && (answers & 16)) session.drain();
    out.clear();
    session.gather(out, 1 << 16);
  }
  session.gather(out, 1 << 20);
  return server.fault;
}

}  // namespace plimsoll::http
