// How the variables of a thread (`thread_local`) are ended, without an allocation. The C library makes a note on the
// heap when such a variable is used first, and ends the process where there is no memory for it. This takes the place
// of the function of the C++ library that calls it (Itanium C++ ABI, section 3.3.4): the notes are in the thread's own
// memory.
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstddef>

extern "C" int __cxa_thread_atexit_impl(void (*end)(void*), void* variable, void* library);

namespace plimsoll {
namespace {

struct Note {
  void (*end)(void*);
  void* variable;
};
/// More than there are such variables in this program and its libraries.
constexpr std::size_t kMost = 64;
constinit thread_local std::array<Note, kMost> notes{};
constinit thread_local std::size_t noted = 0;

/// The last one first; one that ends may use another for the first time.
void end_all(void*) {
  while (noted > 0) {
    const auto note = notes[--noted];
    note.end(note.variable);
  }
}

/// Has `end_all` called when the calling thread ends. A key is among the first, whose values are in the thread itself.
bool at_end_of_thread() {
  static const auto key = [] {
    pthread_key_t made{};
    return pthread_key_create(&made, end_all) == 0 ? static_cast<long>(made) : -1;
  }();
  return key >= 0 && pthread_setspecific(static_cast<pthread_key_t>(key), &noted) == 0;
}

}  // namespace
}  // namespace plimsoll

extern "C" int __cxa_thread_atexit(void (*end)(void*), void* variable, void* library) noexcept {
  using namespace plimsoll;
  // The first thread ends with the process, which knows nothing of keys.
  const bool first = ::syscall(SYS_gettid) == ::getpid();
  if (first || noted == kMost || (noted == 0 && !at_end_of_thread()))
    return __cxa_thread_atexit_impl(end, variable, library);
  notes[noted++] = {end, variable};
  return 0;
}
