"""The real runner: our words on one side, the native library on the other.

The only module outside the command line that imports the native room. Turns load specs and picture parameters into the
library's structures, the library's log and progress callbacks into phases and steps.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from pathlib import Path

from sdcpp_rest.core import prompts
from sdcpp_rest.core.job import Phase
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.engine.protocol import Device, Loaded, PreviewSettings, QuantizationType, Ready, RunJob
from sdcpp_rest.engine.runner import Report, RunCancelled, RunFailed, RunResult
from sdcpp_rest.engine.spool import RawPicture
from sdcpp_rest.native import devices as native_devices
from sdcpp_rest.native.context import (
    CacheSettings,
    Context,
    ContextOptions,
    Guidance,
    ImageRequest,
    LoraFile,
    NativeCancelled,
    NativeError,
    RawImage,
    SkipLayers,
    Tiling,
)
from sdcpp_rest.native.library import Library, open_library

log = logging.getLogger(__name__)

# The library announces its phases in its log only. These are texts of the pinned version, and only progress hangs on
# them.
_PICTURE_BEGINS = re.compile(r"generating image: (\d+)/\d+")
_SAMPLING_ENDS = re.compile(r"generating \d+ latent images completed")
_HIRES_BEGINS = re.compile(r"hires fix: upscaling")


class NativeRunner:
    """One model at a time, one call at a time. The library is opened by `ready`, not before.

    Args:
        last_words_path: where the text of an assertion that ends this process is left for the server.
        n_threads: CPU threads of models whose load spec leaves the number open; -1 for the number of physical cores.
    """

    def __init__(self, last_words_path: str = "", n_threads: int = -1) -> None:
        self._last_words_path = last_words_path
        self._n_threads = n_threads
        self._library: Library | None = None
        self._context: Context | None = None
        self._spec: LoadSpec | None = None
        self._device_list: tuple[Device, ...] = ()
        self._preview = PreviewSettings()
        self._follower: _Follower | None = None
        self._lock = threading.Lock()

    def ready(self) -> Ready:
        try:
            library = open_library()
        except RuntimeError as error:
            raise RunFailed(str(error), code="engine_unavailable") from error
        if self._last_words_path:
            library.set_last_words(self._last_words_path)
        library.set_log(self._hear_log)
        library.set_progress(self._hear_progress)
        self._library = library
        found = native_devices.list_devices(library)
        self._device_list = self.devices()
        return Ready(
            pid=os.getpid(),
            library_version=library.version,
            library_commit=library.commit,
            backend=native_devices.main_backend(found),
            features=library.features,
            devices=self._device_list,
            samplers=library.samplers(),
            schedulers=library.schedulers(),
            quantization_types=tuple(
                QuantizationType(
                    id=entry.id,
                    name=entry.name,
                    bits=int("".join(filter(str.isdigit, entry.id.partition("_")[0]))),
                    bits_per_weight=entry.bits,
                )
                for entry in library.quantization_types()
            ),
        )

    def load(self, spec: LoadSpec, report: Report) -> Loaded:
        self.unload()
        library = self._opened()
        started = time.perf_counter()
        self._follower = _Follower(report, loading=True)
        try:
            self._context = Context.load(_context_options(spec, self._n_threads, self._has_gpu()), library)
        except (NativeError, ValueError) as error:
            raise RunFailed(str(error), code="load_failed") from error
        finally:
            self._follower = None
        self._spec = spec
        return Loaded(
            key=spec.key,
            architecture=self._context.architecture,
            supports_images=self._context.supports_images,
            supports_video=self._context.supports_video,
            seconds=time.perf_counter() - started,
        )

    def unload(self) -> None:
        context, self._context, self._spec = self._context, None, None
        if context is not None:
            context.close()

    def run(self, command: RunJob, report: Report) -> RunResult:
        context = self._context
        if context is None:
            raise RunFailed("no model is loaded in the engine")
        params = command.params
        request = _image_request(params, command.inputs)
        self._install_preview()
        self._follower = _Follower(report)
        report.step(0, 0, 0, "conditioning")
        started = time.perf_counter()
        try:
            images = context.generate_image(request, command.run)
        except NativeCancelled:
            raise RunCancelled from None
        except (NativeError, ValueError) as error:
            raise RunFailed(str(error)) from error
        finally:
            self._follower = None
        seconds = time.perf_counter() - started
        return _result(images, params, seconds)

    def cancel(self, run: int) -> None:
        if self._library is not None:
            self._library.cancel(run)

    def set_preview(self, settings: PreviewSettings) -> None:
        self._preview = settings

    def devices(self) -> tuple[Device, ...]:
        library = self._opened()
        # ggml's device list is made on first use; two threads must not both make it.
        with self._lock:
            found = native_devices.list_devices(library)
        return tuple(
            Device(
                name=device.name,
                description=device.description,
                backend=device.backend,
                free_bytes=device.free_bytes,
                total_bytes=device.total_bytes,
                is_gpu=device.is_gpu,
            )
            for device in found
        )

    def _opened(self) -> Library:
        assert self._library is not None, "ready() comes first"
        return self._library

    def _has_gpu(self) -> bool:
        return any(device.is_gpu for device in self._device_list)

    def _install_preview(self) -> None:
        settings = self._preview
        mode = settings.mode if settings.enabled else "none"
        if mode in ("tae", "vae") and (self._spec is None or "taesd" not in self._spec.components):
            # Without a tiny autoencoder the library runs the whole VAE at every step: a preview must not cost more than
            # the picture.
            mode = "proj"
        callback = None if mode == "none" else self._hear_preview
        self._opened().set_preview(callback, mode, settings.interval)

    def _hear_log(self, level: int, line: str) -> None:
        # Straight to the engine log: logging's own locks are not to be taken on the library's threads.
        os.write(2, f"[{level}] {line}\n".encode(errors="replace"))
        follower = self._follower
        if follower is not None:
            follower.hear_log(line)

    def _hear_progress(self, step: int, steps: int, _seconds: float) -> None:
        follower = self._follower
        if follower is not None:
            follower.hear_progress(step, steps)

    def _hear_preview(self, step: int, frames: object, is_noisy: bool) -> None:
        follower = self._follower
        if follower is not None and isinstance(frames, list) and frames:
            frame = frames[0]
            picture = RawPicture(frame.width, frame.height, frame.channels, frame.pixels)
            follower.report.preview(abs(step), len(frames), picture, is_noisy)


class _Follower:
    """Follows one call through the library's log and progress callbacks.

    The library counts VAE tiles and loaded tensors with the same callback as sampling steps; only what is counted
    while it samples reaches the report as steps, and only in order.
    """

    def __init__(self, report: Report, loading: bool = False) -> None:
        self.report = report
        self._loading = loading
        self._phase: Phase = "loading" if loading else "conditioning"
        self._image = 0
        self._step = 0
        self._total = 0

    def hear_log(self, line: str) -> None:
        if found := _PICTURE_BEGINS.search(line):
            self._enter("sampling", int(found.group(1)) - 1)
        elif _SAMPLING_ENDS.search(line):
            self._enter("decoding", self._image)
        elif _HIRES_BEGINS.search(line):
            self._enter("hires", self._image)

    def hear_progress(self, step: int, steps: int) -> None:
        if self._loading:
            self.report.loading(step / steps if steps > 0 else None)
        elif self._phase in ("sampling", "hires") and steps > 0:
            if step == 0 and self._total == 0:
                self._total = steps
            elif steps == self._total and step == self._step + 1:
                self._step = step
                if self._phase == "sampling":
                    self.report.step(step, steps, self._image, "sampling")

    def _enter(self, phase: Phase, image: int) -> None:
        self._phase, self._image, self._step, self._total = phase, image, 0, 0
        self.report.step(0, 0, image, phase)


def _context_options(spec: LoadSpec, n_threads: int, has_gpu: bool) -> ContextOptions:
    """The library's load parameters for ``spec``.

    Flash attention left open means: on for GPUs, off on the CPU, where it is slower.
    """
    options = spec.options

    def path(role: str) -> str | None:
        return spec.components[role].path if role in spec.components else None

    return ContextOptions(
        model_path=spec.model.path if spec.kind == "checkpoint" else None,
        diffusion_model_path=spec.model.path if spec.kind == "diffusion" else None,
        clip_l_path=path("clip_l"),
        clip_g_path=path("clip_g"),
        clip_vision_path=path("clip_vision"),
        t5xxl_path=path("t5xxl"),
        llm_path=path("llm"),
        llm_vision_path=path("llm_vision"),
        high_noise_diffusion_model_path=path("high_noise_diffusion_model"),
        vae_path=path("vae"),
        taesd_path=path("taesd"),
        control_net_path=path("controlnet"),
        photo_maker_path=path("photo_maker"),
        tensor_type_rules=options.tensor_type_rules or None,
        vae_decode_only=options.vae_decode_only,
        # Freed parameters make the library's second picture a segmentation fault.
        free_params_immediately=False,
        n_threads=options.n_threads if options.n_threads > 0 else n_threads,
        wtype=options.weight_type or None,
        rng_type=options.rng_type,
        sampler_rng_type=options.sampler_rng_type or None,
        prediction=options.prediction or None,
        # "auto" would merge LoRAs into unquantized weights, and taking them out again leaves rounding behind.
        lora_apply_mode="at_runtime" if options.lora_apply_mode == "auto" else options.lora_apply_mode,
        offload_params_to_cpu=options.offload_to_cpu,
        enable_mmap=options.enable_mmap,
        keep_clip_on_cpu=options.keep_clip_on_cpu,
        keep_control_net_on_cpu=options.keep_controlnet_on_cpu,
        keep_vae_on_cpu=options.keep_vae_on_cpu,
        flash_attn=has_gpu if options.flash_attn is None else options.flash_attn,
        diffusion_flash_attn=has_gpu if options.diffusion_flash_attn is None else options.diffusion_flash_attn,
        tae_preview_only=options.tae_preview_only,
        diffusion_conv_direct=options.diffusion_conv_direct,
        vae_conv_direct=options.vae_conv_direct,
        circular_x=options.circular_x,
        circular_y=options.circular_y,
        force_sdxl_vae_conv_scale=options.force_sdxl_vae_conv_scale,
        chroma_use_dit_mask=options.chroma_use_dit_mask,
        chroma_use_t5_mask=options.chroma_use_t5_mask,
        chroma_t5_mask_pad=options.chroma_t5_mask_pad,
        qwen_image_zero_cond_t=options.qwen_image_zero_cond_t,
        max_vram=options.max_vram,
    )


def _image_request(params: ImageParams, inputs: dict[str, str]) -> ImageRequest:
    _, prompt = prompts.parse_loras(params.prompt)
    return ImageRequest(
        prompt=prompt,
        negative_prompt=params.negative_prompt,
        width=params.width,
        height=params.height,
        steps=params.steps,
        guidance=Guidance(
            txt_cfg=params.cfg_scale,
            img_cfg=params.img_cfg_scale,
            distilled=params.distilled_guidance,
            skip_layers=SkipLayers(params.skip_layers, params.slg_start, params.slg_end, params.slg_scale),
        ),
        sampler=params.sampler,
        scheduler=params.scheduler,
        eta=params.eta,
        shifted_timestep=params.shifted_timestep,
        custom_sigmas=params.custom_sigmas,
        flow_shift=params.flow_shift,
        clip_skip=params.clip_skip,
        seed=params.seed,
        batch_count=params.batch_count,
        strength=params.strength,
        init_image=_read_image(inputs.get("init_image"), "RGB"),
        mask_image=_read_image(inputs.get("mask_image"), "L"),
        control_image=_read_image(inputs.get("control_image"), "RGB"),
        control_strength=params.control_strength,
        ref_images=_ref_images(inputs),
        auto_resize_ref_image=params.auto_resize_ref_image,
        increase_ref_index=params.increase_ref_index,
        loras=tuple(LoraFile(use.path, use.weight, use.is_high_noise) for use in params.loras),
        vae_tiling=Tiling(params.vae_tiling, params.vae_tile_size_x, params.vae_tile_size_y, params.vae_tile_overlap),
        cache=CacheSettings(
            "easycache" if params.easycache else "disabled",
            params.easycache_threshold,
            params.easycache_start,
            params.easycache_end,
        ),
    )


def _ref_images(inputs: dict[str, str]) -> tuple[RawImage, ...]:
    roles = sorted(
        (role for role in inputs if role.startswith("ref_images.")), key=lambda role: int(role.split(".")[1])
    )
    pictures = (_read_image(inputs[role], "RGB") for role in roles)
    return tuple(picture for picture in pictures if picture is not None)


def _read_image(path: str | None, mode: str) -> RawImage | None:
    if path is None:
        return None
    from PIL import Image

    try:
        with Image.open(path) as picture:
            pixels = picture.convert(mode)
    except OSError as error:
        raise RunFailed(f"the input picture {Path(path).name} cannot be read: {error}") from error
    return RawImage(pixels.width, pixels.height, len(pixels.getbands()), pixels.tobytes())


def _result(images: list[RawImage], params: ImageParams, seconds: float) -> RunResult:
    """The library's pictures, cropped to what was asked for: it rounds sizes up to what the model's grid needs."""
    pictures = [RawPicture(image.width, image.height, image.channels, image.pixels) for image in images]
    if len(pictures) != params.batch_count:
        raise RunFailed(f"the library returned {len(pictures)} of {params.batch_count} pictures")
    drawn = (pictures[0].width, pictures[0].height)
    if drawn == (params.width, params.height):
        return RunResult(pictures, seconds)
    asked = f"{params.width}x{params.height}"
    warning = f"this model draws sizes in steps: {drawn[0]}x{drawn[1]} was drawn and cropped to {asked}"
    cropped = [picture.cropped(params.width, params.height) for picture in pictures]
    return RunResult(cropped, seconds, (warning,))
