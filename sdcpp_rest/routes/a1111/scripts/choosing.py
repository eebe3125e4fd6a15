"""Collects what scripts choose from and work with, by the names that this dialect's lists have."""

from __future__ import annotations

from pathlib import PurePath

from sdcpp_rest.core.sampling import HIRES_UPSCALERS
from sdcpp_rest.routes.a1111 import names
from sdcpp_rest.routes.a1111.choices import Choices, is_there
from sdcpp_rest.routes.a1111.describing import describe_picture
from sdcpp_rest.routes.a1111.scripts.script import ScriptChoices, ScriptTools
from sdcpp_rest.routes.a1111.translate import Translator
from sdcpp_rest.routes.http.answers import runtime
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.services.submission.picture_enlarging import RESAMPLERS

# A grid is in memory several times over while it is drawn and encoded, whatever the option allows.
_MOST_MEGAPIXELS = 200.0


def open_script_choices() -> ScriptChoices:
    """The lists, from within a request."""
    running = runtime()
    library, titles = running.models.library, running.submission.titles
    engine = running.status.options()

    def list_upscalers() -> list[str]:
        return ["None", *RESAMPLERS, *(PurePath(name).with_suffix("").as_posix() for name in _names(library, "esrgan"))]

    def find_checkpoint(name: str) -> str | None:
        file = titles.find(name)
        if file is not None:
            return file.name
        # Of those whose title has it somewhere, the one that has the least besides.
        similar = [one for one in titles.all() if name and name.casefold() in one.title.casefold()]
        return min(similar, key=lambda one: len(one.title)).file.name if similar else None

    return ScriptChoices(
        samplers=lambda: [names.sampler_label(name) for name in engine["samplers"]],
        schedulers=lambda: [names.scheduler_label(name) for name in engine["schedulers"]],
        checkpoints=lambda: [one.title for one in titles.all()],
        autoencoders=lambda: _names(library, "vae"),
        styles=lambda: [style.name for style in running.settings.prompt_styles.all()],
        upscalers=list_upscalers,
        hires_upscalers=lambda: [
            *(name for name in HIRES_UPSCALERS if name.startswith("Latent")),
            *list_upscalers(),
        ],
        find_checkpoint=find_checkpoint,
        has_autoencoder=lambda name: is_there(library, "vae", name),
    )


def open_script_tools(translator: Translator, choices: Choices) -> ScriptTools:
    """What scripts work with, from within a request."""
    running, options = runtime(), choices.list_options()
    describer = running.language.interrogation
    return ScriptTools(
        translate=translator.translate,
        choices=open_script_choices(),
        enlarging=running.submission.enlarging,
        describe=lambda model, image: describe_picture(describer, model, image, options),
        most_pictures=running.config.a1111.pictures,
        most_megapixels=min(_MOST_MEGAPIXELS, float(options["img_max_size_mp"])),
    )


def _names(library: ModelLibrary, kind: str) -> list[str]:
    return [file.name for files in library.list(kind).values() for file in files]
