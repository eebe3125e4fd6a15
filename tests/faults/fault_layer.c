/* Stands between a server's processes and the C library (LD_PRELOAD), for the studies of faults.

   Below one folder it writes down everything that changes the disk, in order, so that what a power cut would have left
   can be built from it (disk_states.py), and does harm where a rule says so: the process is killed before or after a
   call, the call fails with an errno, or it takes longer. It also moves the wall clock. What to do stands in a file
   that the study maps, too (fault_layer.py has the same layout). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { OPEN = 1, WRITE = 2, TRUNCATE = 4, SYNC = 8, RENAME = 16, UNLINK = 32, MKDIR = 64, RMDIR = 128, LINK = 256,
       READ = 512 };
enum { NOTHING, KILL_BEFORE, KILL_AFTER, FAIL, DELAY };
enum { SERVER = 1, ENGINE = 2, OTHER = 4 };
#define RULES 4

struct rule {
    uint32_t action, calls, roles, error, delay_ms, hits;
    int32_t countdown, times; /* meets the call that makes countdown 0, and times - 1 more; times of 0: all more */
    int32_t also;             /* a process that dies with this one */
    char pattern[220];
};
struct control {
    uint32_t records, slack;
    int64_t clock_offset_ns;
    char root[512], log[512];
    char boot[512]; /* what is read in place of the machine's boot id, if any */
    struct rule rules[RULES];
};
struct record {
    uint32_t kind, role;
    uint64_t inode, offset, length;
    uint32_t path_length, other_length, is_new, slack;
};

static struct control *control;
static int log_fd = -1, role = OTHER;


__attribute__((constructor)) static void begin(void) {
    const char *place = getenv("FAULT_LAYER_CONTROL");
    int saved = errno, fd = place ? (int)syscall(SYS_openat, AT_FDCWD, place, O_RDWR | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void *mapped = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        syscall(SYS_close, fd);
        if (mapped != MAP_FAILED) {
            char words[4096];
            control = mapped;
            log_fd = (int)syscall(SYS_openat, AT_FDCWD, control->log, O_WRONLY | O_APPEND | O_CLOEXEC);
            fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
            ssize_t got = fd < 0 ? 0 : syscall(SYS_read, fd, words, sizeof words);
            if (fd >= 0) syscall(SYS_close, fd);
            if (got > 0 && memmem(words, (size_t)got, "\0serve\0", 7)) role = SERVER;
            else if (got > 0 && memmem(words, (size_t)got, "sys.path[:]", 11)) role = ENGINE;
        }
    }
    errno = saved;
}

/* The absolute path of what a call names, if it lies below the root; else 0. */
static int place_of(int folder, const char *path, char *into) {
    int saved = errno, n = 0;
    if (!control || !path) return 0;
    if (path[0] != '/') {
        char link[64];
        if (folder == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
        else snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        n = (int)readlink(link, into, PATH_MAX - 1);
        if (n < 0) { errno = saved; return 0; }
        if (path[0]) into[n++] = '/';
    }
    snprintf(into + n, (size_t)(PATH_MAX - n), "%s", path);
    errno = saved;
    size_t root = strlen(control->root);
    if (strncmp(into, control->root, root) || (into[root] != '/' && into[root])) return 0;
    if (into[n] == 0 && n > 10 && !strcmp(into + n - 10, " (deleted)")) into[n - 10] = 0;
    return 1;
}

static int place_of_fd(int fd, char *into) {
    struct stat found;
    if (!control || fd < 0 || fd == log_fd) return 0;
    int saved = errno, is_ours = !fstat(fd, &found) && (S_ISREG(found.st_mode) || S_ISDIR(found.st_mode));
    errno = saved;
    return is_ours && place_of(fd, "", into);
}

static void die(struct rule *rule) {
    if (rule->also > 0) kill(rule->also, SIGKILL);
    syscall(SYS_kill, (pid_t)syscall(SYS_getpid), SIGKILL);
    for (;;) pause();
}

/* Before a call: whether it is to fail (errno is set). *after: the rule that ends the process when it has been made. */
static int harm(uint32_t call, const char *path, struct rule **after) {
    *after = NULL;
    for (int k = 0; k < RULES; k++) {
        struct rule *rule = &control->rules[k];
        uint32_t action = rule->action;
        if (action == NOTHING || !(rule->calls & call) || !(rule->roles & (uint32_t)role)) continue;
        if (fnmatch(rule->pattern, path + strlen(control->root), 0)) continue;
        int32_t left = __atomic_sub_fetch(&rule->countdown, 1, __ATOMIC_SEQ_CST);
        if (left > 0 || (rule->times && left <= -rule->times)) continue;
        __atomic_add_fetch(&rule->hits, 1, __ATOMIC_SEQ_CST);
        if (action == KILL_BEFORE) die(rule);
        if (action == KILL_AFTER) *after = rule;
        if (action == FAIL) { errno = (int)rule->error; return 1; }
        if (action == DELAY) {
            struct timespec pause = {rule->delay_ms / 1000, (long)(rule->delay_ms % 1000) * 1000000};
            nanosleep(&pause, NULL);
        }
    }
    return 0;
}

static void note(uint32_t kind, uint64_t inode, uint64_t offset, const void *data, uint64_t length, const char *path,
                 const char *other, int is_new) {
    if (!control->records || log_fd < 0) return;
    int saved = errno;
    struct record head = {kind, (uint32_t)role, inode, offset, length, (uint32_t)strlen(path),
                          other ? (uint32_t)strlen(other) : 0, (uint32_t)is_new, 0};
    struct iovec parts[4] = {{&head, sizeof head}, {(void *)path, head.path_length},
                             {(void *)(other ? other : ""), head.other_length},
                             {(void *)(data ? data : ""), data ? (size_t)length : 0}};
    syscall(SYS_writev, log_fd, parts, 4);
    errno = saved;
}

static uint64_t inode_of(const char *path) {
    struct stat found;
    int saved = errno;
    uint64_t inode = lstat(path, &found) ? 0 : (uint64_t)found.st_ino;
    errno = saved;
    return inode;
}

static uint64_t inode_of_fd(int fd) {
    struct stat found;
    return fstat(fd, &found) ? 0 : (uint64_t)found.st_ino;
}

#define END(after) do { if (after) die(after); } while (0)

/* --- opening ------------------------------------------------------------------------------------------------------ */

static int open_any(int folder, const char *path, int flags, mode_t mode) {
    char place[PATH_MAX];
    struct rule *after = NULL;
    if (control && control->boot[0] && path && !strcmp(path, "/proc/sys/kernel/random/boot_id")) path = control->boot;
    int is_ours = place_of(folder, path, place), writes = (flags & O_ACCMODE) != O_RDONLY, was_there = 1;
    if (is_ours) {
        if (harm(writes ? OPEN : READ, place, &after)) return -1;
        was_there = !(flags & O_CREAT) || inode_of(place) != 0;
    }
    int fd = (int)syscall(SYS_openat, folder, path, flags, mode);
    if (is_ours && fd >= 0 && (!was_there || (flags & O_TRUNC)))
        note(OPEN, inode_of_fd(fd), 0, NULL, 0, place, NULL, !was_there);
    END(after);
    return fd;
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); }

int open(const char *path, int flags, ...) { MODE(flags) return open_any(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return open_any(AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE(flags) return open_any(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE(flags) return open_any(folder, path, flags, mode); }
int creat(const char *path, mode_t mode) { return open_any(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

/* --- writing and reading ------------------------------------------------------------------------------------------ */

ssize_t write(int fd, const void *data, size_t length) {
    char place[PATH_MAX];
    struct rule *after = NULL;
    int is_ours = place_of_fd(fd, place);
    if (is_ours && harm(WRITE, place, &after)) return -1;
    ssize_t done = syscall(SYS_write, fd, data, length);
    if (is_ours && done > 0) {
        note(WRITE, inode_of_fd(fd), (uint64_t)(lseek(fd, 0, SEEK_CUR) - done), data, (uint64_t)done, place, NULL, 0);
    }
    END(after);
    return done;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    char place[PATH_MAX];
    if (!place_of_fd(fd, place)) return syscall(SYS_writev, fd, parts, count);
    ssize_t total = 0;
    for (int k = 0; k < count; k++) {
        ssize_t done = write(fd, parts[k].iov_base, parts[k].iov_len);
        if (done < 0) return total ? total : -1;
        total += done;
        if ((size_t)done < parts[k].iov_len) break;
    }
    return total;
}

static ssize_t pwrite_any(int fd, const void *data, size_t length, off_t offset) {
    char place[PATH_MAX];
    struct rule *after = NULL;
    int is_ours = place_of_fd(fd, place);
    if (is_ours && harm(WRITE, place, &after)) return -1;
    ssize_t done = syscall(SYS_pwrite64, fd, data, length, offset);
    if (is_ours && done > 0) {
        note(WRITE, inode_of_fd(fd), (uint64_t)offset, data, (uint64_t)done, place, NULL, 0);
    }
    END(after);
    return done;
}
ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return pwrite_any(fd, data, length, offset); }
ssize_t pwrite64(int fd, const void *data, size_t length, off_t offset) { return pwrite_any(fd, data, length, offset); }

static ssize_t pread_any(int fd, void *data, size_t length, off_t offset) {
    char place[PATH_MAX];
    struct rule *after = NULL;
    if (place_of_fd(fd, place) && harm(READ, place, &after)) return -1;
    return syscall(SYS_pread64, fd, data, length, offset);
}
ssize_t pread(int fd, void *data, size_t length, off_t offset) { return pread_any(fd, data, length, offset); }
ssize_t pread64(int fd, void *data, size_t length, off_t offset) { return pread_any(fd, data, length, offset); }

/* Copying inside the kernel would pass by: who tries it falls back on reading and writing. */
ssize_t sendfile(int out, int in, off_t *offset, size_t count) {
    char place[PATH_MAX];
    if (place_of_fd(out, place)) { errno = EINVAL; return -1; }
    return syscall(SYS_sendfile, out, in, offset, count);
}
ssize_t sendfile64(int out, int in, off_t *offset, size_t count) { return sendfile(out, in, offset, count); }
ssize_t copy_file_range(int in, off_t *from, int out, off_t *to, size_t length, unsigned flags) {
    char place[PATH_MAX];
    if (place_of_fd(out, place)) { errno = EXDEV; return -1; }
    return syscall(SYS_copy_file_range, in, from, out, to, length, flags);
}

static int ftruncate_any(int fd, off_t length) {
    char place[PATH_MAX];
    struct rule *after = NULL;
    int is_ours = place_of_fd(fd, place);
    if (is_ours && harm(TRUNCATE, place, &after)) return -1;
    int failed = (int)syscall(SYS_ftruncate, fd, length);
    if (is_ours && !failed) {
        note(TRUNCATE, inode_of_fd(fd), (uint64_t)length, NULL, 0, place, NULL, 0);
    }
    END(after);
    return failed;
}
int ftruncate(int fd, off_t length) { return ftruncate_any(fd, length); }
int ftruncate64(int fd, off_t length) { return ftruncate_any(fd, length); }

static int sync_any(int fd, long call) {
    char place[PATH_MAX];
    struct rule *after = NULL;
    int is_ours = place_of_fd(fd, place);
    if (is_ours && harm(SYNC, place, &after)) return -1;
    int failed = (int)syscall(call, fd);
    if (is_ours && !failed) {
        note(SYNC, inode_of_fd(fd), 0, NULL, 0, place, NULL, 0);
    }
    END(after);
    return failed;
}
int fsync(int fd) { return sync_any(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_any(fd, SYS_fdatasync); }

/* --- names -------------------------------------------------------------------------------------------------------- */

static int rename_any(int from_folder, const char *from, int to_folder, const char *to) {
    char place[PATH_MAX], other[PATH_MAX];
    struct rule *after = NULL;
    int is_ours = place_of(from_folder, from, place) && place_of(to_folder, to, other);
    if (is_ours && (harm(RENAME, other, &after) || (!after && harm(RENAME, place, &after)))) return -1;
    int failed = (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, 0);
    if (is_ours && !failed) {
        note(RENAME, inode_of(other), 0, NULL, 0, place, other, 0);
    }
    END(after);
    return failed;
}
int rename(const char *from, const char *to) { return rename_any(AT_FDCWD, from, AT_FDCWD, to); }
int renameat(int a, const char *from, int b, const char *to) { return rename_any(a, from, b, to); }

static int link_any(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    char place[PATH_MAX], other[PATH_MAX];
    struct rule *after = NULL;
    int is_ours = place_of(from_folder, from, place) && place_of(to_folder, to, other);
    if (is_ours && harm(LINK, other, &after)) return -1;
    int failed = (int)syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
    if (is_ours && !failed) {
        note(LINK, inode_of(other), 0, NULL, 0, place, other, 0);
    }
    END(after);
    return failed;
}
int link(const char *from, const char *to) { return link_any(AT_FDCWD, from, AT_FDCWD, to, 0); }
int linkat(int a, const char *from, int b, const char *to, int flags) { return link_any(a, from, b, to, flags); }

static int remove_any(int folder, const char *path, int flags) {
    char place[PATH_MAX];
    struct rule *after = NULL;
    uint32_t call = flags & AT_REMOVEDIR ? RMDIR : UNLINK;
    int is_ours = place_of(folder, path, place);
    if (is_ours && harm(call, place, &after)) return -1;
    int failed = (int)syscall(SYS_unlinkat, folder, path, flags);
    if (is_ours && !failed) {
        note(call, 0, 0, NULL, 0, place, NULL, 0);
    }
    END(after);
    return failed;
}
int unlink(const char *path) { return remove_any(AT_FDCWD, path, 0); }
int unlinkat(int folder, const char *path, int flags) { return remove_any(folder, path, flags); }
int rmdir(const char *path) { return remove_any(AT_FDCWD, path, AT_REMOVEDIR); }

static int mkdir_any(int folder, const char *path, mode_t mode) {
    char place[PATH_MAX];
    struct rule *after = NULL;
    int is_ours = place_of(folder, path, place);
    if (is_ours && harm(MKDIR, place, &after)) return -1;
    int failed = (int)syscall(SYS_mkdirat, folder, path, mode);
    if (is_ours && !failed) {
        note(MKDIR, inode_of(place), 0, NULL, 0, place, NULL, 1);
    }
    END(after);
    return failed;
}
int mkdir(const char *path, mode_t mode) { return mkdir_any(AT_FDCWD, path, mode); }
int mkdirat(int folder, const char *path, mode_t mode) { return mkdir_any(folder, path, mode); }

/* --- the wall clock ----------------------------------------------------------------------------------------------- */

int clock_gettime(clockid_t which, struct timespec *now) {
    int failed = (int)syscall(SYS_clock_gettime, which, now);
    if (!failed && control && control->clock_offset_ns && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) {
        int64_t total = now->tv_nsec + control->clock_offset_ns % 1000000000;
        now->tv_sec += (time_t)(control->clock_offset_ns / 1000000000 + (total >= 1000000000) - (total < 0));
        now->tv_nsec = (long)((total + 1000000000) % 1000000000);
    }
    return failed;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *into) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (into) *into = exact.tv_sec;
    return exact.tv_sec;
}
