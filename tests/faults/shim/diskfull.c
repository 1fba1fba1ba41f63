// Lets writes to *.db and *.db-wal fail as on a full disk while the file named by DISKFULL_WHILE exists.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_LENGTH_MAX = 4096 };

static int ends_with(const char *path, size_t length, const char *end) {
  size_t n = strlen(end);
  return length > n && !strncmp(path + length - n, end, n);
}

static int is_full(int fd) {
  const char *flag = getenv("DISKFULL_WHILE");
  char link[64], path[PATH_LENGTH_MAX];
  ssize_t length;
  if (!flag || access(flag, F_OK)) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  length = readlink(link, path, sizeof path);
  if (length <= 0) return 0;
  return ends_with(path, (size_t)length, ".db") || ends_with(path, (size_t)length, ".db-wal");
}

#define REFUSED(fd) \
  if (is_full(fd)) { \
    errno = ENOSPC; \
    return -1; \
  }

ssize_t write(int fd, const void *data, size_t size) {
  static ssize_t (*real)(int, const void *, size_t);
  if (!real) real = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
  REFUSED(fd)
  return real(fd, data, size);
}

#define PWRITE(name) \
  ssize_t name(int fd, const void *data, size_t size, off_t offset) { \
    static ssize_t (*real)(int, const void *, size_t, off_t); \
    if (!real) real = (ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, #name); \
    REFUSED(fd) \
    return real(fd, data, size, offset); \
  }
PWRITE(pwrite)
PWRITE(pwrite64)
