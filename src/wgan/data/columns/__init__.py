"""The columns of a table: their types, how text is parsed into them, and how the networks see them."""

from wgan.data.columns.kinds import Category, Column, Constant, Number, Value

__all__ = ["Category", "Column", "Constant", "Number", "Value"]
