// The kernels of one instruction set and one precision: a strip of rows, tile by tile. Compiled once for each.

#include "kernels.hpp"

#include "distances.hpp"
#include "forms.hpp"

namespace {

using mixtura::Member;
using mixtura::Pass;
using mixtura::Strip;

using Real = MIXTURA_REAL;
constexpr int L = LANES<Real>;
constexpr bool DOUBLE = sizeof(Real) == 8;

constexpr Real LEAST_TOTAL = DOUBLE ? (Real)1e-30 : (Real)1e-20; // below it, terms of a row's total may have been lost
constexpr int MOST_ROOM = DOUBLE ? 300 : 40;                      // exponents that leave a total its range
constexpr double NOTHING = -__builtin_inf();

// Scores have −D/2 on average where rows are their component's own: exponentials are taken relative to that.
double headroom(int d) { return least(d / 2, MOST_ROOM); }

INLINED int tile_rows(const Pass &pass, int most_components) {
    const int rows = by_blocks(pass.n_features, pass.diagonal) ? 192 : DOUBLE ? 256 : 512;
    return most_components <= 128 ? rows : rows == 192 ? 96 : rows / 2;
}

struct Room {
    Real *columns, *shares, *totals, *factors, *room;
    double *weights, *sums;
    size_t bytes;
};

INLINED char *aligned(char *p, size_t bytes, char **next) {
    p = (char *)(((size_t)p + 63) & ~(size_t)63);
    *next = p + bytes;
    return p;
}

int most_components(const Pass &pass) {
    int most = 1;
    for (int m = 0; m < pass.n_members; m++) most = pass.members[m].size > most ? pass.members[m].size : most;
    return most;
}

Room room_in(const Pass &pass, char *memory) {
    const int most = most_components(pass), d = pass.n_features, n = tile_rows(pass, most);
    const bool blocks = by_blocks(d, pass.diagonal);
    Room room;
    char *next = memory;
    room.columns = (Real *)aligned(next, sizeof(Real) * n * d, &next);
    room.shares = (Real *)aligned(next, sizeof(Real) * n * most, &next);
    room.totals = (Real *)aligned(next, sizeof(Real) * n, &next);
    room.factors = (Real *)aligned(next, sizeof(Real) * n, &next);
    room.room = (Real *)aligned(next, blocks ? sizeof(Real) * n * d * 2 : 0, &next);
    room.weights = (double *)aligned(next, sizeof(double) * n, &next);
    const size_t sums = pass.moments ? sums_of_component(d, pass.diagonal) * pass.n_components * (blocks ? 1 : L) : 0;
    room.sums = (double *)aligned(next, sizeof(double) * sums, &next);
    room.bytes = next - memory + 64;
    return room;
}

// ---- rows become columns ----

template <class Row> INLINED void turn(const Row *rows, int n, int d, const Tile<Real> &tile) {
    Real *to = const_cast<Real *>(tile.columns);
    const int full = n / L;
    for (int v = 0; v < full; v++) {
        const Row *from = rows + (size_t)v * L * d;
        for (int i = 0; i < d; i++) {
            Vec<Real> column;
            UNROLLED for (int r = 0; r < L; r++) column[r] = (Real)from[(size_t)r * d + i];
            store(to + (size_t)i * tile.stride + v * L, column);
        }
    }
    for (int i = 0; i < d; i++)
        for (int r = full * L; r < tile.n_vectors * L; r++) to[(size_t)i * tile.stride + r] = r < n ? (Real)rows[(size_t)r * d + i] : Real(0);
}

// ---- random numbers keyed by the position of the row: Philox 4×64, ten rounds (Salmon et al. 2011), as NumPy has it ----

struct Uniforms {
    uint64_t key[2];
    int64_t count;
    double numbers[4];

    INLINED double at(int64_t position) {
        if (position / 4 != count) fill(position / 4);
        return numbers[position % 4];
    }
    INLINED void fill(int64_t at) {
        count = at;
        uint64_t x0 = (uint64_t)at + 1, x1 = 0, x2 = 0, x3 = 0, k0 = key[0], k1 = key[1];
        for (int round = 0; round < 10; round++) {
            const unsigned __int128 a = (unsigned __int128)0xD2E7470EE14C6C93ULL * x0, b = (unsigned __int128)0xCA5A826395121157ULL * x2;
            const uint64_t y0 = (uint64_t)(b >> 64) ^ x1 ^ k0, y2 = (uint64_t)(a >> 64) ^ x3 ^ k1;
            x1 = (uint64_t)b, x3 = (uint64_t)a, x0 = y0, x2 = y2;
            k0 += 0x9E3779B97F4A7C15ULL, k1 += 0xBB67AE8584CAA73BULL;
        }
        const uint64_t bits[4] = {x0, x1, x2, x3};
        for (int i = 0; i < 4; i++) numbers[i] = (double)(bits[i] >> 11) * (1.0 / 9007199254740992.0);
    }
};

// ---- a tile under one mixture ----

struct Work {
    const Pass &pass;
    const Form<Real> form;
    const Room room;
    Tile<Real> tile;
    int n;            // rows in the tile
    int64_t position; // of its first one

    INLINED const Real *component(const Member &member, int k) const {
        return (const Real *)pass.coefficients + (size_t)(member.first + k) * stride;
    }
    size_t stride;
};

INLINED void score_all(const Work &work, const Member &member, int begin, int end, bool exponentials) {
    for (int k = 0; k < member.size; k++)
        work.form.score(
            work.pass.n_features, work.component(member, k), work.tile, begin, end, work.room.shares + (size_t)k * work.tile.stride,
            exponentials ? work.room.totals : nullptr);
}

// The largest score of each row in a vector; where there is none (all are −∞ or no numbers), scores become equal.
INLINED Vec<Real> peaks(const Work &work, const Member &member, int v) {
    Vec<Real> peak = all((Real)NOTHING);
    for (int k = 0; k < member.size; k++) {
        const Vec<Real> s = load(work.room.shares + (size_t)k * work.tile.stride + v * L);
        peak = s > peak ? s : peak;
    }
    return peak;
}

// Exponentials of a vector of rows once more, from each row's own peak: what they add to the log-normaliser is returned.
APART double from_peaks(const Work &work, const Member &member, int v, const double *weights) {
    score_all(work, member, v, v + 1, false);
    const Vec<Real> peak = peaks(work, member, v);
    const Int<Real> nowhere = peak == (Real)NOTHING;
    Vec<Real> total = {};
    for (int k = 0; k < member.size; k++) {
        Real *at = work.room.shares + (size_t)k * work.tile.stride + v * L;
        const Vec<Real> e = nowhere ? all((Real)1) : exponential(load(at) - peak);
        store(at, e);
        total += e;
    }
    store(work.room.totals + v * L, total);
    double sum = 0;
    for (int r = 0; r < L && v * L + r < work.n; r++) {
        const double weight = weights ? weights[v * L + r] : 1.0;
        if (weight != 0) sum += weight * (double)peak[r];
    }
    return sum;
}

// Shares by posterior probabilities are e/total. Answers Σ w log total.
INLINED double finish_soft(const Work &work, const double *weights, bool divide) {
    constexpr int l = LANES<double>;
    const int padded = work.tile.n_vectors * L;
    for (int r = work.n; r < padded; r++) work.room.totals[r] = 1;
    Vec<double> sum = {};
    for (int r = 0; r < padded; r += l) {
        Vec<double> total, weight;
        if constexpr (DOUBLE)
            total = load((const double *)work.room.totals + r);
        else
            total = widened((const float *)work.room.totals + r);
        if (r + l <= work.n)
            weight = weights ? *(const Vec<double> *)(weights + r) : all(1.0);
        else
            for (int i = 0; i < l; i++) weight[i] = r + i < work.n ? (weights ? weights[r + i] : 1.0) : 0.0;
        sum += weight * logarithm(total);
        const Vec<double> factor = divide ? weight / total : weight;
        if constexpr (DOUBLE)
            store((double *)work.room.factors + r, factor);
        else
            narrow((float *)work.room.factors + r, factor);
    }
    return over_lanes(sum);
}

INLINED double total_weight(const Work &work, const double *weights) {
    if (!weights) return work.n;
    double sum = 0;
    for (int r = 0; r < work.n; r++) sum += weights[r];
    return sum;
}

INLINED bool some_below(Vec<Real> totals, Real bound) {
    bool some = false;
    for (int r = 0; r < L; r++) some |= totals[r] < bound;
    return some;
}

// Exponentials and totals, far rows from their own peaks; answers what is to be added to Σ w log total.
INLINED double exponentials(const Work &work, const Member &member, const double *weights) {
    memset(work.room.totals, 0, sizeof(Real) * work.tile.n_vectors * L);
    score_all(work, member, 0, work.tile.n_vectors, true);
    Vec<Real> worst = all((Real)1);
    for (int v = 0; v < work.tile.n_vectors; v++) {
        const Vec<Real> total = load(work.room.totals + v * L);
        worst = total < worst ? total : worst;
    }
    double apart = 0;
    if (some_below(worst, LEAST_TOTAL))
        for (int v = 0; v < work.tile.n_vectors; v++)
            if (some_below(load(work.room.totals + v * L), LEAST_TOTAL)) apart += from_peaks(work, member, v, weights);
    return apart + (member.ceiling - headroom(work.pass.n_features)) * total_weight(work, weights);
}

INLINED double share_softly(const Work &work, const Member &member, const double *weights) {
    const double apart = exponentials(work, member, weights);
    return apart + finish_soft(work, weights, true);
}

// All of a row to its most probable component; exact ties are shared evenly.
INLINED double share_hard(const Work &work, const Member &member, const double *weights) {
    score_all(work, member, 0, work.tile.n_vectors, false);
    double sum = (member.ceiling - headroom(work.pass.n_features)) * total_weight(work, weights);
    for (int v = 0; v < work.tile.n_vectors; v++) {
        const Vec<Real> peak = peaks(work, member, v);
        const Int<Real> nowhere = peak == (Real)NOTHING;
        Vec<Real> ties = {};
        for (int k = 0; k < member.size; k++) {
            Real *at = work.room.shares + (size_t)k * work.tile.stride + v * L;
            const Vec<Real> one = (load(at) == peak) | nowhere ? all((Real)1) : all((Real)0);
            store(at, one);
            ties += one;
        }
        Vec<Real> factor;
        for (int r = 0; r < L; r++) {
            const double weight = v * L + r < work.n ? (weights ? weights[v * L + r] : 1.0) : 0.0;
            factor[r] = (Real)(weight / (double)ties[r]);
            if (weight != 0) sum += weight * (double)peak[r];
        }
        store(work.room.factors + v * L, factor);
    }
    return sum;
}

// Exponentials of the open components in a vector of rows, of which some are far from all of these, from each row's own peak.
APART Vec<Real> open_from_peaks(const Work &work, const Member &member, int v) {
    Member open = member;
    open.size = member.n_open;
    from_peaks(work, open, v, nullptr);
    return load(work.room.totals + v * L);
}

// All of a row to the open component at which cumulative exponentials first exceed its threshold.
INLINED double share_by_draws(const Work &work, const Member &member, const double *weights) {
    double sum = exponentials(work, member, weights);
    sum += finish_soft(work, weights, false);
    Uniforms uniforms{{member.key[0], member.key[1]}, -1, {}};
    for (int v = 0; v < work.tile.n_vectors; v++) {
        Vec<Real> total = {};
        for (int k = 0; k < member.n_open; k++) total += load(work.room.shares + (size_t)k * work.tile.stride + v * L);
        if (some_below(total, LEAST_TOTAL)) total = open_from_peaks(work, member, v);
        Vec<Real> threshold;
        for (int r = 0; r < L; r++) {
            Real t = (Real)(uniforms.at(work.position + v * L + r) * (double)total[r]);
            if (!(t < total[r])) t = total[r] * (Real)(DOUBLE ? 0.9999999999999999 : 0.9999999f); // rounded up to it
            threshold[r] = t;
        }
        Vec<Real> cumulative = {};
        Int<Real> before = {}, label = {};
        for (int k = 0; k < member.size; k++) {
            Real *at = work.room.shares + (size_t)k * work.tile.stride + v * L;
            if (k >= member.n_open) {
                store(at, (Vec<Real>){});
                continue;
            }
            cumulative += load(at);
            const Int<Real> reached = cumulative > threshold, drawn = reached & ~before;
            store(at, drawn ? all((Real)1) : all((Real)0));
            label += drawn & k;
            before = reached;
        }
        if (member.labels)
            for (int r = 0; r < L && v * L + r < work.n; r++) {
                const int64_t name = member.names ? member.names[label[r]] : (int64_t)label[r];
                const int64_t at = work.position + v * L + r - member.first_label;
                if (member.label_bytes == 8)
                    ((int64_t *)member.labels)[at] = name;
                else
                    ((int32_t *)member.labels)[at] = (int32_t)name;
            }
    }
    return sum;
}

// Σ w log max_k r_nk, once exponentials and totals are there.
INLINED double certainty(const Work &work, const Member &member) {
    double sum = 0;
    constexpr int l = LANES<double>;
    for (int v = 0; v < work.tile.n_vectors; v++) {
        Vec<Real> most = {};
        for (int k = 0; k < member.size; k++) {
            const Vec<Real> e = load(work.room.shares + (size_t)k * work.tile.stride + v * L);
            most = e > most ? e : most;
        }
        store(work.room.shares + v * L, most); // of the first component, which is needed no more in these rows
    }
    Vec<double> sums = {};
    for (int r = 0; r < work.tile.n_vectors * L; r += l) {
        Vec<double> most, weight;
        for (int i = 0; i < l; i++) {
            const bool there = r + i < work.n;
            most[i] = there ? (double)work.room.shares[r + i] / (double)work.room.totals[r + i] : 1.0;
            weight[i] = there ? work.room.weights[r + i] : 0.0;
        }
        sums += weight * logarithm(most);
    }
    sum += over_lanes(sums);
    return sum;
}

// The weights of a tile's rows in one mixture, or null for ones.
INLINED const double *tile_weights(const Work &work, const Member &member, const double *of_rows) {
    if (!member.weights && !of_rows && work.pass.moments) return nullptr;
    double *to = work.room.weights;
    for (int r = 0; r < work.n; r++)
        to[r] = (of_rows ? of_rows[r] : 1.0) * (member.weights ? member.weights[work.position + r] : 1.0);
    return to;
}

// ---- a strip ----

void strip(const Pass &pass, const Strip &strip, double *totals, void *memory) {
    const int d = pass.n_features, size = tile_rows(pass, most_components(pass));
    const bool blocks = by_blocks(d, pass.diagonal);
    Work work{pass, form_of<Real>(d, pass.diagonal), room_in(pass, (char *)memory), {}, 0, 0, 0};
    work.stride = 1 + (size_t)d + (pass.diagonal ? (size_t)d : blocks ? packed_by_blocks(d) : (size_t)d * (d + 1) / 2);
    work.tile = {work.room.columns, size, 0};
    const int lanes = work.form.lanes;
    const size_t each = sums_of_component(d, pass.diagonal) * lanes;
    if (pass.moments) memset(work.room.sums, 0, sizeof(double) * each * pass.n_components);
    memset(totals, 0, sizeof(double) * mixtura::totals_of_pass(pass));
    for (int64_t start = 0; start < strip.n; start += size) {
        work.n = (int)(strip.n - start < size ? strip.n - start : size);
        work.position = strip.position + start;
        work.tile.n_vectors = (work.n + L - 1) / L;
        if (strip.row_bytes == (int)sizeof(Real))
            turn((const Real *)strip.rows + start * d, work.n, d, work.tile);
        else
            turn((const float *)strip.rows + start * d, work.n, d, work.tile);
        const double *of_rows = strip.weights ? strip.weights + start : nullptr;
        for (int m = 0; m < pass.n_members; m++) {
            const Member &member = pass.members[m];
            const double *weights = tile_weights(work, member, of_rows);
            totals[m] += member.sharing == mixtura::SOFT   ? share_softly(work, member, weights)
                         : member.sharing == mixtura::HARD ? share_hard(work, member, weights)
                                                           : share_by_draws(work, member, weights);
            if (!pass.moments) {
                totals[pass.n_members + m] += certainty(work, member);
                continue;
            }
            for (int k = 0; k < member.size; k++)
                work.form.add(
                    d, work.component(member, k), work.tile, work.room.shares + (size_t)k * size, work.room.factors,
                    work.room.sums + (member.first + k) * each, work.room.room);
        }
    }
    if (!pass.moments) return;
    double *to = totals + pass.n_members;
    for (int k = 0; k < pass.n_components; k++) {
        const double *sums = work.room.sums + k * each;
        if (!blocks) {
            for (size_t i = 0; i < each; i += lanes) *to++ = DOUBLE ? over_lanes(load(sums + i)) : over_lanes(load(sums + i) + load(sums + i + lanes / 2));
            continue;
        }
        for (int i = 0; i <= d; i++) *to++ = sums[i];
        for (int i = 0; i < d; i++)
            for (int j = i; j < d; j++) *to++ = sums[1 + d + (size_t)j * d + i];
    }
}

// ---- coefficients ----

size_t coefficients(int d, bool diagonal) {
    return 1 + (size_t)d + (diagonal ? (size_t)d : by_blocks(d, diagonal) ? packed_by_blocks(d) : (size_t)d * (d + 1) / 2);
}

void pack(int d, bool diagonal, double constant, const double *centre, const double *whitening, void *to) {
    Real *q = (Real *)to;
    *q++ = (Real)(constant + headroom(d));
    for (int i = 0; i < d; i++) *q++ = (Real)centre[i];
    if (diagonal) {
        for (int i = 0; i < d; i++) *q++ = (Real)(whitening[i] * HALF_ROOT);
    } else if (!by_blocks(d, diagonal)) {
        for (int i = 0; i < d; i++)
            for (int j = 0; j <= i; j++) *q++ = (Real)(whitening[(size_t)j * d + i] * HALF_ROOT);
    } else {
        for (int i0 = 0; i0 < d; i0 += BLOCK)
            for (int j = 0; j < least(d, i0 + BLOCK); j++)
                for (int i = i0; i < i0 + BLOCK; i++) *q++ = i < d && j <= i ? (Real)(whitening[(size_t)j * d + i] * HALF_ROOT) : Real(0);
    }
}

size_t memory(const Pass &pass) { return room_in(pass, nullptr).bytes; }

} // namespace

namespace {

template <class T> constexpr const mixtura::PartitionKernels *partition_kernels() { return nullptr; }
constexpr mixtura::PartitionKernels OF_PARTITIONS = {DISTANCE_TILE, nearest, lowered, add_squares};
template <> constexpr const mixtura::PartitionKernels *partition_kernels<double>() { return &OF_PARTITIONS; }

} // namespace

#define MIXTURA_JOIN_(a, b, c, d) a##b##c##d
#define MIXTURA_JOIN(a, b, c, d) MIXTURA_JOIN_(a, b, c, d)

extern "C" const mixtura::Kernels MIXTURA_JOIN(mixtura_, MIXTURA_SET, _, MIXTURA_REAL) = {
    (int)sizeof(Real), headroom, coefficients, pack, memory, strip, partition_kernels<Real>(),
};
