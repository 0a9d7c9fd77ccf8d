"""Words that no generated page may say, because no figure here bears them.

In: a text. Out: nothing, or a refusal.
Idea: a page that is made by machine can still promise too much, in a sentence that somebody writes into it later. So
every page passes through here on its way out, whoever changed it.
Source of what may be said: UN Regulation No. 171 (driver control assistance systems: the driver stays responsible), SAE
J3016 (level 2), ISO 21448 (evidence of limits, not of their absence).
"""

from __future__ import annotations

import re

from dojo.errors import ReleaseError

_TOO_MUCH = re.compile(
    r"""self[- ]?driving | autonom\w* | driver-?less | auto-?pilot | robo-?taxi
    | complian\w* | complies | certif\w* | homologat\w* | (?<!not\ )(?<!not\ been\ )approved\b
    | guarante\w* | fail-?safe | fool-?proof | accident-?free | collision-?free | zero\ (risk|accidents|collisions)
    | prove[ns]?\b | safer\ than | as\ safe\ as | perfectly\ safe | is\ safe\b | are\ safe\b
    | never\ (fails?|collides?|crash\w*)
    | eyes[- ]off\ driving | hands[- ]free | level\ ?[345]\b | full(y)?\ automat\w*""",
    re.IGNORECASE | re.VERBOSE,
)


def overclaims(text: str) -> list[str]:
    """The words of a text that promise more than evidence of driver assistance can."""
    return [match[0] for match in _TOO_MUCH.finditer(text)]


def require_modest(name: str, text: str) -> str:
    """The text itself.

    Raises:
        ReleaseError: `overclaims`.
    """
    found = overclaims(text)
    if found:
        raise ReleaseError(
            "overclaims",
            f"{name}: expected words of driver assistance, got {', '.join(map(repr, found))}; say what was tested, how "
            "often, and with what interval",
        )
    return text
