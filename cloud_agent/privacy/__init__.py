"""Keys per person and purpose, the ledger of erasures, export, erasure and its proof."""
