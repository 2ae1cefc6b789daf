"""Reading the machine's package sources, in both notations and with what people write in them."""

from pathlib import Path

import pytest

from tools import apt_sources
from tools.apt_sources import Release, Source

BOOKWORM = Release("debian", "bookworm", "Debian GNU/Linux 12 (bookworm)")
NOBLE = Release("ubuntu", "noble", "Ubuntu 24.04 LTS")


def _write(root: Path, name: str, text: str) -> None:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_release_of_debian(tmp_path: Path) -> None:
    text = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_CODENAME=bookworm\n'
    _write(tmp_path, "etc/os-release", text)
    assert apt_sources.release(tmp_path) == BOOKWORM


def test_release_of_a_derivative_is_the_ubuntu_it_names(tmp_path: Path) -> None:
    text = 'PRETTY_NAME="Mint"\nID=linuxmint\nVERSION_CODENAME=wilma\nUBUNTU_CODENAME=noble\n'
    _write(tmp_path, "etc/os-release", text)
    assert apt_sources.release(tmp_path) == Release("ubuntu", "noble", "Mint")


@pytest.mark.parametrize("text", [None, "", 'PRETTY_NAME="Fedora Linux 41"\nID=fedora\n'])
def test_any_other_system_has_no_family(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        _write(tmp_path, "etc/os-release", text)
    assert apt_sources.release(tmp_path).family == ""


def test_one_line_sources(tmp_path: Path) -> None:
    text = """
# deb http://old.example/debian bookworm main
deb-src http://a.example/debian bookworm main
deb [arch=amd64 signed-by=/keys/a.gpg] http://a.example/debian bookworm main contrib # ours
deb http://b.example/debian bookworm-updates main
"""
    _write(tmp_path, "etc/apt/sources.list", text)
    assert apt_sources.configured(tmp_path) == [
        Source("http://a.example/debian", ("bookworm",), ("main", "contrib"), "/keys/a.gpg"),
        Source("http://b.example/debian", ("bookworm-updates",), ("main",)),
    ]


def test_paragraph_sources(tmp_path: Path) -> None:
    text = """\
Types: deb deb-src
# URIs: http://commented.example/
URIs: http://a.example/ubuntu/
Suites: noble noble-updates
 noble-backports
Components: main universe
Signed-By: /usr/share/keyrings/some.gpg

Types: deb
URIs: http://off.example/
Suites: noble
Components: main
Enabled: no

Types: deb
URIs: http://b.example/
Suites: noble
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBF
 -----END PGP PUBLIC KEY BLOCK-----
"""
    _write(tmp_path, "etc/apt/sources.list.d/ubuntu.sources", text)
    first, second = apt_sources.configured(tmp_path)
    assert first.uri == "http://a.example/ubuntu/"
    assert first.suites == ("noble", "noble-updates", "noble-backports")
    assert first.signed_by == "/usr/share/keyrings/some.gpg"
    assert (second.uri, second.signed_by) == ("http://b.example/", "")


def test_the_archive_is_the_source_of_the_own_suite(tmp_path: Path) -> None:
    text = """
deb http://other.example/tools stable main
deb http://security.example/debian-security bookworm-security main
deb http://a.example/debian bookworm main
"""
    _write(tmp_path, "etc/apt/sources.list", text)
    _write(tmp_path, "etc/apt/sources.list.d/broken.save", "deb http://no.example bookworm main")
    archive = apt_sources.archive(BOOKWORM, tmp_path)
    assert archive is not None
    assert archive.uri == "http://a.example/debian"
    assert apt_sources.archive(NOBLE, tmp_path) is None


def test_the_keyring_is_the_named_one_or_the_distributions(tmp_path: Path) -> None:
    _write(tmp_path, "named.gpg", "")
    plain = Source("http://a.example/", ("bookworm",), ("main",))
    named = Source("http://a.example/", ("bookworm",), ("main",), str(tmp_path / "named.gpg"))
    gone = Source("http://a.example/", ("bookworm",), ("main",), str(tmp_path / "gone.gpg"))
    assert apt_sources.keyring(named, BOOKWORM, tmp_path) == tmp_path / "named.gpg"
    assert apt_sources.keyring(plain, BOOKWORM, tmp_path) is None
    _write(tmp_path, "usr/share/keyrings/debian-archive-keyring.gpg", "")
    default = tmp_path / "usr/share/keyrings/debian-archive-keyring.gpg"
    assert apt_sources.keyring(plain, BOOKWORM, tmp_path) == default
    assert apt_sources.keyring(gone, BOOKWORM, tmp_path) == default
