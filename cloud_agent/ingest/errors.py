"""What can go wrong on the way in. Messages hold no topic, key or reading."""

from __future__ import annotations

from cloud_agent.errors import TareError


class IngestError(TareError):
    """Something on the way from the broker to a row failed."""

    kind = "ingest"


class MalformedError(IngestError):
    """Bytes that are not deterministic CBOR as SPEC 1 wants it."""

    kind = "malformed"


class LinkError(IngestError):
    """There is no usable connection to the broker."""

    kind = "link"
