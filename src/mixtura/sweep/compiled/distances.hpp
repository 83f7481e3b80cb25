// Squared distances of rows from points, for k-means.
#pragma once

#include "kernels.hpp"
#include "vectors.hpp"

namespace {

constexpr int ROWS_ACROSS = 4;                       // vectors of rows, and
constexpr int CENTRES_ACROSS = REGISTERS == 32 ? 4 : 2; // centres at once
constexpr int64_t DISTANCE_TILE = ROWS_ACROSS * LANES<double>;

// Scores of C centres for the rows from `at` on, and where they exceed the best ones so far.
template <int C>
INLINED void compare(
    const mixtura::Columns &rows, int64_t at, int k, const double *centres, Vec<double> *best, Int<double> *label) {
    constexpr int l = LANES<double>, U = ROWS_ACROSS;
    const int d = rows.n_features;
    Vec<double> s[C][U];
    UNROLLED for (int c = 0; c < C; c++) {
        double half = 0;
        for (int i = 0; i < d; i++) half += centres[(size_t)(k + c) * d + i] * centres[(size_t)(k + c) * d + i];
        UNROLLED for (int u = 0; u < U; u++) s[c][u] = all(-0.5 * half);
    }
    for (int i = 0; i < d; i++) {
        Vec<double> x[U];
        UNROLLED for (int u = 0; u < U; u++) x[u] = load(rows.numbers + i * rows.stride + at + u * l);
        UNROLLED for (int c = 0; c < C; c++)
            UNROLLED for (int u = 0; u < U; u++) s[c][u] += x[u] * centres[(size_t)(k + c) * d + i];
    }
    UNROLLED for (int c = 0; c < C; c++)
        UNROLLED for (int u = 0; u < U; u++) {
            const Int<double> nearer = s[c][u] > best[u];
            best[u] = nearer ? s[c][u] : best[u];
            label[u] = nearer ? (Int<double>){} + (k + c) : label[u];
        }
}

void nearest(const mixtura::Columns &rows, int n_clusters, const double *centres, int32_t *labels, double *scores) {
    constexpr int l = LANES<double>, U = ROWS_ACROSS;
    for (int64_t at = 0; at < rows.n; at += DISTANCE_TILE) {
        Vec<double> best[U];
        Int<double> label[U];
        UNROLLED for (int u = 0; u < U; u++) best[u] = all(-__builtin_inf()), label[u] = (Int<double>){};
        int k = 0;
        for (; k + CENTRES_ACROSS <= n_clusters; k += CENTRES_ACROSS) compare<CENTRES_ACROSS>(rows, at, k, centres, best, label);
        for (; k < n_clusters; k++) compare<1>(rows, at, k, centres, best, label);
        for (int u = 0; u < U; u++)
            for (int r = 0; r < l && at + u * l + r < rows.n; r++) {
                labels[at + u * l + r] = (int32_t)label[u][r];
                scores[at + u * l + r] = 2 * best[u][r];
            }
    }
}

double lowered(const mixtura::Columns &rows, const double *point, const double *given, const double *weights, double *to) {
    constexpr int l = LANES<double>, U = ROWS_ACROSS;
    Vec<double> sum[U] = {};
    for (int64_t at = 0; at < rows.n; at += DISTANCE_TILE) {
        Vec<double> s[U] = {};
        for (int i = 0; i < rows.n_features; i++)
            UNROLLED for (int u = 0; u < U; u++) {
                const Vec<double> x = load(rows.numbers + i * rows.stride + at + u * l) - point[i];
                s[u] += x * x;
            }
        UNROLLED for (int u = 0; u < U; u++) {
            const Vec<double> before = load(given + at + u * l);
            s[u] = s[u] < before ? s[u] : before;
            store(to + at + u * l, s[u]);
            sum[u] += s[u] * load(weights + at + u * l);
        }
    }
    double total = 0;
    for (int u = 0; u < U; u++) total += over_lanes(sum[u]);
    return total;
}

void add_squares(
    int d, int64_t n, const double *rows, const double *weights, const int32_t *labels, const double *points, bool diagonal, double *to) {
    for (int64_t r = 0; r < n; r++) {
        const double *row = rows + r * d, *point = points + (size_t)labels[r] * d, w = weights ? weights[r] : 1.0;
        double *sum = to + (size_t)labels[r] * d * (diagonal ? 1 : d);
        if (diagonal)
            for (int i = 0; i < d; i++) sum[i] += w * (row[i] - point[i]) * (row[i] - point[i]);
        else
            for (int i = 0; i < d; i++) {
                const double u = w * (row[i] - point[i]);
                for (int j = 0; j <= i; j++) sum[(size_t)i * d + j] += u * (row[j] - point[j]);
            }
    }
}

} // namespace
