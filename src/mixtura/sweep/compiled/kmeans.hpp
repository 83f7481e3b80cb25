// k-means from greedy k-means++ seeds, as inference/starts/kmeans.py has it, for several starts that threads share.
#pragma once

#include <cmath>
#include <cstring>
#include <vector>

#include "passes.hpp"

namespace mixtura {

struct KMeans {
    const Columns &columns;
    const double *rows;    // (n, D), the same row by row
    const double *weights; // (n), padded with zeros
    const double *cumulative; // sums of the weights up to each row
    double total;          // Σ w |x|²
    int n_clusters;
    int n_candidates;
    int most_rounds;
    double least_gain; // share of all that rounds have gained that one must gain for another one to follow
};

// The row at which cumulative masses first exceed a share of their sum.
inline int64_t drawn(const double *cumulative, int64_t n, double uniform) {
    return std::min<int64_t>(std::upper_bound(cumulative, cumulative + n, uniform * cumulative[n - 1]) - cumulative, n - 1);
}

// One start. Uniform numbers: one for the first seed, then one for each candidate. Leaves centres (K, D) and labels (n).
inline void k_means(const PartitionKernels &kernels, const KMeans &of, const double *uniforms, double *centres, int32_t *labels) {
    const Columns &columns = of.columns;
    const int64_t n = columns.n, d = columns.n_features, padded = (n + kernels.tile - 1) / kernels.tile * kernels.tile;
    const int k = of.n_clusters;
    const Memory memory = memory_of(sizeof(double) * padded * 5);
    double *closest = (double *)memory.get(), *trial = closest + padded, *best = trial + padded, *mass = best + padded, *scores = mass + padded;

    // Each seed is drawn by weight times squared distance from those before; of the candidates that one is kept that lowers the sum most.
    std::vector<double> seeds((size_t)k * d);
    std::memcpy(seeds.data(), of.rows + drawn(of.cumulative, n, *uniforms++) * d, sizeof(double) * d);
    for (int64_t i = 0; i < padded; i++) best[i] = INFINITY;
    kernels.lowered(columns, seeds.data(), best, of.weights, closest);
    for (int c = 1; c < k; c++) {
        double sum_so_far = 0;
        for (int64_t i = 0; i < n; i++) mass[i] = sum_so_far += closest[i] * of.weights[i];
        const double *cumulative = sum_so_far > 0 ? mass : of.cumulative; // fewer distinct rows than clusters
        double least = INFINITY;
        for (int t = 0; t < of.n_candidates; t++) {
            const double *candidate = of.rows + drawn(cumulative, n, *uniforms++) * d;
            const double sum = kernels.lowered(columns, candidate, closest, of.weights, trial);
            if (t && !(sum < least)) continue;
            least = sum;
            std::memcpy(seeds.data() + (size_t)c * d, candidate, sizeof(double) * d);
            std::swap(trial, best);
        }
        std::swap(closest, best);
    }

    std::memcpy(centres, seeds.data(), sizeof(double) * k * d);
    std::vector<double> sums((size_t)k * d), counts(k);
    double first = 0, before = 0;
    for (int round = 0; round < of.most_rounds; round++) {
        kernels.nearest(columns, k, centres, labels, scores);
        std::fill(sums.begin(), sums.end(), 0.0);
        std::fill(counts.begin(), counts.end(), 0.0);
        double explained = 0;
        for (int64_t i = 0; i < n; i++) {
            const double w = of.weights[i], *x = of.rows + i * d;
            double *sum = sums.data() + labels[i] * d;
            counts[labels[i]] += w;
            explained += w * scores[i];
            for (int64_t j = 0; j < d; j++) sum[j] += w * x[j];
        }
        for (int c = 0; c < k; c++)
            if (counts[c] > 0)
                for (int64_t j = 0; j < d; j++) centres[c * d + j] = sums[c * d + j] / counts[c];
        const double after = of.total - explained;
        if (round == 0)
            first = before = after;
        else if (!(before - after > of.least_gain * (first - after)))
            break;
        before = after;
    }

    // Seeds own at least themselves; what has come of them may not.
    for (int last = 0; last < 2; last++) {
        kernels.nearest(columns, k, centres, labels, scores);
        std::fill(counts.begin(), counts.end(), 0.0);
        for (int64_t i = 0; i < n; i++) counts[labels[i]] += 1;
        if (std::find(counts.begin(), counts.end(), 0.0) == counts.end()) return;
        std::memcpy(centres, seeds.data(), sizeof(double) * k * d);
    }
}

// Which of several partitions (S, n) are so in ways of their own: of those that place all rows but so much weight alike, the first.
inline int different(const int32_t *labels, const double *weights, int64_t n_partitions, int64_t n, int n_clusters, double most, int32_t *kept) {
    std::vector<double> shared((size_t)n_clusters * n_clusters);
    double total = 0;
    for (int64_t i = 0; i < n; i++) total += weights[i];
    int n_kept = 0;
    for (int64_t s = 0; s < n_partitions; s++) {
        const int32_t *own = labels + s * n;
        bool alike = false;
        for (int t = 0; t < n_kept && !alike; t++) {
            const int32_t *other = labels + kept[t] * n;
            std::fill(shared.begin(), shared.end(), 0.0);
            for (int64_t i = 0; i < n; i++) shared[(size_t)own[i] * n_clusters + other[i]] += weights[i];
            double by_own = 0, by_other = 0;
            for (int c = 0; c < n_clusters; c++) {
                double in_row = 0, in_column = 0;
                for (int e = 0; e < n_clusters; e++) {
                    in_row = std::max(in_row, shared[(size_t)c * n_clusters + e]);
                    in_column = std::max(in_column, shared[(size_t)e * n_clusters + c]);
                }
                by_own += in_row, by_other += in_column;
            }
            alike = total - std::min(by_own, by_other) <= most;
        }
        if (!alike) kept[n_kept++] = (int32_t)s;
    }
    return n_kept;
}

} // namespace mixtura
