"""The air around a scale: access points, how strong each is heard, what becomes of joining one.

Times and levels are those of 2.4 GHz at home; the sources stand beside the numbers. `random(n)`
gives n random bytes; touches nothing else.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# An ESP32 hears frames of 1 Mbit/s, as beacons are, down to -98 dBm (data sheet); half are lost
# some dB above that.
_SENSITIVITY_DBM = -94
# Standard deviation of a level at one place, from one scan to the next.
_FADING_DB = 3
# 13 channels, 120 ms of listening on each (the default of the ESP-IDF).
SCAN_MS = 13 * 120
# Until a station believes that a network is not there: two scans of all channels.
_ABSENT_MS = 2 * SCAN_MS
# A wrong password shows as a handshake without an end: message 1 of 4 is repeated for about as
# long before the access point gives up (hostapd: 4 tries, 1 s apart), and the station tries twice.
_HANDSHAKE_MS = 2_000
# Authentication, association and a handshake that ends; an address by DHCP.
_ASSOCIATION_MS = 300
_ADDRESS_MS = 700


class AccessPoint:
    """A network: its name, its password (empty: open), its mean level at the scale.

    `lets_in` is false for one that gives nobody an address, `up` for one that is switched off.
    """

    def __init__(
        self, ssid: bytes, password: bytes, level_dbm: int, *, lets_in: bool = True
    ) -> None:
        self.ssid = ssid
        self.password = password
        self.level_dbm = level_dbm
        self.lets_in = lets_in
        self.up = True


class Outcome:
    """What becomes of joining: after `after_ms` it went well or not; None: there is no end."""

    def __init__(self, after_ms: int | None, *, ok: bool) -> None:
        self.after_ms = after_ms
        self.ok = ok


class Air:
    """Access points and chance."""

    def __init__(self, points: list[AccessPoint], random: "Callable[[int], bytes]") -> None:
        self.points = points
        self._random = random

    def scan(self) -> list[tuple[bytes, int, bool]]:
        """Return name, level in dBm and whether there is a password, of all that were heard."""
        heard = []
        for point in self.points:
            level = self._level(point)
            if level >= _SENSITIVITY_DBM:
                heard.append((point.ssid, level, bool(point.password)))
        return heard

    def join(self, ssid: bytes, password: bytes) -> Outcome:
        """Return what becomes of joining; the nearest of several with that name is taken."""
        named = [each for each in self.points if each.ssid == ssid]
        heard = [each for each in named if self._level(each) >= _SENSITIVITY_DBM]
        if not heard:
            return Outcome(_ABSENT_MS, ok=False)
        best = max(heard, key=lambda each: each.level_dbm)
        if best.password != password:
            return Outcome(SCAN_MS + 2 * _HANDSHAKE_MS + self._below(1_000), ok=False)
        if not best.lets_in:
            return Outcome(None, ok=False)
        # Frames that are lost are sent again: the weaker, the longer.
        slow = max(1, (best.level_dbm + 60) // -5)
        some_ms = _ASSOCIATION_MS + _ADDRESS_MS * slow + self._below(500)
        return Outcome(SCAN_MS + some_ms, ok=True)

    def _level(self, point: AccessPoint) -> int:
        if not point.up:
            return _SENSITIVITY_DBM - 1
        # The sum of twelve uniform numbers has variance 1: nearly a normal one.
        raw = self._random(12)
        return point.level_dbm + round(_FADING_DB * (sum(raw) / 255 - 6))

    def _below(self, bound: int) -> int:
        """A number below `bound`; bound is small against 2**32, so the bias does not matter."""
        return int.from_bytes(self._random(4), "big") % bound
