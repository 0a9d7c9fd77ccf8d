"""What contracts are tried with."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

if "driven" not in sys.modules:
    _spec = importlib.util.spec_from_file_location("driven", Path(__file__).parents[1] / "evaluate" / "driven.py")
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules["driven"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["driven"])
