#pragma once

#include <string>

namespace CLI {
class App;
}

namespace plimsoll::server {

struct Settings;

/// The contracts to serve, the first of them `required`.
void add_contracts(CLI::App& app, Settings& settings, const std::string& sentence, bool required);
/// Declares the options of `serve`, for the command and for programs that link the library.
void add_options(CLI::App& app, Settings& settings);

}  // namespace plimsoll::server
