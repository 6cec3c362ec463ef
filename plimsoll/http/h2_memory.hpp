#pragma once

#include <nghttp2/nghttp2.h>

namespace plimsoll::http {

/// Memory for nghttp2, which takes and gives back some ten small blocks for each stream: those of up to 1 KiB are kept
/// by the thread and used again, at most 128 of a size (1.1 MiB a thread). A session is used and ended by one thread.
nghttp2_mem* h2_memory();

}  // namespace plimsoll::http
