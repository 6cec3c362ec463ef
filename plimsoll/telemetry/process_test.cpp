#include "plimsoll/telemetry/process.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <ctime>
#include <thread>

namespace plimsoll::telemetry {
namespace {

double value_of(const Registry& registry, const std::string& name) {
  const auto text = registry.expose();
  const auto at = text.find('\n' + name + ' ');
  EXPECT_NE(at, text.npos) << name;
  return at == text.npos ? 0 : std::stod(text.substr(at + name.size() + 2));
}

TEST(Process, CountsItsDescriptorsThreadsAndCpuTime) {
  Registry registry;
  const auto observed = observe_process(registry, "1.2.3");
  const auto before = value_of(registry, "process_open_fds");
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  EXPECT_EQ(value_of(registry, "process_open_fds"), before + 2);
  ::close(pipe[0]), ::close(pipe[1]);

  const auto threads = value_of(registry, "process_threads");
  std::atomic<bool> over = false;
  std::jthread other([&] { over.wait(false); });
  EXPECT_EQ(value_of(registry, "process_threads"), threads + 1);
  over = true;
  over.notify_all();

  const auto cpu = value_of(registry, "process_cpu_seconds_total");
  const auto spent = std::clock();
  while (std::clock() - spent < CLOCKS_PER_SEC / 20) {}
  EXPECT_GE(value_of(registry, "process_cpu_seconds_total"), cpu + 0.04);
}

TEST(Process, SaysItsMemoryLimitsStartAndBuild) {
  Registry registry;
  const auto observed = observe_process(registry, "1.2.3");
  const auto resident = value_of(registry, "process_resident_memory_bytes");
  EXPECT_GT(resident, 1e6);
  EXPECT_GT(value_of(registry, "process_virtual_memory_bytes"), resident);
  EXPECT_GT(value_of(registry, "plimsoll_memory_limit_bytes"), resident);
  EXPECT_GE(value_of(registry, "process_max_fds"), value_of(registry, "process_open_fds"));
  const auto started = value_of(registry, "process_start_time_seconds");
  EXPECT_LE(started, static_cast<double>(std::time(nullptr)) + 2);
  EXPECT_GT(started, static_cast<double>(std::time(nullptr)) - 86400);
  EXPECT_NE(registry.expose().find("plimsoll_build_info{version=\"1.2.3\",compiler=\""), std::string::npos);
}

}  // namespace
}  // namespace plimsoll::telemetry
