#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/http/client_address.hpp"

#include <string>
#include <utility>
#include <vector>

namespace plimsoll::policy {
namespace {

constexpr Problem kAddressRefused{"address-refused", 403, "Requests from this address are not allowed",
                                  "Send the request from an allowed network, or ask the operator of this API to add "
                                  "yours."};

/// Refuses clients by their network. The edge has already determined the address behind trusted proxies.
class Addresses final : public Check {
 public:
  struct Options {
    std::vector<std::string> allow, deny;
  };
  static constexpr config::Field fields[] = {
      config::field<&Options::allow>(
          "allow", "Addresses and networks that are allowed, `unix` for Unix sockets; all when empty."),
      config::field<&Options::deny>("deny", "Addresses and networks that are rejected, even if `allow` contains them."),
  };
  static constexpr std::string_view example = "{allow: [10.0.0.0/8, '2001:db8::/32'], deny: [10.1.2.3]}";
  static constexpr const Problem* problems[] = {&kAddressRefused};

  static Result<std::unique_ptr<Policy>> build(Options options, const Build& build) {
    if (!build.settings) return nullptr;
    auto policy = std::make_unique<Addresses>();
    for (const auto& [name, from, to] :
         {std::tuple{"allow", &options.allow, &policy->allow_}, std::tuple{"deny", &options.deny, &policy->deny_}}) {
      auto networks = Networks::parse(*from);
      if (!networks)
        return build.wrong(name, networks.error().detail, "Write addresses and networks: 192.0.2.7, 10.0.0.0/8, unix.");
      *to = std::move(*networks);
    }
    if (policy->allow_.empty() && policy->deny_.empty())
      return build.wrong({}, "`addresses` names no network",
                         "Write `addresses: {allow: [10.0.0.0/8]}`, or `addresses: off` to let every address in.");
    return policy;
  }

  Result<> check(Request& request, Context&) override {
    const auto address = request.peer.address;
    if (deny_.contains(address) || (!allow_.empty() && !allow_.contains(address))) return fail(kAddressRefused);
    return {};
  }

 private:
  Networks allow_, deny_;
};

}  // namespace

extern constinit const Part addresses = part<Addresses>("addresses", "Allows and rejects clients by their network.");

}  // namespace plimsoll::policy
