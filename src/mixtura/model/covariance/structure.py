"""What a covariance structure is: a family of covariance matrices, and the maximiser of a Gaussian likelihood within it.

A structure never sees a row. It is handed scatter matrices and counts, and it maximises

    −½ Σ_k [ n_k log|Σ_k| + tr(Σ_k⁻¹ S_k) ]

over its family, optionally with an inverse-Wishart penalty and with no variance, in any direction, below a floor: ``Σ ⪰ diag(f)`` with
a floor ``f_d`` for each feature (a sphere has the mean of those). The maximiser under the floor is exact (eigenvalues below it, in units
of the floor, are raised to it), so an ascent algorithm stays monotone. With a floor or a penalty no covariance is singular: what
rounding leaves of a direction beside a variance 10¹³ times as large is raised as well.

``SharedBlocks`` is the orthogonal rule behind the six classical structures: a shape of block (matrix, diagonal, scalar) times whether
the components share one block or have one each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixtura.ground.errors import InvalidParameterError
from mixtura.ground.linalg import Array, read_only


@dataclass(frozen=True)
class InverseWishartPenalty:
    """``−½ [τ log|B| + tr(Ψ B⁻¹)]`` on each free block ``B`` of a structure, with ``τ`` following from ``ν``.

    Attributes
    ----------
    scale : (D, D) or (D,) array
        ``Ψ``. A diagonal block uses its diagonal, a scalar block its trace; for those the diagonal is enough.
    degrees_of_freedom : float
        ``ν``, in rows: ``D`` times as many observations of a scalar block.
    """

    scale: Array
    degrees_of_freedom: float

    @property
    def diagonal(self) -> Array:
        """Of ``Ψ``, ``(D,)``."""
        return self.scale if self.scale.ndim == 1 else np.diagonal(self.scale)


class Factored(NamedTuple):
    """Covariances (natural array), their precision factors, and which components are singular."""

    covariances: Array
    factor: Array
    singular: NDArray[np.bool_]


class Fitted(NamedTuple):
    """Each of several mixtures, and the whitening factors of all their components, one after another, for the scorer."""

    mixtures: list[Factored]
    whitening: Array


class CovarianceStructure(ABC):
    """A family of ``K`` covariances, parameterised by one *natural* array (the shape scikit-learn uses for ``covariances_``)."""

    name: ClassVar[str]
    code: ClassVar[str]
    sentence: ClassVar[str]
    """What it says of the components, for a reader."""
    diagonal: ClassVar[bool]
    """Whether the diagonals of the second moments are enough."""
    shared: ClassVar[bool] = False
    """Whether all components have one covariance."""
    scales_by_feature: ClassVar[bool] = True
    """Whether rescaling one feature rescales the fit and changes nothing else."""

    @abstractmethod
    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        """Shape of the natural array."""

    @abstractmethod
    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Free parameters of the covariances."""

    @abstractmethod
    def maximise(
        self, scatter: Array, counts: Array, floor: Array | float, penalty: InverseWishartPenalty | None
    ) -> Array:
        """The natural array that maximises the objective above.

        Parameters
        ----------
        scatter : (K, D, D) array, or (K, D) where ``diagonal``
            Scatter about each component's mean.
        counts : (K,) array
            Effective counts, at least one of them positive. Where a component has neither rows nor a penalty, it takes the covariance of
            all rows about the means of their own components.
        floor : float or (D,) array
            Smallest variance allowed, for all features or for each; zero for none.
        penalty : InverseWishartPenalty or None
        """

    def maximise_stack(
        self,
        scatter: Array,
        counts: Array,
        least: Array,
        floor: Array | float,
        penalty: InverseWishartPenalty | None,
        parts: Sequence[slice],
    ) -> Fitted:
        """Maximise and factorise for several mixtures, whose components stand one after another: ``parts`` says where each lies.

        One mixture at a time, unless a structure knows better.
        """
        mixtures, whitening = [], []
        for part in parts:
            covariances = self.maximise(scatter[part], counts[part], floor, penalty)
            factor, singular = self.factor(covariances, least[part])
            read_only(covariances, factor)
            mixtures.append(Factored(covariances, factor, singular))
            whitening.append(self.whitening(factor, part.stop - part.start, least.shape[1]))
        return Fitted(mixtures, np.concatenate(whitening))

    @abstractmethod
    def log_penalty(self, covariances: Array, penalty: InverseWishartPenalty) -> float:
        """The penalty's value, without constants."""

    @abstractmethod
    def factor(self, covariances: Array, least: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Natural array of precision factors ``R`` (``R Rᵀ = Σ⁻¹``), and which components are singular, ``(K,)`` or ``(1,)``.

        ``least``, ``(K, D)``, holds the variances that cannot be told from zero (zero itself where rounding plays no part).
        """

    @abstractmethod
    def whitening(self, factor: Array, n_components: int, n_features: int) -> Array:
        """The factors one per component, for the scorer: ``(K, D, D)``, or ``(K, D)`` where ``diagonal``."""

    def whitening_of_each(self, covariances: Array, n_components: int, n_features: int) -> Array:
        """Factors for the scorer of several mixtures, whose natural arrays stand one after another: ``(S·K, D, D)`` or ``(S·K, D)``."""
        least = np.zeros((n_components, n_features))
        factors = (self.factor(own, least)[0] for own in covariances)
        return np.concatenate([self.whitening(factor, n_components, n_features) for factor in factors])

    @abstractmethod
    def matrices(self, covariances: Array, n_components: int, n_features: int) -> Array:
        """Covariance matrices ``(K, D, D)``."""

    @abstractmethod
    def variances(self, covariances: Array, n_components: int, n_features: int) -> Array:
        """Variance of each feature in each component, ``(K, D)``."""

    @abstractmethod
    def precisions(self, factor: Array) -> Array:
        """Natural array of the precisions (inverse covariances) that belong to a natural array of factors."""

    @abstractmethod
    def from_matrices(self, matrices: Array, counts: Array) -> Array:
        """The member of the family nearest in likelihood to given matrices ``(K, D, D)`` of weights ``counts``."""

    @abstractmethod
    def reorder(self, covariances: Array, order: NDArray[np.intp]) -> Array:
        """The natural array with the components in another order."""


class SharedBlocks(CovarianceStructure):
    """One block for all components, or one each; subclasses say what a block is."""

    @abstractmethod
    def block_shape(self, n_features: int) -> tuple[int, ...]:
        """Shape of one block."""

    @abstractmethod
    def block_parameters(self, n_features: int) -> int:
        """Free parameters of one block."""

    @abstractmethod
    def maximise_blocks(
        self, scatter: Array, counts: Array, floor: Array | float, penalty: InverseWishartPenalty | None
    ) -> Array:
        """The maximiser for each block on its own."""

    def maximise_and_factor_blocks(
        self,
        scatter: Array,
        counts: Array,
        least: Array,
        floor: Array | float,
        penalty: InverseWishartPenalty | None,
    ) -> Factored:
        """The maximiser, factorised."""
        blocks = self.maximise_blocks(scatter, counts, floor, penalty)
        return Factored(blocks, *self.factor_blocks(blocks, least))

    @abstractmethod
    def block_log_penalty(self, blocks: Array, penalty: InverseWishartPenalty) -> float:
        """The penalty summed over blocks."""

    @abstractmethod
    def factor_blocks(self, blocks: Array, least: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Precision factors of the blocks, and which blocks are singular."""

    @abstractmethod
    def block_precisions(self, factors: Array) -> Array:
        """Precisions from factors."""

    @abstractmethod
    def block_whitening(self, factors: Array, n_features: int) -> Array:
        """Factors as the scorer takes them, ``(G, D, D)`` or ``(G, D)``."""

    @abstractmethod
    def block_variances(self, blocks: Array, n_features: int) -> Array:
        """Variances ``(G, D)`` of the features."""

    @abstractmethod
    def block_matrices(self, blocks: Array, n_features: int) -> Array:
        """Matrices ``(G, D, D)`` of the blocks."""

    # Smooth coordinates: a block's root L (Cholesky factor or standard deviations) is a reference root times a relative root T(t), so
    # that t = 0 is the reference. These are called with complex numbers too (derivatives by a complex step), so they never conjugate.
    # Whatever belongs to the point and not to the reference may be a stack of many: further axes come first.

    @abstractmethod
    def block_information(self, n_features: int) -> Array:
        """Fisher information of each coordinate ``t`` of a block per observation at ``t = 0``, ``(q,)``: it is diagonal there."""

    @abstractmethod
    def block_roots(self, blocks: Array) -> Array:
        """``L`` with ``L Lᵀ`` the block (``L²`` for variances)."""

    @abstractmethod
    def block_from_roots(self, roots: Array) -> Array:
        """The blocks again."""

    @abstractmethod
    def relative_roots(self, t: Array, n_features: int) -> Array:
        """``T`` for coordinates ``(..., G, q)``."""

    @abstractmethod
    def composed_roots(self, reference: Array, relative: Array) -> Array:
        """``L = L₀ T``."""

    @abstractmethod
    def relative_coordinates(self, reference: Array, roots: Array) -> Array:
        """``t`` with ``L₀ T(t) = L``, ``(G, q)``."""

    @abstractmethod
    def apply_roots(self, roots: Array, vectors: Array) -> Array:
        """``L v`` for the vectors ``(K, D)`` of the components."""

    @abstractmethod
    def apply_roots_transposed(self, roots: Array, vectors: Array) -> Array:
        """``Lᵀ v``."""

    @abstractmethod
    def whiten_by_roots(self, roots: Array, vectors: Array) -> Array:
        """``L⁻¹ v``."""

    @abstractmethod
    def factor_from_roots(self, roots: Array) -> Array:
        """Precision factors ``R = L⁻ᵀ``."""

    @abstractmethod
    def pull_back(self, second: Array, counts: Array, factors: Array, relative: Array) -> Array:
        """Gradient in ``t``, ``(G, q)``, of ``−n log|L| − ½ tr((L Lᵀ)⁻¹ S)``.

        ``second``, ``(G, D, D)`` or ``(G, D)``, is ``S`` about the current means, ``counts``, ``(G,)``, is ``n``.
        """

    @abstractmethod
    def pull_back_blocks(self, by_blocks: Array, roots: Array, reference: Array, relative: Array) -> Array:
        """Gradient in ``t``, ``(..., G, q)``, of a function with these derivatives by the entries of the blocks."""

    @abstractmethod
    def block_log_spreads(self, roots: Array) -> Array:
        """Logs of the standard deviations of the features, ``(..., G, D)``; ``(..., G, 1)`` where all features share one."""

    @abstractmethod
    def by_spreads(self, by_log_spreads: Array, log_spreads: Array) -> Array:
        """Derivatives by the entries of the blocks of a function with these derivatives by the logs of the spreads."""

    @abstractmethod
    def likelihood_slopes(self, scales: Array, counts: Array, factors: Array, n_features: int) -> Array:
        """Derivatives by the entries of the blocks ``B`` of ``−½ [n log|B| + tr(B⁻¹ S)]``, for a variance ``D`` times that.

        ``scales``, shaped like the blocks, is ``S``, ``counts``, ``(..., G)``, is ``n``, and ``factors`` are those of ``B⁻¹``.
        """

    @abstractmethod
    def block_log_determinants(self, roots: Array) -> Array:
        """Logs of the determinants of the blocks, ``(..., G)``."""

    @abstractmethod
    def block_log_jacobians(self, roots: Array) -> Array:
        """``log |∂block/∂t|``, of the free entries, at ``t = 0`` about each of these roots, ``(G,)``."""

    @abstractmethod
    def block_log_jacobian_slope(self, n_features: int) -> Array:
        """Its gradient in ``t``, ``(q,)``, which is the same everywhere."""

    # Conjugate laws of the precision of a block: Wishart(Ψ⁻¹, ν), or gammas that count ν rows of each variance.

    @abstractmethod
    def prior_block(self, scale: Array) -> Array:
        """The scale of the prior, ``(D, D)``, as a stack of one block."""

    @abstractmethod
    def block_sums(self, scatter: Array) -> Array:
        """Scatter, ``(..., G, D, D)`` or ``(..., G, D)``, as what is added to the scale of a block."""

    @abstractmethod
    def factored_scales(self, scales: Array) -> tuple[Array, Array]:
        """Scales, those that are singular to working precision raised above that, and ``R`` with ``R Rᵀ = Ψ⁻¹``."""

    @abstractmethod
    def expected_log_determinants(self, scales: Array, factors: Array, degrees: Array, n_features: int) -> Array:
        """``E ln|Λ|``, ``(G,)``; ``factors`` are those of ``scales``."""

    @abstractmethod
    def wishart_divergences(
        self, scales: Array, factors: Array, degrees: Array, prior_scale: Array, prior_degrees: float, n_features: int
    ) -> Array:
        """Kullback–Leibler divergence of each block's law from the prior's, ``(G,)``."""

    @abstractmethod
    def log_student(self, squares: Array, whitening: Array, degrees: Array, widening: Array) -> Array:
        """Log predictive density of each component, ``(K, B)``.

        ``squares``, ``(K, B, D)``, are squared residuals whitened by the factors ``whitening`` of ``ν Ψ⁻¹``; ``widening`` is
        ``(1 + β)/β``.
        """

    @abstractmethod
    def log_wishart(self, scales: Array, degrees: Array, factors: Array, n_features: int) -> Array:
        """Log density of each of ``J`` laws at each of the precisions ``R Rᵀ`` of ``G`` blocks, ``(J, G)``.

        Relative to the measure ``|Λ|^(−(D+1)/2) dΛ`` (``dλ/λ`` for a variance), which no change of units changes.
        """

    @abstractmethod
    def log_wishart_of_each(self, scales: Array, degrees: Array, factors: Array, n_features: int) -> Array:
        """Log density of each of ``G`` laws, or of one, at the precision of its own block, ``(G,)``: the diagonal of ``log_wishart``."""

    @abstractmethod
    def log_determinant_variances(self, degrees: Array, n_features: int) -> Array:
        """Variance of ``ln|Λ|``, ``(G,)``."""

    @abstractmethod
    def variance_laws(self, scales: Array, degrees: Array, n_features: int) -> tuple[Array, Array]:
        """``a``, ``(G,)``, and ``s``, ``(G, D)``, such that the variance of each feature has the law of ``s/χ²_a``."""

    @abstractmethod
    def modal_blocks(self, scales: Array, degrees: Array, n_means: int, n_features: int) -> Array:
        """Where the joint density of each covariance block and of ``n_means`` means under it is largest."""

    @abstractmethod
    def draw_roots(self, scales: Array, degrees: Array, n_features: int, rng: np.random.Generator) -> Array:
        """Roots of covariance blocks drawn from their laws."""

    def as_blocks(self, natural: Array) -> Array:
        """The natural array as a stack of blocks."""
        return natural[None] if self.shared else natural

    def as_natural(self, blocks: Array) -> Array:
        """The stack of blocks as the natural array."""
        return blocks[0, ...] if self.shared else blocks

    def _per_component(self, blocks: Array, n_components: int) -> Array:
        if not self.shared:
            return blocks
        # Materialised, not a view with a zero stride: batched products are slow on those.
        return np.repeat(blocks, n_components, axis=0)

    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        block = self.block_shape(n_features)
        return block if self.shared else (n_components, *block)

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return (1 if self.shared else n_components) * self.block_parameters(n_features)

    def maximise(
        self, scatter: Array, counts: Array, floor: Array | float, penalty: InverseWishartPenalty | None
    ) -> Array:
        if self.shared:
            scatter, counts = scatter.sum(axis=0, keepdims=True), counts.sum(keepdims=True)
        elif penalty is None:
            scatter, counts = _with_pooled(scatter, counts, [slice(0, len(counts))])
        return self.as_natural(self.maximise_blocks(scatter, counts, floor, penalty))

    def maximise_stack(
        self,
        scatter: Array,
        counts: Array,
        least: Array,
        floor: Array | float,
        penalty: InverseWishartPenalty | None,
        parts: Sequence[slice],
    ) -> Fitted:
        # Blocks know nothing of each other, so those of all mixtures are one stack.
        n_features = least.shape[1]
        if not self.shared:
            if penalty is None:
                scatter, counts = _with_pooled(scatter, counts, parts)
            blocks, factors, singular = self.maximise_and_factor_blocks(scatter, counts, least, floor, penalty)
            read_only(blocks, factors)
            mixtures = [Factored(blocks[part], factors[part], singular[part]) for part in parts]
            return Fitted(mixtures, self.block_whitening(factors, n_features))
        starts = [part.start for part in parts]
        scatter, counts = np.add.reduceat(scatter, starts), np.add.reduceat(counts, starts)
        least = np.minimum.reduceat(least, starts)
        blocks, factors, singular = self.maximise_and_factor_blocks(scatter, counts, least, floor, penalty)
        read_only(blocks, factors)
        mixtures = [Factored(blocks[r, ...], factors[r, ...], singular[r : r + 1]) for r in range(len(parts))]
        sizes = [part.stop - part.start for part in parts]
        return Fitted(mixtures, np.repeat(self.block_whitening(factors, n_features), sizes, axis=0))

    def log_penalty(self, covariances: Array, penalty: InverseWishartPenalty) -> float:
        return self.block_log_penalty(self.as_blocks(covariances), penalty)

    def factor(self, covariances: Array, least: Array) -> tuple[Array, NDArray[np.bool_]]:
        if self.shared:
            least = least.min(axis=0, keepdims=True)
        factors, singular = self.factor_blocks(self.as_blocks(covariances), least)
        return self.as_natural(factors), singular

    def whitening_of_each(self, covariances: Array, n_components: int, n_features: int) -> Array:
        blocks = covariances.reshape(-1, *self.block_shape(n_features))
        factors, _ = self.factor_blocks(blocks, np.zeros((len(blocks), n_features)))
        whitening = self.block_whitening(factors, n_features)
        return np.repeat(whitening, n_components, axis=0) if self.shared else whitening

    def precisions(self, factor: Array) -> Array:
        return self.as_natural(self.block_precisions(self.as_blocks(factor)))

    def matrices(self, covariances: Array, n_components: int, n_features: int) -> Array:
        return self._per_component(self.block_matrices(self.as_blocks(covariances), n_features), n_components)

    def variances(self, covariances: Array, n_components: int, n_features: int) -> Array:
        return self._per_component(self.block_variances(self.as_blocks(covariances), n_features), n_components)

    def whitening(self, factor: Array, n_components: int, n_features: int) -> Array:
        return self._per_component(self.block_whitening(self.as_blocks(factor), n_features), n_components)

    def from_matrices(self, matrices: Array, counts: Array) -> Array:
        scatter = matrices * counts[:, None, None]
        if self.diagonal:
            scatter = np.diagonal(scatter, axis1=-2, axis2=-1)
        return self.maximise(scatter, counts, 0.0, None)

    def reorder(self, covariances: Array, order: NDArray[np.intp]) -> Array:
        return covariances if self.shared else covariances[order]


def _with_pooled(scatter: Array, counts: Array, parts: Sequence[slice]) -> tuple[Array, Array]:
    """Scatter and counts with those of a whole mixture in place of those of its components without rows."""
    if counts.all():
        return scatter, counts
    scatter, counts = scatter.copy(), counts.copy()
    for part in parts:
        empty = np.flatnonzero(counts[part] == 0) + part.start
        scatter[empty], counts[empty] = scatter[part].sum(axis=0), counts[part].sum()
    return scatter, counts


def check_natural_shape(
    structure: CovarianceStructure, array: Array, n_components: int, n_features: int, what: str
) -> None:
    """Raise if a natural array does not have the structure's shape."""
    expected = structure.shape(n_components, n_features)
    if array.shape != expected:
        raise InvalidParameterError(
            f"{what} of covariance type {structure.name!r} must have shape {expected} for {n_components} components "
            f"in {n_features} dimensions; got {array.shape}."
        )
