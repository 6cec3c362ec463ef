#pragma once

#include "plimsoll/client/response_reader.hpp"
#include "plimsoll/json/value.hpp"

#include <string>

namespace CLI {
class App;
}

namespace plimsoll::command {

/// Where the management listener of a running server is: `address`, or where it is empty what the deployment says.
struct Management {
  std::string address, config;
};
/// `--management` and `--config`.
void add_options(CLI::App& app, Management& management);

/// Asks it: `target` is method and path, such as `POST /reload`. Each step (connect, send, the next bytes) may take
/// `seconds`.
Result<client::Answer> ask(const Management& management, const std::string& target, int seconds);

/// Text of a member of the answer's body; empty: it has none. `body` null: it was no JSON.
std::string text_of(const json::Value* body, std::string_view name);
/// Why the server refused: its own sentence, or the status.
std::string refusal_of(const client::Answer& answer, const json::Value* body);

}  // namespace plimsoll::command
