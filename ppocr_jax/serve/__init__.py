"""HTTP server that returns the text of images and documents and keeps none of them.

`settings` holds models and limits, `upload` receives a request's image, `engine` reads it in a thread pool shared by
all requests, `answers` writes the result in the format that the client accepts, `schema` describes requests and
responses, `observe` records metrics, and `app` is the FastAPI application.
"""
