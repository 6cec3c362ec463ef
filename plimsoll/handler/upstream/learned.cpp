#include "plimsoll/handler/upstream/learned.hpp"

#include "plimsoll/base/arena.hpp"
#include "plimsoll/base/letters.hpp"
#include "plimsoll/contract/body.hpp"
#include "plimsoll/http/negotiate.hpp"
#include "plimsoll/http/target.hpp"
#include "plimsoll/json/parse.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace plimsoll::handler {
namespace {

using forwarding::LearnedShape;
using forwarding::looks_like_value;

constexpr std::size_t kMostOperations = 1'000;
constexpr std::size_t kMostShapes = 50'000;  ///< about 200 bytes each
constexpr std::size_t kMostSegments = 5'000;
constexpr std::size_t kMostWords = 32;  ///< different segments at one place; more are values
constexpr std::size_t kMostParameters = 64;
constexpr std::size_t kMostTypes = 8;  ///< media types of one body
constexpr std::size_t kDeepestPath = 16;

/// Those that an OpenAPI 3.1 document has members for, but for what the server answers by itself.
constexpr std::string_view kMethods[] = {"GET", "PUT", "POST", "PATCH", "DELETE"};

/// What the values of a query parameter were.
struct Parameter {
  bool others = false, fractions = false, numbers = false, booleans = false, repeated = false;
  void take(std::string_view value) {
    Arena arena;
    const auto parsed = json::parse(value, arena);
    const bool number = parsed && parsed->is(json::Type::number);
    const bool boolean = parsed && parsed->is(json::Type::boolean);
    numbers |= number, booleans |= boolean, others |= !number && !boolean;
    if (number) fractions |= value.find_first_of(".eE") != value.npos;
  }
  std::string_view type() const {
    if (others || (numbers && booleans)) return "string";
    return booleans ? "boolean" : fractions ? "number" : numbers ? "integer" : "string";
  }
  void merge(const Parameter& other) {
    others |= other.others, fractions |= other.fractions, numbers |= other.numbers, booleans |= other.booleans;
    repeated |= other.repeated;
  }
};

using Content = std::map<std::string, LearnedShape, std::less<>>;

void merge(Content& into, Content&& other) {
  for (auto& [type, shape] : other)
    if (into.contains(type) || into.size() < kMostTypes) into[type].merge(std::move(shape));
}

void take(Content& content, std::string_view type, const std::optional<std::string_view>& body, std::size_t& left) {
  const auto essence = http::essence(type);
  if (essence.empty() || (!content.contains(essence) && (content.size() == kMostTypes || essence.size() > 128))) return;
  auto& shape = content[std::string(essence)];
  if (!body || body->empty() || contract::body_kind(essence) != contract::BodyKind::json) return;
  Arena arena;
  if (const auto value = json::parse(*body, arena)) shape.take(*value, left);
}

void write_content(json::Writer& out, const Content& content, bool requires_members) {
  out.key("content").begin_object();
  for (const auto& [type, shape] : content) {
    out.key(type).begin_object();
    if (!shape.empty()) {
      out.key("schema");
      shape.write(out, requires_members);
    }
    out.end_object();
  }
  out.end_object();
}

/// A segment as a word of a name in camel case: letters and digits alone.
std::string word_of(std::string_view segment, bool first) {
  std::string word;
  bool upper = !first;
  for (const char c : segment) {
    const char low = lower(c);
    const bool letter = low >= 'a' && low <= 'z', digit = c >= '0' && c <= '9';
    if (letter || digit) {
      word += upper && letter ? static_cast<char>(low - 32) : word.empty() && first ? low : c;
      upper = false;
    } else {
      upper = true;
    }
  }
  return word;
}

std::string singular(std::string word) {
  if (word.ends_with("ies") && word.size() > 4) return word.replace(word.size() - 3, 3, "y");
  if (word.ends_with("sses") || word.ends_with("xes")) return word.substr(0, word.size() - 2);
  if (word.ends_with('s') && !word.ends_with("ss") && word.size() > 2) word.pop_back();
  return word;
}

/// Of `/products/{productId}/reviews`, `getProductsByProductIdReviews`.
std::string operation_id(std::string_view method, std::string_view path) {
  auto id = lowered(method);
  while (!path.empty()) {
    path.remove_prefix(1);
    const auto segment = path.substr(0, path.find('/'));
    path.remove_prefix(segment.size());
    id += (segment.starts_with('{') ? "By" : "") + word_of(segment, false);
  }
  return id;
}

}  // namespace

struct Learned::Operation {
  std::uint64_t seen = 0;
  std::map<std::string, Parameter, std::less<>> query;
  Content request;
  std::uint64_t requests_with_body = 0;
  struct Answer {
    std::uint64_t seen = 0;
    Content content;
  };
  std::map<std::uint16_t, Answer> answers;

  void merge(Operation&& other) {
    seen += other.seen, requests_with_body += other.requests_with_body;
    for (const auto& [name, parameter] : other.query)
      if (query.contains(name) || query.size() < kMostParameters) query[name].merge(parameter);
    handler::merge(request, std::move(other.request));
    for (auto& [status, answer] : other.answers) {
      auto& mine = answers[status];
      mine.seen += answer.seen;
      handler::merge(mine.content, std::move(answer.content));
    }
  }
  /// By which siblings are taken for one another.
  std::string looks() const {
    for (const auto& [status, answer] : answers)
      for (const auto& [type, shape] : answer.content)
        if (status < 300) return shape.member_names();
    return {};
  }
};

struct Learned::Segment {
  std::map<std::string, std::unique_ptr<Segment>, std::less<>> words;
  std::unique_ptr<Segment> value;
  bool only_values = false;                          ///< there were too many words
  std::map<std::string_view, Operation> operations;  ///< by kMethods

  bool is_value(std::string_view segment) const { return only_values || looks_like_value(segment); }
  Operation* find(std::string_view path, std::string_view method) {
    auto* at = this;
    while (!path.empty()) {
      path.remove_prefix(1);
      const auto segment = path.substr(0, path.find('/'));
      path.remove_prefix(segment.size());
      if (at->is_value(segment)) {
        at = at->value.get();
      } else {
        const auto known = at->words.find(segment);
        at = known == at->words.end() ? nullptr : known->second.get();
      }
      if (!at) return nullptr;
    }
    const auto found = at->operations.find(method);
    return found == at->operations.end() ? nullptr : &found->second;
  }
  void merge(Segment&& other) {
    for (auto& [method, operation] : other.operations) operations[method].merge(std::move(operation));
    if (other.value) add_value(std::move(*other.value));
    for (auto& [word, segment] : other.words) {
      auto& mine = words[word];
      if (mine)
        mine->merge(std::move(*segment));
      else
        mine = std::move(segment);
    }
  }
  void add_value(Segment&& segment) {
    if (!value) value = std::make_unique<Segment>();
    value->merge(std::move(segment));
  }
  /// There are so many different words here that they are values.
  void words_are_values() {
    only_values = true;
    for (auto& each : std::exchange(words, {})) add_value(std::move(*each.second));
  }
  /// By which siblings are taken for one another, with all that is below them; empty: nothing is known of its answers.
  std::string looks() const {
    std::string all;
    bool known = false;
    const auto below = [&](std::string_view name, const Segment& segment) {
      const auto looks = segment.looks();
      known |= !looks.empty();
      all.append(name).append(" {").append(looks).append("}\n");
    };
    for (const auto& [word, segment] : words) below(word, *segment);
    if (value) below("/", *value);
    for (const auto& [method, operation] : operations) {
      const auto looks = operation.looks();
      known |= !looks.empty();
      all += std::string(method) + " " + looks + "\n";
    }
    return known ? all : std::string{};
  }
  /// Several words whose answers have the same members are values: the names of users, the titles of pages.
  void alike_are_values() {
    constexpr std::size_t kAlike = 4;
    for (auto& each : words) each.second->alike_are_values();
    if (value) value->alike_are_values();
    std::map<std::string, std::vector<std::string>> alike;
    for (const auto& [word, segment] : words)
      if (auto looks = segment->looks(); !looks.empty()) alike[std::move(looks)].push_back(word);
    for (const auto& [looks, same] : alike)
      if (same.size() >= kAlike)
        for (const auto& word : same) add_value(std::move(*words.extract(word).mapped()));
  }
};

Learned::Learned() { clear(); }
Learned::~Learned() = default;

void Learned::clear() {
  const std::scoped_lock lock(mutex_);
  root_ = std::make_unique<Segment>();
  exchanges_ = dropped_ = operations_ = 0;
  shapes_left_ = kMostShapes, segments_left_ = kMostSegments;
}
void Learned::begin(std::string_view upstream, std::string_view authorization) {
  const std::scoped_lock lock(mutex_);
  upstream_ = upstream, authorization_ = authorization;
}
std::string Learned::upstream() const {
  const std::scoped_lock lock(mutex_);
  return upstream_;
}
std::uint64_t Learned::exchanges() const {
  const std::scoped_lock lock(mutex_);
  return exchanges_;
}
std::uint64_t Learned::dropped() const {
  const std::scoped_lock lock(mutex_);
  return dropped_;
}

void Learned::take(const Exchange& exchange) {
  const auto method = std::ranges::find(kMethods, exchange.method);
  if (method == std::end(kMethods) || !exchange.path.starts_with('/')) return;
  auto path = exchange.path;
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  if (path == "/") path = "";
  const std::scoped_lock lock(mutex_);
  auto* operation = root_->find(path, *method);
  if (!operation) {
    if (exchange.status >= 400) return;
    if (operations_ == kMostOperations || std::ranges::count(path, '/') > std::ptrdiff_t{kDeepestPath}) {
      ++dropped_;
      return;
    }
    auto* at = root_.get();
    while (!path.empty()) {
      path.remove_prefix(1);
      const auto segment = path.substr(0, path.find('/'));
      path.remove_prefix(segment.size());
      if (at->is_value(segment)) {
        if (!at->value) {
          if (segments_left_ == 0) return void(++dropped_);
          --segments_left_;
          at->value = std::make_unique<Segment>();
        }
        at = at->value.get();
        continue;
      }
      auto known = at->words.find(segment);
      if (known == at->words.end()) {
        if (segments_left_ == 0) return void(++dropped_);
        --segments_left_;
        if (at->words.size() == kMostWords) {
          at->words_are_values();
          at = at->value.get();
          continue;
        }
        known = at->words.emplace(std::string(segment), std::make_unique<Segment>()).first;
      }
      at = known->second.get();
    }
    const auto [made, is_new] = at->operations.try_emplace(*method);
    operations_ += is_new;
    operation = &made->second;
  }
  ++exchanges_;
  ++operation->seen;
  std::set<std::string_view> names;
  Arena arena;
  for (auto query = exchange.query; !query.empty();) {
    const auto pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    const auto equals = std::min(pair.find('='), pair.size());
    const auto name = percent_decode(pair.substr(0, equals), arena, true);
    const auto value = percent_decode(pair.substr(std::min(equals + 1, pair.size())), arena, true);
    if (!name || !value || name->empty() || looks_like_value(*name)) continue;
    if (!operation->query.contains(*name) && operation->query.size() == kMostParameters) continue;
    auto& parameter = operation->query[std::string(*name)];
    parameter.take(*value);
    parameter.repeated |= !names.insert(*name).second;
  }
  if (!exchange.request_type.empty()) {
    ++operation->requests_with_body;
    handler::take(operation->request, exchange.request_type, exchange.request_body, shapes_left_);
  }
  auto& answer = operation->answers[exchange.status];
  ++answer.seen;
  handler::take(answer.content, exchange.response_type, exchange.response_body, shapes_left_);
}

std::string Learned::document() {
  const std::scoped_lock lock(mutex_);
  root_->alike_are_values();
  std::string text;
  json::Writer out{text};
  out.begin_object().key("openapi").string("3.1.0");
  out.key("info").begin_object().key("title").string("Operations learned from forwarded requests");
  out.key("version").string("0").end_object().key("paths").begin_object();
  write_paths(out, *root_, "");
  out.end_object().end_object();
  return text;
}

void Learned::write_paths(json::Writer& out, const Segment& at, const std::string& path) const {
  if (!at.operations.empty()) {
    out.key(path.empty() ? "/" : path).begin_object();
    if (path.contains('{')) {
      out.key("parameters").begin_array();
      for (auto rest = std::string_view(path); rest.contains('{');) {
        rest.remove_prefix(rest.find('{') + 1);
        out.begin_object().key("name").string(rest.substr(0, rest.find('}'))).key("in").string("path");
        out.key("required").boolean(true).key("schema").begin_object().key("type").string("string").end_object();
        out.end_object();
      }
      out.end_array();
    }
    for (const auto method : kMethods) {
      const auto found = at.operations.find(method);
      if (found == at.operations.end()) continue;
      const auto& operation = found->second;
      out.key(lowered(method)).begin_object();
      out.key("operationId").string(operation_id(method, path));
      out.key("x-plimsoll").begin_object().key("upstream").string(upstream_);
      if (!authorization_.empty()) out.key("authorization").string(authorization_);
      out.end_object();
      if (!operation.query.empty()) {
        out.key("parameters").begin_array();
        for (const auto& [name, parameter] : operation.query) {
          out.begin_object().key("name").string(name).key("in").string("query").key("schema").begin_object();
          if (parameter.repeated) out.key("type").string("array").key("items").begin_object();
          out.key("type").string(parameter.type());
          if (parameter.repeated) out.end_object();
          out.end_object().end_object();
        }
        out.end_array();
      }
      if (!operation.request.empty()) {
        out.key("requestBody").begin_object();
        if (operation.requests_with_body == operation.seen) out.key("required").boolean(true);
        write_content(out, operation.request, false);
        out.end_object();
      }
      out.key("responses").begin_object();
      for (const auto& [status, answer] : operation.answers) {
        out.key(std::to_string(status)).begin_object();
        out.key("description").string("Seen " + std::to_string(answer.seen) + (answer.seen == 1 ? " time" : " times"));
        if (!answer.content.empty()) write_content(out, answer.content, true);
        out.end_object();
      }
      out.end_object().end_object();
    }
    out.end_object();
  }
  for (const auto& [word, segment] : at.words) write_paths(out, *segment, path + "/" + word);
  if (!at.value) return;
  // Named after what stands before it.
  const auto before = std::string_view(path).substr(path.rfind('/') == path.npos ? 0 : path.rfind('/') + 1);
  auto name = before.starts_with('{') || before.empty() ? std::string("id") : singular(word_of(before, true)) + "Id";
  while (path.contains("{" + name + "}")) name += "2";
  write_paths(out, *at.value, path + "/{" + name + "}");
}

}  // namespace plimsoll::handler
