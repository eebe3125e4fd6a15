// Answers what stable-diffusion.cpp wants of the processor where ggml's CPU code is a module that is chosen at run time.
//
// Upstream finds everything else in ggml's registry; these functions alone are linked as those of the CPU module, which
// would have to be loaded, for all to see, before the library. Here they ask the module that was chosen.
// Hidden: each CPU module has functions of the same names, and must go on calling its own.

#include <cstring>

#include "ggml-backend.h"

#if defined(_WIN32)
#define OURS extern "C"
#define SHOWN extern "C" __declspec(dllexport)
#else
#define OURS extern "C" __attribute__((visibility("hidden")))
#define SHOWN extern "C" __attribute__((visibility("default")))
#endif

static int has(const char* feature) {
    ggml_backend_reg_t cpu = ggml_backend_reg_by_name("CPU");
    if (cpu == nullptr) {
        return 0;
    }
    auto list = reinterpret_cast<ggml_backend_get_features_t>(
        ggml_backend_reg_get_proc_address(cpu, "ggml_backend_get_features"));
    if (list == nullptr) {
        return 0;
    }
    for (ggml_backend_feature* one = list(cpu); one->name != nullptr; ++one) {
        if (std::strcmp(one->name, feature) == 0) {
            return std::strcmp(one->value, "0") != 0;
        }
    }
    return 0;
}

OURS ggml_backend_t ggml_backend_cpu_init(void) {
    return ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr);
}

OURS int ggml_cpu_has_sse3(void) { return has("SSE3"); }
OURS int ggml_cpu_has_avx(void) { return has("AVX"); }
OURS int ggml_cpu_has_avx2(void) { return has("AVX2"); }
OURS int ggml_cpu_has_avx512(void) { return has("AVX512"); }
OURS int ggml_cpu_has_avx512_vbmi(void) { return has("AVX512_VBMI"); }
OURS int ggml_cpu_has_avx512_vnni(void) { return has("AVX512_VNNI"); }
OURS int ggml_cpu_has_fma(void) { return has("FMA"); }
OURS int ggml_cpu_has_neon(void) { return has("NEON"); }
OURS int ggml_cpu_has_arm_fma(void) { return has("ARM_FMA"); }
OURS int ggml_cpu_has_f16c(void) { return has("F16C"); }
OURS int ggml_cpu_has_fp16_va(void) { return has("FP16_VA"); }
OURS int ggml_cpu_has_wasm_simd(void) { return has("WASM_SIMD"); }
OURS int ggml_cpu_has_vsx(void) { return has("VSX"); }
// For whoever loads the library, as in a build with the CPU code inside. (It must not be loaded with RTLD_GLOBAL, or
// the module's own function of this name would be answered by this one, which asks the module.)
SHOWN int ggml_cpu_has_llamafile(void) { return has("LLAMAFILE"); }
