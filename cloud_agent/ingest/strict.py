"""The one place where bytes from outside become items: `strict_decode`. Pure.

cbor2 reads, strictly; then our own encoder must write exactly the same bytes again. So whatever
cbor2 is lenient about (trailing bytes, long forms, key order, floats, tags) is refused, and both
runtimes agree on every input.
"""

from __future__ import annotations

from typing import Any, NoReturn

import cbor2

from cloud_agent.ingest.errors import MalformedError
from protocol import cbor
from protocol.errors import CborError


def _no_tag(*_: object) -> NoReturn:
    raise ValueError("tag")


# cbor2 would make dates, patterns, fractions, addresses, e-mails ... from these by itself.
_BUILT_IN_TAGS = (0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261)
_BUILT_IN_TAGS_LATE = (1004, 43000, 55799)
_REFUSED_TAGS: dict[int, Any] = dict.fromkeys((*_BUILT_IN_TAGS, *_BUILT_IN_TAGS_LATE), _no_tag)


def strict_decode(data: bytes) -> object:
    """The one item that `data` is, without any tag. Raises MalformedError."""
    try:
        item: object = cbor2.loads(
            data,
            max_depth=cbor.MAX_DEPTH,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            semantic_decoders=_REFUSED_TAGS,
        )
        again = cbor.encode(item)
    except (cbor2.CBORError, CborError, ValueError, TypeError, OverflowError) as error:
        raise MalformedError("not deterministic CBOR") from error
    if again != data:
        raise MalformedError("not deterministic CBOR")
    return item
