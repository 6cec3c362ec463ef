/* Preloaded into a server: makes its database files and its clock fail as the file named by FAULTS says, which the test changes
 * while the server runs. Built by the test that uses it. Only files whose path contains ".db" are touched.
 *
 * The file is an array of 64-bit integers: see the enumeration. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
  SYNC_ERROR,  /* errno of fsync and fdatasync; 0: none */
  WRITE_ERROR, /* errno of writes */
  OPEN_ERROR,  /* errno of opening for writing */
  HANG,        /* 1: writes and syncs do not return until this is 0 */
  SLOW,        /* milliseconds that each sync takes longer */
  CLOCK,       /* seconds by which the wall clock is wrong */
  FULL,        /* 1: the file system says that nothing is left, though what fits into files that are there is written */
  HANGING,     /* how many calls are held now; written here */
  READ_ERROR,  /* errno of reads */
  READ_HANG,   /* 1: reads do not return until this is 0, and nothing is in memory */
  READ_SLOW,   /* milliseconds that each read takes, of which nothing is in memory */
  READ_BLIND,  /* 1: the file system does not read only what is in memory; 2: and does not tell either what that is */
  WHICH,       /* files that fail: 0: all; 1: the database itself; 2: its log */
  FIELDS
};

static _Atomic int64_t* state;

__attribute__((constructor)) static void begin(void) {
  const char* path = getenv("FAULTS");
  int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (file < 0) return;
  void* at = mmap(NULL, FIELDS * sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (at != MAP_FAILED) state = at;
}

static int64_t get(int field) { return state ? atomic_load(&state[field]) : 0; }

static int ours(int file) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t size = readlink(link, path, sizeof path - 1);
  if (size <= 0) return 0;
  path[size] = 0;
  const char* end = strstr(path, ".db");
  if (!end) return 0;
  int64_t which = get(WHICH);
  return which == 0 || strcmp(end, which == 1 ? ".db" : ".db-wal") == 0;
}

static void wait_ms(int64_t ms) {
  struct timespec span = {ms / 1000, ms % 1000 * 1000000};
  while (nanosleep(&span, &span) != 0 && errno == EINTR) {}
}

static void hold(int field) {
  if (!get(field)) return;
  atomic_fetch_add(&state[HANGING], 1);
  while (get(field)) wait_ms(5);
  atomic_fetch_sub(&state[HANGING], 1);
}

/* Whether the call fails: sets errno. */
static int fails(int file, int field) {
  if (!state || (!get(field) && !get(HANG) && !get(SLOW)) || !ours(file)) return 0;
  hold(HANG);
  if (field == SYNC_ERROR && get(SLOW)) wait_ms(get(SLOW));
  int64_t error = get(field);
  if (error) errno = (int)error;
  return error != 0;
}

static int read_fails(int file) {
  if (!state || (!get(READ_ERROR) && !get(READ_HANG) && !get(READ_SLOW)) || !ours(file)) return 0;
  hold(READ_HANG);
  if (get(READ_SLOW)) wait_ms(get(READ_SLOW));
  int64_t error = get(READ_ERROR);
  if (error) errno = (int)error;
  return error != 0;
}

/* The same where the call must not wait. */
static int memory_fails(int file) {
  if (!state || !ours(file)) return 0;
  int64_t error = get(READ_BLIND) ? EOPNOTSUPP : get(READ_HANG) || get(READ_SLOW) ? EAGAIN : get(READ_ERROR);
  if (error) errno = (int)error;
  return error != 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int statvfs(const char* path, struct statvfs* found) {
  int done = REAL(statvfs)(path, found);
  if (done == 0 && get(FULL) && strstr(path, ".db")) found->f_bavail = 0;
  return done;
}
int statvfs64(const char* path, struct statvfs64* found) {
  int done = REAL(statvfs64)(path, found);
  if (done == 0 && get(FULL) && strstr(path, ".db")) found->f_bavail = 0;
  return done;
}
int fsync(int file) { return fails(file, SYNC_ERROR) ? -1 : REAL(fsync)(file); }
int fdatasync(int file) { return fails(file, SYNC_ERROR) ? -1 : REAL(fdatasync)(file); }
ssize_t pread(int file, void* into, size_t size, off_t at) { return read_fails(file) ? -1 : REAL(pread)(file, into, size, at); }
ssize_t pread64(int file, void* into, size_t size, off64_t at) { return read_fails(file) ? -1 : REAL(pread64)(file, into, size, at); }
ssize_t preadv2(int file, const struct iovec* parts, int count, off_t at, int flags) {
  return (flags & RWF_NOWAIT ? memory_fails(file) : read_fails(file)) ? -1 : REAL(preadv2)(file, parts, count, at, flags);
}
int mincore(void* at, size_t size, unsigned char* pages) {
  if (get(READ_BLIND) == 2) return errno = ENOMEM, -1;
  int done = REAL(mincore)(at, size, pages);
  if (done == 0 && (get(READ_HANG) || get(READ_SLOW))) memset(pages, 0, (size + 4095) / 4096);
  return done;
}
ssize_t preadv64v2(int file, const struct iovec* parts, int count, off64_t at, int flags) { return preadv2(file, parts, count, at, flags); }
ssize_t pwrite(int file, const void* from, size_t size, off_t at) {
  return fails(file, WRITE_ERROR) ? -1 : REAL(pwrite)(file, from, size, at);
}
ssize_t pwrite64(int file, const void* from, size_t size, off64_t at) {
  return fails(file, WRITE_ERROR) ? -1 : REAL(pwrite64)(file, from, size, at);
}
int ftruncate(int file, off_t size) { return fails(file, WRITE_ERROR) ? -1 : REAL(ftruncate)(file, size); }
int ftruncate64(int file, off64_t size) { return fails(file, WRITE_ERROR) ? -1 : REAL(ftruncate64)(file, size); }

static int opens(const char* path, int flags) {
  if (!get(OPEN_ERROR) || (flags & O_ACCMODE) == O_RDONLY || !strstr(path, ".db")) return 0;
  errno = (int)get(OPEN_ERROR);
  return 1;
}
int open(const char* path, int flags, ...) {
  __builtin_va_list more;
  __builtin_va_start(more, flags);
  int mode = flags & (O_CREAT | O_TMPFILE) ? __builtin_va_arg(more, int) : 0;
  __builtin_va_end(more);
  return opens(path, flags) ? -1 : REAL(open)(path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  __builtin_va_list more;
  __builtin_va_start(more, flags);
  int mode = flags & (O_CREAT | O_TMPFILE) ? __builtin_va_arg(more, int) : 0;
  __builtin_va_end(more);
  return opens(path, flags) ? -1 : REAL(open64)(path, flags, mode);
}

int clock_gettime(clockid_t which, struct timespec* now) {
  int done = REAL(clock_gettime)(which, now);
  if (done == 0 && which == CLOCK_REALTIME) now->tv_sec += get(CLOCK);
  return done;
}
