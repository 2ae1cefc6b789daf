"""What has to be done now and then besides serving: the ends of retention periods.

Blocks: call it from a thread. What fails is logged and tried again the next time.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cloud_agent.accounts import sessions
from cloud_agent.devices import household
from cloud_agent.errors import TareError
from cloud_agent.mail import outgoing
from cloud_agent.privacy import access_log, erasure, export, notices, retention
from cloud_agent.privacy.requests import acts, intake, work
from cloud_agent.readings import trays

if TYPE_CHECKING:
    from cloud_agent.service import Service

_log = logging.getLogger(__name__)


def keep_house(service: Service) -> None:
    """Old exports, trays, sessions and letters go; letters are sent again; erasures that wait
    for devices are carried on.
    """
    tasks = (
        export.remove_old,
        trays.remove_old,
        sessions.remove_old,
        household.remove_old,
        erasure.carry_on,
        work.carry_on,
        intake.answer_late,
        acts.tidy,
        access_log.remove_old,
        notices.remove_old,
        retention.erase_without_consent,
        retention.compact_at_night,
        outgoing.send_due,
        outgoing.remove_old,
    )
    for task in tasks:
        try:
            task(service)
        except Exception as error:  # noqa: BLE001 - one that fails must not end the others for good
            what = error if isinstance(error, TareError | OSError) else type(error).__name__
            _log.warning("housekeeping (%s): %s", task.__module__, what)
