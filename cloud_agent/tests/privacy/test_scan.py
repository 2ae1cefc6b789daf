"""The scan finds every place of every pattern, also across the pieces in which it reads."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import quopri
import tempfile
import urllib.parse
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_agent.privacy import scan as scanning
from cloud_agent.privacy.scan import Hit, Pattern, files_below, scan

# Two letters only: long patterns repeat and overlap themselves.
_letters = st.sampled_from(b"ab")
_patterns = st.lists(
    st.lists(_letters, min_size=8, max_size=12).map(bytes), min_size=1, max_size=4, unique=True
)


def count(content: bytes, data: bytes) -> int:
    return sum(content.startswith(data, place) for place in range(len(content)))


@given(st.lists(_letters, max_size=300).map(bytes), _patterns, st.integers(1, 40))
def test_it_counts_what_is_there(content: bytes, wanted: list[bytes], chunk: int) -> None:
    patterns = [Pattern(f"p{number}", data) for number, data in enumerate(wanted)]
    before = scanning._CHUNK_SIZE
    scanning._CHUNK_SIZE = chunk  # type: ignore[misc]  # many small pieces instead of a huge file
    try:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "file"
            file.write_bytes(content)
            hits = scan([file], patterns)
    finally:
        scanning._CHUNK_SIZE = before  # type: ignore[misc]  # a constant, put back
    expected = [Hit(p.label, file, count(content, p.data)) for p in patterns]
    assert hits == [hit for hit in expected if hit.count]


def test_a_pattern_across_the_real_piece_size_is_found(tmp_path: Path) -> None:
    file = tmp_path / "flash.img"
    for shift in range(-16, 2):
        content = bytearray(3 << 20)
        start = (1 << 20) + shift
        content[start : start + 16] = b"sixteen byte can"
        file.write_bytes(content)
        assert scan([file], [Pattern("can", b"sixteen byte can")]) == [Hit("can", file, 1)]


def test_hidden_and_nested_files_are_scanned_and_links_are_not(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / ".hidden").write_bytes(b"a canary")
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert [path.name for path in files_below(tmp_path)] == [".hidden"]


_WAYS: dict[str, Callable[[str], bytes]] = {
    "UTF-8": str.encode,
    "UTF-16": lambda text: text.encode("utf-16"),
    "JSON": lambda text: json.dumps({"name": text}).encode(),
    "hexadecimal": lambda text: text.encode().hex().encode(),
    "URL": lambda text: urllib.parse.urlencode({"name": text}).encode(),
    "quoted-printable": lambda text: quopri.encodestring(text.encode()).replace(b"=\n", b""),
    "SHA-256": lambda text: hashlib.sha256(text.encode()).hexdigest().encode(),
    "MD5": lambda text: hashlib.md5(text.encode(), usedforsecurity=False).digest(),
    "gzip": lambda text: gzip.compress(b"before " + text.encode() + b" after"),
    "base64": lambda text: base64.b64encode(text.encode()),
    "base64 within": lambda text: base64.b64encode(b"<" + text.encode() + b">>"),
    "base64 for addresses": lambda text: base64.urlsafe_b64encode(b"<>" + text.encode() + b"?"),
}


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=12, max_size=60))
def test_a_text_is_found_however_it_is_written(text: str) -> None:
    patterns = [Pattern(name, data) for name, data in scanning.spellings(text).items()]
    with tempfile.TemporaryDirectory() as folder:
        for way, write in _WAYS.items():
            file = Path(folder) / way
            file.write_bytes(b"-" + write(text) if way != "gzip" else write(text))
            assert scan([file], patterns), way


def test_what_is_packed_in_an_archive_is_found(tmp_path: Path) -> None:
    file = tmp_path / "archive.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("name.txt", "a canary " * 100)
    assert b"a canary" not in file.read_bytes()
    assert scan([file], [Pattern("can", b"a canary")]) == [Hit("can", file, 100)]
    file.write_bytes(file.read_bytes()[:-30])
    assert scan([file], [Pattern("can", b"a canary")]) == [], "damaged: as it is"


def test_a_file_that_goes_meanwhile_is_no_error(tmp_path: Path) -> None:
    assert scan([tmp_path / "gone"], [Pattern("p", b"12345678")]) == []


def test_a_pattern_that_chance_would_find_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too short"):
        scan([], [Pattern("initials", b"A.L.")])
