#include "plimsoll/http/multipart.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <random>

namespace plimsoll::http {
namespace {

struct Cut final : Stream {
  std::string text;
  std::size_t at = 0, last = 0;
  std::function<std::size_t()> next;
  Task<Result<Bytes>> read() override {
    last = std::min(next(), text.size() - at);
    at += last;
    co_return plimsoll::as_bytes(std::string_view(text).substr(at - last, last));
  }
};

Result<std::vector<FormPart>> read(
    std::string text, MultipartLimits limits = {},
    std::function<std::size_t()> next = [] { return std::size_t{1} << 30; }) {
  Cut body;
  body.text = std::move(text);
  body.next = std::move(next);
  auto task = read_form(body, "X", limits, testing::TempDir());
  task.handle().resume();
  return task.handle().promise().take();
}

std::string part(std::string_view name, std::string_view content, std::string_view more = "") {
  return "--X\r\nContent-Disposition: form-data; name=\"" + std::string(name) + "\"" + std::string(more) + "\r\n\r\n" +
         std::string(content) + "\r\n";
}

std::string content_of(const FormPart& part) {
  if (!part.on_disk()) return std::string(part.text());
  std::string out(part.size, '\0');
  EXPECT_EQ(::pread(part.descriptor(), out.data(), out.size(), 0), static_cast<ssize_t>(part.size));
  return out;
}

TEST(Multipart, BoundaryIsReadFromTheType) {
  EXPECT_EQ(multipart_boundary("multipart/form-data; boundary=abc"), "abc");
  EXPECT_EQ(multipart_boundary("Multipart/Form-Data;charset=x; BOUNDARY=\"a b:c\""), "a b:c");
  for (auto type : {"multipart/mixed; boundary=a", "multipart/form-data",
                    "multipart/form-data; boundary=", "multipart/form-data; boundary=\"a",
                    "multipart/form-data; boundary=\"a \"", "multipart/form-data; boundary=a{b"})
    EXPECT_FALSE(multipart_boundary(type)) << type;
  EXPECT_FALSE(multipart_boundary("multipart/form-data; boundary=" + std::string(71, 'a')));
}

TEST(Multipart, FieldsAndFilesAreRead) {
  const auto form = read("preamble\r\n" + part("a", "1") +
                         part("f", "line\r\n--Y\r\n", "; filename=\"q\\\"x.txt\"\r\nContent-Type: text/plain") +
                         part("empty", "") + "--X--\r\nepilogue");
  ASSERT_TRUE(form) << form.error().detail;
  ASSERT_EQ(form->size(), 3u);
  EXPECT_EQ((*form)[0].head.name, "a");
  EXPECT_EQ((*form)[0].text(), "1");
  EXPECT_FALSE((*form)[0].head.has_filename);
  EXPECT_EQ((*form)[1].head.filename, "q\"x.txt");
  EXPECT_EQ((*form)[1].head.content_type, "text/plain");
  EXPECT_EQ((*form)[1].text(), "line\r\n--Y\r\n");
  EXPECT_EQ((*form)[2].text(), "");
}

TEST(Multipart, APartWithoutContentDoesNotSwallowTheNext) {
  const auto form = read("--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n" + part("b", "1") + "--X--");
  ASSERT_TRUE(form) << form.error().detail;
  ASSERT_EQ(form->size(), 2u);
  EXPECT_EQ((*form)[0].text(), "");
  EXPECT_EQ((*form)[1].head.name, "b");
  EXPECT_EQ((*form)[1].text(), "1");
}

TEST(Multipart, TheSameInAnyCuts) {
  const auto bare = "--X\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n";
  const auto text =
      bare + part("a", std::string(300, '\r')) + part("b", "\r\n--\r\n--Y\r\n--") + part("c", "x") + "--X--";
  const auto whole = read(text);
  ASSERT_TRUE(whole);
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random{seed};
  for (int i = 0; i < 100; ++i) {
    const auto cut = read(text, {}, [&]() -> std::size_t { return i ? 1 + random() % 30 : 1; });
    ASSERT_TRUE(cut);
    ASSERT_EQ(cut->size(), whole->size());
    for (std::size_t n = 0; n < cut->size(); ++n) EXPECT_EQ((*cut)[n].text(), (*whole)[n].text());
  }
}

TEST(Multipart, LargePartsGoToDiskAndAreTheSame) {
  std::string large;
  for (int i = 0; large.size() < 300'000; ++i) large += std::to_string(i) + "\r\n";
  const auto form = read(part("s", "small") + part("l", large) + "--X--", {.in_memory = 1000}, [] { return 777; });
  ASSERT_TRUE(form) << form.error().detail;
  EXPECT_FALSE((*form)[0].on_disk());
  ASSERT_TRUE((*form)[1].on_disk());
  EXPECT_EQ((*form)[1].size, large.size());
  EXPECT_TRUE(content_of((*form)[1]) == large);
}

TEST(Multipart, LimitsAre413) {
  const MultipartLimits limits{.parts = 2, .part_head = 200, .part = 10};
  for (auto& text : {part("a", "1") + part("b", "2") + part("c", "3") + "--X--", part("a", "12345678901") + "--X--",
                     part(std::string(300, 'a'), "1") + "--X--"}) {
    const auto form = read(text, limits);
    ASSERT_FALSE(form);
    EXPECT_EQ(form.error().problem->status, 413);
  }
  EXPECT_TRUE(read(part("a", "1234567890") + part("b", "") + "--X--", limits));
}

TEST(Multipart, LimitsAreTheSameHoweverItIsCut) {
  for (std::size_t more = 0; more < 12; ++more) {
    const auto text = part("a", "1", "; x=" + std::string(140 + more, 'y')) + "--X--";
    const auto whole = read(text, {.part_head = 200}), cut = read(text, {.part_head = 200}, [] { return 1; });
    EXPECT_EQ(whole.has_value(), cut.has_value()) << more;
  }
  const auto blanks = [](std::size_t n) {
    auto text = part("a", "1") + "--X--";
    return text.insert(3, std::string(n, ' '));
  };
  for (const std::size_t n : {256, 257})
    for (const std::size_t size : {1, 1000}) EXPECT_EQ(read(blanks(n), {}, [=] { return size; }).has_value(), n == 256);
}

TEST(Multipart, WhatCannotBeReadIs400) {
  for (auto text : std::initializer_list<std::string>{
           "", "--X", "--X--x", part("a", "1"), "--X\r\n\r\n1\r\n--X--", "--Xx\r\n",
           "--X\r\nContent-Disposition: form-data\r\n\r\n1\r\n--X--",
           "--X\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--X--",
           "--X\r\nContent-Disposition: form-data; name=\"a\r\n\r\n1\r\n--X--",
           "--X\r\nContent-Disposition: form-data; name=a; name=b\r\n\r\n1\r\n--X--",
           "--X\r\nContent-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b\r\n\r\n1\r\n--X--",
           "--X\r\nContent-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64\r\n\r\n1\r\n--X--",
           "--X\r\nContent Disposition: form-data; name=a\r\n\r\n1\r\n--X--",
           "--X\r\nContent-Disposition: form-data; name=a\r\n--X: y\r\n\r\n1\r\n--X--",
           "--X\r\nContent-Disposition: form-data; name=a\r\n--X\r\n\r\n1\r\n--X--",
           "--X\nContent-Disposition: form-data; name=a\n\n1\n--X--"}) {
    const auto form = read(text);
    if (text == "--X--x") {
      EXPECT_TRUE(form) << "an end, and an epilogue";
      continue;
    }
    ASSERT_FALSE(form) << text;
    EXPECT_EQ(form.error().problem->status, 400) << text;
  }
}

TEST(Multipart, ADirectoryThatIsNoneIsAFault) {
  Cut body;
  body.text = part("a", std::string(5000, 'x')) + "--X--";
  body.next = [] { return 100; };
  auto task = read_form(body, "X", {.in_memory = 100}, "/nowhere");
  task.handle().resume();
  const auto form = task.handle().promise().take();
  ASSERT_FALSE(form);
  EXPECT_EQ(form.error().problem->status, 503);
}

}  // namespace
}  // namespace plimsoll::http
