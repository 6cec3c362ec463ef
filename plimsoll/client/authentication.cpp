#include "plimsoll/base/encoding.hpp"
#include "plimsoll/client/part.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/http/characters.hpp"

#include <algorithm>

namespace plimsoll::client {
namespace {

/// Says who calls: a bearer token (RFC 6750), name and password (RFC 7617), or a field of the service's own.
class Authentication final : public Check {
 public:
  struct Options {
    std::string bearer, user, password, header, value;
  };
  static constexpr config::Field fields[] = {
      config::field<&Options::bearer>("bearer", "A token: `Authorization: Bearer …`."),
      config::field<&Options::user>("user", "A name, with `password`: `Authorization: Basic …`."),
      config::field<&Options::password>("password", "The password of `user`."),
      config::field<&Options::header>("header", "A header of the service's own, with `value`."),
      config::field<&Options::value>("value", "The value of `header`."),
  };

  static Result<std::unique_ptr<Policy>> build(const json::Value* from, const Build&) {
    if (!from) return nullptr;
    Options options;
    if (auto done = config::read(*from, fields, &options, kEveryPolicy); !done)
      return std::unexpected(std::move(done).error());
    const int ways = !options.bearer.empty() + !options.user.empty() + !options.header.empty();
    if (ways != 1) return config::wrong(*from, "`authentication` has one of `bearer`, `user` and `header`");
    std::string name = "authorization", value = "Bearer " + options.bearer;
    if (!options.user.empty()) {
      if (options.user.contains(':')) return config::wrong(*from, "a user's name has no colon (RFC 7617)");
      value = "Basic " + to_base64(options.user + ":" + options.password);
    } else if (!options.header.empty()) {
      name = options.header;
      value = options.value;
    }
    std::ranges::transform(name, name.begin(), lower);
    if (!is_token(name) || find_control(value.data(), 0, value.size()) != value.size() || value.empty())
      return config::wrong(*from, "`authentication` gives a header that cannot be sent");
    return std::make_unique<Authentication>(std::move(name), std::move(value));
  }
  Authentication(std::string name, std::string value) : name_(std::move(name)), value_(std::move(value)) {}

  /// The policy outlives the call: nothing is copied.
  Result<> check(Request& request, Context&) override {
    request.headers.set(name_, value_);
    return {};
  }

 private:
  const std::string name_, value_;
};

}  // namespace

extern constinit const Part authentication = part<Authentication>("authentication", "Says who calls.");

}  // namespace plimsoll::client
