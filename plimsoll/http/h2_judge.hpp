#pragma once

// For tests: a server's session of nghttp2, and what it makes of the bytes of a connection.

#include "plimsoll/http/h2.hpp"

#include <nghttp2/nghttp2.h>

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plimsoll::http {

class JudgeOfConnections {
 public:
  using Fields = std::vector<std::pair<std::string, std::string>>;
  std::map<std::int32_t, Fields> heads;
  std::map<std::int32_t, std::string> contents;
  std::set<std::int32_t> ended, reset;
  bool failed = false;
  std::string why;

  explicit JudgeOfConnections(const H2Options& options) {
    nghttp2_session_callbacks* c = nullptr;
    nghttp2_session_callbacks_new(&c);
    nghttp2_session_callbacks_set_on_header_callback(
        c, [](nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
              const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* u) {
          if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
            of(u).fields_[frame->hd.stream_id].emplace_back(text(name, name_size), text(value, value_size));
          return 0;
        });
    nghttp2_session_callbacks_set_on_invalid_header_callback(
        c, [](nghttp2_session*, const nghttp2_frame*, const std::uint8_t*, std::size_t, const std::uint8_t*,
              std::size_t, std::uint8_t, void*) { return int{NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE}; });
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, [](nghttp2_session*, const nghttp2_frame* frame, void* u) {
      const auto id = frame->hd.stream_id;
      const bool head = frame->hd.type == NGHTTP2_HEADERS;
      if (head && frame->headers.cat == NGHTTP2_HCAT_REQUEST) of(u).heads[id] = of(u).fields_[id];
      if ((head || frame->hd.type == NGHTTP2_DATA) && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        of(u).ended.insert(id);
      return 0;
    });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        c, [](nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* data, std::size_t size, void* u) {
          of(u).contents[id] += text(data, size);
          return 0;
        });
    nghttp2_session_callbacks_set_on_frame_send_callback(c, [](nghttp2_session*, const nghttp2_frame* frame, void* u) {
      if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code)
        of(u).failed = true, of(u).why = text(frame->goaway.opaque_data, frame->goaway.opaque_data_len);
      if (frame->hd.type == NGHTTP2_RST_STREAM) of(u).reset.insert(frame->hd.stream_id);
      return 0;
    });
    nghttp2_session_server_new(&session_, c, this);
    nghttp2_session_callbacks_del(c);
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options.stream_window},
                                               {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options.streams},
                                               {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
                                               {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1}};
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings,
                            std::size(settings) - (options.extended_connect ? 0 : 1));
    gather();
  }
  ~JudgeOfConnections() { nghttp2_session_del(session_); }
  JudgeOfConnections(const JudgeOfConnections&) = delete;

  void receive(std::string_view bytes) {
    if (failed) return;
    const auto read =
        nghttp2_session_mem_recv(session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    if (read < 0) failed = true, why = nghttp2_strerror(static_cast<int>(read));
    gather();
  }

 private:
  static JudgeOfConnections& of(void* user) { return *static_cast<JudgeOfConnections*>(user); }
  static std::string text(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
  }
  void gather() {
    const std::uint8_t* data = nullptr;
    while (nghttp2_session_mem_send(session_, &data) > 0) {}
  }
  nghttp2_session* session_ = nullptr;
  std::map<std::int32_t, Fields> fields_;
};

}  // namespace plimsoll::http
