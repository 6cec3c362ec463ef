#include "plimsoll/http/sse.hpp"

#include <gtest/gtest.h>

namespace plimsoll::http {
namespace {

std::string text(const ServerEvent& event) {
  std::string out;
  append(out, event);
  return out;
}

TEST(Sse, AnEventIsItsLines) {
  EXPECT_EQ(text({.data = "hello"}), "data: hello\n\n");
  EXPECT_EQ(text({.data = "{}", .event = "order", .id = "7", .retry = 3000}),
            "id: 7\nevent: order\nretry: 3000\ndata: {}\n\n");
  EXPECT_EQ(text({}), "data: \n\n");
}

TEST(Sse, LineBreaksOfAnyKindAreLinesOfTheEvent) {
  EXPECT_EQ(text({.data = "a\nb\r\nc\rd\n"}), "data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n");
}

TEST(Sse, NoValueForgesAField) {
  EXPECT_EQ(text({.data = "x", .event = "a\ndata: forged", .id = std::string_view("1\r\n\0id: 2", 9)}),
            "id: 1id: 2\nevent: adata: forged\ndata: x\n\n");
}

TEST(Sse, AHeartbeatIsAComment) {
  std::string out;
  append_heartbeat(out);
  EXPECT_EQ(out, ":\n\n");
}

}  // namespace
}  // namespace plimsoll::http
