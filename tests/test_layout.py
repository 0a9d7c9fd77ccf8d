"""The seams hold: who may import whom, what the folders are, and what may not be written down."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "dojo"

STAGES = ("fleet", "store", "curate", "load", "model", "train", "evaluate")
SHARED = {"records", "geometry", "errors"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "geometry": {"errors"},
    "records": {"geometry", "errors"},
    "world": SHARED,
    **dict.fromkeys(STAGES, SHARED),
    "release": SHARED,
    "drive": SHARED,
    "machine": SHARED,
    "recipes": {*SHARED, *STAGES, "world", "release", "drive", "machine"},
    "cli": {*SHARED, *STAGES, "world", "release", "drive", "machine", "recipes"},
}
# Each folder of the machine may import those before it.
MACHINE = ("numbers", "chip", "network", "compile", "simulate", "plan", "specs")
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "misc", "base", "core"}


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def sources() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def imported_parts(source: str) -> set[str]:
    """The parts of Dojo that a module imports, wherever in the module the import stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that this test can read them"
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "dojo" else [module]
        found |= {name.split(".")[1] for name in names if name.startswith("dojo.")}
    return found - {"__version__"}


def violations(part: str, source: str) -> set[str]:
    return imported_parts(source) - MAY_IMPORT[part] - {part}


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_part_imports_only_what_its_place_in_the_sentence_allows(path: Path) -> None:
    assert violations(part_of(path), path.read_text()) == set()


def test_the_seam_check_notices_a_stage_that_reaches_into_another() -> None:
    assert violations("load", "def f():\n    from dojo.store.dataset import Dataset") == {"store"}
    assert violations("load", "from dojo import store") == {"store"}
    assert violations("fleet", "import dojo.world.road") == {"world"}
    assert violations("recipes", "import dojo.world.road") == set()


def machine_violations(folder: str, source: str) -> set[str]:
    """The folders of the machine that a module of one of them imports, although they come after it."""
    found = set(re.findall(r"dojo\.machine\.(\w+)", source)) | set(
        re.findall(r"from dojo\.machine import (\w+)", source)
    )
    return found - set(MACHINE[: MACHINE.index(folder) + 1])


def test_each_folder_of_the_machine_imports_only_those_before_it() -> None:
    machine = PACKAGE / "machine"
    folders = {path.name for path in machine.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= set(MACHINE)
    for folder in folders:
        for path in (machine / folder).rglob("*.py"):
            code = "\n".join(line for line in path.read_text().splitlines() if re.match(r"\s*(from|import) ", line))
            assert machine_violations(folder, code) == set(), path.name


def test_the_machines_seam_check_notices_a_step_back() -> None:
    assert machine_violations("numbers", "from dojo.machine.chip.spec import Spec") == {"chip"}
    assert machine_violations("chip", "from dojo.machine import simulate") == {"simulate"}
    assert machine_violations("plan", "import dojo.machine.numbers.formats") == set()


def test_no_folder_or_file_has_a_name_that_says_nothing() -> None:
    named = {path.stem for path in PACKAGE.rglob("*") if path.suffix in ("", ".py")}
    assert named & FORBIDDEN_NAMES == set()


def test_the_layout_page_lists_the_folders_that_exist_in_the_order_of_the_sentence() -> None:
    listed = re.findall(r"^\| `(\w+)/`", (ROOT / "docs" / "layout.md").read_text(), flags=re.MULTILINE)
    existing = {p.name for p in PACKAGE.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert set(listed) == existing
    order = ["records", "geometry", "world", *STAGES, "release", "drive", "machine", "recipes"]
    assert listed == [name for name in order if name in existing]


def test_the_sentence_is_the_same_wherever_it_stands() -> None:
    import dojo

    sentence = " ".join((dojo.__doc__ or "").split())
    for page in ("README.md", "docs/story.md"):
        text = " ".join(line.lstrip("> ") for line in (ROOT / page).read_text().splitlines())
        assert sentence in " ".join(text.split()), page


def test_every_module_says_in_its_first_line_what_it_is() -> None:
    silent = [str(p) for p in sources() if not ast.get_docstring(ast.parse(p.read_text()))]
    assert silent == []


def test_nothing_committed_names_a_package_host_or_a_path_of_one_machine() -> None:
    hosts = ["pypi" + ".org", "pythonhosted" + ".org", "registry.npm" + "js"]
    pattern = re.compile("|".join([*map(re.escape, hosts), r"(?<![\w.])/(?:work|root|home/\w+)/"]))
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    guilty = []
    for name in filter(None, tracked):
        path = ROOT / name
        if path.is_file() and path.suffix in {".py", ".md", ".toml", ".txt", "", ".html", ".css"}:
            guilty += [name for line in path.read_text(errors="ignore").splitlines() if pattern.search(line)]
    assert guilty == []
