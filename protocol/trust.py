"""What the verb `trust` renews on a device (SPEC 6.7): one `Trust` for each thing. Pure.

Make one with `certificate`, `authority`, `command_key`, `mac_key` or `address`; `parse` reads what
was received. Public keys are 64 bytes, certificates DER.
"""

from protocol import fields, p256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CERTIFICATE = 1
AUTHORITY = 2
COMMAND_KEY = 3
MAC_KEY = 4
ADDRESS = 5

MAX_CERTIFICATE_SIZE = 900  # so that the command fits into a message
MAX_GENERATION = 0xFFFF
MAX_HOST_SIZE = 253  # RFC 1035: the longest name that can be resolved


class Trust:
    """Renew `part`, one of the constants above; `values` are what follows it in the command."""

    VERB = 6

    def __init__(self, part: int, values: "list[Any]") -> None:
        self.part = part
        self.values = values

    def arguments(self) -> list[object]:
        """Return the arguments of the command."""
        found: list[object] = [self.part]
        found.extend(self.values)
        return found


def certificate(der: bytes) -> Trust:
    """Return the order to use this certificate from the next connection on."""
    return Trust(CERTIFICATE, [_certificate(der)])


def authority(der: bytes) -> Trust:
    """Return the order to believe the broker by this authority, on trial."""
    return Trust(AUTHORITY, [_certificate(der)])


def command_key(key: bytes) -> Trust:
    """Return the order to obey this command key."""
    return Trust(COMMAND_KEY, [_public_key(key)])


def mac_key(generation: int, ephemeral_key: bytes) -> Trust:
    """Return the order to agree on the MAC key of this generation, one more than the present."""
    generation = fields.integer(generation, 1, MAX_GENERATION, "trust-generation")
    return Trust(MAC_KEY, [generation, _public_key(ephemeral_key)])


def address(host: str, port: int, server_name: str) -> Trust:
    """Return the order to look for the broker there, on trial."""
    place: list[object] = [
        fields.text(host, MAX_HOST_SIZE, "trust-host"),
        fields.integer(port, 1, 0xFFFF, "trust-port"),
    ]
    return Trust(ADDRESS, [place, fields.text(server_name, MAX_HOST_SIZE, "trust-server-name")])


def parse(arguments: list[object]) -> Trust:
    """Return what the arguments of a command renew; `MessageError` for anything else.

    Raises `CurveError` for a key that is not a point of the curve.
    """
    values = fields.array(arguments, 2, 3, "trust-arguments")
    part = fields.integer(values[0], CERTIFICATE, ADDRESS, "trust-part")
    return _READ[part](values[1:])


def _read_certificate(values: "list[Any]") -> Trust:
    return certificate(fields.array(values, 1, 1, "trust-arguments")[0])


def _read_authority(values: "list[Any]") -> Trust:
    return authority(fields.array(values, 1, 1, "trust-arguments")[0])


def _read_command_key(values: "list[Any]") -> Trust:
    return command_key(fields.array(values, 1, 1, "trust-arguments")[0])


def _read_mac_key(values: "list[Any]") -> Trust:
    generation, ephemeral_key = fields.array(values, 2, 2, "trust-arguments")
    return mac_key(generation, ephemeral_key)


def _read_address(values: "list[Any]") -> Trust:
    place, server_name = fields.array(values, 2, 2, "trust-arguments")
    host, port = fields.array(place, 2, 2, "trust-address")
    return address(host, port, server_name)


def _certificate(der: bytes) -> bytes:
    return fields.octets(der, 1, MAX_CERTIFICATE_SIZE, "trust-certificate")


def _public_key(key: bytes) -> bytes:
    size = p256.PUBLIC_SIZE
    return p256.import_public(fields.octets(key, size, size, "trust-key"))


_READ = {
    CERTIFICATE: _read_certificate,
    AUTHORITY: _read_authority,
    COMMAND_KEY: _read_command_key,
    MAC_KEY: _read_mac_key,
    ADDRESS: _read_address,
}
