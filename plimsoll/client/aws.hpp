#pragma once

#include "plimsoll/client/part.hpp"
#include "plimsoll/client/refusals.hpp"

#include <string>

namespace plimsoll::client {

/// A key of Amazon Web Services, as it is configured.
struct AwsOptions {
  std::string access_key, secret_key, session_token, region, service;
};
inline constexpr config::Field kAwsFields[] = {
    config::shown(config::field<&AwsOptions::access_key>("access-key", "The access key's identifier."), "AKIDEXAMPLE"),
    config::shown(config::field<&AwsOptions::secret_key>("secret-key", "The secret of the access key."),
                  "'${AWS_SECRET_ACCESS_KEY}'"),
    config::shown(
        config::field<&AwsOptions::session_token>("session-token", "The session token of temporary keys; empty: none."),
        "'${AWS_SESSION_TOKEN}'"),
    config::shown(config::field<&AwsOptions::region>("region", "The region that is called."), "eu-central-1"),
    config::shown(config::field<&AwsOptions::service>("service", "The service that is called, as AWS names it."), "s3"),
};

/// Signs each attempt with Signature Version 4 (aws_signature.hpp): `host`, `content-type` and `x-amz-*`, and the body,
/// where it is short enough to be kept. Longer ones are left unsigned for S3, which permits it, and refused for others.
/// Error: `configuration`.
Result<std::unique_ptr<Policy>> aws(const json::Value& from, const Build& build, std::unique_ptr<Refusals> refusals);

}  // namespace plimsoll::client
