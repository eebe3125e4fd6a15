"""Tries sets of build flags for the native library on this machine, and installs the fastest.

Knows what to try and what the figures mean; how a library is measured is the caller's. Libraries are measured from a
folder of their own: what is installed is changed once, at the end, and put back when that fails.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from sdcpp_rest.native import build, prebuilt
from sdcpp_rest.native.build import BuildError, Log, Recipe

# Only what takes at most this share of the time of what is installed replaces it: so much do runs of one build differ.
WORTH_IT = 0.97


@dataclass(frozen=True)
class Candidate:
    """A library to try: the flags it is compiled with beside ours, or the prebuilt one (None)."""

    name: str
    flags: tuple[str, ...] | None
    what: str


CANDIDATES = (
    Candidate("native", (), "as `native build` makes it: for this processor alone"),
    Candidate("prebuilt", None, "the module of sdcpp-rest-native that suits this processor"),
    Candidate("portable", ("-DGGML_NATIVE=OFF",), "for any processor with AVX2"),
    Candidate(
        "all-native",
        ("-DCMAKE_C_FLAGS=-march=native", "-DCMAKE_CXX_FLAGS=-march=native"),
        "for this processor alone, also what is around ggml",
    ),
    Candidate("lto", ("-DGGML_LTO=ON",), "native, optimized across files"),
    Candidate("own-threads", ("-DGGML_OPENMP=OFF",), "native, with ggml's own threads instead of OpenMP's"),
    Candidate("no-llamafile", ("-DGGML_LLAMAFILE=OFF",), "native, without llamafile's matrix products"),
)
INSTALLED = Candidate("installed", None, "what is used now")


@dataclass
class Trial:
    """What came of one candidate: seconds per picture of each round, or why there are none."""

    candidate: Candidate
    seconds: list[float] = field(default_factory=list)
    failure: str = ""
    library: Path | None = None
    recipe: Recipe | None = None
    wheel: Path | None = None

    @property
    def best(self) -> float:
        """Seconds per picture: the least of all rounds, since others on the machine only add to it."""
        return min(self.seconds, default=float("inf"))


Builder = Callable[[Candidate], Trial]
"""Compiles or finds a candidate, unpacked; raises BuildError."""
Measurer = Callable[[Path], Sequence[float]]
"""(library file): seconds of some pictures drawn with it; raises RuntimeError."""


def list_candidates(names: Sequence[str], limit: int | None) -> list[Candidate]:
    """What is tried: all that is possible here, or those of ``names``; at most ``limit`` of them. BuildError for a name
    that is none, and for the prebuilt engine where it is not installed."""
    known = {one.name: one for one in CANDIDATES}
    if unknown := [name for name in names if name not in known]:
        raise BuildError(f"there are no flags named {unknown[0]!r}; allowed: {', '.join(known)}")
    has_prebuilt = prebuilt.package_folder() is not None
    if "prebuilt" in names and not has_prebuilt:
        raise BuildError(f"{prebuilt.PROJECT} is not installed: run `sdcpp-rest native install` first")
    chosen = [known[name] for name in names] or [one for one in CANDIDATES if one.flags is not None or has_prebuilt]
    return chosen[:limit]


def _backend() -> str | None:
    """What candidates are compiled for: the processor, unless a person's own CMAKE_ARGS say what."""
    return None if "CMAKE_ARGS" in os.environ else "cpu"


def _drop_tuned(flags: Sequence[str]) -> Sequence[str]:
    """``flags`` without those that an earlier tuning has left in the installed library's; CMAKE_ARGS that are
    given stay as they are."""
    if "CMAKE_ARGS" in os.environ:
        return flags
    tuned = {flag for one in CANDIDATES for flag in one.flags or ()}
    return [flag for flag in flags if flag not in tuned]


def make_trial(candidate: Candidate, scratch: Path, log: Log) -> Trial:
    """Compile a candidate, or take the wheel kept of it, and unpack it below ``scratch``. Raises BuildError."""
    if candidate.flags is None:
        folder = prebuilt.package_folder()
        if folder is None:
            raise BuildError(f"{prebuilt.PROJECT} is not installed")
        return Trial(candidate, library=prebuilt.library_file(folder))
    recipe = build.current_recipe(_backend())
    recipe = replace(recipe, flags=(*_drop_tuned(recipe.flags), *candidate.flags))
    wheel = build.make_wheel(recipe, log=log)
    folder = scratch / candidate.name
    try:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    except (OSError, zipfile.BadZipFile) as error:
        raise BuildError(f"{wheel} cannot be unpacked ({error}): delete it") from error
    library = prebuilt.library_file(folder / "stable_diffusion_cpp" / "lib")
    return Trial(candidate, library=library, recipe=recipe, wheel=wheel)


def find_installed() -> Path | None:
    """The library that is used now; None where there is none. BuildError where tuning would change nothing."""
    choice = prebuilt.choose_library(prebuilt.binding_folder())
    if choice.kind == "given":
        raise BuildError(f"{prebuilt.VARIABLE} names the library that is used: unset it first")
    gpus = build.flagged_backends() if choice.kind == "compiled" else ()
    if gpus:
        raise BuildError(f"the native library was built for {' and '.join(gpus)}: the processor's flags matter little")
    return choice.file


def try_all(
    installed: Path | None, candidates: Sequence[Candidate], make: Builder, measure: Measurer, rounds: int, log: Log
) -> list[Trial]:
    """Make every candidate, then measure them and what is ``installed`` in turns, ``rounds`` times: a machine that gets
    busy slows down all. One that cannot be compiled or does not run is told as such."""
    trials = [Trial(INSTALLED, library=installed)] if installed is not None else []
    for candidate in candidates:
        try:
            trials.append(make(candidate))
        except BuildError as error:
            trials.append(Trial(candidate, failure=str(error).splitlines()[0]))
            log(f"{candidate.name}: {error}")
    for number in range(rounds):
        for trial in trials:
            if trial.library is None or trial.failure:
                continue
            try:
                trial.seconds.append(statistics.median(measure(trial.library)))
            except RuntimeError as error:
                trial.failure = str(error).splitlines()[0]
                trial.seconds.clear()
            else:
                log(f"{trial.candidate.name}: {trial.seconds[-1]:.3f} s per picture (round {number + 1} of {rounds})")
    return trials


def choose_best(trials: Sequence[Trial]) -> Trial | None:
    """The fastest trial; None where nothing is worth a change from what is installed. That means faster in every round:
    on a busy machine the times of one build differ by more than those of two."""
    installed = next((trial for trial in trials if trial.candidate is INSTALLED and trial.seconds), None)
    drawn = [trial for trial in trials if trial.seconds and trial.candidate is not INSTALLED]
    best = min(drawn, key=lambda trial: trial.best, default=None)
    if best is None or installed is None:
        return best
    is_clear = all(new < old for new, old in zip(best.seconds, installed.seconds, strict=True))
    return best if is_clear and best.best <= installed.best * WORTH_IT else None


def install_trial(trial: Trial) -> None:
    """Make a trial's library the one that is used; the one before it is put back where that fails or is interrupted.
    Raises BuildError."""
    if trial.recipe is None or trial.wheel is None:
        prebuilt.write_wish("prebuilt")
        return
    with kept_library():
        build.install_wheel(trial.recipe, trial.wheel, build.set_aside_flags(_backend()))


@contextmanager
def kept_library() -> Iterator[None]:
    """Put the binding's library and the choice of it back as they were where what is done inside fails."""
    folder, wish = prebuilt.binding_folder(), prebuilt.read_wish()
    with tempfile.TemporaryDirectory(prefix="sdcpp-rest-") as scratch:
        copy = Path(scratch) / "lib"
        if folder is not None:
            shutil.copytree(folder, copy)
        try:
            yield
        except BaseException:
            if folder is not None:
                _put_back(copy, folder)
            if wish is not None:
                prebuilt.write_wish(wish)
            raise


def _put_back(copy: Path, folder: Path) -> None:
    """Replace ``folder`` by ``copy`` file by file: an engine may have the old ones open, none sees a half of one."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in copy.iterdir():
        scratch = folder / f".{path.name}.new"
        shutil.copy2(path, scratch)
        scratch.replace(folder / path.name)
    for path in folder.iterdir():
        if not (copy / path.name).exists():
            path.unlink()


@contextmanager
def library_named(file: Path) -> Iterator[None]:
    """Have engines that are started inside load ``file``."""
    before = os.environ.get(prebuilt.VARIABLE)
    os.environ[prebuilt.VARIABLE] = str(file)
    try:
        yield
    finally:
        if before is None:
            del os.environ[prebuilt.VARIABLE]
        else:
            os.environ[prebuilt.VARIABLE] = before
