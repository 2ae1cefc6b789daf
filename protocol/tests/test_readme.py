"""The example of the README runs as it stands."""

import re
from pathlib import Path

from protocol import cbor, envelope, frame, message_types, p256, reading
from protocol.tests import support

_README = Path(__file__).resolve().parent.parent.joinpath("README.md").read_text("utf-8")


def test_example_sends_and_receives_a_frame() -> None:
    names = {
        "cbor": cbor,
        "envelope": envelope,
        "frame": frame,
        "message_types": message_types,
        "p256": p256,
        "reading": reading,
        "signer": support.signer(1),
        "public_key": support.signer(1).public_key,
    }
    blocks = re.findall(r"```python\n(.*?)```", _README, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(block, names)  # noqa: S102 - our own page
    assert names["received"] == names["frame_"]


def test_every_module_has_its_row() -> None:
    package = Path(frame.__file__).parent
    modules = {path.name for path in package.glob("*.py")} - {"__init__.py"}
    rows = "\n".join(line for line in _README.splitlines() if line.startswith("| `"))
    assert modules == set(re.findall(r"`(\w+\.py)`", rows))
