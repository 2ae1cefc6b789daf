"""Privacy requests: received by any channel, verified, carried out, proven, in time."""
