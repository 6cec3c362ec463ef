#define PCRE2_CODE_UNIT_WIDTH 8
#include "plimsoll/schema/regex.hpp"

#include <pcre2.h>

namespace plimsoll::schema {
namespace {

constexpr std::uint32_t kMatchLimit = 100'000;  // a catastrophic pattern ends in about 0.1 ms

/// What a search needs besides the code; one for each thread.
struct Workspace {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 * 1024, 1024 * 1024, nullptr);
  bool exhausted = false;

  Workspace() {
    pcre2_set_match_limit(context, kMatchLimit);
    pcre2_set_heap_limit(context, 8 * 1024);  // KiB
    pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~Workspace() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
};

Workspace& workspace() {
  static thread_local Workspace mine;
  return mine;
}

std::size_t character_length(unsigned char lead) { return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4; }

/// Whether taking as many as possible of each atom can never be wrong: what may follow starts with something else.
bool never_backtracks(const Translation& pattern) {
  const auto& atoms = pattern.atoms;
  for (std::size_t i = 0; i < atoms.size(); ++i) {
    if (atoms[i].least == atoms[i].most) continue;
    for (std::size_t j = i + 1; j < atoms.size(); ++j) {
      if (atoms[i].set.overlaps(atoms[j].set)) return false;
      if (atoms[j].least > 0) break;
    }
  }
  return true;
}

/// Without an anchor at the start every position is tried: that is left to PCRE2 unless the first try decides.
bool has_shortcut(const Translation& pattern) {
  if (!pattern.sequence || pattern.atoms.empty()) return false;
  if (!pattern.from_start) return pattern.atoms.size() == 1 && !pattern.to_end && pattern.atoms[0].least <= 1;
  return never_backtracks(pattern);
}

}  // namespace

struct Regex::Code {
  pcre2_code* code = nullptr;
  ~Code() { pcre2_code_free(code); }
};

Regex::Regex() = default;
Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

bool& Regex::exhausted() { return workspace().exhausted; }

Result<Regex> Regex::compile(std::string_view pattern) {
  auto translation = translate_ecma(pattern);
  if (!translation) return std::unexpected(std::move(translation.error()));
  Regex regex;
  if (has_shortcut(*translation)) {
    regex.shortcut_ = std::make_unique<Translation>(std::move(*translation));
    return regex;
  }
  int error = 0;
  PCRE2_SIZE offset = 0;
  const auto& text = translation->pcre;
  regex.code_ = std::make_unique<Code>();
  regex.code_->code = pcre2_compile(
      reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
      PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_MATCH_UNSET_BACKREF | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr);
  if (!regex.code_->code) {
    char message[256] = "";
    pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(message), sizeof message);
    return fail(kInvalidPattern, message);
  }
  pcre2_jit_compile(regex.code_->code, PCRE2_JIT_COMPLETE);  // without it the interpreter does the same, slower
  return regex;
}

bool Regex::run(std::string_view text) const {
  auto& mine = workspace();
  const auto found = pcre2_match(code_->code, reinterpret_cast<PCRE2_SPTR>(text.empty() ? "" : text.data()),
                                 text.size(), 0, PCRE2_NO_UTF_CHECK, mine.data, mine.context);
  if (found < 0 && found != PCRE2_ERROR_NOMATCH) mine.exhausted = true;
  return found >= 0;
}

bool Regex::shortcut(std::string_view text) const {
  const auto& atoms = shortcut_->atoms;
  const char *at = text.data(), *const end = at + text.size();
  if (!shortcut_->from_start) {
    if (atoms[0].least == 0) return true;
    for (; at != end; at += character_length(static_cast<unsigned char>(*at)))
      if (atoms[0].set.has(static_cast<unsigned char>(*at))) return true;
    return false;
  }
  for (const auto& atom : atoms) {
    std::uint32_t count = 0;
    for (; count < atom.most && at != end && atom.set.has(static_cast<unsigned char>(*at)); ++count)
      at += character_length(static_cast<unsigned char>(*at));
    if (count < atom.least) return false;
  }
  return !shortcut_->to_end || at == end;
}

bool is_regex(std::string_view text) { return translate_ecma(text).has_value(); }

}  // namespace plimsoll::schema
