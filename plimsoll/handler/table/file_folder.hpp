#pragma once

#include "plimsoll/async/abandonable.hpp"
#include "plimsoll/base/owned_descriptor.hpp"
#include "plimsoll/base/result.hpp"
#include "plimsoll/config/options.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plimsoll::table {

inline constexpr Problem kFilesUnavailable{"files-unavailable", 503, "The folder of files is not available",
                                           "Try again later.", true};

/// `files` of the deployment.
struct FolderOptions {
  std::string folder;
  config::Duration keep = config::days(1);
};
inline constexpr config::Field kFolderFields[] = {
    config::shown(
        config::field<&FolderOptions::folder>(
            "folder", "The folder for files of rows that are `stored: folder`; it is made where it is missing."),
        "/var/lib/shop/files"),
    config::shown(config::field<&FolderOptions::keep>(
                      "keep", "How long a file stays in the folder after its row has lost it, at least.",
                      {600 * kSecond, 365 * 86400 * kSecond}),
                  "7d"),
};
inline constexpr config::Section kFilesSection = config::section<FolderOptions, kFolderFields>(
    "files", "Where files of rows are kept that are not in the database.", "{folder: /var/lib/shop/files}");

/// The folder that holds files of rows: `TABLE.FILE/3f/3f…`, each under a random name of 32 hexadecimal digits that the
/// row keeps, written under `incoming` before. Names of tables and files are encoded, and a name from a row that is no
/// such name is no file: nothing that a caller or a row says leads out of the folder. All block, and where the folder
/// is on a file system that hangs, for good: exchanges call them by `apart`. Errors are `files-unavailable` with the
/// cause. Safe from several threads.
class FileFolder : public std::enable_shared_from_this<FileFolder> {
 public:
  static constexpr Nanoseconds kHanging = 3 * kSecond;  ///< a call that takes longer hangs

  /// Makes the folder where it is missing. `owner` is the identity of a database: a folder that another database has
  /// marked is refused.
  static Result<std::shared_ptr<FileFolder>> open(const std::string& path, std::string_view owner);
  /// Whether `open` would find or could make a folder there that it may write to. Nothing is made, and whose it is is
  /// not looked at.
  static Result<> could_open(const std::string& path);

  /// Whether the folder that the deployment names is there, is marked by this database and has room; with `writing`,
  /// whether it takes a file. One that was replaced, by one with the same mark, is used from then on.
  Result<> check(bool writing);

  static std::string new_name();
  static bool is_name(std::string_view name) noexcept;
  /// The part of the folder for one file of one table.
  static std::string area_of(std::string_view table, std::string_view file);

  /// A new file without a reader yet.
  Result<OwnedDescriptor> create(const std::string& name);
  /// Gives it its place, durably: its bytes and its name are on disk when this returns, in the folder that the
  /// deployment names.
  Result<> publish(const OwnedDescriptor& file, const std::string& area, const std::string& name);
  /// To be read. An error where there is none.
  Result<OwnedDescriptor> read(const std::string& area, std::string_view name) const;
  /// Also of one that was not published. What is not there is removed already.
  void remove(const std::string& area, const std::string& name) noexcept;
  void remove_incoming(const std::string& name) noexcept;

  /// Looks at the files of an area that have been as they are since `before` (Unix, seconds). Their names, at most
  /// `most` at once, go to `unnamed`, which says which of them no row names; an error ends the look. Such a file is
  /// marked, by its mode and the time of now, and the one that has been marked since `before` is removed. A mark of one
  /// that a row names after all is taken off. The number of files removed.
  using Unnamed = std::function<Result<std::vector<std::string>>(const std::vector<std::string>&)>;
  Result<std::uint64_t> sweep(const std::string& area, std::int64_t before, std::size_t most, const Unnamed& unnamed);
  /// Removes what was begun before `before` and never published.
  Result<std::uint64_t> sweep_incoming(std::int64_t before);

  const std::string& path() const noexcept { return path_; }

  /// `Result<T> got = co_await folder->apart(loop, [own = …](FileFolder& folder) { … });`: on a thread of the folder,
  /// which is left behind when the exchange is told to stop. The work owns all that it touches. Where every thread
  /// hangs, an error at once.
  template <class F>
  Task<std::invoke_result_t<F&, FileFolder&>> apart(Loop& loop, F work) {
    if (threads_.hang(kHanging)) co_return std::unexpected(hanging(kHanging));
    auto done = co_await abandonable(
        loop, threads_, [self = shared_from_this(), work = std::move(work)]() mutable { return work(*self); });
    co_return done;
  }
  /// The same where nobody waits for it.
  template <class F>
  void later(F work) noexcept {
    try {
      threads_.post([self = shared_from_this(), work = std::move(work)]() mutable { work(*self); });
    } catch (...) {}  // without memory or a thread; what is left over is removed by the sweep
  }
  /// The folder has not answered for that long.
  static Error hanging(Nanoseconds span);

 private:
  FileFolder(std::string path, std::string mark, OwnedDescriptor root)
      : path_(std::move(path)),
        mark_(std::move(mark)),
        root_(std::make_shared<const OwnedDescriptor>(std::move(root))) {}
  std::shared_ptr<const OwnedDescriptor> root() const;
  /// Whether a folder has the mark of this database; an error where it has that of another.
  Result<bool> is_marked(const OwnedDescriptor& root) const;
  Result<> mark();
  /// The folder that is open is still the one that the path leads to.
  Result<> is_in_place() const;
  Result<OwnedDescriptor> part(const std::string& relative, bool make) const;
  std::unexpected<Error> failed(std::string_view what) const;

  static constexpr unsigned kThreads = 4;

  const std::string path_, mark_;
  AbandonableThreads threads_{kThreads};
  mutable std::mutex mutex_;  ///< of `root_`
  std::shared_ptr<const OwnedDescriptor> root_;
};

}  // namespace plimsoll::table
