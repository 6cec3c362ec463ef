#pragma once

namespace CLI {
class App;
}

namespace plimsoll::server {

struct Settings;

/// Declares the options of `serve`, for the command and for programs that link the library.
void add_options(CLI::App& app, Settings& settings);

}  // namespace plimsoll::server
