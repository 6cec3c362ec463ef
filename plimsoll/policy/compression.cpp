#include "plimsoll/async/blocking.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/contract/header_fields.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/http/cache_control.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/conditional.hpp"
#include "plimsoll/http/encoding.hpp"

#include <map>

namespace plimsoll::policy {
namespace {

using http::Coding;

/// Compresses answers as the caller accepts it (RFC 9110, section 12.5.3): whole bodies at once, streams piece by
/// piece.
class Compression final : public Policy {
 public:
  struct Options {
    config::Size minimum = {1024};
    std::vector<std::string> types{"text/*",
                                   "application/json",
                                   "application/*+json",
                                   "application/xml",
                                   "application/*+xml",
                                   "application/javascript",
                                   "application/x-ndjson",
                                   "image/svg+xml"};
    std::vector<std::string> codings{"zstd", "br", "gzip"};
  };
  static constexpr config::Field fields[] = {
      config::field<&Options::minimum>("minimum", "Smaller bodies are sent uncompressed."),
      config::field<&Options::types>("types", "Media types worth compressing; `*` stands for any part of a type."),
      config::field<&Options::codings>("codings",
                                       "The codings that are offered, in order of preference: zstd, br, gzip. The "
                                       "order applies if the caller has no preference."),
  };
  static constexpr std::string_view example = "{codings: [gzip]}";
  static constexpr std::span<const Problem* const> problems{};

  static Result<std::unique_ptr<Policy>> build(Options options, const Build& build) {
    // Whoever answers is asked for the coding by the caller itself, and body and tag stay as they came.
    if (build.operation.left_as_it_is("compression")) return nullptr;
    auto& settled = build.services.of_plan->of<SettledBySettings>()->by_settings[build.settings];
    if (settled) return std::make_unique<Compression>(settled, build.services.threads);
    std::vector<Coding> offers;
    for (auto& name : options.codings) {
      const auto known = {Coding::gzip, Coding::br, Coding::zstd};
      const auto* found = std::ranges::find(known, std::string_view(name), http::name_of);
      if (found == known.end())
        return build.wrong("codings", "one of zstd, br, gzip is expected, and not \"" + name + "\"",
                           "Name the codings that are offered, the preferred first: `codings: [zstd, br, gzip]`.");
      offers.push_back(*found);
    }
    if (offers.empty()) return nullptr;
    settled = std::make_shared<const Settled>(options.minimum, std::move(options.types), std::move(offers));
    return std::make_unique<Compression>(settled, build.services.threads);
  }
  static void describe(const Options& options, const Description&, contract::Promises& promises) {
    if (!options.codings.empty()) promises.sends(contract::kVary);
  }
  /// What the options say, looked at.
  struct Settled {
    config::Size minimum;
    std::vector<std::string> types;
    std::vector<Coding> offers;
  };
  Compression(std::shared_ptr<const Settled> settled, Threads* threads)
      : settled_(std::move(settled)), threads_(threads) {}

  PLIMSOLL_FORWARDS Task<Result<Response>> apply(Request& request, Context& context, Next next) override {
    // Whatever is answered now would perhaps be answered otherwise to another caller.
    context.promise("vary", "accept-encoding");
    const auto accepted = request.headers.joined("accept-encoding");
    if (accepted.empty() || mode() == Mode::shadow) return next(request, context);
    const auto coding = http::best_coding(&accepted, settled_->offers);
    if (coding == Coding::identity) return next(request, context);
    return encode(request, context, next, coding);
  }

 private:
  /// Of a plan: most operations have the same settings, and share what they say.
  struct SettledBySettings {
    std::map<const json::Value*, std::shared_ptr<const Settled>> by_settings;
  };
  /// Above this a body is compressed on a thread of its own: the loop has others to serve.
  static constexpr std::size_t kAside = 128 * 1024;

  Task<Result<Response>> encode(Request& request, Context& context, Next next, Coding coding) {
    auto answer = co_await next(request, context);
    if (!answer) co_return answer;
    auto& response = *answer;
    if (response.status == 304) {
      confirm(request, response, context, coding);
      co_return answer;
    }
    const auto whole = whole_body(response);
    if (whole && whole->size() < settled_->minimum.bytes) co_return answer;
    if (!worth(response)) co_return answer;
    const auto* shared = std::get_if<Buffer>(&response.body);
    const auto* encodings = shared ? shared->encodings : nullptr;  // of a cached body: made once for all who ask
    if (auto ready = encodings ? encodings->find(http::name_of(coding)) : nullptr) {
      context.keep<Buffer>(*shared);  // the headers may be views into it
      const auto bytes = as_bytes(*ready);
      response.body = Buffer{std::move(ready), bytes};
    } else if (whole) {
      std::string out;
      const bool smaller = co_await blocking(context.loop, whole->size() > kAside ? threads_ : nullptr,
                                             [&] { return http::compress(coding, *whole, out); });
      if (!smaller) co_return answer;
      if (encodings) encodings->keep(http::name_of(coding), std::make_shared<const std::string>(out));
      if (shared && !shared->alone) context.keep<Buffer>(*shared);  // the headers may be views into it
      response.body = context.body(std::move(out));
    } else if (auto* source = streamed(response, context)) {
      auto made = http::encoder(coding);
      if (!made) co_return answer;
      response.body = lasting(context.keep<http::EncodedStream>(*source, std::move(made)));
    } else {
      co_return answer;
    }
    mark(response, context, coding);
    co_return answer;
  }

  static std::optional<Bytes> whole_body(const Response& response) {
    if (const auto* text = std::get_if<std::string_view>(&response.body)) return as_bytes(*text);
    if (const auto* buffer = std::get_if<Buffer>(&response.body)) return buffer->bytes;
    return std::nullopt;
  }
  Stream* streamed(Response& response, Context& context) const {
    if (auto* stream = std::get_if<Stream*>(&response.body)) return *stream;
    if (auto* file = std::get_if<File>(&response.body))
      if (file->length >= settled_->minimum.bytes) return &context.keep<http::FileStream>(*file);
    return nullptr;
  }

  /// Whether the answer may and should be compressed, as far as its head tells.
  bool worth(const Response& response) const {
    if (response.status < 200 || response.status == 204 || response.status == 206) return false;
    auto& headers = response.headers;
    if (headers.contains("content-encoding") || headers.contains("content-range")) return false;
    // A digest of the bytes sent (RFC 9530) would no longer be theirs.
    if (headers.contains("content-digest")) return false;
    if (http::parse_cache_control(headers.joined("cache-control")).no_transform) return false;
    const auto type = trimmed(headers.find("content-type").substr(0, headers.find("content-type").find(';')));
    return std::ranges::any_of(settled_->types, [&](const std::string& pattern) { return fits(pattern, type); });
  }
  /// `*` is any run of characters; once per pattern.
  static bool fits(std::string_view pattern, std::string_view type) {
    const auto star = pattern.find('*');
    if (star == std::string_view::npos) return equal_ignoring_case(pattern, type);
    const auto head = pattern.substr(0, star), tail = pattern.substr(star + 1);
    return type.size() >= head.size() + tail.size() && equal_ignoring_case(head, type.substr(0, head.size())) &&
           equal_ignoring_case(tail, type.substr(type.size() - tail.size()));
  }

  /// A strong tag names bytes, and these are others (RFC 9110, section 8.8.1).
  static void tag(Response& response, Context& context, Coding coding) {
    const auto tag = http::parse_entity_tag(response.headers.find("etag"));
    if (!tag || tag->weak) return;
    std::string text = "\"";
    text.append(http::without_coding(*tag).opaque).append(";").append(http::name_of(coding)).append("\"");
    response.headers.set("etag", context.kept(text));
  }
  static void mark(Response& response, Context& context, Coding coding) {
    response.headers.set("content-encoding", lasting(http::name_of(coding)));
    response.headers.remove("content-length");
    response.headers.remove("accept-ranges");
    tag(response, context, coding);
  }
  /// A 304 names the very representation the caller holds: the one it would get now if it has that, else the first it
  /// named.
  static void confirm(const Request& request, Response& response, Context& context, Coding coding) {
    const auto own = http::parse_entity_tag(response.headers.find("etag"));
    if (!own || own->weak) return;
    auto list = request.headers.joined("if-none-match");
    std::optional<http::EntityTag> held;
    while (const auto named = http::next_entity_tag(list)) {
      if (http::without_coding(*named).opaque != http::without_coding(*own).opaque) continue;
      if (!held || http::coding_of(*named) == http::name_of(coding)) held = named;
    }
    if (!held || http::coding_of(*held).empty()) return;
    const auto text = "\"" + std::string(held->opaque) + "\"";
    response.headers.set("etag", context.kept(text));
  }

  const std::shared_ptr<const Settled> settled_;
  Threads* threads_;
};

}  // namespace

extern constinit const Part compression =
    part<Compression>("compression", "Compresses responses with a coding that the caller accepts: zstd, br, gzip.");

}  // namespace plimsoll::policy
