"""Which Wi-Fi this device uses, kept in flash (SPEC 12.8), and the radio that joins it.

In two raw copies and not in a file: what littlefs removes can still be read. The store touches
the flash that it is given; `Wifi` is the edge, through which everybody uses the one radio.
"""

import asyncio

from tare import flash as flash_map
from tare.errors import LinkError, StorageError
from tare.two_copies import TwoCopies

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tare.board import Board, Radio
    from tare.flash import Flash
    from tare.improv import Network

_FIELDS = 5
MAX_PORTAL = 200


class WifiStore:
    """Name and password of the network, hostname, and where a person goes on: the portal's URL.

    `default_hostname` holds until one is set. Raises `StorageError` for what it cannot read.
    """

    def __init__(self, flash: "Flash", default_hostname: str) -> None:
        self._copies = TwoCopies(flash, flash_map.WIFI)
        self._default_hostname = default_hostname
        # [name or None, password, hostname, portal, forgotten once this sequence is settled]
        self._item: list[Any] = _nothing(None)
        item = self._copies.item()
        if item is not None:
            if not isinstance(item, list) or len(item) != _FIELDS:
                raise StorageError("Wi-Fi in a form that is not known")
            self._item = item

    @property
    def is_set(self) -> bool:
        """Whether there is a network to join."""
        return self._item[0] is not None

    @property
    def network(self) -> tuple[bytes, bytes]:
        """Name and password; only when `is_set`."""
        return self._item[0], self._item[1]

    @property
    def hostname(self) -> str:
        """What the device calls itself in the network."""
        return self._item[2] or self._default_hostname

    @property
    def portal(self) -> str:
        """The URL, empty when none was set."""
        return self._item[3]

    def set_network(self, ssid: bytes, password: bytes) -> None:
        """Keep a network that was joined; it is not forgotten with the one before."""
        self._change([ssid, password, self._item[2], self._item[3], None])

    def set_hostname(self, name: str) -> None:
        """Keep a hostname."""
        self._change(self._item[:2] + [name] + self._item[3:])  # noqa: RUF005 - MicroPython

    def set_portal(self, url: str) -> None:
        """Keep the URL."""
        self._change(self._item[:3] + [url] + self._item[4:])  # noqa: RUF005 - MicroPython

    def forget_after(self, sequence: int) -> None:
        """Forget everything once the cloud has settled this sequence, which it still must reach."""
        if self._item != _nothing(None):
            self._change(self._item[:4] + [sequence])  # noqa: RUF005 - MicroPython

    def settled(self, oldest: int) -> bool:
        """Forget what is to be forgotten, without a trace; all before `oldest` is settled.

        Tells whether it forgot. At a start it ends what a power cut left in the other copy.
        """
        if self._item[4] is None or oldest <= self._item[4]:
            return False
        # The copy written first says that the other one is still to be overwritten.
        self._change(_nothing(0))
        self._change(_nothing(None))
        return True

    def _change(self, item: "list[Any]") -> None:
        """`StorageError` or `FlashError` when it cannot be stored: then nothing was changed."""
        if item == self._item:
            return
        self._copies.store(item)
        self._item = item


def _nothing(mark: int | None) -> "list[Any]":
    return [None, b"", "", "", mark]


def wifi_of(board: "Board") -> "Wifi | None":
    """Return the Wi-Fi of a board that has one."""
    radio = board.radio
    return None if radio is None else Wifi(radio, WifiStore(board.flash, radio.hostname))


class Wifi:
    """The radio and who needs it: it is off when nobody does. One at a time uses it."""

    def __init__(self, radio: "Radio", store: WifiStore) -> None:
        self.store = store
        self._radio = radio
        self._lock = asyncio.Lock()
        self._users: list[str] = []

    @property
    def is_joined(self) -> bool:
        """Whether there is a network at the moment."""
        return self._radio.is_joined()

    async def scan(self, user: str) -> "list[Network]":
        """Return the networks around; `OSError` when the radio cannot."""
        self._need(user)
        async with self._lock:
            return await self._radio.scan()

    async def try_out(self, user: str, ssid: bytes, password: bytes) -> bool:
        """Leave any other network and join this one; True once the device has an address."""
        self._need(user)
        async with self._lock:
            self._radio.leave()
            return await self._radio.join(ssid, password, self.store.hostname)

    async def join(self, user: str) -> None:
        """Join the network that is stored, when there is one and it is not joined already.

        `LinkError` when it does not answer or does not let us in.
        """
        if not self.store.is_set:
            return
        self._need(user)
        async with self._lock:
            if self._radio.is_joined():
                return
            ssid, password = self.store.network
            try:
                ok = await self._radio.join(ssid, password, self.store.hostname)
            except OSError:
                ok = False
            if not ok:
                raise LinkError("the Wi-Fi cannot be joined")

    def drop(self) -> None:
        """Leave a network that was tried out in vain; who needs the radio joins anew."""
        self._radio.leave()

    def leave(self, user: str) -> None:
        """This user does not need the radio any more; the last one turns it off."""
        if user in self._users:
            self._users.remove(user)
            if not self._users:
                self._radio.leave()

    def _need(self, user: str) -> None:
        if user not in self._users:
            self._users.append(user)
