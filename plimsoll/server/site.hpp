#pragma once

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/edge/server.hpp"
#include "plimsoll/exchange/problems.hpp"
#include "plimsoll/server/chain.hpp"
#include "plimsoll/server/problems.hpp"
#include "plimsoll/server/undeclared.hpp"

#include <atomic>
#include <memory>
#include <string>
#include <vector>

namespace plimsoll::server {

using plimsoll::kNotFound;
inline constexpr Problem kMethodNotAllowed{"method-not-allowed", 405, "Method not allowed",
                                           "Use one of the methods in the `Allow` header."};

inline constexpr Problem kMisdirected{"misdirected-request", 421, "The host name is not allowed at this address",
                                      "Use the address itself (127.0.0.1, [::1]) or `localhost`."};

/// A document of ours beside the contract's operations: the API description, problem pages, health.
struct Page {
  std::string path;  ///< exact
  std::unique_ptr<Handler> handler;
  std::string allow = "GET, HEAD";  ///< its methods, as `Allow` lists them
  contract::Operation operation{};  ///< so that logs and metrics have a name for it
};

/// A contract with its chains and pages, compiled: what one listener serves. Immutable while it serves.
class Site final : public edge::Service {
 public:
  Site(const Services& services, std::shared_ptr<const contract::Contract> contract);
  ~Site() override;

  /// The request header (lower case) that chose this site: its responses vary by it. Empty: none did.
  void vary(std::string header) { vary_ = std::move(header); }
  /// Answers what no operation and no page does, instead of 404. Before `operations`.
  void unmatched(std::unique_ptr<Handler> handler) { not_found_ = std::move(handler); }

  /// Answers every path that no operation and no page has. Before `operations`.
  void undeclared(Undeclared operation, std::unique_ptr<Handler> handler);

  /// One handler per operation, in the contract's order. A policy that cannot be built is a complaint.
  contract::Complaints operations(std::vector<std::unique_ptr<Handler>> handlers);
  /// Adds a page; an operation of the contract with the same path hides it. `route` is its name in
  /// metrics, when several pages share one.
  contract::Complaints page(std::string path, std::unique_ptr<Handler> handler, std::string route = {},
                            std::string allow = "GET, HEAD");
  /// The same of a page that tells of the API. `callers`: whom it is for; empty: everybody.
  contract::Complaints document(std::string path, std::unique_ptr<Handler> handler, std::string route,
                                std::vector<contract::SecurityRequirement> callers);

  /// Redirects requests that came in clear to the same URL by https, but for health checks, from then on. `tls`: the
  /// listeners have certificates, so that any that came in clear came to one that only redirects; else what a trusted
  /// proxy says counts. Before `operations`.
  void redirect_to_https(std::int64_t port, bool tls);

  /// Refuses requests for names other than `localhost` from then on. A listener on a loopback address trusts whoever is
  /// on the machine; a page in a browser there, whose own name leads to that address (DNS rebinding), is not meant.
  void only_local_names() { only_local_names_ = true; }

  bool offers_websockets() const noexcept override { return websockets_; }
  Importance route(Request&, Context&) override;
  Task<Response> serve(Request&, Context&) override;
  Response refused(const Error&, Request&, Context&) override;
  void finished(const Request&, Context&) noexcept override {}
  const Services& services() const override { return services_; }

 private:
  struct Route {
    std::unique_ptr<Handler> handler;
    Chain chain;
    bool websockets = false;
  };
  bool in_clear(const Request&) const;
  /// The links of a chain, and how important its requests are.
  struct Chosen {
    const Link* links;
    Importance importance;
  };
  Chosen chain_of(Request&, Context&);
  void finish(Response&, Context&);
  Response told(Error, Context&);

  const Services& services_;
  std::string vary_;
  ProblemCounts problems_;
  std::shared_ptr<const contract::Contract> contract_;
  std::vector<Route> routes_;
  struct Mounted;
  contract::Complaints mount(std::unique_ptr<Mounted> page, std::string route, Reach reach);
  std::vector<std::unique_ptr<Mounted>> pages_;
  std::unique_ptr<Handler> options_, not_found_, wrong_method_, misdirected_, redirect_;
  contract::Operation unmatched_;
  struct {
    contract::Operation operation;
    std::unique_ptr<Handler> handler;
    Chain chain;
    bool websockets = false;
  } undeclared_;
  Chain unmatched_chain_, wrong_method_chain_, asterisk_chain_, misdirected_chain_, redirect_chain_;
  bool only_local_names_ = false, tls_ = false;
  bool websockets_ = false;  ///< of any operation, or of what answers beside them
};

/// Answers with fixed bytes that live as long as the site, with an ETag and 304.
std::unique_ptr<Handler> fixed(std::string type, std::string bytes, std::string content_security_policy = {});

}  // namespace plimsoll::server
