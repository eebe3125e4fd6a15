"""A conversion reads a file of whole numbers, made for it where the given one has numbers and scales apart."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sdcpp_rest.core.load_spec import FileRef
from sdcpp_rest.core.params import ConvertParams
from sdcpp_rest.engine.conversion_input import is_direct, restored_path_of, whole_input
from sdcpp_rest.engine.runner import RunFailed
from tests.paired_files import codes, f16, f32, read_tensors, write_tensors


@pytest.fixture
def scaled(tmp_path: Path) -> Path:
    tensors = {"a.weight": codes("F8_E4M3", (4, 32)), "a.scale_weight": f32(0.5), "b.weight": f16([[1.0, 2.0]])}
    return write_tensors(tmp_path / "scaled.safetensors", tensors)


def asked(source: Path, output: Path, output_type: str, **more: object) -> ConvertParams:
    return ConvertParams.model_validate(
        {
            "input": FileRef(name=source.name, path=str(source)),
            "output": FileRef(name=output.name, path=str(output)),
            "output_type": output_type,
            "restores_weights": True,
            **more,
        }
    )


def test_numbers_are_restored_beside_the_result_for_as_long_as_they_are_converted(scaled: Path, tmp_path: Path) -> None:
    output, heard = tmp_path / ".out.part.gguf", list[int]()
    with whole_input(asked(scaled, output, "q8_0"), heard.append) as found:
        assert found is not None
        path, tell = found
        assert path == restored_path_of(str(output)) == str(tmp_path / ".out.part.fp.safetensors")
        assert {kind for kind, _ in read_tensors(Path(path))[0].values()} == {"F16"}
        assert heard[-1] == 40
        tell(50)
        tell(100)
    assert heard[-2:] == [70, 100]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["scaled.safetensors"]


@pytest.mark.parametrize(("output_type", "kinds"), [("f32", ["F32", "F32"]), ("bf16", ["BF16", "BF16"])])
def test_a_safetensors_file_of_floats_is_the_result_itself(
    scaled: Path, tmp_path: Path, output_type: str, kinds: list[str]
) -> None:
    output, heard = tmp_path / "out.safetensors", list[int]()
    with whole_input(asked(scaled, output, output_type), heard.append) as found:
        assert found is None
    assert heard[-1] == 100
    assert [kind for kind, _ in read_tensors(output)[0].values()] == kinds


def test_what_the_library_has_to_do_is_left_to_it(scaled: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.safetensors"
    assert is_direct(asked(scaled, output, "f16"))
    assert not is_direct(asked(scaled, output, "f16", tensor_type_rules="b=f32"))
    assert not is_direct(asked(scaled, output, "f16", vae={"name": "v", "path": "v"}))
    assert not is_direct(asked(scaled, tmp_path / "out.gguf", "f16"))
    with whole_input(asked(scaled, output, "f32", tensor_type_rules="b=f16"), lambda percent: None) as found:
        assert found is not None
        assert [kind for kind, _ in read_tensors(Path(found[0]))[0].values()] == ["F32", "F16"]


def test_a_place_that_cannot_be_written_to_fails_the_run(scaled: Path, tmp_path: Path) -> None:
    params = asked(scaled, tmp_path / "nowhere" / "out.gguf", "q8_0")
    with pytest.raises(RunFailed, match="could not be restored: No such file") as caught, whole_input(params, print):
        pass
    assert caught.value.code == "output_failed"


def test_a_scale_that_is_no_number_fails_the_run_and_leaves_nothing(tmp_path: Path) -> None:
    tensors = {"a.weight": codes("F8_E4M3", (4, 32)), "a.scale_weight": f32(float("inf"))}
    source = write_tensors(tmp_path / "given.safetensors", tensors)
    params = asked(source, tmp_path / "out.gguf", "q8_0")
    words = r"given\.safetensors cannot be converted: the tensor 'a\.scale_weight' holds a scale"
    with pytest.raises(RunFailed, match=words), whole_input(params, lambda percent: None):
        pass
    assert [file.name for file in tmp_path.iterdir()] == ["given.safetensors"]


@pytest.mark.slow
def test_engines_that_restore_nothing_do_not_import_numpy() -> None:
    code = "import sys, sdcpp_rest.engine.conversion_input; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
