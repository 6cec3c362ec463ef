#include "plimsoll/handler/table/file_folder.hpp"

#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/encoding.hpp"
#include "plimsoll/database/database.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <system_error>

namespace plimsoll::table {
namespace {

constexpr std::string_view kIncoming = "incoming", kMark = "database";
constexpr std::size_t kNameBytes = 16;
constexpr std::size_t kWritten = 4096;  ///< bytes of the file of a check

std::string fan_of(std::string_view name) { return std::string(name.substr(0, 2)); }

/// Calls `take` with each entry; an error of the system in errno: false.
template <class F>
bool each_entry(const OwnedDescriptor& folder, F&& take) {
  const int copy = ::openat(folder.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return false;
  auto* entries = ::fdopendir(copy);
  if (!entries) {
    ::close(copy);
    return false;
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> owner{entries, ::closedir};
  for (;;) {
    errno = 0;
    const auto* entry = ::readdir(entries);
    if (!entry) return errno == 0;
    if (!take(std::string_view(entry->d_name))) return true;
  }
}

constexpr mode_t kMode = 0640, kMarked = 0440;  ///< a file; one that no row names

/// How old and of which mode a file is; nothing where the name is no file.
struct Standing {
  std::int64_t since;  ///< Unix, seconds
  bool marked;
};
std::optional<Standing> standing_of(const OwnedDescriptor& folder, const std::string& name) {
  struct stat seen{};
  if (::fstatat(folder.get(), name.c_str(), &seen, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(seen.st_mode))
    return std::nullopt;
  return Standing{seen.st_mtim.tv_sec, (seen.st_mode & 0200) == 0};
}
bool is_older(const OwnedDescriptor& folder, const std::string& name, std::int64_t before) {
  const auto standing = standing_of(folder, name);
  return standing && standing->since < before;
}

/// Files of one part of an area that are due for a look.
class Due {
 public:
  explicit Due(const OwnedDescriptor& folder) : folder_(folder) {}
  void add(std::string name, bool marked) {
    names.push_back(std::move(name));
    marked_.push_back(marked);
  }
  /// Marks, removes, or takes marks off; `unnamed` is sorted. The number removed.
  std::uint64_t judge(const std::vector<std::string>& unnamed) {
    std::uint64_t removed = 0;
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto* name = names[i].c_str();
      if (!std::ranges::binary_search(unnamed, names[i])) {
        if (marked_[i]) ::fchmodat(folder_.get(), name, kMode, 0);
      } else if (marked_[i]) {
        removed += ::unlinkat(folder_.get(), name, 0) == 0;
      } else if (::utimensat(folder_.get(), name, nullptr, AT_SYMLINK_NOFOLLOW) == 0) {
        ::fchmodat(folder_.get(), name, kMarked, 0);
      }
    }
    names.clear();
    marked_.clear();
    return removed;
  }
  std::vector<std::string> names;

 private:
  const OwnedDescriptor& folder_;
  std::vector<bool> marked_;
};

bool same_folder(const struct stat& one, const struct stat& other) {
  return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

OwnedDescriptor open_folder(const std::string& path) {
  return OwnedDescriptor{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
}

/// With the error of the system in errno.
std::unexpected<Error> cannot_be(std::string_view what, const std::string& path) {
  return std::unexpected(Error{&kFilesUnavailable}.because("files: " + path + " cannot be " + std::string(what) + ": " +
                                                           std::system_category().message(errno)));
}

}  // namespace

std::unexpected<Error> FileFolder::failed(std::string_view what) const {
  return std::unexpected(Error{&kFilesUnavailable}.because("files: " + path_ + ": " + std::string(what) + ": " +
                                                           std::system_category().message(errno)));
}

Error FileFolder::hanging(Nanoseconds span) {
  return Error{&kFilesUnavailable}.because("files: the folder has not answered for " + std::to_string(span / kSecond) +
                                           " s");
}

Result<std::shared_ptr<FileFolder>> FileFolder::open(const std::string& path, std::string_view owner) {
  if (::mkdir(path.c_str(), 0750) != 0 && errno != EEXIST) return cannot_be("made", path);
  auto root = open_folder(path);
  if (!root) return cannot_be("opened", path);
  std::shared_ptr<FileFolder> made{new FileFolder(path, to_hex(as_text(sha256({"files", owner}))), std::move(root))};
  if (auto incoming = made->part(std::string(kIncoming), true); !incoming)
    return std::unexpected(std::move(incoming).error());
  auto marked = made->is_marked(*made->root());
  if (marked && !*marked) {
    if (auto done = made->mark(); !done) return std::unexpected(std::move(done).error());
    marked = made->is_marked(*made->root());
  }
  if (!marked) return std::unexpected(std::move(marked).error());
  if (!*marked) return made->failed("the mark of the database cannot be read");
  return made;
}

Result<> FileFolder::could_open(const std::string& path) {
  const auto is_writable = [](const std::string& folder) {
    return ::faccessat(AT_FDCWD, folder.c_str(), W_OK | X_OK, AT_EACCESS) == 0;
  };
  if (open_folder(path)) return is_writable(path) ? Result<>{} : cannot_be("written to", path);
  if (errno != ENOENT) return cannot_be("opened", path);
  std::error_code unknown;
  const auto parent = (std::filesystem::absolute(path, unknown) / "").parent_path().parent_path();
  return is_writable(parent.string()) ? Result<>{} : cannot_be("made", path);
}

Result<> FileFolder::mark() {
  const auto draft = new_name();
  const std::string name(kMark);
  auto created = create(draft);
  if (!created) return std::unexpected(std::move(created).error());
  if (::write(created->get(), mark_.data(), mark_.size()) != static_cast<ssize_t>(mark_.size()) ||
      ::fsync(created->get()) != 0)
    return failed("the mark of the database cannot be written");
  auto incoming = part(std::string(kIncoming), false);
  if (!incoming) return std::unexpected(std::move(incoming).error());
  // Another process may have marked it meanwhile: the first mark stays.
  if (::linkat(incoming->get(), draft.c_str(), root()->get(), name.c_str(), 0) != 0 && errno != EEXIST)
    return failed("the mark of the database cannot be written");
  remove_incoming(draft);
  if (::fsync(root()->get()) != 0) return failed("the mark of the database cannot be written");
  return {};
}

Result<bool> FileFolder::is_marked(const OwnedDescriptor& root) const {
  const std::string name(kMark);
  const OwnedDescriptor file{::openat(root.get(), name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
  if (!file && errno == ENOENT) return false;
  std::string found(mark_.size() + 1, '\0');
  const auto size = file ? ::read(file.get(), found.data(), found.size()) : -1;
  if (size < 0) return failed("the mark of the database cannot be read");
  found.resize(static_cast<std::size_t>(size));
  if (found == mark_) return true;
  return std::unexpected(Error{&kFilesUnavailable}.because(
      "files: " + path_ + " holds the files of another database, and would lose them" +
      std::string(database::kRemedyFollows) +
      "Name a folder of its own for each database. Where a database was moved "
      "and its secrets were not, remove the file " +
      path_ + "/" + name + "."));
}

std::shared_ptr<const OwnedDescriptor> FileFolder::root() const {
  const std::scoped_lock lock(mutex_);
  return root_;
}

Result<> FileFolder::is_in_place() const {
  struct stat named{}, opened{};
  if (::fstat(root()->get(), &opened) == 0 && ::stat(path_.c_str(), &named) == 0 && same_folder(named, opened))
    return {};
  return std::unexpected(
      Error{&kFilesUnavailable}.because("files: the folder " + path_ + " was moved, replaced or removed"));
}

Result<> FileFolder::check(bool writing) {
  constexpr std::uint64_t kLeast = 256 << 10;  // bytes
  auto found = open_folder(path_);
  if (!found) return failed("the folder cannot be opened");
  auto marked = is_marked(found);
  if (!marked) return std::unexpected(std::move(marked).error());
  if (!*marked)
    return std::unexpected(Error{&kFilesUnavailable}.because(
        "files: the folder " + path_ + " lacks the mark of its database: it was emptied, or is not mounted"));
  if (!is_in_place()) {
    const std::scoped_lock lock(mutex_);
    root_ = std::make_shared<const OwnedDescriptor>(std::move(found));
  }
  struct statvfs room{};
  if (::fstatvfs(root()->get(), &room) != 0) return failed("the room of its file system is not known");
  if (const auto left = std::uint64_t{room.f_bavail} * room.f_frsize; left < kLeast)
    return std::unexpected(Error{&kFilesUnavailable}.because("files: the file system of " + path_ +
                                                             " is full: " + std::to_string(left) + " bytes are left"));
  if (!writing) return {};
  const auto name = new_name();
  auto file = create(name);
  if (!file) return std::unexpected(std::move(file).error());
  const bool written = write_at(file->get(), std::string(kWritten, '\0'), 0) && ::fsync(file->get()) == 0;
  const int why = errno;
  remove_incoming(name);
  errno = why;
  if (!written) return failed("a file cannot be written");
  return {};
}

std::string FileFolder::new_name() { return to_hex(random_bytes(kNameBytes)); }

bool FileFolder::is_name(std::string_view name) noexcept {
  return name.size() == 2 * kNameBytes &&
         std::ranges::all_of(name, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string FileFolder::area_of(std::string_view table, std::string_view file) {
  std::string made;
  const auto add = [&](std::string_view name) {
    for (const char c : name) {
      const bool plain =
          (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
      if (plain)
        made += c;
      else
        made += "%" + to_hex(std::string_view(&c, 1));
    }
  };
  add(table);
  made += '.';
  add(file);
  return made;
}

Result<OwnedDescriptor> FileFolder::part(const std::string& relative, bool make) const {
  if (make && ::mkdirat(root()->get(), relative.c_str(), 0750) != 0 && errno != EEXIST)
    return failed(relative + " cannot be made");
  OwnedDescriptor made{::openat(root()->get(), relative.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)};
  if (!made) return failed(relative + " cannot be opened");
  return made;
}

Result<OwnedDescriptor> FileFolder::create(const std::string& name) {
  if (auto in_place = is_in_place(); !in_place) return std::unexpected(std::move(in_place).error());
  auto incoming = part(std::string(kIncoming), true);
  if (!incoming) return std::unexpected(std::move(incoming).error());
  OwnedDescriptor made{
      ::openat(incoming->get(), name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, kMode)};
  if (!made) return failed("a file cannot be made");
  return made;
}

Result<> FileFolder::publish(const OwnedDescriptor& file, const std::string& area, const std::string& name) {
  if (::fsync(file.get()) != 0) return failed("a file cannot be written");
  const auto fan = area + "/" + fan_of(name);
  auto incoming = part(std::string(kIncoming), false);
  if (!incoming) return std::unexpected(std::move(incoming).error());
  auto to = part(fan, false);
  if (!to) {  // the first of its area, or of its part
    auto above = part(area, true);
    if (!above) return std::unexpected(std::move(above).error());
    to = part(fan, true);
    if (!to) return std::unexpected(std::move(to).error());
    if (::fsync(above->get()) != 0 || ::fsync(root()->get()) != 0) return failed(area + " cannot be written");
  }
  if (::renameat(incoming->get(), name.c_str(), to->get(), name.c_str()) != 0)
    return failed("a file cannot be given its name");
  if (::fsync(to->get()) != 0) return failed("the name of a file cannot be written");
  return is_in_place();  // else nothing is acknowledged that the next start would not find
}

Result<OwnedDescriptor> FileFolder::read(const std::string& area, std::string_view name) const {
  if (!is_name(name))
    return std::unexpected(Error{&kFilesUnavailable}.because("files: a row of " + area + " names no file of " + path_));
  auto folder = part(area + "/" + fan_of(name), false);
  if (!folder) return folder;
  // A pipe of that name waits for nobody.
  OwnedDescriptor made{
      ::openat(folder->get(), std::string(name).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
  struct stat seen{};
  if (!made || ::fstat(made.get(), &seen) != 0) return failed(area + "/" + std::string(name));
  if (S_ISREG(seen.st_mode)) return made;
  errno = EINVAL;
  return failed(area + "/" + std::string(name) + " is no file");
}

void FileFolder::remove(const std::string& area, const std::string& name) noexcept {
  if (!is_name(name)) return;
  if (auto folder = part(area + "/" + fan_of(name), false)) ::unlinkat(folder->get(), name.c_str(), 0);
}

void FileFolder::remove_incoming(const std::string& name) noexcept {
  if (!is_name(name)) return;
  if (auto folder = part(std::string(kIncoming), false)) ::unlinkat(folder->get(), name.c_str(), 0);
}

Result<std::uint64_t> FileFolder::sweep(const std::string& area, std::int64_t before, std::size_t most,
                                        const Unnamed& unnamed) {
  std::uint64_t removed = 0;
  struct stat seen{};
  if (::fstatat(root()->get(), area.c_str(), &seen, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT) return removed;
  for (unsigned fan = 0; fan < 256; ++fan) {
    const auto byte = static_cast<char>(fan);
    const auto name = area + "/" + to_hex(std::string_view(&byte, 1));
    if (::fstatat(root()->get(), name.c_str(), &seen, AT_SYMLINK_NOFOLLOW) != 0) continue;
    auto folder = part(name, false);
    if (!folder) return std::unexpected(std::move(folder).error());
    Due due{*folder};
    Result<> judged;
    const auto judge = [&] {
      auto gone = unnamed(due.names);
      if (!gone) {
        judged = std::unexpected(std::move(gone).error());
        return false;
      }
      std::ranges::sort(*gone);
      removed += due.judge(*gone);
      return true;
    };
    const bool read = each_entry(*folder, [&](std::string_view entry) {
      std::string each(entry);
      if (is_name(each))
        if (const auto standing = standing_of(*folder, each); standing && standing->since < before)
          due.add(std::move(each), standing->marked);
      return due.names.size() < most || judge();
    });
    if (!read) return failed(name + " cannot be read");
    if (judged && !due.names.empty()) judge();
    if (!judged) return std::unexpected(std::move(judged).error());
  }
  return removed;
}

Result<std::uint64_t> FileFolder::sweep_incoming(std::int64_t before) {
  auto folder = part(std::string(kIncoming), false);
  if (!folder) return std::unexpected(std::move(folder).error());
  std::uint64_t removed = 0;
  const bool read = each_entry(*folder, [&](std::string_view entry) {
    const std::string each(entry);
    if (is_name(each) && is_older(*folder, each, before)) removed += ::unlinkat(folder->get(), each.c_str(), 0) == 0;
    return true;
  });
  if (!read) return failed("incoming cannot be read");
  return removed;
}

}  // namespace plimsoll::table
