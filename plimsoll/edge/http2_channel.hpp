#pragma once

#include "plimsoll/edge/http2_exchange.hpp"
#include "plimsoll/net/stream_channel.hpp"

#include <string>

namespace plimsoll::edge {

/// The stream of an exchange that goes on as another protocol.
class Http2Channel final : public net::StreamChannel {
 public:
  Http2Channel(Http2Connection& http2, http::H2Stream& stream, std::string incoming, bool ended)
      : StreamChannel(http2.connection().worker.loop, std::move(incoming), ended), http2_(http2), stream_(stream) {}

 private:
  void consumed(std::size_t bytes) override {
    http2_.session().consumed(stream_, bytes);
    http2_.wake();
  }
  void supply(std::string_view bytes) override {
    http2_.session().supply(stream_, as_bytes(bytes), false);
    http2_.wake();
  }
  void end(End how) override {
    auto& session = http2_.session();
    if (how == End::half) session.finish(stream_);
    if (how == End::whole) session.end(stream_);
    if (how == End::reset) session.reset(stream_, http::H2Error::cancel);
    end_written();  // the session keeps what it needs for it
    http2_.wake();
  }

  Http2Connection& http2_;
  http::H2Stream& stream_;
};

}  // namespace plimsoll::edge
