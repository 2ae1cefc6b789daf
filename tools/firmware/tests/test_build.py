"""The image of the firmware: the same bytes each time, all that it needs, within its bounds."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tools import micropython
from tools.environment import ROOT
from tools.firmware import build, rom, targets
from tools.firmware.errors import BuildError
from tools.firmware.manifest import Bytecode, Entry, Manifest

_IGNORED = shutil.ignore_patterns("__pycache__", "tests", ".*")
#: What each part may take in the ESP32's image, in bytes of bytecode: growth is a decision.
_BOUNDS = {"protocol": 36_000, "tare": 110_000}


@pytest.fixture(scope="module")
def unix() -> build.Built:
    return build.build("unix")


def _copy(folder: Path) -> Path:
    """The sources elsewhere, with other times."""
    for name in ("firmware", "protocol"):
        shutil.copytree(ROOT / name, folder / name, ignore=_IGNORED, copy_function=shutil.copyfile)
    return folder


def _git(root: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.invalid")
    command = ["git", "-C", str(root), *identity, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.parametrize("board", targets.TARGETS)
def test_two_builds_in_two_folders_are_bit_identical(board: str, tmp_path: Path) -> None:
    one = build.build(board, _copy(tmp_path / "one"))
    two = build.build(board, _copy(tmp_path / "a longer name"))
    assert one == two
    assert str(tmp_path).encode() not in one.image
    assert str(tmp_path) not in one.manifest.text()


def test_a_change_in_one_file_changes_that_file_and_the_image(tmp_path: Path) -> None:
    root = _copy(tmp_path / "copy")
    before = build.build("esp32", root).manifest
    changed = root / "firmware" / "tare" / "sleep.py"
    changed.write_text(changed.read_text() + "\nADDED = 1\n")
    after = build.build("esp32", root).manifest
    assert before.image.sha256 != after.image.sha256
    differ = {name for name in after.files if before.files[name] != after.files[name]}
    assert differ == {"tare/sleep.mpy"}


@pytest.mark.parametrize("board", targets.TARGETS)
def test_all_modules_are_in_it_compiled_for_the_boards_processor(board: str) -> None:
    built = build.build(board)
    modules = {f"tare/{path.stem}.mpy" for path in (ROOT / "firmware" / "tare").glob("*.py")}
    modules |= {f"protocol/{path.stem}.mpy" for path in (ROOT / "protocol").glob("*.py")}
    assert modules <= set(built.manifest.files)
    assert not [name for name in built.manifest.files if "test" in name]
    wanted = Bytecode.of_file(
        rom.compiled(
            ROOT / "firmware" / "tare" / "p256_limbs.py", targets.TARGETS[board].architecture
        )
    )
    assert built.manifest.bytecode == wanted
    assert wanted.architecture != 0


def test_the_image_for_unix_is_for_the_micropython_that_runs_it(unix: build.Built) -> None:
    command = [*micropython.find_or_unpack(), "-c", "import sys; print(sys.implementation._mpy)"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert Bytecode.of_interpreter(int(printed)) == unix.manifest.bytecode
    assert unix.manifest.start == "boards.unix.run"


def test_micropython_mounts_the_image_and_imports_every_module(
    unix: build.Built, tmp_path: Path
) -> None:
    image, _ = unix.write(tmp_path)
    modules = [
        name.removesuffix(".mpy").replace("/", ".").removesuffix(".__init__")
        for name in unix.manifest.files
    ]
    program = f"""
import sys, vfs
with open({str(image)!r}, "rb") as file:
    vfs.mount(vfs.VfsRom(memoryview(file.read())), "/rom")
sys.path[:] = [".frozen", "/rom"]
for name in {modules!r}:
    module = __import__(name, None, None, ("x",))
    assert module.__file__.startswith("/rom/") and module.__file__.endswith(".mpy"), name
from tare import signer, version
print(version.FIRMWARE, signer.native)
"""
    command = [*micropython.find_or_unpack(), "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.stdout, done.stderr) == (f"{unix.manifest.version} True\n", "")


def test_the_parts_stay_within_their_bounds() -> None:
    sizes = dict.fromkeys(_BOUNDS, 0)
    for name, entry in build.build("esp32").manifest.files.items():
        part = name.partition("/")[0]
        if part in sizes:
            sizes[part] += entry.size_bytes
    assert [part for part, limit in _BOUNDS.items() if not limit // 2 < sizes[part] <= limit] == []


def test_an_image_above_its_limit_is_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    small = targets.Target("xtensawin", (), 100_000)
    monkeypatch.setitem(targets.TARGETS, "esp32", small)
    with pytest.raises(BuildError, match=r"for esp32 has 1\d\d,\d{3} bytes, and 100,000"):
        build.build("esp32")


def test_the_manifest_names_commit_and_changes(tmp_path: Path) -> None:
    root = _copy(tmp_path / "copy")
    assert (build.build("esp32", root).manifest.commit) is None
    _git(root, "init", "-q")
    _git(root, "add", ".")
    _git(root, "commit", "-q", "-m", "all")
    clean = build.build("esp32", root).manifest
    assert (clean.commit, clean.dirty) == (_git(root, "rev-parse", "HEAD"), False)
    (root / "notes.txt").write_text("not firmware")
    assert not build.build("esp32", root).manifest.dirty
    (root / "firmware" / "tare" / "more.py").write_text("")
    assert build.build("esp32", root).manifest.dirty


def test_what_was_written_reads_back_and_damage_is_noticed(
    unix: build.Built, tmp_path: Path
) -> None:
    image, manifest = unix.write(tmp_path)
    assert build.read(tmp_path, "unix") == unix
    entries = json.loads(manifest.read_text())["files"]
    code = rom.contents(targets.sources("unix"), "x64")
    assert {name: each["sha256"] for name, each in entries.items()} == {
        name: Entry.of(data).sha256 for name, data in code.items()
    }
    damaged = bytearray(unix.image)
    damaged[1000] ^= 1
    image.write_bytes(damaged)
    with pytest.raises(BuildError, match="is not the image of"):
        build.read(tmp_path, "unix")
    image.unlink()
    with pytest.raises(BuildError, match="tare firmware build --board unix"):
        build.read(tmp_path, "unix")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 2}', "null"])
def test_what_is_no_manifest_is_said_so(text: str, tmp_path: Path) -> None:
    path = tmp_path / "tare-unix.json"
    path.write_text(text)
    with pytest.raises(BuildError, match=r"tare-unix\.json is"):
        Manifest.read(path)


def test_files_for_two_interpreters_make_no_image() -> None:
    plain, armv7m, x64 = b"M\x06\x00\x1f", b"M\x06\x17\x1f", b"M\x06\x0b\x1f"
    assert Bytecode.of_files([plain, armv7m]) == Bytecode(6, 3, 5)
    assert Bytecode.of_files([plain]) == Bytecode(6)
    for bad in ([armv7m, x64], [plain, b"M\x05\x00\x1f"], [b"C\x06\x00\x1f"], [b"M"], []):
        with pytest.raises(BuildError):
            Bytecode.of_files(bad)
