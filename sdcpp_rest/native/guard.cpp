// A wall around calls that can throw or assert: cancel, C++ exceptions and catchable assertions become status codes.
//
// Knows nothing of the library: its functions arrive as pointers, so this file includes none of its headers and links
// against none of its code. Knows nothing of Python either, beyond two C callbacks ("sinks") it forwards to.

#include <algorithm>
#include <atomic>
#include <cctype>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <exception>
#include <new>
#include <regex>
#include <stdexcept>
#include <typeinfo>

#include "imported_calls.h"

#if defined(_WIN32)
#define GUARD_API extern "C" __declspec(dllexport)
#else
#define GUARD_API extern "C" __attribute__((visibility("default")))
#endif

namespace {

enum Status : int { OK = 0, FAILED = 1, CANCELLED = 2, EXCEPTION = 3, ASSERTION = 4, BROKEN = 5 };

struct Image {  // same layout as sd_image_t: upscale and canny take it by value
    uint32_t width, height, channel;
    uint8_t* pixels;
};

struct Registry {  // same layout as ggml_backend_reg, whose version 2 this is
    int api_version;
    const char* (*name)(Registry*);
    size_t (*device_count)(Registry*);
    void* (*device)(Registry*, size_t);
    void* (*find)(Registry*, const char*);
    void* context;
};
constexpr int REGISTRY_VERSION = 2;

// Neither derives from std::exception: a catch clause inside the library must not swallow them.
struct CancelThrown {};
struct AssertionThrown {};

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds LIBRARY_PAUSE{200};  // between two looks at its loader threads

struct Call {
    bool active   = false;
    bool loading  = false;  // the library's loader threads are running
    bool starved  = false;  // weights got no memory, and the library goes on
    Clock::time_point loading_since;  // of the file that is read now
    Clock::time_point progress_told;
    int64_t run   = 0;      // 0: this call cannot be cancelled
    char text[4096] = {0};
};

using ProgressSink = void (*)(int, int, float, void*);
using LogSink      = void (*)(int, const char*, void*);

thread_local Call call;
std::atomic<int64_t> cancelled_run{0};
std::atomic<ProgressSink> progress_sink{nullptr};
std::atomic<LogSink> log_sink{nullptr};
char last_words_path[4096] = {0};
std::atomic<int> chosen_threads{0};  // 0: as many as the library asks for
std::atomic<int> used_threads{0};
void* (*find_in_backend)(Registry*, const char*) = nullptr;
std::atomic<void (*)(void*, int)> set_in_backend{nullptr};
std::atomic<int64_t> short_sleeps{0};

void remember(const char* text) {
    std::snprintf(call.text, sizeof call.text, "%s", text ? text : "");
}

void leave_last_words(const char* text) {
    if (!last_words_path[0]) return;
    if (FILE* file = std::fopen(last_words_path, "w")) {
        std::fputs(text, file);
        std::fclose(file);
    }
}

void write_last_words(const char* text) {
    std::fprintf(stderr, "%s\n", text);
    std::fflush(stderr);
    leave_last_words(text);
}

void clear_last_words() {
    if (last_words_path[0]) std::remove(last_words_path);
}

// The library logs that weights got no buffer, and then fills it on its loader threads: a segmentation fault, which
// says nothing. So the words are left before it.
void expect_death_without_memory(const char* text) {
    const char* place   = std::strstr(text, " - ");
    const char* message = place ? place + 3 : text;
    char words[512];
    std::snprintf(words, sizeof words, "not enough memory for the weights (%.*s)",
                  static_cast<int>(std::strcspn(message, "\n")), message);
    leave_last_words(words);
    call.starved = true;
}

// The threads of a compute backend wait for each other while its kernels run: an exception would leave them waiting.
// Backends live in folders of their own (ggml-cpu/, ggml-cuda/, ...); graphs are built in files outside of them.
bool raised_in_backend(const char* text) {
    for (const char* at = std::strstr(text, "ggml-"); at; at = std::strstr(at + 1, "ggml-")) {
        const char end = at[std::strcspn(at, "/\\: ")];
        if (end == '/' || end == '\\') return true;  // still inside the path: a folder
        if (end == ':') return false;                 // the path's end: a file such as ggml-backend.cpp
    }
    return false;
}

// What the library's own code throws while it reads a prompt or builds a graph leaves the context as it was. What comes
// out of a backend does not: after a lost device the next call is a segmentation fault. Backends throw types of their
// own (vk::DeviceLostError, sycl::exception), all of them behind a class of the standard library; so only what is known
// to be harmless counts as that.
bool leaves_context_good(const std::exception& error) {
    if (std::strstr(error.what(), "vk::") || std::strstr(typeid(error).name(), "2vk")) return false;
    // What a model file's header holds is read by a JSON library with types of its own.
    return dynamic_cast<const std::logic_error*>(&error) || dynamic_cast<const std::bad_alloc*>(&error) ||
           typeid(error) == typeid(std::runtime_error) || typeid(error) == typeid(std::regex_error) ||
           std::strstr(typeid(error).name(), "8nlohmann");
}

[[noreturn]] void on_terminate() {
    if (std::current_exception()) {
        try {
            throw;
        } catch (const std::exception& error) {
            char text[2048];
            std::snprintf(text, sizeof text, "uncaught C++ exception: %s", error.what());
            write_last_words(text);
        } catch (const AssertionThrown&) {  // its text was written when it was raised
        } catch (const CancelThrown&) {
            write_last_words("cancelled where the library cannot be unwound");
        } catch (...) {
            write_last_words("uncaught C++ exception of an unknown type");
        }
    }
    std::abort();
}

// Before each graph the library tells the CPU backend how many threads compute it, by a function that it asks the backend
// for by name. What is found under that name is this one instead.
void set_threads(void* backend, int asked) {
    const int chosen = chosen_threads.load();
    const int used   = chosen > 0 ? chosen : asked;
    used_threads.store(used);
    set_in_backend.load()(backend, used);
}

void* find_function(Registry* registry, const char* name) {
    void* found = find_in_backend(registry, name);
    if (!found || std::strcmp(name, "ggml_backend_set_n_threads") != 0) return found;
    set_in_backend.store(reinterpret_cast<void (*)(void*, int)>(found));
    return reinterpret_cast<void*>(set_threads);
}

// Of a load nobody is told more often than the library itself would tell it.
bool is_news(int step, int steps) {
    if (!call.active || !call.loading) return true;
    const auto now = Clock::now();
    if (step < steps && now - call.progress_told < LIBRARY_PAUSE) return false;
    call.progress_told = now;
    return true;
}

template <typename Body>
int guarded(int64_t run, Body body) {
    const bool was_active = call.active;
    call.active  = true;
    call.loading = false;
    call.starved = false;
    call.progress_told = {};
    call.run     = run;
    call.text[0] = 0;
    int status   = OK;
    try {
        status = body() ? OK : FAILED;
    } catch (const CancelThrown&) {
        status = CANCELLED;
    } catch (const AssertionThrown&) {
        status = ASSERTION;
        clear_last_words();  // the process survived: these were not its last words
    } catch (const std::exception& error) {
        remember(error.what());
        status = leaves_context_good(error) ? EXCEPTION : BROKEN;
    } catch (...) {
        remember("an exception of an unknown type");
        status = BROKEN;
    }
    if (call.starved) clear_last_words();  // the process survived: these were not its last words
    call.active = was_active;
    call.run    = 0;
    return status;
}

}  // namespace

// --- settings ---------------------------------------------------------------------------------------------------------

GUARD_API int guard_version() { return 6; }
GUARD_API const char* guard_text() { return call.text; }
GUARD_API void guard_cancel(int64_t run) { cancelled_run.store(run); }
GUARD_API void guard_set_progress_sink(ProgressSink sink) { progress_sink.store(sink); }
GUARD_API void guard_set_log_sink(LogSink sink) { log_sink.store(sink); }
GUARD_API void guard_catch_terminate() { std::set_terminate(on_terminate); }
GUARD_API void guard_set_last_words(const char* path) {
    std::snprintf(last_words_path, sizeof last_words_path, "%s", path ? path : "");
}

// --- threads of the CPU -------------------------------------------------------------------------------------------------

// From now on the registry's backend computes with as many threads as `guard_choose_threads` says. Returns whether it can:
// another version of the registry may have another layout.
GUARD_API int guard_take_threads(void* backend_registry) {
    Registry* registry = static_cast<Registry*>(backend_registry);
    if (!registry || registry->api_version != REGISTRY_VERSION || !registry->find) return 0;
    if (registry->find != find_function) {
        find_in_backend = registry->find;
        registry->find  = find_function;
    }
    return 1;
}

// From the next graph on, also in the middle of a run; 0: as many as the library asks for.
GUARD_API void guard_choose_threads(int count) { chosen_threads.store(count); }
GUARD_API int guard_used_threads() { return used_threads.load(); }

// --- waiting for a model's files ----------------------------------------------------------------------------------------

#if defined(CAN_REPLACE_CALLS)
namespace {

// While its loader threads read a file, the library sleeps 200 ms at a time, and looks only then whether they are done: a
// small file takes as long as that, a LoRA of a picture too. It sleeps by this function instead, a small part of what the
// file has taken until now, so that it looks often at first and seldom later.
int sleep_while_loading(const timespec* wanted, timespec* left) {
    if (!call.active || !call.loading) return nanosleep(wanted, left);
    const std::chrono::nanoseconds least = std::chrono::milliseconds(1), part = (Clock::now() - call.loading_since) / 16;
    const std::chrono::nanoseconds whole = std::chrono::seconds(wanted->tv_sec) + std::chrono::nanoseconds(wanted->tv_nsec);
    const std::chrono::nanoseconds pause = std::min(whole, std::max(part, least));
    if (pause < whole) ++short_sleeps;
    timespec shorter;
    shorter.tv_sec  = static_cast<time_t>(pause.count() / 1000000000);
    shorter.tv_nsec = static_cast<long>(pause.count() % 1000000000);
    return nanosleep(&shorter, left);
}

}  // namespace
#endif

// From now on the library that has `function` sleeps no longer than it has to while it reads a model. Returns whether it
// can: where libraries are not ELF, and in one that waits in another way, all stays as it is.
GUARD_API int guard_shorten_sleeps(const void* function) {
#if defined(CAN_REPLACE_CALLS)
    return replace_calls(function, "nanosleep", reinterpret_cast<void*>(sleep_while_loading));
#else
    (void)function;
    return 0;
#endif
}

// How often one was shortened, since the process began.
GUARD_API int64_t guard_short_sleeps() { return short_sleeps.load(); }

// --- letters beyond the tables of C -------------------------------------------------------------------------------------

namespace {

// The library's tokenizer of language models asks this of whole code points, where C has a table of 256 letters: glibc
// looks as far behind the table as the letter is large. What lies there decides then, or the process dies.
int ask_of_bytes_only(int letter) { return letter >= -1 && letter <= 255 ? std::isspace(letter) : 0; }

}  // namespace

// From now on the library that has `function` finds that no letter above 255 is white space, and looks nowhere for it.
// Returns whether it asks at all.
GUARD_API int guard_bound_letters(const void* function) {
#if defined(CAN_REPLACE_CALLS)
    return replace_calls(function, "isspace", reinterpret_cast<void*>(ask_of_bytes_only));
#else
    (void)function;
    (void)ask_of_bytes_only;
    return 0;
#endif
}

// --- callbacks that the library is given --------------------------------------------------------------------------------

// Throws when the run of this very thread is cancelled. Numbers are compared, not a flag: a cancel that arrives when its
// run is over must not hit the next one. Never while loader threads run: the vector that holds them would be destroyed
// with joinable threads in it, which is std::terminate (a LoRA is loaded in the middle of generate_image).
GUARD_API void guard_progress(int step, int steps, float seconds, void* user) {
    if (is_news(step, steps)) {
        if (ProgressSink sink = progress_sink.load()) sink(step, steps, seconds, user);
    }
    if (call.active && !call.loading && call.run != 0 && cancelled_run.load() == call.run) throw CancelThrown{};
}

// Also learns here whether loader threads run; nothing else in the library's API says so.
GUARD_API void guard_log(int level, const char* text, void* user) {
    if (call.active && text) {
        if (std::strstr(text, " - loading tensors from ")) {
            call.loading       = true;
            call.loading_since = Clock::now();
        }
        if (std::strstr(text, " - loading tensors completed")) call.loading = false;
        if (std::strstr(text, "alloc params backend buffer failed")) expect_death_without_memory(text);
    }
    if (LogSink sink = log_sink.load()) sink(level, text, user);
}

// Called by ggml with an assertion's text; when it returns, ggml aborts the process.
GUARD_API void guard_abort(const char* text) {
    write_last_words(text);
    if (!call.active || call.loading || raised_in_backend(text)) return;
    remember(text);
    throw AssertionThrown{};
}

// --- questions ----------------------------------------------------------------------------------------------------------

// The library compiles the patterns of tensor type rules on its loader threads, where nothing catches what they throw.
GUARD_API int guard_check_pattern(const char* pattern) {
    return guarded(0, [&] { return std::regex(pattern), true; });
}

// --- guarded calls, one per shape ---------------------------------------------------------------------------------------

GUARD_API int guard_new_context(void* (*load)(const void*), const void* params, void** context) {
    return guarded(0, [&] { return (*context = load(params)) != nullptr; });
}

GUARD_API int guard_generate_image(void* (*generate)(void*, const void*), void* context, const void* params, int64_t run,
                                   void** images) {
    return guarded(run, [&] { return (*images = generate(context, params)) != nullptr; });
}

GUARD_API int guard_generate_video(void* (*generate)(void*, const void*, int*), void* context, const void* params,
                                   int64_t run, int* frame_count, void** frames) {
    return guarded(run, [&] { return (*frames = generate(context, params, frame_count)) != nullptr; });
}

GUARD_API int guard_new_upscaler(void* (*load)(const char*, bool, bool, int, int), const char* path, bool offload,
                                 bool direct, int n_threads, int tile_size, void** upscaler) {
    return guarded(0, [&] { return (*upscaler = load(path, offload, direct, n_threads, tile_size)) != nullptr; });
}

GUARD_API int guard_upscale(Image (*upscale)(void*, Image, uint32_t), void* upscaler, const Image* input, uint32_t factor,
                            int64_t run, Image* output) {
    return guarded(run, [&] { return (*output = upscale(upscaler, *input, factor)).pixels != nullptr; });
}

GUARD_API int guard_convert(bool (*convert)(const char*, const char*, const char*, int, const char*, bool),
                            const char* input, const char* vae, const char* output, int type, const char* rules,
                            bool convert_name) {
    return guarded(0, [&] { return convert(input, vae, output, type, rules, convert_name); });
}

GUARD_API int guard_canny(bool (*canny)(Image, float, float, float, float, bool), const Image* image, float high,
                          float low, float weak, float strong, bool inverse) {
    return guarded(0, [&] { return canny(*image, high, low, weak, strong, inverse); });
}
