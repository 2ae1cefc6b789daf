"""Runs in MicroPython: answers what `test_p256_differential.py` asks about the fast signer.

A question is a line of hex fields: private key, digest, extra data (- for none), another signer's
signature, a signature to judge without knowing. The answer: public key, signature, 1 or 0 for each.
"""

import sys

from tare import p256_viper


def _answer(line):
    private, digest, extra, theirs, doubtful = [
        b"" if field == "-" else bytes.fromhex(field) for field in line.split()
    ]
    public = p256_viper.public_key(private)
    ours = p256_viper.sign(private, digest, extra)
    verdicts = [
        "%d" % p256_viper.verify(public, digest, signature, low_s=False)
        for signature in (theirs, doubtful)
    ]
    return " ".join((public.hex(), ours.hex(), verdicts[0], verdicts[1]))


for question in sys.stdin:
    print(_answer(question))
