// The conjugate update of a belief about a mixture, its scorer, and its divergence from the prior: coordinate ascent on the evidence.
//
// They are those of the floors above (model/laws/posterior.py, weights.py and ground/special.py), for beliefs about which there is nothing
// to decide. Where a scale is all but singular it says so, and they decide.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "maximisation.hpp"
#include "triangles.hpp"

namespace mixtura {

constexpr double SMALLEST = std::numeric_limits<double>::min();
constexpr double LEAST_CONSTANT = -1e15; // in a score: a component with this is given no row
constexpr double SERIES = 15;            // from here on Stirling's series is exact to rounding with six terms
constexpr double LARGE = 100;            // from here on it is taken as it is

// ln(x/y): exact in relative terms where they are close.
inline double log_ratio(double x, double y) { return std::fabs(x - y) < 0.5 * y ? std::log1p((x - y) / y) : std::log(x) - std::log(y); }

// What Stirling's series adds to (x − ½) ln x − x + ½ ln 2π, and its derivative.
inline double stirling(double x) {
    const double i = 1 / x, s = i * i;
    return i * (1. / 12 - s * (1. / 360 - s * (1. / 1260 - s * (1. / 1680 - s * (1. / 1188 - s * 691 / 360360)))));
}
inline double stirling_slope(double x) {
    const double i = 1 / x, s = i * i;
    return -s * (1. / 12 - s * (1. / 120 - s * (1. / 252 - s * (1. / 240 - s * (1. / 132 - s * 691 / 32760)))));
}

// ψ(x) and ln Γ(x) − (x ln x − x), for x > 0: the recurrence up to where the series begins.
inline double digamma(double x) {
    double sum = 0;
    for (x = std::max(x, SMALLEST); x < SERIES; x += 1) sum -= 1 / x;
    return sum + std::log(x) - 0.5 / x + stirling_slope(x);
}
inline double log_gamma_rest(double x) {
    const double half_log_2_pi = 0.5 * LOG_2_PI;
    if (x >= LARGE) return half_log_2_pi - 0.5 * std::log(x) + stirling(x);
    x = std::max(x, SMALLEST);
    double end = x, product = 1;
    for (; end < SERIES; end += 1) product *= end;
    return (end - 0.5) * std::log(end) - end + half_log_2_pi + stirling(end) - std::log(product) - x * std::log(x) + x;
}
inline double digamma_rest(double x) { return x >= LARGE ? -0.5 / x + stirling_slope(x) : digamma(x) - std::log(std::max(x, SMALLEST)); }

// How far ln Γ(x) − (x ln x − x), and ln Γ(x), lie above their tangents at y.
inline double log_gamma_rest_excess(double x, double y) { return log_gamma_rest(x) - log_gamma_rest(y) - digamma_rest(y) * (x - y); }
inline double log_gamma_excess(double x, double y) { return x * log_ratio(x, y) - (x - y) + log_gamma_rest_excess(x, y); }

// Divergence of one gamma law, of a shape and a rate, from another.
inline double gamma_divergence(double shape, double rate, double prior_shape, double prior_rate) {
    const double log_quotient = log_ratio(shape, prior_shape) - log_ratio(rate, prior_rate);
    const double excess = std::fabs(log_quotient) < 1 ? prior_shape * std::expm1(log_quotient) : shape * (prior_rate / rate) - prior_shape;
    return log_gamma_rest_excess(prior_shape, shape) + excess - prior_shape * log_quotient;
}

// What is believed of the weights: concentrations, or both parameters of each stick in the order in which they are broken.
struct WeightBelief {
    bool sticks;
    double prior; // α
    double *first, *second;
    int64_t *order;
};

// A belief, with room for what it is computed from.
class Belief {
  public:
    Belief(
        int n_components, int n_features, const Family &family, const WeightBelief &weights, double *means, double *mean_precisions,
        double *scales, double *factors, double *degrees)
        : k_(n_components), d_(n_features), shape_(family.shape), shared_(family.shared), prior_(*family.prior), weights_(weights),
          means_(means), mean_precisions_(mean_precisions), scales_(scales), factors_(factors), degrees_(degrees),
          n_blocks_(family.shared ? 1 : n_components), matrix_(family.shape == MATRIX), constants_(k_), whitening_((size_t)k_ * width()),
          scatter_((size_t)n_blocks_ * width()), rows_(n_blocks_), root_(width()), inverse_(width()), prior_root_(width()) {
        if (matrix_) cholesky(prior_.scale, (size_t)d_, prior_root_.data(), [](size_t, double) { return true; });
        turn_into_scorer();
    }

    const double *constants() const { return constants_.data(); }
    const double *centres() const { return means_; }
    const double *whitening() const { return whitening_.data(); }

    // From totals about the means, as a pass leaves them; false, with nothing changed that counts, where others have to decide.
    bool maximise(const double *totals) {
        const size_t each = totals_of_component(d_, !matrix_);
        std::vector<double> counts(k_), means((size_t)k_ * d_);
        double most = 0;
        for (int k = 0; k < k_; k++) most = std::max(most, totals[k * each]);
        std::fill(scatter_.begin(), scatter_.end(), 0.0);
        std::fill(rows_.begin(), rows_.end(), 0.0);
        for (int k = 0; k < k_; k++) {
            counts[k] = totals[k * each] > TRACE * most ? totals[k * each] : 0;
            gather(counts[k], totals + k * each, means_ + (size_t)k * d_, means.data() + (size_t)k * d_, shared_ ? 0 : k);
        }
        const std::vector<double> scales(scales_, scales_ + n_blocks_ * block_width()), factors(factors_, factors_ + n_blocks_ * block_width());
        for (int g = 0; g < n_blocks_; g++)
            if (!(matrix_ ? scale_matrix(g) : scale_variances(g))) {
                std::copy(scales.begin(), scales.end(), scales_);
                std::copy(factors.begin(), factors.end(), factors_);
                return false;
            }
        std::copy(means.begin(), means.end(), means_);
        for (int k = 0; k < k_; k++) mean_precisions_[k] = prior_.mean_precision + counts[k];
        for (int g = 0; g < n_blocks_; g++) degrees_[g] = prior_.degrees + rows_[g];
        update_weights(counts);
        turn_into_scorer();
        return true;
    }

    // What the belief costs, and the bound has less.
    double log_prior() const {
        double sum = 0, of_means = 0;
        for (int k = 0; k < k_; k++) {
            const double *r = whitening_.data() + k * width(), *m = means_ + (size_t)k * d_;
            const double log_share = log_ratio(prior_.mean_precision, mean_precisions_[k]);
            of_means += d_ * (std::expm1(log_share) - log_share);
            for (int i = 0; i < d_; i++) {
                double y = 0;
                if (matrix_)
                    for (int j = 0; j <= i; j++) y += (prior_.mean[j] - m[j]) * r[(size_t)j * d_ + i];
                else
                    y = (prior_.mean[i] - m[i]) * r[i];
                of_means += prior_.mean_precision * y * y;
            }
        }
        for (int g = 0; g < n_blocks_; g++) sum += divergence_of_block(g);
        return -(divergence_of_weights() + 0.5 * of_means + sum);
    }

  private:
    size_t width() const { return matrix_ ? (size_t)d_ * d_ : (size_t)d_; }
    size_t block_width() const { return shape_ == SPHERE ? 1 : width(); }

    // A component's mean under the prior, and its scatter with what pulling the mean adds, added to that of its block.
    void gather(double n, const double *totals, const double *about, double *mean, int g) {
        rows_[g] += n;
        if (n == 0) return (void)std::copy(prior_.mean, prior_.mean + d_, mean);
        const double *first = totals + 1, *second = totals + 1 + d_;
        const double root = std::sqrt(n), share = n / (prior_.mean_precision + n), pull = prior_.mean_precision * share;
        double *scatter = scatter_.data() + g * width();
        for (int i = 0; i < d_; i++) mean[i] = about[i] + first[i] / n - prior_.mean[i];
        for (int i = 0; i < d_; i++)
            for (int j = i; j < (matrix_ ? d_ : i + 1); j++, second++) {
                double entry = *second - (first[i] / root) * (first[j] / root);
                if (j == i) entry = std::max(entry, CANCELLED * std::fabs(*second));
                scatter[matrix_ ? (size_t)i * d_ + j : (size_t)i] += entry + pull * mean[i] * mean[j];
            }
        for (int i = 0; i < d_; i++) mean[i] = prior_.mean[i] + share * mean[i];
    }

    bool scale_variances(int g) {
        const double *scatter = scatter_.data() + (size_t)g * d_;
        double mean = 0;
        for (int i = 0; i < d_; i++) {
            const double scale = prior_.scale[(size_t)i * d_ + i], sum = std::max(scatter[i], 0.0);
            mean += (scale + sum) / d_;
            if (shape_ == SPHERE) continue;
            scales_[(size_t)g * d_ + i] = scale + sum;
            factors_[(size_t)g * d_ + i] = 1 / std::sqrt(scale + sum);
        }
        if (shape_ == SPHERE) scales_[g] = mean, factors_[g] = 1 / std::sqrt(mean);
        return true;
    }

    bool scale_matrix(int g) {
        const size_t d = (size_t)d_;
        double *scatter = scatter_.data() + g * width(), *scale = scales_ + g * width(), *factor = factors_ + g * width();
        for (size_t i = 0; i < d; i++) scatter[i * d + i] = std::max(scatter[i * d + i], 0.0);
        for (size_t i = 0; i < d; i++)
            for (size_t j = i; j < d; j++) {
                // No correlation is beyond one: of very many rows, rounding leaves more than a prior puts right.
                const double most = std::sqrt(scatter[i * d + i]) * std::sqrt(scatter[j * d + j]);
                const double entry = i == j ? scatter[i * d + i] : std::min(std::max(scatter[i * d + j], -most), most);
                scale[i * d + j] = scale[j * d + i] = prior_.scale[i * d + j] + entry;
            }
        double *root = root_.data(), *inverse = inverse_.data();
        if (!cholesky(scale, d, root, [&](size_t i, double pivot) { return pivot > 16 * d_ * EPS * scale[i * d + i]; })) return false;
        invert_transposed(root, d, inverse, factor);
        double trace = 0;
        for (size_t i = 0; i < d; i++)
            for (size_t j = 0; j <= i; j++) trace += scale[j * d + j] * inverse[i * d + j] * inverse[i * d + j];
        return 64 * d_ * EPS * trace <= 1;
    }

    void update_weights(const std::vector<double> &counts) {
        if (!weights_.sticks) {
            for (int k = 0; k < k_; k++) weights_.first[k] = weights_.prior + counts[k];
            return;
        }
        std::iota(weights_.order, weights_.order + k_, 0);
        std::stable_sort(weights_.order, weights_.order + k_, [&](int64_t a, int64_t b) { return counts[a] > counts[b]; });
        double beyond = 0;
        for (int j = k_ - 1; j >= 0; j--) {
            const double taken = counts[weights_.order[j]];
            weights_.first[j] = 1 + taken;
            weights_.second[j] = weights_.prior + beyond;
            beyond += taken;
        }
    }

    // E ln π_k.
    std::vector<double> expected_logs() const {
        std::vector<double> logs(k_);
        if (!weights_.sticks) {
            const double of_all = digamma(std::accumulate(weights_.first, weights_.first + k_, 0.0));
            for (int k = 0; k < k_; k++) logs[k] = digamma(weights_.first[k]) - of_all;
            return logs;
        }
        double left = 0;
        for (int j = 0; j < k_; j++) {
            const bool last = j == k_ - 1;
            const double first = weights_.first[j], second = weights_.second[j], whole = last ? 0 : digamma(first + second);
            logs[weights_.order[j]] = left + (last ? 0 : digamma(first) - whole);
            if (!last) left += digamma(second) - whole;
        }
        return logs;
    }

    double divergence_of_weights() const {
        const double prior = weights_.prior;
        double sum = 0, all = 0;
        if (weights_.sticks) {
            for (int j = 0; j < k_ - 1; j++) {
                const double first = weights_.first[j], second = weights_.second[j];
                sum += log_gamma_excess(1, first) + log_gamma_excess(prior, second) - log_gamma_excess(1 + prior, first + second);
            }
            return sum;
        }
        for (int k = 0; k < k_; k++) sum += log_gamma_excess(prior, weights_.first[k]), all += weights_.first[k];
        return sum - log_gamma_excess(k_ * prior, all);
    }

    // E ln|Λ|.
    double expected_log_determinant(int g) const {
        const double nu = degrees_[g], *scale = scales_ + g * block_width(), *factor = factors_ + g * block_width();
        double sum = 0;
        if (shape_ == SPHERE) return d_ * (digamma(0.5 * d_ * nu) - std::log(0.5 * d_ * scale[0]));
        if (shape_ == DIAGONAL) {
            for (int i = 0; i < d_; i++) sum -= std::log(0.5 * scale[i]);
            return sum + d_ * digamma(0.5 * nu);
        }
        for (int i = 0; i < d_; i++) sum += digamma(0.5 * (nu - i)) + std::log(2.0) + 2 * std::log(factor[(size_t)i * d_ + i]);
        return sum;
    }

    double divergence_of_block(int g) const {
        const double nu = degrees_[g], *scale = scales_ + g * block_width(), *factor = factors_ + g * block_width();
        const size_t d = (size_t)d_;
        double sum = 0;
        if (!matrix_) {
            double mean = 0;
            for (size_t i = 0; i < d; i++) {
                const double before = prior_.scale[i * d + i];
                mean += before / d_;
                if (shape_ == DIAGONAL) sum += gamma_divergence(0.5 * nu, 0.5 * scale[i], 0.5 * prior_.degrees, 0.5 * before);
            }
            const double half = 0.5 * d_;
            return shape_ == DIAGONAL ? sum : gamma_divergence(half * nu, half * scale[0], half * prior_.degrees, half * mean);
        }
        double shrinkage = 0, trace = 0;
        for (size_t i = 0; i < d; i++) {
            sum += log_gamma_excess(0.5 * (prior_.degrees - (double)i), 0.5 * (nu - (double)i));
            shrinkage -= 2 * (std::log(factor[i * d + i]) + std::log(prior_root_[i * d + i]));
            for (size_t j = 0; j <= i; j++) { // of Rᵀ L₀, which is lower triangular
                double entry = 0;
                for (size_t l = j; l <= i; l++) entry += factor[l * d + i] * prior_root_[l * d + j];
                trace += entry * entry;
            }
        }
        return sum + 0.5 * (prior_.degrees * shrinkage + nu * (trace - d_));
    }

    // E ln π_k + ½ E ln|Λ_k| − D/(2β_k) − (D/2) ln 2π − ½ ν (x − m)ᵀ Ψ⁻¹ (x − m).
    void turn_into_scorer() {
        const std::vector<double> logs = expected_logs();
        double determinant = 0;
        for (int k = 0; k < k_; k++) {
            const int g = shared_ ? 0 : k;
            const double *factor = factors_ + g * block_width(), root = std::sqrt(degrees_[g]);
            double *r = whitening_.data() + k * width();
            for (size_t i = 0; i < width(); i++) r[i] = root * (shape_ == SPHERE ? factor[0] : factor[i]);
            if (k == 0 || !shared_) determinant = expected_log_determinant(g);
            constants_[k] = std::max(logs[k] + 0.5 * determinant - 0.5 * d_ * (LOG_2_PI + 1 / mean_precisions_[k]), LEAST_CONSTANT);
        }
    }

    int k_, d_;
    Shape shape_;
    bool shared_;
    const Prior &prior_;
    WeightBelief weights_;
    double *means_, *mean_precisions_, *scales_, *factors_, *degrees_;
    int n_blocks_;
    bool matrix_;
    std::vector<double> constants_, whitening_, scatter_, rows_, root_, inverse_, prior_root_;
};

} // namespace mixtura
