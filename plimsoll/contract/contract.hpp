#pragma once

#include "plimsoll/config/options.hpp"
#include "plimsoll/contract/marked.hpp"
#include "plimsoll/json/value.hpp"
#include "plimsoll/schema/validator.hpp"

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::contract {

/// Something to say about a document: what, where, and what to do.
struct Complaint {
  enum class Severity : std::uint8_t { error, warning } severity = Severity::error;
  std::string code;        ///< kebab-case, an entry of the table of load errors
  std::string file;        ///< as given by the user
  json::Position at{};     ///< line and column, from 1
  std::string pointer;     ///< JSON pointer into the document
  std::string what;        ///< what is wrong, with the offending text
  std::string remedy;      ///< what to do
  bool tolerated = false;  ///< an error that LoadOptions::tolerant made a warning of
};
/// The readable block: `shop.yaml:14:7: error: …`, the pointer, the remedy.
std::string to_string(const Complaint&);

/// `querystring`: the whole query as one value.
enum class In : std::uint8_t { path, query, header, cookie, querystring };
/// `cookie`: as `form`, and nothing is percent-encoded.
enum class Style : std::uint8_t { simple, label, matrix, form, space_delimited, pipe_delimited, deep_object, cookie };

struct Parameter {
  std::string name;
  In in = In::query;
  Style style = Style::form;
  bool explode = true, required = false, allow_reserved = false, allow_empty = false, deprecated = false;
  const json::Value* schema = nullptr;  ///< null when `content` is used
  std::string content_type;             ///< of a `content` parameter
  std::shared_ptr<const schema::Validator> validator;
  const json::Value* default_value = nullptr;  ///< filled in when absent
  const json::Value* raw = nullptr;
};

struct MediaType {
  std::string name;  ///< `application/json`, `text/*`
  /// Of the whole body; where only `itemSchema` is given, a list of such items.
  const json::Value* schema = nullptr;
  std::shared_ptr<const schema::Validator> validator;
  const json::Value* raw = nullptr;     ///< with `example`, `examples`, `encoding`
  const json::Value* events = nullptr;  ///< of `text/event-stream` with `itemSchema`: a list of such events
};

struct RequestBody {
  bool required = false;
  std::vector<MediaType> content;
};

/// Validators of responses are made by who asks for them: Contract::compile, Contract::validator.
struct ResponseSpec {
  std::string status;  ///< `200`, `4XX`, `default`
  std::vector<MediaType> content;
  std::vector<Parameter> headers;
  const json::Value* raw = nullptr;
};

struct SecurityScheme {
  std::string name;       ///< as in `components/securitySchemes`
  std::string type;       ///< apiKey, http, oauth2, openIdConnect, mutualTLS
  std::string scheme;     ///< of http: `bearer`, `basic`
  In in = In::header;     ///< of apiKey
  std::string parameter;  ///< of apiKey: the header's, query parameter's or cookie's name
  const json::Value* raw = nullptr;
};
/// All of these must hold; an operation has a list of alternatives of which one must. An empty list of schemes: anyone.
struct SecurityRequirement {
  struct Needed {
    const SecurityScheme* scheme;
    std::vector<std::string> scopes;
  };
  std::vector<Needed> all;
};

/// A key of `x-plimsoll` in force for an operation: the innermost scope that names it.
struct Extension {
  std::string_view key;
  const json::Value* value = nullptr;
  std::string_view scope{};                  ///< `document`, `path`, `operation`; `undeclared` of such an operation
  std::vector<const json::Value*> scopes{};  ///< what each scope says, the outermost first
};

struct Operation {
  std::uint32_t index = 0;  ///< in Contract::operations
  std::string id;           ///< `operationId`, or made from method and path
  std::string method;       ///< upper case
  std::string path;         ///< the template with the base path of `servers`: `/v2/orders/{id}`
  std::string summary;
  bool deprecated = false;
  bool reachable = true;              ///< false: its path holds `#` or `?`, so that no request leads here
  bool undeclared = false;            ///< it stands for all paths that no operation has, and any method
  std::vector<Parameter> parameters;  ///< path item's and its own, merged
  std::optional<RequestBody> body;
  std::vector<ResponseSpec> responses;
  std::vector<SecurityRequirement> security;  ///< empty: no security at all (`security: []` or none declared)
  std::vector<Extension> extensions;
  const json::Value* raw = nullptr;  ///< the operation object
  std::string pointer;               ///< `/paths/~1orders/get`
  std::string file;

  /// The value of that key of `x-plimsoll`, or null.
  const json::Value* extension(std::string_view key) const {
    const auto* found = find_extension(key);
    return found ? found->value : nullptr;
  }
  const Extension* find_extension(std::string_view key) const {
    for (auto& e : extensions)
      if (e.key == key) return &e;
    return nullptr;
  }
  /// Of what nobody declares: policies that would change answers of others do so only where `undeclared` names them.
  bool left_as_it_is(std::string_view key) const {
    const auto* said = undeclared ? find_extension(key) : nullptr;
    return undeclared && !(said && said->scope == "undeclared");
  }
};

/// What a path leads to.
struct Match {
  enum class Kind : std::uint8_t { found, not_found, method_not_allowed } kind = Kind::not_found;
  const Operation* operation = nullptr;
  std::uint32_t count = 0;  ///< of captured path parameters
  union {
    std::string_view captured[16];  ///< `count` of them, still percent-encoded, in the order of the template's names
  };
  std::string_view allow;  ///< for 405 and OPTIONS: `GET, HEAD, OPTIONS`

  Match() noexcept {}  // most paths have few parameters, and room for all of them need not be cleared
};

/// All the server knows of a document, compiled. Immutable.
class Contract {
 public:
  virtual ~Contract() = default;
  std::string title, version;
  std::string file;
  std::vector<std::string> files;  ///< all it is made of, `file` first: json::Value::source is an index of it
  std::vector<Operation> operations;
  std::vector<SecurityScheme> security_schemes;
  std::vector<SecurityRequirement> security;  ///< of the document, where it has `undeclared` in its `x-plimsoll`
  const json::Value* root = nullptr;          ///< the effective document
  const json::Value* extension = nullptr;     ///< `x-plimsoll` of the document (with `tables`), or null
  std::vector<Complaint> warnings;

  /// Finds the operation of a method and a percent-encoded path. HEAD finds GET's. Allocates nothing.
  virtual Match match(std::string_view method, std::string_view path) const = 0;
  /// Whether a server behind may take a path that matches nothing for one that does. True where the document has no
  /// `undeclared` in its `x-plimsoll`: nothing is passed on.
  virtual bool resembles_declared(std::string_view path) const = 0;
  /// Names of the path parameters of an operation, in template order.
  virtual std::span<const std::string> path_parameters(const Operation&) const = 0;
  /// Every base path of `servers`, without trailing slash; the first is part of Operation::path, all of them lead to
  /// it.
  std::vector<std::string> base_paths;
  /// Compiles a schema that stands in (or is referred to by) this document.
  virtual Result<schema::Validator> compile(const json::Value& schema, schema::CompileOptions::Direction) const = 0;
  /// The same, shared: one validator for all who refer to one schema. For use while a plan is built; takes a lock.
  virtual Result<std::shared_ptr<const schema::Validator>> validator(const json::Value& schema,
                                                                     schema::CompileOptions::Direction) const = 0;
  /// The members that a schema of this document marks, shared in the same way.
  virtual std::shared_ptr<const Marked> marked(const json::Value& schema, Mark mark) const = 0;
  /// Follows a `$ref`, if the value is one, to what it stands for.
  virtual const json::Value& resolve(const json::Value&) const = 0;
  virtual const Operation* find(std::string_view operation_id) const = 0;
};

/// Of the files that a document is made of, the one in which a value stands; the document itself where it is unknown.
inline std::string file_of(const std::vector<std::string>& files, const json::Value* at) {
  if (files.empty()) return {};
  return files[at && at->source() < files.size() ? at->source() : 0];
}

/// The document while it is being prepared: merged with its overlays, references bundled into one tree, not compiled
/// yet.
struct Draft {
  json::Value& root;
  Arena& arena;
  std::vector<Complaint>& complaints;
  const std::vector<std::string>& files;  ///< as Contract::files
};

struct LoadOptions {
  std::string file;                            ///< path of the document
  std::vector<std::string> overlays;           ///< applied in order (Overlay 1.1 and 1.0)
  std::span<const config::Key* const> keys{};  ///< of `x-plimsoll`, any scope: all others are refused with a suggestion
  std::span<const std::string_view>
      later_words{};  ///< words of the language this version does not implement: refused, saying so
  std::span<const std::string_view> sections{};  ///< of the deployment: named where one stands in `x-plimsoll`
  /// Faults that leave the rest of the document usable are warnings: what is faulty is left out (a parameter, a body, a
  /// schema). Never for what is served from real data: what is left out is not checked, not even who may call.
  bool tolerant = false;
  /// Adds to the document what follows from it: a table's query parameters, for example. Runs before compilation.
  std::vector<std::function<void(Draft&)>> augment{};
  /// Gives the text behind an `http:` or `https:` URL that a reference names, or says why not. Without it such
  /// references are refused.
  std::function<std::expected<std::string, std::string>(const std::string& url)> fetch{};
};

using Complaints = std::vector<Complaint>;

/// Reads, checks and compiles a document. All errors at once, in the order of the text.
std::expected<std::shared_ptr<const Contract>, Complaints> load(const LoadOptions& options);

}  // namespace plimsoll::contract
