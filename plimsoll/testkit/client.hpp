#pragma once

#include "plimsoll/server/instance.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plimsoll::testkit {

/// An answer as a client would have it.
struct Answer {
  std::uint16_t status = 0;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::string problem;  ///< code of the problem; empty: none

  /// The first header of that name, or empty.
  std::string_view header(std::string_view name) const;
};

using HeaderList = std::vector<std::pair<std::string, std::string>>;

/// Sends requests to an instance in this process, without a socket: the whole chain runs, on the caller's thread. An
/// answer whose problem no part declares fails with an exception.
class Client {
 public:
  explicit Client(server::Instance& instance);
  ~Client();

  Answer request(std::string_view method, std::string_view target, const HeaderList& headers = {},
                 std::string_view body = {});
  Answer get(std::string_view target, const HeaderList& headers = {}) { return request("GET", target, headers); }
  /// With `content-type: application/json`, unless `headers` name another.
  Answer post(std::string_view target, std::string_view body, const HeaderList& headers = {});
  Answer patch(std::string_view target, std::string_view body, const HeaderList& headers = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace plimsoll::testkit
