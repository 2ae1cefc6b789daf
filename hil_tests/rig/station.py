"""A person's whole station: a cloud with their account, and a scale that they claimed."""

from __future__ import annotations

import re
import time
from pathlib import Path

from cloud_agent.devices.errors import ClaimError
from hil_tests.rig.cloud import Cloud, Export
from hil_tests.rig.scale import Saved, Scale
from hil_tests.rig.verdict import complaints
from hil_tests.rig.waiting import until

_CLAIM_S = 30
_STAYS_ON = ("--fast",)
# It is done soon, so that a test need not wait a minute for its sleep.
_SLEEPS = ("--fast", "--awake", "3", "--deep-sleep")
_SETTLED_S = 60
# Five attempts an hour are allowed; connecting takes a second or two on a busy machine.
_TYPING_PAUSES_S = (1, 2, 4)
_CODE = re.compile(r"\b[0-9A-Z]{4}-[0-9A-Z]{4}\b")


class Station:
    """Make it, then `open`; whatever happened, `close`."""

    def __init__(
        self, folder: Path, kind: str, *, together: bool = False, deep_sleep: bool = False
    ) -> None:
        self.folder = folder
        self.cloud = Cloud(folder / "cloud", kind, together=together)
        self.scale = Scale(folder / "scale", options=_SLEEPS if deep_sleep else _STAYS_ON)
        self.device = ""

    def open(self) -> None:
        """Starts everything, opens the account, enrols and claims the scale."""
        self.cloud.start()
        self.cloud.open_account()
        self.scale.power_on()
        self.cloud.tare("device", "enroll", "--port", self.scale.port)
        self.device = self.scale.ask("about")["id"]
        self.claim()

    def claim(self) -> None:
        """Presses the button, types the code that the display shows."""
        self._type_code(self.claim_code())
        until(
            lambda: self.scale.ask("about")["claim_epoch"] > 0,
            "the scale obeys its claim",
            timeout_s=_CLAIM_S,
            poll_s=0.2,
        )
        # The claim's receipt is a record too: the tests begin with an empty journal.
        self.settle()

    def _type_code(self, code: str) -> None:
        """Types it as a person does: again after a moment, if the scale had not told the cloud."""
        for pause_s in _TYPING_PAUSES_S:
            try:
                self.cloud.ask_as_person("device.claim", code=code)
            except ClaimError:
                time.sleep(pause_s)
            else:
                return
        self.cloud.ask_as_person("device.claim", code=code)

    def claim_code(self) -> str:
        """Presses the button; the code that the display shows, maybe before the cloud knows it."""
        since = self.scale.mark()
        self.scale.ask("button", "short")

        def code() -> str | None:
            for event in self.scale.events(since):
                found = _CODE.findall(
                    " ".join(event.data["lines"]) if event.name == "display" else ""
                )
                if len(found) == 2:
                    return "-".join(found)
            return None

        return until(code, "the display shows a claim code", timeout_s=_CLAIM_S)

    def settle(self, timeout_s: float = _SETTLED_S) -> None:
        """Wakes the scale until its journal is empty."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            self.scale.ask("wake")
            pause_s = time.monotonic() + 2
            while time.monotonic() < pause_s:
                if self.scale.kept == 0:
                    return
                time.sleep(0.1)
        raise AssertionError(
            f"the journal still holds {self.scale.kept} records after {timeout_s:.0f} s"
        )

    def verify_exactly_once(self, saved: list[Saved], *, unannounced: int = 0) -> Export:
        """Everything that was announced as saved is stored, once, with the weight that was shown;
        nothing else is, but at most `unannounced` readings whose announcement a cut swallowed.
        """
        export = self.cloud.export()
        wrong = complaints(saved, export.signed(), export.listed_g(), unannounced=unannounced)
        assert not wrong, "; ".join(wrong)
        return export

    def close(self) -> None:
        """Ends everything; a second call does nothing."""
        self.scale.close()
        self.cloud.kill()

    def report(self) -> str:
        """For failure messages: where the logs are, and the end of each."""
        parts = []
        for path in (self.scale.capture, self.cloud.agent.log, self.cloud.logs / "broker.log"):
            if path.exists():
                lines = path.read_text(errors="replace").splitlines()[-40:]
                parts.append(f"--- {path} (end)\n" + "\n".join(lines))
        return "\n".join(parts)
