#include "plimsoll/handler/upstream/mirror.hpp"

#include <gtest/gtest.h>

namespace plimsoll::handler::forwarding {
namespace {

std::string json(std::string_view body) { return body_fingerprint(body, "application/json; charset=utf-8"); }

TEST(BodyFingerprint, OfJsonIsOfWhatItSays) {
  const std::string_view same[] = {R"({"a":[1,{"b":null,"c":"x"}],"d":12.5})",
                                   R"({ "d" : 1.25e1, "a": [1.0, {"c":"\u0078","b":null}] })"};
  EXPECT_EQ(json(same[0]), json(same[1]));
  EXPECT_EQ(body_fingerprint(same[0], "application/problem+json"), json(same[1]));
  for (const auto* other :
       {R"({"a":[1,{"b":null,"c":"x"}],"d":12.6})", R"({"a":[1,{"b":null,"c":"x"}],"d":-12.5})",
        R"({"a":[1,{"b":null,"c":"x"}],"d":"12.5"})", R"({"a":[{"b":null,"c":"x"},1],"d":12.5})",
        R"({"a":[1,{"b":false,"c":"x"}],"d":12.5})", R"({"a":[1,{"b":null,"c":"x"}]})",
        R"({"a":[1,{"b":null},"c","x"],"d":12.5})", R"([{"a":[1,{"b":null,"c":"x"}],"d":12.5}])", "", "null"})
    EXPECT_NE(json(same[0]), json(other)) << other;
  EXPECT_EQ(json("[0, -0, 0.0]"), json("[0,0,0e5]"));
  EXPECT_NE(json("[1,2]"), json("[12]"));
  EXPECT_NE(json("[1e1]"), json("[1]"));
}

TEST(BodyFingerprint, OfOtherBodiesIsOfTheirBytes) {
  EXPECT_NE(body_fingerprint("{ }", "text/plain"), body_fingerprint("{}", "text/plain"));
  EXPECT_EQ(body_fingerprint("a", "text/plain"), body_fingerprint("a", "image/png"));
  EXPECT_NE(json("{"), json("{ ")) << "what is no JSON is compared as it is";
  const std::string large = "[" + std::string(300 * 1024, ' ') + "]";
  EXPECT_EQ(json(large), json(large));
  EXPECT_NE(json(large), json("[]")) << "beyond the bound every byte counts";
}

}  // namespace
}  // namespace plimsoll::handler::forwarding
