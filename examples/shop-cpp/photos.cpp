#include "photos.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <plimsoll/async/blocking.hpp>
#include <plimsoll/base/digest.hpp>
#include <plimsoll/base/encoding.hpp>

namespace shop {
namespace {

using namespace plimsoll;

constexpr std::size_t kLargest = std::size_t{64} << 20;

std::unexpected<Error> failed(const char* what) {
  return std::unexpected(Error{&kInternal}.because(std::string(what) + ": " + std::strerror(errno)));
}

struct Kept {
  std::int64_t bytes;
  std::string sha256;
};

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
  Result<Kept> keep(const std::string& product) {
    if (::fsync(file_) != 0) return failed("fsync");
    if (::rename(path_.c_str(), ("photos/" + product + ".jpg").c_str()) != 0) return failed("rename");
    path_.clear();
    return Kept{static_cast<std::int64_t>(size_), to_hex(as_text(digest_.finish()))};
  }

 private:
  std::string path_;
  int file_ = -1;
  std::size_t size_ = 0;
  Sha256 digest_;
};

/// `PUT /products/{id}/photo`. The body is asked for piece by piece, so that its length costs no memory; the disk,
/// which may block, is left to threads beside those that serve.
Task<Result<Json<Kept>>> put_photo(Request& request, Context& context, Database database,
                                   Parameter<"id", std::string> product) {
  static Threads threads{2};
  auto known = co_await database.find<std::int64_t>("SELECT 1 FROM products WHERE id = ?", *product);
  if (!known) co_return passed_on(known);
  if (!*known) co_return fail(kNotFound, "There is no product " + *product + ".");

  context.body_limit = kLargest;  // 413 beyond; where nobody says anything the deployment's limit holds (1 MiB)
  Photo photo;
  for (;;) {
    auto piece = co_await request.body->read();
    if (!piece) co_return passed_on(piece);
    if (piece->empty()) break;
    auto written = co_await blocking(context.loop, threads, [&] { return photo.append(*piece); });
    if (!written) co_return passed_on(written);
  }
  auto kept = co_await blocking(context.loop, threads, [&] { return photo.keep(*product); });
  if (!kept) co_return passed_on(kept);
  co_return std::move(*kept);
}

}  // namespace

void bind_photos(Application& application) { application.on("putPhoto", put_photo); }

}  // namespace shop
