// The validator: the input chooses a schema and instances from a grammar, so that nearly all of it is judged. The fast
// way and the one that explains must agree, and so must schemas that say the same in other words.

#include "plimsoll/schema/schema_check.hpp"

#include <cstdio>
#include <cstdlib>
#include <span>

namespace {

using namespace plimsoll;

/// Decisions taken from the input, one byte each; all zero behind its end.
class Choices {
 public:
  explicit Choices(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  bool left() const { return !bytes_.empty(); }
  unsigned below(unsigned count) {
    if (bytes_.empty()) return 0;
    const unsigned byte = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return byte % count;
  }
  template <std::size_t N>
  std::string one_of(const char* const (&words)[N]) {
    return words[below(N)];
  }

 private:
  std::span<const std::uint8_t> bytes_;
};

constexpr const char* kNames[] = {R"("a")", R"("b")", R"("c")", R"("ab")", R"("é")", R"("a longer name")"};
constexpr const char* kScalars[] = {"null",
                                    "true",
                                    "false",
                                    "0",
                                    "1",
                                    "-1",
                                    "2",
                                    "3",
                                    "0.5",
                                    "1.5",
                                    "1e3",
                                    "4.35",
                                    "-0",
                                    "1e-9",
                                    R"("")",
                                    R"("a")",
                                    R"("b")",
                                    R"("ab")",
                                    R"("é")",
                                    R"("abcdefghi")",
                                    R"("1")",
                                    "1e400",
                                    "100000.0",
                                    R"("::")",
                                    R"("a@b")",
                                    "9007199254740993",
                                    "9007199254740992",
                                    "18446744073709551616"};
constexpr const char* kNumbers[] = {
    "0", "1", "2", "-1", "0.5", "1.5", "3", "1e3", "9007199254740992", "18446744073709551616"};
constexpr const char* kDivisors[] = {"1", "2", "0.5", "0.01", "3", "1e-9", "7e20"};
constexpr const char* kCounts[] = {"0", "1", "2", "3", "17"};
constexpr const char* kPatterns[] = {R"("^a")",    R"("b$")",       R"("^[a-z]+$")",  R"("^.{2}$")",
                                     R"("[0-9]")", R"("^(a|b)*$")", R"("^\\p{L}+$")", R"("")"};
constexpr const char* kFormats[] = {R"("date")", R"("ipv6")", R"("email")", R"("regex")", R"("uri")", R"("unknown")"};
constexpr const char* kTypes[] = {R"("null")",
                                  R"("boolean")",
                                  R"("integer")",
                                  R"("number")",
                                  R"("string")",
                                  R"("array")",
                                  R"("object")",
                                  R"(["integer","string","null"])",
                                  R"(["array","object"])"};

class Grammar {
 public:
  explicit Grammar(Choices& choices) : choices_(choices) {}

  std::string document() {
    auto root = schema(4);
    if (root.front() != '{') root = R"({"allOf":[)" + root + "]}";
    root.pop_back();
    const auto comma = root.size() > 1 ? "," : "";
    return root + comma + R"("$defs":{"d":)" + leaf() +
           R"(,"e":{"$anchor":"e","$dynamicAnchor":"n","type":["object","null","array"],)" +
           R"("properties":{"a":{"$dynamicRef":"#n"}},"items":{"$ref":"#/$defs/e"}}}})";
  }

  std::string value(int depth) {
    switch (depth > 0 && choices_.left() ? choices_.below(4) : 0) {
      case 2: {
        std::string out = "[";
        // Now and then more than a word of marks, or than is compared one with another.
        const unsigned repeats = choices_.below(8) == 7 ? 24 : 1;
        for (unsigned count = choices_.below(5); count > 0; --count)
          for (unsigned i = 0; i < repeats; ++i)
            out += (out.size() > 1 ? "," : "") + (i % 3 == 2 ? std::to_string(i) : value(depth - 1));
        return out + "]";
      }
      case 3: {
        std::string out = "{";
        const auto chosen = choices_.below(64);
        for (unsigned i = 0; i < std::size(kNames); ++i)
          if (chosen >> i & 1) out += (out.size() > 1 ? "," : "") + (kNames[i] + (":" + value(depth - 1)));
        return out + "}";
      }
      default: return choices_.one_of(kScalars);
    }
  }

 private:
  std::string leaf() { return schema(0); }

  std::string schema(int depth) {
    if (!choices_.left() || choices_.below(16) == 0) return choices_.below(4) ? "true" : "false";
    std::string out = "{";
    std::uint64_t used = 0;
    for (unsigned count = 1 + choices_.below(4); count > 0; --count) {
      const auto word = choices_.below(depth > 0 ? 34 : 18);
      if (used >> word & 1) continue;
      used |= std::uint64_t{1} << word;
      if (out.size() > 1) out += ',';
      out += keyword(word, depth - 1);
    }
    return out + "}";
  }

  std::string schemas(int depth) {
    auto out = "[" + schema(depth);
    for (unsigned more = choices_.below(3); more > 0; --more) out += "," + schema(depth);
    return out + "]";
  }
  std::string named(int depth, bool patterns = false) {
    const auto chosen = choices_.below(64);
    std::string out = "{";
    for (unsigned i = 0; i < std::size(kNames); ++i)
      if (chosen >> i & 1)
        out += (out.size() > 1 ? "," : "") + ((patterns ? kPatterns[i] : kNames[i]) + (":" + schema(depth)));
    return out + "}";
  }
  std::string names() {
    const auto chosen = choices_.below(64);
    std::string out = "[";
    for (unsigned i = 0; i < std::size(kNames); ++i)
      if (chosen >> i & 1) out += (out.size() > 1 ? "," : "") + std::string(kNames[i]);
    return out + "]";
  }

  std::string keyword(unsigned word, int depth) {
    switch (word) {
      case 0: return R"("type":)" + choices_.one_of(kTypes);
      case 1: return R"("const":)" + value(2);
      case 2: return R"("enum":[)" + value(1) + "," + value(1) + "," + value(1) + "]";
      case 3: return R"("minimum":)" + choices_.one_of(kNumbers);
      case 4: return R"("maximum":)" + choices_.one_of(kNumbers);
      case 5: return R"("exclusiveMinimum":)" + choices_.one_of(kNumbers);
      case 6: return R"("exclusiveMaximum":)" + choices_.one_of(kNumbers);
      case 7: return R"("multipleOf":)" + choices_.one_of(kDivisors);
      case 8: return R"("minLength":)" + choices_.one_of(kCounts);
      case 9: return R"("maxLength":)" + choices_.one_of(kCounts);
      case 10: return R"("pattern":)" + choices_.one_of(kPatterns);
      case 11: return R"("format":)" + choices_.one_of(kFormats);
      case 12: return R"("minItems":)" + choices_.one_of(kCounts);
      case 13: return R"("maxItems":)" + choices_.one_of(kCounts);
      case 14: return R"("uniqueItems":true)";
      case 15: return R"("minProperties":)" + choices_.one_of(kCounts);
      case 16: return R"("maxProperties":)" + choices_.one_of(kCounts);
      case 17: return R"("required":)" + names();
      case 18: return R"("dependentRequired":{"a":)" + names() + R"(,"é":)" + names() + "}";
      case 19: return R"("properties":)" + named(depth);
      case 20: return R"("patternProperties":)" + named(depth, true);
      case 21: return R"("additionalProperties":)" + schema(depth);
      case 22: return R"("propertyNames":)" + schema(0);
      case 23: return R"("prefixItems":)" + schemas(depth);
      case 24: return R"("items":)" + schema(depth);
      case 25:
        return R"("contains":)" + schema(depth) + R"(,"minContains":)" + choices_.one_of(kCounts) +
               R"(,"maxContains":)" + choices_.one_of(kCounts);
      case 26: return R"("allOf":)" + schemas(depth);
      case 27: return R"("anyOf":)" + schemas(depth);
      case 28: return R"("oneOf":)" + schemas(depth);
      case 29: return R"("not":)" + schema(depth);
      case 30: return R"("if":)" + schema(depth) + R"(,"then":)" + schema(depth) + R"(,"else":)" + schema(depth);
      case 31: return R"("dependentSchemas":)" + named(depth);
      case 32:
        return choices_.below(2) ? R"("unevaluatedItems":)" + schema(0) : R"("unevaluatedProperties":)" + schema(0);
      default: return choices_.below(2) ? R"("$ref":"#/$defs/d")" : R"("$ref":"#e")";
    }
  }

  Choices& choices_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Choices choices({data, std::min<std::size_t>(size, 200)});
  Grammar grammar(choices);
  Arena arena;
  std::string text = "[" + grammar.document();
  for (int i = 0; i < 4; ++i) text += "," + grammar.value(3);
  text += "]";
  const auto all = json::parse(text, arena, {.depth = 64});
  if (!all) std::abort();
  const auto& schema = all->array()[0];
  const auto judge = schema::compile_to_judge(schema, {.assert_formats = true});
  if (!judge) return 0;
  const auto instances = all->array().subspan(1);
  std::string fault;
  for (const auto& instance : instances)
    if (fault.empty()) fault = schema::verdict_fault(*judge, instance);
  for (unsigned i = 0, first = size ? data[size - 1] : 0; i < 3 && fault.empty(); ++i)
    fault = schema::wrapping_fault(schema, judge->validator,
                                   schema::kWrappings[(first + i * 7) % schema::kWrappings.size()], instances);
  if (fault.empty()) return 0;
  std::fprintf(stderr, "%s\n%s\n", fault.c_str(), text.c_str());
  std::abort();
}
