"""From the broker to a durable row and back: verify, judge, store, answer.

`verify` and `judge` decide and touch nothing; `link` is the connection to the broker; `pipeline`
puts them together.
"""
