// LD_PRELOAD: posix_memalign, which ggml takes its memory with, throws what ggml-vulkan does when its device is lost, once:
// for the first size within the two numbers (bytes, both included) in the file that LOSE_DEVICE names, which it removes.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <system_error>

namespace vk {
struct DeviceLostError : std::system_error {
    DeviceLostError() : std::system_error(std::make_error_code(std::errc::no_such_device), "vk::Queue::submit: ErrorDeviceLost") {}
};
}  // namespace vk

static bool is_time(size_t size) {
    const char* path = std::getenv("LOSE_DEVICE");
    FILE* file       = path && size >= 65536 ? std::fopen(path, "r") : nullptr;
    if (!file) return false;
    unsigned long long from = 1, to = 0;
    const bool is_told = std::fscanf(file, "%llu %llu", &from, &to) == 2;
    std::fclose(file);
    const bool is_now = is_told && from <= size && size <= to;
    if (is_now) std::remove(path);
    return is_now;
}

// The C library promises that this function throws nothing, so it has another name here.
extern "C" int lose_device(void** memory, size_t alignment, size_t size) __asm__("posix_memalign");

extern "C" int lose_device(void** memory, size_t alignment, size_t size) {
    if (is_time(size)) throw vk::DeviceLostError();
    using Next = int (*)(void**, size_t, size_t);
    return reinterpret_cast<Next>(dlsym(RTLD_NEXT, "posix_memalign"))(memory, alignment, size);
}
