"""Score functions that find or read text on labeled sets.

Each module has a part that runs (callable and labels in, what it found out), a part that scores, and `evaluate_*`,
which is both. The callables may be an `OCR` object's methods or a network in training: nothing here knows which.
"""
