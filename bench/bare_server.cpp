// The engine alone: a tiny JSON answer from a C++ service, no contract, no policies, no log. Measured by bench/engines
// and counted by tests/hot_path_test.py.
//
//   bare_server ADDRESS [THREADS [LIMITS [FILE]]]
//   bare_server ADDRESS THREADS LIMITS CERTIFICATE KEY
//
// prints the address it listens on; ends by SIGTERM. LIMITS: JSON, with the names of the listener's limits. `/large`
// answers with 16 MiB; a body is read to its end. FILE: a line for each message that was read whole.

#include "plimsoll/edge/server.hpp"
#include "plimsoll/exchange/problem_document.hpp"
#include "plimsoll/json/parse.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

using namespace plimsoll;

class Bare final : public edge::Service {
 public:
  explicit Bare(std::FILE* seen) : seen_(seen) {}
  Task<Response> serve(Request& request, Context& context) override {
    while (request.body) {
      const auto piece = co_await request.body->read();
      if (!piece) co_return problem_document(piece.error(), context);
      if (piece->empty()) break;
    }
    if (seen_) {
      std::fprintf(seen_, "%.*s %.*s\n", static_cast<int>(request.method.size()), request.method.data(),
                   static_cast<int>(request.target.size()), request.target.data());
      std::fflush(seen_);
    }
    Response response{.headers = Headers{context.arena}};
    if (request.path == "/large") {
      response.body = lasting(large_);
      co_return response;
    }
    response.headers.add("content-type", "application/json");
    response.body = lasting(R"({"message":"hello"})");
    co_return response;
  }
  Response refused(const Error& error, Request&, Context& context) override { return problem_document(error, context); }
  void finished(const Request&, Context&) noexcept override {}
  const Services& services() const override { return services_; }

 private:
  std::FILE* seen_;
  std::string large_ = std::string(16 << 20, 'x');
  Services services_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: bare_server ADDRESS [THREADS [LIMITS [FILE | CERTIFICATE KEY]]]\n", stderr);
    return 2;
  }
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // inherited by the I/O threads
  Bare bare{argc == 5 ? std::fopen(argv[4], "w") : nullptr};
  edge::Limits limits;
  limits.connections_per_address = limits.connections;
  limits.requests_per_connection = INT64_MAX;
  if (argc > 3) {
    Arena arena;
    const auto text = json::parse(argv[3], arena);
    const auto read = text ? config::read(*text, edge::kLimitFields, &limits) : Result<>{std::unexpected(text.error())};
    if (!read) {
      std::fprintf(stderr, "%s\n", read.error().detail.c_str());
      return 2;
    }
  }
  auto server = edge::start(
      bare,
      {{.address = argv[1], .certificate = argc > 5 ? argv[4] : "", .key = argc > 5 ? argv[5] : "", .overlap = true}},
      limits, argc > 2 ? static_cast<unsigned>(std::atoi(argv[2])) : 1);
  if (!server) {
    std::fprintf(stderr, "%s\n", server.error().detail.c_str());
    return 1;
  }
  std::printf("%s\n", (*server)->addresses().front().c_str());
  std::fflush(stdout);
  int signal = 0;
  sigwait(&signals, &signal);
  (*server)->drain();
  (*server)->wait();
  return 0;
}
