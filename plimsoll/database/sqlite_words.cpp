#include "plimsoll/database/sqlite_words.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::database {
namespace {

constexpr int kLongestToken = 32'768;  ///< bytes; FTS5 cuts longer ones

/// Tokens of a text, one behind the other.
struct Tokens {
  std::string bytes;
  std::vector<std::size_t> ends;

  void clear() {
    bytes.clear();
    ends.clear();
  }
  std::string_view at(std::size_t i) const {
    const auto begin = i ? ends[i - 1] : 0;
    return std::string_view(bytes).substr(begin, ends[i] - begin);
  }
  static int add(void* self, int, const char* token, int size, int, int) {
    auto& tokens = *static_cast<Tokens*>(self);
    try {  // FTS5's frames know no exceptions
      tokens.bytes.append(token, static_cast<std::size_t>(std::min(size, kLongestToken)));
      tokens.ends.push_back(tokens.bytes.size());
    } catch (const std::bad_alloc&) { return SQLITE_NOMEM; }
    return SQLITE_OK;
  }
};

/// What stands in quotes: tokens that follow each other, the last perhaps only a beginning.
struct Phrase {
  Tokens tokens;
  bool beginning = false;
  bool is_in(const Tokens& text) const {
    const auto size = tokens.ends.size();
    for (std::size_t at = 0; at + size <= text.ends.size(); ++at) {
      std::size_t same = 0;
      while (same < size && (beginning && same + 1 == size ? text.at(at + same).starts_with(tokens.at(same))
                                                           : text.at(at + same) == tokens.at(same)))
        ++same;
      if (same == size) return true;
    }
    return false;
  }
};

/// The tokenizer of the index, and room for the tokens of a row.
class Words {
 public:
  explicit Words(TextBudget& budget) : budget_(budget) {}
  ~Words() {
    if (instance_) tokenizer_.xDelete(instance_);
  }
  Words(const Words&) = delete;

  bool open(sqlite3* db) {
    fts5_api* api = nullptr;
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(db, "SELECT fts5(?)", -1, &statement, nullptr) != SQLITE_OK) return false;
    sqlite3_bind_pointer(statement, 1, &api, "fts5_api_ptr", nullptr);
    sqlite3_step(statement);
    sqlite3_finalize(statement);
    void* data = nullptr;
    const char* options[] = {"remove_diacritics", "2"};
    return api && api->xFindTokenizer(api, "unicode61", &data, &tokenizer_) == SQLITE_OK &&
           tokenizer_.xCreate(data, options, 2, &instance_) == SQLITE_OK;
  }
  /// As FTS5 reads `"one" "another"*`: a phrase without tokens says nothing.
  int parse(std::string_view asked, std::vector<Phrase>& phrases) {
    for (std::size_t at = 0; at < asked.size();) {
      if (asked[at++] != '"') continue;
      std::string text;
      for (; at < asked.size(); ++at) {
        if (asked[at] == '"' && (at + 1 == asked.size() || asked[++at] != '"')) break;
        text += asked[at];
      }
      Phrase made;
      made.beginning = at < asked.size() && asked[at] == '*';
      const int flags = FTS5_TOKENIZE_QUERY | (made.beginning ? FTS5_TOKENIZE_PREFIX : 0);
      if (const int code = split(text, flags, made.tokens); code != SQLITE_OK) return code;
      if (!made.tokens.ends.empty()) phrases.push_back(std::move(made));
    }
    return SQLITE_OK;
  }
  int split(std::string_view text, int flags, Tokens& into) {
    into.clear();
    return text.empty() ? SQLITE_OK
                        : tokenizer_.xTokenize(instance_, &into, flags, text.data(), static_cast<int>(text.size()),
                                               &Tokens::add);
  }
  /// The phrases that occur in a text are marked.
  int look(std::string_view text, std::span<const Phrase> phrases, std::vector<char>& found) {
    budget_.left -= static_cast<std::int64_t>(text.size());
    if (budget_.left < 0) return SQLITE_INTERRUPT;
    if (const int code = split(text, FTS5_TOKENIZE_DOCUMENT, tokens_); code != SQLITE_OK) return code;
    for (std::size_t i = 0; i < phrases.size(); ++i)
      if (!found[i]) found[i] = phrases[i].is_in(tokens_);
    return SQLITE_OK;
  }

  std::vector<char> found;

 private:
  TextBudget& budget_;
  fts5_tokenizer tokenizer_{};
  Fts5Tokenizer* instance_ = nullptr;
  Tokens tokens_;
};

std::string_view text_of(sqlite3_value* value) {
  const auto* text = reinterpret_cast<const char*>(sqlite3_value_text(value));
  return {text ? text : "", text ? static_cast<std::size_t>(sqlite3_value_bytes(value)) : 0};
}

void finds(sqlite3_context* context, int count, sqlite3_value** values) {
  auto& words = *static_cast<Words*>(sqlite3_user_data(context));
  try {
    auto* phrases = static_cast<std::vector<Phrase>*>(sqlite3_get_auxdata(context, 0));
    std::unique_ptr<std::vector<Phrase>> made;
    if (!phrases) {
      made = std::make_unique<std::vector<Phrase>>();
      if (const int code = words.parse(text_of(values[0]), *made); code != SQLITE_OK)
        return sqlite3_result_error_code(context, code);
      phrases = made.get();
    }
    words.found.assign(phrases->size(), 0);
    bool all = false;
    for (int i = 1; i < count && !all && !phrases->empty(); ++i) {
      if (const int code = words.look(text_of(values[i]), *phrases, words.found); code != SQLITE_OK)
        return sqlite3_result_error_code(context, code);
      all = std::ranges::all_of(words.found, [](char one) { return one != 0; });
    }
    sqlite3_result_int(context, all);
    if (made)
      sqlite3_set_auxdata(context, 0, made.release(), [](void* one) { delete static_cast<std::vector<Phrase>*>(one); });
  } catch (const std::bad_alloc&) { sqlite3_result_error_nomem(context); }
}

}  // namespace

bool add_word_function(sqlite3* db, TextBudget& budget) {
  auto words = std::make_unique<Words>(budget);
  return words->open(db) && sqlite3_create_function_v2(db, "plimsoll_finds", -1, SQLITE_UTF8 | SQLITE_DETERMINISTIC,
                                                       words.release(), finds, nullptr, nullptr,
                                                       [](void* one) { delete static_cast<Words*>(one); }) == SQLITE_OK;
}

}  // namespace plimsoll::database
