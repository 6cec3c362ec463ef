#pragma once

// A PostgreSQL server of a test: Debian's programs, a folder of its own, a Unix socket, no network. For tests only.

#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace plimsoll::database {

/// Starts when made, ends with this object. `why` says why it is not there, where it is not.
class PostgresServer {
 public:
  /// Where Debian puts the programs of a version; empty: there are none.
  static std::string programs() {
    for (const auto* version : {"17", "16", "15"})
      if (auto folder = "/usr/lib/postgresql/" + std::string(version) + "/bin";
          std::filesystem::exists(folder + "/initdb"))
        return folder;
    return {};
  }
  /// One for all tests of a program, made by the first; null where PostgreSQL is not installed.
  static PostgresServer* shared() {
    static const auto server = programs().empty() ? nullptr : std::make_unique<PostgresServer>();
    return server && server->why_.empty() ? server.get() : nullptr;
  }

  explicit PostgresServer(const std::string& settings = {}) {
    auto pattern = (std::filesystem::temp_directory_path() / "plimsoll-pg-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    // The programs refuse root.
    if (::geteuid() == 0) {
      if (const auto* user = ::getpwnam("postgres")) user_ = user->pw_uid, group_ = user->pw_gid;
      ::chown(folder_.c_str(), user_, group_);
    }
    if (run({programs() + "/initdb", "-D", data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8",
             "--no-sync", "--no-instructions"}) != 0) {
      why_ = "initdb failed";
      return;
    }
    std::ofstream(data() + "/postgresql.conf", std::ios::app)
        << "listen_addresses=''\nunix_socket_directories='" << folder_
        << "'\nfsync=off\nsynchronous_commit=off\nfull_page_writes=off\nshared_buffers=32MB\nmax_connections=60\n"
           "log_min_messages=warning\nautovacuum=off\n"
        << settings << "\n";
    start();
  }
  ~PostgresServer() {
    stop("immediate");
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  PostgresServer(const PostgresServer&) = delete;

  const std::string& why() const { return why_; }
  void start() {
    if (run({programs() + "/pg_ctl", "-D", data(), "-l", folder_ + "/log", "-w", "-t", "60", "start"}) != 0)
      why_ = "pg_ctl start failed: see " + folder_ + "/log";
  }
  void stop(const std::string& mode) {
    run({programs() + "/pg_ctl", "-D", data(), "-m", mode, "-w", "-t", "60", "stop"});
  }
  /// The process in charge, for signals.
  pid_t pid() const {
    std::ifstream file(data() + "/postmaster.pid");
    pid_t pid = 0;
    file >> pid;
    return pid;
  }
  std::string url(const std::string& name = "postgres") const {
    return "postgres://postgres@/" + name + "?host=" + folder_;
  }
  /// An empty schema of its own, which is quicker made than a database; its URL.
  std::string fresh_schema() {
    const auto name = "test" + std::to_string(++made_);
    psql("CREATE SCHEMA " + name);
    return url() + "&options=-csearch_path%3D" + name;
  }
  int psql(const std::string& sql, const std::string& name = "postgres") {
    return run({programs() + "/psql", "-h", folder_, "-U", "postgres", "-q", "-d", name, "-c", sql});
  }

 private:
  std::string data() const { return folder_ + "/data"; }
  int run(std::vector<std::string> words) const {
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const auto child = ::fork();
    if (child == 0) {
      const int nothing = ::open("/dev/null", O_RDWR);
      for (const int descriptor : {0, 1, 2}) ::dup2(nothing, descriptor);
      if (::geteuid() == 0 && (::setgid(group_) != 0 || ::setuid(user_) != 0)) ::_exit(126);
      if (::chdir("/") != 0) ::_exit(126);
      ::execv(arguments[0], arguments.data());
      ::_exit(127);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::string folder_, why_;
  uid_t user_ = ::geteuid();
  gid_t group_ = ::getegid();
  int made_ = 0;
};

}  // namespace plimsoll::database
