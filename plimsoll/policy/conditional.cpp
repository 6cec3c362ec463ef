#include "plimsoll/http/conditional.hpp"
#include "plimsoll/base/encoding.hpp"
#include "plimsoll/base/hash.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/contract/header_fields.hpp"
#include "plimsoll/exchange/after_policy.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/http/date.hpp"
#include "plimsoll/policy/cache/cache_shared.hpp"

namespace plimsoll::policy {
namespace {

/// Gives every whole answer to a GET an entity tag and answers 304 to who has it already (RFC 9110, section 13), so
/// that a client that asks again pays for a head instead of a body; 412 to who wants another one only. What nobody
/// declared cacheable is `private, no-cache`. Costs a hash of the body where the handler brings no tag.
class Conditional final : public AfterPolicy {
 public:
  struct Options {};
  static constexpr std::span<const config::Field> fields{};
  static constexpr std::string_view example = "off";
  static constexpr const Problem* problems[] = {&http::kPreconditionFailed};

  static Result<std::unique_ptr<Policy>> build(Options, const Build& build) {
    // There the cache judges conditions, by the validators of the origin, which knows what it has.
    if (build.operation.method != "GET" || follows_origin(build.operation)) return nullptr;
    return std::make_unique<Conditional>();
  }

  static void describe(const Options&, const Description& description, contract::Promises& promises) {
    if (description.operation.method != "GET" || follows_origin(description.operation)) return;
    promises.takes(contract::kIfNoneMatch);
    promises.takes(contract::kIfMatch);
    promises.answers(304, "The caller has the current representation.");
    promises.refuses(http::kPreconditionFailed);
    promises.sends(contract::kEntityTag, contract::kSuccessOrUnchanged);
    promises.sends(contract::kCacheControl, contract::kSuccessOrUnchanged);
  }

  void after(Request& request, Context& context, Result<Response>& answer) override {
    if (!answer || answer->status != 200) return;
    auto& response = *answer;
    auto& headers = response.headers;
    const bool changes = mode() != Mode::shadow;
    if (headers.find("cache-control").contains("no-store")) return;
    if (changes && !headers.contains("cache-control")) headers.add("cache-control", "private, no-cache");
    http::Validators current{.etag = headers.find("etag")};
    if (current.etag.empty()) {
      if (const auto body = whole(response); body && body->size() <= kLargest) {
        current.etag = tag_of(*body, context.arena);
        if (changes) headers.set("etag", lasting(current.etag));
      }
    }
    const auto now = context.wall / kSecond;
    if (const auto date = headers.find("last-modified"); !date.empty())
      current.last_modified = http::parse_date(date, now);
    const auto condition = http::evaluate(request.method, request.headers, current, now);
    if (condition == http::Precondition::failed) {
      Error error{&http::kPreconditionFailed};
      if (refuses(context, error)) answer = std::unexpected(std::move(error));
    } else if (condition == http::Precondition::not_modified && changes) {
      response.status = 304;
      response.body = {};
      for (auto* name : {"content-type", "content-length", "content-encoding", "content-language", "content-range"})
        headers.remove(name);
    }
  }

 private:
  static constexpr std::size_t kLargest = 1 << 20;  ///< bytes that are hashed where the loop has others to serve

  /// A strong tag: 128 bits of the content, in hexadecimal.
  static std::string_view tag_of(std::string_view body, Arena& arena) {
    const auto hash = content_hash(body);
    auto* text = arena.array<char>(34);
    text[0] = text[33] = '"';
    put_hex(hash.high, text + 1);
    put_hex(hash.low, text + 17);
    return {text, 34};
  }

  static std::optional<std::string_view> whole(const Response& response) {
    if (auto* text = std::get_if<std::string_view>(&response.body)) return *text;
    if (auto* buffer = std::get_if<Buffer>(&response.body)) return as_text(buffer->bytes);
    return std::nullopt;
  }
};

}  // namespace

extern constinit const Part conditional = part<Conditional>(
    "conditional", "Adds an entity tag to every complete response, and answers 304 to clients that already have it.");

}  // namespace plimsoll::policy
