// The M-step of mixtures whose covariances have a closed form: spheres, diagonals or matrices, one for each component or one for all.
//
// It is that of the floors above (inference/rules/em.py and model/covariance), for mixtures about which there is nothing to decide. Where a
// covariance may be singular or a component has no rows, it says so, and they decide.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels.hpp"
#include "triangles.hpp"

namespace mixtura {

enum Shape : int { SPHERE = 0, DIAGONAL = 1, MATRIX = 2 };

constexpr double EPS = std::numeric_limits<double>::epsilon();
constexpr double CANCELLED = 8 * EPS; // of second moments about the origin: what rounding leaves of those about the mean
constexpr double TRACE = 1e-32;       // a component whose rows weigh less than this beside those of another has none
constexpr int MOST_RAISED = 24;       // columns, up to which eigenvalues are found here
constexpr double LOG_2_PI = 1.83787706640934548356;

// Normal–inverse-Wishart.
struct Prior {
    const double *mean;  // (D)
    double mean_precision;
    const double *scale; // (D, D)
    double degrees;
};

struct Family {
    Shape shape;
    bool shared;
    bool equal_weights;
    const double *floor; // (D), or null for none
    const Prior *prior;  // or null
};

// A mixture, with room for what its blocks are computed from.
class Parameters {
  public:
    Parameters(int n_components, int n_features, const Family &family, double *weights, double *means, double *blocks, double *factors)
        : k_(n_components), d_(n_features), family_(family), weights_(weights), means_(means), blocks_(blocks), factors_(factors),
          n_blocks_(family.shared ? 1 : n_components), matrix_(family.shape == MATRIX), constants_(k_), whitening_((size_t)k_ * width()),
          scatter_((size_t)n_blocks_ * width()), degrees_(n_blocks_), least_((size_t)n_blocks_ * d_), root_(width()),
          inverse_(width()) {
        turn_into_scorer();
    }

    const double *constants() const { return constants_.data(); }
    const double *centres() const { return means_; }
    const double *whitening() const { return whitening_.data(); }

    // From totals about the means, as a pass leaves them; false, with nothing changed that counts, where others have to decide.
    bool maximise(const double *totals) {
        const size_t each = totals_of_component(d_, !matrix_);
        double most = 0, all = 0;
        for (int k = 0; k < k_; k++) most = std::max(most, totals[k * each]), all += totals[k * each];
        for (int k = 0; k < k_; k++)
            if (!(totals[k * each] > TRACE * most)) return false;
        std::vector<double> means(means_, means_ + (size_t)k_ * d_);
        std::fill(scatter_.begin(), scatter_.end(), 0.0);
        std::fill(degrees_.begin(), degrees_.end(), 0.0);
        std::fill(least_.begin(), least_.end(), std::numeric_limits<double>::infinity());
        for (int k = 0; k < k_; k++) gather(totals + k * each, means.data() + (size_t)k * d_, family_.shared ? 0 : k);
        const std::vector<double> blocks(blocks_, blocks_ + block_numbers()), factors(factors_, factors_ + block_numbers());
        for (int g = 0; g < n_blocks_; g++)
            if (!(matrix_ ? factor_matrix(g) : factor_variances(g))) {
                std::copy(blocks.begin(), blocks.end(), blocks_);
                std::copy(factors.begin(), factors.end(), factors_);
                return false;
            }
        std::copy(means.begin(), means.end(), means_);
        for (int k = 0; k < k_; k++) weights_[k] = family_.equal_weights ? 1.0 / k_ : totals[k * each] / all;
        turn_into_scorer();
        return true;
    }

    // What the prior adds to the bound.
    double log_prior() const {
        if (!family_.prior) return 0;
        const Prior &prior = *family_.prior;
        double sum = 0;
        for (int k = 0; k < k_; k++) {
            const double *r = whitening_.data() + k * width(), *mu = means_ + (size_t)k * d_;
            for (int i = 0; i < d_; i++) {
                double y = 0;
                if (matrix_)
                    for (int j = 0; j <= i; j++) y += (prior.mean[j] - mu[j]) * r[(size_t)j * d_ + i];
                else
                    y = (prior.mean[i] - mu[i]) * r[i];
                sum += std::log(matrix_ ? r[(size_t)i * d_ + i] : r[i]) - 0.5 * prior.mean_precision * y * y;
            }
        }
        for (int g = 0; g < n_blocks_; g++) sum += log_penalty(g);
        return sum;
    }

  private:
    size_t width() const { return matrix_ ? (size_t)d_ * d_ : (size_t)d_; }
    size_t block_width() const { return family_.shape == SPHERE ? 1 : width(); }
    size_t block_numbers() const { return n_blocks_ * block_width(); }

    // A component's mean, and its scatter about it, added to that of its block.
    void gather(const double *totals, double *mean, int g) {
        const double n = totals[0], *first = totals + 1, *second = totals + 1 + d_;
        double *scatter = scatter_.data() + g * width(), *least = least_.data() + (size_t)g * d_;
        const Prior *prior = family_.prior;
        const double pull = prior ? prior->mean_precision * n / (prior->mean_precision + n) : 0;
        const double root = std::sqrt(n);
        for (int i = 0; i < d_; i++) {
            const double along = first[i] / root, own = mean[i] + first[i] / n, offset = prior ? own - prior->mean[i] : 0;
            for (int j = i; j < (matrix_ ? d_ : i + 1); j++, second++) {
                double entry = *second - along * (first[j] / root);
                if (j == i) entry = std::max(entry, CANCELLED * std::fabs(*second));
                if (prior) entry += pull * offset * (mean[j] + first[j] / n - prior->mean[j]);
                scatter[matrix_ ? (size_t)i * d_ + j : (size_t)i] += entry;
            }
        }
        for (int i = 0; i < d_; i++) {
            mean[i] += first[i] / n;
            if (prior) mean[i] = prior->mean[i] + n / (prior->mean_precision + n) * (mean[i] - prior->mean[i]);
            const double spacing = 8 * EPS * mean[i];
            least[i] = bounded() ? 0.0 : std::min(least[i], spacing * spacing);
        }
        degrees_[g] += prior ? n + 1 : n;
    }

    bool bounded() const { return family_.prior || family_.floor; }

    bool factor_variances(int g) {
        const double *scatter = scatter_.data() + (size_t)g * d_, *least = least_.data() + (size_t)g * d_;
        const Prior *prior = family_.prior;
        if (family_.shape == SPHERE) {
            double sum = 0, degrees = degrees_[g] * d_, lowest = 0, floor = 0;
            for (int i = 0; i < d_; i++) {
                sum += scatter[i] + (prior ? prior->scale[(size_t)i * d_ + i] : 0);
                lowest += least[i] / d_;
                floor += family_.floor ? family_.floor[i] / d_ : 0;
            }
            if (prior) degrees += d_ * prior->degrees + 2;
            blocks_[g] = std::max(sum / degrees, floor);
            factors_[g] = 1 / std::sqrt(blocks_[g]);
            return blocks_[g] > lowest;
        }
        for (int i = 0; i < d_; i++) {
            double &block = blocks_[(size_t)g * d_ + i];
            block = prior ? (scatter[i] + prior->scale[(size_t)i * d_ + i]) / (degrees_[g] + prior->degrees + 2) : scatter[i] / degrees_[g];
            if (family_.floor) block = std::max(block, family_.floor[i]);
            if (!(block > least[i])) return false;
            factors_[(size_t)g * d_ + i] = 1 / std::sqrt(block);
        }
        return true;
    }

    bool factor_matrix(int g) {
        const double *scatter = scatter_.data() + (size_t)g * width(), *least = least_.data() + (size_t)g * d_;
        double *block = blocks_ + (size_t)g * width(), *factor = factors_ + (size_t)g * width();
        const Prior *prior = family_.prior;
        const double degrees = degrees_[g] + (prior ? prior->degrees + d_ + 1 : 0);
        const size_t d = (size_t)d_;
        for (size_t i = 0; i < d; i++)
            for (size_t j = i; j < d; j++) {
                const double entry = scatter[i * d + j] + (prior ? prior->scale[i * d + j] : 0);
                block[i * d + j] = block[j * d + i] = entry / degrees;
            }
        const bool sound = factored(block, least, factor);
        if (!family_.floor) return sound;
        double trace = 0; // of F Σ⁻¹, no less than one where a direction is at the floor
        for (size_t i = 0; sound && i < d; i++)
            for (size_t j = i; j < d; j++) trace += family_.floor[i] * factor[i * d + j] * factor[i * d + j];
        if (sound && trace <= 1) return true;
        return d_ <= MOST_RAISED && raise(block) && factored(block, least, factor);
    }

    // B = L Lᵀ and R = L⁻ᵀ; false where B is singular to working precision.
    bool factored(const double *block, const double *least, double *factor) {
        double *root = root_.data(), *inverse = inverse_.data();
        const size_t d = (size_t)d_;
        // A pivot is what the variables before do not explain; below 8·D·eps of the variance it is nothing but rounding.
        const auto sound = [&](size_t i, double pivot) {
            return block[i * d + i] > least[i] && pivot > 16 * d_ * EPS * block[i * d + i];
        };
        if (!cholesky(block, d, root, sound)) return false;
        invert_transposed(root, d, inverse, factor);
        return true;
    }

    // The eigenvalues of a block in units of the floor, those below one raised to it; false where that leaves it all but singular.
    bool raise(double *block) {
        const size_t d = (size_t)d_;
        std::vector<double> units(d), scaled(d * d), vectors(d * d, 0.0);
        for (size_t i = 0; i < d; i++) units[i] = std::sqrt(std::max(family_.floor[i], 64 * d_ * EPS * block[i * d + i]));
        for (size_t i = 0; i < d; i++)
            for (size_t j = 0; j < d; j++) scaled[i * d + j] = block[i * d + j] / (units[i] * units[j]);
        diagonalise(scaled.data(), vectors.data(), d);
        bool low = false;
        for (size_t i = 0; i < d; i++) low |= scaled[i * d + i] < 1;
        if (!low) return true;
        double most = 0;
        for (size_t i = 0; i < d; i++)
            for (size_t j = i; j < d; j++) {
                double sum = 0;
                for (size_t l = 0; l < d; l++) sum += vectors[i * d + l] * vectors[j * d + l] * std::max(scaled[l * d + l], 1.0);
                if (i == j) most = std::max(most, sum);
                block[i * d + j] = block[j * d + i] = sum * units[i] * units[j];
            }
        return most * 64 * d_ * EPS < 1;
    }

    // Jacobi's rotations, cyclically: eigenvalues are left on the diagonal, eigenvectors in the columns.
    static void diagonalise(double *a, double *vectors, size_t d) {
        for (size_t i = 0; i < d; i++) vectors[i * d + i] = 1;
        for (int sweep = 0; sweep < 50; sweep++) {
            double off = 0, on = 0;
            for (size_t i = 0; i < d; i++) {
                on += a[i * d + i] * a[i * d + i];
                for (size_t j = 0; j < i; j++) off += a[i * d + j] * a[i * d + j];
            }
            if (!(off > EPS * EPS * on)) return;
            for (size_t p = 0; p < d; p++)
                for (size_t q = p + 1; q < d; q++) {
                    const double apq = a[p * d + q];
                    if (apq == 0) continue;
                    const double theta = (a[q * d + q] - a[p * d + p]) / (2 * apq);
                    const double t = std::copysign(1 / (std::fabs(theta) + std::sqrt(theta * theta + 1)), theta);
                    const double c = 1 / std::sqrt(t * t + 1), s = t * c;
                    for (size_t i = 0; i < d; i++) {
                        const double x = a[i * d + p], y = a[i * d + q];
                        a[i * d + p] = c * x - s * y, a[i * d + q] = s * x + c * y;
                    }
                    for (size_t i = 0; i < d; i++) {
                        const double x = a[p * d + i], y = a[q * d + i];
                        a[p * d + i] = c * x - s * y, a[q * d + i] = s * x + c * y;
                        const double u = vectors[i * d + p], v = vectors[i * d + q];
                        vectors[i * d + p] = c * u - s * v, vectors[i * d + q] = s * u + c * v;
                    }
                }
        }
    }

    double log_penalty(int g) const {
        const Prior &prior = *family_.prior;
        const double *factor = factors_ + g * block_width();
        double log_root = 0, trace = 0;
        if (family_.shape == SPHERE) {
            for (int i = 0; i < d_; i++) trace += prior.scale[(size_t)i * d_ + i] * factor[0] * factor[0];
            return (d_ * prior.degrees + 2) * std::log(factor[0]) - 0.5 * trace;
        }
        for (int i = 0; i < d_; i++) {
            log_root += std::log(matrix_ ? factor[(size_t)i * d_ + i] : factor[i]);
            if (!matrix_) {
                trace += prior.scale[(size_t)i * d_ + i] * factor[i] * factor[i];
                continue;
            }
            for (int j = 0; j < d_; j++) {
                double product = 0; // of R Rᵀ
                for (int l = std::max(i, j); l < d_; l++) product += factor[(size_t)i * d_ + l] * factor[(size_t)j * d_ + l];
                trace += prior.scale[(size_t)i * d_ + j] * product;
            }
        }
        return (prior.degrees + (matrix_ ? d_ + 1 : 2)) * log_root - 0.5 * trace;
    }

    void turn_into_scorer() {
        for (int k = 0; k < k_; k++) {
            const double *factor = factors_ + (family_.shared ? 0 : k) * block_width();
            double *r = whitening_.data() + k * width(), sum = std::log(weights_[k]) - 0.5 * d_ * LOG_2_PI;
            for (size_t i = 0; i < width(); i++) r[i] = family_.shape == SPHERE ? factor[0] : factor[i];
            for (int i = 0; i < d_; i++) sum += std::log(matrix_ ? r[(size_t)i * d_ + i] : r[i]);
            constants_[k] = sum;
        }
    }

    int k_, d_;
    const Family &family_;
    double *weights_, *means_, *blocks_, *factors_;
    int n_blocks_;
    bool matrix_;
    std::vector<double> constants_, whitening_, scatter_, degrees_, least_, root_, inverse_;
};

} // namespace mixtura
