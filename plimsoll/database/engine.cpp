#include "plimsoll/database/engine.hpp"

#include <algorithm>
#include <filesystem>

namespace plimsoll::database {

// Each is defined in the files of its engine.
extern const Engine sqlite_engine, postgres_engine;

// One row for each. The first whose databases are files is taken where none is named.
constexpr const Engine* kEngines[] = {
    &sqlite_engine,
    &postgres_engine,
};

namespace {

std::vector<const Engine*>& all_engines() {
  static std::vector<const Engine*> all(std::begin(kEngines), std::end(kEngines));
  return all;
}

/// The scheme that a URL of the engine begins with; empty: it is none of its.
std::string_view scheme_in(std::string_view url, const Engine& engine) {
  for (const auto scheme : engine.schemes)
    if (url.starts_with(scheme)) return scheme;
  return {};
}

std::string listed(std::vector<std::string> words, std::string_view last) {
  std::string made;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) made += i + 1 == words.size() ? " " + std::string(last) + " " : ", ";
    made += words[i];
  }
  return made;
}

}  // namespace

std::span<const config::Field> options_of(const Engine& engine) {
  return engine.options ? engine.options() : std::span<const config::Field>{};
}
bool has_option(const Engine& engine, std::string_view name) {
  return std::ranges::any_of(options_of(engine), [&](const auto& option) { return option.name == name; });
}

std::span<const Engine* const> engines() { return all_engines(); }

Result<> add_engine(const Engine& engine) {
  const auto refuse = [&](std::string_view what, std::string_view word) {
    return fail(config::kConfiguration, "the program brings a database engine `" + std::string(engine.name) +
                                            "`, and there is one with the " + std::string(what) + " `" +
                                            std::string(word) + "`");
  };
  for (const auto* each : all_engines()) {
    if (each == &engine) return {};
    if (each->name == engine.name) return refuse("name", engine.name);
    for (const auto scheme : engine.schemes)
      for (const auto taken : each->schemes)
        if (scheme.starts_with(taken) || taken.starts_with(scheme)) return refuse("scheme", taken);
    for (const auto& option : options_of(engine))
      if (has_option(*each, option.name)) return refuse("option", option.name);
  }
  all_engines().push_back(&engine);
  return {};
}

const Engine* engine_of(std::string_view url) {
  for (const auto* each : all_engines())
    if (!scheme_in(url, *each).empty()) return each;
  return nullptr;
}

std::string default_url(std::string_view name) {
  const auto found = std::ranges::find_if(all_engines(), &Engine::file);
  return std::string((*found)->schemes.front()) + std::string(name) + ".db";
}

std::string file_of(std::string_view url) {
  const auto* engine = engine_of(url);
  return engine && engine->file ? std::string(url.substr(scheme_in(url, *engine).size())) : std::string{};
}

bool may_be_mounted_later(const std::string& file) {
  const auto folder = std::filesystem::path(file).parent_path();
  std::error_code unknown;
  return folder.is_absolute() && !std::filesystem::exists(folder, unknown) && !unknown;
}

std::string shown(std::string_view url) {
  const auto* engine = engine_of(url);
  return engine && engine->file ? file_of(url) : without_password(url);
}

std::string listed_forms(std::string_view quote, std::string_view last, bool (*only)(const Engine&)) {
  std::vector<std::string> words;
  for (const auto* each : all_engines())
    if (!only || only(*each)) words.push_back(std::string(quote) + std::string(each->form) + std::string(quote));
  return listed(std::move(words), last);
}

std::string listed_schemes(std::string_view quote, std::string_view last) {
  std::vector<std::string> words;
  for (const auto* each : all_engines()) {
    const auto scheme = each->schemes.front();
    words.push_back(std::string(quote) + std::string(scheme.substr(0, scheme.find(':') + 1)) + std::string(quote));
  }
  return listed(std::move(words), last);
}

Result<> read_options(const Place& place, std::span<const config::Field> fields, void* options) {
  if (!place.options || !place.options->is(json::Type::object)) return {};
  std::vector<std::string_view> others;
  for (const auto& member : place.options->object())
    if (std::ranges::find(fields, member.key, &config::Field::name) == fields.end()) others.push_back(member.key);
  auto read = config::read(*place.options, fields, options, others);
  if (!read) read.error().detail = config::preceded("`database`: ", read.error().detail);
  return read;
}

std::string without_password(std::string_view url) {
  constexpr std::string_view kHidden = "***";
  std::string made(url);
  if (const auto at = made.find("://"); at != made.npos) {
    const auto begin = at + 3;
    // A password may hold what should have been encoded, also `/` and `?`: all up to the last `@` is taken for user and
    // password, so that rather too much is hidden than too little.
    const auto host = made.substr(begin).rfind('@');
    const auto colon = made.find(':', begin);
    if (host != made.npos && colon < begin + host) made.replace(colon + 1, begin + host - colon - 1, kHidden);
  }
  constexpr std::string_view kWord = "password=";  // also of `sslpassword=`
  for (auto at = made.find(kWord); at != made.npos; at = made.find(kWord, at + kWord.size())) {
    const auto begin = at + kWord.size();
    made.replace(begin, std::min(made.find_first_of("&# \"'", begin), made.size()) - begin, kHidden);
  }
  return made;
}

}  // namespace plimsoll::database
