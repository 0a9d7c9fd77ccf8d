"""`dojo conformance VEHICLE`: whether a platform's folder is fit to drive with.

In: the folder of a platform, or the name of one of Dojo's. Out: each check, passed or with what came instead; status 1
where one failed.
Not here: the checks (`drive/conformance.py`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tyro.conf import Positional

from dojo.drive.conformance import conformance
from dojo.errors import ConfigError
from dojo.recipes.run import Outcome


@dataclass(frozen=True)
class ConformanceRun:
    """Test the adapter of a platform on a bench without a car.

    Args:
        vehicle: folder of the platform, see docs/extend/vehicle.md, or the name of one of Dojo's.
    """

    vehicle: Positional[Path]


CONFIG = ConformanceRun
CONFIGS = {"conformance": ConformanceRun}


def run(config: ConformanceRun, console: Console) -> Outcome:
    """Every check.

    Raises:
        ConfigError: one failed.
    """
    checks = conformance(config.vehicle)
    failed = [check for check in checks if not check.passed]
    if failed:
        listed = "\n".join(f"  - {check.name}: {check.came}" for check in failed)
        raise ConfigError(f"{config.vehicle}: {len(failed)} of {len(checks)} checks failed:\n{listed}")
    table = Table("check", "", title=f"{config.vehicle}: conforms", title_justify="left")
    for check in checks:
        table.add_row(check.name, "passed")
    return Outcome({"vehicle": str(config.vehicle), "checks": [asdict(check) for check in checks]}, table)
