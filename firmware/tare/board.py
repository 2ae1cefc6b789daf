"""What the application asks of a board: the same names on each, in boards/<name>/.

Everything that touches hardware, the network, the clock or randomness is behind this interface.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protocol.envelope import Signer
    from tare.calibration import Calibration
    from tare.console import Console
    from tare.flash import Flash
    from tare.identity import Identity
    from tare.improv import Network
    from tare.mqtt import Stream


#: Longer than anything that blocks: resolving a name (lwIP gives up after 14 s), a signature.
WATCHDOG_MS = 30_000


class Radio:
    """Wi-Fi, as a station. `hostname` is what the device is called until that is set.

    Whoever waits may be cancelled: the radio then goes back to where nothing was begun.
    """

    hostname = ""

    async def scan(self) -> "list[Network]":
        """Return what was heard on all channels; `OSError` when the radio cannot.

        Names may be of any bytes, come several times, or be empty (hidden).
        """
        raise NotImplementedError

    async def join(self, ssid: bytes, password: bytes, hostname: str) -> bool:
        """Join a network (an empty password: an open one); True once there is an address.

        False when the network refused or is not there. May raise `OSError`, and may never end.
        """
        raise NotImplementedError

    def is_joined(self) -> bool:
        """Tell whether there is a network, with an address in it."""
        raise NotImplementedError

    def leave(self) -> None:
        """Leave the network and turn the radio off."""
        raise NotImplementedError


class Board:
    """A board. `model` names it in hello; `awake_ms` is how long it stays awake after the last act.

    `flash` is the data flash, `calibration` the one of the type, until a device has its own.
    """

    model = ""
    #: Whether `deep_sleep` is there, with a clock in it that is right to 50 ppm (SPEC 9.5).
    can_sleep = False
    awake_ms = 60_000
    flash: "Flash"
    calibration: "Calibration"
    #: The Wi-Fi of this board; None where the network is somebody else's.
    radio: "Radio | None" = None

    def random(self, size: int) -> bytes:
        """Return true random bytes, fit for keys."""
        raise NotImplementedError

    def make_signer(self, private: bytes) -> "Signer":
        """Return the signer for a P-256 private key."""
        raise NotImplementedError

    def monotonic_ms(self) -> int:
        """Milliseconds that only grow, through resets too while `retained` holds."""
        raise NotImplementedError

    def boot_reason(self) -> int:
        """Why the board started: one of the BOOT constants of protocol.frame."""
        raise NotImplementedError

    def retained(self) -> bytes:
        """Return what resets and deep sleep leave in memory; empty after a power cut."""
        raise NotImplementedError

    def retain(self, data: bytes) -> None:
        """Replace that memory."""
        raise NotImplementedError

    def reset(self) -> None:
        """Start anew; does not return."""
        raise NotImplementedError

    def deep_sleep(self, sleep_ms: int) -> None:
        """Turn off for so long, or until a load, the button or the console wakes; does not return.

        The start that follows has the reason BOOT_DEEP_SLEEP_WAKE. Meanwhile `retained` holds and
        `monotonic_ms` runs.
        """
        raise NotImplementedError

    def feed_watchdog(self) -> None:
        """Start the watchdog, or put it off: `WATCHDOG_MS` after the last call it resets the board.

        The start that follows has the reason BOOT_WATCHDOG.
        """
        raise NotImplementedError

    def write_line(self, text: str) -> None:
        """Write a line to the console, whole."""
        raise NotImplementedError

    def write_packet(self, packet: bytes) -> None:
        """Write bytes to the console as they are, between two lines. Boards with a radio only."""
        raise NotImplementedError

    def interruptible(self, *, on: bool) -> None:
        """Let Ctrl-C (byte 3) on the console end the program, or let the byte through as any other.

        At a start it ends the program: this is how a programmer's tool breaks in. Boards with a
        radio only.
        """
        raise NotImplementedError

    async def read_console(self) -> bytes:
        """Return the next bytes from the console, as they come."""
        raise NotImplementedError

    async def next_counts(self) -> int:
        """Return the load cell's next sample, 10 a second while someone is near."""
        raise NotImplementedError

    def presents(self, certificate: bytes, key: bytes) -> bool:
        """Tell whether TLS can load a client certificate and its key (both DER)."""
        del certificate, key
        return True

    async def open_stream(self, identity: "Identity") -> "Stream":
        """Connect to the identity's broker by TLS: its CA, its server name, our certificate.

        Resolves the address anew, verifies always, and raises `OSError` when anything is wrong.
        """
        raise NotImplementedError

    def add_verbs(self, console: "Console") -> None:
        """Give the console the verbs that only this board has."""
        raise NotImplementedError
