#include "plimsoll/contract/complaint.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace plimsoll::contract {
namespace {

using enum Complaint::Severity;

Complaints many(std::size_t errors, std::size_t warnings) {
  Complaints all;
  for (std::size_t i = 0; i < std::max(errors, warnings); ++i) {
    if (i < warnings)
      all.push_back({.severity = warning, .code = "unknown-field", .what = "warning " + std::to_string(i)});
    if (i < errors) all.push_back({.severity = error, .code = "wrong-type", .what = "error " + std::to_string(i)});
  }
  return all;
}

std::size_t count(std::string_view text, std::string_view word) {
  std::size_t found = 0;
  for (auto at = text.find(word); at != text.npos; at = text.find(word, at + 1)) ++found;
  return found;
}

TEST(Complaints, TheFirstOfEachSeverityAreShownAndTheRestCounted) {
  Printer printer;
  const auto text = printer.text(many(60, 200));
  EXPECT_EQ(count(text, ": error["), 50u);
  EXPECT_EQ(count(text, ": warning["), 50u);
  EXPECT_TRUE(text.contains("error 49\n") && !text.contains("error 50\n"));
  EXPECT_TRUE(text.ends_with("plimsoll: and 10 more errors and 150 more warnings\n")) << text;
  EXPECT_TRUE(printer.text(many(51, 0)).ends_with("plimsoll: and 1 more error\n"));
  EXPECT_TRUE(printer.text(many(500, 0)).ends_with("plimsoll: and at least 450 more errors\n"))
      << "the reader stops there";
  EXPECT_FALSE(printer.text(many(50, 50)).contains("more"));
}

struct TemporaryFile {
  explicit TemporaryFile(const std::string& text)
      : name(testing::TempDir() + "complaint-" + std::to_string(::getpid()) + ".yaml") {
    std::ofstream(name) << text;
  }
  ~TemporaryFile() { std::remove(name.c_str()); }
  std::string name;
};

TEST(Complaints, WarningsNeverLeaveOutAnError) {
  std::string text = "openapi: 3.1.0\ninfo: {title: T, version: '1'}\ntags:\n";
  for (std::size_t i = 0; i < 2 * kMostComplaints; ++i) text += "  - {name: t" + std::to_string(i) + ", colour: red}\n";
  const TemporaryFile file(text + "paths: {/a: {get: {responses: {'200': {$ref: '#/nowhere'}}}}}\n");
  const auto loaded = load({.file = file.name});
  ASSERT_FALSE(loaded);
  EXPECT_EQ(std::ranges::count(loaded.error(), warning, &Complaint::severity), std::ssize(loaded.error()) - 1);
  EXPECT_EQ(loaded.error().size(), kMostComplaints + 1);
  EXPECT_EQ(loaded.error().back().code, "broken-reference");
}

/// A document may be one line of megabytes: what is looked at for each excerpt is what stands around it.
TEST(Complaints, ExcerptsOfLongLinesShowWhatStandsAround) {
  std::string text(3'000'000, ' ');
  text.replace(1'000'000, 9, "\"wrong\": ");
  text.replace(2'000'000, 11, "password: x");
  const TemporaryFile file("first\n" + text + "\nlast\n");
  const auto excerpt = [&](std::uint32_t line, std::uint32_t column) {
    return Printer{}.text(Complaint{.code = "c", .file = file.name, .at = {line, column}, .what = "w"});
  };
  EXPECT_TRUE(excerpt(2, 1'000'001).contains("\"wrong\"")) << excerpt(2, 1'000'001);
  EXPECT_FALSE(excerpt(2, 2'000'011).contains('|')) << "a secret may stand there";
  EXPECT_FALSE(excerpt(2, 2'000'200).contains('|'));
  EXPECT_TRUE(excerpt(3, 1).contains("last"));
  EXPECT_FALSE(excerpt(5, 1).contains('|'));
}

}  // namespace
}  // namespace plimsoll::contract
