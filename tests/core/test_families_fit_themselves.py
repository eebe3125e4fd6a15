"""What belongs to a family is never refused: its own components, and a LoRA of its own weights."""

from __future__ import annotations

from functools import cache

import pytest

from sdcpp_rest.core.architectures import Architecture
from sdcpp_rest.core.component_fit import component_fault
from sdcpp_rest.core.family_signs import contents_of, detect
from sdcpp_rest.core.lora_fit import Weight, fit_lora
from sdcpp_rest.core.tensor_names import DIFFUSION, weight_name
from tests.cases import for_each_case
from tools.synthetic_models.families import FAMILIES, FILES

Tensors = dict[str, tuple[int, ...]]


@cache
def header(file: str) -> Tensors:
    return {name: tuple(shape) for name, shape, _ in FILES[file].recipe()}


def family_of(name: str) -> tuple[Architecture, Tensors]:
    tensors = header(FAMILIES[name].model)
    family = detect(tensors)
    assert family is not None
    return family, tensors


@for_each_case("name", FAMILIES)
def test_its_own_components_fit(name: str) -> None:
    family, model = family_of(name)
    for role, file in FAMILIES[name].components.items():
        tensors = header(file)
        contents = contents_of(tensors)
        assert role == "high_noise_diffusion_model" or component_fault(family, role, tensors, contents, model) is None


@pytest.mark.slow
@for_each_case("name", FAMILIES)
def test_a_lora_of_its_own_weights_fits(name: str) -> None:
    family, model = family_of(name)
    weights: dict[str, Weight] = {}
    lora: Tensors = {}
    for given, shape in model.items():
        prefixed = given if given.startswith(DIFFUSION) or FAMILIES[name].kind == "checkpoint" else DIFFUSION + given
        weights[weight_name(prefixed, family.id)] = Weight(shape, False)
        if prefixed.startswith(DIFFUSION) and len(shape) == 2 and prefixed.endswith(".weight"):
            key = prefixed.removeprefix("model.").removesuffix(".weight")
            lora |= {f"{key}.lora_A.weight": (shape[0], 4), f"{key}.lora_B.weight": (4, shape[1])}
    fit = fit_lora(lora, weights, family.id)
    assert (fit.wrong_shapes, fit.only_merged) == ([], "")
    # Of a UNet the library does not find the layers around it (time_embed, label_emb) by any key of a LoRA.
    assert fit.total - fit.fitting <= 8
    assert fit.total > 20
