// Mixtures as unconstrained vectors: those of model/coordinates.py, whose reduced coordinates these are, at float64 alone.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include "maximisation.hpp"
#include "triangles.hpp"

namespace mixtura {

using Numbers = std::vector<double>;

// What vectors are about. G blocks of covariances, one for all components or one for each, have C coordinates each.
struct Reference {
    Shape shape;
    bool shared;
    int n_components, n_features;
    Numbers log_weights, scales;   // (K)
    Numbers means;                 // (K, D)
    Numbers roots;                 // L⁰ of each block: (G, D, D), (G, D) or (G)
    Numbers block_scales;          // (G, C)
    Numbers basis;                 // (K, K − 1)
    Numbers log_jacobian_slopes;   // (G, C)
    double log_jacobian;           // at the reference, but for Σ log π

    size_t d() const { return (size_t)n_features; }
    size_t n_blocks() const { return shared ? 1 : (size_t)n_components; }
    bool matrices() const { return shape == MATRIX; }
    size_t n_spreads() const { return shape == SPHERE ? 1 : d(); }                           // of a block
    size_t width() const { return matrices() ? d() * d() : n_spreads(); }                    // numbers in a block
    size_t n_coordinates() const { return matrices() ? d() * (d() + 1) / 2 : n_spreads(); } // of a block
};

// What a vector stands for. For variances W = 1/T, and roots are standard deviations.
struct Place {
    Numbers weights, means;                      // (K) and (K, D)
    Numbers relative, inverse, roots, whitening; // of each block T, W = T⁻¹, L = L⁰ T and L⁻¹
    Numbers log_roots;                           // (G), log|L|, of a sphere that of one feature
    double log_weights;                          // Σ log π

    explicit Place(const Reference &about)
        : weights(about.n_components), means(about.n_components * about.d()), relative(about.n_blocks() * about.width()), inverse(relative),
          roots(relative), whitening(relative), log_roots(about.n_blocks()), log_weights(0) {}
};

class Coordinates {
  public:
    explicit Coordinates(Reference &&about) : about(std::move(about)), whitening_(this->about.roots.size()) {
        const size_t width = this->about.width();
        for (size_t g = 0; g < this->about.n_blocks(); g++)
            if (this->about.matrices())
                invert_lower(&this->about.roots[g * width], this->about.d(), &whitening_[g * width]);
            else
                for (size_t i = g * width; i < (g + 1) * width; i++) whitening_[i] = 1 / this->about.roots[i];
    }

    const Reference about;

    size_t size() const { return first_block() + about.block_scales.size(); }

    // False where no number can hold the mixture.
    bool locate(const double *q, Place &place) const {
        const size_t k = (size_t)about.n_components, d = about.d();
        double most = -INFINITY, sum = 0;
        for (size_t i = 0; i < k; i++) {
            place.weights[i] = about.log_weights[i] + dot(about.basis.data() + i * (k - 1), q, k - 1) / about.scales[i];
            most = std::max(most, place.weights[i]);
        }
        for (double &weight : place.weights) sum += weight = std::exp(weight - most);
        place.log_weights = 0;
        for (double &weight : place.weights) {
            weight /= sum;
            place.log_weights += std::log(weight);
        }
        for (size_t i = 0; i < k; i++) {
            const double *offset = q + k - 1 + i * d, *root = &about.roots[(about.shared ? 0 : i) * about.width()];
            double *mean = &place.means[i * d];
            for (size_t a = 0; a < d; a++) {
                const double moved = about.matrices() ? dot(root + a * d, offset, a + 1) : root[about.shape == SPHERE ? 0 : a] * offset[a];
                mean[a] = about.means[i * d + a] + moved / about.scales[i];
            }
        }
        for (size_t g = 0; g < about.n_blocks(); g++)
            if (!(about.matrices() ? locate_matrix(q, g, place) : locate_variances(q, g, place))) return false;
        return true;
    }

    // log|∂(π₁ … π_{K−1}, μ, Σ)/∂q|.
    double log_jacobian(const double *q, const Place &place) const {
        return about.log_jacobian + place.log_weights + dot(&about.log_jacobian_slopes[0], q + first_block(), about.log_jacobian_slopes.size());
    }

    // The gradient of the log Jacobian and of a function with these derivatives: by logs of weights (K), as if they were free, by means (K, D),
    // and by blocks, X = Lᵀ (∂ + ∂ᵀ) L of each in its lower triangle; for variances those by log L.
    void pull_back(const Place &place, const double *by_log_weights, const double *by_means, const double *by_blocks, double *gradient) const {
        const size_t k = (size_t)about.n_components, d = about.d(), width = about.width();
        double total = 0;
        for (size_t i = 0; i < k; i++) total += by_log_weights[i];
        for (size_t j = 0; j + 1 < k; j++) gradient[j] = 0;
        for (size_t i = 0; i < k; i++) {
            const double by_logit = (by_log_weights[i] - place.weights[i] * total + 1 - (double)k * place.weights[i]) / about.scales[i];
            for (size_t j = 0; j + 1 < k; j++) gradient[j] += about.basis[i * (k - 1) + j] * by_logit;
        }
        gradient += k - 1;
        for (size_t i = 0; i < k; i++, gradient += d) {
            const double *root = &about.roots[(about.shared ? 0 : i) * width], *by_mean = by_means + i * d;
            if (about.matrices())
                apply_transposed(root, by_mean, d, gradient);
            else
                for (size_t a = 0; a < d; a++) gradient[a] = root[about.shape == SPHERE ? 0 : a] * by_mean[a];
            for (size_t a = 0; a < d; a++) gradient[a] /= about.scales[i];
        }
        size_t c = 0;
        for (size_t g = 0; g < about.n_blocks(); g++) {
            const double *x = by_blocks + g * width;
            if (!about.matrices()) {
                for (size_t i = 0; i < width; i++, c++) gradient[c] = x[i] / about.block_scales[c] + about.log_jacobian_slopes[c];
                continue;
            }
            // T⁻¹ dT = −dW T: in the entries of −W, the lower triangle of X Tᵀ.
            const double *relative = &place.relative[g * width], *inverse = &place.inverse[g * width];
            for (size_t i = 0; i < d; i++)
                for (size_t j = 0; j <= i; j++, c++) {
                    const double by_entry = dot(x + i * d, relative + j * d, j + 1);
                    gradient[c] = (i == j ? by_entry * inverse[i * d + i] : by_entry) / about.block_scales[c] + about.log_jacobian_slopes[c];
                }
        }
    }

  private:
    size_t first_block() const { return (size_t)about.n_components * (1 + about.d()) - 1; }

    // Whether a spread, its inverse and both of their squares are numbers.
    static bool sound(double root, double inverse) { return std::isfinite(root * root) && std::isfinite(inverse * inverse); }

    bool locate_variances(const double *q, size_t g, Place &place) const {
        const size_t width = about.width();
        double sum = 0;
        for (size_t i = g * width; i < (g + 1) * width; i++) {
            const double t = q[first_block() + i] / about.block_scales[i];
            place.roots[i] = about.roots[i] * std::exp(t);
            place.whitening[i] = 1 / place.roots[i];
            if (!sound(place.roots[i], place.whitening[i])) return false;
            sum += std::log(place.roots[i]);
        }
        place.log_roots[g] = sum;
        return true;
    }

    bool locate_matrix(const double *q, size_t g, Place &place) const {
        const size_t d = about.d(), at = g * about.width(), n = about.n_coordinates();
        const double *u = q + first_block() + g * n, *scale = &about.block_scales[g * n];
        double *relative = &place.relative[at], *inverse = &place.inverse[at], *root = &place.roots[at], *whitening = &place.whitening[at];
        for (size_t i = 0, c = 0; i < d; i++)
            for (size_t j = 0; j <= i; j++, c++) inverse[i * d + j] = i == j ? std::exp(-u[c] / scale[c]) : -u[c] / scale[c];
        invert_lower(inverse, d, relative);
        multiply_lower(&about.roots[at], relative, d, root);
        multiply_lower(inverse, &whitening_[at], d, whitening);
        for (size_t i = 0; i < d; i++)
            if (!sound(root[i * d + i], whitening[i * d + i])) return false;
        place.log_roots[g] = log_diagonal(root, d);
        return true;
    }

    Numbers whitening_; // L⁰⁻¹
};

} // namespace mixtura
