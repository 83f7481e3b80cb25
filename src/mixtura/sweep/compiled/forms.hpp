// How components of one form are scored and their moments added up: diagonal factors, matrices whose residuals fit the registers, and
// larger ones by blocks. Rows lie in lanes; a tile holds a column after another.
#pragma once

#include "vectors.hpp"

namespace {

// Columns of a tile, each `stride` numbers long, of which `n_vectors` vectors are in use.
template <class T> struct Tile {
    const T *columns;
    int stride;
    int n_vectors;
};

constexpr double HALF_ROOT = 0.70710678118654752440; // factors are scaled by √½, so that a score is c − ‖y‖²

// `score` writes those of one component from vector `begin` to `end`: exponentials, added to the totals, or without totals the scores.
// `add` adds count, first and second moments under shares e·v to `sums`. Between tiles these are vectors (`lanes` of them to a number).
template <class T> struct Form {
    void (*score)(int d, const T *q, const Tile<T> &tile, int begin, int end, T *scores, T *totals);
    void (*add)(int d, const T *q, const Tile<T> &tile, const T *shares, const T *factors, double *sums, T *room);
    int lanes;
};

template <class T> INLINED void finish_score(Vec<T> s, T *score, T *total) {
    if (total) {
        const Vec<T> e = exponential(s);
        store(score, e);
        store(total, load(total) + e);
    } else
        store(score, s);
}

// Sums between tiles are kept in float64.
INLINED void gather(double *sums, Vec<double> v) { store(sums, load(sums) + v); }
INLINED void gather(double *sums, Vec<float> v) {
    float lanes[LANES<float>] __attribute__((aligned(VECTOR_BYTES)));
    store(lanes, v);
    constexpr int half = LANES<double>;
    store(sums, load(sums) + widened(lanes));
    store(sums + half, load(sums + half) + widened(lanes + half));
}

// ---- diagonal factors: c, μ (D), r (D) ----

template <class T> APART void score_diagonal(int d, const T *q, const Tile<T> &tile, int begin, int end, T *scores, T *totals) {
    constexpr int l = LANES<T>, U = 4;
    const T *mu = q + 1, *r = q + 1 + d;
    int v = begin;
    for (; v + U <= end; v += U) {
        Vec<T> s[U];
        UNROLLED for (int u = 0; u < U; u++) s[u] = all(q[0]);
        for (int i = 0; i < d; i++) {
            const T *z = tile.columns + (size_t)i * tile.stride + v * l;
            UNROLLED for (int u = 0; u < U; u++) {
                const Vec<T> y = (load(z + u * l) - mu[i]) * r[i];
                s[u] -= y * y;
            }
        }
        UNROLLED for (int u = 0; u < U; u++) finish_score(s[u], scores + (v + u) * l, totals ? totals + (v + u) * l : nullptr);
    }
    for (; v < end; v++) {
        Vec<T> s = all(q[0]);
        for (int i = 0; i < d; i++) {
            const Vec<T> y = (load(tile.columns + (size_t)i * tile.stride + v * l) - mu[i]) * r[i];
            s -= y * y;
        }
        finish_score(s, scores + v * l, totals ? totals + v * l : nullptr);
    }
}

template <class T, int G, bool COUNT>
INLINED void add_columns(int d, int i0, const T *mu, const Tile<T> &tile, const T *shares, const T *factors, double *sums) {
    constexpr int l = LANES<T>;
    Vec<T> count = {}, first[G], second[G];
    UNROLLED for (int i = 0; i < G; i++) first[i] = second[i] = (Vec<T>){};
    for (int v = 0; v < tile.n_vectors; v++) {
        const Vec<T> w = load(shares + v * l) * load(factors + v * l);
        if constexpr (COUNT) count += w;
        UNROLLED for (int i = 0; i < G; i++) {
            const Vec<T> x = load(tile.columns + (size_t)(i0 + i) * tile.stride + v * l) - mu[i0 + i], u = w * x;
            first[i] += u;
            second[i] += u * x;
        }
    }
    if constexpr (COUNT) gather(sums, count);
    UNROLLED for (int i = 0; i < G; i++) {
        gather(sums + (size_t)(1 + i0 + i) * l, first[i]);
        gather(sums + (size_t)(1 + d + i0 + i) * l, second[i]);
    }
}

template <class T, int G, bool COUNT>
INLINED void add_rest(int g, int d, int i0, const T *mu, const Tile<T> &tile, const T *shares, const T *factors, double *sums) {
    if constexpr (G > 0) {
        if (g == G)
            add_columns<T, G, COUNT>(d, i0, mu, tile, shares, factors, sums);
        else
            add_rest<T, G - 1, COUNT>(g, d, i0, mu, tile, shares, factors, sums);
    }
}

template <class T>
APART void add_diagonal(int d, const T *q, const Tile<T> &tile, const T *shares, const T *factors, double *sums, T *) {
    constexpr int G = REGISTERS == 32 ? 10 : 5;
    add_rest<T, G, true>(least(G, d), d, 0, q + 1, tile, shares, factors, sums);
    int i = G;
    for (; i + G <= d; i += G) add_columns<T, G, false>(d, i, q + 1, tile, shares, factors, sums);
    if (i < d) add_rest<T, G - 1, false>(d - i, d, i, q + 1, tile, shares, factors, sums);
}

// ---- matrices of few columns: c, μ (D), the columns of R one after another; residuals stay in registers ----

template <class T, int D, int U> INLINED void score_some(const T *q, const Tile<T> &tile, int v, T *scores, T *totals) {
    constexpr int l = LANES<T>;
    Vec<T> x[U][D], s[U];
    UNROLLED for (int u = 0; u < U; u++) {
        s[u] = all(q[0]);
        UNROLLED for (int i = 0; i < D; i++) x[u][i] = load(tile.columns + (size_t)i * tile.stride + (v + u) * l) - q[1 + i];
    }
    const T *r = q + 1 + D;
    UNROLLED for (int i = 0; i < D; i++) {
        Vec<T> y[U];
        UNROLLED for (int u = 0; u < U; u++) y[u] = x[u][0] * r[i * (i + 1) / 2];
        UNROLLED for (int j = 1; j <= i; j++)
            UNROLLED for (int u = 0; u < U; u++) y[u] += x[u][j] * r[i * (i + 1) / 2 + j];
        UNROLLED for (int u = 0; u < U; u++) s[u] -= y[u] * y[u];
    }
    UNROLLED for (int u = 0; u < U; u++) finish_score(s[u], scores + (v + u) * l, totals ? totals + (v + u) * l : nullptr);
}

template <class T, int D> APART void score_small(int, const T *q, const Tile<T> &tile, int begin, int end, T *scores, T *totals) {
    constexpr int U = D <= 4 ? 4 : D <= 8 ? 2 : 1;
    int v = begin;
    for (; v + U <= end; v += U) score_some<T, D, U>(q, tile, v, scores, totals);
    if constexpr (U > 1)
        for (; v < end; v++) score_some<T, D, 1>(q, tile, v, scores, totals);
}

// Rows I0 to I1 of the triangle, as many as fit the registers; the first of them count, too, and sum.
template <class T, int D, int I0, int I1, bool FIRST>
INLINED void add_group(const T *mu, const Tile<T> &tile, const T *shares, const T *factors, double *sums) {
    constexpr int l = LANES<T>, n = (I1 - I0) * D - (I1 * (I1 - 1) - I0 * (I0 - 1)) / 2;
    Vec<T> second[n], first[FIRST ? D : 1], count = {};
    UNROLLED for (int i = 0; i < n; i++) second[i] = (Vec<T>){};
    if constexpr (FIRST) UNROLLED for (int i = 0; i < D; i++) first[i] = (Vec<T>){};
    for (int v = 0; v < tile.n_vectors; v++) {
        const Vec<T> w = load(shares + v * l) * load(factors + v * l);
        Vec<T> x[D];
        UNROLLED for (int j = I0; j < D; j++) x[j] = load(tile.columns + (size_t)j * tile.stride + v * l) - mu[j];
        if constexpr (FIRST) count += w;
        int o = 0;
        UNROLLED for (int i = I0; i < I1; i++) {
            const Vec<T> u = w * x[i];
            if constexpr (FIRST) first[i] += u;
            UNROLLED for (int j = i; j < D; j++, o++) second[o] += u * x[j];
        }
        if constexpr (FIRST) UNROLLED for (int j = I1; j < D; j++) first[j] += w * x[j];
    }
    if constexpr (FIRST) {
        gather(sums, count);
        UNROLLED for (int i = 0; i < D; i++) gather(sums + (size_t)(1 + i) * l, first[i]);
    }
    constexpr int before = 1 + D + I0 * D - I0 * (I0 - 1) / 2;
    UNROLLED for (int i = 0; i < n; i++) gather(sums + (size_t)(before + i) * l, second[i]);
}

template <int D, int I0, bool FIRST> constexpr int end_of_group() {
    const int room = REGISTERS - (REGISTERS == 32 ? 5 : 4) - (FIRST ? D + 1 : 0);
    int n = 0, i = I0;
    while (i < D && (i == I0 || n + (D - i) <= room)) n += D - i, i++;
    return i;
}

template <class T, int D, int I0, bool FIRST>
INLINED void add_groups(const T *mu, const Tile<T> &tile, const T *shares, const T *factors, double *sums) {
    if constexpr (I0 < D) {
        constexpr int I1 = end_of_group<D, I0, FIRST>();
        add_group<T, D, I0, I1, FIRST>(mu, tile, shares, factors, sums);
        add_groups<T, D, I1, false>(mu, tile, shares, factors, sums);
    }
}

template <class T, int D>
APART void add_small(int, const T *q, const Tile<T> &tile, const T *shares, const T *factors, double *sums, T *) {
    add_groups<T, D, 0, true>(q + 1, tile, shares, factors, sums);
}

// ---- matrices of many columns, by blocks of registers: c, μ (D), R in blocks of BLOCK columns, each down to its diagonal ----

constexpr int BLOCK = 4;
constexpr int ACROSS = REGISTERS == 32 ? 4 : 3;

INLINED size_t packed_by_blocks(int d) {
    size_t n = 0;
    for (int i0 = 0; i0 < d; i0 += BLOCK) n += (size_t)least(d, i0 + BLOCK) * BLOCK;
    return n;
}

template <class T, int U> INLINED void score_by_blocks(int d, const T *q, const Tile<T> &tile, int v, T *scores, T *totals) {
    constexpr int l = LANES<T>;
    const T *mu = q + 1, *r = q + 1 + d;
    Vec<T> s[U];
    UNROLLED for (int u = 0; u < U; u++) s[u] = all(q[0]);
    for (int i0 = 0; i0 < d; i0 += BLOCK) {
        const int i1 = least(d, i0 + BLOCK);
        Vec<T> y[BLOCK][U];
        UNROLLED for (int i = 0; i < BLOCK; i++)
            UNROLLED for (int u = 0; u < U; u++) y[i][u] = (Vec<T>){};
        for (int j = 0; j < i1; j++, r += BLOCK) {
            Vec<T> x[U];
            UNROLLED for (int u = 0; u < U; u++) x[u] = load(tile.columns + (size_t)j * tile.stride + (v + u) * l) - mu[j];
            UNROLLED for (int i = 0; i < BLOCK; i++)
                UNROLLED for (int u = 0; u < U; u++) y[i][u] += x[u] * r[i];
        }
        UNROLLED for (int i = 0; i < BLOCK; i++)
            UNROLLED for (int u = 0; u < U; u++) s[u] -= y[i][u] * y[i][u];
    }
    UNROLLED for (int u = 0; u < U; u++) finish_score(s[u], scores + (v + u) * l, totals ? totals + (v + u) * l : nullptr);
}

template <class T> APART void score_large(int d, const T *q, const Tile<T> &tile, int begin, int end, T *scores, T *totals) {
    int v = begin;
    for (; v + ACROSS <= end; v += ACROSS) score_by_blocks<T, ACROSS>(d, q, tile, v, scores, totals);
    for (; v < end; v++) score_by_blocks<T, 1>(d, q, tile, v, scores, totals);
}

// One block of Σ u xᵀ, added to a matrix.
template <class T, int NI, int NJ> INLINED void add_block(int d, const T *u, const T *x, const Tile<T> &tile, double *matrix) {
    constexpr int l = LANES<T>;
    const size_t stride = tile.stride;
    Vec<T> a[NI][NJ];
    UNROLLED for (int i = 0; i < NI; i++)
        UNROLLED for (int j = 0; j < NJ; j++) a[i][j] = (Vec<T>){};
    for (int v = 0; v < tile.n_vectors; v++) {
        Vec<T> p[NJ];
        UNROLLED for (int j = 0; j < NJ; j++) p[j] = load(x + j * stride + v * l);
        UNROLLED for (int i = 0; i < NI; i++) {
            const Vec<T> w = load(u + i * stride + v * l);
            UNROLLED for (int j = 0; j < NJ; j++) a[i][j] += w * p[j];
        }
    }
    UNROLLED for (int i = 0; i < NI; i++)
        UNROLLED for (int j = 0; j < NJ; j++) matrix[(size_t)i * d + j] += (double)over_lanes(a[i][j]);
}

template <class T, int NI, int NJ>
INLINED void add_last_block(int nj, int d, const T *u, const T *x, const Tile<T> &tile, double *matrix) {
    if constexpr (NJ > 0) {
        if (nj == NJ)
            add_block<T, NI, NJ>(d, u, x, tile, matrix);
        else
            add_last_block<T, NI, NJ - 1>(nj, d, u, x, tile, matrix);
    }
}

// Rows i to i + NI of Σ u xᵀ, as far as the diagonal.
template <class T, int NI> APART void add_rows(int d, int i, const T *u, const T *x, const Tile<T> &tile, double *matrix) {
    const size_t stride = tile.stride;
    const int end = i + NI;
    u += i * stride, matrix += (size_t)i * d;
    int j = 0;
    for (; j + ACROSS <= end; j += ACROSS) add_block<T, NI, ACROSS>(d, u, x + j * stride, tile, matrix + j);
    add_last_block<T, NI, ACROSS - 1>(end - j, d, u, x + j * stride, tile, matrix + j);
}

template <class T, int NI> INLINED void add_last_rows(int ni, int d, int i, const T *u, const T *x, const Tile<T> &tile, double *matrix) {
    if constexpr (NI > 0) {
        if (ni == NI)
            add_rows<T, NI>(d, i, u, x, tile, matrix);
        else
            add_last_rows<T, NI - 1>(ni, d, i, u, x, tile, matrix);
    }
}

template <class T>
APART void add_large(int d, const T *q, const Tile<T> &tile, const T *shares, const T *factors, double *sums, T *room) {
    constexpr int l = LANES<T>;
    const size_t stride = tile.stride;
    T *xs = room, *us = room + d * stride;
    Vec<T> count = {};
    for (int v = 0; v < tile.n_vectors; v++) count += load(shares + v * l) * load(factors + v * l);
    sums[0] += (double)over_lanes(count);
    for (int i = 0; i < d; i++) {
        Vec<T> first = {};
        for (int v = 0; v < tile.n_vectors; v++) {
            const Vec<T> w = load(shares + v * l) * load(factors + v * l);
            const Vec<T> x = load(tile.columns + i * stride + v * l) - q[1 + i], u = w * x;
            store(xs + i * stride + v * l, x);
            store(us + i * stride + v * l, u);
            first += u;
        }
        sums[1 + i] += (double)over_lanes(first);
    }
    double *matrix = sums + 1 + d;
    int i = 0;
    for (; i + BLOCK <= d; i += BLOCK) add_rows<T, BLOCK>(d, i, us, xs, tile, matrix);
    add_last_rows<T, BLOCK - 1>(d - i, d, i, us, xs, tile, matrix);
}

// ---- which form serves ----

constexpr int MOST_SMALL = REGISTERS == 32 ? 15 : 7;

template <class T, int D> INLINED Form<T> small_form(int d) {
    if constexpr (D == 1)
        return {score_small<T, 1>, add_small<T, 1>, LANES<T>};
    else
        return d == D ? Form<T>{score_small<T, D>, add_small<T, D>, LANES<T>} : small_form<T, D - 1>(d);
}

template <class T> INLINED Form<T> form_of(int d, bool diagonal) {
    if (diagonal) return {score_diagonal<T>, add_diagonal<T>, LANES<T>};
    if (d <= MOST_SMALL) return small_form<T, MOST_SMALL>(d);
    return {score_large<T>, add_large<T>, 1};
}

INLINED bool by_blocks(int d, bool diagonal) { return !diagonal && d > MOST_SMALL; }

// Numbers in the sums of a component between tiles, each of as many lanes as the form has.
INLINED size_t sums_of_component(int d, bool diagonal) {
    return 1 + (size_t)d + (diagonal ? (size_t)d : by_blocks(d, diagonal) ? (size_t)d * d : (size_t)d * (d + 1) / 2);
}

} // namespace
