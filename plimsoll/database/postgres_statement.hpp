#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::database {

/// A statement with `?` for its parameters as PostgreSQL takes it: `$1`, `$2`, … in order, and `$2` for `?2`. What
/// stands in quotes (`'…'`, `E'…'`, `"…"`, `$tag$…$tag$`) and in comments stays as it is; `??` is the operator `?`.
std::string numbered_parameters(std::string_view sql);

/// Whether a statement begins with these words, written in capitals, behind blanks and comments.
bool begins_with(std::string_view sql, std::string_view words);

/// Whether the text of a statement says that it changes nothing: it begins with SELECT, VALUES, TABLE or WITH and has
/// none of the words that write or lock. False where it is not clear. Functions that write are not seen.
bool reads_only(std::string_view sql);

/// The tables that a statement writes, as its text names them, without their schema: each once.
std::vector<std::string> tables_written(std::string_view sql);

}  // namespace plimsoll::database
