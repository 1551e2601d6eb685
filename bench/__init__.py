"""Benchmarks of speed, memory and quality: run `make bench`."""
