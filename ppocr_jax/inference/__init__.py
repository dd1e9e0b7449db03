"""Text recognition, from an image to a `Page`, with NumPy, OpenCV and ONNX Runtime."""
