"""Passwords: which are good enough, and how they are kept. Pure but for randomness.

At least 12 characters and no rule about which; refused are those that a guesser tries first.
Kept as argon2id with at least the parameters of OWASP ASVS 5.0 11.4.2 (46 MiB, 1 pass).
"""

from __future__ import annotations

import secrets
import string
import unicodedata
from functools import cache
from importlib import resources
from typing import Final

import argon2

from cloud_agent.errors import UsageError

MIN_LENGTH: Final = 12
_MAX_LENGTH: Final = 256  # far beyond any memory; keeps the hash from being a burden
_MAX_COMMON_WORDS: Final = 4
_MIN_LENGTH_WITHOUT_LETTERS: Final = 20
_MIN_DISTINCT: Final = 5
_KEYBOARDS: Final = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890123456789",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "1q2w3e4r5t6y7u8i9o0p",
)
_DISGUISES: Final = str.maketrans("@4031!$57", "aaoeiisst")

_hasher: Final = argon2.PasswordHasher(time_cost=2, memory_cost=47_104, parallelism=1)


def check(password: str, *, personal: str) -> None:
    """Raises `UsageError` with the reason when a password is too easy to guess.

    `personal` (the address) must not make up the password.
    """
    if len(password) < MIN_LENGTH:
        raise UsageError(f"a password needs at least {MIN_LENGTH} characters")
    if len(password) > _MAX_LENGTH:
        raise UsageError(f"a password has at most {_MAX_LENGTH} characters")
    plain = password.casefold()
    if len(set(plain)) < _MIN_DISTINCT or _repeats(plain) or _runs(plain):
        raise UsageError("this password is a pattern that is guessed first: choose another")
    bare = plain.strip(string.digits + string.punctuation + " ")
    for form in (plain, bare.translate(_DISGUISES)):
        if _is_common(form):
            raise UsageError("this password is one of those guessed first: choose another")
    local = personal.partition("@")[0]
    if personal in plain or (
        len(local) >= MIN_LENGTH // 2 and plain.strip("0123456789!.") == local
    ):
        raise UsageError("a password must not be your address: choose another")


def hash_password(password: str) -> str:
    """The argon2id text to keep, parameters and salt in it."""
    return _hasher.hash(_exact(password))


def verify(password_hash: str | None, password: str) -> bool:
    """Whether the password fits. Without a hash it takes as long and says no."""
    fits = True
    try:
        # Made in both cases, or the very first unknown address would take twice as long.
        nobodys = _nobodys_hash()
        _hasher.verify(password_hash or nobodys, _exact(password))
    except argon2.exceptions.VerificationError:
        fits = False
    return fits and password_hash is not None


def is_outdated(password_hash: str) -> bool:
    """Whether it was made with other parameters than today's."""
    return _hasher.check_needs_rehash(password_hash)


@cache
def _nobodys_hash() -> str:
    return _hasher.hash(secrets.token_urlsafe())


def _exact(password: str) -> bytes:
    # The same key presses may arrive composed or decomposed (RFC 8265 4.2). Bytes that are no
    # UTF-8 arrive from the environment as half characters: wrong perhaps, but no fault of ours.
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")


def _repeats(text: str) -> bool:
    """Whether the text is a short piece over and over: abcabcabcabc."""
    return any(
        text == (text[:size] * (len(text) // size + 1))[: len(text)]
        for size in range(1, len(text) // 2)
    )


def _runs(text: str) -> bool:
    """Whether the text is a walk along the alphabet or a keyboard, in one direction."""
    return any(text in row * 2 or text[::-1] in row * 2 for row in _KEYBOARDS)


@cache
def _common_words() -> frozenset[str]:
    path = resources.files("cloud_agent.accounts") / "common_words.txt"
    return frozenset(path.read_text(encoding="ascii").split())


def _is_common(text: str) -> bool:
    """Whether nothing but a few common words is left without digits and marks around them."""
    letters = "".join(character for character in text if character.isalpha())
    if not letters:
        return len(text) < _MIN_LENGTH_WITHOUT_LETTERS  # dates, telephone numbers
    fewest = [0] + [_MAX_COMMON_WORDS + 1] * len(letters)
    for end in range(1, len(letters) + 1):
        for start in range(end):
            if letters[start:end] in _common_words():
                fewest[end] = min(fewest[end], fewest[start] + 1)
    return fewest[-1] <= _MAX_COMMON_WORDS
