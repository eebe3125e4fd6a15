"""The options that AUTOMATIC1111's clients read and write, with that program's defaults. Only some change anything
here; the others are kept, because clients expect to find what they have set.

Pure: a table, and the rule that says which values an option takes.
"""

from __future__ import annotations

from typing import Any

from sdcpp_rest.services.pictures.picture_formats import FORMATS

CHECKPOINT, CHECKPOINT_HASH, VAE = "sd_model_checkpoint", "sd_checkpoint_hash", "sd_vae"
"""What these say is read off the server's state; they are never stored."""

FORMAT = "samples_format"
"""The format of pictures in answers."""

DEFAULTS: dict[str, Any] = {
    "samples_save": True,
    "samples_format": "png",
    "samples_filename_pattern": "",
    "save_images_add_number": True,
    "grid_save": True,
    "grid_format": "png",
    "grid_extended_filename": False,
    "grid_only_if_multiple": True,
    "grid_prevent_empty_spots": False,
    "grid_zip_filename_pattern": "",
    "n_rows": -1,
    "enable_pnginfo": True,
    "save_txt": False,
    "jpeg_quality": 80,
    "webp_lossless": False,
    "export_for_4chan": True,
    "img_downscale_threshold": 4.0,
    "target_side_length": 4000.0,
    "img_max_size_mp": 200.0,
    "use_original_name_batch": True,
    "save_selected_only": True,
    "temp_dir": "",
    "clean_temp_dir_at_start": False,
    "outdir_samples": "",
    "outdir_txt2img_samples": "outputs/txt2img-images",
    "outdir_img2img_samples": "outputs/img2img-images",
    "outdir_extras_samples": "outputs/extras-images",
    "outdir_grids": "",
    "outdir_txt2img_grids": "outputs/txt2img-grids",
    "outdir_img2img_grids": "outputs/img2img-grids",
    "outdir_save": "log/images",
    "save_to_dirs": True,
    "grid_save_to_dirs": True,
    "directories_filename_pattern": "[date]",
    "directories_max_prompt_words": 8,
    "ESRGAN_tile": 192,
    "ESRGAN_tile_overlap": 8,
    "realesrgan_enabled_models": [],
    "upscaler_for_img2img": None,
    "face_restoration": False,
    "face_restoration_model": "CodeFormer",
    "code_former_weight": 0.5,
    "face_restoration_unload": False,
    "show_warnings": False,
    "memmon_poll_rate": 8,
    "samples_log_stdout": False,
    "multiple_tqdm": True,
    "list_hidden_files": True,
    "unload_models_when_training": False,
    "sd_model_checkpoint": "",
    "sd_checkpoint_hash": "",
    "sd_checkpoint_cache": 0,
    "sd_checkpoints_limit": 1,
    "sd_checkpoints_keep_in_cpu": True,
    "sd_vae": "Automatic",
    "sd_vae_as_default": True,
    "sd_vae_checkpoint_cache": 0,
    "sd_vae_overrides_per_model_preferences": True,
    "sd_vae_encode_method": "Full",
    "sd_vae_decode_method": "Full",
    "auto_vae_precision": True,
    "sd_unet": "Automatic",
    "sd_hypernetwork": "None",
    "sd_lora": "None",
    "lora_apply_to_outputs": False,
    "lora_preferred_name": "Alias from file",
    "lora_add_hashes_to_infotext": True,
    "inpainting_mask_weight": 1.0,
    "initial_noise_multiplier": 1.0,
    "img2img_extra_noise": 0.0,
    "img2img_color_correction": False,
    "img2img_fix_steps": False,
    "img2img_background_color": "#ffffff",
    "img2img_editor_height": 720,
    "enable_quantization": False,
    "enable_emphasis": True,
    "emphasis": "Original",
    "enable_batch_seeds": True,
    "enable_prompt_comments": True,
    "comma_padding_backtrack": 20,
    "CLIP_stop_at_last_layers": 1,
    "upcast_attn": False,
    "randn_source": "GPU",
    "tiling": False,
    "hires_fix_refiner_pass": "second pass",
    "use_old_emphasis_implementation": False,
    "use_old_karras_scheduler_sigmas": False,
    "no_dpmpp_sde_batch_determinism": False,
    "use_old_hires_fix_width_height": False,
    "dont_fix_second_order_samplers_schedule": False,
    "interrogate_return_ranks": False,
    "interrogate_clip_num_beams": 1,
    "interrogate_clip_min_length": 24,
    "interrogate_clip_max_length": 48,
    "interrogate_clip_dict_limit": 1500.0,
    "interrogate_clip_skip_categories": [],
    "interrogate_deepbooru_score_threshold": 0.5,
    "deepbooru_sort_alpha": True,
    "deepbooru_use_spaces": True,
    "deepbooru_escape": True,
    "deepbooru_filter_tags": "",
    "extra_networks_show_hidden_directories": True,
    "extra_networks_default_multiplier": 1.0,
    "textual_inversion_add_hashes_to_infotext": True,
    "return_grid": True,
    "do_not_show_images": False,
    "send_seed": True,
    "send_size": True,
    "add_model_hash_to_info": True,
    "add_model_name_to_info": True,
    "add_vae_hash_to_info": True,
    "add_vae_name_to_info": True,
    "add_user_name_to_info": False,
    "add_version_to_infotext": True,
    "disable_weights_auto_swap": True,
    "infotext_styles": "Apply if any",
    "show_progressbar": True,
    "live_previews_enable": True,
    "live_previews_image_format": "png",
    "show_progress_grid": True,
    "show_progress_every_n_steps": 10,
    "show_progress_type": "Approx NN",
    "live_preview_content": "Prompt",
    "live_preview_refresh_period": 1000.0,
    "live_preview_fast_interrupt": False,
    "show_progress_in_title": True,
    "hide_samplers": [],
    "eta_ddim": 0.0,
    "eta_ancestral": 1.0,
    "ddim_discretize": "uniform",
    "s_churn": 0.0,
    "s_min_uncond": 0.0,
    "s_tmin": 0.0,
    "s_tmax": 0.0,
    "s_noise": 1.0,
    "k_sched_type": "Automatic",
    "sigma_min": 0.0,
    "sigma_max": 0.0,
    "rho": 0.0,
    "eta_noise_seed_delta": 0,
    "always_discard_next_to_last_sigma": False,
    "uni_pc_variant": "bh1",
    "uni_pc_order": 3,
    "token_merging_ratio": 0.0,
    "token_merging_ratio_img2img": 0.0,
    "token_merging_ratio_hr": 0.0,
    "postprocessing_enable_in_main_ui": [],
    "postprocessing_operation_order": [],
    "upscaling_max_images_in_cache": 5,
    "disabled_extensions": [],
    "disable_all_extensions": "none",
    "api_enable_requests": False,
    "api_forbid_local_requests": True,
    "api_useragent": "",
    "localization": "None",
    "quicksettings_list": ["sd_model_checkpoint"],
    "ui_tab_order": [],
    "hidden_tabs": [],
    "gradio_theme": "Default",
}

EFFECTIVE = frozenset(
    {
        CHECKPOINT, VAE, "samples_format", "jpeg_quality", "enable_pnginfo", "CLIP_stop_at_last_layers", "tiling",
        "add_model_hash_to_info", "add_model_name_to_info", "add_vae_hash_to_info", "add_vae_name_to_info",
        "add_version_to_infotext", "live_previews_enable", "show_progress_every_n_steps", "lora_add_hashes_to_infotext",
        "return_grid",
    }
)  # fmt: skip
"""Options that change what is drawn. The others are kept and shown."""

EFFECTIVE_INTERROGATING = frozenset(
    {
        "interrogate_deepbooru_score_threshold", "interrogate_return_ranks", "deepbooru_sort_alpha",
        "deepbooru_use_spaces", "deepbooru_escape", "deepbooru_filter_tags",
    }
)  # fmt: skip
"""Options that change how a picture is described; to a call that draws they mean nothing."""

_RANGES: dict[str, tuple[int, int]] = {
    "jpeg_quality": (1, 100),
    "CLIP_stop_at_last_layers": (1, 12),
    "show_progress_every_n_steps": (-1, 1000),
}
_CHOICES: dict[str, tuple[str, ...]] = {"samples_format": FORMATS}
_SWITCHES = {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False}


def check_option(name: str, value: Any) -> Any:
    """``value`` in the type of the option ``name``. Raises ValueError saying what it takes."""
    kept = _convert(DEFAULTS[name], value)
    if name in _CHOICES:
        kept = str(kept).lower()
        if kept not in _CHOICES[name]:
            raise ValueError(f"must be one of {', '.join(_CHOICES[name])}")
    if name in _RANGES:
        low, high = _RANGES[name]
        if not low <= kept <= high:
            raise ValueError(f"must be from {low} to {high}")
    return kept


def _convert(default: Any, value: Any) -> Any:
    if isinstance(default, bool):
        found = _SWITCHES.get(str(value).lower())
        if found is None:
            raise ValueError("must be true or false")
        return found
    if isinstance(default, (int, float)):
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise ValueError("must be a number")
        try:
            number = float(value)
            return int(number) if isinstance(default, int) else number
        except (ValueError, OverflowError):
            raise ValueError("must be a number") from None
    if isinstance(default, str) and not isinstance(value, str):
        raise ValueError("must be text")
    if isinstance(default, list) and not isinstance(value, list):
        raise ValueError("must be a list")
    return value
