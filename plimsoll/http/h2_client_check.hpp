#pragma once

// What the fuzz target checks, and the replay of its corpus.

#include "plimsoll/http/h2_client.hpp"

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

namespace plimsoll::http {

/// A call that checks what a session promises of it.
struct CheckedCall final : H2Call {
  explicit CheckedCall(std::string& fault) : fault(fault) {}
  std::string& fault;
  std::size_t held = 0;
  std::int64_t received = 0, declared = -1;
  int heads = 0;
  bool ended = false, over = false, content = false, tunnel = false;
  void head(const H2AnswerHead& head) override {
    if (over || ended || heads) fault = "a head behind the end, or a second one";
    if (head.status < 100 || head.status > 599) fault = "a status that is none";
    for (const auto& field : head.fields) {
      if (field.name.empty() || field.name[0] == ':') fault = "a malformed field";
      for (const char c : field.name)
        if (c >= 'A' && c <= 'Z') fault = "a name in upper case";
      for (const char c : field.value)
        if (c == '\r' || c == '\n' || c == '\0') fault = "a value of several lines";
    }
    if (head.status < 200) return;
    ++heads;
    if (head.content_length) declared = static_cast<std::int64_t>(*head.content_length);
    if (head.status == 204 || head.status == 304) declared = 0;
    if (tunnel && head.status < 300) declared = -1;
  }
  void body(Bytes piece) override {
    if (!heads || ended || over) fault = "content that belongs to no answer";
    held += piece.size();
    received += static_cast<std::int64_t>(piece.size());
    if (held > 4096) fault = "more content than the window was open for";
  }
  void body_ended() override {
    if (!heads || ended || over) fault = "an end of no answer";
    if (declared >= 0 && received != declared && received) fault = "an answer of another length than it says";
    ended = true;
  }
  void drained() override {
    if (over) fault = "drained after its end";
  }
  void closed(H2Error why) override {
    if (over) fault = "closed twice";
    if (why == H2Error::no_error && !ended) fault = "whole without an end";
    over = true;
  }
};

/// What a client's session promised and did not keep, or empty. The first bytes choose how the rest, what a server
/// sends, is cut and what the caller does.
inline std::string h2_client_fault(std::string_view input) {
  if (input.size() < 2) return {};
  const std::size_t cut = static_cast<std::uint8_t>(input[0]) + 1u;
  const int does = static_cast<std::uint8_t>(input[1]);
  auto rest = input.substr(2);
  std::string fault, out;
  std::deque<CheckedCall> calls;
  H2ClientSession session({.streams = 8, .stream_window = 4096, .connection_window = 70'000, .header_list = 4096});
  const std::string content(9000, 'x');
  Nanoseconds now = kSecond;
  constexpr std::string_view kSettings{"\0\0\0\4\0\0\0\0\0", 9}, kAcknowledged{"\0\0\0\4\1\0\0\0\0", 9};
  const auto call = [&](std::string_view method) {
    if (!session.has_room()) return;
    auto& made = calls.emplace_back(fault);
    const bool sends = method != "GET";
    made.tunnel = method == "CONNECT";
    session.request(made,
                    {.method = method,
                     .scheme = "http",
                     .authority = "a",
                     .path = "/",
                     .protocol = made.tunnel ? std::string_view("websocket") : std::string_view{}},
                    sends);
    if (sends && !(made.tunnel && (does & 16))) session.supply(made, plimsoll::as_bytes(content), true);
  };
  call("GET");
  call("POST");
  call("GET");
  call("CONNECT");
  bool alive = session.receive(plimsoll::as_bytes(kSettings), now);
  session.gather(out, 1 << 16);
  alive = alive && session.receive(plimsoll::as_bytes(kAcknowledged), now);
  for (std::size_t turn = 0; alive && !rest.empty(); ++turn) {
    const auto piece = rest.substr(0, cut);
    rest.remove_prefix(piece.size());
    alive = session.receive(plimsoll::as_bytes(piece), now += kMillisecond);
    std::size_t open = 0;
    for (auto& each : calls) {
      open += !each.over;
      if (each.over) continue;
      if (each.held && (does & 1)) session.consumed(each, each.held), each.held = 0;
      if (turn % 5 == 4 && (does & 2)) session.abandon(each, H2Error::cancel);
    }
    if (open < session.open()) fault = "calls that nobody knows of";
    if (turn % 3 == 0 && (does & 4)) call(turn % 2 ? "GET" : "POST");
    if (turn == 6 && (does & 8)) session.ping();
    out.clear();
    session.gather(out, 1 << 16);
  }
  for (auto& each : calls) session.abandon(each, H2Error::cancel);
  for (auto& each : calls)
    if (!each.over) fault = "a call without an end";
  if (session.open()) fault = "calls are left";
  return fault;
}

}  // namespace plimsoll::http
