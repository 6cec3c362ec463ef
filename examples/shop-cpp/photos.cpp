#include "photos.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <plimsoll/async/blocking.hpp>
#include <plimsoll/base/digest.hpp>
#include <plimsoll/base/encoding.hpp>
#include <plimsoll/database/database.hpp>
#include <plimsoll/exchange/context.hpp>
#include <plimsoll/server/site.hpp>

namespace shop {
namespace {

using namespace plimsoll;

constexpr std::size_t kLargest = std::size_t{64} << 20;

std::unexpected<Error> failed(const char* what) {
  return std::unexpected(Error{&kInternal}.because(std::string(what) + ": " + std::strerror(errno)));
}

/// A file that is there whole, once it is kept, or not at all. All of it may block.
class Photo {
 public:
  Photo() = default;
  Photo(const Photo&) = delete;
  ~Photo() {
    if (file_ >= 0) ::close(file_);
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  Result<> append(Bytes piece) {
    if (file_ < 0) {
      std::error_code ignored;
      std::filesystem::create_directory("photos", ignored);
      path_ = "photos/.new-XXXXXX";
      file_ = ::mkostemp(path_.data(), O_CLOEXEC);
      if (file_ < 0) return path_.clear(), failed("photos");
    }
    digest_.update(as_text(piece));
    size_ += piece.size();
    while (!piece.empty()) {
      const auto written = ::write(file_, piece.data(), piece.size());
      if (written < 0) return failed("write");
      piece = piece.subspan(static_cast<std::size_t>(written));
    }
    return {};
  }
  Result<std::string> keep(const std::string& product) {
    if (::fsync(file_) != 0) return failed("fsync");
    if (::rename(path_.c_str(), ("photos/" + product + ".jpg").c_str()) != 0) return failed("rename");
    path_.clear();
    return R"({"bytes":)" + std::to_string(size_) + R"(,"sha256":")" + to_hex(as_text(digest_.finish())) + "\"}";
  }

 private:
  std::string path_;
  int file_ = -1;
  std::size_t size_ = 0;
  Sha256 digest_;
};

/// The body is asked for piece by piece, so that its length costs no memory; the disk, which may block, is left to
/// threads beside those that serve.
class PutPhoto final : public Handler {
 public:
  Task<Result<Response>> handle(Request& request, Context& context) override {
    const auto product = std::string(context.parameter("id")->string());
    const database::Cell key[] = {product};
    auto known =
        co_await context.services.database->read(context.loop, "SELECT 1 FROM products WHERE id = ?", key, true);
    if (!known) co_return std::unexpected(std::move(known).error());
    if (known->empty()) co_return fail(server::kNotFound, "There is no product " + product + ".");

    context.body_limit = kLargest;  // 413 beyond; where nobody says anything the deployment's limit holds (1 MiB)
    Photo photo;
    for (;;) {
      auto piece = co_await request.body->read();
      if (!piece) co_return std::unexpected(std::move(piece).error());
      if (piece->empty()) break;
      auto written = co_await blocking(context.loop, threads_, [&] { return photo.append(*piece); });
      if (!written) co_return std::unexpected(std::move(written).error());
    }
    auto kept = co_await blocking(context.loop, threads_, [&] { return photo.keep(product); });
    if (!kept) co_return std::unexpected(std::move(kept).error());
    Response response{.status = 200, .headers = Headers{context.arena}, .body = context.arena.keep(*kept)};
    response.headers.add("content-type", "application/json");
    co_return response;
  }

 private:
  Threads threads_{2};
};

}  // namespace

std::unique_ptr<Handler> put_photo() { return std::make_unique<PutPhoto>(); }

}  // namespace shop
