"""The outside world: one module for each thing that is not ours."""
