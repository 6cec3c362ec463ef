#include "plimsoll/client/aws_signature.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace plimsoll::client {
namespace {

using Fields = std::vector<std::pair<std::string_view, std::string_view>>;

constexpr std::string_view kEmpty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

std::string signature(const std::string& authorization) { return authorization.substr(authorization.rfind('=') + 1); }

// The examples of the Amazon S3 API reference, "Authenticating Requests: Using the Authorization Header".
const AwsKey kS3{.access_key = "AKIAIOSFODNN7EXAMPLE",
                 .secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                 .region = "us-east-1",
                 .service = "s3"};
constexpr std::string_view kS3Time = "20130524T000000Z";
constexpr std::string_view kBucket = "examplebucket.s3.amazonaws.com";

TEST(AwsSignature, ExamplesOfS3) {
  const Fields get{
      {"host", kBucket}, {"range", "bytes=0-9"}, {"x-amz-content-sha256", kEmpty}, {"x-amz-date", kS3Time}};
  EXPECT_EQ(aws_authorization(kS3, {"GET", "/test.txt", "", get, kEmpty}, kS3Time),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
            "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
            "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
  constexpr std::string_view hash = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
  const Fields put{{"host", kBucket},
                   {"date", "Fri, 24 May 2013 00:00:00 GMT"},
                   {"x-amz-content-sha256", hash},
                   {"x-amz-date", kS3Time},
                   {"x-amz-storage-class", "REDUCED_REDUNDANCY"}};
  EXPECT_EQ(signature(aws_authorization(kS3, {"PUT", "/test%24file.text", "", put, hash}, kS3Time)),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
  const Fields bucket{{"host", kBucket}, {"x-amz-content-sha256", kEmpty}, {"x-amz-date", kS3Time}};
  EXPECT_EQ(signature(aws_authorization(kS3, {"GET", "/", "lifecycle", bucket, kEmpty}, kS3Time)),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
  EXPECT_EQ(signature(aws_authorization(kS3, {"GET", "/", "max-keys=2&prefix=J", bucket, kEmpty}, kS3Time)),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

// The example of the AWS General Reference, "Signature Version 4 signing process".
TEST(AwsSignature, TheExampleOfTheGeneralReference) {
  const AwsKey key{.access_key = "AKIDEXAMPLE",
                   .secret_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                   .region = "us-east-1",
                   .service = "iam"};
  const Fields fields{{"content-type", "application/x-www-form-urlencoded; charset=utf-8"},
                      {"host", "iam.amazonaws.com"},
                      {"x-amz-date", "20150830T123600Z"}};
  const AwsRequest request{"GET", "/", "Action=ListUsers&Version=2010-05-08", fields, kEmpty};
  EXPECT_EQ(signature(aws_authorization(key, request, "20150830T123600Z")),
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7");
}

// Cases of AWS's published test suite (aws-sig-v4-test-suite).
const AwsKey kSuite{.access_key = "AKIDEXAMPLE",
                    .secret_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                    .region = "us-east-1",
                    .service = "service"};
std::string of_suite(std::string_view method, std::string_view path, std::string_view query, Fields fields = {},
                     std::string_view hash = kEmpty) {
  fields.insert(fields.begin(), {{"host", "example.amazonaws.com"}, {"x-amz-date", "20150830T123600Z"}});
  return signature(aws_authorization(kSuite, {method, path, query, fields, hash}, "20150830T123600Z"));
}

TEST(AwsSignature, CasesOfThePublishedSuite) {
  constexpr std::string_view vanilla = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
  EXPECT_EQ(of_suite("GET", "/", ""), vanilla) << "get-vanilla";
  for (const auto* path : {"/./", "/example/..", "//", "/example1/example2/../.."})
    EXPECT_EQ(of_suite("GET", path, ""), vanilla) << "normalize-path: " << path;
  EXPECT_EQ(of_suite("POST", "/", ""), "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b")
      << "post-vanilla";
  EXPECT_EQ(of_suite("GET", "/", "Param2=value2&Param1=value1"),
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500")
      << "get-vanilla-query-order-key-case";
  EXPECT_EQ(of_suite("GET", "/", "", {{"my-header1", " value1"}, {"my-header2", " \"a   b   c\""}}),
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736")
      << "get-header-value-trim";
}

TEST(AwsSignature, FieldsAndQueriesAreCanonical) {
  const Fields fields{{"b", "2"}, {"a", "  x \t y "}, {"b", "1"}};
  EXPECT_EQ(aws_canonical_request({"GET", "/a%20b/%C3%A9", "z=%7e&a=&a=b%2Fc&y", fields, "h"}, "service"),
            "GET\n/a%2520b/%25C3%25A9\na=&a=b%2Fc&y=&z=~\na:x y\nb:2,1\n\na;b\nh");
  EXPECT_EQ(aws_canonical_request({"GET", "/a%20b//../c", "", fields, "h"}, "s3"),
            "GET\n/a%20b//../c\n\na:x y\nb:2,1\n\na;b\nh")
      << "a key of S3 may hold anything";
  EXPECT_EQ(aws_time(1'440'938'160 * kSecond), "20150830T123600Z");
}

}  // namespace
}  // namespace plimsoll::client
