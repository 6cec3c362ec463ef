#pragma once

#include "plimsoll/exchange/body_memory.hpp"
#include "plimsoll/handler/table/file_folder.hpp"
#include "plimsoll/handler/table/form_files.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace plimsoll::table {

/// The folder of the files of a plan (`Services::of_plan`); null: no table has files in one.
struct PlanFolder {
  std::shared_ptr<FileFolder> folder;
};

/// A file on its way into the folder: written as it comes, a piece at a time in memory, and all of it in the budget of
/// bodies on disk until the exchange ends. What is not published goes with this object; what is published and whose
/// transaction is not known to have failed stays, and the sweep judges it.
class Upload {
 public:
  Upload(Context& context, const Peer& peer, std::shared_ptr<FileFolder> folder, BodyMemory& memory, std::string area)
      : context_(context), folder_(std::move(folder)), share_(memory, peer), incoming_(std::make_shared<Incoming>()) {
    incoming_->area = std::move(area);
  }
  Upload(const Upload&) = delete;
  ~Upload();

  Task<Result<>> begin();
  Task<Result<>> add(std::string_view piece);
  /// Durable under its name when this returns: before the transaction that names it commits.
  Task<Result<>> publish();
  /// The transaction has failed, and nothing names the file.
  void discard() noexcept;

  std::uint64_t size() const { return size_; }
  const std::string& name() const { return incoming_->name; }

 private:
  Context& context_;
  std::shared_ptr<FileFolder> folder_;
  BodyShare share_;
  /// What the threads of the folder work on, also after this has gone.
  struct Incoming {
    std::string area, name;
    OwnedDescriptor file;
    std::string piece;
    std::uint64_t size = 0;  ///< before the piece
  };

  std::shared_ptr<Incoming> incoming_;
  std::uint64_t size_ = 0;
  bool begun_ = false, published_ = false;
};

}  // namespace plimsoll::table
