"""The cloud's orders: stored whole, acted on, answered with a receipt, forgotten (SPEC 6).

Every action may happen twice without harm, because after a power cut `finish` does the stored
command again. Pure but for the flash behind state and journal; who calls `obey` has checked the
signature and that this connection was welcomed.
"""

from protocol import command as orders
from protocol import frame
from protocol.command import Claim, Command, Erase, People, Person
from protocol.errors import ProtocolError
from tare.errors import JournalFullError, StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from protocol.trust import Trust
    from tare.journal import Journal
    from tare.settings import Settings
    from tare.state import State
    from tare.wifi import Wifi


class Commands:
    """Carries out commands on a state, a journal and settings."""

    def __init__(
        self,
        state: "State",
        journal: "Journal",
        settings: "Settings",
        renew: "Callable[[Trust], tuple[int, bytes]] | None",
        wifi: "Wifi | None" = None,
    ) -> None:
        """`renew` does what the verb trust orders, and returns the outcome and what to give back;
        None for a device that does not know this verb. `wifi`: what a release forgets as well.
        """
        self._state = state
        self._journal = journal
        self._settings = settings
        self._wifi = wifi
        self._receipt: list[object] | None = None
        # Each takes the order of its verb and returns the outcome, or that and what to give back.
        self._acts: dict[int, Callable[[Any], int | tuple[int, bytes]]] = {
            orders.VERB_CLAIM: self._claim,
            orders.VERB_PEOPLE: self._people,
            orders.VERB_SETTINGS: self._change,
            orders.VERB_ERASE: self._erase,
            orders.VERB_RELEASE: self._release,
        }
        if renew is not None:
            self._acts[orders.VERB_TRUST] = renew

    def obey(self, command: Command, now_s: int) -> bool:
        """Store and carry out an authentic command; False when it is old or expired.

        False also while an earlier one is unfinished for want of room: the cloud repeats.
        """
        if command.counter <= self._state.command_counter or now_s >= command.expires_s:
            return False
        if self._state.pending is not None:
            return False
        self._state.command_counter = command.counter
        self._state.pending = command.encode()
        self._state.save()
        self.finish()
        return True

    def finish(self) -> bool:
        """Carry out the stored command, if there is one; False when its receipt has no room."""
        if self._state.pending is None:
            return True
        command = Command.parse(self._state.pending)
        receipt = self._receipt
        if receipt is None or receipt[0] != command.counter:
            receipt = [command.counter, command.verb]
            receipt.extend(self._act(command))
        # While its receipt has no room it is not done again: an address would be on trial for ever.
        self._receipt = receipt
        # While the command is still stored, so that a cut between the two copies is made good.
        self._state.save_without_trace()
        try:
            self._journal.append_receipt(receipt)
        except JournalFullError:
            return False
        self._state.pending = None
        self._state.save()
        return True

    def settled(self) -> None:
        """Forget what a release left until the cloud had its receipt; at each start as well."""
        if self._wifi is not None:
            self._wifi.store.settled(self._journal.oldest)

    def _act(self, command: Command) -> list[object]:
        """Return the outcome and, where the verb gives something back, that."""
        try:
            order = command.order()
        except ProtocolError:
            return [frame.OUTCOME_ARGUMENTS_REFUSED]
        act = self._acts.get(command.verb)
        if act is None:
            return [frame.OUTCOME_UNKNOWN_VERB]
        done = act(order)
        if isinstance(done, int):
            return [done]
        outcome, detail = done
        return [outcome, detail] if detail else [outcome]

    def _claim(self, order: Claim) -> int:
        if self._state.claim_epoch not in {0, order.epoch}:
            return frame.OUTCOME_ARGUMENTS_REFUSED
        self._state.claim_epoch = order.epoch
        self._state.people = self._with_learnt(order.people)
        return frame.OUTCOME_DONE

    def _people(self, order: People) -> int:
        if self._state.claim_epoch == 0:
            return frame.OUTCOME_ARGUMENTS_REFUSED
        self._state.people = self._with_learnt(order.people)
        return frame.OUTCOME_DONE

    def _change(self, order: orders.Settings) -> int:
        try:
            self._settings.change(order.changes)
        except StorageError:
            return frame.OUTCOME_FAILED
        return frame.OUTCOME_DONE

    def _with_learnt(self, people: list[Person]) -> list[Person]:
        """Keep what was learnt about a person whom the cloud names without a weight."""
        learnt = {person.handle: person.reference_g for person in self._state.people}
        for person in people:
            if person.reference_g == 0:
                person.reference_g = learnt.get(person.handle, 0)
        return people

    def _erase(self, order: Erase) -> int:
        if order.handle is None:
            return self._erase_everything()
        return self._erase_person(order.handle)

    def _release(self, order: orders.Release) -> int:
        del order
        outcome = self._erase_everything()
        if self._wifi is not None:
            # The receipt is next, and needs the Wi-Fi to get to the cloud.
            self._wifi.store.forget_after(self._journal.next_sequence)
        return outcome

    def _erase_person(self, handle: int) -> int:
        if not self._journal.erase(handle):
            return frame.OUTCOME_FAILED
        self._state.people = [each for each in self._state.people if each.handle != handle]
        return frame.OUTCOME_DONE

    def _erase_everything(self) -> int:
        self._journal.wipe()
        self._settings.reset()
        self._state.people = []
        self._state.claim_epoch = 0
        return frame.OUTCOME_DONE
