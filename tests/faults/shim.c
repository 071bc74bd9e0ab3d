/* Calls of the C library that fail on demand, for the campaign of `injection.py`: built by it, and preloaded by LD_PRELOAD.

   fault_arm(root, op, at, error, sticky): the call number `at`, from 0, of kind `op` on a file below `root` fails with `error`; with
   -1 it reads or writes half, with -2 the process dies in it, after half of it; sticky: so do all that follow. fault_count(op): calls of a kind so far. fault_hit(): the file. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN, CREATE, READ, WRITE, FSYNC, RENAME, LINK, UNLINK, MKDIR, TRUNCATE, KINDS };

static char root[4096], hit[4096];
static size_t root_length;
static int op_wanted = -1, error_wanted, sticky_wanted;
static long at_wanted;
static atomic_long counts[KINDS];

void fault_arm(const char *path, int op, long at, int error, int sticky)
{
    snprintf(root, sizeof root, "%s", path);
    root_length = strlen(root);
    op_wanted = op, at_wanted = at, error_wanted = error, sticky_wanted = sticky;
    hit[0] = 0;
    for (int k = 0; k < KINDS; k++)
        atomic_store(&counts[k], 0);
}

long fault_count(int op) { return atomic_load(&counts[op]); }
const char *fault_hit(void) { return hit; }

static int below(const char *path)
{
    return root_length && path && !strncmp(path, root, root_length);
}

/* 0: let the call be; otherwise the error to fail with, or -1 for half of it */
static int fails(int op, const char *path)
{
    if (!below(path))
        return 0;
    long number = atomic_fetch_add(&counts[op], 1);
    if (op != op_wanted || number < at_wanted || (number > at_wanted && !sticky_wanted))
        return 0;
    if (!hit[0])
        snprintf(hit, sizeof hit, "%s", path);
    if (error_wanted == -2 && op != WRITE)
        raise(SIGKILL);
    return error_wanted;
}

static const char *path_of(int fd, char *out, size_t size)
{
    char link[64];
    int saved = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = root_length ? readlink(link, out, size - 1) : -1;
    errno = saved;
    if (n < 0)
        return 0;
    out[n] = 0;
    return out;
}

static const char *path_at(int folder, const char *path, char *out, size_t size)
{
    char inside[4096];
    if (!path || path[0] == '/' || folder == AT_FDCWD || !path_of(folder, inside, sizeof inside))
        return path;
    snprintf(out, size, "%s/%s", inside, path);
    return out;
}

static int fails_fd(int op, int fd)
{
    char path[4096];
    return root_length ? fails(op, path_of(fd, path, sizeof path)) : 0;
}

#define REAL(name) \
    static typeof(&name) real; \
    if (!real) \
        real = (typeof(&name))dlsym(RTLD_NEXT, #name)
#define FAIL(code) \
    do { \
        errno = (code) < 0 ? EIO : (code); \
        return -1; \
    } while (0)
#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }
#define KIND(flags) (((flags) & (O_CREAT | O_WRONLY | O_RDWR)) ? CREATE : OPEN)

#define OPENING(name) \
    int name(const char *path, int flags, ...) \
    { \
        REAL(name); \
        MODE(flags) \
        int code = fails(KIND(flags), path); \
        if (code) \
            FAIL(code); \
        return real(path, flags, mode); \
    }
OPENING(open)
OPENING(open64)

#define OPENING_AT(name) \
    int name(int folder, const char *path, int flags, ...) \
    { \
        REAL(name); \
        MODE(flags) \
        char whole[8192]; \
        int code = fails(KIND(flags), path_at(folder, path, whole, sizeof whole)); \
        if (code) \
            FAIL(code); \
        return real(folder, path, flags, mode); \
    }
OPENING_AT(openat)
OPENING_AT(openat64)

#define MOVING(name, op, declared, given) \
    ssize_t name declared \
    { \
        REAL(name); \
        int code = fails_fd(op, fd); \
        if (code > 0) \
            FAIL(code); \
        if (code < 0 && n > 1) \
            n = n / 2; \
        ssize_t done = real given; \
        if (code == -2) \
            raise(SIGKILL); \
        return done; \
    }
MOVING(read, READ, (int fd, void *data, size_t n), (fd, data, n))
MOVING(pread, READ, (int fd, void *data, size_t n, off_t at), (fd, data, n, at))
MOVING(pread64, READ, (int fd, void *data, size_t n, off64_t at), (fd, data, n, at))
MOVING(write, WRITE, (int fd, const void *data, size_t n), (fd, data, n))
MOVING(pwrite, WRITE, (int fd, const void *data, size_t n, off_t at), (fd, data, n, at))
MOVING(pwrite64, WRITE, (int fd, const void *data, size_t n, off64_t at), (fd, data, n, at))
MOVING(writev, WRITE, (int fd, const struct iovec *data, int n), (fd, data, n))

#define BY_FD(name, op, declared, given) \
    int name declared \
    { \
        REAL(name); \
        int code = fails_fd(op, fd); \
        if (code) \
            FAIL(code); \
        return real given; \
    }
BY_FD(fsync, FSYNC, (int fd), (fd))
BY_FD(fdatasync, FSYNC, (int fd), (fd))
BY_FD(ftruncate, TRUNCATE, (int fd, off_t n), (fd, n))
BY_FD(ftruncate64, TRUNCATE, (int fd, off64_t n), (fd, n))

#define BY_NAME(name, op, path, declared, given) \
    int name declared \
    { \
        REAL(name); \
        int code = fails(op, path); \
        if (code) \
            FAIL(code); \
        return real given; \
    }
BY_NAME(rename, RENAME, to, (const char *from, const char *to), (from, to))
BY_NAME(link, LINK, to, (const char *from, const char *to), (from, to))
BY_NAME(unlink, UNLINK, path, (const char *path), (path))
BY_NAME(rmdir, UNLINK, path, (const char *path), (path))
BY_NAME(mkdir, MKDIR, path, (const char *path, mode_t mode), (path, mode))

int renameat(int a, const char *from, int b, const char *to)
{
    REAL(renameat);
    char whole[8192];
    int code = fails(RENAME, path_at(b, to, whole, sizeof whole));
    if (code)
        FAIL(code);
    return real(a, from, b, to);
}

int linkat(int a, const char *from, int b, const char *to, int flags)
{
    REAL(linkat);
    char whole[8192];
    int code = fails(LINK, path_at(b, to, whole, sizeof whole));
    if (code)
        FAIL(code);
    return real(a, from, b, to, flags);
}

int unlinkat(int folder, const char *path, int flags)
{
    REAL(unlinkat);
    char whole[8192];
    int code = fails(UNLINK, path_at(folder, path, whole, sizeof whole));
    if (code)
        FAIL(code);
    return real(folder, path, flags);
}

int mkdirat(int folder, const char *path, mode_t mode)
{
    REAL(mkdirat);
    char whole[8192];
    int code = fails(MKDIR, path_at(folder, path, whole, sizeof whole));
    if (code)
        FAIL(code);
    return real(folder, path, mode);
}
