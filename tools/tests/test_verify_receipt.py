"""The program that a person checks a receipt with: it knows nothing of the one that made it."""

from __future__ import annotations

import ast
import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from cloud_agent.accounts import emails
from cloud_agent.errors import LedgerError
from cloud_agent.privacy import receipts
from cloud_agent.privacy.receipts import ReceiptLog
from tools import verify_receipt

PROGRAM = Path(verify_receipt.__file__)
NONCE = bytes(range(32))
EMAIL = "ann@example.org"

# RFC 8032, section 7.1, tests 1 to 3: secret key, public key, message, signature.
VECTORS = (
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
)


@pytest.fixture
def log(tmp_path: Path) -> ReceiptLog:
    """Three receipts, of which the second is Ann's."""
    made = ReceiptLog(tmp_path / "receipts", Ed25519PrivateKey.generate())
    for number in range(3):
        about = receipts.about(NONCE, EMAIL) if number == 1 else "0" * 64
        made.issue({"request": f"{number:032x}", "kind": "erasure", "about": about})
    return made


def file_of(log: ReceiptLog, path: Path, number: int = 1) -> Path:
    issued = log.of(f"{number:032x}")
    assert issued is not None
    path.write_text(receipts.document(issued, log.public_key, NONCE))
    return path


@pytest.mark.parametrize(("_secret", "public", "message", "signature"), VECTORS)
def test_the_signatures_of_the_standard_hold(
    _secret: str,  # a column of the table, not a fixture
    public: str,
    message: str,
    signature: str,
) -> None:
    parts = [bytes.fromhex(each) for each in (public, message, signature)]
    assert verify_receipt.verify(*parts)
    assert not verify_receipt.verify(parts[0], parts[1] + b"x", parts[2])


@given(message=st.binary(max_size=64), place=st.integers(0, 95), bit=st.integers(0, 7))
def test_no_bit_of_key_or_signature_may_change(message: bytes, place: int, bit: int) -> None:
    key = Ed25519PrivateKey.from_private_bytes(NONCE)
    whole = bytearray(key.public_key().public_bytes_raw() + key.sign(message))
    assert verify_receipt.verify(bytes(whole[:32]), message, bytes(whole[32:]))
    whole[place] ^= 1 << bit
    assert not verify_receipt.verify(bytes(whole[:32]), message, bytes(whole[32:]))


def test_it_imports_nothing_but_the_standard_library() -> None:
    tree = ast.parse(PROGRAM.read_text())
    imported = {name.partition(".")[0] for node in ast.walk(tree) for name in _names(node)}
    assert imported <= set(sys.stdlib_module_names)


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [node.module or "nothing absolute"]
    return [name.name for name in node.names] if isinstance(node, ast.Import) else []


def test_a_person_checks_a_receipt_with_a_bare_python(log: ReceiptLog, tmp_path: Path) -> None:
    path = file_of(log, tmp_path / "receipt.json")
    command = [sys.executable, "-I", "-S", str(PROGRAM), str(path), "--email", " Ann@Example.org"]
    command += ["--public-key", log.public_key.hex(), "--log", str(tmp_path / "receipts")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "it is about ann@example.org" in done.stdout
    assert "line 2 of 3 of the log" in done.stdout


def run(*arguments: object) -> int:
    return int(verify_receipt.main([str(each) for each in arguments]))


def test_without_the_key_of_the_service_it_says_that_anybody_may_have_signed(
    log: ReceiptLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = file_of(log, tmp_path / "receipt.json")
    assert run(path, "--email", EMAIL) == 3
    assert "NOT CHECKED: whether key" in capsys.readouterr().out
    assert run(path, "--email", EMAIL, "--public-key", log.public_key.hex()) == 0
    assert "NOT CHECKED" not in capsys.readouterr().out
    with pytest.raises(SystemExit):
        run("--help")
    assert "3: all else holds" in " ".join(capsys.readouterr().out.split())


def signed_file(path: Path, content: dict[str, object], key: Ed25519PrivateKey) -> Path:
    """A file that somebody makes by themselves: rightly signed, whatever is in it."""
    public = key.public_key().public_bytes_raw()
    receipt = content | {"key": receipts.key_id(public)} if content else content
    signed = verify_receipt.canonical(receipt)
    document = {
        "receipt": receipt,
        "signature": base64.urlsafe_b64encode(key.sign(signed)).rstrip(b"=").decode(),
        "public_key": public.hex(),
    }
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    "changed",
    [
        None,
        {"retained": 5},
        {"retained": [5]},
        {"not_verified": "all"},
        {"finished": ["today"]},
        {"index": "1"},
        {"index": True},
        {"index": 0},
        {"version": 2},
        {"request": None},
    ],
)
def test_what_is_no_receipt_is_none_whoever_signed_it(
    changed: dict[str, object] | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw().hex()
    good: dict[str, object] = {"request": "a", "kind": "erasure", "about": ""}
    good |= {"previous": "0" * 64, "index": 1, "version": 1}
    assert run(signed_file(tmp_path / "good.json", good, key), "--public-key", public) == 0
    capsys.readouterr()
    content = {} if changed is None else good | changed
    assert run(signed_file(tmp_path / "r.json", content, key), "--public-key", public) == 2
    assert one_line(capsys).startswith("cannot be read: this is no receipt")


@pytest.mark.parametrize(
    "content",
    [
        b'{"receipt":{"key":"\\ud800"},"signature":"","public_key":""}',
        b'{"receipt":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
        b"[]",
        b'"receipt"',
        b"\xff",
        b"",
    ],
)
def test_a_file_of_another_kind_is_one_line(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.json").write_bytes(content)
    assert run(tmp_path / "r.json") == 2
    assert one_line(capsys).startswith("cannot be read: ")


@pytest.mark.parametrize(
    "content", [b"!!! {}\n", b"AAAA x\n", b"AAAA []\n", b"AAAA {}\n", b"\xff\n"]
)
def test_a_log_of_another_kind_is_one_line(
    content: bytes, log: ReceiptLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log").write_bytes(content)
    assert run(file_of(log, tmp_path / "r.json"), "--log", tmp_path / "log") == 2
    assert one_line(capsys).startswith("cannot be read: line 1 of the log: ")


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert (err, out.count("\n")) == ("", 1)
    return str(out)


def test_what_is_in_a_receipt_cannot_steer_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trick = "erasure\n\x1b[2Jholds: all of it \u202e"
    made = ReceiptLog(tmp_path / "receipts", Ed25519PrivateKey.generate())
    for field in ("kind", "finished"):
        content = {"request": field, "kind": "erasure", "about": ""} | {field: trick}
        issued = made.issue(content | {"retained": [trick]})
        (tmp_path / "r.json").write_text(receipts.document(issued, made.public_key, None))
        assert run(tmp_path / "r.json") == 3
        out = capsys.readouterr().out
        assert "erasure\\n\\x1b[2Jholds: all of it \\u202e" in out
        assert [line for line in out.splitlines() if line.startswith("holds: all")] == []
        assert all(each.isprintable() or each == "\n" for each in out)


@pytest.mark.parametrize("y", [1, 0, verify_receipt.P - 1])
def test_a_key_that_anybody_can_sign_with_is_refused(y: int, tmp_path: Path) -> None:
    """Points of order 1, 4 and 2: with the first one signature fits every text."""
    public = y.to_bytes(32, "little")
    receipt: dict[str, object] = {"request": "a", "kind": "erasure", "about": ""}
    receipt |= {"previous": "0" * 64, "index": 1, "version": 1, "key": receipts.key_id(public)}
    signature = (1).to_bytes(32, "little") + bytes(32)
    document = {
        "receipt": receipt,
        "signature": base64.urlsafe_b64encode(signature).rstrip(b"=").decode(),
        "public_key": public.hex(),
    }
    (tmp_path / "r.json").write_text(json.dumps(document))
    assert run(tmp_path / "r.json", "--public-key", public.hex()) == 1
    assert not verify_receipt.verify(public, b"any text", signature)


@pytest.mark.parametrize(
    "spelling", ["Straße@example.org", "\uff33TRASSE@example.org", "\ufb01n@example.org"]
)
def test_an_address_is_the_same_in_every_spelling(spelling: str, tmp_path: Path) -> None:
    made = ReceiptLog(tmp_path / "receipts", Ed25519PrivateKey.generate())
    about = receipts.about(NONCE, emails.normalise(spelling))
    issued = made.issue({"request": "a", "kind": "access", "about": about})
    (tmp_path / "r.json").write_text(receipts.document(issued, made.public_key, NONCE))
    key = ("--public-key", made.public_key.hex())
    for each in (spelling, emails.normalise(spelling), f" {spelling} "):
        assert run(tmp_path / "r.json", "--email", each, *key) == 0
    assert run(tmp_path / "r.json", "--email", "\ud800@example.org", *key) == 2


def test_what_does_not_hold_is_said(log: ReceiptLog, tmp_path: Path) -> None:
    path = file_of(log, tmp_path / "receipt.json")
    assert run(path, "--public-key", log.public_key.hex()) == 0
    assert run(path, "--email", "bob@example.org") == 1
    assert run(path, "--public-key", "00" * 32) == 1
    assert run(file_of(log, tmp_path / "other.json", 2), "--email", EMAIL) == 1
    stranger = ReceiptLog(tmp_path / "stranger", Ed25519PrivateKey.generate())
    stranger.issue({"request": "f" * 32, "kind": "erasure", "about": ""})
    assert run(path, "--log", tmp_path / "stranger") == 1
    (tmp_path / "nothing.json").write_text("{}")
    assert run(tmp_path / "nothing.json") == 2
    assert run(tmp_path / "missing.json") == 2


@given(data=st.data())
def test_any_other_word_in_a_receipt_is_noticed(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("receipt")
    made = ReceiptLog(folder / "receipts", Ed25519PrivateKey.from_private_bytes(NONCE))
    made.issue({"request": "1" * 32, "kind": "erasure", "about": "", "counts": {"reading": 12}})
    document = json.loads(receipts.document(made._issued[0], made.public_key, NONCE))
    name = data.draw(st.sampled_from(sorted(document["receipt"])))
    document["receipt"][name] = data.draw(st.text() | st.integers())
    if document["receipt"] != made._issued[0].receipt:
        (folder / "r.json").write_text(json.dumps(document))
        assert run(folder / "r.json") in {1, 2}


def test_a_log_that_was_changed_is_refused_by_both(log: ReceiptLog, tmp_path: Path) -> None:
    path = tmp_path / "receipts"
    key = log._key
    log.close()
    lines = path.read_bytes().splitlines(keepends=True)
    receipt = file_of(log, tmp_path / "receipt.json")
    for changed in (
        lines[0] + lines[2],  # one taken out
        lines[1] + lines[0] + lines[2],  # another order
        b"".join(lines).replace(b"erasure", b"erasura", 1),
    ):
        path.write_bytes(changed)
        with pytest.raises(LedgerError):
            ReceiptLog(path, key)
        assert run(receipt, "--log", path) == 1
    path.write_bytes(b"".join(lines) + lines[0][:40])  # a cut: nobody was told of that line
    assert ReceiptLog(path, key).head[0] == 3


@given(
    st.dictionaries(
        st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=8),
        st.integers(-(2**53), 2**53) | st.text(max_size=20) | st.lists(st.text(max_size=5)),
        max_size=6,
    )
)
def test_both_know_one_canonical_form(content: dict[str, object]) -> None:
    canonical = receipts.canonical(content)
    assert verify_receipt.canonical(content) == canonical
    assert json.loads(canonical) == content


@pytest.mark.parametrize("value", [{"weight": 72.5}, {"ä": 1}, {"list": [1.0]}, {"x": b"bytes"}])
def test_what_has_no_canonical_form_is_refused(value: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        receipts.canonical(value)
