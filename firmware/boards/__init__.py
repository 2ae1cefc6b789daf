"""One folder a board, with the same names in each: `board.py` has the Board, `run.py` starts it."""
