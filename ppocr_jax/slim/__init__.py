"""Smaller and faster versions of trained networks: int8 quantization and pruning."""
