#pragma once

#include "plimsoll/http/message.hpp"
#include "plimsoll/http/negotiate.hpp"

#include <memory>
#include <string>

namespace plimsoll::http {

/// Compresses a whole body (RFC 1952, RFC 7932, RFC 8878) into `out`, which it replaces. False when the result would
/// not be smaller, and `out` is of no use.
bool compress(Coding coding, Bytes body, std::string& out);

/// Compresses a body that comes piece by piece.
class Encoder {
 public:
  virtual ~Encoder() = default;
  /// Appends to `out` all that a receiver needs to read `piece` at once: nothing is held back, so that events arrive
  /// when they happen. False: no memory.
  virtual bool write(Bytes piece, std::string& out) = 0;
  /// Appends the end.
  virtual bool finish(std::string& out) = 0;
};
/// For gzip, br and zstd; null when there is no memory. Windows are small (64 KiB and less), because there may be many.
std::unique_ptr<Encoder> encoder(Coding coding);

/// `source`, compressed. Both live as long as the exchange.
class EncodedStream final : public Stream {
 public:
  EncodedStream(Stream& source, std::unique_ptr<Encoder> encoder) : source_(source), encoder_(std::move(encoder)) {}
  Task<Result<Bytes>> read() override;

 private:
  Stream& source_;
  std::unique_ptr<Encoder> encoder_;
  std::string piece_;
  bool ended_ = false;
};

/// A file as a stream.
class FileStream final : public Stream {
 public:
  explicit FileStream(const File& file) : file_(file) {}
  Task<Result<Bytes>> read() override;

 private:
  File file_;
  std::string piece_;
};

}  // namespace plimsoll::http
