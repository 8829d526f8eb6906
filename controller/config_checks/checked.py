"""What a check hands on: findings, and driver tables with `"sim"` expanded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from controller.config_lines import Path
from controller.config_report import Finding


@dataclass(slots=True)
class Checked:
    """Findings, and the driver tables with `"sim"` expanded."""

    file: FilePath
    problems: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    tables: dict[Path, Mapping[str, Any] | None] = field(default_factory=dict)
