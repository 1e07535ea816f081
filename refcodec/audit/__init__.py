"""The auditor: what a model's integers can reach, what its data do reach, and how wide a machine must be."""
