"""One module per subcommand of `ppocr-jax`.

Each has `add_arguments(parser)` and `run(args) -> int` (the exit code), and imports what is slow to load inside `run`;
or, where its flags come from a config's fields, `main(arguments)`. `UserError` becomes one line and exit code 1.
"""
