"""Pictures of mixtures, of how they were found, and of how they were chosen.

They need matplotlib: ``pip install "mixtura[plot]"``.

Every function draws on the axes it is given (``ax=``) or on a figure of its own, and returns the axes. It changes
neither matplotlib's settings nor pyplot's list of figures, and never calls ``show``: in a script, save with
``ax.figure.savefig("name.png")``; in a notebook, axes that are the last line of a cell show themselves; to take part in
pyplot, pass ``ax=plt.gca()``.
"""

from mixtura.plot.animation import animate
from mixtura.plot.chains import chains
from mixtura.plot.climb import convergence, trace
from mixtura.plot.clusters import components
from mixtura.plot.contours import density
from mixtura.plot.counts import n_components
from mixtura.plot.marginals import parameters
from mixtura.plot.overview import picture
from mixtura.plot.posterior import predictive, weights
from mixtura.plot.selection import criterion
from mixtura.plot.together import coclustering

__all__ = [
    "animate",
    "chains",
    "coclustering",
    "components",
    "convergence",
    "criterion",
    "density",
    "n_components",
    "parameters",
    "picture",
    "predictive",
    "trace",
    "weights",
]
