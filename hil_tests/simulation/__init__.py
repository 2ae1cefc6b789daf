"""The whole system in one process under a virtual clock: many households, one seed, one history.

Real are the firmware's cores over NOR flash that tears, and the agent's consumer, handlers,
tables, vault and erasures. Modelled are the broker, the network, the power and the people.
`python -m hil_tests.simulation --seeds N` runs it; a failing seed fails again, with its reason.
"""
