"""What a letter asks for, by rules in English and French; what is not plain is for a person.

The rules look for a verb of asking or doing near a thing of ours. A sentence that says no, a
question in passing, two wishes at once: a person reads it. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from cloud_agent.privacy.requests.states import Kind

_DATA: Final = r"(donnees|informations|data|information)"
_READINGS: Final = r"(mesures|pesees|releves|poids|readings|measurements|weigh-?ins|weights)"
_ACCOUNT: Final = r"(compte|profil|account|profile)"
_ERASE: Final = (
    r"(supprim\w*|effac\w*|suppression|effacement|clotur\w+|ferme\w*"
    r"|delet\w+|eras\w+|remov\w+|wip\w+|clos\w+)"
)
_MINE: Final = r"\b(my|mes|me|moi|personal|personnelles)\b"
_TELL: Final = r"(cop(ie|y)|acces|access|communiqu\w+|connaitre|know|send me|envoy\w+)"
_NEAR: Final = r"[^.!?\n]{0,80}?"

_RULES: Final = {
    Kind.ERASURE_READINGS: (rf"{_ERASE}{_NEAR}\b{_READINGS}",),
    Kind.ERASURE: (
        rf"{_ERASE}{_NEAR}\b({_ACCOUNT}|{_DATA}|everything|tout)\b",
        r"droit (a l'oubli|a l'effacement)|right to (be forgotten|erasure)|article 17\b",
    ),
    Kind.PORTABILITY: (
        r"portabilit\w+|article 20\b|machine-readable|lisible par machine|format structure",
    ),
    Kind.ACCESS: (
        rf"^(?=.*{_MINE}).*?{_TELL}{_NEAR}\b{_DATA}\b",
        r"article 15\b|droit d'acces|right of access|subject access",
    ),
    Kind.RECTIFICATION: (
        r"rectif(y|i)\w*|corrig\w+|corrections? (de|of)|correct my|article 16\b",
        r"modifi\w+ mon|change my|update my",
    ),
    Kind.CONSENT_WITHDRAWAL: (
        rf"(withdraw|revoke)\w*{_NEAR}consent",
        rf"(retir|revoqu)\w+{_NEAR}consentement",
    ),
    Kind.RESTRICTION: (
        rf"(restrict\w*|limit\w*){_NEAR}(processing|traitement)|article 18\b",
        rf"(stop using|ne (plus )?utilis\w+|n'utilis\w+ plus){_NEAR}({_DATA}|{_READINGS})",
    ),
    Kind.OBJECTION: (
        r"\b(i object|m'oppose|opposition au)\b|article 21\b",
        rf"(partners?|partenaires?){_NEAR}(stop|arret\w*|plus)",
    ),
}

# A sentence with one of these is not taken for a wish: a person reads the letter.
_NO: Final = re.compile(
    r"\b(do not|don't|dont|never|not to|not|without (deleting|erasing)|instead of|unless|if i"
    r"|what if|n'|ne|pas|jamais|aucun|plutot que|si je|sans (supprimer|effacer)"
    r"|how (do|can|long)|comment (puis|faire|peut)|already|deja|was|has been|by mistake"
    r"|cancel\w*|restor\w*|undo|revok\w* my request|refus\w*|keep it|no way|annul\w*|retabli\w*"
    r"|passwords?|mot de passe|unsubscribe|liste de diffusion|from my account|de mon compte la)\b"
)
# Yet these hold a "no" and are wishes.
_STILL: Final = re.compile(r"\bne plus\b|n'utilis\w+ plus|stop using")


def intents(title: str, text: str) -> tuple[Kind, ...]:
    """The wishes that a letter has, in no order; (UNCLEAR,) where a person must read it."""
    found: set[Kind] = set()
    if _ANSWERED.match(title):
        title = ""  # the words of the letter that this one answers, or passes on
    for sentence in _sentences(f"{title}.\n{text}"):
        kinds = {kind for kind, rule in _COMPILED if rule.search(sentence)}
        if kinds and _NO.search(sentence) and not _STILL.search(sentence):
            return (Kind.UNCLEAR,)
        found |= kinds
    if Kind.ERASURE_READINGS in found and Kind.ERASURE in found:
        return (Kind.UNCLEAR,)
    if Kind.ACCESS in found and Kind.PORTABILITY in found:
        found.discard(Kind.ACCESS)  # the same data, in the form that was asked for
    return (found.pop(),) if len(found) == 1 else (Kind.UNCLEAR,)


_COMPILED: Final = tuple(
    (kind, re.compile(rule)) for kind, rules in _RULES.items() for rule in rules
)


_ANSWERED: Final = re.compile(r"\s*(re|aw|rep|fw|fwd|tr|wg)\s*:", re.IGNORECASE)


def _sentences(text: str) -> list[str]:
    decomposed = unicodedata.normalize("NFKD", text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    plain = "".join(one for one in decomposed if not unicodedata.combining(one)).lower()
    # A line that was broken by a program goes on; an empty line ends a sentence.
    joined = re.sub(r"(?<!\n)\n(?!\n)", " ", plain)
    return re.split(r"[.!?;]\s|\n", joined)
