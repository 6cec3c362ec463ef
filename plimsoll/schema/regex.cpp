#define PCRE2_CODE_UNIT_WIDTH 8
#include "plimsoll/schema/regex.hpp"

#include <pcre2.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>

namespace plimsoll::schema {
namespace {

constexpr std::uint32_t kMatchLimit = 100'000;  // a catastrophic pattern ends in about 0.1 ms
constexpr std::size_t kBytesAStep = 32;

/// The limit counts from anew at each place where a match may begin, and does not see how far a repeated character
/// reaches: `(a|b)+c` takes a time that is quadratic in a long text, and stays below it. So longer texts are searched
/// by a code that calls back before each item of the pattern, where both can be seen.
constexpr std::size_t kUncounted = 128;  // bytes

/// What the search at hand has cost: a few bytes for each item, and those that a repeated item took.
struct Counting {
  static constexpr std::uint64_t kItem = 4, kPart = 64 * kBytesAStep;
  Steps& steps;
  std::size_t position = 0;
  std::uint64_t bytes = 0;

  static int count(pcre2_callout_block* block, void* data) {
    auto& self = *static_cast<Counting*>(data);
    const auto position = block->current_position;
    self.bytes += kItem + (position > self.position ? position - self.position : self.position - position);
    self.position = position;
    if (self.bytes < kPart) return 0;
    return self.steps.spend(std::exchange(self.bytes, 0) / kBytesAStep) ? 0 : PCRE2_ERROR_CALLOUT;
  }
};

/// What a search needs besides the code; one for each thread.
struct Workspace {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context *context = pcre2_match_context_create(nullptr), *counted = nullptr;
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 * 1024, 1024 * 1024, nullptr);
  bool exhausted = false;

  Workspace() {
    pcre2_set_match_limit(context, kMatchLimit);
    pcre2_set_heap_limit(context, 8 * 1024);  // KiB
    pcre2_jit_stack_assign(context, nullptr, stack);
    counted = pcre2_match_context_copy(context);
  }
  ~Workspace() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_match_context_free(counted);
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
  static constexpr std::uint32_t kOptions =
      PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_MATCH_UNSET_BACKREF | PCRE2_NEVER_BACKSLASH_C;
  std::string pattern;
  std::uint32_t options = 0;                       ///< beyond kOptions
  pcre2_code *code = nullptr, *counted = nullptr;  ///< the second is made when it is needed
  std::once_flag once;

  ~Code() {
    pcre2_code_free(code);
    pcre2_code_free(counted);
  }
  /// What is wrong with the pattern; 0: nothing.
  int compile(pcre2_code*& into, std::uint32_t more) const {
    int error = 0;
    PCRE2_SIZE offset = 0;
    into = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), kOptions | options | more,
                         &error, &offset, nullptr);
    if (!into) return error;
    pcre2_jit_compile(into, PCRE2_JIT_COMPLETE);  // without it the interpreter does the same, slower
    return 0;
  }
};

/// A pattern that is nothing but sets of characters one after the other, as a table of the sets that hold each byte.
struct Regex::Shortcut {
  using Sets = std::uint16_t;
  struct Atom {
    Sets set;     ///< one bit
    bool beyond;  ///< it takes characters of several bytes, of which the first tells
    std::uint32_t least, most;
  };
  std::vector<Atom> atoms;
  std::array<Sets, 256> holding{};
  bool from_start, to_end;

  /// Nothing where there are more different sets than bits.
  static std::optional<Shortcut> of(const Translation& pattern) {
    Shortcut made{.from_start = pattern.from_start, .to_end = pattern.to_end};
    std::vector<CharacterSet> sets;
    for (const auto& atom : pattern.atoms) {
      const auto index = static_cast<std::size_t>(std::ranges::find(sets, atom.set) - sets.begin());
      if (index == sizeof(Sets) * 8) return std::nullopt;
      const auto set = static_cast<Sets>(1u << index);
      if (index == sets.size()) {
        sets.push_back(atom.set);
        for (std::size_t c = 0; c < made.holding.size(); ++c)
          if (atom.set.has(static_cast<unsigned char>(c))) made.holding[c] |= set;
      }
      made.atoms.push_back({set, atom.set.beyond, atom.least, atom.most});
    }
    return made;
  }

  bool has(const Atom& atom, const char* at) const { return holding[static_cast<unsigned char>(*at)] & atom.set; }

  bool search(std::string_view text) const {
    const char *at = text.data(), *const end = at + text.size();
    if (!from_start) {
      if (atoms[0].least == 0) return true;
      for (; at != end; at += character_length(static_cast<unsigned char>(*at)))
        if (has(atoms[0], at)) return true;
      return false;
    }
    for (const auto& atom : atoms)
      if (!(atom.beyond ? take_any(atom, at, end) : take(atom, at, end))) return false;
    return !to_end || at == end;
  }
  /// As many as there are of characters of one byte.
  bool take(const Atom& atom, const char*& at, const char* end) const {
    const auto left = static_cast<std::size_t>(end - at);
    if (left < atom.least) return false;
    for (const auto* const sure = at + atom.least; at != sure; ++at)
      if (!has(atom, at)) return false;
    for (const auto* const last = at + std::min<std::size_t>(left, atom.most) - atom.least; at != last; ++at)
      if (!has(atom, at)) break;
    return true;
  }
  bool take_any(const Atom& atom, const char*& at, const char* end) const {
    std::uint32_t count = 0;
    for (; count < atom.most && at != end && has(atom, at); ++count)
      at += character_length(static_cast<unsigned char>(*at));
    return count >= atom.least;
  }
};

bool Regex::search(std::string_view text) const { return shortcut_ ? shortcut_->search(text) : run(text); }

bool Regex::search(std::string_view text, Steps& steps) const {
  if (text.size() > kUncounted && !steps.spend(text.size() / kBytesAStep)) return false;
  return shortcut_ ? shortcut_->search(text) : run(text, steps);
}

Regex::Regex() = default;
Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

bool& Regex::exhausted() { return workspace().exhausted; }

Result<Regex> Regex::compile(std::string_view pattern, Letters letters) {
  auto translation = translate_ecma(pattern);
  if (!translation) return std::unexpected(std::move(translation.error()));
  Regex regex;
  const bool either_case = letters == Letters::either_case;
  if (!either_case && has_shortcut(*translation))
    if (auto shortcut = Shortcut::of(*translation)) {
      regex.shortcut_ = std::make_unique<const Shortcut>(*std::move(shortcut));
      return regex;
    }
  regex.code_ = std::make_unique<Code>();
  regex.code_->pattern = translation->pcre;
  regex.code_->options = either_case ? PCRE2_CASELESS : 0;
  if (const int error = regex.code_->compile(regex.code_->code, 0)) {
    char message[256] = "";
    pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(message), sizeof message);
    return fail(kInvalidPattern, message);
  }
  return regex;
}

bool Regex::run(std::string_view text) const {
  auto& mine = workspace();
  const auto found = pcre2_match(code_->code, reinterpret_cast<PCRE2_SPTR>(text.empty() ? "" : text.data()),
                                 text.size(), 0, PCRE2_NO_UTF_CHECK, mine.data, mine.context);
  if (found < 0 && found != PCRE2_ERROR_NOMATCH) mine.exhausted = true;
  return found >= 0;
}

bool Regex::run(std::string_view text, Steps& steps) const {
  constexpr std::size_t kCost = 4, kGivenUp = kMatchLimit / 10;
  if (!steps.spend(kCost)) return false;
  if (text.size() <= kUncounted ? run(text) : run_counted(text, steps)) return true;
  if (exhausted()) steps.spend(kGivenUp);
  return false;
}

bool Regex::run_counted(std::string_view text, Steps& steps) const {
  std::call_once(code_->once, [&] { code_->compile(code_->counted, PCRE2_AUTO_CALLOUT); });
  if (!code_->counted) return run(text);
  auto& mine = workspace();
  Counting counting{steps};
  pcre2_set_callout(mine.counted, Counting::count, &counting);
  const auto found = pcre2_match(code_->counted, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0,
                                 PCRE2_NO_UTF_CHECK, mine.data, mine.counted);
  if (found < 0 && found != PCRE2_ERROR_NOMATCH && !steps.exhausted()) mine.exhausted = true;
  return found >= 0;
}

bool is_regex(std::string_view text) { return translate_ecma(text).has_value(); }

}  // namespace plimsoll::schema
