"""Trained networks as files for other programs: ONNX and, by way of TensorFlow, SavedModel and TFLite."""
