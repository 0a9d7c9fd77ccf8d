"""`dojo release RUN`: a trained policy becomes a bundle, if the reports about it let it pass.

In: the folder of a training run, the reports about it. Out: `bundle/` and the one file it packs to, beside the reports
that were measured on the way.
Idea: first everything that is measured is measured and stored (`measured/`), or taken from there if it was measured of
these very bytes; then gates; then sealing, which only reads. So `dojo release` twice gives the same bytes.
`dojo release publish | carmaker | assign | keys` hand it on: see `publish.py`.
Not here: the files of a bundle one by one (`release/`), the gates (`evaluate/gate.py`).
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from rich.console import Console
from tyro.conf import Positional

import dojo
from dojo.errors import ConfigError, ReleaseError
from dojo.evaluate.gate import GATES, ROAD, judge_gates
from dojo.evaluate.rollout import RolloutConfig
from dojo.evaluate.suites import SUITES, VARIANTS
from dojo.geometry import MODEL_VIEW
from dojo.load.loader import in_order
from dojo.load.source import cameras_of, recorded_cameras_of
from dojo.model.inference import INPUTS, OUTPUTS, Inference
from dojo.model.policy import parameters_of
from dojo.recipes import publish
from dojo.recipes.lineage import Lineage, lineage_of, require_drives
from dojo.recipes.rollout import Driver
from dojo.recipes.run import Outcome, read_record, write_whole
from dojo.recipes.train import Judgeable, decoded, load_policy
from dojo.records import CameraContract, Clip, TensorContract
from dojo.records.bundle import FORMAT
from dojo.release import bundle, card, contracts, sbom
from dojo.release.archive import pack
from dojo.release.export import Agreement, OnnxModel, Tolerance, compare, export
from dojo.release.timing import measure
from dojo.store.dataset import Dataset
from dojo.world.mounting import turned_deg

Sample = dict[str, np.ndarray]

_CACHE_GB = 2.0  # 1,000 samples of three pictures take 0.6 GB.


@dataclass(frozen=True)
class ReleaseRun:
    """Seal a trained policy in a bundle.

    Args:
        run: folder of the training run; its newest whole checkpoint is sealed, with averaged weights.
        out: folder for the bundle; `release` below `run` if not given.
        name: of the bundle; with the counter it names the file.
        counter: of the release; a vehicle never goes back behind the highest that it has seen.
        domain: where it may be used; `road` asks more of the reports.
        open_loop: `report.json` of `dojo evaluate`; looked for in `run` and in the folder above if not given.
        closed_loop: `closed_loop.json` of `dojo rollout`; `run/rollout/closed_loop.json` if not given.
        samples: held-out samples on which the exported model is compared with the trained one; fewer where the dataset
            has fewer.
        golden: of them go into the bundle, as vectors that a carmaker can repeat.
        timed_runs: of the exported model, for the table of times.
        minimum_limits_version: of the safety envelope that a vehicle must run with it.
        changes: since the last release, for the model card.
    """

    run: Positional[Path]
    out: Path | None = None
    name: str = "policy"
    counter: int = 1
    domain: Literal["simulation", "road"] = "simulation"
    open_loop: Path | None = None
    closed_loop: Path | None = None
    samples: int = 1000
    golden: int = 4
    timed_runs: int = 2000
    minimum_limits_version: int = 1
    changes: str = ""
    tolerance: Tolerance = field(default_factory=Tolerance)

    def __post_init__(self) -> None:
        if min(self.counter, self.samples, self.golden, self.timed_runs, self.minimum_limits_version) < 1:
            raise ConfigError("release: expected counter, samples, golden, timed_runs and limits version of at least 1")

    @property
    def folder(self) -> Path:
        """Where the bundle goes."""
        return self.out or self.run / "release"

    @property
    def file(self) -> Path:
        """The bundle as one file."""
        return self.folder / f"{self.name}-{self.counter}.tar"


CONFIG = ReleaseRun | publish.KeysRun | publish.CarmakerRun | publish.PublishRun | publish.AssignRun
CONFIGS = {"": ReleaseRun, **publish.CONFIGS}


def _reports(config: ReleaseRun, sha256: str) -> dict[str, dict[str, Any]]:
    """The stored reports, each about this checkpoint.

    Raises:
        ReleaseError: `report_missing`, `report_of_another_checkpoint`, or `clip_erased`.
    """
    places = {
        "open_loop": [config.open_loop] if config.open_loop else [config.run, config.run.parent],
        "closed_loop": [config.closed_loop or config.run / "rollout" / "closed_loop.json"],
    }
    found = {}
    for kind, candidates in places.items():
        paths = [path / "report.json" if path.is_dir() else path for path in candidates]
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            raise ReleaseError(
                "report_missing",
                f"{config.run}: expected the {kind} report at {' or '.join(map(str, paths))}; run dojo "
                f"{'evaluate' if kind == 'open_loop' else 'rollout'} first",
            )
        report = json.loads(path.read_bytes())
        about = report["provenance"]["checkpoint_sha256"]
        if about != sha256:
            raise ReleaseError(
                "report_of_another_checkpoint",
                f"{path}: expected a report about checkpoint {sha256[:12]}, got one about {str(about)[:12]}; make it "
                "again",
            )
        if kind == "open_loop":
            require_drives(path, report)
        found[kind] = report if kind == "open_loop" else report["closed_loop"]
    return found


def held_out_clips(run: Path, samples: int) -> tuple[Dataset, list[Clip]]:
    """So many validation clips of the run's dataset, evenly over all of them, so that every drive is asked."""
    dataset = Dataset.open(str(read_record(run / "run.json").config["dataset"]))
    clips = dataset.clips(split="validation")
    if not clips:
        raise ReleaseError("samples_missing", f"{dataset.uri}: expected validation clips, found none; curate it")
    places = np.linspace(0, len(clips) - 1, min(samples, len(clips))).round().astype(int)
    return dataset, [clips[place] for place in places]


def held_out(run: Path, samples: int, console: Console, cache: Path | None = None) -> Iterator[Sample]:
    """Windows of validation clips, as many anchors each as the policy was trained with; batches of one.

    Args:
        cache: a folder with room for the decoded frames, so that neighbours share their decoding.
    """
    dataset, chosen = held_out_clips(run, samples)
    source = decoded(dataset, chosen, _CACHE_GB, cache, console) if cache else dataset
    for batch in in_order(chosen, cameras_of(dataset.drives()), source, 1, workers=0):
        arrays = (batch.frames, batch.speed_now_mps, batch.speed_now_valid, batch.desire, batch.traffic_right)
        yield dict(zip(INPUTS, arrays, strict=True))


def _measured(config: ReleaseRun, trained: Judgeable, model: bytes, console: Console) -> dict[str, dict[str, Any]]:
    """The reports about the exported model, taken from the folder where they are about these bytes."""
    clips = "\n".join(clip.clip_id for clip in held_out_clips(config.run, config.samples)[1])
    about = {
        "model_sha256": hashlib.sha256(model).hexdigest(),
        "checkpoint_sha256": trained.sha256,
        "samples_asked": config.samples,
        "clips_sha256": hashlib.sha256(clips.encode()).hexdigest(),
        "tolerance": asdict(config.tolerance),
    }
    path = config.folder / "measured.json"
    if path.is_file() and (kept := json.loads(path.read_bytes()))["about"] == about:
        return {kind: kept[kind] for kind in ("about", "agreement", "timing", "made")}
    config.folder.mkdir(parents=True, exist_ok=True)
    network, exported = Driver(trained.policy), OnnxModel(model)

    def answers() -> Iterator[tuple[Sample, Sample]]:
        for sample in held_out(config.run, config.samples, console, config.folder):
            plan = network(**sample)
            yield {name: getattr(plan, name) for name in OUTPUTS}, exported(sample)

    agreement = compare(answers(), config.tolerance)
    sample = next(held_out(config.run, 1, console))
    found: dict[str, dict[str, Any]] = {
        "about": about,
        "agreement": _plain(agreement),
        "timing": {**measure(model, sample, config.timed_runs), "parameters": parameters_of(trained.policy)},
        "made": {"on": datetime.now(UTC).date().isoformat()},
    }
    write_whole(path, json.dumps(found, indent=1) + "\n")
    return found


def _plain(agreement: Agreement) -> dict[str, Any]:
    """As JSON holds it; a difference that is no number counts as refused."""
    values = asdict(agreement)
    worst = agreement.worst_share if np.isfinite(agreement.worst_share) else 1e9
    return {**values, "worst_share": worst, "worst": {k: min(v, 1e9) for k, v in agreement.worst.items()}}


def _require_gates(config: ReleaseRun, reports: Mapping[str, Mapping[str, Any]]) -> None:
    failed = [found for found in judge_gates(GATES[config.domain], reports) if not found.passed]
    if failed:
        said = "; ".join(f"{found.gate.name}: {found.sentence}" for found in failed)
        raise ReleaseError(failed[0].gate.name, f"{config.run}: not released for {config.domain}. {said}")


def _golden(model: bytes, samples: Sequence[Sample]) -> dict[str, bytes]:
    """Inputs, and what the exported model answers to them: a carmaker's runtime must answer the same."""
    exported = OnnxModel(model)
    answers = [exported(sample) for sample in samples]
    vectors = {f"golden/{name}.npy": np.concatenate([sample[name] for sample in samples]) for name in INPUTS}
    vectors |= {f"golden/{name}.npy": np.concatenate([answer[name] for answer in answers]) for name in OUTPUTS}
    return {name: _npy(array) for name, array in vectors.items()}


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def _about(config: ReleaseRun, trained: Judgeable, lineage: Lineage, reports: Mapping[str, Any]) -> card.About:
    drives = lineage.drives
    hours = sum(float(drive.ego.timestamps_ns[-1] - drive.ego.timestamps_ns[0]) for drive in drives) / 3.6e12
    licences = sorted({drive.provenance.licence or "not stated" for drive in drives})
    return card.About(
        name=config.name,
        counter=config.counter,
        domains=(config.domain,),
        checkpoint_sha256=trained.sha256,
        trained_on={
            "clips": str(len(lineage.clips)),
            "drives": str(len(drives)),
            "vehicles": str(len({drive.vehicle_id for drive in drives})),
            "hours of recording": f"{hours:.2f}",
            "read by": ", ".join(sorted({drive.provenance.reader for drive in drives})),
            "licence of the recordings": ", ".join(licences),
            "tiles of about 1.2 km x 0.6 km": str(len({tile for clip in lineage.clips for tile in clip.tiles})),
        },
        gates=[(found.gate.name, found.sentence, found.passed) for found in judge_gates(ROAD, reports)],
        not_driven=_not_driven(reports["closed_loop"]),
        changes=config.changes,
    )


def _not_driven(closed_loop: Mapping[str, Any]) -> list[str]:
    """Suites that no report holds, and the variants that are missing of those that one does."""
    lines = [f"the suite {suite}: no report holds it" for suite in SUITES if suite not in closed_loop]
    for suite in (suite for suite in SUITES if suite in closed_loop):
        missing = [variant for variant in VARIANTS if f"{suite}_{variant}" not in closed_loop]
        if missing:
            lines.append(f"the suite {suite} under {', '.join(missing)}: no report holds it")
    return lines


def _camera(lineage: Lineage, anchors: int, closed_loop: Mapping[str, Any]) -> CameraContract:
    cameras, used = recorded_cameras_of(lineage.drives), {(clip.drive_id, clip.camera) for clip in lineage.clips}
    mountings = [
        np.array([*cameras[stream].ego_from_camera.translation_m, *np.radians(turned_deg(cameras[stream]))])
        for stream in sorted(used)
    ]
    late_s = [
        VARIANTS[name].latency_s for name in VARIANTS if any(tested.endswith(f"_{name}") for tested in closed_loop)
    ]
    return contracts.camera_contract(
        MODEL_VIEW, contracts.mounting_range(mountings), RolloutConfig().tick_s, anchors, max(late_s, default=0.0)
    )


def _bill(config: ReleaseRun, model: bytes, made_on: str) -> bytes:
    digest = hashlib.sha256(model).hexdigest()
    contents = sbom.Contents(
        config.name, str(config.counter), digest, len(model), date.fromisoformat(made_on), dojo.__version__
    )
    return sbom.bill(contents, sbom.versions(sbom.RUNS_WITH), sbom.versions(sbom.MADE_WITH))


def _described(arrays: Mapping[str, np.ndarray]) -> tuple[TensorContract, ...]:
    return tuple(TensorContract(name, str(array.dtype), array.shape) for name, array in arrays.items())


def make_bundle(config: ReleaseRun, console: Console) -> dict[str, bytes]:
    """The files of the bundle.

    Raises:
        ReleaseError: by the name of the rule or the gate that refused it.
    """
    trained = load_policy(config.run)
    reports = _reports(config, trained.sha256)
    lineage = lineage_of(config.run)
    golden = list(islice(held_out(config.run, config.golden, console), config.golden))
    model = export(Inference(trained.policy), golden[0], OUTPUTS)
    measured = _measured(config, trained, model, console)
    made_on = str(measured["made"]["on"])
    reports |= {kind: measured[kind] for kind in ("agreement", "timing")}
    _require_gates(config, reports)
    about = _about(config, trained, lineage, reports)
    answer = OnnxModel(model)(golden[0])
    files = {
        "model.onnx": model,
        **_golden(model, golden),
        **{f"reports/{kind}.json": bundle.to_json(report) for kind, report in reports.items()},
        "clips.json": bundle.to_json(lineage.listed()),
        "sbom.cdx.json": _bill(config, model, made_on),
        "model_card.md": card.model_card(about, reports).encode(),
        "evidence.md": card.evidence(about, reports).encode(),
    }
    anchors = golden[0]["speed_mps"].shape[1]
    says = {
        "format": FORMAT,
        "name": config.name,
        "counter": config.counter,
        "domains": (config.domain,),
        "made_on": made_on,
        "dojo_version": dojo.__version__,
        "checkpoint_sha256": trained.sha256,
        "step": trained.step,
        "minimum_limits_version": config.minimum_limits_version,
        "anchors": anchors,
        "tick_s": RolloutConfig().tick_s,
        "inputs": _described(golden[0]),
        "outputs": _described(answer),
        "tolerance": asdict(config.tolerance),
        "camera": _camera(lineage, anchors, reports["closed_loop"]),
        "signals": contracts.SIGNALS,
    }
    return bundle.seal(files, says)


def release(config: ReleaseRun, console: Console) -> Outcome:
    """The bundle, as a folder and as one file."""
    torch.set_num_threads(1)
    files = make_bundle(config, console)
    packed = pack(files)
    for name, data in files.items():
        path = config.folder / "bundle" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    config.file.write_bytes(packed)
    measured = json.loads((config.folder / "measured.json").read_bytes())
    facts = {
        "bundle": str(config.folder / "bundle"),
        "file": str(config.file),
        "sha256": hashlib.sha256(packed).hexdigest(),
        "size_bytes": len(packed),
        "files": len(files),
        "samples compared": measured["agreement"]["samples"],
        "worst over tolerance": measured["agreement"]["worst_share"],
        "median_ms": measured["timing"]["median_ms"],
    }
    return Outcome.listing("release", facts)


def run(config: CONFIG, console: Console) -> Outcome:
    """Seal a bundle, or hand one on."""
    return release(config, console) if isinstance(config, ReleaseRun) else publish.run(config, console)
