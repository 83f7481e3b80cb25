// Laws of covariance blocks under smooth priors: those of model/laws/log_densities.py and independent.py.
#pragma once

#include <cmath>
#include <utility>

#include "coordinates.hpp"

namespace mixtura {

class BlockPrior {
  public:
    virtual ~BlockPrior() = default;

    // The log density, but for constants, at a place and a log of the common factor of all spreads. Derivatives are added to `by_blocks`, as
    // Coordinates::pull_back takes them, and to `by_log_factor`. No number where there is no density. `room` is for (3, D, D).
    virtual double add(const Reference &, const Place &, double log_factor, double *room, double *by_blocks, double *by_log_factor) const = 0;
    virtual bool has_common_factor() const { return false; }
};

// Λ_g | Ψ ~ Wishart(Ψ⁻¹, ν) with Ψ ~ Wishart(S⁻¹, g) integrated out, by Fisher's identity: as if blocks had ν rows with the scatter E[Ψ | Λ].
class LearntScale : public BlockPrior {
  public:
    LearntScale(Numbers &&scale, double degrees, double all_degrees) : scale_(std::move(scale)), degrees_(degrees), all_degrees_(all_degrees) {}

    double add(const Reference &about, const Place &place, double, double *room, double *by_blocks, double *) const override {
        return about.matrices() ? add_matrices(about, place, room, by_blocks) : add_variances(about, place, by_blocks);
    }

  private:
    double add_matrices(const Reference &about, const Place &place, double *room, double *by_blocks) const {
        const size_t d = about.d(), width = d * d;
        double *sum = room, *root = room + width, *inverse = sum, *whitened = room + 2 * width, value = 0;
        std::copy(scale_.begin(), scale_.end(), sum);
        for (size_t g = 0; g < about.n_blocks(); g++) add_gram(&place.whitening[g * width], nullptr, d, sum);
        if (!cholesky(sum, d, root, [](size_t, double pivot) { return pivot > 0; })) return NAN;
        invert_lower(root, d, inverse);
        const double power = degrees_ + (double)d + 1;
        for (size_t g = 0; g < about.n_blocks(); g++) {
            const double *own = &place.whitening[g * width];
            double *x = by_blocks + g * width;
            for (size_t i = 0; i < d; i++)
                for (size_t j = 0; j < d; j++) whitened[i * d + j] = dot(own + i * d, inverse + j * d, std::min(i, j) + 1);
            for (size_t i = 0; i < d; i++) {
                for (size_t j = 0; j <= i; j++) x[i * d + j] += all_degrees_ * dot(whitened + i * d, whitened + j * d, d);
                x[i * d + i] -= power;
            }
            value -= power * place.log_roots[g];
        }
        return value - all_degrees_ * log_diagonal(root, d);
    }

    double add_variances(const Reference &about, const Place &place, double *by_blocks) const {
        const size_t width = about.width(), n = about.n_blocks() * width;
        const double times = about.shape == SPHERE ? (double)about.d() : 1.0; // a variance of all features counts once for each
        double value = 0;
        for (size_t g = 0; g < about.n_blocks(); g++) value -= (times * degrees_ + 2) * place.log_roots[g];
        for (size_t i = 0; i < width; i++) {
            double sum = scale_[i];
            for (size_t at = i; at < n; at += width) sum += place.whitening[at] * place.whitening[at];
            for (size_t at = i; at < n; at += width)
                by_blocks[at] += times * (all_degrees_ * (place.whitening[at] * place.whitening[at] / sum) - degrees_) - 2;
            value -= 0.5 * all_degrees_ * times * std::log(sum);
        }
        return value;
    }

    Numbers scale_; // S
    double degrees_, all_degrees_;
};

enum Law : int { HALF_CAUCHY = 0, HALF_NORMAL = 1, LOG_NORMAL = 2 };

// Of spreads τ: log density of τ/s at x = log τ/s, and its derivative by x.
struct ScaleLaw {
    Law law;
    double log_spread;

    std::pair<double, double> at(double x) const {
        switch (law) {
        case HALF_CAUCHY: {
            const double e = std::exp(-2 * std::fabs(x)), more = std::log1p(e);
            return {LOG_2_BY_PI - more - (x > 0 ? 2 * x : 0), -2 * (x > 0 ? 1 : e) / (1 + e)};
        }
        case HALF_NORMAL: {
            const double square = std::exp(2 * x);
            return {0.5 * (2 * LOG_2 - LOG_2_PI - square), -square};
        }
        default: {
            const double z = x / log_spread;
            return {-0.5 * (z * z + LOG_2_PI) - std::log(log_spread) - x, -z / log_spread - 1};
        }
        }
    }

    static constexpr double LOG_2 = 0.693147180559945309417, LOG_2_BY_PI = -0.451582705289454864727;
};

// Σ = diag(τ) Ω diag(τ): spreads of one of the laws, maybe with a common factor, and p(Ω) ∝ |Ω|^(η − 1).
class IndependentSpreads : public BlockPrior {
  public:
    IndependentSpreads(ScaleLaw law, Numbers &&log_scales, double correlation_excess, double common_log_spread)
        : law_(law), log_scales_(std::move(log_scales)), correlation_excess_(correlation_excess), common_log_spread_(common_log_spread) {}

    bool has_common_factor() const override { return common_log_spread_ > 0; }

    double add(const Reference &about, const Place &place, double h, double *room, double *by_blocks, double *by_log_factor) const override {
        const size_t d = about.d(), n = about.n_spreads(), width = about.width();
        const double excess = about.matrices() ? correlation_excess_ : 0;
        const double power = about.matrices() ? (double)d + 2 * excess : 1; // of 1/τ beside p(τ), the one in |Ω| = |Σ|/Π τ² included
        double value = 0;
        for (size_t g = 0; g < about.n_blocks(); g++) {
            const double *root = &place.roots[g * width];
            double *x = by_blocks + g * width;
            for (size_t i = 0; i < n; i++) {
                const double square = about.matrices() ? dot(root + i * d, root + i * d, i + 1) : 0;
                const double log_tau = about.matrices() ? 0.5 * std::log(square) : std::log(root[i]), scale = log_scales_[i];
                const auto [density, slope] = law_.at(log_tau - h - scale);
                value += density - scale - power * log_tau - h - ScaleLaw::LOG_2;
                *by_log_factor -= slope + 1;
                if (about.matrices())
                    room[i] = (slope - power) / square;
                else
                    x[i] += slope - power;
            }
            if (!about.matrices()) continue;
            add_gram(root, room, d, x);
            for (size_t i = 0; i < d; i++) x[i * d + i] += 2 * excess;
            value += 2 * excess * place.log_roots[g];
        }
        if (has_common_factor()) {
            const double z = h / common_log_spread_;
            value -= 0.5 * z * z;
            *by_log_factor -= z / common_log_spread_;
        }
        return value;
    }

  private:
    ScaleLaw law_;
    Numbers log_scales_;
    double correlation_excess_, common_log_spread_; // η − 1 and ω
};

} // namespace mixtura
