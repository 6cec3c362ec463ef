#include "plimsoll/contract/i_regexp.hpp"

#include "plimsoll/json/utf8.hpp"

namespace plimsoll::contract {
namespace {

constexpr int kDeepest = 100;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// The grammar of RFC 9485, section 3, one function for each rule.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  std::optional<std::string> run() {
    if (!json::valid_utf8(text_) || !alternatives(0) || !text_.empty()) return std::nullopt;
    return std::move(out_);
  }

 private:
  bool at(char c) const { return text_.starts_with(c); }
  bool take(char c) { return at(c) && copy(1); }
  bool copy(std::size_t count) {
    out_ += text_.substr(0, count);
    text_.remove_prefix(count);
    return true;
  }

  bool alternatives(int depth) {
    if (depth > kDeepest) return false;
    do
      while (!text_.empty() && !at('|') && !at(')'))
        if (!atom(depth) || !quantifier()) return false;
    while (take('|'));
    return true;
  }
  bool atom(int depth) {
    if (take('(')) return alternatives(depth + 1) && take(')');
    if (at('[')) return character_class();
    if (at('\\')) return escape();
    if (at('.')) {  // of ECMA-262 it would leave out U+2028 and U+2029 too
      out_ += "[^\\n\\r]";
      text_.remove_prefix(1);
      return true;
    }
    return !std::string_view("*+?{}]").contains(text_[0]) && copy(1);
  }
  bool quantifier() {
    if (take('*') || take('+') || take('?') || !take('{')) return true;
    if (!digits()) return false;
    if (take(',')) digits();
    return take('}');
  }
  bool digits() {
    std::size_t count = 0;
    while (count < text_.size() && is_digit(text_[count])) ++count;
    return count > 0 && copy(count);
  }
  bool escape() {
    if (text_.size() < 2) return false;
    if (text_[1] == 'p' || text_[1] == 'P') return category();
    return std::string_view("()*+-.?[\\]^nrt{|}").contains(text_[1]) && copy(2);
  }
  /// `\p{Lu}`
  bool category() {
    static constexpr std::pair<char, std::string_view> kMinor[] = {
        {'L', "lmotu"}, {'M', "cen"}, {'N', "dlo"}, {'P', "cdefios"}, {'Z', "lps"}, {'S', "ckmo"}, {'C', "cfno"}};
    const auto close = text_.find('}');
    if (close == text_.npos || text_[2] != '{' || (close != 4 && close != 5)) return false;
    for (auto& [major, minor] : kMinor)
      if (text_[3] == major) return (close == 4 || minor.contains(text_[4])) && copy(close + 1);
    return false;
  }
  bool character_class() {
    take('[');
    take('^');
    for (bool first = true; !at(']'); first = false) {
      if (text_.empty()) return false;
      if (at('-')) {  // itself only as the first or the last
        if (!first && !text_.substr(1).starts_with(']')) return false;
        out_ += "\\-";
        text_.remove_prefix(1);
      } else if (text_.starts_with("\\p") || text_.starts_with("\\P")) {
        if (!category()) return false;
      } else {
        if (!class_character()) return false;
        if (at('-') && !text_.substr(1).starts_with(']') && (!copy(1) || !class_character())) return false;
      }
    }
    return !out_.ends_with('[') && take(']');
  }
  bool class_character() {
    if (at('\\')) return !text_.starts_with("\\p") && !text_.starts_with("\\P") && escape();
    const auto size = json::utf8_length(text_);
    return size > 0 && !at('-') && !at('[') && !at(']') && copy(size);
  }

  std::string_view text_;
  std::string out_;
};

}  // namespace

std::optional<std::string> ecma_of_i_regexp(std::string_view pattern) { return Reader{pattern}.run(); }

}  // namespace plimsoll::contract
