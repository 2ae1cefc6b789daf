"""Cut anywhere in a renewal, device and cloud still know each other; what is wrong is caught."""

from power_cut_trust import SECTORS, TrustLife
from power_cuts import MINIMUM, Enumeration, enumerate_cuts

from tare import trust

TIMEOUT_S = 200
_RENEWED = [("mac",), ("deliver",), ("welcome",)]


def test_keys_and_addresses_renewed():
    steps = list(_RENEWED)
    steps += [("mac",), ("mac",), ("deliver",), ("connect",), ("welcome",)]
    steps += [("address", "there"), ("connect",), ("welcome",), ("connect",)]
    steps += [("address", "nowhere"), ("connect",), ("mac",), ("connect",), ("deliver",)]
    steps += [("connect",), ("connect",), ("welcome",)]
    cuts = enumerate_cuts("trust", TrustLife(steps), SECTORS)
    assert cuts.total >= MINIMUM["trust"]


def _is_caught(renew):
    try:
        Enumeration(TrustLife(_RENEWED, renew), SECTORS)
    except AssertionError as error:
        print(error)
        return True
    return False


def test_what_is_right_passes():
    assert not _is_caught(trust.renew)


def test_an_older_key_that_is_forgotten_before_the_newer_is_heard():
    def renew(identity, order, random):
        done = trust.renew(identity, order, random)
        identity.older_mac_key = None
        identity.save()
        return done

    assert _is_caught(renew)


def test_a_key_that_is_made_anew_when_the_order_is_done_again():
    def renew(identity, order, random):
        if identity.agreed is not None:
            identity.agreed[0] = b"of another order"
        return trust.renew(identity, order, random)

    # A cut after the receipt, before the command is forgotten, does the order a second time.
    assert _is_caught(renew)


def test_a_receipt_that_comes_before_the_key_is_stored():
    def renew(identity, order, random):
        save, identity.save = identity.save, lambda: None
        try:
            done = trust.renew(identity, order, random)
        finally:
            identity.save = save
        return done

    assert _is_caught(renew)
