"""Act 7: the account is exported and erased, and the raw bytes of every file are the witness."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import zipfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from cloud_agent.privacy.scan import Hit, Pattern, files_below, scan
from protocol.answer import DROP_ERASED
from tools.demo import act_forgery, flash_image, intruder
from tools.demo.errors import DemoError
from tools.demo.intruder import Intruder
from tools.demo.play import Play

_SETTLE_S = 60
_DEVICE_S = 90
_SAMPLE = 32
_CIPHERTEXTS = 3
_IN_THE_CLEAR = "in the clear"


def erase(play: Play) -> None:
    """Export, scan, erasure, scan, and a frame from the past that comes too late."""
    screen = play.screen
    play.scale.power_on()
    with screen.waiting("the scale connects"):
        play.scale.until_settled(_SETTLE_S)
    frames = act_forgery.exported_frames(play)
    exported = _export(play)
    patterns = _scan_set(play, frames)
    before = _look(play, patterns)
    _check_controls(play, patterns, before)
    places = sum(hit.count for hit in before)
    screen.seen(f"before: {len(patterns)} patterns found in {places} places, each where it belongs")
    receipt = _erase(play)
    after = _look(play, patterns)
    if after:
        found = ", ".join(f"{hit.label} in {hit.file.name}" for hit in after)
        raise DemoError(f"after the erasure there are still: {found}")
    files = len([*files_below(play.cloud.data), play.scale.flash])
    screen.seen(f"after: 0 places in {files} files, the scale's flash among them")
    late = _late_frame(play, frames)
    if play.cloud.try_tare("readings", "list", mine=True).returncode == 0:
        raise DemoError("the erased account can still log in")
    screen.seen("the account is gone: its login is refused")
    screen.conclude(
        f"{exported} readings exported (JSON, CSV, {len(frames)} signed frames); erased:"
        f" {len(patterns)} patterns in {places} places before, {len(after)} after in {files} files"
        f" (the receipt says {receipt}); a late frame refused with reason {late}"
    )


def _export(play: Play) -> int:
    """Exports, and checks what an owner would look at; how many readings it holds."""
    target = play.folder / "export.zip"
    play.cloud.tare("account", "export", "--output", str(target), mine=True)
    with zipfile.ZipFile(target) as archive:
        readings = json.loads(archive.read("readings.json"))
        rows = list(csv.DictReader(io.StringIO(archive.read("readings.csv").decode())))
    weights = [f"{reading['values']['weight']['value']:.2f}" for reading in readings]
    if sorted(weights) != sorted(saved.shown_kg for saved in play.saved):
        raise DemoError(f"the export holds other readings: {weights}")
    if len(rows) != len(readings):
        raise DemoError("the JSON and the CSV of the export differ")
    sample = readings[0]
    weight = sample["values"]["weight"]
    play.screen.note(
        f"{sample['taken']} ({sample['taken_utc']}, offset {sample['utc_offset_s']} s):"
        f" {weight['value']} {weight['unit']}"
    )
    play.screen.seen(f"{len(readings)} readings as JSON and CSV, as the display showed them")
    target.unlink()
    return len(readings)


def _scan_set(play: Play, frames: Sequence[bytes]) -> list[Pattern]:
    """What has to be nowhere afterwards; `home` is where it has to be found before."""
    patterns = [
        Pattern("e-mail address", play.email.encode(), "exports"),
        Pattern("name", play.name.encode(), "exports"),
    ]
    patterns += [
        Pattern(f"record {number} {_IN_THE_CLEAR}", record, play.scale.flash.name)
        for number, record in enumerate(
            (record for frame in frames for record in intruder.plain_records(frame)), 1
        )
    ]
    patterns += [
        Pattern(f"signature of frame {number}", intruder.signature(frame), "exports")
        for number, frame in enumerate(frames, 1)
    ]
    main, keys = play.cloud.data / "tare.db", play.cloud.data / "keys.db"
    (subject,) = _column(main, "SELECT subject FROM account")
    patterns.append(Pattern("subject id", subject, main.name))
    patterns.append(Pattern("subject id beside the keys", subject, keys.name))
    for table, column in (
        ("reading", "ciphertext"),
        ("frame", "ciphertext"),
        ("account", "contact"),
    ):
        sealed = _column(main, f"SELECT {column} FROM {table} LIMIT {_CIPHERTEXTS}")  # noqa: S608 -- our own names
        patterns += [
            Pattern(f"{table} ciphertext {number}", data[-_SAMPLE:], main.name)
            for number, data in enumerate(sealed, 1)
        ]
    patterns += [
        Pattern(f"wrapped key {number}", data, keys.name)
        for number, data in enumerate(_column(keys, _WRAPPED, subject), 1)
    ]
    return patterns


_WRAPPED = "SELECT wrapped FROM owner_key WHERE owner = ?"


def _column(database: Path, query: str, *values: Any) -> list[bytes]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return [bytes(row[0]) for row in connection.execute(query, values)]


def _look(play: Play, patterns: Sequence[Pattern]) -> list[Hit]:
    return scan([*files_below(play.cloud.data), play.scale.flash], patterns)


def _check_controls(play: Play, patterns: Sequence[Pattern], hits: Sequence[Hit]) -> None:
    """A scan that finds nothing proves nothing unless it found everything before."""
    for pattern in patterns:
        homes = [hit for hit in hits if hit.label == pattern.label and _is_home(hit, pattern.home)]
        if not homes:
            raise DemoError(f"before the erasure there is no {pattern.label} in {pattern.home}")
    for hit in hits:
        if _IN_THE_CLEAR in hit.label and _place(play, hit.file).startswith("tare.db"):
            raise DemoError("the database holds a reading in the clear")
    play.screen.seen("readings in the clear are in the scale and in the exports, in no database")
    counted: dict[str, int] = {}
    for hit in hits:
        name = _place(play, hit.file)
        counted[name] = counted.get(name, 0) + hit.count
    for name, count in sorted(counted.items()):
        play.screen.note(f"{name}: {count} places")


def _is_home(hit: Hit, home: str) -> bool:
    # A database's write-ahead log belongs to it.
    return hit.file.name.startswith(home) or home in hit.file.parts


def _place(play: Play, file: Path) -> str:
    if file.is_relative_to(play.cloud.data):
        return file.relative_to(play.cloud.data).parts[0]
    return file.name


def _erase(play: Play) -> str:
    play.screen.say("Ledger, keys, rows, and the scale by a signed command; then the proof.")
    words = ["--yes", "--wait", str(_DEVICE_S), "--also-scan", str(play.scale.flash), "--json"]
    with play.screen.waiting("erasing"):
        report = json.loads(play.cloud.tare("account", "erase", *words, mine=True))
    for device, state in report["devices"].items():
        play.screen.note(f"device {device}: {state}")
    for text in report["not_verified"]:
        play.screen.note(f"not verified: {text}")
    if report["state"] != "proven":
        raise play.scale.complaint(f"the erasure is {report['state']}, not proven: {report}")
    about = play.scale.about()
    if about["claim_epoch"] != 0:
        raise play.scale.complaint("the scale is still claimed")
    play.screen.seen(
        f"receipt {report['request'][:8]}…: {report['patterns']} patterns, state proven"
    )
    return f"{report['state']}, {report['patterns']} patterns"


def _late_frame(play: Play, frames: Sequence[bytes]) -> str:
    """A frame of the erased person, recorded before, comes now."""
    play.screen.say("A frame that was recorded before the erasure arrives late.")
    play.scale.power_cut()
    known = len(play.cloud.refused())
    late = Intruder(flash_image.steal(play.scale.flash))
    with late.connected():
        late.publish(frames[-1])
        ack = late.ack()
    reasons = {reason for _, reason in ack.refusals}
    if reasons != {DROP_ERASED}:
        raise DemoError(f"the late frame was answered with {ack.refusals}")
    row = act_forgery.await_refusals(play, known + 1)[-1]
    rows = _column(play.cloud.data / "tare.db", "SELECT id FROM reading")
    if rows:
        raise DemoError("a reading of the erased person was stored")
    play.screen.seen(f"refused: {row['reason']} (the scale is told: erased, let it go)")
    return str(row["reason"])
