#pragma once

#include "plimsoll/database/database_speaker.hpp"
#include "plimsoll/database/sqlite.hpp"
#include "plimsoll/database/test_folder.hpp"

#include <gtest/gtest.h>

namespace plimsoll::database {

/// A SQLite file of its own. For tests only.
struct SqliteSpeaker {
  SqliteSpeaker() {
    auto opened =
        open_sqlite({.path = folder / "test.db", .synchronous = SqliteOptions::Synchronous::off, .readers = 1});
    EXPECT_TRUE(opened) << opened.error().detail;
    if (opened) speaker.database = std::move(*opened);
  }
  const Dialect& dialect() const { return speaker.dialect(); }
  std::string why_not() const { return speaker.why_not(); }
  Result<Rows> ask(std::string_view sql, std::span<const Cell> cells) { return speaker.ask(sql, cells); }

  TestFolder folder;
  DatabaseSpeaker speaker;  // ends before its folder
};

}  // namespace plimsoll::database
