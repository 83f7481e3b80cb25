// Lower triangles of small matrices (D, D), row by row; what stands above the diagonal is neither read nor written.
#pragma once

#include <cmath>
#include <cstddef>

namespace mixtura {

// A = L Lᵀ; false at the first pivot, what is left of a diagonal entry, of which `sound(i, pivot)` says no.
template <class Sound> bool cholesky(const double *a, size_t d, double *root, const Sound &sound) {
    for (size_t i = 0; i < d; i++)
        for (size_t j = 0; j <= i; j++) {
            double sum = a[i * d + j];
            for (size_t l = 0; l < j; l++) sum -= root[i * d + l] * root[j * d + l];
            if (j < i) {
                root[i * d + j] = sum / root[j * d + j];
                continue;
            }
            if (!sound(i, sum)) return false;
            root[i * d + i] = std::sqrt(sum);
        }
    return true;
}

// L⁻¹, by forward substitution.
inline void invert_lower(const double *lower, size_t d, double *inverse) {
    for (size_t i = 0; i < d; i++) {
        double *row = inverse + i * d;
        const double *own = lower + i * d;
        for (size_t j = 0; j < i; j++) row[j] = 0;
        for (size_t l = 0; l < i; l++)
            for (size_t j = 0; j <= l; j++) row[j] -= own[l] * inverse[l * d + j];
        for (size_t j = 0; j < i; j++) row[j] /= own[i];
        row[i] = 1 / own[i];
    }
}

// R = L⁻ᵀ, with zeros below its diagonal, by way of L⁻¹.
inline void invert_transposed(const double *lower, size_t d, double *inverse, double *factor) {
    invert_lower(lower, d, inverse);
    for (size_t i = 0; i < d; i++)
        for (size_t j = 0; j < d; j++) factor[j * d + i] = j <= i ? inverse[i * d + j] : 0;
}

// A B of two of them.
inline void multiply_lower(const double *a, const double *b, size_t d, double *product) {
    for (size_t i = 0; i < d; i++) {
        double *row = product + i * d;
        for (size_t j = 0; j <= i; j++) row[j] = 0;
        for (size_t l = 0; l <= i; l++)
            for (size_t j = 0; j <= l; j++) row[j] += a[i * d + l] * b[l * d + j];
    }
}

inline double dot(const double *a, const double *b, size_t n) {
    double even = 0, odd = 0;
    size_t i = 0;
    for (; i + 1 < n; i += 2) even += a[i] * b[i], odd += a[i + 1] * b[i + 1];
    return i < n ? even + odd + a[i] * b[i] : even + odd;
}

// L v and Lᵀ v.
inline void apply_lower(const double *lower, const double *v, size_t d, double *to) {
    for (size_t i = 0; i < d; i++) to[i] = dot(lower + i * d, v, i + 1);
}
inline void apply_transposed(const double *lower, const double *v, size_t d, double *to) {
    for (size_t i = 0; i < d; i++) to[i] = 0;
    for (size_t i = 0; i < d; i++)
        for (size_t j = 0; j <= i; j++) to[j] += lower[i * d + j] * v[i];
}

// Add Lᵀ diag(w) L to the lower triangle of a matrix; w of ones where it is null.
inline void add_gram(const double *lower, const double *w, size_t d, double *to) {
    for (size_t l = 0; l < d; l++)
        for (size_t i = 0; i <= l; i++) {
            const double times = (w ? w[l] : 1.0) * lower[l * d + i];
            for (size_t j = 0; j <= i; j++) to[i * d + j] += times * lower[l * d + j];
        }
}

// Add A S Aᵀ, for a symmetric S that stands whole, to the lower triangle of a matrix; `room` is for (D, D).
inline void add_congruent(const double *lower, const double *symmetric, size_t d, double *room, double *to) {
    for (size_t i = 0; i < d; i++) {
        double *row = room + i * d;
        for (size_t j = 0; j < d; j++) row[j] = 0;
        for (size_t l = 0; l <= i; l++)
            for (size_t j = 0; j < d; j++) row[j] += lower[i * d + l] * symmetric[l * d + j];
        for (size_t j = 0; j <= i; j++) to[i * d + j] += dot(row, lower + j * d, j + 1);
    }
}

// The same of Aᵀ S A.
inline void add_congruent_transposed(const double *lower, const double *symmetric, size_t d, double *room, double *to) {
    for (size_t l = 0; l < d; l++) {
        double *row = room + l * d;
        for (size_t j = 0; j < d; j++) row[j] = 0;
        for (size_t m = 0; m < d; m++)
            for (size_t j = 0; j <= m; j++) row[j] += symmetric[l * d + m] * lower[m * d + j];
        for (size_t i = 0; i <= l; i++)
            for (size_t j = 0; j <= i; j++) to[i * d + j] += lower[l * d + i] * row[j];
    }
}

inline double log_diagonal(const double *lower, size_t d) {
    double sum = 0;
    for (size_t i = 0; i < d; i++) sum += std::log(lower[i * d + i]);
    return sum;
}

} // namespace mixtura
