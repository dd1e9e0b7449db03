"""Tools for ONNX files: read headers, search and change graphs, simplify and quantize them.

They are used to read third-party files, to export, to quantize and to convert weights. Files are parsed with protobuf
and the few messages in `messages`, not with the `onnx` package, because this is part of the core installation and of
every start: protobuf adds 2 MB and 0.02 s; `onnx` adds 33 MB and 0.06 s more, and copies all weights into Python for
each pass, while these tools copy none. Export checks its results with `onnx`, which is installed with that extra.
"""
