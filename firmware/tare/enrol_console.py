"""The console's verbs for an enrolment over the cable (SPEC 10, 11.2)."""

from protocol.errors import ProtocolError
from tare import console as console_rules
from tare import version
from tare.errors import ConsoleError, EnrolmentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from tare.console import Console
    from tare.identity import Enrolment, Identity

_BUFFER = 4096
_DATA_PER_LINE = 256


class EnrolConsole:
    """`enrolled(identity)` is called once the cloud's answer was taken and stored."""

    def __init__(
        self, enrolment: "Enrolment", model: str, enrolled: "Callable[[Identity], None]"
    ) -> None:
        self._enrolment = enrolment
        self._model = model
        self._enrolled = enrolled
        self._buffer = bytearray(_BUFFER)

    def add_verbs(self, console: "Console") -> None:
        """Give the console its verbs `enrol-begin`, `data` and `enrol-finish`."""
        console.add("enrol-begin", self._begin)
        console.add("data", self._data)
        console.add("enrol-finish", self._finish)

    def _begin(self, arguments: list[str]) -> object:
        console_rules.expect(arguments, 1)
        challenge = console_rules.octets(arguments[0], 16, 16)
        try:
            request = self._enrolment.begin(challenge, self._model, version.FIRMWARE)
        except EnrolmentError as error:
            raise ConsoleError("refused", str(error))
        return {"request": request.hex()}

    def _data(self, arguments: list[str]) -> object:
        console_rules.expect(arguments, 2)
        data = console_rules.octets(arguments[1], 1, _DATA_PER_LINE)
        offset = console_rules.number(arguments[0], 0, _BUFFER - len(data))
        self._buffer[offset : offset + len(data)] = data
        return None

    def _finish(self, arguments: list[str]) -> object:
        console_rules.expect(arguments, 1)
        length = console_rules.number(arguments[0], 1, _BUFFER)
        try:
            identity = self._enrolment.finish(bytes(self._buffer[:length]))
        except (EnrolmentError, ProtocolError) as error:
            raise ConsoleError("refused", str(error))
        self._enrolled(identity)
        return {"id": identity.device_id}
