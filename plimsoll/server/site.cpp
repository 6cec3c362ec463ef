#include "plimsoll/server/site.hpp"

#include "plimsoll/base/arena_text.hpp"
#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/encoding.hpp"
#include "plimsoll/database/database.hpp"
#include "plimsoll/exchange/problem_document.hpp"
#include "plimsoll/exchange/upgrade.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/conditional.hpp"
#include "plimsoll/http/field_block.hpp"
#include "plimsoll/server/complaints.hpp"
#include "plimsoll/server/health.hpp"
#include "plimsoll/server/redirect.hpp"

namespace plimsoll::server {
namespace {

/// `OPTIONS` where the contract has no operation of its own for it (RFC 9110, section 9.3.7), preflights and `*`
/// included.
class Options final : public Handler {
  Task<Result<Response>> handle(Request&, Context& context) override {
    co_return Response{.status = 204, .headers = Headers{context.arena}};
  }
};

class Refusal final : public Handler {
 public:
  explicit Refusal(const Problem& problem) : problem_(problem) {}
  Task<Result<Response>> handle(Request&, Context&) override { co_return fail(declared(problem_)); }

 private:
  const Problem& problem_;
};

}  // namespace

struct Site::Mounted : Page {
  Chain chain;
};

Site::Site(const Services& services, std::shared_ptr<const contract::Contract> contract)
    : services_(services),
      problems_(services.metrics),
      contract_(std::move(contract)),
      options_(std::make_unique<Options>()),
      not_found_(std::make_unique<Refusal>(kNotFound)),
      wrong_method_(std::make_unique<Refusal>(kMethodNotAllowed)),
      misdirected_(std::make_unique<Refusal>(kMisdirected)) {
  unmatched_.path = "unmatched";
}
Site::~Site() = default;

namespace {

/// What has no operation obeys the scope of the document.
void inherit(contract::Operation& operation, const contract::Contract& contract) {
  if (!contract.extension) return;
  for (const auto& member : contract.extension->object())
    operation.extensions.push_back({member.key, &member.value, "document"});
}

}  // namespace

void Site::undeclared(Undeclared operation, std::unique_ptr<Handler> handler) {
  undeclared_.operation = std::move(operation.operation);
  websockets_ |= undeclared_.websockets = offers_websocket(undeclared_.operation);
  undeclared_.handler = only_undeclared(*contract_, std::move(handler), kNotFound, kMethodNotAllowed);
}

contract::Complaints Site::operations(std::vector<std::unique_ptr<Handler>> handlers) {
  contract::Complaints complaints;
  inherit(unmatched_, *contract_);
  const auto build = [&](Handler& handler, const contract::Operation& operation, Reach reach, Chain& into,
                         Handler* beside = nullptr) {
    auto made = chain(handler, Build{*contract_, operation, services_, &handler}, reach, beside);
    if (made)
      into = std::move(*made);
    else
      complaints.push_back(complaint_of(made.error(), *contract_, operation, services_.deployment_file));
  };
  build(*not_found_, unmatched_, Reach::documents, unmatched_chain_);
  build(*wrong_method_, unmatched_, Reach::documents, wrong_method_chain_);
  build(*options_, unmatched_, Reach::everything, asterisk_chain_);
  build(*misdirected_, unmatched_, Reach::everything, misdirected_chain_);
  if (redirect_) build(*redirect_, unmatched_, Reach::everything, redirect_chain_);
  if (undeclared_.handler) build(*undeclared_.handler, undeclared_.operation, Reach::undeclared, undeclared_.chain);
  routes_.resize(contract_->operations.size());
  for (std::size_t i = 0; i < routes_.size(); ++i) {
    auto& route = routes_[i];
    route.handler = std::move(handlers[i]);
    websockets_ |= route.websockets = offers_websocket(contract_->operations[i]);
    build(*route.handler, contract_->operations[i], Reach::operations, route.chain, options_.get());
  }
  return told_once(std::move(complaints));
}

contract::Complaints Site::mount(std::unique_ptr<Mounted> page, std::string route, Reach reach) {
  contract::Complaints complaints;
  auto& mounted = *pages_.emplace_back(std::move(page));
  mounted.operation.method = "GET";
  mounted.operation.path = route.empty() ? mounted.path : std::move(route);
  inherit(mounted.operation, *contract_);
  auto made = chain(*mounted.handler, Build{*contract_, mounted.operation, services_}, reach);
  if (made)
    mounted.chain = std::move(*made);
  else
    complaints.push_back(complaint_of(made.error(), *contract_, mounted.operation, services_.deployment_file));
  return complaints;
}

contract::Complaints Site::page(std::string path, std::unique_ptr<Handler> handler, std::string route,
                                std::string allow) {
  auto made = std::make_unique<Mounted>();
  made->path = std::move(path);
  made->handler = std::move(handler);
  made->allow = std::move(allow);
  return mount(std::move(made), std::move(route), Reach::everything);
}

contract::Complaints Site::document(std::string path, std::unique_ptr<Handler> handler, std::string route,
                                    std::vector<contract::SecurityRequirement> callers) {
  auto made = std::make_unique<Mounted>();
  made->path = std::move(path);
  made->handler = std::move(handler);
  made->allow = "GET, HEAD";
  made->operation.security = std::move(callers);
  const auto reach = made->operation.security.empty() ? Reach::documents : Reach::callers;
  return mount(std::move(made), std::move(route), reach);
}

namespace {

/// Whether `Allow: <list>` has the method.
bool allows(std::string_view list, std::string_view method) {
  while (!list.empty()) {
    const auto end = std::min(list.find(", "), list.size());
    if (list.substr(0, end) == method) return true;
    list.remove_prefix(std::min(end + 2, list.size()));
  }
  return false;
}

/// The operation of the first method of `Allow` that has one: `OPTIONS` itself need not.
contract::Match first_of(std::string_view allow, const contract::Contract& contract, std::string_view path) {
  contract::Match match;
  while (match.kind != contract::Match::Kind::found && !allow.empty()) {
    const auto end = std::min(allow.find(", "), allow.size());
    match = contract.match(allow.substr(0, end), path);
    allow.remove_prefix(std::min(end + 2, allow.size()));
  }
  return match;
}

/// An address, or a name that no resolver gives to another machine (RFC 6761, section 6.3). Who sends none is no
/// browser.
bool is_local_name(std::string_view authority) {
  if (authority.empty() || authority.starts_with('[')) return true;
  const auto host = authority.substr(0, authority.find(':'));
  if (host.find_first_not_of("0123456789.") == host.npos) return true;
  constexpr std::string_view kLocal = "localhost";
  if (host.size() < kLocal.size()) return false;
  const auto before = host.size() - kLocal.size();
  return same_as_lower(host.substr(before), kLocal) && (before == 0 || host[before - 1] == '.');
}

}  // namespace

void Site::redirect_to_https(std::int64_t port, bool tls) {
  redirect_ = server::redirect_to_https(port);
  tls_ = tls;
}

/// A proxy that says nothing of the scheme is not taken for one that says http: its clients would be redirected
/// without end.
bool Site::in_clear(const Request& request) const {
  if (tls_ && !request.peer.tls) return request.peer.address != "unix";
  return request.scheme == "http" &&
         (!request.headers.find("x-forwarded-proto").empty() || !request.headers.find("forwarded").empty());
}

Site::Chosen Site::chain_of(Request& request, Context& context) {
  const auto of = [](const Chain& chain) { return Chosen{chain.links.data(), chain.importance}; };
  if (redirect_ && in_clear(request) && !Health::is_path(request.path)) [[unlikely]] {
    context.operation = &unmatched_;
    return of(redirect_chain_);
  }
  auto match = contract_->match(request.method, request.path);
  // To a resource that has no WebSockets CONNECT is a method like any other (RFC 8441, section 4).
  const bool connects = !request.protocol.empty();
  if (connects && match.kind == contract::Match::Kind::found && !routes_[match.operation->index].websockets)
    match = contract_->match("CONNECT", request.path);
  if (match.kind == contract::Match::Kind::found) {
    context.operation = match.operation;
    if (match.count) {
      auto* captured = context.arena.array<std::string_view>(match.count);
      std::copy_n(match.captured, match.count, captured);
      context.path_values = {captured, match.count};
    }
    return of(routes_[match.operation->index].chain);
  }
  if (match.kind == contract::Match::Kind::method_not_allowed) {
    context.promise("allow", lasting(match.allow));
    context.operation = &unmatched_;
    if (request.method != "OPTIONS") return of(wrong_method_chain_);
    // The operation that a preflight asks for says which origins may call it; else the first that is there.
    auto meant = contract_->match(request.headers.find("access-control-request-method"), request.path);
    if (meant.kind != contract::Match::Kind::found) meant = first_of(match.allow, *contract_, request.path);
    if (meant.kind != contract::Match::Kind::found) return of(wrong_method_chain_);
    context.operation = meant.operation;
    return {routes_[meant.operation->index].chain.beside.data(), Importance::first};
  }
  if (only_local_names_ && !is_local_name(request.authority)) {
    context.operation = &unmatched_;
    return of(misdirected_chain_);
  }
  for (const auto& page : pages_)
    if (page->path == request.path) {
      context.operation = &page->operation;
      if (!connects && allows(page->allow, request.method)) return of(page->chain);
      context.promise("allow", lasting(page->allow));
      return of(wrong_method_chain_);
    }
  context.operation = &unmatched_;
  // Of the server as a whole: a ping, or what it can do in general (RFC 9110, section 9.3.7).
  if (request.target == "*") return of(asterisk_chain_);
  if (!undeclared_.handler || (connects && !undeclared_.websockets)) return of(unmatched_chain_);
  context.operation = &undeclared_.operation;
  return of(undeclared_.chain);
}

Importance Site::route(Request& request, Context& context) {
  context.path = request.path;
  if (!vary_.empty()) [[unlikely]]
    context.promise("vary", lasting(vary_));
  const auto chosen = chain_of(request, context);
  context.chain = chosen.links;
  return chosen.importance;
}

Task<Response> Site::serve(Request& request, Context& context) {
  if (!context.chain) route(request, context);
  auto answer = co_await Next{context.chain}(request, context);
  if (!answer) co_return told(std::move(answer).error(), context);
  if (!lasts(*answer, context)) [[unlikely]]
    co_return told(fields_elsewhere(), context);
  finish(*answer, context);
  co_return std::move(*answer);
}

Response Site::told(Error error, Context& context) {
  const bool late = error.problem == &kDeadlineExceeded && context.scope && context.scope->stopped() == Stop::deadline;
  if (late && context.deadline_by()) context.deadline_by()->answers_for(error);
  auto response = problem_document(error, context);
  finish(response, context);
  return response;
}

namespace {

/// `accept` is no member of `accept-encoding, origin`.
bool has_member(std::string_view list, std::string_view member) {
  for (auto at = list.find(member); at != list.npos; at = list.find(member, at + 1)) {
    const auto before = list.substr(0, at), behind = list.substr(at + member.size());
    if ((before.empty() || before.ends_with(' ') || before.ends_with(',')) &&
        (behind.empty() || behind.starts_with(',')))
      return true;
  }
  return false;
}

/// The values of a list field from the answer itself and from all who promised it, each once.
std::string_view gathered(std::string_view field, const Response& response, const Context& context) {
  const auto own = response.headers.joined(field);
  auto room = own.size();
  for (const auto& [name, value] : context.promised) room += value.size() + 2;
  ArenaText all{context.arena, room};
  all << own;
  for (const auto& [name, value] : context.promised)
    if (name == field && !has_member(all.text(), value)) {
      if (!all.text().empty()) all << ", ";
      all << value;
    }
  return all.text();
}

}  // namespace

/// Adds what was promised of whatever answer leaves, except where the answer has said it itself:
/// lists (`vary`, `link`) are joined with it.
void Site::finish(Response& response, Context& context) {
  if (response.status >= 400) [[unlikely]] {
    if (!context.outcome.problem.empty()) problems_.add(context.outcome.problem);
    context.outcome.failure_headers = &context.arena.make<Headers>(response.headers);
    if (const auto* body = std::get_if<std::string_view>(&response.body)) context.outcome.failure_body = *body;
  }
  auto& headers = response.headers;
  const auto gather = [&](std::string_view field) {
    const auto promises = context.promised.count(field);
    if (promises > 1 || (promises && headers.contains(field)))
      headers.set(field, lasting(gathered(field, response, context)));
  };
  gather("vary"), gather("link");
  headers.add_absent(context.promised);
  const auto* promised = context.promised_fields();
  bool apart = true;
  for (const auto* block = promised; block; block = block->before)
    if (headers.marks() & block->marks)
      for (const auto& field : block->fields) apart = apart && !headers.contains(field.name);
  if (apart)
    response.block = promised;
  else
    promised->each([&](const Header& field) {
      if (!headers.contains(field.name)) headers.add(lasting(field.name), lasting(field.value));
    });
}

/// What could not be read as a request has a trace, a line of log and its numbers like any other: the checks that stand
/// before every answer see it, and none of them decides any more.
Response Site::refused(const Error& error, Request& request, Context& context) {
  if (!context.operation) {
    context.operation = &unmatched_;
    for (const auto* link = unmatched_chain_.links.data(); link->check; ++link)
      (void)link->check->check(request, context);
  }
  return told(error, context);
}

namespace {

class Fixed final : public Handler {
 public:
  Fixed(std::string type, std::string bytes, std::string policy)
      : type_(std::move(type)), bytes_(std::move(bytes)), policy_(std::move(policy)) {
    tag_ = '"' + to_hex(as_text(sha256(bytes_)).substr(0, 16)) + '"';
  }

  Task<Result<Response>> handle(Request& request, Context& context) override {
    Response response{.status = 200, .headers = Headers{context.arena}, .body = lasting(bytes_)};
    const auto verdict = http::evaluate(request.method, request.headers, {.etag = tag_}, context.wall / kSecond);
    if (verdict == http::Precondition::not_modified) {
      response.status = 304;
      response.body = {};
    } else {
      response.headers.add("content-type", lasting(type_));
    }
    response.headers.add("etag", lasting(tag_));
    response.headers.add("cache-control", "no-cache");
    if (!policy_.empty()) response.headers.add("content-security-policy", lasting(policy_));
    co_return response;
  }

 private:
  std::string type_, bytes_, policy_, tag_;
};

}  // namespace

std::unique_ptr<Handler> fixed(std::string type, std::string bytes, std::string policy) {
  return std::make_unique<Fixed>(std::move(type), std::move(bytes), std::move(policy));
}

}  // namespace plimsoll::server
