// The table of requests with credentials: all combinations of a contract's security, judged by the very policies that
// serve, with what the handler learns of the caller.

#include "plimsoll/database/sqlite.hpp"
#include "plimsoll/database/test_folder.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/policy/authentication/api_key.hpp"
#include "plimsoll/policy/authentication/identity.hpp"
#include "plimsoll/policy/authentication/jwt.hpp"
#include "plimsoll/policy/request_cases.hpp"
#include "plimsoll/policy/trial.hpp"

#include <sstream>

namespace plimsoll::policy {
extern const Part authenticate, authorize, validate;
namespace {

constexpr std::string_view kFolder = PLIMSOLL_SOURCE_DIR "/tests/fixtures/requests/";
constexpr const Part* kParts[] = {&authenticate, &authorize, &validate};
const std::string kSecret(32, 's');
const std::string kDeployment =
    "authentication: {failures: off, bearer: {issuer: us, audience: shop, secret: " + kSecret + "}}\n";

std::string text_of(std::string_view name) {
  std::ifstream file(std::string(kFolder) + std::string(name), std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Tells who asks, and who vouched for that.
class Witness final : public Echo {
  void tell_more(json::Writer& out, Context& context) override {
    if (!context.principal) return;
    out.key("who").string(context.principal->subject).key("scopes").begin_array();
    for (const auto scope : context.principal->scopes) out.string(scope);
    out.end_array().key("vouched").begin_array();
    if (const auto* vouched = context.noted<Vouched>())
      for (const auto& by : vouched->by) out.string(by.scheme->name + ":" + std::string(by.principal.subject));
    out.end_array();
  }
};

class SecurityRequests : public testing::Test, public Trial {
 protected:
  SecurityRequests() : Trial(text_of("security.yaml"), kParts, kDeployment) {
    database_ = database::open_sqlite({.path = folder_ / "t.db"}).value();
    services.database = database_.get();
    const auto later = std::to_string(clock.wall() / kSecond + 600),
               before = std::to_string(clock.wall() / kSecond - 600);
    const auto claims = [](std::string_view subject, const std::string& expires, std::string_view scope,
                           std::string_view issuer = "us") {
      return R"({"sub":")" + std::string(subject) + R"(","aud":"shop","iss":")" + std::string(issuer) + R"(","exp":)" +
             expires + R"(,"scope":")" + std::string(scope) + "\"}";
    };
    const auto ours = Jwk::of_secret(kSecret).value(), others = Jwk::of_secret(std::string(32, 'o')).value();
    words_["$none"] = issue_jwt(ours, claims("ada", later, "")).value();
    words_["$reader"] = issue_jwt(ours, claims("ada", later, "read")).value();
    words_["$writer"] = issue_jwt(ours, claims("bob", later, "read write")).value();
    words_["$expired"] = issue_jwt(ours, claims("ada", before, "read write")).value();
    words_["$forged"] = issue_jwt(others, claims("ada", later, "read write")).value();
    words_["$foreign"] = issue_jwt(ours, claims("ada", later, "read write", "them")).value();
    words_["$robot"] = key({.name = "robot", .subject = "robot", .scopes = {"read"}});
    words_["$clerk"] = key({.name = "clerk", .subject = "clerk"});
    words_["$stale"] = key({.name = "stale", .subject = "stale", .expires = clock.wall() - kSecond});
    auto mistyped = words_["$robot"];
    std::swap(mistyped[mistyped.size() - 1], mistyped[mistyped.size() - 2]);
    words_["$mistyped"] = mistyped;
  }

  std::string key(ApiKey like) {
    return database::wait_for([&](Loop& loop) -> Task<Result<std::string>> {
             ApiKeys keys(*database_);
             if (auto ready = co_await keys.prepare(loop); !ready) co_return std::unexpected(std::move(ready).error());
             auto made = co_await keys.create(loop, like, "shop", clock.wall());
             co_return made;
           })
        .value();
  }

  /// With the credentials in the place of their names.
  std::string filled(std::string text) const {
    for (const auto& [name, value] : words_)
      for (auto at = text.find(name); at != text.npos; at = text.find(name, at + value.size()))
        text.replace(at, name.size(), value);
    return text;
  }

  const std::vector<std::unique_ptr<Policy>>& policies(const contract::Operation& operation) {
    auto& made = built_[&operation];
    if (made.empty())
      for (const auto* part : kParts) {
        auto policy = part->build(*part, operation.extension(part->key.name), {*contract, operation, services});
        if (!policy) throw std::runtime_error(policy.error().detail);
        made.push_back(std::move(*policy));
      }
    return made;
  }

  /// What the right side of the line should say, and the challenge in `challenge_`.
  std::string answer(const Case& c) {
    challenge_.clear();
    Arena arena;
    const auto target = filled(c.target);
    std::vector<std::string> values;
    for (const auto& header : c.headers) values.push_back(filled(header.second));
    Request request{.method = c.method, .target = target, .headers = Headers{arena}};
    const auto mark = target.find('?');
    request.path = std::string_view(target).substr(0, mark);
    if (mark != target.npos) request.query = std::string_view(target).substr(mark + 1), request.has_query = true;
    for (std::size_t i = 0; i < values.size(); ++i) request.headers.add(c.headers[i].first, values[i]);
    request.peer.address = "192.0.2.1";
    const auto match = contract->match(request.method, request.path);
    if (!match.operation) return "404";
    Context context{arena, loop, services};
    context.now = context.started = clock.steady();
    context.wall = clock.wall();
    context.operation = match.operation;
    context.path = request.path;
    context.path_values = {match.captured, match.count};
    Witness witness;
    std::vector<Link> links;
    for (const auto& policy : policies(*match.operation))
      if (policy) links.push_back(policy->link());
    links.push_back({.handler = &witness});
    links.push_back({.handler = &witness});
    const auto given = database::wait_for([&](Loop&) -> Task<Result<Response>> {
      auto made = co_await Next{links.data()}(request, context);
      co_return made;
    });
    challenge_ = context.promised.find("www-authenticate");
    return told(given);
  }

  database::TestFolder folder_;
  std::unique_ptr<database::Database> database_;
  std::map<const contract::Operation*, std::vector<std::unique_ptr<Policy>>> built_;
  std::map<std::string, std::string, std::greater<>> words_;
  std::string challenge_;
};

TEST_F(SecurityRequests, AreAcceptedWithTheirCallerOrRefusedWithTheReason) {
  std::istringstream in(text_of("security.txt"));
  std::size_t cases = 0, accepted = 0, number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.empty() || line.starts_with('#')) continue;
    const auto c = parse(line);
    ++cases;
    accepted += c.expected.starts_with("200 ");
    EXPECT_EQ(answer(c), c.expected) << "security.txt:" << number << ": " << line;
    if (!c.expected.starts_with("403 "))  // which tells the scope that is missing, where a token is what lacks it
      EXPECT_EQ(!challenge_.empty(), c.expected.starts_with("401 ")) << "WWW-Authenticate, security.txt:" << number;
  }
  std::printf("security.txt: %zu requests, %zu accepted\n", cases, accepted);
  EXPECT_GE(cases, 80u);
  EXPECT_GE(accepted * 100, cases * 40);
}

}  // namespace
}  // namespace plimsoll::policy
