"""The rules of the house that no linter knows, checked on the syntax trees of every module.

Each rule has a floor: a rule that looks at nothing would pass for ever. Each rule is also tried on a piece of code
that breaks it, because a rule that cannot fail is worse than none.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.cases import for_each_case

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "sdcpp_rest"
MAX_LINES = 400

Complaints = Iterator[str]
Rule = Callable[[str, ast.Module], Complaints]


@cache
def sources() -> dict[str, ast.Module]:
    """Every module of the package by its path from the repository's root."""
    paths = sorted(PACKAGE.rglob("*.py"))
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


@cache
def nodes(tree: ast.Module) -> tuple[ast.AST, ...]:
    """Everything in a module: walked once, however many rules look at it."""
    return tuple(ast.walk(tree))


@cache
def imports(tree: ast.Module) -> tuple[str, ...]:
    found: list[str] = []
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            found += (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
    return tuple(found)


def _only_in(packages: frozenset[str], *rooms: str) -> Rule:
    def rule(path: str, tree: ast.Module) -> Complaints:
        if not path.startswith(rooms):
            yield from (name for name in imports(tree) if name.partition(".")[0] in packages)

    return rule


flask_stays_in_routes = _only_in(frozenset({"flask"}), "sdcpp_rest/web/app.py", "sdcpp_rest/routes/")
sql_stays_in_the_store = _only_in(frozenset({"sqlalchemy", "sqlite3"}), "sdcpp_rest/store/")
ctypes_stays_native = _only_in(frozenset({"ctypes", "stable_diffusion_cpp"}), "sdcpp_rest/native/")


def core_is_pure(path: str, tree: ast.Module) -> Complaints:
    """No files, sockets, threads or clocks that a test would have to fake (``core.job.utc_now`` aside)."""
    impure = {
        "os",
        "io",
        "pathlib",
        "socket",
        "threading",
        "subprocess",
        "queue",
        "asyncio",
        "logging",
        "time",
        "requests",
    }
    if path.startswith("sdcpp_rest/core/"):
        yield from (name for name in imports(tree) if name.partition(".")[0] in impure)


def modules_say_what_they_are(path: str, tree: ast.Module) -> Complaints:
    docstring = ast.get_docstring(tree)
    if docstring is None and tree.body:
        yield "no module docstring"


def public_names_are_explained(path: str, tree: ast.Module) -> Complaints:
    """Public classes and functions at the top of a module have docstrings, unless their name and types say it all in 8
    lines. (Views of routes are documented by their decorator.)"""
    if path.startswith("sdcpp_rest/routes/"):
        return
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if ast.get_docstring(node) is None and lines > 8:
                yield f"{node.name} (line {node.lineno}) has {lines} lines and no docstring"


_BANNED = re.compile(r"^(task|manager|handler|helper|utils?|common|misc|data|info)s?$")


def names_are_words_of_the_house(path: str, tree: ast.Module) -> Complaints:
    """Names that say nothing, or that mean something else here, are not used for what we define."""
    for node in nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            parts = re.findall(r"[A-Z]?[a-z]+", node.name)
            for part in parts:
                # The wires' own words: the payload of an event, and the text beside AUTOMATIC1111's pictures.
                if _BANNED.match(part.lower()) and node.name not in ("data", "info_object"):
                    yield f"{node.name} (line {node.lineno})"
    if _BANNED.match(Path(path).stem):
        yield "the file's name"


_PARTICIPLE = re.compile(
    r"^(?!embed$|exceed$|feed$|need$|seed$|speed$)[a-z]+ed$"
    r"|^(asked|begun|bound|broken|brought|built|chosen|done|drawn|found|given|got|held|kept|known|left|lost|made|meant)$"
    r"|^(paid|said|seen|sent|shown|sold|taken|thrown|told|understood|written)$"
)


def functions_are_named_by_verbs(path: str, tree: ast.Module) -> Complaints:
    """``shown(job)`` and ``told(text)`` do not say who does what; ``show_job(job)`` does. Properties are no calls."""
    for node in nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            is_property = any(isinstance(mark, ast.Name) and "property" in mark.id for mark in node.decorator_list)
            if _PARTICIPLE.match(node.name.strip("_")) and not is_property:
                yield f"{node.name} (line {node.lineno})"


def docstrings_speak_for_themselves(path: str, tree: ast.Module) -> Complaints:
    """``See the module`` sends the reader away from the class that was looked up."""
    for node in nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node) or ""
            if docstring.startswith("See the module"):
                yield f"{node.name} (line {node.lineno})"


ROOMS_OF_PLAIN_WORDS = (
    *(f"sdcpp_rest/{room}/" for room in ("cli", "client", "config", "core", "engine")),
    *(f"sdcpp_rest/{room}/" for room in ("groups", "native", "services", "store", "web")),
    "sdcpp_rest/runtime.py",
    "sdcpp_rest/errors.py",
)
_NO_VERB_FIRST = re.compile(
    r"^(The|An?|This|That|These|It|One|Two|All|Everything|From|See|What|Whatever|Where|Which|Whether|When|Why|How|Who)\b"
)
_RECORDS = re.compile(r"^(Frozen|BaseModel|Section|NamedTuple|TypedDict|Protocol|\w*Enum|\w*Error|\w*Exception)$")


@cache
def bases() -> dict[str, tuple[str, ...]]:
    """The names of every class's own bases, by the class's name."""
    classes = (node for tree in sources().values() for node in nodes(tree) if isinstance(node, ast.ClassDef))
    return {node.name: _base_names(node) for node in classes}


def _base_names(node: ast.ClassDef) -> tuple[str, ...]:
    return tuple(ast.unparse(base).partition("[")[0].rpartition(".")[2] for base in node.bases)


def _is_record(node: ast.ClassDef) -> bool:
    """Values, interfaces and errors are things, and a noun says which; all other classes do something."""
    if any("dataclass" in ast.unparse(mark) for mark in node.decorator_list):
        return True
    waiting, seen = list(_base_names(node)), set[str]()
    while waiting:
        name = waiting.pop()
        if _RECORDS.match(name):
            return True
        if name not in seen:
            seen.add(name)
            waiting += bases().get(name, ())
    return False


def docstrings_of(path: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Where it stands, and the docstring, of a module and of its classes that do something."""
    if not path.startswith(ROOMS_OF_PLAIN_WORDS) or path.endswith("__init__.py"):
        return
    if docstring := ast.get_docstring(tree):
        yield "the module", docstring
    for node in nodes(tree):
        if isinstance(node, ast.ClassDef) and not _is_record(node) and (docstring := ast.get_docstring(node)):
            yield f"{node.name} (line {node.lineno})", docstring


def docstrings_begin_with_a_verb(path: str, tree: ast.Module) -> Complaints:
    """``Stores jobs in SQLite`` is found by who looks for it; ``What becomes of a job`` is a riddle."""
    for where, docstring in docstrings_of(path, tree):
        if _NO_VERB_FIRST.match(docstring):
            yield f"{where}: {docstring.splitlines()[0]}"


def no_prints_outside_the_command_line(path: str, tree: ast.Module) -> Complaints:
    if path.startswith(("sdcpp_rest/cli", "sdcpp_rest/native/build.py")):
        return
    for node in nodes(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield f"print() in line {node.lineno}"


def nothing_is_pickled(path: str, tree: ast.Module) -> Complaints:
    yield from (name for name in imports(tree) if name.partition(".")[0] in {"pickle", "marshal", "shelve", "dill"})


def errors_are_not_told_by_their_text(path: str, tree: ast.Module) -> Complaints:
    """``"..." in str(error)`` decides by a message that anybody may reword."""
    for node in nodes(tree):
        if isinstance(node, ast.Compare) and any(isinstance(op, ast.In | ast.NotIn) for op in node.ops):
            for side in node.comparators:
                if isinstance(side, ast.Call) and isinstance(side.func, ast.Name) and side.func.id == "str":
                    argument = side.args[0] if side.args else None
                    if isinstance(argument, ast.Name) and re.match(
                        r"^(e|err|error|exc|exception|failure)$", argument.id
                    ):
                        yield f"line {node.lineno}"


def routes_spell_their_whole_path(path: str, tree: ast.Module) -> Complaints:
    """Searching for a URL finds its line: no prefix is hidden in a blueprint, no path is put together."""
    if not path.startswith("sdcpp_rest/routes/"):
        return
    for node in nodes(tree):
        if isinstance(node, ast.keyword) and node.arg == "url_prefix":
            yield f"url_prefix in line {node.value.lineno}"
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                verb = decorator.func if isinstance(decorator, ast.Call) else None
                if isinstance(verb, ast.Attribute) and verb.attr in {"get", "post", "put", "delete", "route", "patch"}:
                    first = decorator.args[0] if isinstance(decorator, ast.Call) and decorator.args else None
                    if not (isinstance(first, ast.Constant) and str(first.value).startswith("/")):
                        yield f"{node.name} (line {node.lineno})"


def routes_take_what_they_need(path: str, tree: ast.Module) -> Complaints:
    """A function of routes that takes the whole runtime does not say what it needs; a view has it at hand."""
    if not path.startswith("sdcpp_rest/routes/"):
        return
    for node in nodes(tree):
        if isinstance(node, ast.FunctionDef):
            for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
                if argument.annotation is not None and "Runtime" in ast.unparse(argument.annotation).split("."):
                    yield f"{node.name} (line {node.lineno})"


DIALECTS = ("a1111", "comfyui", "mcp", "ollama", "openai", "sdcn", "sdserver", "swarmui")
MAX_VIEW_LINES = 15


def views_of_dialects_are_short(path: str, tree: ast.Module) -> Complaints:
    """They read, translate, draw and answer; how that is done is told where it belongs."""
    if not path.startswith(tuple(f"sdcpp_rest/routes/{name}/" for name in DIALECTS)):
        return
    for node in nodes(tree):
        is_view = isinstance(node, ast.FunctionDef) and any(
            isinstance(mark, ast.Call) and ast.unparse(mark.func) == "documents" for mark in node.decorator_list
        )
        if isinstance(node, ast.FunctionDef) and is_view:
            code = node.body[1:] if ast.get_docstring(node) else node.body
            lines = (node.end_lineno or 0) - code[0].lineno + 1 if code else 0
            if lines > MAX_VIEW_LINES:
                yield f"{node.name} has {lines} lines"


BROKEN: dict[Rule, tuple[str, str]] = {
    flask_stays_in_routes: ("sdcpp_rest/services/x.py", "import flask"),
    sql_stays_in_the_store: ("sdcpp_rest/services/x.py", "from sqlalchemy import select"),
    ctypes_stays_native: ("sdcpp_rest/engine/x.py", "import ctypes.util"),
    core_is_pure: ("sdcpp_rest/core/x.py", "import threading"),
    modules_say_what_they_are: ("sdcpp_rest/core/x.py", "x = 1"),
    public_names_are_explained: ("sdcpp_rest/core/x.py", "def f():\n" + "    x = 1\n" * 9),
    names_are_words_of_the_house: ("sdcpp_rest/core/x.py", "class JobManager: ..."),
    functions_are_named_by_verbs: ("sdcpp_rest/core/x.py", "def _shown(): ..."),
    docstrings_speak_for_themselves: (
        "sdcpp_rest/core/x.py",
        "class Queue:\
    'See the module. Thread-safe.'",
    ),
    docstrings_begin_with_a_verb: ("sdcpp_rest/store/x.py", "class Rows:\n    'What becomes of a job.'"),
    no_prints_outside_the_command_line: ("sdcpp_rest/core/x.py", "print(1)"),
    nothing_is_pickled: ("sdcpp_rest/engine/x.py", "import pickle"),
    errors_are_not_told_by_their_text: ("sdcpp_rest/web/app.py", "if 'x' in str(error): pass"),
    routes_spell_their_whole_path: ("sdcpp_rest/routes/x.py", "@bp.get(PREFIX + '/x')\ndef view(): ..."),
    routes_take_what_they_need: ("sdcpp_rest/routes/x.py", "def f(running: Runtime): ..."),
    views_of_dialects_are_short: (
        "sdcpp_rest/routes/sdcn/x.py",
        "@documents({})\ndef view():\n" + "    x = 1\n" * (MAX_VIEW_LINES + 1),
    ),
}


@for_each_case("rule", BROKEN, ids=lambda rule: getattr(rule, "__name__", "rule"))
def test_every_module_keeps_the_rule(rule: Rule) -> None:
    trees = sources()
    assert len(trees) >= 60, "the rule must have something to look at"
    broken = [f"{path}: {complaint}" for path, tree in trees.items() for complaint in rule(path, tree)]
    assert not broken, "\n".join([rule.__doc__ or rule.__name__, *broken])


@for_each_case("rule", BROKEN, ids=lambda rule: getattr(rule, "__name__", "rule"))
def test_rule_can_fail(rule: Rule) -> None:
    path, code = BROKEN[rule]
    assert list(rule(path, ast.parse(code)))


def test_docstrings_of_modules_and_of_classes_are_looked_at() -> None:
    assert sum(1 for path, tree in sources().items() for _ in docstrings_of(path, tree)) >= 200


@pytest.mark.parametrize(
    "code",
    [
        "'The jobs.'",
        "class Jobs:\n    'The jobs.'",
        "class Jobs(Stage):\n    'A stage of its own.'",
    ],
)
def test_docstring_without_a_verb_is_noticed(code: str) -> None:
    assert list(docstrings_begin_with_a_verb("sdcpp_rest/store/x.py", ast.parse(code)))


@for_each_case(
    "code",
    [
        "'Stores jobs.'",
        "@dataclass(frozen=True)\nclass Row:\n    'A job.'",
        "class Row(Frozen):\n    'A job.'",
        "class Broken(SdcppRestError):\n    'The row cannot be read.'",
        "class Longer(JobNotFound):\n    'The row is gone.'",
    ],
)
def test_docstring_of_a_record_may_be_a_noun(code: str) -> None:
    assert not list(docstrings_begin_with_a_verb("sdcpp_rest/store/x.py", ast.parse(code)))


def test_folder_and_file_name_are_unique() -> None:
    """``folder/name`` alone says which file is meant; the dialects' folders have the same names inside."""
    seen: dict[str, str] = {}
    for path in sources():
        name = "/".join(Path(path).parts[-2:])
        if name.endswith("/__init__.py"):
            continue
        assert name not in seen, f"{path} and {seen[name]}"
        seen[name] = path
    assert len(seen) >= 50


@for_each_case("dialect", DIALECTS)
def test_dialects_have_the_same_files(dialect: str) -> None:
    """Who knows one dialect finds the way in all; what else a dialect needs comes beside these."""
    folder = PACKAGE / "routes" / dialect
    assert {"errors.py", "translate.py", "views.py", "wire.py"} <= {path.name for path in folder.iterdir()}


def test_files_stay_short_enough_to_read() -> None:
    lengths = {path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in sources()}
    long = {path: length for path, length in lengths.items() if length > MAX_LINES}
    assert len(lengths) >= 60
    assert not long, long


def test_tests_wait_for_events_and_not_for_time() -> None:
    """No ``sleep``: it is too long on a fast machine and too short on a slow one. The end-to-end harness polls a
    server that it can only ask over HTTP, and the benchmarks pace their requests."""
    allowed = {"tests/e2e/conftest.py", "tests/cluster/test_random_kills.py"}
    # Deaths at any time, and rounds that the server makes by itself: no test, but studies that count what comes of it.
    allowed |= {
        f"tests/faults/{name}.py" for name in ("clock_jumps", "deaths", "disk_house", "fault_layer", "loads/callers")
    }
    looked = 0
    for path in sorted((ROOT / "tests").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        looked += 1
        text = path.read_text(encoding="utf-8")
        if "sleep" not in text:
            continue
        calls = [
            node.lineno
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "sleep"
        ]
        assert not calls or name in allowed, f"{name}: sleep in lines {calls}"
    assert looked >= 40


def test_repository_speaks_only_of_itself() -> None:
    """Nothing in it needs, or names, a folder outside of the repository."""
    banned = re.compile(r"\.\./shared\b|/work/(main|shared)")
    looked = 0
    for folder, folders, names in os.walk(ROOT):
        if Path(folder) == ROOT:
            folders[:] = set(folders) - {".venv", "vendor", "build", ".scratch", ".git", "node_modules"}
        for path in (Path(folder, name) for name in names):
            if not (path.suffix in {".py", ".md", ".toml", ".cpp", ".txt"} or path.name == "Makefile"):
                continue
            if path == Path(__file__):
                continue
            looked += 1
            found = banned.search(path.read_text(encoding="utf-8", errors="replace"))
            assert found is None, f"{path}: {found.group() if found else ''}"
    assert looked >= 100
