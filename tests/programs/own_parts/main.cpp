// A program that adds a policy, a way of answering operations and a database engine, from outside the tree.
#include <plimsoll/exchange/context.hpp>
#include <plimsoll/server/application.hpp>

#include <cstdlib>

namespace plimsoll::database {
extern const Engine toy_engine;  // toy.cpp
}

namespace {

constexpr plimsoll::Problem kClosed{"shop-closed", 403, "The shop is closed at this hour",
                                    "Repeat the request within the opening hours.", false};

/// `opening-hours: {from: 8, to: 18}`; the header `hour` stands for the clock.
class OpeningHours final : public plimsoll::Check {
 public:
  struct Options {
    std::int64_t from = 8, to = 18;
  };
  static constexpr plimsoll::config::Field fields[] = {
      plimsoll::config::field<&Options::from>("from", "The first hour.", {0, 23}),
      plimsoll::config::field<&Options::to>("to", "The hour after the last.", {1, 24}),
  };
  static constexpr const plimsoll::Problem* problems[] = {&kClosed};

  static plimsoll::Result<std::unique_ptr<plimsoll::Policy>> build(Options options, const plimsoll::Build& build) {
    if (!build.operation.extension("opening-hours")) return nullptr;
    return std::make_unique<OpeningHours>(options);
  }
  explicit OpeningHours(Options options) : options_(options) {}
  plimsoll::Result<> check(plimsoll::Request& request, plimsoll::Context& context) override {
    const auto hour = std::atoi(std::string(request.headers.find("hour")).c_str());
    if (hour >= options_.from && hour < options_.to) return {};
    return plimsoll::fail(kClosed, context.principal ? "you are known" : "you are not known");
  }

 private:
  const Options options_;
};
constexpr plimsoll::Part opening_hours =
    plimsoll::part<OpeningHours>("opening-hours", "Refuses requests outside of the opening hours.");

/// `greeting: Hello`: answers with the word.
class Greeting final : public plimsoll::Handler {
 public:
  explicit Greeting(std::string word) : word_(std::move(word)) {}
  plimsoll::Task<plimsoll::Result<plimsoll::Response>> handle(plimsoll::Request&, plimsoll::Context& context) override {
    plimsoll::Response response{
        .status = 200, .headers = plimsoll::Headers{context.arena}, .body = plimsoll::lasting(word_)};
    response.headers.add("content-type", "text/plain");
    co_return response;
  }

 private:
  const std::string word_;
};
constexpr plimsoll::Handling greeting{
    .key = {.name = "greeting",
            .sentence = "Answers with a word.",
            .short_form = R"("type":"string")",
            .example = "Hello"},
    .problems = {},
    .build = [](const plimsoll::json::Value& options,
                const plimsoll::Build&) -> plimsoll::Result<std::unique_ptr<plimsoll::Handler>> {
      return std::make_unique<Greeting>(std::string(options.string()));
    },
};

}  // namespace

int main(int argc, char** argv) {
  const char* beside = std::getenv("BESIDE");
  plimsoll::Application application{"contract.yaml"};
  application.policy(opening_hours, plimsoll::server::Side::after, beside ? beside : "authentication");
  application.handling(greeting);
  application.engine(plimsoll::database::toy_engine);
  return application.run(argc, argv);
}
