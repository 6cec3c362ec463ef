#include "plimsoll/handler/table/file_fields.hpp"

#include "plimsoll/json/utf8.hpp"

#include <gtest/gtest.h>

#include <random>

namespace plimsoll::table {
namespace {

TEST(FileFields, NamesAreTheLastSegmentOfWhatWasSent) {
  const std::pair<std::string_view, std::string_view> kCases[] = {
      {"attachment; filename=\"a.png\"", "a.png"},
      {"attachment; filename=a.png", "a.png"},
      {"form-data; name=\"x\"; filename=\"a \\\"b\\\".png\"", "a \"b\".png"},
      {"attachment; filename=\"../../etc/passwd\"", "passwd"},
      {"attachment; filename=\"C:\\\\x\\\\y.png\"", "y.png"},
      {"attachment; filename=\"a\"; filename*=UTF-8''l%C3%A4mp%2F.png", ".png"},
      {"attachment; filename*=utf-8'de'l%C3%A4mp.png", "l\u00e4mp.png"},
      {"attachment; filename=\"plain\"; filename*=ISO-8859-1''%E4", "plain"},
      {"attachment; filename*=UTF-8''%ff; filename=\"plain\"", "plain"},
      {"attachment; filename=\"a\tb\x01\x7f.png\"", "ab.png"},
      {"attachment; filename*=UTF-8''a%E2%80%AEgnp.exe", "agnp.exe"},  // no text that reads backwards
      {"attachment; filename=\"..\"", ""},
      {"attachment; filename=\"/\"", ""},
      {"attachment", ""},
      {"", ""},
  };
  for (auto& [sent, name] : kCases) EXPECT_EQ(sent_file_name(sent), name) << sent;
  EXPECT_EQ(sent_file_name("attachment; filename=\"" + std::string(1000, 'a') + "\"").size(), 255u);
}

TEST(FileFields, OnlyWhatRunsNothingIsShown) {
  for (std::string_view type : {"image/png", "IMAGE/JPEG", "text/plain; charset=utf-8", "audio/mpeg", "video/mp4"})
    EXPECT_EQ(disposition_of(type, ""), "inline") << type;
  for (std::string_view type : {"text/html", "image/svg+xml", "application/xhtml+xml", "text/xml", "application/pdf",
                                "application/javascript", "application/octet-stream", "", "image/png2"})
    EXPECT_EQ(disposition_of(type, ""), "attachment") << type;
}

TEST(FileFields, NamesAreWrittenForAllBrowsers) {
  EXPECT_EQ(disposition_of("image/png", "a b.png"), "inline; filename=\"a b.png\"");
  EXPECT_EQ(disposition_of("a/b", "a\"b\\c.png"), "attachment; filename=\"c.png\"");
  EXPECT_EQ(disposition_of("a/b", "a\"b.png"), "attachment; filename=\"a_b.png\"; filename*=UTF-8''a%22b.png");
  EXPECT_EQ(disposition_of("a/b", "\u00e4%.png"), "attachment; filename=\"__.png\"; filename*=UTF-8''%C3%A4%25.png");
}

TEST(FileFields, NoNameBreaksOutOfItsField) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random{seed};
  constexpr std::string_view kLetters = "ab\"\\;=%'*\r\n\t\0/ \xC3\xA4\xFF\x80\xE2\x80\xAE";
  for (int i = 0; i < 20'000; ++i) {
    std::string name;
    for (auto n = random() % 12; n > 0; --n) name += kLetters[random() % kLetters.size()];
    for (const auto& text : {disposition_of("text/html", name), sent_file_name("attachment; filename=" + name),
                             sent_file_name("attachment; filename*=UTF-8''" + name)}) {
      EXPECT_EQ(text.find_first_of(std::string_view("\r\n\t\0", 4)), text.npos) << name;
      EXPECT_TRUE(json::valid_utf8(text));
    }
    const auto sent = disposition_of("text/html", name);
    ASSERT_TRUE(sent.starts_with("attachment"));
    // What was written is read again as it was, but for what a name cannot have.
    EXPECT_EQ(disposition_of("text/html", sent_file_name(sent)), sent);
  }
}

TEST(FileFields, MediaTypesAreKeptWithoutTheirParameters) {
  EXPECT_EQ(kept_media_type("Image/PNG; a=b"), "image/png");
  EXPECT_EQ(kept_media_type("text/plain; charset=\"UTF-8\"; x=y"), "text/plain; charset=utf-8");
  EXPECT_EQ(kept_media_type("text/plain; charset=\"a b\""), "text/plain");
  EXPECT_EQ(kept_media_type("application/json; charset=utf-8"), "application/json");
  for (std::string_view wrong : {"", "png", "/", "image/", "/png", "image/png/x", "im age/png", "image/p\"ng"})
    EXPECT_EQ(kept_media_type(wrong), std::nullopt) << wrong;
  EXPECT_EQ(kept_media_type("a/" + std::string(200, 'b')), std::nullopt);
}

}  // namespace
}  // namespace plimsoll::table
