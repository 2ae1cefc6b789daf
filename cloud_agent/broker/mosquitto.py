"""The same rules as `rules` and `guard`, written for Mosquitto (2.0 or later), and how to find it.
Touches only the folder it is given, where it writes `mosquitto.conf` and `mosquitto.acl`.

What Mosquitto does differently: a client id that is not the certificate's name is replaced by it
instead of refused; a subscription to others' topics is granted, and nothing is ever sent for it.
"""

from __future__ import annotations

import getpass
import os
import shutil
from pathlib import Path

from cloud_agent.broker.rules import AGENT_NAME, MAX_KEEPALIVE_S, MAX_PACKET
from cloud_agent.broker.settings import Endpoint
from cloud_agent.devices.pki import TlsFiles
from cloud_agent.files import write_private

# Debian installs it where a plain user's PATH does not look.
_ALSO_IN = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")

_CONFIG = """\
# Mosquitto for Tare. Written by `tare broker mosquitto-config`; changes here are overwritten.
# Nothing is stored: what the broker loses, the devices send again.
per_listener_settings false
persistence false
retain_available false
autosave_interval 0
sys_interval 0
allow_anonymous false
acl_file {acl}
log_dest stderr
log_type error
connection_messages false
max_keepalive {max_keepalive}
max_packet_size {max_packet}
max_inflight_messages 100
max_queued_messages 1000
# Without this line Mosquitto, started by root, would give up its rights before it has read the key.
user {user}

listener {port} {bind}
protocol mqtt
tls_version tlsv1.2
cafile {ca}
certfile {certificate}
keyfile {key}
require_certificate true
use_identity_as_username true
use_username_as_clientid true
max_connections 512
"""

_ACL = f"""\
# Who may say what: a device on its own topics only, the agent on the other side of each.
user {AGENT_NAME}
topic read tare/1/+/up
topic write tare/1/+/down

pattern write tare/1/%u/up
pattern read tare/1/%u/down
"""


def find() -> str | None:
    """The path of Mosquitto, or None."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_ALSO_IN])
    return shutil.which("mosquitto", path=path)


def write_config(folder: Path, endpoint: Endpoint, tls: TlsFiles) -> Path:
    """Writes the configuration for `endpoint` into `folder`; returns the path of the main file."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    acl, main = folder / "mosquitto.acl", folder / "mosquitto.conf"
    write_private(acl, _ACL.encode(), replace=True)
    write_private(main, _config(endpoint, tls, acl).encode(), replace=True)
    return main


def _config(endpoint: Endpoint, tls: TlsFiles, acl: Path) -> str:
    return _CONFIG.format(
        acl=acl.absolute(),
        max_keepalive=MAX_KEEPALIVE_S,
        max_packet=MAX_PACKET,
        user=getpass.getuser(),
        port=endpoint.port,
        bind=endpoint.bind,
        ca=tls.ca.absolute(),
        certificate=tls.certificate.absolute(),
        key=tls.key.absolute(),
    )
