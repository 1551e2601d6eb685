"""The data room: points, tables and images, all answering the same calls."""
