// LD_PRELOAD: posix_memalign, which ggml takes its memory with, refuses sizes within the two numbers in the file that
// REFUSE_MEMORY names (bytes, both included); without the file, nothing. With TELL_MEMORY every size is printed.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

typedef int (*Next)(void**, size_t, size_t);

static int is_refused(size_t size) {
    const char* path = getenv("REFUSE_MEMORY");
    FILE* file = path && size >= 65536 ? fopen(path, "r") : NULL;
    unsigned long long from = 1, to = 0;
    if (file) {
        if (fscanf(file, "%llu %llu", &from, &to) != 2) to = 0;
        fclose(file);
    }
    return from <= size && size <= to;
}

int posix_memalign(void** memory, size_t alignment, size_t size) {
    const int refused = is_refused(size);
    if (getenv("TELL_MEMORY")) fprintf(stderr, "posix_memalign %zu%s\n", size, refused ? " refused" : "");
    return refused ? ENOMEM : ((Next)dlsym(RTLD_NEXT, "posix_memalign"))(memory, alignment, size);
}
