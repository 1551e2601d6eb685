"""Measurements that are made, not quoted: run `make bench`."""
