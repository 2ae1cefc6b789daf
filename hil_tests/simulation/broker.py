"""The broker and the network, as bad as MQTT allows and worse.

Messages are delayed, lost, doubled, overtaken, damaged, and shown again later: to the same
connection, to a later one, to the agent. The broker keeps nothing for those who are away.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hil_tests.simulation.timeline import HOUR_MS, Timeline
from protocol import topics

_REMEMBERED = 40
_LATEST_MS = 40 * HOUR_MS


@dataclass
class Weather:
    """Shares of messages that meet each fate; all 0 is a good day.

    `withheld`: an answer that the device gets on its next connection only.
    """

    lost: float = 0.0
    doubled: float = 0.0
    late: float = 0.0
    withheld: float = 0.0
    overtaken: float = 0.0
    damaged: float = 0.0
    shown_again: float = 0.0
    refused: float = 0.0

    def clear(self) -> None:
        """From now on everything arrives once, soon and in order."""
        self.lost = self.doubled = self.late = self.overtaken = 0.0
        self.withheld = self.damaged = self.shown_again = self.refused = 0.0


class Client(Protocol):
    """A device, as the broker sees it."""

    id: str

    def arrived(self, connection: int, payload: bytes) -> None:
        """A message on the topic that it subscribed to on this connection."""

    def acknowledged(self, connection: int, payload: bytes) -> None:
        """A PUBACK for what it published."""

    def disconnected(self, connection: int) -> None:
        """The connection is gone."""


class Broker:
    """`agent(topic, payload)` takes what devices publish; `clients` are the connected ones."""

    def __init__(self, timeline: Timeline, rng: random.Random, weather: Weather) -> None:
        self.weather = weather
        self.up = True
        self.agent: Callable[[str, bytes], None] = _nobody
        self._timeline = timeline
        self._rng = rng
        self._clients: dict[str, tuple[int, Client]] = {}
        self._number = 0
        self._last_ms: dict[str, int] = {}
        self._withheld: dict[str, list[bytes]] = {}
        self._uplink: deque[tuple[str, bytes]] = deque(maxlen=_REMEMBERED)
        self._downlink: deque[tuple[str, bytes]] = deque(maxlen=_REMEMBERED)

    def connect(self, client: Client) -> int | None:
        """The number of the new connection, which takes the place of an older one; or None."""
        if not self.up or self._rng.random() < self.weather.refused:
            return None
        self._number += 1
        self._clients[client.id] = (self._number, client)
        topic = topics.down(client.id)
        for payload in self._withheld.pop(topic, ()):
            # Behind the welcome, or before it.
            self._later(self._delay_ms() * 10, topic, payload, self._to_client)
        return self._number

    def disconnect(self, client: Client, connection: int) -> None:
        """The device has gone."""
        if self._connection(client.id) == connection:
            del self._clients[client.id]

    def stop(self) -> None:
        """Every connection ends."""
        self.up = False
        gone, self._clients = self._clients, {}
        for number, client in gone.values():
            client.disconnected(number)

    def start(self) -> None:
        """Takes connections again."""
        self.up = True

    def publish(self, client: Client, connection: int, payload: bytes) -> None:
        """From a device, QoS 1: acknowledged when the broker has it."""
        if not self.up or self._connection(client.id) != connection:
            return
        topic = topics.up(client.id)
        if self._rng.random() >= self.weather.lost:
            self._timeline.after(self._delay_ms(), lambda: client.acknowledged(connection, payload))
        self._send(topic, payload, self._to_agent, self._uplink)

    def answer(self, topic: str, payload: bytes) -> None:
        """From the agent, QoS 0."""
        if self._rng.random() < self.weather.withheld:
            self._withheld.setdefault(topic, []).append(payload)
        elif self.up:
            self._send(topic, payload, self._to_client, self._downlink)

    def _send(
        self,
        topic: str,
        payload: bytes,
        deliver: Callable[[str, bytes], None],
        memory: deque[tuple[str, bytes]],
    ) -> None:
        weather, chance = self.weather, self._rng.random
        if chance() >= weather.lost:
            self._later(self._in_turn_ms(topic), topic, payload, deliver)
        if chance() < weather.doubled:
            self._later(self._delay_ms() * 50, topic, payload, deliver)
        if chance() < weather.late:
            self._later(self._rng.randrange(_LATEST_MS), topic, payload, deliver)
        if chance() < weather.damaged:
            self._later(self._delay_ms(), topic, self._damaged(payload), deliver)
        if memory and chance() < weather.shown_again:
            other_topic, old = self._rng.choice(memory)
            target = self._rng.choice((topic, other_topic))
            self._later(self._delay_ms(), target, old, deliver)
        memory.append((topic, payload))

    def _later(
        self, delay_ms: int, topic: str, payload: bytes, deliver: Callable[[str, bytes], None]
    ) -> None:
        self._timeline.after(delay_ms, lambda: deliver(topic, payload))

    def _to_agent(self, topic: str, payload: bytes) -> None:
        if self.up:
            self.agent(topic, payload)

    def _to_client(self, topic: str, payload: bytes) -> None:
        device = topic.split("/")[2]
        if device in self._clients:
            number, client = self._clients[device]
            client.arrived(number, payload)

    def _connection(self, device: str) -> int:
        return self._clients[device][0] if device in self._clients else 0

    def _in_turn_ms(self, topic: str) -> int:
        """A delay that keeps a topic's order, as MQTT does; or, beyond it, does not."""
        now_ms = self._timeline.now_ms
        due_ms = now_ms + self._delay_ms()
        if self._rng.random() >= self.weather.overtaken:
            due_ms = max(due_ms, self._last_ms.get(topic, 0))
            self._last_ms[topic] = due_ms
        return due_ms - now_ms

    def _delay_ms(self) -> int:
        return 5 + int(self._rng.expovariate(1 / 60))

    def _damaged(self, payload: bytes) -> bytes:
        place = self._rng.randrange(len(payload))
        flipped = bytes((payload[place] ^ 1 << self._rng.randrange(8),))
        cut = self._rng.choice((len(payload), place + 1))
        return (payload[:place] + flipped + payload[place + 1 :])[:cut]


def _nobody(_topic: str, _payload: bytes) -> None:
    """No agent has subscribed."""
