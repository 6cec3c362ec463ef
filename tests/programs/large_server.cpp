// A program that answers with more than anybody should hold:
//
//   large_server CONTRACT [the options of `plimsoll serve`]
//
// Operations whose names begin with `whole` give 1 GiB in one piece, without taking memory for it: zeros that are only
// mapped. Those that begin with `endless` give pieces of 64 KiB without an end.

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/server/application.hpp"

#include <sys/mman.h>

#include <cstdio>
#include <string>

namespace {

using namespace plimsoll;

constexpr std::size_t kLarge = std::size_t{1} << 30;

Response said(Context& context, Body body) {
  Response made{.status = 200, .headers = Headers{context.arena}, .body = std::move(body)};
  made.headers.add("content-type", "application/json");
  return made;
}

Task<Result<Response>> whole(Request&, Context& context) {
  void* zeros = ::mmap(nullptr, kLarge, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (zeros == MAP_FAILED) co_return fail(kInternal, "no room for the mapping");
  const std::shared_ptr<const void> owner(zeros, [](void* mapped) { ::munmap(mapped, kLarge); });
  co_return said(context, Buffer{owner, Bytes{static_cast<const std::byte*>(zeros), kLarge}});
}

class Endless final : public Stream {
 public:
  Task<Result<Bytes>> read() override { co_return as_bytes(piece_); }

 private:
  const std::string piece_ = std::string(64 << 10, ' ');
};

Task<Result<Response>> endless(Request&, Context& context) { co_return said(context, context.stream<Endless>()); }

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: large_server CONTRACT [OPTIONS]\n", stderr);
    return 2;
  }
  Application application{argv[1]};
  for (const std::string policy : {"plain", "compressed", "cached", "selected", "looked-at", "recorded"}) {
    application.on("whole-" + policy, whole);
    application.on("endless-" + policy, endless);
  }
  return application.run(argc - 1, argv + 1);
}
