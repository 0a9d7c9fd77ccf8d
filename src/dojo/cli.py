"""The sentence as verbs: `dojo simulate | ingest | ls | curate | train | on-policy | evaluate | rollout | demo ...`.

In: a command line. Out: one public function called, a short table, and an exit status: 0 done, 1 refused or failed
with a reason, 2 wrong usage.
Idea: every flag is a field of the configuration dataclass, made by tyro, so nothing can be set that is not recorded.
A verb whose `CONFIGS` are several dataclasses has verbs of its own (`dojo licence issue`); the one without a name is
meant where none of them is given (`dojo release RUN`).
A verb's module is imported when the verb is called, so `dojo ls` does not wait for torch.
Not here: what the verbs do (`recipes/`, one file each).
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tyro
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

import dojo
from dojo.errors import ConfigError, DojoError
from dojo.recipes.run import Outcome, read_record

VERBS = {
    "simulate": "write the recordings of a simulated fleet, as the real car writes them",
    "ingest": "check the recordings in a folder and store the drives that pass",
    "ls": "say what a dataset holds: hours, kilometres, vehicles, tags, splits, versions",
    "find": "list clips by tag, place, likeness or SQL",
    "tidy": "join the small files of a dataset and let old versions of it go",
    "erase": "remove every byte of one vehicle from a dataset, and certify it",
    "curate": "cut the drives of a dataset into clips with target paths, tags, splits and weights",
    "train": "train a policy: dojo train tiny --dataset runs/data --train.steps 500",
    "on-policy": "train, let the policy drive, correct it, train again: dojo on-policy tiny --train.dataset runs/data",
    "embed": "give every clip a vector from the trunk of a trained policy; leave out near-duplicates",
    "evaluate": "judge a trained policy on held-out clips beside three baselines, and write the report page",
    "scale": "does more data help? train at nested sizes, fit the law, say what more would bring",
    "rollout": "let a trained policy drive through suites of scenarios, and say how often it arrived",
    "cheat": "say whether a trained policy sees the road, or the traces that displaced pictures bear",
    "replay": "let a trained policy drive beside recorded drives, their pictures warped to where it is",
    "ablation": "set recipes side by side, from logs alone to rounds on policy, three seeds each: hours",
    "demo": "the whole road on a simulated fleet, from videos to a report",
    "release": "seal a trained policy in a bundle with its evidence, and publish it to a carmaker: dojo release RUN",
    "licence": "issue, show or revoke what a carmaker is granted",
    "install": "on a vehicle, verify what its carmaker assigned to it, and stage it for the next drive",
    "drive": "pictures through a bundle to commands, on a bus or a simulated vehicle; --shadow only watches",
    "conformance": "test the adapter of a vehicle platform on a bench without a car",
    "release-demo": "the demo's policy to two carmakers and on two vehicles, with every attack on the way refused",
    "machine": "how long a training step takes on a machine, and what limits it: dojo machine step gpt-175b --on h100",
    "plan": "what a target takes on a machine, by a date and for a budget: dojo plan exapod-100",
    "rerun": "repeat an earlier run from its run.json: dojo rerun runs/demo/run.json --out runs/again",
}
"""Every verb but the last is a file of `recipes/` with a `CONFIGS` table and a `run(config, console)`."""


@dataclasses.dataclass(frozen=True)
class Rerun:
    """Repeat an earlier run.

    Args:
        record: the `run.json` that the earlier run wrote.
        out: folder for the results, instead of the earlier one.
    """

    record: tyro.conf.Positional[Path]
    out: Path | None = None


def usage() -> str:
    """The verbs, one line each, under the sentence."""
    width = max(map(len, VERBS))
    lines = [f"  dojo {verb:<{width}}  {says}" for verb, says in VERBS.items()]
    return "\n".join(
        [
            " ".join((dojo.__doc__ or "").split()),
            "",
            *lines,
            "",
            "`dojo VERB --help` lists what can be set; `--json` prints the result for machines.",
        ]
    )


def _recipe(verb: str) -> Any:
    return importlib.import_module(f"dojo.recipes.{verb.replace('-', '_')}")


def _configure(verb: str, arguments: Sequence[str]) -> object:
    """The configuration that the command line asks for; exits with status 2 on wrong usage."""
    configs = dict(_recipe(verb).CONFIGS)
    plain = configs.pop("", None)
    if plain is not None and not (arguments and arguments[0] in configs):
        return tyro.cli(plain, prog=f"dojo {verb}", args=list(arguments))
    if all(isinstance(kind, type) for kind in configs.values()) and (plain is not None or len(configs) > 1):
        return tyro.extras.subcommand_cli_from_dict(configs, prog=f"dojo {verb}", args=list(arguments))
    if len(configs) > 1:
        named = {name: (" ".join((make.__doc__ or "").split()), make()) for name, make in configs.items()}
        return tyro.extras.overridable_config_cli(named, prog=f"dojo {verb}", args=list(arguments))
    (kind,) = configs.values()
    return tyro.cli(kind, prog=f"dojo {verb}", args=list(arguments))


def _repeat(arguments: Sequence[str], console: Console) -> Outcome:
    wanted = tyro.cli(Rerun, prog="dojo rerun", args=list(arguments))
    earlier = read_record(wanted.record)
    if earlier.verb not in VERBS:
        raise ConfigError(f"{wanted.record}: expected one of {sorted(VERBS)} as the verb, got {earlier.verb!r}")
    recipe = _recipe(earlier.verb)
    try:
        config = TypeAdapter(recipe.CONFIG).validate_python(earlier.config)
    except ValidationError as error:
        raise ConfigError(
            f"{wanted.record}: expected the configuration of this Dojo ({dojo.__version__}), got one of "
            f"{earlier.dojo_version}: {error}; repeat it with that version"
        ) from error
    if wanted.out is not None:
        config = dataclasses.replace(config, out=wanted.out)
    outcome: Outcome = recipe.run(config, console)
    return outcome


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; the exit status."""
    # torch's threads wait for one another by spinning, which takes the cores from the threads that decode video: with
    # two cores a step takes 1.5 times as long. Read once when torch is loaded; changes no result.
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in arguments
    arguments = [argument for argument in arguments if argument != "--json"]
    verb, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if verb in ("--help", "-h", "--version"):
        print(dojo.__version__ if verb == "--version" else usage())
        return 0
    console = Console(stderr=as_json)
    if verb not in VERBS:
        print(f"dojo: expected one of {', '.join(VERBS)}; got {verb!r}\n\n{usage()}", file=sys.stderr)
        return 2
    try:
        outcome = _repeat(rest, console) if verb == "rerun" else _recipe(verb).run(_configure(verb, rest), console)
    except DojoError as error:
        print(f"dojo {verb}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"dojo {verb}: interrupted; what is done is kept, the same command goes on from there", file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(outcome.facts, indent=2))
    else:
        console.print(outcome.table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
