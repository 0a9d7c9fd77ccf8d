"""The code of docs/extend/reader.md does what the page says."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest

from dojo.fleet.gateway import receive

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extend" / "reader.md"


def blocks(kind: str) -> list[str]:
    """The fenced blocks of one kind, in order; the rest of the opening line does not matter."""
    return re.findall(rf"^```{kind}[^\n]*\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def write_video(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.options = {"preset": "ultrafast", "g": "15", "bf": "0"}
        for number in range(90):
            picture = av.VideoFrame(320, 240, "yuv420p")
            for plane, level in zip(picture.planes, (40 + number, 128, 128), strict=True):
                plane.update(bytes([level]) * plane.buffer_size)
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """The files of the page, the log made long enough for the video."""
    write_video(tmp_path / "drive.mp4")
    (log,) = blocks("csv")
    first = log.splitlines()[-1].partition(",")[2]
    more = "".join(f"{ms},{first}\n" for ms in range(150, 4050, 50))
    (tmp_path / "log.csv").write_text(log + more)
    (tmp_path / "monday.dojo.toml").write_text(blocks("toml")[0])
    return tmp_path


def test_the_description_on_the_page_brings_the_recording_in(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exec(blocks("python")[0], {"folder": fleet})
    assert capsys.readouterr().out == blocks("text")[0]


def test_a_faulty_description_is_answered_as_the_page_shows(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    described = fleet / "monday.dojo.toml"
    faulty = described.read_text().replace('unit = "km/h"', 'unit = "kph"')
    described.write_text(faulty.replace('unit = "deg/s", positive = "left"', 'unit = "deg/s"'))
    exec(blocks("python")[0], {"folder": fleet})
    said = capsys.readouterr().out.replace(f"{fleet}/", "")
    assert said.startswith(blocks("text")[1])


def test_the_copied_reader_reads_its_format(tmp_path: Path) -> None:
    page = ModuleType("page")
    sys.modules["page"] = page
    exec(blocks("python")[1], page.__dict__)
    reader = page.ClipFolderReader()
    folder = tmp_path / "car-01"
    folder.mkdir()
    write_video(folder / "clip.mp4")
    np.savetxt(folder / "speed.txt", np.tile([10.0, 0.05], (90, 1)))
    (found,) = reader.find(tmp_path, ())
    reading = receive(found, readers=(reader,))
    assert not reading.rejections
    assert sum(1 for _ in reader.frames(found, reading.drives[0], "front")) == 90
    assert not list(reader.find(tmp_path, {file.sha256 for file in found.files}))
    (folder / "speed.txt").unlink()
    (without,) = reader.find(tmp_path, ())
    assert [refused.gate for refused in receive(without, readers=(reader,)).rejections] == ["no_telemetry"]
