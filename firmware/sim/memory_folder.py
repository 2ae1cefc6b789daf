"""A folder of files in memory, for where there is no littlefs or nothing is to survive.

It has the doors of tare/littlefs.py. Imports nothing.
"""


class MemoryFolder:
    """`files` by name; before the first `ensure` there is no file system."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] | None = None

    def ensure(self) -> None:
        """Begin with no files, where nothing was begun."""
        self.files = self.files or {}

    def is_blank(self) -> bool:
        """Tell whether there never was a file."""
        return self.files is None

    def read(self, name: str, size: int) -> bytes | None:
        """Return up to `size` bytes of a file, None when there is no such file."""
        data = (self.files or {}).get(name)
        return None if data is None else data[:size]

    def replace(self, name: str, data: bytes) -> None:
        """Store a file."""
        files = dict(self.files or {})
        files[name] = data
        self.files = files

    def clear(self) -> None:
        """Take all files away."""
        self.files = None
