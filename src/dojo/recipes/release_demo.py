"""`dojo release-demo`: the demo's policy becomes a bundle, goes to two carmakers, and drives two of their vehicles.

In: the demo's folder (the demo runs first where there is none). Out: `report.json` with `vehicles` and `attacks`; below
it everything that the parties have: keys, repositories, vehicles.
Idea: the same verbs that serve a carmaker, called one after the other. What drives at the end is what was installed,
out of the vehicle's own slot and under its licence, over the virtual bus of its platform, in the suites that the
evaluation report was made in; so its completions may be held against the report's.
Not here: any of the steps.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from dojo.errors import ConfigError, ReleaseError
from dojo.evaluate.intervals import wilson
from dojo.evaluate.suites import SUITES
from dojo.recipes import demo, release, rollout
from dojo.recipes.attacks import Stage, Tried, try_attacks
from dojo.recipes.drive_sim import drive_suites
from dojo.recipes.install import CommissionRun, commission_vehicle, install_from
from dojo.recipes.licence import IssueRun, issue
from dojo.recipes.publish import (
    AssignRun,
    CarmakerRun,
    KeysRun,
    PublishRun,
    assign_to_vehicle,
    found_carmaker,
    make_keys,
    publish_bundle,
)
from dojo.recipes.run import Outcome, record, write_record, write_whole
from dojo.recipes.train import load_policy
from dojo.release.install import driving
from dojo.release.verify import Refused


@dataclass(frozen=True)
class Customer:
    """A carmaker, and the platform that one of its vehicles is of."""

    carmaker: str
    platform: str
    hardware_id: str


CUSTOMERS = (
    Customer("aurora", "aurora_comet", "aurora-adas-2"),
    Customer("borealis", "borealis_tern", "borealis-central-1"),
)


@dataclass(frozen=True)
class ReleaseDemoRun:
    """From the demo's policy to two vehicles that drive with it.

    Args:
        demo: folder of the demo; it is run there first if it was not.
        out: folder for everything; emptied first, if it is that of an earlier release demo.
        suites: driven on each vehicle with what was installed.
        samples: held-out samples on which the exported model is compared with the trained one.
        cases: of each suite at most so many, the first; 0: all.
        processes: how many rollouts at once; 0: one per core.
    """

    demo: Path = Path("runs/demo")
    out: Path = Path("runs/release-demo")
    suites: tuple[str, ...] = ("lane_centring", "leader")
    samples: int = 1000
    cases: int = 0
    processes: int = 0
    customers: tuple[Customer, ...] = CUSTOMERS

    def __post_init__(self) -> None:
        if len(self.customers) < 2 or len({one.carmaker for one in self.customers}) != len(self.customers):
            raise ConfigError("release-demo: expected two carmakers or more, each once; name them in customers")


CONFIG = ReleaseDemoRun
CONFIGS = {"release-demo": ReleaseDemoRun}


def _say(console: Console, number: int, what: str, came_of_it: str, began: float, read: str) -> None:
    line = f"{number} {what:<9} {came_of_it}, {time.monotonic() - began:.0f} s; read src/dojo/{read}"
    console.print(line, highlight=False, soft_wrap=True)


def _clean(config: ReleaseDemoRun) -> None:
    """An empty folder; somebody else's is left alone."""
    if config.out.exists() and any(config.out.iterdir()):
        path = config.out / "run.json"
        if not path.is_file() or json.loads(path.read_bytes()).get("verb") != "release-demo":
            raise ConfigError(
                f"{config.out}: expected an empty folder or an earlier release demo; choose another --out"
            )
        shutil.rmtree(config.out)
    write_record(config.out, record("release-demo", config))


def _judged_policy(config: ReleaseDemoRun, console: Console) -> Path:
    """The closed-loop report about the demo's policy in these suites; policy and report are made where missing."""
    run = config.demo / "train"
    if not (config.demo / "report.json").is_file():
        demo.run(demo.DemoRun(out=config.demo), console)
    sha256 = load_policy(run).sha256
    for folder in (config.demo / "drive", run / "rollout"):
        path = folder / "closed_loop.json"
        kept = json.loads(path.read_bytes()) if path.is_file() else {"closed_loop": {}, "provenance": {}}
        about = kept["provenance"].get("checkpoint_sha256")
        if about == sha256 and set(config.suites) <= set(kept["closed_loop"]):
            return path
    wanted = rollout.RolloutRun(run, suites=config.suites, processes=config.processes, films=0)
    rollout.run(wanted, console)
    return wanted.folder / "closed_loop.json"


def _customer(config: ReleaseDemoRun, customer: Customer, supplier: Mapping[str, Path], now: datetime) -> Path:
    """The carmaker's folder, ready for its supplier."""
    folder = config.out / "carmakers" / customer.carmaker
    public = tuple(path.with_name(path.name + ".pub.json") for path in supplier.values())
    found_carmaker(CarmakerRun(folder, customer.carmaker, (customer.hardware_id,), public), now)
    return folder


def _orders(
    config: ReleaseDemoRun, customer: Customer, folder: Path, bundle: Path, keys: tuple[str, ...], now: datetime
) -> tuple[AssignRun, IssueRun]:
    """What was published and granted to the carmaker, and assigned by it to its vehicle."""
    (path,) = publish_bundle(PublishRun(bundle, folder, keys), now)
    terms = IssueRun(
        to=folder,
        keys=keys,
        licence_id=f"{customer.carmaker}-1",
        platform=customer.platform,
        hardware_id=customer.hardware_id,
        market="EU",
        valid_from=(now - timedelta(days=1)).date().isoformat(),
        valid_until=(now + timedelta(days=365)).date().isoformat(),
    )
    order = AssignRun(folder, f"{customer.platform}-001", customer.hardware_id, path, issue(terms, now).path)
    assign_to_vehicle(order, now)
    return order, terms


def _installed(config: ReleaseDemoRun, customer: Customer, order: AssignRun, now: datetime) -> Path:
    """The vehicle, with the bundle staged."""
    vehicle = config.out / "vehicles" / customer.platform
    commission_vehicle(
        CommissionRun(vehicle, order.carmaker, order.vehicle_id, customer.platform, customer.hardware_id)
    )
    verdict = install_from(vehicle, order.carmaker, now)
    if isinstance(verdict, Refused):
        raise ReleaseError(verdict.rule, f"{customer.platform}: {verdict.why}")
    return vehicle


def _compared(config: ReleaseDemoRun, driven: Mapping[str, Any], reported: Mapping[str, Any]) -> dict[str, Any]:
    """The suites as the installed bundle drove them, beside the report's figures for the same cases.

    Over a bus, through the safety envelope and with another vehicle's delays nothing is the same to the last bit. They
    agree where the 95 % interval of the difference between the two shares holds zero.
    """
    found = {}
    for suite, one in driven.items():
        ids = [scenario.scenario_id for scenario in SUITES[suite](0)][: config.cases or None]
        completed = len(ids) - sum(case in reported[suite]["failures"] for case in ids)
        ours, theirs = _share(one["completed"], one["cases"]), _share(completed, len(ids))
        low, high = _difference(ours, theirs)
        difference = {"value": ours["share"] - theirs["share"], "low": low, "high": high}
        found[suite] = {**ours, "reported": theirs, "difference": difference, "agrees": low <= 0 <= high}
    return found


def _difference(first: Mapping[str, int | float], second: Mapping[str, int | float]) -> tuple[float, float]:
    """Ends of the 95 % interval of the difference between two shares, first minus second.

    Source: Newcombe, Interval estimation for the difference between independent proportions, Statistics in Medicine 17
    (1998), 873-890, method 10.
    """
    apart = first["share"] - second["share"]
    below = math.hypot(first["share"] - first["low"], second["high"] - second["share"])
    above = math.hypot(first["high"] - first["share"], second["share"] - second["low"])
    return apart - below, apart + above


def _share(completed: int, cases: int) -> dict[str, int | float]:
    low, high = wilson(completed, cases)
    return {"completed": completed, "cases": cases, "share": completed / cases, "low": low, "high": high}


def _table(vehicles: list[dict[str, Any]], attacks: list[Tried]) -> Table:
    table = Table("what", "came of it", "expected", title="release demo", title_justify="left")
    for vehicle in vehicles:
        for suite, found in vehicle["suites"].items():
            reported = found["reported"]
            table.add_row(
                f"{vehicle['platform']}: {suite}",
                f"{found['completed']} of {found['cases']} completed",
                f"as reported: {reported['completed']} of {reported['cases']} "
                f"({reported['low']:.2f} to {reported['high']:.2f})",
            )
    for tried in attacks:
        table.add_row(tried.name, f"refused: {tried.rule}" if tried.refused else "ACCEPTED", tried.expected)
    return table


def run(config: ReleaseDemoRun, console: Console) -> Outcome:
    """Every step in turn, one line each; `report.json` at the end.

    Raises:
        ReleaseError: an attack was not refused by its rule, or a suite was driven otherwise than reported.
    """
    _clean(config)
    began = time.monotonic()
    judged = _judged_policy(config, console)
    reported = json.loads(judged.read_bytes())["closed_loop"]
    _say(console, 1, "policy", f"{config.demo / 'train'}, judged in {', '.join(reported)}", began, "recipes/rollout.py")
    began, now = time.monotonic(), datetime.now(UTC)
    sealed = release.ReleaseRun(
        config.demo / "train", config.out / "bundle", name="demo", closed_loop=judged, samples=config.samples
    )
    facts = release.release(sealed, console).facts
    _say(console, 2, "release", f"{facts['file']}, SHA-256 {facts['sha256'][:12]}", began, "release/bundle.py")
    began = time.monotonic()
    make_keys(KeysRun(config.out / "supplier"))
    supplier = {name: config.out / "supplier" / name for name in KeysRun.names}
    keys = tuple(str(path) for path in supplier.values())
    folders = {one: _customer(config, one, supplier, now) for one in config.customers}
    orders = {one: _orders(config, one, folder, sealed.file, keys, now) for one, folder in folders.items()}
    _say(console, 3, "publish", f"to {', '.join(one.carmaker for one in folders)}", began, "release/repository.py")
    began = time.monotonic()
    vehicles = {one: _installed(config, one, order, now) for one, (order, _) in orders.items()}
    _say(console, 4, "install", f"on {', '.join(one.platform for one in vehicles)}", began, "release/verify.py")
    report: dict[str, Any] = {"bundle": facts, "vehicles": [], "attacks": []}
    for one, folder in vehicles.items():
        began = time.monotonic()
        with driving(folder, datetime.now(UTC)) as installed:
            driven = drive_suites(installed.folder, one.platform, config.suites, config.cases, config.processes)
        said = {"carmaker": one.carmaker, "bundle": facts["sha256"], "suites": _compared(config, driven, reported)}
        report["vehicles"].append({"platform": one.platform, "installed": True, **said})
        _say(console, 5, "drive", f"{one.platform}: {_counted(driven)}", began, "recipes/drive_sim.py")
    first, second, *_ = config.customers
    began = time.monotonic()
    order, terms = orders[first]
    stage = Stage(folders[first], folders[second], vehicles[first], keys, order, terms, sealed.file, now)
    attacks = list(try_attacks(stage))
    report["attacks"] = [asdict(tried) for tried in attacks]
    _say(
        console,
        6,
        "attack",
        f"{sum(t.refused for t in attacks)} of {len(attacks)} refused",
        began,
        "recipes/attacks.py",
    )
    write_whole(config.out / "report.json", json.dumps(report, indent=1) + "\n")
    _require_as_expected(config, report, attacks)
    return Outcome(report, _table(report["vehicles"], attacks))


def _counted(driven: Mapping[str, Any]) -> str:
    return ", ".join(f"{suite} {found['completed']} of {found['cases']}" for suite, found in driven.items())


def _require_as_expected(config: ReleaseDemoRun, report: Mapping[str, Any], attacks: list[Tried]) -> None:
    wrong = [f"{t.name}: {t.rule or 'accepted'}, expected {t.expected}" for t in attacks if t.rule != t.expected]
    if wrong:
        raise ReleaseError("attack_not_refused", f"{config.out / 'report.json'}: {'; '.join(wrong)}")
    apart = [
        f"{vehicle['platform']}: {suite}"
        for vehicle in report["vehicles"]
        for suite, found in vehicle["suites"].items()
        if not found["agrees"]
    ]
    if apart:
        raise ReleaseError(
            "drives_otherwise",
            f"{config.out / 'report.json'}: expected completions as in the evaluation report within its intervals, got "
            f"others in {', '.join(apart)}",
        )
