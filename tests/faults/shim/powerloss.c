// Keeps an undo log of writes to *.db and *.db-wal that were not fsynced yet (see ../src/power.rs).
// The log itself goes through the kernel at once, so that SIGKILL cannot take it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// What a sync takes on a slow disk. On a fast and idle one a kill hardly ever meets a write that is not synced yet, and then
// there is nothing to lose.
enum { FD_MAX = 65536, PATH_LENGTH_MAX = 4096, SYNC_US = 10000 };

static char *paths[FD_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;

#define REAL(type, name, ...) \
  static type (*real)(__VA_ARGS__); \
  if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static ssize_t raw_write(int fd, const void *data, size_t size) {
  REAL(ssize_t, "write", int, const void *, size_t);
  return real(fd, data, size);
}

static int interesting(const char *path) {
  size_t n = strlen(path);
  return (n > 3 && !strcmp(path + n - 3, ".db")) || (n > 7 && !strcmp(path + n - 7, ".db-wal"));
}

static void remember(int fd, const char *path) {
  char full[PATH_LENGTH_MAX];
  if (fd < 0 || fd >= FD_MAX) return;
  pthread_mutex_lock(&lock);
  free(paths[fd]);
  paths[fd] = NULL;
  if (path && interesting(path) && realpath(path, full)) paths[fd] = strdup(full);
  pthread_mutex_unlock(&lock);
}

static const char *tracked(int fd) { return fd >= 0 && fd < FD_MAX ? paths[fd] : NULL; }

static size_t put_number(char *out, uint64_t n) {
  memcpy(out, &n, 8);
  return 8;
}

// One record is one write(2), so that a kill leaves whole records but perhaps the last.
static void record(char kind, const char *path, uint64_t offset, uint64_t length_before, const char *before, size_t size) {
  const char *target = getenv("POWERLOSS_LOG");
  size_t path_length = strlen(path), at = 0;
  char *out;
  if (!target) return;
  if (log_fd < 0) {
    REAL(int, "open", const char *, int, ...);
    log_fd = real(target, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  }
  out = malloc(1 + 8 + path_length + 24 + size);
  if (!out) return;
  out[at++] = kind;
  at += put_number(out + at, path_length);
  memcpy(out + at, path, path_length);
  at += path_length;
  if (kind == 'W') {
    at += put_number(out + at, offset);
    at += put_number(out + at, length_before);
    at += put_number(out + at, size);
    memcpy(out + at, before, size);
    at += size;
  }
  if (raw_write(log_fd, out, at) < 0) abort();
  free(out);
}

static uint64_t length_of(int fd) {
  struct stat info;
  return fstat(fd, &info) ? 0 : (uint64_t)info.st_size;
}

// What stands at offset now, filled with zeroes past the end. The file may be open for writing only, so it is opened again.
static void before_write(int fd, uint64_t offset, size_t size) {
  const char *path = tracked(fd);
  char *before;
  int reader;
  if (!path || !size) return;
  before = calloc(1, size);
  if (!before) return;
  pthread_mutex_lock(&lock);
  {
    REAL(int, "open", const char *, int, ...);
    reader = real(path, O_RDONLY | O_CLOEXEC);
  }
  if (reader >= 0) {
    REAL(int, "close", int);
    if (pread(reader, before, size, (off_t)offset) < 0) memset(before, 0, size);
    real(reader);
  }
  record('W', path, offset, length_of(fd), before, size);
  pthread_mutex_unlock(&lock);
  free(before);
}

static void after_sync(int fd) {
  const char *path = tracked(fd);
  if (!path) return;
  pthread_mutex_lock(&lock);
  record('S', path, 0, 0, NULL, 0);
  pthread_mutex_unlock(&lock);
}

#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    REAL(int, #name, const char *, int, ...); \
    __builtin_va_list arguments; \
    __builtin_va_start(arguments, flags); \
    unsigned mode = (flags & (O_CREAT | O_TMPFILE)) ? __builtin_va_arg(arguments, unsigned) : 0; \
    __builtin_va_end(arguments); \
    int fd = real(path, flags, mode); \
    remember(fd, path); \
    return fd; \
  }
OPEN(open)
OPEN(open64)

int close(int fd) {
  REAL(int, "close", int);
  // POSIX lets another file take the number at once, so it is forgotten first.
  if (tracked(fd)) remember(fd, NULL);
  return real(fd);
}

ssize_t write(int fd, const void *data, size_t size) {
  if (tracked(fd)) {
    off_t at = lseek(fd, 0, SEEK_CUR);
    if (at >= 0) before_write(fd, (uint64_t)at, size);
  }
  return raw_write(fd, data, size);
}

#define PWRITE(name) \
  ssize_t name(int fd, const void *data, size_t size, off_t offset) { \
    REAL(ssize_t, #name, int, const void *, size_t, off_t); \
    before_write(fd, (uint64_t)offset, size); \
    return real(fd, data, size, offset); \
  }
PWRITE(pwrite)
PWRITE(pwrite64)

#define SYNC(name) \
  int name(int fd) { \
    REAL(int, #name, int); \
    if (tracked(fd)) usleep(SYNC_US); \
    int result = real(fd); \
    if (!result) after_sync(fd); \
    return result; \
  }
SYNC(fsync)
SYNC(fdatasync)

// A truncation is kept as a write over what it cuts off.
#define TRUNCATE(name) \
  int name(int fd, off_t length) { \
    REAL(int, #name, int, off_t); \
    uint64_t now = length_of(fd); \
    if (now > (uint64_t)length) before_write(fd, (uint64_t)length, now - (uint64_t)length); \
    return real(fd, length); \
  }
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)
