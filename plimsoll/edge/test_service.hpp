#pragma once

// For tests of the edge: a service that answers by path, and a client that speaks raw bytes.

#include "plimsoll/async/pause.hpp"
#include "plimsoll/edge/server.hpp"
#include "plimsoll/exchange/problem_document.hpp"

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

namespace plimsoll::edge {

/// `/hello` answers at once; `/echo` with the body; `/slow` after 10 s unless stopped; `/stream` in three pieces;
/// `/large` with 4 MiB; `/throw` with an exception; all else tells method, target and version.
class TestService : public Service {
 public:
  Task<Response> serve(Request& request, Context& context) override {
    served.fetch_add(1);
    Response response{.headers = Headers{context.arena}};
    response.headers.add("content-type", "text/plain");
    if (request.path == "/hello") {
      response.body = lasting("hello");
    } else if (request.path == "/throw") {
      throw std::runtime_error("thrown");
    } else if (request.path == "/slow" || request.path == "/limited") {
      if (request.path == "/limited") context.deadline(context.now + 50 * kMillisecond);
      waiting.fetch_add(1);
      const bool rested = co_await pause(context.loop, 10 * kSecond);
      if (!rested) {
        stopped.fetch_add(1);
        co_return problem_document(error_of(context.scope->stopped()), context);
      }
    } else if (request.path == "/nap") {
      waiting.fetch_add(1);
      const bool rested = co_await pause(context.loop, 100 * kMillisecond);
      response.body = lasting(rested ? "rested" : "stopped");
    } else if (request.path == "/echo") {
      auto& text = context.keep<std::string>();
      while (request.body) {
        auto piece = co_await request.body->read();
        if (!piece) co_return problem_document(piece.error(), context);
        if (piece->empty()) break;
        text.append(as_text(*piece));
      }
      response.body = lasting(text);
    } else if (request.path == "/who") {
      auto& text = context.keep<std::string>(request.scheme);
      text.append(" ").append(request.peer.address);
      response.body = lasting(text);
    } else if (request.path == "/stream") {
      response.body = lasting(context.keep<Pieces>());
    } else if (request.path == "/large") {
      response.body = lasting(large);
    } else {
      auto& text = context.keep<std::string>(request.method);
      text.append(" ").append(request.path).append(" ").append(request.query).append(" ").append(request.authority);
      response.body = lasting(text);
    }
    co_return response;
  }
  Response refused(const Error& error, Request&, Context& context) override { return problem_document(error, context); }
  void finished(const Request& request, Context& context) noexcept override {
    const std::lock_guard lock(mutex);
    log.push_back(std::string(request.method) + " " + std::string(request.target) + " " +
                  std::to_string(context.outcome.status) + (context.outcome.client_gone ? " gone" : ""));
  }
  const Services& services() const override { return services_; }

  std::atomic<int> served{0}, waiting{0}, stopped{0};
  std::string large = std::string(4 << 20, 'x');
  std::mutex mutex;
  std::vector<std::string> log;

 private:
  struct Pieces final : Stream {
    int left = 3;
    Task<Result<Bytes>> read() override {
      if (left == 0) co_return Bytes{};
      --left;
      co_return as_bytes("piece ");
    }
  };
  Services services_;
};

}  // namespace plimsoll::edge
