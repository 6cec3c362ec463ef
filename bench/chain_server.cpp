// The engine with what every operation has: a contract, the default chain, a line of log for each request, and a tiny
// JSON answer from a C++ handler. Measured by bench/*.py and counted by tests/hot_path_test.py.
//
//   chain_server ADDRESS [THREADS [CONTRACT CONFIG OPERATION...]]
//
// prints the address it listens on; ends by SIGTERM. Given a contract, a deployment and the ids of its operations, it
// answers each of those with the same JSON; one whose id begins with `busy` after 2 ms of CPU time.

#include "plimsoll/server/application.hpp"

#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>

namespace {

using namespace plimsoll;

// The limit is of the default kind and is looked at for every request; it is only higher than any load here.
constexpr auto kContract = R"(openapi: 3.1.0
info: {title: Hello, version: 1.0.0}
x-plimsoll:
  rate-limit: 100000000/second by address
paths:
  /:
    get:
      operationId: hello
      security: []
      responses:
        '200':
          description: A greeting
          content: {application/json: {schema: {type: object}}}
)";

Task<Result<Response>> hello(Request&, Context& context) {
  Response response{.headers = Headers{context.arena}, .body = lasting(R"({"message":"hello"})")};
  response.headers.add("content-type", "application/json");
  co_return response;
}

/// Two milliseconds of CPU time of this thread.
Task<Result<Response>> busy(Request& request, Context& context) {
  const auto spent = [] {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * kSecond + time.tv_nsec;
  };
  const auto until = spent() + 2 * kMillisecond;
  while (spent() < until) {}
  co_return co_await hello(request, context);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: chain_server ADDRESS [THREADS [CONTRACT CONFIG OPERATION...]]\n", stderr);
    return 2;
  }
  if (argc > 4) {
    Application application{argv[3]};
    for (int i = 5; i < argc; ++i)
      application.on(argv[i], std::string_view(argv[i]).starts_with("busy") ? busy : hello);
    server::Settings settings;
    settings.config = argv[4];
    settings.listen = {argv[1]};
    return application.serve(std::move(settings));
  }
  namespace fs = std::filesystem;
  auto pattern = (fs::temp_directory_path() / "plimsoll-chain-XXXXXX").string();
  if (!::mkdtemp(pattern.data())) {
    std::perror("mkdtemp");
    return 1;
  }
  const fs::path folder = pattern;
  std::ofstream(folder / "hello.yaml") << kContract;
  std::ofstream(folder / "plimsoll.yaml") << "management: 'off'\nthreads: " << (argc > 2 ? std::atoi(argv[2]) : 1)
                                          << "\ndatabase: {url: 'sqlite:" << (folder / "hello.db").string() << "'}\n";
  Application application{(folder / "hello.yaml").string()};
  application.on("hello", hello);
  server::Settings settings;
  settings.config = (folder / "plimsoll.yaml").string();
  settings.listen = {argv[1]};
  const int status = application.serve(std::move(settings));
  std::error_code ignored;
  fs::remove_all(folder, ignored);
  return status;
}
