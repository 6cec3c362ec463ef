#include "plimsoll/handler/table/folder_probe.hpp"

#include <gtest/gtest.h>

namespace plimsoll::table {
namespace {

TEST(FolderState, AProcessWithoutAFolderHasNothingToSay) {
  FolderState state;
  EXPECT_EQ(state.reason(kSecond), std::nullopt);
  state.watched(true);
  EXPECT_EQ(state.reason(kSecond), "");
  state.watched(false);
  EXPECT_EQ(state.reason(kSecond), std::nullopt);
}

TEST(FolderState, ACheckThatDoesNotEndIsAFault) {
  FolderState state;
  state.watched(true);
  state.checking(10 * kSecond);
  EXPECT_EQ(state.reason(12 * kSecond), "") << "it may still end";
  EXPECT_EQ(state.reason(15 * kSecond), "files: the folder has not answered for 5 s");
  EXPECT_FALSE(state.checked({}));
  EXPECT_EQ(state.reason(100 * kSecond), "");
}

TEST(FolderState, AFaultIsNewOnceAndOutlivesTheProbeThatFoundIt) {
  FolderState state;
  state.watched(true);
  EXPECT_TRUE(state.checked("full"));
  EXPECT_FALSE(state.checked("still full"));
  state.watched(true);  // of the next plan
  state.watched(false);
  EXPECT_EQ(state.reason(0), "still full");
  EXPECT_TRUE(state.failing());
  EXPECT_TRUE(state.checked({}));
  EXPECT_EQ(state.reason(0), "");
}

}  // namespace
}  // namespace plimsoll::table
