"""Acts 4 and 5: weigh-ins, and the same with a broken broker and power cuts."""

from __future__ import annotations

import time

from tools.demo.play import Play

_WEIGH_INS = 3
_SETTLE_S = 60
_OUTAGE_S = 2.0
_SEND_S = 1.0
_ON_ITS_WAY_S = 5.0
_POLL_S = 0.1
_CLOCK_START_S = 60


def weigh_in(play: Play) -> None:
    """Act 4: step on, saved in flash, sent, stored, acknowledged, let go."""
    screen, scale = play.screen, play.scale
    screen.say(f"On the scale: {play.people[0].source}.")
    slowest_s = 0.0
    for _ in range(_WEIGH_INS):
        saved = play.weigh()
        screen.seen(
            f"{saved.shown_kg} kg in flash as record {saved.sequence},"
            f" {saved.took_s:.1f} s after stepping on"
        )
        with screen.waiting("sending"):
            settled_s = scale.until_settled(_SETTLE_S)
        slowest_s = max(slowest_s, settled_s)
        screen.seen(f"acknowledged and let go {settled_s:.1f} s later; the journal is empty")
    stored = play.check_exactly_once()
    for line in play.cloud.tare("readings", "list", mine=True).splitlines():
        screen.note(line)
    worst_g = max(
        abs(round(float(saved.shown_kg) * 1000) - person.grams)
        for saved, person in zip(play.saved, play.people, strict=False)
    )
    screen.seen(f"shown within {worst_g} g of the true weight")
    screen.conclude(
        f"{stored} weigh-ins of a {play.people[0].source} stored as displayed, within {worst_g} g"
        f" of the true weight, each acknowledged within {slowest_s:.1f} s"
    )


def break_things(play: Play) -> None:
    """Act 5: what was shown as saved arrives, whatever breaks on the way."""
    before = len(play.saved)
    waited = _broker_outage(play)
    _cut_after_saving(play)
    _cut_while_sending(play)
    stored = play.check_exactly_once()
    play.screen.seen(f"{stored} readings announced, {stored} stored, each once")
    play.screen.conclude(
        f"broker stopped for {waited:.1f} s and power cut twice during"
        f" {len(play.saved) - before} weigh-ins: all {stored} readings so far stored exactly once"
    )


def _broker_outage(play: Play) -> float:
    screen, scale = play.screen, play.scale
    screen.say("The broker is stopped; someone weighs themselves; it is started again.")
    started_s = time.monotonic()
    with play.cloud.without_broker():
        saved = play.weigh()
        scale.console.listen(_OUTAGE_S)
        waiting = scale.waiting()
        if waiting != 1:
            raise scale.complaint(f"{waiting} records wait without a broker, 1 was expected")
        screen.seen(f"record {saved.sequence} waits in flash")
        outage_s = time.monotonic() - started_s
    with screen.waiting("the broker runs again"):
        scale.until_settled(_SETTLE_S)
    screen.seen(f"it arrived after {outage_s:.1f} s without a broker")
    return outage_s


def _cut_after_saving(play: Play) -> None:
    screen, scale = play.screen, play.scale
    screen.say("Power is cut in the moment in which the display says that a reading is saved.")
    saved = play.weigh()
    scale.power_cut()
    _power_on_and_settle(play)
    screen.seen(f"record {saved.sequence} was in flash, and arrived")


def _cut_while_sending(play: Play) -> None:
    screen, scale = play.screen, play.scale
    screen.say("The agent is frozen, so that a reading is sent but not answered; power is cut.")
    with play.cloud.frozen():
        saved = play.weigh()
        scale.console.listen(_SEND_S)
        if scale.waiting() != 1:
            raise scale.complaint("the journal let go of a reading that nobody acknowledged")
        scale.power_cut()
    screen.say("The agent goes on and finds what was on its way; nobody is there to be told.")
    early = _stored_within(play, _ON_ITS_WAY_S)
    where = "stored while the scale was off" if early else "sent again"
    _power_on_and_settle(play)
    screen.seen(f"record {saved.sequence} was {where}, and counts once")


def _stored_within(play: Play, patience_s: float) -> bool:
    """Whether all that was announced gets stored although the scale is off."""
    deadline_s = time.monotonic() + patience_s
    while len(play.stored_sequences()) < len(play.saved):
        if time.monotonic() > deadline_s:
            return False
        time.sleep(_POLL_S)
    return True


def _power_on_and_settle(play: Play) -> None:
    play.scale.power_on()
    with play.screen.waiting("the scale connects"):
        play.scale.until_settled(_CLOCK_START_S)
