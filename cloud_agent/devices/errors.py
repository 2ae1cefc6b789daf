"""What can go wrong with devices. Messages hold no key, code or reading."""

from __future__ import annotations

from cloud_agent.errors import NotFoundError, RefusedError, TareError


class DeviceError(TareError):
    """Something about a device failed."""

    kind = "device"


class AuthorityError(DeviceError):
    """The certificate authority is damaged, readable by others, or cannot be written."""

    kind = "authority"


class PublicKeyError(DeviceError):
    """Bytes that are no P-256 public key."""

    kind = "public-key"


class EnrolmentError(RefusedError):
    """The cloud does not enrol this device."""

    kind = "enrolment"


class ClaimError(RefusedError):
    """The cloud does not give this device to this account."""

    kind = "claim"


class RenewalError(RefusedError):
    """A renewal that cannot be ordered now."""

    kind = "renewal"


class UnknownDeviceError(NotFoundError):
    """No device of this id here."""

    kind = "unknown-device"


class ConsoleError(DeviceError):
    """The device on the serial line answered with an error, or not in the agreed form."""

    kind = "console"


class ConsoleTimeoutError(ConsoleError):
    """The device on the serial line did not answer in time."""

    kind = "console-timeout"


class PortError(ConsoleError):
    """The serial port cannot be opened, or went away."""

    kind = "serial-port"
