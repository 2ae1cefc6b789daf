"""`python -m tools.bench [erasure] [frames] [verify] [signature]`: all of them by default."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from tools.bench import erasure, frames, signature, verify

BENCHMARKS: dict[str, Callable[[], int]] = {
    "erasure": erasure.main,
    "frames": frames.main,
    "verify": verify.main,
    "signature": signature.main,
}


def main(arguments: Sequence[str]) -> int:
    """Runs what is named; the exit code of the last one that failed, else 0."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"one of {', '.join(BENCHMARKS)}")
    names = parser.parse_args(arguments).name or list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark {unknown[0]}: there are {', '.join(BENCHMARKS)}")
    failed = 0
    for name in names:
        failed = BENCHMARKS[name]() or failed
    return failed


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
