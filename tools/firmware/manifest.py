"""What an image is made of, as JSON: `Manifest`. Pure but for reading and writing its file.

The bytecode version and the architecture are read out of the compiled files themselves, so that
they hold whatever compiler was used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from tools.firmware.errors import BuildError

#: Raised when a reader of an older one would misunderstand it.
FORMAT: Final = 1
#: Native architectures by their number in an .mpy file (MicroPython, py/persistentcode.h).
ARCHITECTURES: Final = (
    *("none", "x86", "x64", "armv6", "armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp"),
    *("xtensa", "xtensawin", "rv32imc"),
)
_THUMB = (ARCHITECTURES.index("armv6m"), ARCHITECTURES.index("armv7emdp"))
_MAGIC = ord("M")
_HEADER_SIZE = 4


@dataclass(frozen=True)
class Bytecode:
    """What an interpreter must take: the version, and for native code its revision and processor.

    `architecture` 0 is bytecode alone, which every processor runs.
    """

    version: int
    revision: int = 0
    architecture: int = 0

    @classmethod
    def of_interpreter(cls, mpy: int) -> Self:
        """From the device's `sys.implementation._mpy`."""
        return cls(mpy & 0xFF, mpy >> 8 & 3, mpy >> 10)

    @classmethod
    def of_file(cls, data: bytes) -> Self:
        """From the header of an .mpy file; BuildError when it has none."""
        if len(data) < _HEADER_SIZE or data[0] != _MAGIC:
            raise BuildError("a compiled file has no header of MicroPython's bytecode")
        architecture = data[2] >> 2
        return cls(data[1], data[2] & 3 if architecture else 0, architecture)

    @classmethod
    def of_files(cls, files: Iterable[bytes]) -> Self:
        """What runs all of these; BuildError where no interpreter could."""
        found = {cls.of_file(data) for data in files}
        native = {each for each in found if each.architecture}
        versions = {each.version for each in found}
        if len(versions) != 1 or len(native) > 1:
            raise BuildError("the files are compiled for more than one interpreter")
        return native.pop() if native else cls(versions.pop())

    def runs(self, image: Bytecode) -> bool:
        """Whether an interpreter, this one, takes an image, by MicroPython's own rule."""
        if image.version != self.version:
            return False
        if not image.architecture:
            return True
        return image.revision == self.revision and (
            image.architecture == self.architecture
            # MPY_FEATURE_ARCH_TEST: a Thumb processor runs what is for a smaller one.
            or _THUMB[0] <= image.architecture < self.architecture <= _THUMB[1]
        )

    def __str__(self) -> str:
        name = architecture_name(self.architecture)
        return f"bytecode {self.version}.{self.revision} for {name}"


def architecture_name(number: int) -> str:
    """The name that mpy-cross gives an architecture."""
    return ARCHITECTURES[number] if number < len(ARCHITECTURES) else f"architecture {number}"


@dataclass(frozen=True)
class Entry:
    """A file, or the image: its length and its SHA-256 in hex."""

    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> Self:
        """The entry of these bytes."""
        return cls(len(data), hashlib.sha256(data).hexdigest())


@dataclass(frozen=True)
class Manifest:
    """`commit` is null outside of git; `dirty`: sources differ from it. `start` is the module that
    starts the application, null while nothing for this board can.
    """

    board: str
    version: str
    commit: str | None
    dirty: bool
    bytecode: Bytecode
    start: str | None
    image: Entry
    files: Mapping[str, Entry]

    def text(self) -> str:
        """The JSON: the same bytes for the same image and sources."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1, sort_keys=True) + "\n"

    @classmethod
    def read(cls, path: Path) -> Self:
        """From a file; BuildError when it cannot be read or is none of ours."""
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if found.pop("format") != FORMAT:
                raise BuildError(f"{path} is a manifest of another version")
            found["bytecode"] = Bytecode(**found["bytecode"])
            found["image"] = Entry(**found["image"])
            found["files"] = {name: Entry(**each) for name, each in found["files"].items()}
            return cls(**found)
        except OSError as error:
            raise BuildError(f"cannot read {path}: {error.strerror}") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise BuildError(f"{path} is not the manifest of an image") from error
