#pragma once

// A PostgreSQL server of a test: Debian's programs, a folder of its own, a Unix socket, no network. For tests only.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
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

  /// `files`: by their names in the data folder, as they are before the first start.
  explicit PostgresServer(const std::string& settings = {}, const std::map<std::string, std::string>& files = {}) {
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
    for (const auto& [name, content] : files) {
      const auto path = data() + "/" + name;
      std::ofstream(path) << content;
      ::chmod(path.c_str(), 0600);  // the server refuses a key that others can read
      if (::geteuid() == 0) ::chown(path.c_str(), user_, group_);
    }
    start();
  }
  ~PostgresServer() {
    stop("immediate");
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  PostgresServer(const PostgresServer&) = delete;

  const std::string& why() const { return why_; }
  const std::string& folder() const { return folder_; }
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
  /// SIGSTOP, or SIGCONT, to all processes of the server.
  void freeze(bool frozen) const {
    const auto all = pid();
    const int signal = frozen ? SIGSTOP : SIGCONT;
    ::kill(all, signal);  // first: it makes no further ones, once it has stopped
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (frozen && !stopped(all) && std::chrono::steady_clock::now() < until) std::this_thread::yield();
    std::ifstream children("/proc/" + std::to_string(all) + "/task/" + std::to_string(all) + "/children");
    for (pid_t child = 0; children >> child;) ::kill(child, signal);
  }
  /// A port of the loopback interface that nobody uses now, for `listen_addresses`.
  static int free_port() {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    socklen_t size = sizeof address;
    ::bind(socket, reinterpret_cast<const sockaddr*>(&address), size);
    ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size);
    ::close(socket);
    return ntohs(address.sin_port);
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
  /// An empty database; its name.
  std::string fresh_database() {
    const auto name = "base" + std::to_string(++made_);
    psql("CREATE DATABASE " + name + " STRATEGY FILE_COPY");
    return name;
  }
  int psql(const std::string& sql, const std::string& name = "postgres", int port = 5432) {
    return run({programs() + "/psql", "-h", folder_, "-p", std::to_string(port), "-U", "postgres", "-q", "-d", name,
                "-c", sql});
  }

 private:
  friend class PgBouncer;
  std::string data() const { return folder_ + "/data"; }
  static bool stopped(pid_t process) {
    std::ifstream file("/proc/" + std::to_string(process) + "/stat");
    std::string stat{std::istreambuf_iterator<char>(file), {}};
    const auto name_end = stat.rfind(") ");
    return name_end != stat.npos && stat[name_end + 2] == 'T';
  }
  pid_t begin(std::vector<std::string> words) const {
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
    return child;
  }
  static int end(pid_t child) {
    int status = -1;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  int run(std::vector<std::string> words) const { return end(begin(std::move(words))); }
  std::string folder_, why_;
  uid_t user_ = ::geteuid();
  gid_t group_ = ::getegid();
  int made_ = 0;
};

/// PgBouncer in transaction mode before a server, on a Unix socket in the server's folder. Ends with this object.
class PgBouncer {
 public:
  static constexpr const char* kProgram = "/usr/sbin/pgbouncer";
  static bool installed() { return std::filesystem::exists(kProgram); }
  explicit PgBouncer(PostgresServer& server) : server_(server) {
    const auto file = server.folder() + "/pgbouncer.ini";
    std::ofstream(server.folder() + "/users.txt") << "\"postgres\" \"\"\n";
    std::ofstream(file) << "[databases]\n* = host=" << server.folder()
                        << "\n[pgbouncer]\nlisten_addr=\nlisten_port=6432\nunix_socket_dir=" << server.folder()
                        << "\nauth_type=trust\nauth_file=" << server.folder()
                        << "/users.txt\npool_mode=transaction\ndefault_pool_size=4\n";
    child_ = server.begin({kProgram, "-q", file});
    while (!std::filesystem::exists(server.folder() + "/.s.PGSQL.6432") && ::waitpid(child_, nullptr, WNOHANG) == 0)
      std::this_thread::yield();
  }
  ~PgBouncer() {
    ::kill(child_, SIGTERM);
    PostgresServer::end(child_);
  }
  PgBouncer(const PgBouncer&) = delete;
  std::string url(const std::string& name) const { return server_.url(name) + "&port=6432"; }

 private:
  PostgresServer& server_;
  pid_t child_;
};

}  // namespace plimsoll::database
