"""The life of an identity whose trust is renewed, with the cloud's memory of it: power_cuts.py.

The parts are the firmware's; only the curve is replaced, by powers modulo a prime, because a cut
would else cost two multiplications on P-256. Both ends of an agreement use the same one.
"""

import power_cut_sectors  # noqa: F401 - first, see there

from protocol import enrolment, frame, trust
from protocol.command import VERB_TRUST, Command
from sim.memory_folder import MemoryFolder
from tare import flash as flash_map
from tare import trust as renewal
from tare.commands import Commands
from tare.identity import IdentityStore
from tare.journal import RECEIPT, Journal
from tare.settings import Settings
from tare.state import State

_RING = 3
SECTORS = flash_map.JOURNAL_FIRST + _RING
_KID = b"the kid."
_PRIVATE = b"p" * 8
_HOME = ["home", 1, "name"]
_NOW_S = 1_900_000_000
_PRIME = (1 << 61) - 1


class Curve:
    """What tare/trust.py and protocol/trust.py want of protocol/p256.py."""

    PUBLIC_SIZE = 8  # the sectors of these tests are small

    @staticmethod
    def private_from_seed(seed):
        """The first bytes of the seed."""
        return seed[:8]

    @staticmethod
    def import_public(key):
        """Take every key."""
        return key

    @staticmethod
    def public_key(private):
        """A power of three."""
        return pow(3, int.from_bytes(private, "big"), _PRIME).to_bytes(8, "big")

    @staticmethod
    def ecdh(private, public):
        """The power that both ends can make."""
        power = pow(int.from_bytes(public, "big"), int.from_bytes(private, "big"), _PRIME)
        return power.to_bytes(32, "big")


class _Signer:
    kid = _KID

    def __init__(self, private):
        assert private == _PRIVATE, "another identity"


class TrustLife:
    """Plays `steps`: ("mac",) orders a key, ("deliver",) the cloud gets the receipts, ("address",
    host) puts one on trial, ("connect",) a connection without a welcome, ("welcome",) one with.
    """

    def __init__(self, steps, renew=renewal.renew):
        self.memory = None
        self._steps = steps
        self._renew = renew
        self._flash = None
        self._drawn = 0
        self._counter = 0
        self._obeying = 0
        self._delivered = 0
        # What the cloud seals with, and what it has ordered.
        self._generation = 1
        self._key = b"k" * 32
        self._ordered = None
        # The address that proved good, the one on trial with its connections left; now and next.
        self._places = [(_HOME, None, 0)]

    def play(self, flash):
        """Live it."""
        renewal.p256 = trust.p256 = Curve
        item = [_PRIVATE, b"t" * 8, self._key, 1, b"certificate", b"authority", b"command key"]
        item.extend(_HOME)
        IdentityStore(flash, _Signer).store(item)
        self._flash = flash
        self._boot(flash)
        for step in self._steps:
            getattr(self, "_step_" + step[0])(*step[1:])

    def restart(self, flash, second):
        """Start, finish what was begun, and check that device and cloud still know each other."""
        del second
        identity = IdentityStore(flash, _Signer).load()
        if identity is None:
            assert self._flash is None, "the identity is gone"
            return 0
        state, journal, commands = self._parts(flash, identity)
        read = flash.bytes_read
        assert commands.finish(), "left unfinished"
        assert state.pending is None
        assert identity.mac_key_of(self._generation) == self._key, "the cloud is not heard any more"
        self._check_receipts(identity, state, journal)
        place = [identity.host, identity.port, identity.server_name]
        allowed = [trial or home for home, trial, _ in self._places]
        assert place in allowed, ("another address", place)
        again = IdentityStore(flash, _Signer).load()
        assert again.item() == identity.item(), "stored is something else"
        return read

    def _check_receipts(self, identity, state, journal):
        given = self._given(journal)
        if state.command_counter >= self._obeying > 0:
            assert given, "no receipt"
        for counter, _, outcome, detail in given:
            if counter <= self._delivered:
                continue
            assert outcome == frame.OUTCOME_DONE
            generation, key = self._agreed(detail)
            assert identity.mac_key_of(generation) == key, "device and cloud made different keys"

    def _agreed(self, detail):
        generation, private = self._ordered
        shared_x = Curve.ecdh(private, detail)
        return generation, enrolment.mac_key(shared_x, self._key, _KID, generation)

    def _boot(self, flash):
        self._identity = IdentityStore(flash, _Signer).load()
        _, self._journal, self._commands = self._parts(flash, self._identity)

    def _parts(self, flash, identity):
        state, journal = State(flash), Journal(flash, flash_map.JOURNAL_FIRST, _RING)

        def renew(order):
            return self._renew(identity, order, self._random)

        return state, journal, Commands(state, journal, Settings(MemoryFolder(), print), renew)

    def _random(self, size):
        self._drawn += 1
        return self._drawn.to_bytes(8, "big") * (size // 8)

    @staticmethod
    def _given(journal):
        """The receipts with something in them that the cloud has not settled."""
        batch = journal.batch(0)
        items = batch.items if batch is not None and batch.kind == RECEIPT else []
        return [item for item in items if len(item) == 4]

    def _obey(self, order):
        self._counter += 1
        command = Command(
            counter=self._counter,
            issued_s=_NOW_S,
            expires_s=_NOW_S + 60,
            verb=VERB_TRUST,
            arguments=order.arguments(),
        )
        if order.part == trust.MAC_KEY:
            self._obeying = self._counter
        assert self._commands.obey(command, _NOW_S)

    def _step_mac(self):
        """Order the next key; a second time without a receipt it is the same order."""
        if self._ordered is None:
            private = (1_000 + self._counter).to_bytes(8, "big")
            self._ordered = (self._generation + 1, private)
        generation, private = self._ordered
        order = trust.Trust(trust.MAC_KEY, [generation, Curve.public_key(private)])
        self._obey(order)
        assert self._given(self._journal), "the order was not carried out"

    def _step_deliver(self):
        given = self._given(self._journal)
        self._obeying = 0
        self._delivered = self._counter
        if given:
            self._generation, self._key = self._agreed(given[0][3])
            self._ordered = None
        self._journal.trim(self._journal.next_sequence - 1)

    def _step_address(self, host):
        home, _, _ = self._places[0]
        self._places.append((home, [host, 1, "name"], 3))
        self._obey(trust.address(host, 1, "name"))
        self._places.pop(0)

    def _step_connect(self):
        self._places.append(_counted(self._places[0]))
        self._identity.connecting()
        self._places.pop(0)

    def _step_welcome(self):
        self._step_connect()
        home, trial, _ = self._places[0]
        self._places.append((trial or home, None, 0))
        self._identity.welcomed(self._generation)
        self._places.pop(0)


def _counted(place):
    home, trial, left = place
    return (home, trial, left - 1) if trial and left > 0 else (home, None, 0)
