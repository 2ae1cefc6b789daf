"""What a device answers to a client of Improv Serial (SPEC 11.5). Pure: time is an argument.

The radio is another's: `work` says what it is to do, `scanned` and `joined` take what came of it.
Every answer is a list of packets, to be written in this order. First the error is set to none.
"""

from protocol import cbor, improv
from protocol.errors import CborError, ImprovError
from tare.errors import FirmwareError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.improv import Packet
    from tare.wifi import WifiStore

    #: Name, signal in dBm, whether it asks for a password.
    Network = tuple[bytes, int, bool]

#: What the radio is to do: nothing, look for networks, join the one in `wanted`.
NOTHING = 0
SCAN = 1
JOIN = 2

#: So long may joining take (ESPHome's limit; clients wait as long).
JOIN_MS = 30_000
#: A scan of all channels takes 2 to 4 s; clients wait 30 s for it.
SCAN_MS = 15_000
#: No client shows more; the strongest are told.
MAX_NETWORKS = 24
#: MicroPython takes no longer one (MICROPY_PY_NETWORK_HOSTNAME_MAX_LEN).
MAX_HOSTNAME = 32


class Session:
    """`store` keeps what worked. `about`: firmware, its version, the hardware."""

    def __init__(self, store: "WifiStore", about: "tuple[str, str, str]") -> None:
        self.work = NOTHING
        #: Name and password of the network that is to be joined.
        self.wanted = (b"", b"")
        self._store = store
        self._about = about
        self._until_ms = 0
        # The last try came to nothing: whatever is stored, the client may try again.
        self._failed = False
        self._acts: dict[int, Callable[[bytes, int], list[bytes]]] = {
            improv.WIFI_SETTINGS: self._settings,
            improv.GET_STATE: self._get_state,
            improv.DEVICE_INFO: self._information,
            improv.SCAN: self._scan,
            improv.HOSTNAME: self._hostname,
        }

    @property
    def state(self) -> int:
        """Where it stands, one of the states of protocol.improv."""
        if self.work == JOIN:
            return improv.PROVISIONING
        if self._failed or not self._store.is_set:
            return improv.READY
        return improv.PROVISIONED

    def receive(self, packet: "Packet", now_ms: int) -> list[bytes]:
        """Answer a packet; what is no RPC is no client's, perhaps the echo of our own."""
        if packet.kind != improv.RPC:
            return []
        try:
            command, payload = improv.parse_rpc(packet)
            act = self._acts.get(command)
            if act is None:
                return _refused(improv.UNKNOWN_RPC)
            return [improv.error(improv.NO_ERROR)] + act(payload, now_ms)  # noqa: RUF005
        except ImprovError:
            return _refused(improv.INVALID_RPC)

    def damaged(self) -> list[bytes]:
        """Answer a packet that had a wrong checksum: nothing in it is believed."""
        return _refused(improv.INVALID_RPC)

    def tick(self, now_ms: int) -> list[bytes]:
        """Give up what the radio has not done in time."""
        if self.work == NOTHING or now_ms < self._until_ms:
            return []
        return self.scanned(None) if self.work == SCAN else self.joined(ok=False)

    def scanned(self, networks: "list[Network] | None") -> list[bytes]:
        """Answer with the networks, strongest first, each name once; None: there was no scan."""
        if self.work != SCAN:
            return []
        self.work = NOTHING
        if networks is None:
            return [improv.error(improv.UNKNOWN_ERROR)]
        answers = [
            improv.result(improv.SCAN, [ssid, b"%d" % rssi, b"YES" if secured else b"NO"])
            for ssid, rssi, secured in _shown(networks)
        ]
        answers.append(improv.result(improv.SCAN, []))
        return answers

    def joined(self, *, ok: bool) -> list[bytes]:
        """Answer how joining went. Only what worked is stored, and only what is stored counts."""
        if self.work != JOIN:
            return []
        self.work = NOTHING
        wanted, self.wanted = self.wanted, (b"", b"")
        error = improv.UNABLE_TO_CONNECT
        self._failed = not ok
        if ok:
            try:
                self._store.set_network(wanted[0], wanted[1])
            except FirmwareError:
                self._failed, error = True, improv.UNKNOWN_ERROR
        if self._failed:
            return [improv.error(error), improv.state(self.state)]
        return [improv.state(self.state), self._redirect(improv.WIFI_SETTINGS)]

    def end(self) -> None:
        """The client is gone: what it tried in vain is no concern of the next."""
        self._failed = False

    def _settings(self, payload: bytes, now_ms: int) -> list[bytes]:
        wanted = improv.parse_wifi_settings(payload)
        if self.work != NOTHING:
            return [improv.error(improv.UNKNOWN_ERROR)]
        self.wanted = wanted
        self.work = JOIN
        self._until_ms = now_ms + JOIN_MS
        return [improv.state(self.state)]

    def _get_state(self, payload: bytes, _now_ms: int) -> list[bytes]:
        _none(payload)
        answers = [improv.state(self.state)]
        if self.state == improv.PROVISIONED:
            answers.append(self._redirect(improv.GET_STATE))
        return answers

    def _information(self, payload: bytes, _now_ms: int) -> list[bytes]:
        _none(payload)
        strings = [each.encode() for each in self._about]
        strings.append(self._store.hostname.encode())
        return [improv.result(improv.DEVICE_INFO, strings)]

    def _scan(self, payload: bytes, now_ms: int) -> list[bytes]:
        _none(payload)
        if self.work == JOIN:
            return [improv.error(improv.UNKNOWN_ERROR)]
        if self.work == NOTHING:
            # Else its client asks again: the scan under way answers both.
            self.work = SCAN
            self._until_ms = now_ms + SCAN_MS
        return []

    def _hostname(self, payload: bytes, _now_ms: int) -> list[bytes]:
        if payload:
            if self.work == JOIN:
                return [improv.error(improv.UNKNOWN_ERROR)]
            try:
                name = improv.parse_hostname(payload)
            except ImprovError:
                return [improv.error(improv.BAD_HOSTNAME)]
            if len(name) > MAX_HOSTNAME:
                return [improv.error(improv.BAD_HOSTNAME)]
            try:
                self._store.set_hostname(name)
            except FirmwareError:
                return [improv.error(improv.UNKNOWN_ERROR)]
        return [improv.result(improv.HOSTNAME, [self._store.hostname.encode()])]

    def _redirect(self, command: int) -> bytes:
        return improv.result(command, [self._store.portal.encode()])


def _refused(error: int) -> list[bytes]:
    return [improv.error(improv.NO_ERROR), improv.error(error)]


def _none(payload: bytes) -> None:
    if payload:
        raise ImprovError("improv-length")


def _shown(networks: "list[Network]") -> "list[Network]":
    """The strongest of each name that can be shown, in the order of their signals."""
    shown: list[Network] = []
    for network in sorted(networks, key=lambda each: -each[1]):
        if len(shown) == MAX_NETWORKS:
            break
        if _is_text(network[0]) and all(network[0] != other[0] for other in shown):
            shown.append(network)
    return shown


def _is_text(ssid: bytes) -> bool:
    """Anybody may send a name through the air: none that could end a line, or is no UTF-8."""
    if not 0 < len(ssid) <= improv.MAX_SSID or any(byte < 32 or byte == 127 for byte in ssid):
        return False
    try:
        # The one strict check of UTF-8 that both runtimes share: as the text of CBOR.
        cbor.decode(cbor.head(3, len(ssid)) + ssid)
    except CborError:
        return False
    return True
