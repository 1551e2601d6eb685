"""Two sets of samples, compared by every distance there is: values beside floors, p-values and certificates.

`compare` takes points; the `join_` functions bring rows of two files into the one space that it needs.
"""

from wgan.evaluation.columns import ColumnDistance, compare_columns
from wgan.evaluation.comparison import Comparison, chosen, compare, num_shared, refuse_too_many
from wgan.evaluation.distances import DISTANCES
from wgan.evaluation.joint import Joint, JointColumn, TableRows, join_images, join_points, join_tables
from wgan.evaluation.marginals import Marginal, marginal, marginals

__all__ = [
    "DISTANCES",
    "ColumnDistance",
    "Comparison",
    "Joint",
    "JointColumn",
    "Marginal",
    "TableRows",
    "chosen",
    "compare",
    "compare_columns",
    "join_images",
    "join_points",
    "join_tables",
    "marginal",
    "marginals",
    "num_shared",
    "refuse_too_many",
]
