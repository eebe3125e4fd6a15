# syntax=docker/dockerfile:1
# Three images of the server, by target: cpu (the default), cuda, vulkan. docs/containers.md tells how to run them.
#
#   docker build --target cuda --tag sdcpp-rest:cuda .
#
# The library is compiled once per target, and again only when requirements.lock, CMAKE_ARGS, or one of the files of
# sdcpp_rest/native change that are copied for it; the server itself is installed once for all of them.

# Flags of the native library's build besides the target's own. Without GGML_NATIVE=OFF the image would need the very
# CPU that built it; with it, x86-64 CPUs need AVX2 (2013 and later).
ARG CMAKE_ARGS="-DGGML_NATIVE=OFF"

# --- tools: a compiler, and the pinned tools of the build ---------------------------------------------------------------

FROM ubuntu:24.04 AS tools
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates g++ python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
COPY requirements.lock /src/
# uv comes hash-checked out of the lock, and checks everything else against it.
RUN python3 -m venv /opt/tools \
    && sed -n '/^uv==/,/# via/p' /src/requirements.lock > /tmp/uv.txt \
    && /opt/tools/bin/pip install --no-cache-dir --require-hashes --requirement /tmp/uv.txt \
    && /opt/tools/bin/uv pip install --no-cache --python /opt/tools/bin/python --constraints /src/requirements.lock \
        cmake filelock ninja platformdirs scikit-build-core \
    && rm /tmp/uv.txt
ENV PATH=/opt/tools/bin:$PATH

# --- page: the web page, built ------------------------------------------------------------------------------------------

FROM node:24-slim AS page
WORKDIR /src/webui
COPY webui/package.json webui/package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund
COPY webui ./
RUN node node_modules/vite/bin/vite.js build

# --- server: everything but the native library --------------------------------------------------------------------------

FROM tools AS package
WORKDIR /src
COPY pyproject.toml CMakeLists.txt README.md LICENSE sbom.cdx.json ./
COPY docs docs
COPY sdcpp_rest sdcpp_rest
COPY --from=page /src/sdcpp_rest/webui_dist sdcpp_rest/webui_dist
# For example "[interrogate]", which describes pictures in words.
ARG EXTRAS=""
RUN echo stable-diffusion-cpp-python > /tmp/apart.txt \
    && uv venv --python /usr/bin/python3 /opt/sdcpp-rest \
    && uv pip install --no-cache --python /opt/sdcpp-rest/bin/python --compile-bytecode \
        --constraints requirements.lock --build-constraints requirements.lock --excludes /tmp/apart.txt ".${EXTRAS}"

# --- library: stable-diffusion.cpp, once per backend --------------------------------------------------------------------

# What builds it, and all that this imports: a change of anything else compiles nothing again.
FROM scratch AS build-code
COPY sdcpp_rest/native/build.py sdcpp_rest/native/build_failures.py sdcpp_rest/native/build_flags.py \
    sdcpp_rest/native/build_process.py sdcpp_rest/native/build_stamp.py sdcpp_rest/native/prebuilt.py \
    sdcpp_rest/native/system_packages.py sdcpp_rest/native/toolchain.py sdcpp_rest/native/vulkan_headers.py \
    /src/sdcpp_rest/native/

FROM tools AS library-cpu
ARG CMAKE_ARGS
WORKDIR /src
COPY --from=build-code /src /src
RUN CMAKE_ARGS="${CMAKE_ARGS}" python -m sdcpp_rest.native.build \
    && mkdir /opt/library \
    && cp -a /opt/tools/lib/python3.12/site-packages/stable_diffusion_cpp* /opt/library/

FROM tools AS library-vulkan
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends glslc libvulkan-dev \
    && rm -rf /var/lib/apt/lists/*
ARG CMAKE_ARGS
WORKDIR /src
COPY --from=build-code /src /src
RUN CMAKE_ARGS="-DSD_VULKAN=ON ${CMAKE_ARGS}" python -m sdcpp_rest.native.build \
    && mkdir /opt/library \
    && cp -a /opt/tools/lib/python3.12/site-packages/stable_diffusion_cpp* /opt/library/

FROM nvidia/cuda:12.8.1-devel-ubuntu24.04 AS library-cuda
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates g++ python3 \
    && rm -rf /var/lib/apt/lists/*
# The same Ubuntu with the same Python: the environment can move.
COPY --from=tools /opt/tools /opt/tools
ENV PATH=/opt/tools/bin:$PATH
ARG CMAKE_ARGS
WORKDIR /src
COPY --from=build-code /src /src
RUN CMAKE_ARGS="-DSD_CUDA=ON ${CMAKE_ARGS}" python -m sdcpp_rest.native.build \
    && mkdir /opt/library /opt/cuda \
    && cp -a /opt/tools/lib/python3.12/site-packages/stable_diffusion_cpp* /opt/library/ \
    && for name in cudart cublas cublasLt; do cp -L "/usr/local/cuda/lib64/lib${name}.so.12" /opt/cuda/; done

# --- what runs ----------------------------------------------------------------------------------------------------------

FROM ubuntu:24.04 AS server
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates libgomp1 libstdc++6 python3 tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 sdcpp \
    && useradd --no-log-init --uid 10001 --gid sdcpp --home-dir /data --no-create-home --shell /usr/sbin/nologin sdcpp \
    && install --directory --owner sdcpp --group sdcpp /data /models /output
COPY --from=package /opt/sdcpp-rest /opt/sdcpp-rest
# Inside a container 127.0.0.1 is reached by nobody, so it listens on every address, and therefore does not start before
# auth.api_keys or allow_public_without_auth is set.
ENV PATH=/opt/sdcpp-rest/bin:$PATH \
    HOME=/data \
    PYTHONUNBUFFERED=1 \
    SDCPP_REST__SERVER__HOST=0.0.0.0 \
    SDCPP_REST__PATHS__DATA_DIR=/data \
    SDCPP_REST__PATHS__MODELS_DIR=/models \
    SDCPP_REST__PATHS__OUTPUT_DIR=/output
VOLUME ["/data", "/models", "/output"]
EXPOSE 8080 8081
# server.json says where it listens, whichever way that was configured; /health needs no key.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["python3", "-c", \
    "import json, urllib.request as web; web.urlopen(json.load(open('/data/server.json'))['url'] + '/health', timeout=4)"]
USER 10001:10001
WORKDIR /data
# tini reaps what a killed engine leaves and hands SIGTERM on: the server stops in order.
ENTRYPOINT ["tini", "--", "sdcpp-rest"]
CMD ["serve"]

# CMAKE_ARGS stays set in each image, so that `sdcpp-rest doctor` compares the library with the flags it was built with.

FROM server AS cuda
ARG CMAKE_ARGS
ENV CMAKE_ARGS="-DSD_CUDA=ON ${CMAKE_ARGS}" \
    LD_LIBRARY_PATH=/opt/cuda \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    NVIDIA_REQUIRE_CUDA="cuda>=12.8"
COPY --from=library-cuda /opt/cuda /opt/cuda
COPY --from=library-cuda /opt/library /opt/sdcpp-rest/lib/python3.12/site-packages

FROM server AS vulkan
USER 0:0
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libegl1 libvulkan1 mesa-vulkan-drivers \
    && rm -rf /var/lib/apt/lists/*
USER 10001:10001
ARG CMAKE_ARGS
# With NVIDIA's runtime the driver's part for Vulkan is handed in as "graphics", and starts through libEGL.
ENV CMAKE_ARGS="-DSD_VULKAN=ON ${CMAKE_ARGS}" \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=graphics,utility
COPY --from=library-vulkan /opt/library /opt/sdcpp-rest/lib/python3.12/site-packages

FROM server AS cpu
ARG CMAKE_ARGS
ENV CMAKE_ARGS="${CMAKE_ARGS}"
COPY --from=library-cpu /opt/library /opt/sdcpp-rest/lib/python3.12/site-packages
