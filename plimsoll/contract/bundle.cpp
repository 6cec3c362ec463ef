#include "plimsoll/contract/bundle.hpp"

#include "plimsoll/base/percent.hpp"
#include "plimsoll/base/read_file.hpp"
#include "plimsoll/json/yaml.hpp"
#include "plimsoll/schema/uri.hpp"

#include <charconv>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>

namespace plimsoll::contract {
namespace {

namespace fs = std::filesystem;
using json::Type;
using json::Value;

constexpr int kDeepest = 64;                  // references within references
constexpr std::size_t kMostClones = 500'000;  // values copied into the places of references

std::size_t count(const Value& value) {
  std::size_t n = 1;
  for (auto& item : value.array()) n += count(item);
  for (auto& member : value.object()) n += count(member.value);
  return n;
}

struct Reference {
  std::string file;  ///< empty: the same document
  std::string fragment;
};

Reference split(std::string_view text) {
  const auto hash = text.find('#');
  Reference out;
  if (!append_decoded(out.file, text.substr(0, hash))) out.file = text.substr(0, hash);
  if (hash != text.npos && !append_decoded(out.fragment, text.substr(hash + 1))) out.fragment = text.substr(hash + 1);
  return out;
}

bool has_scheme(std::string_view uri) {
  const auto colon = uri.find(':');
  if (colon == uri.npos || colon < 2 || uri.find('/') < colon) return false;  // one letter: a drive
  for (const char c : uri.substr(0, colon))
    if (!std::isalnum(static_cast<unsigned char>(c)) && !std::strchr("+-.", c)) return false;
  return true;
}

const Value* find_anchor(const Value& schema, std::string_view anchor) {
  if (const auto* found = schema.find("$anchor"); found && found->is(Type::string) && found->string() == anchor)
    return &schema;
  for (auto& item : schema.array())
    if (const auto* found = find_anchor(item, anchor)) return found;
  for (auto& member : schema.object())
    if (const auto* found = find_anchor(member.value, anchor)) return found;
  return nullptr;
}

const Value* find_target(const Value& root, std::string_view fragment) {
  if (fragment.empty() || fragment[0] == '/') return json::resolve(root, fragment);
  return find_anchor(root, fragment);
}

/// A reference within the document itself, its fragment as it was written.
std::string local(std::string_view reference) {
  const auto hash = reference.find('#');
  return hash == reference.npos ? "#" : std::string(reference.substr(hash));
}

class Bundler {
 public:
  Bundler(Sources& sources, Arena& arena, Reader& reader, Report& report)
      : sources_(sources), arena_(arena), reader_(reader), report_(report), root_(sources[0].root) {
    files_[fs::path(sources[0].file).lexically_normal().string()] = 0;
    if (const auto* schemas = root_.at("components", "schemas"))
      for (auto& member : schemas->object()) names_.insert(std::string(member.key));
    if (const auto* version = root_.find("openapi"); version && version->is(Type::string))
      ids_ = !version->string().starts_with("3.0");
    if (const auto* self = root_.find("$self"); self && self->is(Type::string))
      self_ = self->string().substr(0, self->string().find('#'));
  }

  /// False when it was given up.
  bool run() {
    const Trail top;
    walk(root_, Kind::document, top, 0);
    while (!pending_.empty()) {  // walking one may add others
      auto [name, value] = std::move(pending_.front());
      pending_.pop_front();
      const Trail components{&top, {"components"}}, at{&components, {"schemas", name}};
      walk(value, Kind::schema, at, 0);
      added_.emplace_back(arena_.keep(name), value);
    }
    if (cloned_ > kMostClones) return false;
    if (added_.empty()) return true;
    if (!root_.find("components")) root_.set(arena_, "components", Value::object({}));
    auto& components = *root_.find("components");
    if (!components.find("schemas")) components.set(arena_, "schemas", Value::object({}));
    auto& schemas = *components.find("schemas");
    for (auto& [name, value] : added_) schemas.set(arena_, name, value);
    return true;
  }

 private:
  void walk(Value& value, Kind kind, const Trail& trail, int depth) {
    if (ids_ && kind == Kind::schema && value.find("$id")) return;  // references below are relative to it: schema's own
    if (referable(kind))
      if (const auto* ref = value.find("$ref"); ref && ref->is(Type::string))
        if (refer(value, kind, *ref, trail, depth)) ++depth;
    if (kind == Kind::schema) map_discriminator(value, trail);
    for_each_child(value, kind, [&](Value& child, Kind of, const Step& step) {
      const Trail here{&trail, step};
      walk(child, of, here, depth);
    });
  }

  /// The file and fragment a reference leads to; nothing when it stays in the document, or after a complaint.
  std::optional<std::pair<std::size_t, std::string>> elsewhere(const Value& ref, const Trail& trail) {
    auto [file, fragment] = split(ref.string());
    const std::size_t here = sources_[ref.source()].overlay ? 0 : ref.source();
    if (file.empty() && here == 0) return std::nullopt;
    if (names_document(file, here)) return std::pair{std::size_t{0}, std::move(fragment)};
    const bool from_network = is_url(sources_[here].file);
    if (has_scheme(file) && (from_network || !file.starts_with("file:")) && !(is_url(file) && reader_.may_fetch())) {
      if (!ids_ || !known_id(file))
        report_.add(load_error::kNetworkReference, &ref, trail.pointer() + "/$ref",
                    "the reference \"" + std::string(ref.string()) + "\" leads " +
                        (file.starts_with("file:") ? "from the network to a file" : "to the network"));
      return std::nullopt;
    }
    std::size_t index = here;
    if (!file.empty()) {
      const auto path = place(file, ref, here);
      if (const auto known = files_.find(path); known != files_.end()) {
        index = known->second;
      } else {
        const auto opened = reader_.open(path, &ref, trail.pointer() + "/$ref");
        index = opened.value_or(kFailed);
        files_[path] = index;
        if (opened) mark(sources_[index].root, static_cast<std::uint16_t>(index));
      }
      if (index == kFailed) return std::nullopt;
    }
    return std::pair{index, std::move(fragment)};
  }

  /// Does it name the document by its own `$self` (OpenAPI 3.2, section 4.1.2.2.2), against which its references are
  /// resolved?
  bool names_document(const std::string& file, std::size_t here) const {
    return !self_.empty() && !file.empty() &&
           (file == self_ || (here == 0 && schema::resolve_uri(self_, file) == self_));
  }

  /// The path or URL of a file that is named in another one. What came from the network names only what is there too.
  std::string place(std::string file, const Value& ref, std::size_t here) const {
    const auto& base = sources_[here].file;
    if (is_url(file) || is_url(base)) {
      const auto written = ref.string().substr(0, ref.string().find('#'));
      return is_url(file) ? std::string(written) : schema::resolve_uri(base, written);
    }
    if (file.starts_with("file://")) file.erase(0, 7);
    return (fs::path(base).parent_path() / file).lexically_normal().string();
  }

  /// True when what it refers to stands in its place now.
  bool refer(Value& value, Kind kind, const Value& ref, const Trail& trail, int depth) {
    auto target = elsewhere(ref, trail);
    if (!target) return kind == Kind::media_type && inline_media_type(value, trail, depth);
    auto& [source, fragment] = *target;
    if (source == 0) {
      value.set(arena_, "$ref", at_place_of(ref, local(ref.string())));
      return kind == Kind::media_type && inline_media_type(value, trail, depth);
    }
    const Value* found = find_target(sources_[source].root, fragment);
    if (!found) {
      report_.add(load_error::kBrokenReference, &ref, trail.pointer() + "/$ref",
                  "the reference \"" + std::string(ref.string()) + "\" cannot be resolved: " + sources_[source].file +
                      " has no \"" + fragment + "\"");
      return false;
    }
    if (kind == Kind::schema) {
      value.set(arena_, "$ref", at_place_of(ref, "#/components/schemas/" + adopt(source, fragment, *found)));
      return false;
    }
    if (depth >= kDeepest) {
      report_.add(load_error::kReferenceCycle, &ref, trail.pointer() + "/$ref",
                  "the reference \"" + std::string(ref.string()) + "\" refers to itself");
      return false;
    }
    if (!afford(*found, ref, trail)) return false;
    Value copy = found->clone(arena_);
    for (auto& member : value.object())
      if (member.key != "$ref" && copy.is(Type::object)) copy.set(arena_, member.key, member.value);
    value = copy;
    if (const auto* next = value.find("$ref"); next && next->is(Type::string))
      refer(value, kind, *next, trail, depth + 1);
    return true;
  }

  /// A local reference to one of `components/mediaTypes` is replaced too, so that whoever reads a media type has it.
  bool inline_media_type(Value& value, const Trail& trail, int depth) {
    const auto& ref = *value.find("$ref");
    if (!ref.string().starts_with("#/")) return false;
    const Value* found = dereference(root_, value);  // null, and a circle, are told by check_references
    if (!found || found == &value || found->find("$ref") || depth >= kDeepest || !afford(*found, ref, trail))
      return false;
    value = found->clone(arena_);
    return true;
  }

  bool afford(const Value& value, const Value& ref, const Trail& trail) {
    const auto before = cloned_;
    cloned_ += count(value);
    if (cloned_ <= kMostClones) return true;
    if (before <= kMostClones)
      report_.add(load_error::kDocumentTooLarge, &ref, trail.pointer(), "the references of the document copy too much");
    return false;
  }

  /// The name under which that schema stands in `components/schemas`.
  std::string adopt(std::size_t source, const std::string& fragment, const Value& schema) {
    auto& name = adopted_[{source, fragment}];
    if (!name.empty()) return name;
    std::string wish =
        fragment.empty() ? fs::path(sources_[source].file).stem().string() : fragment.substr(fragment.rfind('/') + 1);
    for (auto& c : wish)
      if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_' && c != '-') c = '_';
    name = wish.empty() ? "schema" : wish;
    for (int n = 2; !names_.insert(name).second; ++n) name = wish + std::to_string(n);
    pending_.emplace_back(name, schema.clone(arena_));
    return name;
  }

  /// `discriminator.mapping` names schemas, or refers to them without a `$ref`.
  void map_discriminator(Value& schema, const Trail& trail) {
    auto* discriminator = schema.find("discriminator");
    if (!discriminator) return;
    if (auto* mapping = discriminator->find("mapping"))
      for (auto& member : mapping->object()) map_choice(member.value, "mapping", trail);
    if (auto* standard = discriminator->find("defaultMapping")) map_choice(*standard, "defaultMapping", trail);
  }
  /// One schema that a discriminator names.
  void map_choice(Value& choice, std::string_view field, const Trail& trail) {
    if (!choice.is(Type::string)) return;
    const auto text = choice.string();
    if (text.starts_with('#') ? choice.source() == 0 : !text.contains('/') && !text.contains('#')) {
      if (text.starts_with('#') || names_.contains(std::string(text)) || !text.contains('.')) return;
    }
    const auto target = elsewhere(choice, trail);
    if (!target) return;
    const auto& [source, fragment] = *target;
    if (source == 0) {
      choice = at_place_of(choice, local(text));
    } else if (const auto* found = find_target(sources_[source].root, fragment)) {
      choice = at_place_of(choice, "#/components/schemas/" + adopt(source, fragment, *found));
    } else {
      report_.add(load_error::kBrokenReference, &choice, trail.pointer() + "/discriminator/" + std::string(field));
    }
  }

  /// The text in the place where the reference stood, as part of the document itself.
  Value at_place_of(const Value& ref, const std::string& text) {
    Value made = Value::of(arena_.keep(text));
    made.set_position(ref.position());
    return made;
  }

  bool known_id(const std::string& uri) {
    if (!ids_read_) collect_ids(root_);
    ids_read_ = true;
    return known_ids_.contains(uri);
  }
  void collect_ids(const Value& value) {
    if (const auto* id = value.find("$id"); id && id->is(Type::string)) known_ids_.insert(std::string(id->string()));
    for (auto& item : value.array()) collect_ids(item);
    for (auto& member : value.object()) collect_ids(member.value);
  }

  static constexpr std::size_t kFailed = ~std::size_t{0};
  Sources& sources_;
  Arena& arena_;
  Reader& reader_;
  Report& report_;
  Value& root_;
  bool ids_ = false, ids_read_ = false;
  std::size_t cloned_ = 0;
  std::map<std::string, std::size_t> files_;
  std::map<std::pair<std::size_t, std::string>, std::string> adopted_;
  std::string self_;  ///< `$self`, without fragment
  std::set<std::string> names_, known_ids_;
  std::deque<std::pair<std::string, Value>> pending_;
  std::deque<std::pair<std::string_view, Value>> added_;
};

/// Is that value of a discriminator's mapping the name of a schema, or a reference that leads to one?
bool is_mapped(const Value& root, const Value& target) {
  if (!target.is(Type::string)) return false;
  const auto text = target.string();
  if (text.starts_with('#')) {
    json::Member member{"$ref", target};
    return (text.size() > 1 && text[1] != '/') || dereference(root, Value::object({&member, 1})) != nullptr;
  }
  const auto* schemas = root.at("components", "schemas");
  return (schemas && schemas->find(text)) || text.find_first_of("./:#") != text.npos;  // another document's
}

/// Of an entry of `components`, what it is; any: it is none.
Kind kind_at(std::string_view reference) {
  constexpr std::string_view kComponents = "#/components/";
  if (!reference.starts_with(kComponents)) return Kind::any;
  reference.remove_prefix(kComponents.size());
  const auto slash = reference.find('/');
  if (slash == reference.npos || reference.find('/', slash + 1) != reference.npos) return Kind::any;
  for (const auto& field : fields_of(Kind::components))
    if (field.name == reference.substr(0, slash)) return field.kind;
  return Kind::any;
}

void check(const Value& root, const Value& value, Kind kind, const Trail& trail, bool ids, Report& report) {
  if (ids && kind == Kind::schema && value.find("$id")) return;
  if (referable(kind)) {
    if (const auto* ref = value.find("$ref"); ref && ref->is(Type::string)) {
      const auto text = ref->string();
      if (report.said_at(*ref)) {
        // What is wrong with it has been said while it was followed.
      } else if (text.starts_with("#/") || text == "#") {
        if (const auto* found = dereference(root, value); !found)
          report.add(load_error::kBrokenReference, ref, trail.pointer() + "/$ref",
                     "the reference \"" + std::string(text) + "\" cannot be resolved");
        else if (kind != Kind::schema && found->find("$ref"))
          report.add(load_error::kReferenceCycle, ref, trail.pointer() + "/$ref",
                     "the reference \"" + std::string(text) + "\" refers to itself");
        else if (const auto other = kind_at(text); other != Kind::any && other != kind)
          report.add(load_error::kBrokenReference, ref, trail.pointer() + "/$ref",
                     "the reference \"" + std::string(text) + "\" leads to " + std::string(name_of(other)) + ", and " +
                         std::string(name_of(kind)) + " is expected");
      } else if (kind != Kind::schema && !has_scheme(text)) {
        report.add(load_error::kBrokenReference, ref, trail.pointer() + "/$ref",
                   "the reference \"" + std::string(text) + "\" cannot be resolved");
      }
    } else if (ref && kind != Kind::schema) {
      report.add(load_error::kWrongType, ref, trail.pointer() + "/$ref",
                 ref->is(json::Type::null) ? "`$ref` is empty: in YAML, # begins a comment" : "`$ref` must be text",
                 ref->is(json::Type::null) ? "Write the reference in quotation marks." : "");
    }
  }
  if (const auto* mapping = kind == Kind::schema ? value.at("discriminator", "mapping") : nullptr)
    for (auto& member : mapping->object())
      if (!is_mapped(root, member.value))
        report.add(load_error::kBrokenReference, &member.value, trail.pointer() + "/discriminator/mapping",
                   "\"" + std::string(member.key) + "\" of the discriminator cannot be resolved");
  if (const auto* standard = kind == Kind::schema ? value.at("discriminator", "defaultMapping") : nullptr;
      standard && standard->is(Type::string) && !is_mapped(root, *standard))
    report.add(load_error::kUnmappedDefault, standard, trail.pointer() + "/discriminator/defaultMapping",
               "there is no schema \"" + std::string(standard->string()) + "\" for `defaultMapping`");
  for_each_child(value, kind, [&](const Value& child, Kind of, const Step& step) {
    const Trail here{&trail, step};
    check(root, child, of, here, ids, report);
  });
}

}  // namespace

std::pair<json::Position, std::string> place_in_text(std::string_view detail) {
  json::Position at{};
  const auto number = [&](std::string_view word, std::uint32_t& out) {
    if (!detail.starts_with(word)) return false;
    const auto* begin = detail.data() + word.size();
    const auto [end, error] = std::from_chars(begin, detail.data() + detail.size(), out);
    if (error != std::errc{}) return false;
    detail.remove_prefix(static_cast<std::size_t>(end - detail.data()));
    return true;
  };
  if (number("line ", at.line) && number(", column ", at.column) && detail.starts_with(": ")) detail.remove_prefix(2);
  return {at, std::string(detail)};
}

bool is_url(std::string_view file) { return file.starts_with("https://") || file.starts_with("http://"); }

/// What stands in a file, with one character more than is allowed where it is too long.
Reader::Text Reader::text_of(const std::string& file, bool referred) const {
  if (referred && is_url(file)) return fetch_(file);
  const auto no = [&](std::string_view why) { return std::unexpected("\"" + file + "\" " + std::string(why)); };
  std::error_code error;
  // A reference never waits: at a pipe, a terminal or /dev/zero. The document itself may come through a pipe.
  if (referred && fs::exists(file, error) && !fs::is_regular_file(file, error)) return no("is no regular file");
  auto text = read_file(file, kLargest);
  if (!text) return no("cannot be read: " + text.error().message());
  text->shrink_to_fit();  // it is there as long as the contract
  return std::move(*text);
}

std::optional<std::size_t> Reader::open(const std::string& file, const Value* referrer, std::string pointer,
                                        bool overlay) {
  const auto unreadable = [&](std::string what) {
    if (referrer || !sources_.empty()) {
      report_.add(load_error::kFileUnreadable, referrer, std::move(pointer), std::move(what));
    } else {
      sources_.push_back({.file = file});
      report_.add(load_error::kFileUnreadable, nullptr, {}, std::move(what));
    }
    return std::nullopt;
  };
  if (sources_.size() >= kMostFiles) return unreadable("more than 1000 files are referred to");
  auto text = text_of(file, referrer);
  if (!text) return unreadable(std::move(text).error());
  const auto index = sources_.size();
  auto& source = sources_.emplace_back(Source{.file = file, .text = *std::move(text), .overlay = overlay});
  Value whole;
  whole.set_source(static_cast<std::uint16_t>(index));
  if (source.text.size() > kLargest) {
    report_.add(load_error::kDocumentTooLarge, &whole, {});
    return std::nullopt;
  }
  auto parsed = json::parse_yaml(source.text, arena_);
  if (!parsed) {
    auto [at, what] = place_in_text(parsed.error().detail);
    whole.set_position(at);
    report_.add(load_error::kMalformedDocument, &whole, {}, std::move(what));
    return std::nullopt;
  }
  source.root = *parsed;
  return index;
}

void mark(Value& value, std::uint16_t source) {
  value.set_source(source);
  for (auto& item : value.array()) mark(item, source);
  for (auto& member : value.object()) mark(member.value, source);
}

bool bundle(Sources& sources, Arena& arena, Reader& reader, Report& report) {
  return Bundler{sources, arena, reader, report}.run();
}

void check_references(const Value& root, Report& report) {
  const auto* version = root.find("openapi");
  check(root, root, Kind::document, {}, version && version->is(Type::string) && !version->string().starts_with("3.0"),
        report);
}

const Value* dereference(const Value& root, const Value& from) {
  const Value* at = &from;
  for (int i = 0; i < 32; ++i) {
    const auto* ref = at->find("$ref");
    if (!ref || !ref->is(Type::string) || !ref->string().starts_with('#')) return at;
    auto pointer = ref->string().substr(1);
    std::string decoded;
    if (pointer.contains('%')) {
      if (!append_decoded(decoded, pointer)) return nullptr;
      pointer = decoded;
    }
    if (!pointer.empty() && pointer[0] != '/') return at;  // an anchor: the schema compiler's
    at = json::resolve(root, pointer);
    if (!at) return nullptr;
  }
  return at;
}

}  // namespace plimsoll::contract
