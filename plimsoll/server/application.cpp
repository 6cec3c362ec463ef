#include "plimsoll/server/application.hpp"

#include "plimsoll/queue/workers.hpp"
#include "plimsoll/server/handlers.hpp"
#include "plimsoll/server/words.hpp"

namespace plimsoll {

Application::Application(std::string contract) : contract_(std::move(contract)) {}
Application::~Application() = default;

Application& Application::on(std::string operation_id, std::unique_ptr<Handler> handler) {
  handlers_[std::move(operation_id)] = std::move(handler);
  return *this;
}

Application& Application::job(std::string kind, std::unique_ptr<queue::Runner> runner) {
  runners_[std::move(kind)] = std::move(runner);
  return *this;
}

Application& Application::problem(DeclaredProblem problem) {
  problems_.push_back(problem);
  return *this;
}

void Application::refuse(const Result<>& added) {
  if (added) return;
  mistakes_.push_back({.code = "program",
                       .file = {},
                       .what = added.error().detail,
                       .remedy = "Correct the program, where it calls `Application`."});
}

Application& Application::policy(const Part& part, server::Side side, std::string_view beside) {
  refuse(server::add_row(part, side, beside));
  return *this;
}

Application& Application::handling(const Handling& handling) {
  refuse(server::add_handling(handling));
  return *this;
}

Application& Application::engine(const database::Engine& engine) {
  refuse(database::add_engine(engine));
  return *this;
}

Application& Application::section(const config::Section& section) {
  refuse(server::add_section(section));
  return *this;
}

Application& Application::version(std::string contract) {
  versions_.push_back(std::move(contract));
  return *this;
}

Application& Application::overlay(std::string file) {
  overlays_.push_back(std::move(file));
  return *this;
}

server::Settings Application::completed(server::Settings settings) const {
  if (settings.contract.empty()) settings.contract = contract_;
  settings.versions.insert(settings.versions.begin(), versions_.begin(), versions_.end());
  settings.overlays.insert(settings.overlays.begin(), overlays_.begin(), overlays_.end());
  return settings;
}

std::expected<std::unique_ptr<server::Instance>, contract::Complaints> Application::instance(
    server::Settings settings) {
  if (!mistakes_.empty()) return std::unexpected(mistakes_);
  return server::Instance::create(completed(std::move(settings)), std::exchange(handlers_, {}),
                                  std::exchange(runners_, {}), problems_);
}

}  // namespace plimsoll
