#include "plimsoll/handler/table/file_upload.hpp"

#include "plimsoll/base/crash_point.hpp"
#include "plimsoll/database/database.hpp"

#include <unistd.h>
#include <cerrno>
#include <system_error>

namespace plimsoll::table {
Upload::~Upload() {
  if (file_ && !published_) folder_->remove_incoming(name_);
}

Task<Result<>> Upload::begin() {
  name_ = FileFolder::new_name();
  auto made = co_await blocking(context_.loop, context_.services.threads, [this] { return folder_->create(name_); });
  if (!made) co_return std::unexpected(std::move(made).error());
  file_ = std::move(*made);
  co_return Result<>{};
}

Task<Result<>> Upload::add(std::string_view piece) {
  if (!share_.take_disk(size_ + piece.size())) co_return std::unexpected(share_.refused());
  auto written = co_await blocking(context_.loop, context_.services.threads, [this, piece]() -> Result<> {
    if (write_at(file_.get(), piece, size_)) return {};
    return std::unexpected(Error{&kFilesUnavailable}.because(
        "files: " + folder_->path() + ": a file cannot be written: " + std::system_category().message(errno)));
  });
  size_ += piece.size();
  co_return written;
}

Task<Result<>> Upload::publish() {
  auto done = co_await blocking(context_.loop, context_.services.threads,
                                [this] { return folder_->publish(file_, area_, name_); });
  published_ = done.has_value();
  if (published_) crash_point("file.published");
  co_return done;
}

Task<> Upload::discard() {
  if (!std::exchange(published_, false)) co_return;
  file_ = OwnedDescriptor{};
  (void)co_await blocking(context_.loop, context_.services.threads, [this] {
    folder_->remove(area_, name_);
    return true;
  });
}

}  // namespace plimsoll::table
