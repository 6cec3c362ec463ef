/* Preloaded into a server: while the file named by HANGING is there, calls that touch what is below the folder named by FOLDER do not return,
 * as those to a file system of the network without its server. Built by the test that uses it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void hold(const char* path) {
  const char* folder = getenv("FOLDER");
  if (!folder || strncmp(path, folder, strlen(folder)) != 0) return;
  while (syscall(SYS_access, getenv("HANGING"), F_OK) == 0) {
    struct timespec span = {0, 5000000};
    nanosleep(&span, NULL);
  }
}
static void hold_file(int file) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t size = readlink(link, path, sizeof path - 1);
  if (size <= 0) return;
  path[size] = 0;
  hold(path);
}

int open(const char* path, int flags, ...) {
  __builtin_va_list more;
  __builtin_va_start(more, flags);
  int mode = flags & (O_CREAT | O_TMPFILE) ? __builtin_va_arg(more, int) : 0;
  __builtin_va_end(more);
  hold(path);
  return REAL(open)(path, flags, mode);
}
int openat(int at, const char* path, int flags, ...) {
  __builtin_va_list more;
  __builtin_va_start(more, flags);
  int mode = flags & (O_CREAT | O_TMPFILE) ? __builtin_va_arg(more, int) : 0;
  __builtin_va_end(more);
  hold_file(at);
  return REAL(openat)(at, path, flags, mode);
}
int stat(const char* path, struct stat* found) { return hold(path), REAL(stat)(path, found); }
int fstat(int file, struct stat* found) { return hold_file(file), REAL(fstat)(file, found); }
int fstatat(int at, const char* path, struct stat* found, int flags) { return hold_file(at), REAL(fstatat)(at, path, found, flags); }
int fstatvfs(int file, struct statvfs* found) { return hold_file(file), REAL(fstatvfs)(file, found); }
int mkdirat(int at, const char* path, mode_t mode) { return hold_file(at), REAL(mkdirat)(at, path, mode); }
int unlinkat(int at, const char* path, int flags) { return hold_file(at), REAL(unlinkat)(at, path, flags); }
int renameat(int at, const char* from, int to, const char* path) { return hold_file(at), REAL(renameat)(at, from, to, path); }
int fsync(int file) { return hold_file(file), REAL(fsync)(file); }
ssize_t pread(int file, void* into, size_t size, off_t at) { return hold_file(file), REAL(pread)(file, into, size, at); }
ssize_t pwrite(int file, const void* from, size_t size, off_t at) { return hold_file(file), REAL(pwrite)(file, from, size, at); }
ssize_t pread64(int file, void* into, size_t size, off64_t at) { return hold_file(file), REAL(pread64)(file, into, size, at); }
ssize_t pwrite64(int file, const void* from, size_t size, off64_t at) { return hold_file(file), REAL(pwrite64)(file, from, size, at); }
int close(int file) { return hold_file(file), REAL(close)(file); }
