#include "plimsoll/handler/table/file_upload.hpp"

#include "plimsoll/base/crash_point.hpp"
#include "plimsoll/database/database.hpp"

#include <unistd.h>
#include <cerrno>
#include <system_error>

namespace plimsoll::table {
Upload::~Upload() {
  if (!begun_ || published_) return;
  folder_->later([incoming = std::move(incoming_)](FileFolder& folder) { folder.remove_incoming(incoming->name); });
}

Task<Result<>> Upload::begin() {
  incoming_->name = FileFolder::new_name();
  begun_ = true;
  auto made = co_await folder_->apart(context_.loop, [incoming = incoming_](FileFolder& folder) -> Result<> {
    auto file = folder.create(incoming->name);
    if (!file) return std::unexpected(std::move(file).error());
    incoming->file = std::move(*file);
    return {};
  });
  co_return made;
}

Task<Result<>> Upload::add(std::string_view piece) {
  if (!share_.take_disk(size_ + piece.size())) co_return std::unexpected(share_.refused());
  incoming_->piece.assign(piece);
  incoming_->size = size_;
  auto written = co_await folder_->apart(context_.loop, [incoming = incoming_](FileFolder& folder) -> Result<> {
    if (write_at(incoming->file.get(), incoming->piece, incoming->size)) return {};
    return std::unexpected(Error{&kFilesUnavailable}.because(
        "files: " + folder.path() + ": a file cannot be written: " + std::system_category().message(errno)));
  });
  size_ += piece.size();
  co_return written;
}

Task<Result<>> Upload::publish() {
  auto done = co_await folder_->apart(context_.loop, [incoming = incoming_](FileFolder& folder) {
    auto published = folder.publish(incoming->file, incoming->area, incoming->name);
    incoming->file = OwnedDescriptor{};
    return published;
  });
  published_ = done.has_value();
  if (published_) crash_point("file.published");
  co_return done;
}

void Upload::discard() noexcept {
  if (!std::exchange(published_, false)) return;
  begun_ = false;
  folder_->later(
      [incoming = std::move(incoming_)](FileFolder& folder) { folder.remove(incoming->area, incoming->name); });
}

}  // namespace plimsoll::table
