"""Names the files that a native library built for a GPU needs of its driver, and what to do where they are not.

Knows names of files; must not load anything.
"""

from __future__ import annotations

# Beginnings of file names that the dynamic linker misses, and where these files come from.
_GPU_LIBRARIES = {
    "libcuda.so": "NVIDIA's driver", "nvcuda.dll": "NVIDIA's driver",
    "libcudart": "the CUDA runtime", "libcublas": "cuBLAS of the CUDA toolkit",
    "cudart64": "the CUDA runtime", "cublas64": "cuBLAS of the CUDA toolkit",
    "libamdhip64": "the ROCm runtime", "libhipblas": "hipBLAS of ROCm", "librocblas": "rocBLAS of ROCm",
    "libvulkan": "the Vulkan loader", "vulkan-1.dll": "the Vulkan loader",
    "libmusa": "the MUSA runtime", "libOpenCL": "an OpenCL loader", "libsycl": "the oneAPI runtime",
}  # fmt: skip


def advise_driver(error: str) -> str | None:
    """Say what to do when the library was built for a GPU whose driver or run-time libraries are not in this machine,
    by the dynamic linker's ``error``; ``None`` for other errors."""
    for file, what in _GPU_LIBRARIES.items():
        if file in error:
            return (
                f"it was built for a GPU and needs {what}; install that, or rebuild it for the CPU with "
                "`sdcpp-rest native build --backend cpu`"
            )
    return None
