// The log posterior density of vectors with its gradient, for rows that fit a cache: what inference/sampling/log_posterior.py computes.
#pragma once

#include <cmath>
#include <memory>
#include <utility>

#include "block_priors.hpp"
#include "passes.hpp"

namespace mixtura {

// Of all of a mixture: Dirichlet weights, normal means, and a law of the blocks.
struct SmoothPrior {
    double concentration;
    double constant;
    Numbers mean, mean_precision; // (D) and (D, D)
    std::unique_ptr<const BlockPrior> of_blocks;
};

class LogPosterior {
  public:
    // Room for one vector at a time.
    struct Room {
        Place place;
        Numbers noisy, unnoised;   // of each block, inverses of the roots of Σ = Σ⁰ + diag(r²), and their products with those of Σ⁰
        Numbers whitening;         // of each component
        Numbers constants, totals, scatter, counts, by_log_weights, by_means, by_blocks, matrices;
        Memory coefficients, kernels;

        explicit Room(const LogPosterior &of)
            : place(of.about()), noisy(of.has_noise() ? place.roots.size() : 0), unnoised(noisy), whitening(of.n_components() * of.factor()),
              constants(of.n_components()), totals(1 + of.n_components() * of.each()), scatter(of.about().n_blocks() * of.factor()),
              counts(of.about().n_blocks()), by_log_weights(of.n_components()), by_means(place.means.size()), by_blocks(place.roots.size()),
              matrices(3 * of.about().d() * (of.about().matrices() ? of.about().d() : 1)),
              coefficients(memory_of(of.coefficients() * of.n_components() + 64)), kernels(memory_of(of.kernels_.memory(of.pass(of.member())))) {}
    };

    // `noise` is what the resolution adds to a block's diagonal, or nothing.
    LogPosterior(const Kernels &kernels, const Strip &rows, Coordinates &&coordinates, Numbers &&noise, SmoothPrior &&prior)
        : kernels_(kernels), rows_(rows), coordinates_(std::move(coordinates)), noise_(std::move(noise)), prior_(std::move(prior)) {}

    size_t size() const { return coordinates_.size() + prior_.of_blocks->has_common_factor(); }
    const Reference &about() const { return coordinates_.about; }

    // Minus infinity and zeros where no number can hold the mixture or its density.
    double operator()(const double *q, double *gradient, Room &room) const {
        const double value = evaluate(q, gradient, room);
        bool known = std::isfinite(value);
        for (size_t i = 0; known && i < size(); i++) known = std::isfinite(gradient[i]);
        if (known) return value;
        std::fill(gradient, gradient + size(), 0.0);
        return -INFINITY;
    }

  private:
    size_t n_components() const { return (size_t)about().n_components; }
    bool has_noise() const { return !noise_.empty(); }
    size_t factor() const { return about().matrices() ? about().d() * about().d() : about().d(); } // numbers in a component's
    size_t each() const { return totals_of_component(about().n_features, !about().matrices()); }
    size_t coefficients() const { return kernels_.coefficients(about().n_features, !about().matrices()) * kernels_.precision; }

    Member member() const { return {0, about().n_components, SOFT, 0, nullptr, {0, 0}, nullptr, 0, about().n_components, 0, nullptr}; }
    Pass pass(const Member &member) const { return {about().n_features, about().n_components, 1, !about().matrices(), true, &member, nullptr}; }

    double evaluate(const double *q, double *gradient, Room &room) const {
        if (!coordinates_.locate(q, room.place)) return NAN;
        const double h = prior_.of_blocks->has_common_factor() ? q[size() - 1] : 0;
        double by_log_factor = 0, value = coordinates_.log_jacobian(q, room.place) + add_prior(room, h, by_log_factor);
        if (!std::isfinite(value) || !turn_into_scorer(room)) return NAN;
        value += sweep(room);
        add_likelihood(room);
        coordinates_.pull_back(room.place, room.by_log_weights.data(), room.by_means.data(), room.by_blocks.data(), gradient);
        if (prior_.of_blocks->has_common_factor()) gradient[size() - 1] = by_log_factor;
        return value;
    }

    // The log prior; its derivatives are the first to be there.
    double add_prior(Room &room, double log_factor, double &by_log_factor) const {
        const size_t d = about().d();
        const Place &place = room.place;
        double value = prior_.constant + (prior_.concentration - 1) * place.log_weights, *offset = room.matrices.data();
        std::fill(room.by_log_weights.begin(), room.by_log_weights.end(), prior_.concentration - 1);
        std::fill(room.by_blocks.begin(), room.by_blocks.end(), 0.0);
        for (size_t k = 0; k < n_components(); k++) {
            for (size_t i = 0; i < d; i++) offset[i] = place.means[k * d + i] - prior_.mean[i];
            for (size_t i = 0; i < d; i++) {
                const double slope = -dot(&prior_.mean_precision[i * d], offset, d);
                value += 0.5 * offset[i] * slope;
                room.by_means[k * d + i] = slope;
            }
        }
        return value + prior_.of_blocks->add(about(), place, log_factor, room.matrices.data(), room.by_blocks.data(), &by_log_factor);
    }

    // Constants and whitening factors of the components; false where rounding leaves a block no root.
    bool turn_into_scorer(Room &room) const {
        const size_t d = about().d(), width = about().width();
        if (has_noise())
            for (size_t g = 0; g < about().n_blocks(); g++)
                if (!add_noise(room, g * width)) return false;
        for (size_t k = 0; k < n_components(); k++) {
            const double *inverse = whitening(room) + (about().shared ? 0 : k) * width;
            double *factor = &room.whitening[k * this->factor()], sum = std::log(room.place.weights[k]) - 0.5 * (double)d * LOG_2_PI;
            for (size_t i = 0; i < d; i++) {
                if (about().matrices())
                    for (size_t j = 0; j <= i; j++) factor[j * d + i] = inverse[i * d + j];
                else
                    factor[i] = inverse[about().shape == SPHERE ? 0 : i];
                sum += std::log(about().matrices() ? inverse[i * d + i] : factor[i]);
            }
            room.constants[k] = sum;
        }
        return true;
    }

    // Inverses of the roots of the blocks of Σ.
    const double *whitening(const Room &room) const { return has_noise() ? room.noisy.data() : room.place.whitening.data(); }

    bool add_noise(Room &room, size_t at) const {
        const size_t d = about().d();
        const double *root = &room.place.roots[at];
        if (!about().matrices()) {
            for (size_t i = 0; i < about().width(); i++) {
                room.noisy[at + i] = 1 / std::sqrt(root[i] * root[i] + noise_[i]);
                room.unnoised[at + i] = root[i] * room.noisy[at + i];
            }
            return true;
        }
        double *block = room.matrices.data(), *own = block + d * d;
        for (size_t i = 0; i < d; i++)
            for (size_t j = 0; j <= i; j++) block[i * d + j] = dot(root + i * d, root + j * d, j + 1) + (i == j ? noise_[i] : 0);
        if (!cholesky(block, d, own, [](size_t, double pivot) { return pivot > 0; })) return false;
        invert_lower(own, d, &room.noisy[at]);
        multiply_lower(&room.noisy[at], root, d, &room.unnoised[at]);
        return true;
    }

    // A pass over all rows; the log-likelihood.
    double sweep(Room &room) const {
        Member member = this->member();
        Pass pass = this->pass(member);
        pack(
            kernels_, pass.n_features, pass.diagonal, room.constants.data(), room.place.means.data(), room.whitening.data(), member,
            room.coefficients.get());
        pass.coefficients = room.coefficients.get();
        kernels_.strip(pass, rows_, room.totals.data(), room.kernels.get());
        return room.totals[0];
    }

    // Derivatives of the log-likelihood, from the moments of a pass (Fisher's identity).
    void add_likelihood(Room &room) const {
        const size_t d = about().d(), width = about().width();
        const bool matrices = about().matrices();
        std::fill(room.scatter.begin(), room.scatter.end(), 0.0);
        std::fill(room.counts.begin(), room.counts.end(), 0.0);
        for (size_t k = 0; k < n_components(); k++) {
            const double *totals = &room.totals[1 + k * each()], *pair = totals + 1 + d;
            const size_t g = about().shared ? 0 : k;
            room.by_log_weights[k] += totals[0];
            room.counts[g] += totals[0];
            add_by_mean(room, whitening(room) + g * width, totals + 1, &room.by_means[k * d]);
            double *scatter = &room.scatter[g * factor()];
            for (size_t i = 0; i < d; i++)
                if (!matrices)
                    scatter[i] += pair[i];
                else
                    for (size_t j = i; j < d; j++, pair++) {
                        scatter[i * d + j] += *pair;
                        if (j > i) scatter[j * d + i] += *pair;
                    }
        }
        for (size_t g = 0; g < about().n_blocks(); g++)
            if (matrices)
                add_by_matrix(room, g * width, room.counts[g]);
            else
                add_by_variances(room, g);
    }

    // Add R Rᵀ v.
    void add_by_mean(Room &room, const double *inverse, const double *v, double *to) const {
        const size_t d = about().d();
        if (!about().matrices()) {
            for (size_t i = 0; i < d; i++) {
                const double factor = inverse[about().shape == SPHERE ? 0 : i];
                to[i] += factor * factor * v[i];
            }
            return;
        }
        double *whitened = room.matrices.data(), *back = whitened + d;
        apply_lower(inverse, v, d, whitened);
        apply_transposed(inverse, whitened, d, back);
        for (size_t i = 0; i < d; i++) to[i] += back[i];
    }

    // Rᵀ S R − n I, and where there is noise, on both sides times what turns L into its factor.
    void add_by_matrix(Room &room, size_t at, double count) const {
        const size_t d = about().d();
        double *to = &room.by_blocks[at], *excess = has_noise() ? room.matrices.data() + d * d : to;
        if (has_noise()) std::fill(excess, excess + d * d, 0.0);
        add_congruent(whitening(room) + at, &room.scatter[at], d, room.matrices.data(), excess);
        for (size_t i = 0; i < d; i++) excess[i * d + i] -= count;
        if (!has_noise()) return;
        for (size_t i = 0; i < d; i++)
            for (size_t j = 0; j < i; j++) excess[j * d + i] = excess[i * d + j];
        add_congruent_transposed(&room.unnoised[at], excess, d, room.matrices.data(), to);
    }

    void add_by_variances(Room &room, size_t g) const {
        const size_t d = about().d(), width = about().width(), at = g * width;
        const double *scatter = &room.scatter[g * d], count = room.counts[g];
        for (size_t i = 0; i < width; i++) {
            const double factor = whitening(room)[at + i], precision = factor * factor;
            double sum = scatter[i], rows = count;
            if (about().shape == SPHERE) {
                for (size_t j = 1; j < d; j++) sum += scatter[j];
                rows *= (double)d;
            }
            const double kept = has_noise() ? room.unnoised[at + i] * room.unnoised[at + i] : 1.0;
            room.by_blocks[at + i] += kept * (precision * sum - rows);
        }
    }

    const Kernels &kernels_;
    const Strip rows_;
    const Coordinates coordinates_;
    const Numbers noise_;
    const SmoothPrior prior_;
};

} // namespace mixtura
