"""Renews what the device trusts, and what it is trusted by, on order of the cloud (SPEC 6.7).

Doing an order twice changes nothing and gives back the same. Pure but for the identity's store;
`random(size)` makes the ephemeral key, which is used once and forgotten.
"""

from protocol import enrolment, frame, p256, trust
from tare import der
from tare.errors import EnrolmentError, FirmwareError
from tare.identity import SEED_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from tare.identity import Identity

    Random = Callable[[int], bytes]
    Presents = Callable[[bytes, bytes], bool]

_REFUSED = (frame.OUTCOME_ARGUMENTS_REFUSED, b"")
_DONE = (frame.OUTCOME_DONE, b"")


def renew(
    identity: "Identity", order: trust.Trust, random: "Random", presents: "Presents | None" = None
) -> tuple[int, bytes]:
    """Carry out an order; returns the outcome, and what the receipt gives back.

    `presents(certificate, key)` tells whether TLS can load the two: one that it cannot would
    count at once, and no connection would come about any more.
    """
    try:
        if order.part == trust.MAC_KEY:
            return _mac_key(identity, order.values[0], order.values[1], random)
        if order.part == trust.CERTIFICATE:
            return _certificate(identity, order.values[0], presents)
        if order.part == trust.COMMAND_KEY:
            if identity.command_key != order.values[0]:
                identity.command_key = order.values[0]
                identity.save()
        elif order.part == trust.AUTHORITY:
            if identity.ca_certificate != order.values[0]:
                identity.try_out(order.values[0], None)
        else:
            (host, port), server_name = order.values
            if [identity.host, identity.port, identity.server_name] != [host, port, server_name]:
                identity.try_out(None, [host, port, server_name])
    except FirmwareError:
        # Too large for its sector, or the flash is worn: the cloud hears of it, and nothing was
        # changed.
        return frame.OUTCOME_FAILED, b""
    return _DONE


def _certificate(
    identity: "Identity", certificate: bytes, presents: "Presents | None"
) -> tuple[int, bytes]:
    try:
        public, name = der.certificate_key_and_name(certificate)
    except EnrolmentError:
        return _REFUSED
    if public != p256.public_key(identity.tls_private) or name != identity.device_id:
        return _REFUSED
    if presents is not None and not presents(certificate, identity.tls_key()):
        return _REFUSED
    if identity.certificate != certificate:
        identity.certificate = certificate
        identity.save()
    return _DONE


def _mac_key(
    identity: "Identity", generation: int, cloud_key: bytes, random: "Random"
) -> tuple[int, bytes]:
    if generation == identity.generation:
        agreed, before = identity.agreed, identity.older_mac_key
        if agreed is not None and agreed[0] == cloud_key:
            return frame.OUTCOME_DONE, agreed[1]
    else:
        before = identity.mac_key if generation == identity.generation + 1 else None
    if before is None:
        return _REFUSED
    # The cloud seals with the key before until it has our receipt, also when it gave up an order
    # that we obeyed and makes another: then this one begins again from that key.
    ephemeral = p256.private_from_seed(random(SEED_SIZE))
    shared_x = p256.ecdh(ephemeral, cloud_key)
    public = p256.public_key(ephemeral)
    identity.mac_key = enrolment.mac_key(shared_x, before, identity.kid, generation)
    identity.generation = generation
    identity.older_mac_key = before
    identity.agreed = [cloud_key, public]
    identity.save()
    return frame.OUTCOME_DONE, public
