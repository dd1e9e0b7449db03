"""One module per subcommand of `ppocr-jax`.

Each module has `add_arguments(parser)` and `run(args) -> int` (the exit code), and imports slow packages inside `run`.
`training`, whose flags come from the configuration dataclasses, has `main(name, arguments)` instead. `UserError` is
reported as one line with exit code 1.
"""
