"""A stream of people who step on, one after the other, while the test does something else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cloud_agent.devices.errors import ConsoleError
from hil_tests.rig.scale import Scale

# Four people, then a pause: about fifteen a second, more than any bathroom has.
_PEOPLE = 4
_PAUSE_S = 0.2


@contextmanager
def people_step_on(scale: Scale) -> Iterator[None]:
    """As long as the block runs. What goes wrong with the console meanwhile is raised after it."""
    over = threading.Event()
    errors: list[ConsoleError] = []

    def feed() -> None:
        while not over.wait(_PAUSE_S):
            try:
                scale.ask("sim", "stream", _PEOPLE)
            except ConsoleError as error:
                # Too many are waiting already: the machine is slow, and the stream goes on.
                if "waiting" not in str(error):
                    errors.append(error)
                    return

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if errors:
        raise errors[0]
