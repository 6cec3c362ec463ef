#include "plimsoll/handler/table/folder_probe.hpp"

#include <gtest/gtest.h>

namespace plimsoll::table {
namespace {

TEST(FolderState, AProcessWithoutAFolderHasNothingToSay) {
  FolderState state;
  EXPECT_EQ(state.reason(), std::nullopt);
  state.watched(true);
  EXPECT_EQ(state.reason(), "");
  state.watched(false);
  EXPECT_EQ(state.reason(), std::nullopt);
}

TEST(FolderState, AFaultIsNewOnceAndOutlivesTheProbeThatFoundIt) {
  FolderState state;
  state.watched(true);
  EXPECT_TRUE(state.checked("full"));
  EXPECT_FALSE(state.checked("still full"));
  state.watched(true);  // of the next plan
  state.watched(false);
  EXPECT_EQ(state.reason(), "still full");
  EXPECT_TRUE(state.failing());
  EXPECT_TRUE(state.checked({}));
  EXPECT_EQ(state.reason(), "");
}

}  // namespace
}  // namespace plimsoll::table
