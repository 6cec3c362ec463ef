#include "plimsoll/exchange/cache/origin_cache.hpp"

#include "plimsoll/base/arena_text.hpp"
#include "plimsoll/database/database.hpp"
#include "plimsoll/exchange/cache/origin_fill.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/problems.hpp"
#include "plimsoll/http/conditional.hpp"
#include "plimsoll/http/date.hpp"
#include "plimsoll/http/key_text.hpp"
#include "plimsoll/http/method.hpp"
#include "plimsoll/http/negotiate.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <new>
#include <utility>

namespace plimsoll::origin {
namespace {

using http::Reuse;
using http::origin::Content;
using http::origin::Resource;

constexpr std::size_t kMostNames = 16;  ///< in the `Vary` of all responses of a resource together

std::string group_slot(std::string_view authority, std::string_view group) {
  std::string slot;
  put_authority(slot, 'G', authority);
  put_part(slot, 'g', group);
  return slot;
}

/// What waits and stores; the rules are in http/origin_rules.hpp.
class OriginCache final : public Policy {
 public:
  OriginCache(const CacheOptions& options, std::unique_ptr<const Place> place, std::shared_ptr<CacheState> shared,
              const CacheCounters& counts, const Clock& clock)
      : options_(options), place_(std::move(place)), clock_(clock), shared_(std::move(shared)), counts_(counts) {}

  Task<Result<Response>> apply(Request& request, Context& context, Next next) override {
    const bool get = request.method == "GET", head = request.method == "HEAD";
    if (place_->passes(request, context)) [[unlikely]] {
      auto answer = co_await next(request, context);
      co_return answer;
    }
    if ((!get && !head) || place_->has_body(request, context)) {
      const bool changes = place_->changes(request, context);
      if (changes) watch_effect(context);
      auto answer = co_await next(request, context);
      if (changes) invalidate(*shared_, place_->resource(request), answer, context);
      if (!answer) co_return answer;
      co_return bypassed(std::move(answer), "; fwd=method");
    }
    const auto asked = http::origin::asked_of(request.headers, place_->is_authorized(context), options_.obeys);
    std::string key;
    key.reserve(kKey);
    place_->put_key(key, request, context);
    const auto primary = key.size();
    const bool shadow = mode() == Mode::shadow;
    std::string_view reason = "; fwd=uri-miss";
    bool alone = false, collapsed = false;
    for (;;) {
      key.resize(primary);
      const auto found = find(key, request, asked);
      const auto& stored = found.stored;
      const auto now = clock_.steady();
      const auto age = stored ? stored->age(now) : 0;
      const bool changed = stored && is_changed(*stored, request);
      const auto use = stored ? http::origin::use_of(*stored, asked, age, changed) : Reuse::revalidate;
      if (stored && use == Reuse::fresh && !asked.for_origin && !asked.control.no_store) {
        if (shadow) {
          count(CacheSource::hit);
          auto answer = co_await next(request, context);
          co_return answer;
        }
        if (!collapsed) co_return serve(CacheSource::hit, stored, request, context, now, "; hit");
        ArenaText how{context.arena, 48};
        how << reason << "; collapsed";
        co_return serve(CacheSource::collapsed, stored, request, context, now, how.text());
      }
      if (asked.control.only_if_cached && !shadow) {
        Error error{&kNotCached, "nothing fresh is stored"};
        if (refuses(context, error)) co_return std::unexpected(std::move(error));
      }
      const bool by_request =
          stored && !changed &&
          http::origin::use_of(*stored, Asked{}, age, false) == Reuse::fresh;  // it wants a newer one
      reason = found.passes  ? "; fwd=bypass"
               : by_request  ? "; fwd=request"
               : stored      ? "; fwd=stale"
               : found.other ? "; fwd=vary-miss"
                             : "; fwd=uri-miss";
      const auto confirming = !shadow && stored && http::origin::condition_of(*stored) ? stored : nullptr;
      const auto stale_instead = [&] {
        place_->given_stale(context);
        return serve(CacheSource::stale, stored, request, context, clock_.steady(),
                     "; fwd=stale; detail=stale-if-error");
      };
      const bool beside = !shadow && use == Reuse::stale_while_revalidate && !head;
      const auto asked_with = head && stored && !rules_.shared ? copied(request.headers, context) : nullptr;
      if (head || found.passes || asked.for_origin || asked.control.no_store || (asked.range && !confirming)) {
        auto answer = co_await next(request, context);
        if (head && !shadow && (!answer || answer->status >= 500) && good_enough(stored, use, request))
          co_return stale_instead();
        if (head && answer && answer->status == 200 && stored && !shadow)
          freshen(*stored, *answer, asked_with ? *asked_with : request.headers, asked, key, primary);
        if (shadow) co_return answer;
        co_return bypassed(std::move(answer), asked.range && !found.passes ? "; fwd=partial" : reason);
      }
      // Others wait only for what is asked for as they would ask, and may be given.
      const bool joins = beside || (!shadow && !alone && (confirming || !asked.conditional) && !asked.demands() &&
                                    (!asked.authorized || (stored && stored->for_authorized)) &&
                                    !(stored && (stored->times.control.no_cache || stored->lifetime == 0)));
      std::shared_ptr<Flights::Flight> flight;
      if (joins) {
        auto ticket = shared_->origin_flights.board(key);
        if (beside) {
          if (ticket.leads) begin(request, context, next, asked, confirming, true, key, primary, ticket.flight);
          co_return serve(CacheSource::stale, stored, request, context, now, "; hit; detail=stale-while-revalidate");
        }
        if (!ticket.leads) {
          auto landed = co_await ticket.flight->wait(context.loop, patience_for_another(context));
          const bool late = !landed && landed.error().problem == &kDeadlineExceeded;
          if ((late || (landed && *landed && (**landed)->failed)) && good_enough(stored, use, request))
            co_return stale_instead();
          if (late) co_return std::unexpected(Error{&kDeadlineExceeded}.because(std::string(kOfAnother)));
          if (!landed) co_return std::unexpected(std::move(landed).error());
          // It is stored now, or it is not for all. What has failed or takes long may do so for what its caller says in
          // fields that are in no key: this request is sent for itself.
          collapsed = *landed && !(**landed)->error;
          alone = true;
          continue;
        }
        flight = std::move(ticket.flight);
      }
      auto fill = begin(request, context, next, asked, confirming, false, key, primary, flight);
      auto woken = co_await fill->news.wait(context.loop, options_.patience + kSecond,
                                            [&] { return fill->head != Fill::Head::awaited; });
      place_->answered(fill->exchange.request, fill->exchange.context, request, context);
      const bool late = !woken ? woken.error().problem == &kDeadlineExceeded : !*woken;
      const bool failed =
          late || (woken && (fill->head == Fill::Head::failed || (fill->response && fill->response->status >= 500)));
      if (failed && !shadow && good_enough(stored, use, request)) co_return stale_instead();
      if (late)
        co_return std::unexpected(Error{&kDeadlineExceeded}.because(place_->awaited(fill->exchange.context, context)));
      if (!woken) co_return std::unexpected(std::move(woken).error());
      if (fill->head == Fill::Head::failed) co_return std::unexpected(*fill->error);
      if (fill->head == Fill::Head::confirmed) {
        std::string how(reason);
        how += "; fwd-status=304";
        if (fill->kept) how += "; stored";
        co_return serve(CacheSource::validated, fill->stored, request, context, clock_.steady(),
                        context.arena.keep(how));
      }
      if (shadow) count(CacheSource::miss);
      co_return pass_on(std::move(fill), request, context, reason, shadow);
    }
  }

 private:
  using Flights = SingleFlight<std::shared_ptr<const Landed>>;

  void count(CacheSource source) const {
    if (auto* each = counts_[static_cast<std::size_t>(source)]) each->add();
  }

  /// Of requests that know who asks, because they are not told apart from others by the key.
  static std::string passing_key(std::string_view primary, bool authorized) {
    std::string key(primary);
    if (authorized) put_part(key, 'A', {});
    return key;
  }

  struct Found {
    std::shared_ptr<const Stored> stored{};
    bool passes = false;  ///< not stored, nor waited for
    bool other = false;   ///< something is stored that this request does not select
  };
  /// What is stored for the request; `key` becomes that of its variant.
  Found find(std::string& key, const Request& request, const Asked& asked) {
    Found found;
    const auto primary = key.size();
    auto kept = shared_->store.find(key);
    if (kept && kept->kind == CachedAnswer::Kind::varies) {
      put_variant(key, *kept, request.headers);
      kept = shared_->store.find(key);
      found.other = !kept;
    }
    if (kept && kept->kind == CachedAnswer::Kind::pass) {
      found.passes = clock_.steady() < kept->fresh;
      kept = nullptr;
    }
    if (kept && kept->of_origin) {
      // What the origin said for anybody at all may still not be for who is known.
      if (asked.authorized && !kept->of_origin->for_authorized)
        found.passes = found.other = true;
      else
        found.stored = kept->of_origin;
    } else if (asked.authorized && !found.passes) {
      kept = shared_->store.find(passing_key(std::string_view(key).substr(0, primary), true));
      found.passes = kept && kept->kind == CachedAnswer::Kind::pass && clock_.steady() < kept->fresh;
    }
    return found;
  }

  static void put_variant(std::string& key, const CachedAnswer& rule, const Headers& request) {
    http::origin::put_variant(key, rule.vary, request);
    if (rule.by_all_fields) http::origin::put_all_fields(key, request);
  }
  static Headers* copied(const Headers& headers, Context& context) {
    auto& made = context.keep<Headers>(context.arena);
    for (auto& [name, value] : headers) made.add(name, value);
    return &made;
  }

  bool is_changed(const Stored& stored, const Request& request) const {
    const auto resource = place_->resource(request);
    if (stored.began < shared_->resources.of(resource.path)) return true;
    return std::ranges::any_of(stored.groups, [&](const auto& group) {
      return stored.began < shared_->resources.of(group_slot(resource.authority, group));
    });
  }
  /// Whether the stale response is given where nothing newer can be had; a write may have come meanwhile.
  bool good_enough(const std::shared_ptr<const Stored>& stored, Reuse use, const Request& request) const {
    if (!stored || is_changed(*stored, request)) return false;
    if (use == Reuse::stale_if_error || use == Reuse::stale_while_revalidate) return true;
    const auto past = stored->age(clock_.steady()) - stored->lifetime;
    return http::origin::may_be_stale(*stored) && past < options_.when_failing / kSecond;
  }

  Response serve(CacheSource source, std::shared_ptr<const Stored> stored, const Request& request, Context& context,
                 Nanoseconds now, std::string_view how) const {
    count(source);
    auto& arena = context.arena;
    Response made{.status = stored->status, .headers = Headers{arena}};
    auto& headers = made.headers;
    const auto& from = *arena.make<std::shared_ptr<const Stored>>(std::move(stored));  // the headers are views into it
    for (auto& [name, value] : from.fields) headers.add(lasting(name), lasting(value));
    const auto age = from.age(now);
    ArenaText seconds{arena, ArenaText::kNumber};
    headers.add("age", lasting((seconds << age).text()));
    ArenaText status{arena, how.size() + 64};
    status << options_.name << how << "; ttl=" << from.lifetime - age;
    headers.add("cache-status", lasting(status.text()));

    const auto unix = context.wall / kSecond;
    const bool confirmed = from.status == 200 && http::evaluate(request.method, request.headers, from.validators(),
                                                                unix) == http::Precondition::not_modified;
    if (confirmed) {
      not_modified(made);
      return made;
    }
    const auto& content = from.content;
    const auto bytes = content ? as_bytes(content->text) : Bytes{};
    const auto part =
        request.method == "GET" ? http::origin::part_of(request.headers, from, unix) : http::origin::Part{};
    if (part.kind == http::origin::Part::whole) {
      if (!bytes.empty()) made.body = Buffer{content, bytes, content.get()};
      return made;
    }
    const auto size = static_cast<std::int64_t>(bytes.size());
    ArenaText range{arena, 16 + 3 * ArenaText::kNumber};
    range << "bytes ";
    if (part.kind == http::origin::Part::none) {
      made.status = 416;
      for (const auto* name : {"content-type", "content-encoding", "content-language", "etag", "last-modified"})
        headers.remove(name);
      range << "*";
    } else {
      made.status = 206;
      const auto first = static_cast<std::int64_t>(part.first), length = static_cast<std::int64_t>(part.length);
      range << first << "-" << first + length - 1;
      made.body = Buffer{content, bytes.subspan(part.first, part.length), nullptr};
    }
    range << "/" << size;
    headers.set("content-range", lasting(range.text()));
    return made;
  }

  static void not_modified(Response& made) {
    made.status = 304;
    made.body = {};
    for (const auto* name : {"content-type", "content-length", "content-encoding", "content-language", "content-range"})
      made.headers.remove(name);
  }

  Result<Response> bypassed(Result<Response> answer, std::string_view how) const {
    count(CacheSource::bypass);
    if (!answer) return answer;
    auto& headers = answer->headers;
    ArenaText status{headers.arena(), how.size() + options_.name.size()};
    headers.add("cache-status", lasting((status << options_.name << how).text()));
    return answer;
  }

  /// The response of a fill as it comes.
  Response pass_on(std::shared_ptr<Fill> fill, const Request& request, Context& context, std::string_view how,
                   bool shadow) const {
    auto& from = *fill->response;
    Response made{.status = from.status, .headers = Headers{context.arena}};
    for (auto& [name, value] : from.headers) made.headers.add(lasting(name), lasting(value));
    // Only where it is certain to be stored: its length is known, and it is stored or short enough.
    const bool stored = fill->kept || (fill->stores && from.headers.contains("content-length"));
    if (!shadow) {
      count(CacheSource::miss);
      ArenaText status{context.arena, how.size() + 128};
      status << options_.name << how;
      if (fill->confirming) status << "; fwd-status=" << std::int64_t{from.status};
      if (stored) status << "; stored";
      if (fill->stored) status << "; ttl=" << fill->stored->lifetime - fill->stored->age(clock_.steady());
      made.headers.add("cache-status", lasting(status.text()));
    }
    if (fill->source)
      made.body = context.stream<FillBody>(fill, context.loop, kFillTime);
    else
      made.body = from.body;
    context.keep<std::shared_ptr<Fill>>(fill);
    // Its own condition was not sent on where one of the cache's stood in its place.
    if (fill->for_all && from.status == 200) {
      const auto unix = context.wall / kSecond;
      const http::Validators current{.etag = from.headers.find("etag"),
                                     .last_modified = http::parse_date(from.headers.find("last-modified"), unix)};
      if (http::evaluate(request.method, request.headers, current, unix) == http::Precondition::not_modified)
        not_modified(made);
    }
    return made;
  }

  /// Whoever boarded the flight leads it: it lands, also where there is no memory for a fill.
  std::shared_ptr<Fill> begin(const Request& request, Context& context, Next next, const Asked& asked,
                              const std::shared_ptr<const Stored>& confirming, bool beside, const std::string& key,
                              std::size_t primary, const std::shared_ptr<Flights::Flight>& flight) {
    std::shared_ptr<Fill> fill;
    try {
      fill = std::make_shared<Fill>(request, context, shared_->gathered);
      fill->asked = asked;
      // Beside whoever holds it, the line of work that fills does.
      fill->exchange.entry.awaited = [fill = fill.get(), flight = flight.get()] {
        return fill->weak_from_this().use_count() > 1 || (flight && flight->awaited());
      };
      if (!rules_.shared) {
        auto& fields = fill->asked_with.emplace(fill->exchange.arena);
        for (auto& [name, value] : fill->exchange.request.headers) fields.add(lasting(name), lasting(value));
      }
      if (confirming)
        fill->confirms(confirming);
      else if (beside)
        fill->asks_for_all();
      context.loop.spawn(fill->exchange.scope, run(fill, next, key, primary, flight));
    } catch (...) {
      if (flight) shared_->origin_flights.land(key, *flight, without_memory_);
      throw;
    }
    return fill;
  }

  /// Whatever happens to a fill, who waits for it is told.
  struct Landing {
    CacheState& shared;
    Fill& fill;
    std::string_view key;
    Flights::Flight* flight;
    const std::shared_ptr<const Landed>& without_memory;
    ~Landing() {
      auto landed = without_memory;
      try {
        if (fill.head == Fill::Head::awaited) fill.fail(Error{&kInternal, "a fill of the cache has ended early"});
        const bool failed = fill.head == Fill::Head::failed || fill.body == Fill::Body::failed ||
                            (fill.response && fill.response->status >= 500);
        if (flight)
          landed = std::make_shared<const Landed>(
              Landed{.failed = failed, .error = fill.head == Fill::Head::failed ? fill.error : std::nullopt});
      } catch (...) {}
      fill.wake();
      if (!flight) return;
      shared.origin_flights.land(key, *flight, std::move(landed));
      // A response may keep the fill longer than the flight lasts.
      fill.exchange.entry.awaited = [fill = &fill] { return fill->weak_from_this().use_count() > 1; };
    }
  };

  Task<> run(std::shared_ptr<Fill> fill, Next next, std::string key, std::size_t primary,
             std::shared_ptr<Flights::Flight> flight) {
    const Landing landing{*shared_, *fill, key, flight.get(), without_memory_};
    try {
      const std::string resource = key.substr(0, primary);
      auto done = co_await fetch(*fill, next, resource);
      if (!done) fill->fail(std::move(done).error());
    } catch (const std::bad_alloc&) {}  // it ends early
  }

  Task<Result<>> fetch(Fill& fill, Next next, const std::string& primary) {
    auto& request = fill.exchange.request;
    auto& context = fill.exchange.context;
    const auto begun = clock_.steady();
    context.deadline(begun + options_.patience);
    http::origin::Times times{.requested = clock_.wall() / kSecond, .began = shared_->resources.now()};
    const auto received = [&] {
      times.at = clock_.steady();
      times.received = times.requested + (times.at - begun) / kSecond;
    };
    auto answer = co_await next(request, context);
    received();
    if (answer && answer->status == 304 && fill.confirming) {
      if (http::origin::is_of(*fill.confirming, answer->headers, false)) {
        confirm(fill, answer->headers, times, primary);
        co_return Result<>{};
      }
      // It confirms something that is not stored here: all is needed (section 4.3.3).
      fill.confirming = nullptr;
      fill.asks_for_all();
      auto whole = co_await next(request, context);
      answer = std::move(whole);
      received();
    }
    if (!answer) co_return std::unexpected(std::move(answer).error());
    context.answered();
    auto& response = fill.response.emplace(std::move(*answer));
    response.headers.add_absent(context.promised);
    auto storing = begins_to_store(fill, times, primary);
    fill.head = Fill::Head::response;
    if (!fill.source) {
      fill.body = Fill::Body::whole;
      if (storing) keep(fill, std::move(storing), std::string(whole_text(response.body).value_or("")), primary);
      fill.wake();
      co_return Result<>{};
    }
    if (!storing) fill.body = Fill::Body::left_to_reader;
    fill.stores = storing != nullptr;
    fill.stored = storing;
    fill.wake();
    if (!storing) co_return Result<>{};
    for (;;) {
      auto piece = co_await fill.source->read();
      if (!piece) co_return std::unexpected(std::move(piece).error());
      if (piece->empty()) break;
      const bool room = fill.add(*piece, shared_->memory / 4);
      if (!room || fill.size > options_.largest || clock_.steady() - begun > kFillTime) {
        fill.body = Fill::Body::left_to_reader;  // there is too much of it, or it takes too long: it goes through
        fill.wake();
        co_return Result<>{};
      }
      fill.wake();
    }
    std::string text;
    text.reserve(fill.size);
    for (auto& piece : fill.pieces) text += piece;
    keep(fill, std::make_shared<Stored>(*storing), std::move(text), primary);
    fill.body = Fill::Body::whole;
    fill.wake();
    co_return Result<>{};
  }

  /// What is stored once the body is there; null: nothing.
  std::shared_ptr<Stored> begins_to_store(Fill& fill, const http::origin::Times& times, const std::string& primary) {
    auto& response = *fill.response;
    std::uint64_t size = 0;
    if (auto* stream = std::get_if<Stream*>(&response.body)) {
      fill.source = *stream;
      const auto said = response.headers.find("content-length");
      std::uint64_t length = 0;
      if (std::from_chars(said.data(), said.data() + said.size(), length).ec == std::errc{}) size = length;
    } else if (std::holds_alternative<File>(response.body)) {
      return nullptr;
    } else {
      size = whole_text(response.body).value_or("").size();
    }
    const bool events = http::is_event_stream(response.headers.find("content-type"));
    const bool refused = !options_.refusals && (response.status == 401 || response.status == 403);
    auto storing = size > options_.largest || events || refused
                       ? nullptr
                       : http::origin::stored_of(response.status, response.headers, fill.asked, times, rules_);
    if (!storing && response.status != 304 && response.status < 500 && !fill.asked.control.no_store)
      pass(passing_key(primary, fill.asked.authorized));
    return storing;
  }
  void pass(const std::string& key) {
    const auto now = clock_.steady();
    // What is stored stays while it is fresh: one request does not speak for all.
    if (const auto kept = shared_->store.find(key);
        kept && (kept->kind == CachedAnswer::Kind::varies ||
                 (kept->of_origin && kept->of_origin->age(now) < kept->of_origin->lifetime)))
      return;
    auto word = std::make_shared<CachedAnswer>();
    word->kind = CachedAnswer::Kind::pass;
    word->fresh = now + kPassing;
    shared_->store.put(key, std::move(word));
  }

  void keep(Fill& fill, std::shared_ptr<Stored> storing, std::string text, const std::string& primary) {
    storing->content = std::make_shared<const Content>(std::move(text));
    fill.stored = storing;
    fill.kept = put(std::move(storing), fill.selecting(), primary);
  }
  bool put(std::shared_ptr<const Stored> stored, const Headers& request, const std::string& primary) {
    auto key = primary;
    auto names = stored->vary;
    const auto rule = shared_->store.find(primary);
    bool by_all_fields = stored->times.control.is_private;  // of one user, whom the service may know by any of them
    if (rule && rule->kind == CachedAnswer::Kind::varies) {
      by_all_fields |= rule->by_all_fields;
      std::vector<std::string> all;
      std::ranges::set_union(names, rule->vary, std::back_inserter(all));
      if (all.size() <= kMostNames) names = std::move(all);
    }
    if (!names.empty() || by_all_fields) {
      auto made = std::make_shared<CachedAnswer>();
      made->kind = CachedAnswer::Kind::varies;
      made->vary = std::move(names);
      made->by_all_fields = by_all_fields;
      put_variant(key, *made, request);
      if (!rule || rule->kind != CachedAnswer::Kind::varies || rule->vary != made->vary ||
          rule->by_all_fields != by_all_fields)
        shared_->store.put(primary, std::move(made));
    }
    auto entry = std::make_shared<CachedAnswer>();
    entry->kind = CachedAnswer::Kind::origin;
    entry->of_origin = std::move(stored);
    return shared_->store.put(key, std::move(entry));
  }

  /// A 304 of the origin: the stored response is current (section 4.3.4).
  void confirm(Fill& fill, const Headers& newer, const http::origin::Times& times, const std::string& primary) {
    auto& arena = fill.exchange.arena;
    Headers merged{arena};
    http::origin::merge(*fill.confirming, newer, merged);
    auto current = http::origin::stored_of(fill.confirming->status, merged, fill.asked, times, rules_);
    if (current) {
      current->content = fill.confirming->content;
      fill.stored = current;
      fill.kept = put(std::move(current), fill.selecting(), primary);
    } else {  // it is confirmed, and not to be stored any more
      auto once = std::make_shared<Stored>(*fill.confirming);
      once->fields.clear();
      for (auto& [name, value] : merged) once->fields.emplace_back(name, value);
      std::erase_if(once->fields, [](auto& field) { return field.first == "age"; });
      once->times = http::stored_times(once->status, merged, times.requested, times.received);
      once->at = times.at;
      fill.stored = std::move(once);
      auto key = primary;
      if (const auto rule = shared_->store.find(key); rule && rule->kind == CachedAnswer::Kind::varies)
        put_variant(key, *rule, fill.selecting());
      if (!fill.asked.control.no_store) shared_->store.remove(key);
    }
    fill.head = Fill::Head::confirmed;
    fill.body = Fill::Body::whole;
    fill.wake();
  }

  /// A response to HEAD says whether what is stored of GET is current (section 4.3.5).
  void freshen(const Stored& stored, const Response& answer, const Headers& asked_with, const Asked& asked,
               const std::string& key, std::size_t primary) {
    if (asked.authorized && !stored.for_authorized) return;
    if (!http::origin::is_of(stored, answer.headers, true)) return shared_->store.remove(key);
    const auto now = clock_.steady();
    const auto unix = clock_.wall() / kSecond;
    Headers merged{answer.headers.arena()};
    http::origin::merge(stored, answer.headers, merged);
    auto current = http::origin::stored_of(
        stored.status, merged, asked, {.requested = unix, .received = unix, .at = now, .began = stored.began}, rules_);
    if (!current) return shared_->store.remove(key);
    current->content = stored.content;
    put(std::move(current), asked_with, key.substr(0, primary));
  }

  const CacheOptions options_;
  const http::origin::Rules& rules_ = options_.rules;
  const std::unique_ptr<const Place> place_;
  const Clock& clock_;
  const std::shared_ptr<CacheState> shared_;
  const std::shared_ptr<const Landed> without_memory_ =
      std::make_shared<const Landed>(Landed{.failed = true, .error = Error{&kInternal}});
  const CacheCounters counts_;
};

}  // namespace

std::unique_ptr<Policy> origin_cache(const CacheOptions& options, std::unique_ptr<const Place> place,
                                     std::shared_ptr<CacheState> shared, const CacheCounters& counts,
                                     const Clock& clock) {
  return std::make_unique<OriginCache>(options, std::move(place), std::move(shared), counts, clock);
}

SentOnce& watch_effect(Context& context) {
  auto* known = context.noted<SentOnce>();
  return known ? *known : context.note<SentOnce>(SentOnce{.never_again = false});
}

namespace {

bool is_outcome_unknown(const Result<Response>& answer, const Context& context) {
  if (!answer && answer.error().problem == &database::kOutcomeUnknown) return true;
  const auto& sent = *context.noted<SentOnce>();
  // A gateway that got no answer knows as little. All else has an answer: that nothing was done, which may be because
  // an earlier attempt has done it.
  const bool answered = answer && answer->status != 502 && answer->status != 504;
  return answered ? sent.reached_before : sent.reached;
}

}  // namespace

void invalidate(CacheState& shared, const Resource& resource, const Result<Response>& answer, const Context& context) {
  if (!answer || answer->status >= 400) {
    if (is_outcome_unknown(answer, context)) shared.resources.changed(resource.path);
    return;
  }
  for (const auto& path : http::origin::changed_paths(resource, answer->headers)) shared.resources.changed(path);
  if (answer->headers.contains("cache-group-invalidation"))
    for (const auto& group : http::origin::groups_of(answer->headers.joined("cache-group-invalidation")))
      shared.resources.changed(group_slot(resource.authority, group));
}

}  // namespace plimsoll::origin

namespace plimsoll {

Nanoseconds patience_for_another(const Context& context) {
  if (!context.deadline()) return kMostWaited;
  return std::clamp<Nanoseconds>((context.deadline() - context.loop.now()) / 2, 1, kMostWaited);
}

CacheCounters cache_counters(telemetry::Registry& registry, const Metric& metric, const telemetry::Label& whose) {
  CacheCounters made{};
  for (std::size_t i = 0; i < made.size(); ++i) {
    const telemetry::Label labels[] = {whose, {"source", kCacheSources[i]}};
    made[i] = &registry.counter(metric.name, metric.sentence, labels);
  }
  return made;
}

}  // namespace plimsoll
