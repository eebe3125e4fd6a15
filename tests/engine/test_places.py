"""Where engines work: their names, the variables that show each its own device, and the cores that they share."""

from __future__ import annotations

import pytest

from sdcpp_rest.engine.places import (
    EnginePlace,
    find_device,
    gpu_kinds,
    gpu_names,
    name_of,
    name_of_device,
    places_of,
    refuse_choice,
    used_devices,
)
from sdcpp_rest.engine.protocol import Device, Ready

VISIBLE = ("CUDA_VISIBLE_DEVICES", "GGML_VK_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")


@pytest.fixture(autouse=True)
def nothing_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VISIBLE:
        monkeypatch.delenv(name, raising=False)


def ready_with(*gpus: str) -> Ready:
    devices = [Device(name=name, description="", backend="", is_gpu=True) for name in gpus]
    return Ready(pid=1, library_version="", devices=(*devices, Device(name="CPU", description="", backend="CPU")))


def variables(*names: str, **overrides: dict[str, str]) -> list[dict[str, str]]:
    return [dict(place.environment) for place in places_of(names, overrides, cores=8, n_threads=-1)]


@pytest.mark.parametrize(
    ("name", "variable"), [("cuda:1", VISIBLE[0]), ("vulkan:1", VISIBLE[1]), ("hip:1", VISIBLE[2])]
)
def test_an_engine_sees_its_own_device_alone(name: str, variable: str) -> None:
    assert variables(name) == [{variable: "1"}]


def test_an_engine_of_the_cpu_sees_no_gpu() -> None:
    assert variables("cpu:0") == [dict.fromkeys(VISIBLE, "")]


def test_numbers_count_within_what_the_server_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4, GPU-7")
    assert variables("cuda:0", "cuda:1", "cuda:2") == [
        {"CUDA_VISIBLE_DEVICES": shown} for shown in ("4", "GPU-7", "-1")
    ]


def test_settings_win_those_of_the_engine_over_those_of_all() -> None:
    overrides = {"*": {"A": "all", "B": "all"}, "cuda:1": {"B": "own", "CUDA_VISIBLE_DEVICES": "GPU-1"}}
    assert variables("cuda:0", "cuda:1", **overrides) == [
        {"A": "all", "B": "all", "CUDA_VISIBLE_DEVICES": "0"},
        {"A": "all", "B": "own", "CUDA_VISIBLE_DEVICES": "GPU-1"},
    ]


def test_a_device_that_comes_twice_has_two_engines() -> None:
    places = places_of(("cpu:0", "cpu:0", "cuda:0", "cuda:0"), {}, cores=8, n_threads=-1)
    assert [place.name for place in places] == ["cpu:0", "cpu:1", "cuda:0", "cuda:0#2"]


@pytest.mark.parametrize(("count", "n_threads", "each"), [(1, -1, -1), (2, -1, 4), (16, -1, 1), (2, 3, 3)])
def test_cores_are_shared_out_unless_threads_are_given(count: int, n_threads: int, each: int) -> None:
    places = places_of(("cpu:0",) * count, {}, cores=8, n_threads=n_threads)
    assert {place.n_threads for place in places} == {each}


@pytest.mark.parametrize(("count", "most"), [(1, -1), (2, 4), (16, 1)])
def test_engines_that_choose_their_threads_choose_among_their_share(count: int, most: int) -> None:
    places = places_of(("cpu:0",) * count, {}, cores=8, n_threads="auto")
    assert {(place.n_threads, place.chooses_threads) for place in places} == {(most, True)}


def test_an_engine_without_its_gpu_is_none() -> None:
    place = EnginePlace("cuda:1", wants_gpu=True)
    assert place.find_fault(ready_with("CUDA0")) is None
    assert "cuda:1: there is no such device any more" in str(place.find_fault(ready_with()))
    assert EnginePlace("cpu:0").find_fault(ready_with()) is None


def test_devices_are_called_as_people_write_them() -> None:
    names = {"CUDA0": "cuda:0", "ROCm1": "hip:1", "Vulkan12": "vulkan:12", "MTL0": "metal:0", "CPU": "cpu:0"}
    assert {device: name_of_device(device) for device in names} == names
    assert name_of_device("SYCL2") == "gpu:2"
    assert name_of(ready_with("CUDA0", "CUDA1")) == "cuda:0"
    assert name_of(ready_with()) == "cpu:0"


def test_gpus_of_the_main_backend_alone_get_engines() -> None:
    assert gpu_names(ready_with("CUDA0", "CUDA1", "Vulkan0")) == ("cuda:0", "cuda:1")
    assert gpu_names(ready_with()) == ()


def test_an_engine_that_computes_on_another_kind_than_its_own_is_none() -> None:
    for name, found in (("cpu:0", "MTL0"), ("vulkan:0", "CUDA0")):
        fault = EnginePlace(name, wants_gpu=name != "cpu:0").find_fault(ready_with(found))
        assert fault is not None
        assert fault.startswith(f"{name}: the engine would compute on {name_of_device(found)}, which cannot be hidden")
    for name, found in (("cpu:0", ""), ("gpu:0", "CUDA0"), ("cuda:3#2", "CUDA0"), ("", "CUDA0")):
        assert EnginePlace(name).find_fault(ready_with(found) if found else ready_with()) is None


def test_of_two_kinds_an_engine_sees_its_own_alone() -> None:
    kinds = gpu_kinds(ready_with("CUDA0", "Vulkan0", "Vulkan1"))
    (place,) = places_of(("vulkan:1",), {}, cores=8, n_threads=-1, kinds=kinds)
    assert dict(place.environment) == {"CUDA_VISIBLE_DEVICES": "", "GGML_VK_VISIBLE_DEVICES": "1"}


@pytest.mark.parametrize(
    ("asked", "found"),
    [("1", "cuda:1"), ("gpu:1", "cuda:1"), ("2", "vulkan:0"), ("cuda:0", "cuda:0"), ("vulkan:0", "vulkan:0"),
     ("cpu:0", "cpu:0"), ("3", None), ("cuda:2", None), ("hip:0", None), ("cpu:1", None)],
)  # fmt: skip
def test_a_device_is_chosen_by_its_name_or_its_number(asked: str, found: str | None) -> None:
    ready = ready_with("CUDA0", "CUDA1", "Vulkan0")
    assert find_device(asked, ready) == found
    assert (refuse_choice(asked, ready) is None) == (found is not None)


def test_a_device_that_is_not_here_is_refused_with_those_that_are() -> None:
    devices = (Device(name="CUDA0", description="a card", backend="CUDA", is_gpu=True),)
    ready = ready_with().model_copy(update={"devices": devices, "backends": ("CUDA", "CPU")})
    told = "engine.device: {} is not here; there are: 0 or cuda:0 (a card), cpu (the library was built for CUDA, CPU)"
    assert EnginePlace("", asked="7").find_fault(ready) == told.format("7")
    assert EnginePlace("", asked="vulkan:0").find_fault(ready) == told.format("vulkan:0")
    assert EnginePlace("", asked="0").find_fault(ready) is None
    assert refuse_choice("auto", ready_with()) is None
    assert "there are: cpu (" in str(refuse_choice("0", ready_with()))


@pytest.mark.parametrize(
    ("asked", "places", "used"),
    [
        ("auto", "auto", {"CUDA0", "CUDA1"}),
        ("auto", "none", set()),
        ("auto", ("cpu:0", "vulkan:0"), {"CPU", "Vulkan0"}),
        ("1", "auto", {"CUDA1"}),
        ("cpu:0", "auto", {"CPU"}),
        ("9", "auto", set()),
    ],
)
def test_devices_in_use_are_known_by_the_settings(asked: str, places: str | tuple[str, ...], used: set[str]) -> None:
    assert used_devices(asked, places, ready_with("CUDA0", "CUDA1", "Vulkan0")) == used
