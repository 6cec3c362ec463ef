#include "plimsoll/database/postgres_statement.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace plimsoll::database {
namespace {

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// The end of what is opened at `at` and is no part of the statement's own words: quotes and comments. `at` itself
/// where nothing is opened there.
std::size_t passed_over(std::string_view sql, std::size_t at) {
  const auto rest = sql.substr(at);
  const auto quoted = [&](char quote, bool escapes) {
    for (auto i = at + 1; i < sql.size(); ++i) {
      if (escapes && sql[i] == '\\') {
        ++i;
      } else if (sql[i] == quote) {
        if (i + 1 >= sql.size() || sql[i + 1] != quote) return i + 1;
        ++i;
      }
    }
    return sql.size();
  };
  if (rest[0] == '"') return quoted('"', false);
  if (rest[0] == '\'') {
    const bool escapes = at > 0 && (sql[at - 1] == 'e' || sql[at - 1] == 'E') && (at < 2 || !is_word(sql[at - 2]));
    return quoted('\'', escapes);
  }
  if (rest.starts_with("--")) return std::min(sql.find('\n', at), sql.size());
  if (rest.starts_with("/*")) {
    std::size_t depth = 1, i = at + 2;
    for (; i < sql.size() && depth > 0; ++i) {
      if (sql.substr(i, 2) == "*/")
        --depth, ++i;
      else if (sql.substr(i, 2) == "/*")
        ++depth, ++i;
    }
    return std::min(i, sql.size());
  }
  if (rest[0] == '$' && (at == 0 || !is_word(sql[at - 1]))) {
    std::size_t end = 1;
    while (end < rest.size() && is_word(rest[end])) ++end;
    if (end < rest.size() && rest[end] == '$' && (end == 1 || !is_digit(rest[1]))) {
      const auto tag = rest.substr(0, end + 1);
      const auto close = sql.find(tag, at + tag.size());
      return close == sql.npos ? sql.size() : close + tag.size();
    }
  }
  return at;
}

}  // namespace

bool begins_with(std::string_view sql, std::string_view words) {
  std::size_t at = 0;
  while (at < sql.size()) {
    const char c = sql[at];
    const bool comment = sql.substr(at).starts_with("--") || sql.substr(at).starts_with("/*");
    if (c != ' ' && c != '\t' && c != '\n' && c != '\r' && !comment) break;
    at = comment ? passed_over(sql, at) : at + 1;
  }
  sql.remove_prefix(at);
  return sql.size() >= words.size() && std::ranges::equal(sql.substr(0, words.size()), words, [](char a, char b) {
           return (a >= 'a' && a <= 'z' ? a - 'a' + 'A' : a) == b;
         });
}

std::string numbered_parameters(std::string_view sql) {
  std::string made;
  made.reserve(sql.size() + 16);
  std::size_t next = 1;
  for (std::size_t at = 0; at < sql.size();) {
    if (const auto end = passed_over(sql, at); end > at) {
      made.append(sql.substr(at, end - at));
      at = end;
    } else if (sql[at] != '?') {
      made += sql[at++];
    } else if (at + 1 < sql.size() && sql[at + 1] == '?') {
      made += '?';
      at += 2;
    } else {
      made += '$';
      if (++at < sql.size() && is_digit(sql[at])) {
        while (at < sql.size() && is_digit(sql[at])) made += sql[at++];
      } else {
        made += std::to_string(next++);
      }
    }
  }
  return made;
}

namespace {

/// The words of a statement one after the other, names in double quotes among them; what stands in other quotes and in
/// comments is passed over.
class Words {
 public:
  explicit Words(std::string_view sql) : sql_(sql) {}
  /// False at the end.
  bool next() {
    word.clear();
    quoted = false;
    after_dot = false;
    while (at_ < sql_.size()) {
      if (sql_[at_] == '"') {
        const auto end = passed_over(sql_, at_);
        for (auto i = at_ + 1; i + 1 < end; ++i) {
          word += sql_[i];
          if (sql_[i] == '"') ++i;
        }
        at_ = end;
        return quoted = true;
      }
      if (const auto end = passed_over(sql_, at_); end > at_) {
        at_ = end;
      } else if (is_word(sql_[at_])) {
        for (; at_ < sql_.size() && is_word(sql_[at_]); ++at_)
          word += static_cast<char>(sql_[at_] >= 'A' && sql_[at_] <= 'Z' ? sql_[at_] - 'A' + 'a' : sql_[at_]);
        return true;
      } else {
        after_dot = sql_[at_++] == '.';
      }
    }
    return false;
  }
  bool is(std::string_view what) const { return !quoted && word == what; }
  bool before_dot() const { return at_ < sql_.size() && sql_[at_] == '.'; }

  std::string word;  ///< in lower case unless quoted
  bool quoted = false, after_dot = false;

 private:
  std::string_view sql_;
  std::size_t at_ = 0;
};

}  // namespace

bool reads_only(std::string_view sql) {
  constexpr std::string_view kReads[] = {"select", "values", "table", "with", "show", "explain"};
  constexpr std::string_view kWrites[] = {"insert", "update", "delete",  "merge", "into",
                                          "share",  "create", "analyze", "call",  "truncate"};
  Words words{sql};
  if (!words.next() || words.quoted || std::ranges::find(kReads, words.word) == std::end(kReads)) return false;
  while (words.next())
    if (!words.quoted && std::ranges::find(kWrites, words.word) != std::end(kWrites)) return false;
  return true;
}

std::vector<std::string> tables_written(std::string_view sql) {
  std::vector<std::string> tables;
  std::string before;
  bool named = false;  // the next word is the name of a table
  for (Words words{sql}; words.next();) {
    if (named) {
      if (words.is("only") || words.is("table") || words.before_dot()) continue;
      named = false;
      if (words.is("set")) continue;  // ON CONFLICT DO UPDATE SET
      if (std::ranges::find(tables, words.word) == tables.end()) tables.push_back(words.word);
    } else {
      named = (words.is("into") && (before == "insert" || before == "merge")) ||
              (words.is("from") && before == "delete") || words.is("truncate") ||
              (words.is("update") && before != "for" && before != "key" && before != "on");
    }
    before = words.quoted ? std::string{} : words.word;
  }
  return tables;
}

}  // namespace plimsoll::database
