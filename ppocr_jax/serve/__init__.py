"""The HTTP server: images and documents in, text out, nothing kept.

`settings` says what a server accepts; `upload` takes a request's image; `engine` reads it beside those of other
requests; `answers` writes what was read in the format that the client accepts; `observe` counts; `app` is the FastAPI
application of these.
"""
