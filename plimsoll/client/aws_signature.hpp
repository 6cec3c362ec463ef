#pragma once

#include "plimsoll/base/clock.hpp"

#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace plimsoll::client {

/// A key of Amazon Web Services, and what it signs for.
struct AwsKey {
  std::string access_key, secret_key;
  std::string session_token{};  ///< of temporary keys; empty: none
  std::string region, service;
};

/// What is signed of a request: pure values, so that the published examples are tests.
struct AwsRequest {
  std::string_view method;
  std::string_view path;   ///< as it is sent, percent-encoded
  std::string_view query;  ///< as it is sent, without the `?`
  /// Fields that are signed, `host` among them: names in lower case, in any order; one name may come several times.
  std::span<const std::pair<std::string_view, std::string_view>> fields;
  std::string_view payload_hash;  ///< SHA-256 of the body in hexadecimal, or `UNSIGNED-PAYLOAD`
};

/// `20150830T123600Z` of a wall clock.
std::string aws_time(Nanoseconds wall);
/// The canonical request of Signature Version 4: what its digest is made of. For the service `s3` the path is taken as
/// it is; for others dot segments are resolved and each segment is encoded once more.
std::string aws_canonical_request(const AwsRequest& request, std::string_view service);
/// The value of `Authorization` (AWS Signature Version 4, `AWS4-HMAC-SHA256`). `time`: of `x-amz-date`, which is among
/// the fields.
std::string aws_authorization(const AwsKey& key, const AwsRequest& request, std::string_view time);

}  // namespace plimsoll::client
