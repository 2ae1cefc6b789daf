"""The one error tree of the firmware.

No message ever holds a key, a code or a reading: errors end up in the log.
"""


class FirmwareError(Exception):
    """Root: something that this device could not do, with the reason as text."""


class FlashError(FirmwareError):
    """The flash refused an operation, or did not read back what was programmed."""


class StorageError(FirmwareError):
    """What is in flash was written by another version, or cannot be stored."""


class JournalFullError(FirmwareError):
    """No room for another record until the cloud has settled older ones."""


class EnrolmentError(FirmwareError):
    """An enrolment that cannot begin, or an answer that must not be accepted."""


class ConsoleError(FirmwareError):
    """A console request that is refused; `code` is the stable word of SPEC 11.1."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class LinkError(FirmwareError):
    """The connection failed, or the broker did not keep to MQTT 3.1.1."""


class SensorError(FirmwareError):
    """A sensor gave no usable value."""


class SignerError(FirmwareError):
    """The signer's table or arithmetic is damaged: nothing may be signed."""
