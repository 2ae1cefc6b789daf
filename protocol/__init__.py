"""What both sides agree on: encoding, envelopes, messages. SPEC.md is the contract.

Imports nothing but the standard library; every module runs unchanged on MicroPython
and CPython, so this file stays empty: importing it must cost the device nothing.
"""
