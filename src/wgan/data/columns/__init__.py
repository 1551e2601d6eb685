"""Columns of tables: their types, the parsing of text, and their encoding for the networks."""

from wgan.data.columns.kinds import Category, Column, Constant, Number, Value

__all__ = ["Category", "Column", "Constant", "Number", "Value"]
