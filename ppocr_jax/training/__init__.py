"""Training: one loop for every network, handed an objective, batches and an evaluation."""
