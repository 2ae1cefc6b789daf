"""An exhaustive search through the conversation of device and cloud (SPEC 7), with the real cores.

`device` and `cloud` wrap what decides on either side, `search` tries every order of events, and
`scenarios` says with which events and how many of them. Touches no network, no disk, no clock.
"""
