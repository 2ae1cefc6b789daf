"""The rig of the whole-way tests: a cloud, brokers and devices that can be cut off at any moment.

What is here starts programs and looks at what they say; what is right is said in `tests/`.
"""
