"""Which IANA zone this machine is in: only a default that the person can overrule."""

from __future__ import annotations

import os
from pathlib import Path

from cloud_agent.errors import UsageError
from cloud_agent.readings.zones import zone_of


def local_zone() -> str:
    """The machine's zone by TZ, /etc/localtime or /etc/timezone; UTC when it does not say."""
    candidates = [os.environ.get("TZ", "").lstrip(":")]
    link = Path("/etc/localtime")
    if link.is_symlink():
        candidates.append(str(link.readlink()).rpartition("zoneinfo/")[2])
    written = Path("/etc/timezone")
    if written.is_file():
        candidates.append(written.read_text(encoding="utf-8", errors="replace").strip())
    for name in candidates:
        try:
            zone_of(name)
        except UsageError:
            continue
        return name
    return "UTC"
