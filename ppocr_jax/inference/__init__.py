"""Reading: from a picture to a `Page`, with NumPy, OpenCV and ONNX Runtime."""
