"""ONNX files: what they say of their network, and their graphs, searched, changed and made faster.

The one toolkit for reading foreign files, exporting, quantizing and converting weights. It reads files with protobuf
and the few messages in `messages`, not with the `onnx` package, since reading is part of the core installation and of
every start: protobuf adds 2 MB and 0.02 s, `onnx` 33 MB and 0.06 s more, and it copies all weights into Python for
each pass where this copies none. Exporting checks its results with `onnx`, whose own installation brings it.
"""
