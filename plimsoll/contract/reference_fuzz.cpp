// The resolver of references: the input chooses how the schemas of three files refer to each other, in which spelling,
// and where to nowhere. Every reference must lead where a plain reading of it leads, and one that leads nowhere or in a
// circle must be complained about. An input that begins with `%%` is instead the texts of the files, parted by such
// lines.

#include "plimsoll/contract/bundle.hpp"
#include "plimsoll/json/write.hpp"

#include <unistd.h>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <tuple>
#include <vector>

namespace {

using namespace plimsoll;
using contract::Complaints;

class Choices {
 public:
  explicit Choices(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  unsigned below(unsigned count) {
    if (bytes_.empty()) return 0;
    const unsigned byte = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return byte % count;
  }

 private:
  std::span<const std::uint8_t> bytes_;
};

constexpr std::size_t kFiles = 3, kSchemas = 5;
constexpr const char* kPaths[kFiles] = {"a.json", "b c.json", "sub/d.json"};
constexpr const char* kNames[kSchemas] = {"Plain", "sla/sh", "til~de", "per%cent", "h#sh é"};

/// To a schema, or to the property `p` below one.
struct Reference {
  std::size_t file = 0, schema = 0;
  bool property = false, broken = false;
  unsigned spelling = 0;
};

struct Schema {
  std::optional<Reference> alias;  ///< it is a reference and nothing else
  std::optional<Reference> p;      ///< its property is one; else it is a schema with a title of its own
};

struct Model {
  std::array<std::array<Schema, kSchemas>, kFiles> files;

  explicit Model(Choices& choices) {
    for (auto& file : files)
      for (auto& schema : file) {
        const auto kind = choices.below(6);
        if (kind == 1)
          schema.alias = reference(choices);
        else if (kind > 3)
          schema.p = reference(choices);
      }
  }
  static Reference reference(Choices& choices) {
    Reference made{.file = choices.below(kFiles), .schema = choices.below(kSchemas)};
    const auto how = choices.below(32);
    made.property = how & 1;
    made.broken = how == 31;
    made.spelling = how >> 1;
    return made;
  }

  static std::string title(const Reference& at) {
    return std::string(kPaths[at.file]) + " " + kNames[at.schema] + (at.property ? " p" : "");
  }

  /// The schema with a title that a reference leads to in the end; nothing when it leads nowhere or in a circle.
  std::optional<Reference> resolve(Reference at) const {
    for (int step = 0; step < 20; ++step) {
      if (at.broken) return std::nullopt;
      const auto& schema = files[at.file][at.schema];
      if (at.property && schema.alias) return std::nullopt;  // a pointer goes through no reference
      const auto& next = at.property ? schema.p : schema.alias;
      if (!next) return at;
      at = *next;
    }
    return std::nullopt;
  }
};

std::string escaped(std::string_view text, std::string_view special) {
  std::string out;
  char code[4];
  for (const char c : text)
    if (special.contains(c) || static_cast<unsigned char>(c) >= 128) {
      std::snprintf(code, sizeof code, "%%%02X", static_cast<unsigned char>(c));
      out += code;
    } else {
      out += c;
    }
  return out;
}

std::string spelt(const Reference& to, std::size_t from) {
  std::string file = from == 2 ? std::string("../") + kPaths[to.file] : kPaths[to.file];
  if (from == 2 && to.file == 2) file = "d.json";
  if (to.spelling & 1) file = (from == 2 ? "../sub/" : "sub/../") + file;
  if (to.spelling & 2) file = "./" + file;
  file = escaped(file, to.spelling & 4 ? " .b" : " ");
  if (to.file == from && !(to.spelling & 8)) file.clear();
  std::string token;
  for (const char c : std::string_view(kNames[to.schema]))
    token += c == '/' ? "~1" : c == '~' ? "~0" : std::string(1, c);
  if (to.broken) token += "~0gone";
  return file + "#/components/schemas/" + escaped(token, to.spelling & 4 ? "%# ~P" : "%# ") +
         (to.property ? "/properties/p" : "");
}

std::string text_of(const Model& model, std::size_t file) {
  std::string out;
  json::Writer writer(out);
  const auto refer = [&](const Reference& to) {
    writer.begin_object().key("$ref").string(spelt(to, file)).end_object();
  };
  writer.begin_object().key("openapi").string("3.1.0").key("components").begin_object().key("schemas").begin_object();
  for (std::size_t i = 0; i < kSchemas; ++i) {
    const auto& schema = model.files[file][i];
    writer.key(kNames[i]);
    if (schema.alias) {
      refer(*schema.alias);
      continue;
    }
    writer.begin_object()
        .key("title")
        .string(Model::title({.file = file, .schema = i}))
        .key("properties")
        .begin_object()
        .key("p");
    if (schema.p)
      refer(*schema.p);
    else
      writer.begin_object()
          .key("title")
          .string(Model::title({.file = file, .schema = i, .property = true}))
          .end_object();
    writer.end_object().end_object();
  }
  writer.end_object().end_object().end_object();
  return out;
}

/// Gone with the program.
struct Folder {
  std::string path;
  Folder() {
    const char* given = std::getenv("TMPDIR");
    path = std::string(given ? given : "/tmp") + "/reference-fuzz-" + std::to_string(::getpid());
    std::filesystem::create_directories(path + "/sub");
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};
const std::string& folder() {
  static const Folder made;
  return made.path;
}

[[noreturn]] void fault(const std::string& what, const Model& model) {
  std::fprintf(stderr, "%s\n", what.c_str());
  for (std::size_t file = 0; file < kFiles; ++file)
    std::fprintf(stderr, "%s: %s\n", kPaths[file], text_of(model, file).c_str());
  std::abort();
}

/// Follows what was bundled beside the model, a property at a time. `at` is a schema, or a reference to one.
void compare(const Model& model, const json::Value& root, const json::Value& at, const Reference& expected, int depth) {
  const auto right = model.resolve(expected);
  const auto* found = contract::dereference(root, at);
  if (!right || depth > 6) return;  // complained about, which was seen before
  const auto* title = found ? found->find("title") : nullptr;
  if (!title || title->string() != Model::title(*right))
    fault("leads to " + (title ? std::string(title->string()) : "nothing") + " instead of " + Model::title(*right),
          model);
  const auto* p = found->at("properties", "p");
  if (right->property) return;
  if (!p) fault("the property is lost", model);
  compare(model, root, *p, {.file = right->file, .schema = right->schema, .property = true}, depth + 1);
}

enum class Soundness : std::uint8_t { sound, circular, dangling };

/// Of the references that can be reached from the first file, of which every schema is read.
Soundness soundness(const Model& model) {
  std::set<std::tuple<std::size_t, std::size_t, bool>> seen;
  std::vector<Reference> open;
  for (std::size_t i = 0; i < kSchemas; ++i) open.push_back({.file = 0, .schema = i});
  auto worst = Soundness::sound;
  while (!open.empty()) {
    const auto at = open.back();
    open.pop_back();
    if (!seen.emplace(at.file, at.schema, at.property).second) continue;
    const auto& schema = model.files[at.file][at.schema];
    const auto& next = at.property || !schema.alias ? schema.p : schema.alias;
    if (!next) continue;
    // A pointer goes through no reference.
    if (next->broken || (next->property && model.files[next->file][next->schema].alias)) return Soundness::dangling;
    if (!model.resolve(*next)) worst = Soundness::circular;
    open.push_back(*next);
  }
  return worst;
}

/// Every reference into the document leads somewhere, or something was said.
void follow_all(const json::Value& root, const json::Value& at, int depth) {
  const auto* ref = at.find("$ref");
  if (ref && ref->is(json::Type::string) && ref->string().starts_with("#/")) (void)contract::dereference(root, at);
  if (depth > 100) return;
  for (const auto& item : at.array()) follow_all(root, item, depth + 1);
  for (const auto& member : at.object()) follow_all(root, member.value, depth + 1);
}

void bundle_texts(std::string_view text) {
  for (const auto* path : kPaths) {
    const auto line = text.find("\n%%\n");
    std::ofstream(folder() + "/" + path, std::ios::binary) << text.substr(0, line);
    text = line == text.npos ? std::string_view{} : text.substr(line + 4);
  }
  contract::Sources sources;
  Complaints complaints;
  contract::Report report(sources, complaints);
  Arena arena;
  contract::Reader reader(sources, arena, report);
  if (!reader.open(folder() + "/" + kPaths[0], nullptr, {})) return;
  if (!contract::bundle(sources, arena, reader, report)) return;
  contract::check_references(sources[0].root, report);
  follow_all(sources[0].root, sources[0].root, 0);
  for (const auto& complaint : complaints)
    if (complaint.what.empty() && complaint.code.empty()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view whole(reinterpret_cast<const char*>(data), size);
  if (whole.starts_with("%%\n")) {
    bundle_texts(whole.substr(3));
    return 0;
  }
  Choices choices({data, size});
  const Model model(choices);
  for (std::size_t file = 0; file < kFiles; ++file)
    std::ofstream(folder() + "/" + kPaths[file], std::ios::binary) << text_of(model, file);

  contract::Sources sources;
  Complaints complaints;
  contract::Report report(sources, complaints);
  Arena arena;
  contract::Reader reader(sources, arena, report);
  if (!reader.open(folder() + "/" + kPaths[0], nullptr, {})) fault("the first file is not read", model);
  if (!contract::bundle(sources, arena, reader, report)) fault("given up", model);
  const auto& root = sources[0].root;
  contract::check_references(root, report);

  const auto expected = soundness(model);
  if (expected == Soundness::dangling && complaints.empty()) fault("nothing is said of what leads nowhere", model);
  if (expected == Soundness::sound && !complaints.empty()) fault("complains: " + complaints.front().what, model);
  if (expected != Soundness::sound) return 0;
  const auto* schemas = root.at("components", "schemas");
  for (std::size_t i = 0; i < kSchemas; ++i) {
    const auto* schema = schemas->find(kNames[i]);
    if (!schema) fault("a schema is lost", model);
    compare(model, root, *schema, {.file = 0, .schema = i}, 0);
  }
  return 0;
}
