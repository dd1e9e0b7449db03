"""Training data: label files, detection targets, augmentation, batches, synthetic text."""
