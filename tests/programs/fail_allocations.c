/* Preloaded into a server: makes heap allocations of its event loops (threads that call epoll_wait) fail as the file named by FAIL_ALLOCATIONS says, which both map. Built by the test that
 * uses it. Words of the file: how many allocations succeed before the first that fails (negative: none fails), how many fail then, how many
 * have failed, the smallest size that may fail, and of which threads: 0 event loops, 1 all but the first, 2 all. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct control {
  _Atomic long before, fail, failed, smallest, threads;
};
static struct control none = {-1, 0, 0, 0, 0};
static struct control* control = &none;
extern void* __libc_malloc(size_t);
extern void* __libc_calloc(size_t, size_t);
extern void* __libc_realloc(void*, size_t);
extern void* __libc_memalign(size_t, size_t);

static __thread int looping __attribute__((tls_model("initial-exec")));

int epoll_wait(int epoll, struct epoll_event* events, int most, int patience) {
  looping = 1;
  return (int)syscall(SYS_epoll_pwait, epoll, events, most, patience, NULL, 8);
}

static int fails(size_t size) {
  struct control* c = control;
  long threads = atomic_load(&c->threads);
  if (!looping && !(threads == 2 || (threads == 1 && syscall(SYS_gettid) != getpid()))) return 0;
  if (atomic_load(&c->before) < 0 || (long)size < atomic_load(&c->smallest)) return 0;
  if (atomic_load(&c->before) > 0) {
    atomic_fetch_sub(&c->before, 1);
    return 0;
  }
  if (atomic_fetch_sub(&c->fail, 1) <= 0) {
    atomic_store(&c->before, -1);
    return 0;
  }
  atomic_fetch_add(&c->failed, 1);
  errno = ENOMEM;
  return 1;
}

void* malloc(size_t size) { return fails(size) ? NULL : __libc_malloc(size); }
void* calloc(size_t n, size_t size) { return fails(n * size) ? NULL : __libc_calloc(n, size); }
void* realloc(void* p, size_t size) { return fails(size) ? NULL : __libc_realloc(p, size); }
void* memalign(size_t a, size_t size) { return fails(size) ? NULL : __libc_memalign(a, size); }
void* aligned_alloc(size_t a, size_t size) { return fails(size) ? NULL : __libc_memalign(a, size); }
int posix_memalign(void** p, size_t a, size_t size) {
  if (fails(size)) return ENOMEM;
  *p = __libc_memalign(a, size);
  return *p ? 0 : ENOMEM;
}

__attribute__((constructor)) static void begin(void) {
  const char* name = getenv("FAIL_ALLOCATIONS");
  if (!name) return;
  int file = open(name, O_RDWR | O_CLOEXEC);
  if (file < 0) return;
  void* mapped = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (mapped != MAP_FAILED) control = mapped;
}
