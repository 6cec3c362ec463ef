#pragma once

#include "plimsoll/base/problem.hpp"
#include "plimsoll/json/value.hpp"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plimsoll::contract {

/// A header field of requests or responses, declared beside the part that reads or writes it.
struct HeaderField {
  std::string_view name;  ///< as it is documented: `RateLimit-Policy`
  std::string_view sentence;
  std::string_view schema = R"({"type":"string"})";  ///< JSON text
};

/// Statuses of responses, from `first` to `last`.
struct Statuses {
  std::uint16_t first = 100, last = 599;
  constexpr bool has(std::uint16_t status) const { return first <= status && status <= last; }
};
inline constexpr Statuses kEveryStatus{}, kSuccess{200, 299}, kSuccessOrUnchanged{200, 304};
constexpr Statuses only(std::uint16_t status) { return {status, status}; }

/// What the server demands and returns for one operation beside what its contract says: the parts of its chain and its
/// handler add to it, and the effective contract is written from it.
class Promises {
 public:
  /// Reads a header of the request.
  void takes(const HeaderField& field, bool required = false) { takes_.push_back({field, required}); }
  /// Writes a header into responses of these statuses.
  void sends(const HeaderField& field, Statuses of = kEveryStatus) { sends_.push_back({field, of}); }
  /// May answer with this problem.
  void refuses(const Problem& problem) { refuses_.push_back(&problem); }
  void refuses(std::span<const Problem* const> problems) {
    refuses_.insert(refuses_.end(), problems.begin(), problems.end());
  }
  /// May answer with this status, without a body unless one is declared.
  void answers(std::uint16_t status, std::string_view description) { answers_.push_back({status, description}); }

  /// How requests of the operation are treated, for people: one sentence of Markdown, such as what a limit allows.
  void notes(std::string sentence) {
    if (std::ranges::find(notes_, sentence) == notes_.end()) notes_.push_back(std::move(sentence));
  }

  /// The body of a response, where the contract declares none for that status: a media type and a schema (JSON text).
  void sends_body(std::uint16_t status, std::string_view media_type, std::string schema) {
    sent_.push_back({status, media_type, std::move(schema)});
  }
  /// The body of requests, where the contract says nothing of what is in it: a schema (JSON text).
  void takes_body(std::string schema) { taken_ = std::move(schema); }
  /// Takes a parameter of the query that the contract declares only where its value satisfies this as well: a schema
  /// (JSON text).
  void narrows(std::string_view parameter, std::string schema) { narrowed_.emplace_back(parameter, std::move(schema)); }
  /// Refuses requests without a body, also where the contract says that they may lack one.
  void needs_body() { needs_body_ = true; }
  /// Where the texts of schemas here refer to a component added here: `#/added/PartialOrder`.
  static constexpr std::string_view kAdded = "#/added/";
  /// A schema of the effective document's components, as requests or as responses see it. The same name again changes
  /// nothing.
  enum class Use : std::uint8_t { request, response };
  void component(std::string name, std::string schema, Use use) {
    components_.push_back({std::move(name), std::move(schema), use});
  }
  /// In bodies of requests or of responses of this operation, the component of that name stands in the place of a
  /// schema of the document.
  void in_requests(const json::Value& schema, std::string name) { in_requests_ = {&schema, std::move(name), {}, {}}; }
  void in_responses(const json::Value& schema, std::string name) { in_responses_ = {&schema, std::move(name), {}, {}}; }
  /// The same in responses that are pages: objects that always have the member `rows`, and the others where their
  /// schema does not declare them (name and schema, JSON text).
  void in_pages(const json::Value& schema, std::string name, std::string rows,
                std::vector<std::pair<std::string, std::string>> others) {
    in_responses_ = {&schema, std::move(name), std::move(rows), std::move(others)};
  }

  /// A text that lives as long as this.
  std::string_view keep(std::string text) { return texts_.emplace_back(std::move(text)); }

  struct Taken {
    HeaderField field;
    bool required;
  };
  struct Sent {
    HeaderField field;
    Statuses of;
  };
  struct Answer {
    std::uint16_t status;
    std::string_view description;
  };
  struct Body {
    std::uint16_t status;
    std::string_view media_type;
    std::string schema;
  };
  struct Replacement {
    const json::Value* schema = nullptr;  ///< null: nothing is replaced
    std::string name{};
    std::string rows{};  ///< empty: what is shown is no page
    std::vector<std::pair<std::string, std::string>> others{};
  };
  const std::vector<Taken>& taken_headers() const { return takes_; }
  const std::vector<Sent>& sent_headers() const { return sends_; }
  const std::vector<const Problem*>& problems() const { return refuses_; }
  const std::vector<Answer>& answers() const { return answers_; }
  const std::vector<std::string>& notes() const { return notes_; }
  const std::vector<Body>& sent_bodies() const { return sent_; }
  const std::string& taken_body() const { return taken_; }
  bool body_needed() const { return needs_body_; }
  /// What a parameter of the query has to satisfy beside its own schema; null: nothing.
  const std::string* narrowing(std::string_view parameter) const {
    const auto found = std::ranges::find(narrowed_, parameter, &std::pair<std::string, std::string>::first);
    return found == narrowed_.end() ? nullptr : &found->second;
  }
  struct Component {
    std::string name, schema;
    Use use;
  };
  const std::vector<Component>& components() const { return components_; }
  const Replacement& in_requests() const { return in_requests_; }
  const Replacement& in_responses() const { return in_responses_; }

 private:
  std::vector<Taken> takes_;
  std::vector<Sent> sends_;
  std::vector<const Problem*> refuses_;
  std::vector<Answer> answers_;
  std::vector<std::string> notes_;
  std::vector<Body> sent_;
  std::string taken_;
  bool needs_body_ = false;
  std::vector<std::pair<std::string, std::string>> narrowed_;  ///< the name of the parameter, and the schema
  std::vector<Component> components_;
  Replacement in_requests_, in_responses_;
  std::deque<std::string> texts_;
};

}  // namespace plimsoll::contract
