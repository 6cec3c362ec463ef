#include "plimsoll/client/graphql_document.hpp"

#include <algorithm>
#include <optional>
#include <string>

namespace plimsoll::client {
namespace {

/// The tokens of a document (section 2.1.6), as far as operations are told by them.
class Tokens {
 public:
  explicit Tokens(std::string_view text) : text_(text) {}

  /// A name, one character of punctuation, or a whole string with its quotes; empty: the end. Nothing: no token.
  std::optional<std::string_view> next() {
    pass_ignored();
    if (text_.empty()) return std::string_view{};
    std::size_t size = 1;
    if (is_letter(text_.front())) {
      while (size < text_.size() && (is_letter(text_[size]) || is_digit(text_[size]))) ++size;
    } else if (text_.front() == '"') {
      const auto string = text_.starts_with("\"\"\"") ? block_size() : string_size();
      if (!string) return std::nullopt;
      size = *string;
    }
    const auto token = text_.substr(0, size);
    text_.remove_prefix(size);
    return token;
  }
  static bool is_letter(char c) { return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

 private:
  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  void pass_ignored() {
    constexpr std::string_view kMark = "\xEF\xBB\xBF", kIgnored = " \t\r\n,";
    while (!text_.empty()) {
      if (text_.front() == '#')
        text_.remove_prefix(std::min(text_.find_first_of("\r\n"), text_.size()));
      else if (text_.starts_with(kMark))
        text_.remove_prefix(kMark.size());
      else if (kIgnored.contains(text_.front()))
        text_.remove_prefix(1);
      else
        return;
    }
  }
  std::optional<std::size_t> string_size() const {
    for (std::size_t i = 1; i < text_.size() && text_[i] != '\n' && text_[i] != '\r'; ++i) {
      if (text_[i] == '"') return i + 1;
      if (text_[i] == '\\') ++i;
    }
    return std::nullopt;
  }
  std::optional<std::size_t> block_size() const {
    for (auto at = text_.find("\"\"\"", 3); at != text_.npos; at = text_.find("\"\"\"", at + 3))
      if (text_[at - 1] != '\\') return at + 3;
    return std::nullopt;
  }
  std::string_view text_;
};

/// One definition of a document.
struct Definition {
  std::string_view keyword, name;  ///< both empty: `{ … }` alone, which is a query
};

/// Reads definitions up to the end of their selection sets. Nothing: the document cannot be read.
class Definitions {
 public:
  explicit Definitions(std::string_view document) : tokens_(document) {}
  bool ended() const { return ended_; }

  std::optional<Definition> next() {
    Definition found;
    auto token = tokens_.next();
    ended_ = token && token->empty();
    if (!token || ended_) return std::nullopt;
    if (*token != "{") {
      found.keyword = *token;
      token = tokens_.next();
      if (token && !token->empty() && Tokens::is_letter(token->front())) {
        found.name = *token;
        token = tokens_.next();
      }
    }
    // Variables in parentheses, and directives; of a fragment its type. Then the selection set.
    for (; token && *token != "{"; token = tokens_.next()) {
      if (*token == "(") {
        if (!pass(")")) return std::nullopt;
        continue;
      }
      if (*token == "@")
        token = tokens_.next();
      else if (found.keyword != "fragment")
        return std::nullopt;
      if (!token || token->empty() || !Tokens::is_letter(token->front())) return std::nullopt;
    }
    if (!token || !pass("}")) return std::nullopt;
    return found;
  }

 private:
  /// Reads on until what stands open is closed, with all that is opened meanwhile.
  bool pass(std::string closers) {
    while (!closers.empty()) {
      const auto token = tokens_.next();
      if (!token || token->empty()) return false;
      const char c = token->size() == 1 ? token->front() : '\0';
      if (c == '{')
        closers += '}';
      else if (c == '(')
        closers += ')';
      else if (c == '[')
        closers += ']';
      else if (c == '}' || c == ')' || c == ']') {
        if (c != closers.back()) return false;
        closers.pop_back();
      }
    }
    return true;
  }
  Tokens tokens_;
  bool ended_ = false;
};

}  // namespace

GraphqlOperation graphql_operation(std::string_view document, std::string_view name) {
  using enum GraphqlOperation;
  std::optional<GraphqlOperation> found;
  Definitions definitions(document);
  for (auto each = definitions.next(); each; each = definitions.next()) {
    if (each->keyword == "fragment") continue;
    const auto kind = each->keyword.empty() || each->keyword == "query" ? std::optional(query)
                      : each->keyword == "subscription"                 ? std::optional(subscription)
                      : each->keyword == "mutation"                     ? std::optional(mutation)
                                                                        : std::nullopt;
    if (!kind) return mutation;
    if (!name.empty() && each->name != name) continue;
    if (found) return mutation;  // which of them is meant cannot be told
    found = kind;
  }
  return definitions.ended() && found ? *found : mutation;
}

}  // namespace plimsoll::client
