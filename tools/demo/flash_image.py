"""Reads a device's identity out of its flash image, as a thief with the chip in hand would.

Only the demo's intruder uses it. The layout is SPEC 12.1 and the firmware's identity.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocol import cbor, cose, p256, topics
from tools.demo.errors import DemoError

_SECTOR = 4096
_HEADER = 16
_MAGIC = b"TARE"
_KIND = 0


@dataclass(frozen=True)
class Stolen:
    """What is needed to speak to the broker as that device."""

    device_id: str
    tls_private: bytes
    mac_key: bytes
    certificate: bytes
    ca_certificate: bytes
    host: str
    port: int
    server_name: str


def steal(flash: Path) -> Stolen:
    """The identity in the newest whole copy. Raises DemoError when the device is not enrolled."""
    image = flash.read_bytes()
    copies = [_copy(image[place : place + _SECTOR]) for place in (0, _SECTOR)]
    whole = [copy for copy in copies if copy is not None]
    if not whole:
        raise DemoError(f"{flash.name} holds no identity")
    _, item = max(whole, key=lambda copy: copy[0])
    private, tls_private, mac_key, _, certificate, ca, _, host, port, server_name = item[:10]
    kid = cose.key_id(p256.public_key(private))
    return Stolen(
        topics.device_id(kid), tls_private, mac_key, certificate, ca, host, port, server_name
    )


def _copy(sector: bytes) -> tuple[int, Any] | None:
    header, body = sector[:_HEADER], sector[_HEADER:]
    length = int.from_bytes(header[6:8], "little")
    generation = int.from_bytes(header[8:12], "little")
    body = body[:length]
    if header[:4] != _MAGIC or header[4] != _KIND or length == 0:
        return None
    if zlib.crc32(header[:12] + body) != int.from_bytes(header[12:], "little"):
        return None
    return generation, cbor.decode(body)
