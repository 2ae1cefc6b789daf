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
    from tare.mqtt import Stream


#: Longer than anything that blocks: resolving a name (lwIP gives up after 14 s), a signature.
WATCHDOG_MS = 30_000


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
