"""An installation with accounts and enrolled devices, made once a process and copied for each seed.

Everything in it came through the real doors: accounts with their terms and consent, devices by the
enrolment over the cable. Only the copying saves time: keys and password hashes are slow by design.
"""

from __future__ import annotations

import asyncio
import atexit
import random
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cloud_agent.accounts import accounts
from cloud_agent.accounts.accounts import Account, NewAccount
from cloud_agent.broker.settings import Endpoint
from cloud_agent.devices.enrolment import Enrolment
from cloud_agent.devices.pki import Authority
from cloud_agent.service import Service
from hil_tests import cores
from hil_tests.simulation.keys import portable_signer

START_S = 1_795_000_000
ACCOUNTS = 6
DEVICES = 4
FLASH_SECTORS = cores.flash.JOURNAL_FIRST + cores.flash.JOURNAL_COUNT
_MODEL = "simulated"
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the folders made in it are private


@dataclass(frozen=True)
class Template:
    """`root`: a closed data folder. `flashes`: what enrolment left in each device."""

    root: Path
    accounts: tuple[Account, ...]
    flashes: tuple[bytes, ...]


def scratch(prefix: str) -> Path:
    """A new private folder, in memory where the system has such a place."""
    place = str(_SHARED_MEMORY) if _SHARED_MEMORY.is_dir() else None
    return Path(tempfile.mkdtemp(prefix=prefix, dir=place))


def copied(template: Template) -> Path:
    """A copy of its data folder to run on."""
    root = scratch("tare-run-") / "data"
    shutil.copytree(template.root, root)
    return root


@cache
def template() -> Template:
    """The one of this process, which takes it along when it ends."""
    root = scratch("tare-template-") / "data"
    atexit.register(shutil.rmtree, root.parent, ignore_errors=True)
    with Service.open(root, now=lambda: START_S) as service:
        people = tuple(_open_account(service, number) for number in range(ACCOUNTS))
        enrolment = Enrolment(
            service, Authority.open(service.folder.ca), Endpoint("127.0.0.1", "127.0.0.1", 8883)
        )
        draw = random.Random("devices").randbytes  # noqa: S311 # to be repeated
        flashes = tuple(_enrol(enrolment, draw) for _ in range(DEVICES))
    return Template(root, people, flashes)


def _open_account(service: Service, number: int) -> Account:
    return accounts.create(
        service,
        NewAccount(
            email=f"person{number}@example.org",
            name=f"Person Number {number}",
            password="seven grey herons wade",  # noqa: S106 # nobody else's
            zone="Europe/Paris",
            terms_version="1",
            health_consent="1",
            of_age=True,
        ),
    )


def _enrol(enrolment: Enrolment, draw: Callable[[int], bytes]) -> bytes:
    """Over the cable, as tests of either side do it; returns the whole flash."""
    memory = cores.nor.Memory(FLASH_SECTORS * cores.flash.SECTOR)
    store = cores.identity.IdentityStore(cores.nor.Nor(memory), portable_signer)
    device = cores.identity.Enrolment(store, draw, portable_signer)
    request = device.begin(enrolment.begin(), _MODEL, cores.version.FIRMWARE)
    enrolled = asyncio.run(enrolment.answer(request))
    device.finish(enrolled.reply)
    asyncio.run(enrolment.finish(enrolled.device))
    return bytes(memory.data)
