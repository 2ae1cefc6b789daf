"""What `tare device ...` asks of the server, or of itself when no server runs: named operations
for the control socket. JSON in, JSON out; bytes travel as hex.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from dataclasses import asdict
from urllib.parse import urlsplit

from cloud_agent.accounts.accounts import Account
from cloud_agent.accounts.asking import account_of
from cloud_agent.arguments import Arguments, octets, text
from cloud_agent.broker.settings import Endpoint, settle_endpoint
from cloud_agent.control import Operation
from cloud_agent.devices import household, orders, trust
from cloud_agent.devices.claims import Claims
from cloud_agent.devices.directory import list_devices
from cloud_agent.devices.enrolment import Enrolment
from cloud_agent.devices.errors import UnknownDeviceError
from cloud_agent.devices.pki import Authority
from cloud_agent.devices.release import release
from cloud_agent.errors import UsageError
from cloud_agent.operation import of_technician
from cloud_agent.service import Service
from protocol import settings
from protocol import trust as trust_parts
from protocol.errors import MessageError


class DeviceOperations:
    """The operations of one open installation. Without a running server, `authority` and
    `endpoint` are opened when they are first needed.
    """

    def __init__(
        self,
        service: Service,
        *,
        authority: Authority | None = None,
        endpoint: Endpoint | None = None,
    ) -> None:
        self._service = service
        self._authority = authority
        self._endpoint = endpoint
        self._enrolment: Enrolment | None = None
        self._claims = Claims(service)

    def table(self) -> dict[str, Operation]:
        """Names and what they do, for the dispatcher."""
        return {
            "device.enrol-begin": of_technician(self._enrol_begin),
            "device.enrol-answer": of_technician(self._enrol_answer),
            "device.enrol-finish": of_technician(self._enrol_finish),
            "device.claim": self._claim,
            "device.release": self._release,
            "device.set": self._set,
            "device.orders": self._orders,
            "device.renew": self._renew,
            "device.list": of_technician(self._list),
            "device.invite": _invite,
            "device.join": _join,
            "device.leave": _leave,
            "device.people": _people,
            "device.remove-person": _remove_person,
        }

    async def _enrol_begin(self, _service: Service, _arguments: Arguments) -> Arguments:
        enrolment = await self._open_enrolment()
        return {"challenge": enrolment.begin().hex()}

    async def _enrol_answer(self, _service: Service, arguments: Arguments) -> Arguments:
        enrolment = await self._open_enrolment()
        enrolled = await enrolment.answer(octets(arguments, "request"))
        return {"device": enrolled.device, "reply": enrolled.reply.hex()}

    async def _enrol_finish(self, _service: Service, arguments: Arguments) -> Arguments:
        enrolment = await self._open_enrolment()
        device = _device(arguments)
        await enrolment.finish(device)
        return {"device": device}

    async def _claim(self, service: Service, arguments: Arguments) -> Arguments:
        account = await _account(service, arguments)
        claimed = await self._claims.claim(account, text(arguments, "code"))
        return {"device": claimed.device, "epoch": claimed.epoch}

    async def _release(self, service: Service, arguments: Arguments) -> Arguments:
        account = await _account(service, arguments)
        released = await release(service, account, _device(arguments))
        return {"device": released.device, "epoch": released.epoch}

    async def _set(self, service: Service, arguments: Arguments) -> Arguments:
        account = await _account(service, arguments)
        device = _device(arguments)
        await orders.change_settings(service, account, device, _settings(arguments))
        return {"device": device}

    async def _orders(self, service: Service, arguments: Arguments) -> Arguments:
        account = await _account(service, arguments)
        device = _device(arguments)
        return {"orders": await asyncio.to_thread(orders.list_orders, service, account, device)}

    async def _renew(self, service: Service, arguments: Arguments) -> Arguments:
        device, part = _device(arguments), text(arguments, "part")
        if part == "mac-key":
            await trust.renew_mac_key(service, device)
        elif part == "certificate":
            await trust.renew_certificate(service, await self._open_authority(), device)
        elif part == "address":
            host, port = _address(text(arguments, "address"))
            await trust.move(service, device, host, port)
        else:
            raise UsageError("part is one of mac-key, certificate, address")
        return {"device": device, "part": part}

    async def _list(self, service: Service, _arguments: Arguments) -> Arguments:
        return {"devices": await asyncio.to_thread(list_devices, service.database)}

    async def _open_enrolment(self) -> Enrolment:
        if self._enrolment is None:
            folder = self._service.folder
            authority = await self._open_authority()
            if self._endpoint is None:
                self._endpoint = await asyncio.to_thread(settle_endpoint, folder.broker)
            self._enrolment = Enrolment(self._service, authority, self._endpoint)
        return self._enrolment

    async def _open_authority(self) -> Authority:
        if self._authority is None:
            self._authority = await asyncio.to_thread(Authority.open, self._service.folder.ca)
        return self._authority


def operations(service: Service) -> dict[str, Operation]:
    """For a command that found no server and opened the files itself."""
    return DeviceOperations(service).table()


async def _invite(service: Service, arguments: Arguments) -> Arguments:
    account = await _account(service, arguments)
    return {"code": await household.invite(service, account, _device(arguments))}


async def _join(service: Service, arguments: Arguments) -> Arguments:
    account = await _account(service, arguments)
    return {"device": await household.join(service, account, text(arguments, "code"))}


async def _leave(service: Service, arguments: Arguments) -> Arguments:
    account = await _account(service, arguments)
    device = _device(arguments)
    await household.leave(service, account, device)
    return {"device": device}


async def _people(service: Service, arguments: Arguments) -> Arguments:
    account = await _account(service, arguments)
    device = _device(arguments)
    found = await asyncio.to_thread(household.members, service, account, device)
    return {"people": [asdict(each) for each in found]}


async def _remove_person(service: Service, arguments: Arguments) -> Arguments:
    account = await _account(service, arguments)
    device, slot = _device(arguments), arguments.get("slot")
    if not isinstance(slot, int):
        raise UsageError("slot is the number on the display")
    await household.remove(service, account, device, slot)
    return {"device": device}


def _address(given: str) -> tuple[str, int]:
    """`host:port`, an IPv6 address in brackets; UsageError for anything else."""
    try:
        parts = urlsplit(f"//{given}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError("this is no address: it is HOST:PORT, the port 1 to 65535") from error
    if not host or not port or f"//{parts.netloc}" != f"//{given}" or parts.username is not None:
        raise UsageError("this is no address: it is HOST:PORT")
    if not _is_host(host):
        raise UsageError("this is no host: it is a name of ASCII letters, or an IP address")
    return host, port


def _device(arguments: Arguments) -> str:
    """A device id; UnknownDeviceError for what cannot be one."""
    device = text(arguments, "device")
    if not _DEVICE_ID.fullmatch(device):
        raise UnknownDeviceError("a device is known by 16 hexadecimal digits: `tare device list`")
    return device


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        labels = host.rstrip(".").split(".")
        return len(host) <= _MAX_HOST and all(_LABEL.fullmatch(label) for label in labels)
    return "%" not in host  # a scope means nothing on another machine


_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)", re.ASCII)
_MAX_HOST = trust_parts.MAX_HOST_SIZE
_DEVICE_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)


async def _account(service: Service, arguments: Arguments) -> Account:
    return await asyncio.to_thread(account_of, service, arguments)


def _settings(arguments: Arguments) -> list[tuple[int, int]]:
    """Settings as people write them, by name; UsageError says what would have been right."""
    given = arguments.get("settings")
    if not isinstance(given, dict) or not given:
        raise UsageError("settings are missing")
    changes = []
    for name, value in given.items():
        setting = settings.named(name)
        if setting is None:
            known = ", ".join(each.name for each in settings.TABLE)
            raise UsageError(f"there is no setting {name}: it is one of {known}")
        try:
            changes.append(settings.parse(name, str(value)))
        except MessageError as error:
            raise UsageError(f"{name} is one of {setting.expected()}") from error
    return changes
