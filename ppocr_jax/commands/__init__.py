"""One module per subcommand of `ppocr-jax`.

Each has `add_arguments(parser)` and `run(args) -> int` (the exit code), and imports what is slow to load inside `run`.
"""
