"""The process and the machine: threads, memory, the state of PyTorch and NumPy, files that survive a crash, text."""
