"""What an engineer runs: set-up, demo, tests, virtual device. Nothing here ships in a product."""
