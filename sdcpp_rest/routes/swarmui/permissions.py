"""What the one user of SwarmUI's page may do. Its page hides what is not listed, and calls what is."""

from __future__ import annotations

PERMISSIONS = (
    "fundamental",
    "fundamental_generate_tab_access",
    "fundamental_model_access",
    "basic_image_generation",
    "view_image_history",
    "user_star_images",
    "user_delete_image",
    "load_models_now",
    "control_model_refresh",
    "model_params",
    "param_video",
    "param_controlnet",
    "edit_model_metadata",
    "manage_presets",
    "edit_wildcards",
    "edit_params",
    "read_user_settings",
    "edit_user_settings",
    "user_tab",
    "use_tokenizer",
)
