"""Compare samples with samples: distances with their floors, p-values and certificates.

`compare` takes points. The `join_` functions bring rows of two files into one space. `metrics` has the numbers that a
run is evaluated by, `conditional_accuracy` measures if samples follow their conditions.
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
