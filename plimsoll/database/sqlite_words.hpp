#pragma once

#include <cstdint>

struct sqlite3;

namespace plimsoll::database {

/// Bytes of text that a statement may still have looked through; below 0 it ends as one that takes too many steps does.
struct TextBudget {
  std::int64_t left = INT64_MAX;
};

/// Adds `plimsoll_finds(words, text, …)`: whether texts hold the words of a Search, just as the index of `q` finds
/// them, which splits texts by the same tokenizer (unicode61 of FTS5). For rows that are reached in another way: a look
/// into the index costs more than one at the row. False where FTS5 is not to be had.
bool add_word_function(sqlite3* db, TextBudget& budget);

}  // namespace plimsoll::database
