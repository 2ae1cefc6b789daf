"""The application of a Tare device: pure cores (what decides) and thin edges (what touches)."""
