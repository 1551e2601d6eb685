"""Experiments with a claim, each of which computes the numbers that check it."""
