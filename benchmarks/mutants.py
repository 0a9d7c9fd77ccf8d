"""Which changes of a module do its tests not notice?

In: a module, the tests that should notice. Out: each change that survives, as a difference, and how many there were.
Idea: Cosmic Ray makes the changes, one at a time, in memory; nothing on disk is touched. Whatever the tests need
besides Dojo is imported once, then every change is tried in a child of its own: it imports Dojo with the changed module
and runs the tests until the first fails. What changes nothing but annotations or docstrings is left out.
Run by hand, because it takes minutes a module; survivors are explained in docs/log.md.

    make mutants
    python benchmarks/mutants.py src/dojo/machine/numbers/scalar.py tests/machine/numbers/test_scalar.py
"""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib.machinery
import io
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import cosmic_ray.plugins
import gfloat  # noqa: F401
import hypothesis  # noqa: F401
import jaxtyping  # noqa: F401
import ml_dtypes  # noqa: F401
import numpy as np  # noqa: F401
import pytest
import torch  # noqa: F401
from cosmic_ray.mutating import mutate_code

CHANGES = re.compile(
    r"core/(ReplaceBinaryOperator_(Add_Sub|Sub_Add|Mul_Div|Div_Mul|FloorDiv_Mul|Mod_Mul|Pow_Mul|LShift_RShift|"
    r"RShift_LShift|BitAnd_BitOr|BitOr_BitAnd|BitXor_BitOr)"
    r"|ReplaceComparisonOperator_(Lt_LtE|LtE_Lt|Gt_GtE|GtE_Gt|Eq_NotEq|NotEq_Eq|Lt_Gt|Gt_Lt|LtE_GtE|GtE_LtE|Is_IsNot"
    r"|IsNot_Is)"
    r"|ReplaceUnaryOperator_(USub_UAdd|Invert_UAdd|Delete_Not|Delete_USub|Delete_Invert)"
    r"|NumberReplacer|AddNot|ReplaceTrueWithFalse|ReplaceFalseWithTrue|ReplaceAndWithOr|ReplaceOrWithAnd"
    r"|ZeroIterationForLoop|ReplaceBreakWithContinue|ReplaceContinueWithBreak)$"
)
"""The changes of Cosmic Ray that are tried: each operator against its likeliest confusion, not against all others."""

SECONDS = 90

_IMPORTED = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
"""What is imported once, pytest cannot instrument; it says so, and the tests treat warnings as errors."""


def changes(source: str) -> Iterator[tuple[str, str]]:
    """The name of each change, and the source with it."""
    plain, seen = meaning(source), set()
    for name in sorted(cosmic_ray.plugins.operator_names()):
        if not CHANGES.match(name):
            continue
        operator = cosmic_ray.plugins.get_operator(name)()
        occurrence = 0
        while (changed := mutate_code(source, operator, occurrence)) is not None:
            occurrence += 1
            told = meaning(changed)
            if told != plain and told not in seen:
                seen.add(told)
                yield name.removeprefix("core/"), changed


def meaning(source: str) -> str:
    """What is left of a source without annotations and docstrings."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return ""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
            for argument in (*node.args.args, *node.args.kwonlyargs):
                argument.annotation = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.Assign) and _is_type(node.value):
            node.value = ast.Constant(None)
    return ast.dump(tree)


def _is_type(value: ast.expr) -> bool:
    """Whether it looks like an alias of a type: `A | None`, `Float64[...]`."""
    if not isinstance(value, ast.BinOp | ast.Subscript):
        return False
    text = ast.unparse(value)
    return bool(re.fullmatch(r"[A-Z]\w*(\[.*\])?( \| (None|[A-Z]\w*))*", text))


def noticed(module: Path, changed: str, tests: list[str]) -> bool:
    """Whether the tests fail with the changed module, or do not end."""
    child = os.fork()
    if child == 0:
        _load_instead(module.resolve(), changed)
        said = io.StringIO()
        with redirect_stdout(said), redirect_stderr(said):
            status = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--no-header", *_IMPORTED, *tests])
        os._exit(int(status))
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status != 0
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def _load_instead(module: Path, changed: str) -> None:
    """From now on, importing this module means the changed source."""
    get_data = importlib.machinery.SourceFileLoader.get_data

    def changed_data(loader: importlib.machinery.SourceFileLoader, path: str) -> bytes:
        if Path(path).resolve() == module:
            return changed.encode()
        if path.endswith(".pyc") and module.stem in Path(path).name:
            raise OSError("compiled from what it was before")
        return get_data(loader, path)

    importlib.machinery.SourceFileLoader.get_data = changed_data  # type: ignore[method-assign]
    sys.dont_write_bytecode = True


def main() -> None:
    """Try every change of a stretch of them; print what survives."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("module", type=Path)
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--first", type=int, default=0, help="number of the first change to try")
    parser.add_argument("--seconds", type=float, default=1e9, help="after which no further change is tried")
    asked = parser.parse_args()
    source = asked.module.read_text()
    every = list(changes(source))
    if noticed(asked.module, source, asked.tests):
        sys.exit("the tests fail without any change")
    began, survivors, tried = time.monotonic(), 0, 0
    for number, (name, changed) in enumerate(every):
        if number < asked.first or time.monotonic() - began > asked.seconds:
            continue
        tried = number + 1
        if not noticed(asked.module, changed, asked.tests):
            survivors += 1
            lines = difflib.unified_diff(source.splitlines(), changed.splitlines(), lineterm="", n=0)
            told = "\n  ".join(line for line in lines if not line.startswith(("---", "+++")))
            print(f"{number} {name} survives:\n  {told}", flush=True)
    print(f"{asked.module}: changes {asked.first} to {tried} of {len(every)} tried, {survivors} survive")


if __name__ == "__main__":
    main()
