"""Act 6: three forgeries, of which the cloud keeps the reason and nothing else."""

from __future__ import annotations

import json
import time
import zipfile
from typing import Any

from cloud_agent.privacy.scan import Pattern, files_below, scan
from tools.demo import flash_image, intruder
from tools.demo.errors import DemoError
from tools.demo.intruder import Intruder
from tools.demo.play import Play

_REFUSED_S = 15
_FORGERIES = 3


def forge(play: Play) -> None:
    """Each forgery is refused for its own reason, and nothing of it is kept."""
    screen = play.screen
    screen.say("A second scale is enrolled, and an intruder reads the keys out of both chips.")
    _enrol_second(play)
    frame = exported_frames(play)[0]
    first = flash_image.steal(play.scale.flash)
    second = flash_image.steal(play.second.flash)
    # A certificate is connected once: the intruder takes the place of the scale.
    play.scale.power_cut()
    stored = play.check_exactly_once()
    (flipped, around), unknown = intruder.flip_a_bit(frame), intruder.sign_anew(frame)
    thief, other = Intruder(first), Intruder(second)
    with thief.connected():
        screen.say("A genuine frame with one bit of its weight flipped.")
        thief.publish(flipped)
        screen.say("The same frame, rightly signed by a key that nobody enrolled.")
        thief.publish(unknown)
    with other.connected():
        screen.say("The genuine frame, on the topic of the other scale.")
        other.publish(frame)
    reasons = await_refusals(play, _FORGERIES)
    for row in reasons:
        screen.seen(f"refused: {row['reason']} (key {row['kid']}, {row['length']} bytes)")
    names = [row["reason"] for row in reasons]
    if names != ["signature", "unknown-key", "wrong-topic"]:
        raise DemoError(f"refused for other reasons than expected: {names}")
    files = _check_no_trace(play, [flipped, unknown], [around, intruder.signature(unknown)])
    screen.seen(f"their bytes are in none of the {files} files of the cloud")
    if play.check_exactly_once() != stored:
        raise DemoError("a forgery changed the readings")
    screen.conclude(
        f"{len(names)} forgeries refused ({', '.join(names)}): reasons recorded, their bytes in"
        f" none of {files} files, the {stored} readings unchanged"
    )


def exported_frames(play: Play) -> list[bytes]:
    """The signed frames of the account, as the owner gets them."""
    target = play.scratch / f"frames-{time.monotonic_ns()}.zip"
    play.cloud.tare("account", "export", "--output", str(target), mine=True)
    with zipfile.ZipFile(target) as archive:
        names = sorted(name for name in archive.namelist() if name.startswith("frames/"))
        frames = [archive.read(name) for name in names]
    target.unlink()
    if not frames:
        raise DemoError("the export holds no signed frames")
    return frames


def await_refusals(play: Play, count: int) -> list[dict[str, Any]]:
    """Waits until the cloud has noted `count` refusals; all of them, oldest first."""
    deadline_s = time.monotonic() + _REFUSED_S
    while len(refused := play.cloud.refused()) < count:
        if time.monotonic() > deadline_s:
            raise DemoError(f"{count} refusals were expected, noted are {refused}")
        time.sleep(0.5)
    return refused


def _enrol_second(play: Play) -> None:
    play.second.power_on()
    play.second.let_go()
    said = play.cloud.tare("device", "enroll", "--port", play.second.port, "--json")
    play.screen.note(f"second scale: {json.loads(said)['device']}")
    play.second.power_cut()


def _check_no_trace(play: Play, forgeries: list[bytes], telling: list[bytes]) -> int:
    """The telling bytes of the forgeries are in no file of the cloud; how many files these are."""
    patterns = [Pattern(f"forgery {number}", data) for number, data in enumerate(telling, 1)]
    control = play.scratch / "control"
    control.write_bytes(b"".join(forgeries))
    if len(scan([control], patterns)) != len(patterns):
        raise DemoError("the scanner does not find what is there")
    files = list(files_below(play.cloud.data))
    hits = scan(files, patterns)
    if hits:
        raise DemoError(f"bytes of a refused message were kept: {hits}")
    return len(files)
