"""The process and its machine: threads, signals, memory, files, text, the state of PyTorch and NumPy."""
