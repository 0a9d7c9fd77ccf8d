"""The page docs/extend/vehicle.md adds a platform that conforms and drives."""

from __future__ import annotations

import io
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from dojo.drive.adapter import Adapter
from dojo.drive.bench import Bench
from dojo.drive.platform import load_platform
from dojo.errors import ConfigError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extend" / "vehicle.md"


def blocks(kind: str) -> list[tuple[str, str]]:
    """The fenced blocks of one kind: the file that the opening line names, and what it holds."""
    return re.findall(rf"^```{kind} ?([^\n]*)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def kite(tmp_path, monkeypatch):
    """The folder that the page makes."""
    for kind in ("dbc", "toml", "python"):
        for name, text in blocks(kind):
            if name:
                path = tmp_path / name
                path.parent.mkdir(exist_ok=True)
                path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "kite"
    sys.modules.pop("kite_checksum", None)


def test_the_page_writes_every_file_that_a_platform_needs(kite):
    assert sorted(path.name for path in kite.iterdir()) == ["kite.dbc", "vectors.toml", "vehicle.toml"]


def test_the_third_platform_conforms_as_the_page_says(kite):
    (code,) = [text for name, text in blocks("python") if not name]
    said = io.StringIO()
    with redirect_stdout(said):
        exec(compile(code, str(PAGE), "exec"), {"folder": kite})
    shown = [text for _, text in blocks("text")]
    assert said.getvalue() == shown[0]


def test_what_is_wrong_is_said_as_the_page_says(kite, monkeypatch):
    path = kite / "vehicle.toml"
    path.write_text(path.read_text().replace('unit = "mph"', 'unit = "kph"'))
    monkeypatch.chdir(kite.parent)
    with pytest.raises(ConfigError) as caught:
        load_platform(Path("kite"))
    assert str(caught.value) + "\n" == [text for _, text in blocks("text")][1]


def test_the_third_platform_is_driven_within_its_own_limits(kite):
    with Bench(Adapter(load_platform(kite))) as bench:
        assert bench.engage()
        bench.follower.wish = (0.0, -9.0)
        bench.run(3.0)
        assert bench.asked().acceleration_mps2 == pytest.approx(-3.0, abs=0.01)
