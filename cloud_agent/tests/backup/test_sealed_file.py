"""A backup file opens whole and unchanged, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_agent.backup import sealed_file, sheet
from cloud_agent.backup.sealed_file import BackupError
from cloud_agent.errors import UsageError

PASSPHRASE = "a passphrase of some length"


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost of scrypt is not what is tested here."""
    cost = {"n": 2**4, "r": 1, "p": 1, "maxmem": 2**20, "dklen": 32}
    monkeypatch.setattr(sealed_file, "_COST", cost)


def write(folder: Path, content: bytes, name: str = "one") -> Path:
    source = folder / f"{name}.source"
    source.write_bytes(content)
    path = folder / f"{name}.tarebackup"
    header = sealed_file.new_header("data", 1_000, None, "here")
    sealed_file.write(path, header, {"file": source}, PASSPHRASE)
    return path


def unpacked(path: Path, folder: Path, passphrase: str = PASSPHRASE) -> bytes:
    folder.mkdir()
    sealed_file.unpack(path, folder, passphrase)
    return (folder / "file").read_bytes()


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 300_000])
def test_what_goes_in_comes_out(tmp_path: Path, size: int) -> None:
    content = bytes(number % 251 for number in range(size))
    path = write(tmp_path, content)
    assert unpacked(path, tmp_path / "out") == content
    assert path.stat().st_mode & 0o777 == 0o600
    if size > 64:
        assert content[:64] not in path.read_bytes()


def test_another_passphrase(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="passphrase"):
        unpacked(write(tmp_path, b"x"), tmp_path / "out", "another one of some length")


def test_one_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    write(tmp_path, b"x")
    with pytest.raises(BackupError):
        write(tmp_path, b"y")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_pieces_cannot_be_left_out_or_change_places(tmp_path: Path) -> None:
    path = write(tmp_path, bytes(400_000))
    whole = path.read_bytes()
    head = whole.index(b"\n", len(b"TARE BACKUP 1\n")) + 1
    piece = 64 * 1024 + 16
    one, two = whole[head : head + piece], whole[head + piece : head + 2 * piece]
    rest = whole[head + 2 * piece :]
    other = write(tmp_path, bytes(400_000), "other").read_bytes()
    for number, changed in enumerate(
        (
            whole[:-1],
            whole[: head + piece],
            whole[:head] + two + rest,
            whole[:head] + two + one + rest,
            whole[:head] + one + one + rest,
            whole + one,
            whole[:head] + other[head : head + piece] + two + rest,
            other[:head] + whole[head:],
        )
    ):
        path.write_bytes(changed)
        with pytest.raises(BackupError):
            unpacked(path, tmp_path / f"out{number}")


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 10_500), bit=st.integers(0, 7))
def test_no_bit_may_change(place: int, bit: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("bit")
    path = write(folder, b"content")
    changed = bytearray(path.read_bytes())
    changed[place % len(changed)] ^= 1 << bit
    path.write_bytes(changed)
    with pytest.raises(BackupError):
        unpacked(path, folder / "out")


def test_a_short_passphrase_is_refused() -> None:
    with pytest.raises(UsageError, match="16"):
        sealed_file.check_passphrase("short")


@given(st.binary(min_size=32, max_size=32))
def test_a_recovery_sheet_is_read_as_people_type_it(key: bytes) -> None:
    text = sheet.to_text(key)
    assert sheet.from_text(text) == key
    assert sheet.from_text(text.lower().replace("-", " ").replace("0", "o")) == key


@given(st.binary(min_size=32, max_size=32), st.integers(0, 3), st.integers(0, 15), st.data())
def test_a_mistake_on_a_recovery_sheet_names_its_line(
    key: bytes, line: int, place: int, data: st.DataObject
) -> None:
    lines = sheet.to_text(key).splitlines()
    groups = list(lines[line][3:].replace("-", ""))
    groups[place] = data.draw(st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZ"))
    typed = "".join(groups)
    if typed == lines[line][3:].replace("-", ""):
        return
    lines[line] = f"{line + 1}  {typed}"
    with pytest.raises(UsageError, match=f"line {line + 1}"):
        sheet.from_text("\n".join(lines))


def test_two_lines_that_changed_places() -> None:
    lines = sheet.to_text(bytes(range(32))).splitlines()
    with pytest.raises(UsageError):
        sheet.from_text("\n".join([lines[1], lines[0], *lines[2:]]))
