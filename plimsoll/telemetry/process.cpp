#include "plimsoll/telemetry/process.hpp"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

namespace plimsoll::telemetry {
namespace {

std::string text_of(const char* path) {
  std::ifstream file(path);
  std::string text;
  std::getline(file, text, '\0');
  return text;
}

/// A field of /proc/self/stat by its number in proc(5), which begins at 1; at least 4.
double stat_field(int number) {
  const auto text = text_of("/proc/self/stat");
  const auto name_end = text.rfind(')');  // the name may hold spaces
  if (name_end == text.npos) return 0;
  std::size_t at = name_end + 1;
  for (int field = 3; field < number && at != text.npos; ++field) at = text.find(' ', at + 1);
  return at == text.npos ? 0 : std::strtod(text.c_str() + at, nullptr);
}

double cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

double open_descriptors() {
  auto* folder = ::opendir("/proc/self/fd");
  if (!folder) return 0;
  double count = -1;  // the one that lists them
  while (const auto* entry = ::readdir(folder)) count += entry->d_name[0] != '.';
  ::closedir(folder);
  return count;
}

double max_descriptors() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<double>(limit.rlim_cur);
}

double start_time() {
  const auto text = text_of("/proc/stat");
  const auto at = text.find("\nbtime ");
  if (at == text.npos) return 0;
  return std::strtod(text.c_str() + at + 7, nullptr) + stat_field(22) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

/// The memory that the process may use: of its control group, else of the machine.
double memory_limit() {
  const double machine = static_cast<double>(::sysconf(_SC_PHYS_PAGES)) * static_cast<double>(::sysconf(_SC_PAGESIZE));
  for (const auto* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    const double limit = std::strtod(text_of(path).c_str(), nullptr);  // "max": 0
    if (limit > 0 && limit < machine) return limit;
  }
  return machine;
}

constexpr std::string_view kCompiler =
#if defined(__clang__)
    "clang " __clang_version__;
#else
    "gcc " __VERSION__;
#endif

}  // namespace

std::vector<Observation> observe_process(Registry& registry, std::string_view version) {
  std::vector<Observation> all;
  const auto add = [&](Kind kind, std::string_view name, std::string_view help, double (*read)()) {
    all.push_back(registry.observe(kind, name, help, {}, read));
  };
  add(Kind::counter, "process_cpu_seconds_total", "CPU time of the process, user and system.", cpu_seconds);
  add(
      Kind::gauge, "process_resident_memory_bytes", "Memory of the process that is in RAM.",
      +[] { return stat_field(24) * static_cast<double>(::sysconf(_SC_PAGESIZE)); });
  add(Kind::gauge, "process_virtual_memory_bytes", "Address space of the process.", +[] { return stat_field(23); });
  add(Kind::gauge, "plimsoll_memory_limit_bytes",
      "Memory that the process may use: the limit of its control group, otherwise the RAM of the machine.",
      memory_limit);
  add(Kind::gauge, "process_open_fds", "Open file descriptors.", open_descriptors);
  add(Kind::gauge, "process_max_fds", "File descriptors that the process may open.", max_descriptors);
  add(Kind::gauge, "process_threads", "Threads of the process.", +[] { return stat_field(20); });
  const double started = start_time();
  all.push_back(registry.observe(Kind::gauge, "process_start_time_seconds", "When the process started, in Unix time.",
                                 {}, [started] { return started; }));
  const Label build[] = {{"version", version}, {"compiler", kCompiler}};
  all.push_back(registry.observe(Kind::gauge, "plimsoll_build_info", "Version and compiler of this program; always 1.",
                                 build, [] { return 1.0; }));
  return all;
}

}  // namespace plimsoll::telemetry
