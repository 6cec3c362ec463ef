#include "plimsoll/contract/contract.hpp"

#include <gtest/gtest.h>

#include <filesystem>

namespace plimsoll::contract {
namespace {

std::string folder() {
  const char* set = std::getenv("PLIMSOLL_REAL_DATA");
  return (set ? std::string(set) : std::string(PLIMSOLL_SOURCE_DIR "/../shared/real")) + "/contracts/";
}

std::string all(const Complaints& complaints) {
  std::string text;
  for (auto& c : complaints) text += to_string(c) + "\n";
  return text;
}

struct Expected {
  const char* file;
  std::size_t operations, unreachable;
};

class RealContracts : public testing::TestWithParam<Expected> {};

TEST_P(RealContracts, LoadAndEveryOperationRoutes) {
  const auto [name, operations, unreachable] = GetParam();
  const auto file = folder() + name;
  if (!std::filesystem::exists(file)) GTEST_SKIP() << file << " is not there";
  const auto loaded = load({.file = file});
  ASSERT_TRUE(loaded) << all(loaded.error());
  const auto& contract = **loaded;
  EXPECT_EQ(contract.operations.size(), operations);
  std::size_t lost = 0;
  for (auto& op : contract.operations) {
    std::string path = op.path;
    for (auto open = path.find('{'); open != path.npos; open = path.find('{'))
      path.replace(open, path.find('}', open) - open + 1, "value" + std::to_string(open));
    if (!op.reachable) {
      ++lost;
      continue;
    }
    const auto match = contract.match(op.method, path);
    ASSERT_EQ(match.kind, Match::Kind::found) << op.method << " " << path;
    EXPECT_EQ(match.operation->id, op.id);
    EXPECT_EQ(match.count, contract.path_parameters(op).size());
  }
  EXPECT_EQ(lost, unreachable);
}

INSTANTIATE_TEST_SUITE_P(All, RealContracts,
                         testing::Values(Expected{"box.json", 296, 19}, Expected{"museum.yaml", 8, 0},
                                         Expected{"oai-api-with-examples.yaml", 2, 0},
                                         Expected{"oai-link-example.yaml", 6, 0},
                                         Expected{"oai-petstore-expanded.yaml", 4, 0}, Expected{"oai-uspto.yaml", 3, 0},
                                         Expected{"train-travel.yaml", 7, 0},
                                         Expected{"twilio-api-v2010.yaml", 197, 0}),
                         [](const auto& test) {
                           std::string name = test.param.file;
                           for (auto& c : name)
                             if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
                           return name;
                         });

TEST(TrainTravel, LoadsWithItsOverlay) {
  const auto file = folder() + "train-travel.yaml";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << file << " is not there";
  const auto plain = load({.file = file});
  const auto loaded = load({.file = file, .overlays = {folder() + "train-travel.overlay.yaml"}});
  ASSERT_TRUE(plain);
  ASSERT_TRUE(loaded) << all(loaded.error());
  EXPECT_TRUE((*plain)->root->find("x-topics"));
  EXPECT_FALSE((*loaded)->root->find("x-topics"));
  const auto* media =
      (*loaded)->root->at("paths", "/stations", "get", "responses", "200", "content", "application/json");
  ASSERT_TRUE(media);
  EXPECT_FALSE(media->find("example"));
  EXPECT_EQ(media->find("examples")->object().size(), 3u);
  const auto* parameters = (*loaded)->root->at("paths", "/stations", "get", "parameters");
  for (auto& parameter : parameters->array())
    if (const auto* name = parameter.find("name"); name && name->string() == "search") {
      EXPECT_FALSE(parameter.find("example"));
      EXPECT_EQ(parameter.find("examples")->object().size(), 3u);
    }
  std::size_t unmatched = 0;  // the overlay removes one example that the document does not have
  for (auto& warning : (*loaded)->warnings) unmatched += warning.code == "target-matches-nothing";
  EXPECT_EQ(unmatched, 1u);
}

}  // namespace
}  // namespace plimsoll::contract
