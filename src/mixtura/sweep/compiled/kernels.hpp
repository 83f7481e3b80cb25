// What the kernels of one instruction set and one precision offer, and what they are asked.
//
// A pass visits rows tile by tile. For each mixture of a stack it scores the rows of a tile about each component's own centre, shares
// them among the components, and adds up counts, first and second moments about the same centres. Nothing cancels, and no array of
// rows by components leaves the cache.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mixtura {

enum Sharing : int { SOFT = 0, HARD = 1, SAMPLED = 2 };

// One mixture of a stack.
struct Member {
    int first;                // its components
    int size;
    Sharing sharing;
    double ceiling;           // what scores are relative to
    const double *weights;    // of all rows, times those of the data; null for ones
    uint64_t key[2];          // of the random numbers, where rows are drawn
    void *labels;             // of rows from `first_label` on, where drawn ones are written; null for nowhere
    int64_t first_label;
    int n_open;               // components among which rows are drawn: the first so many
    int label_bytes;          // 4 or 8
    const int64_t *names;     // of its components, in the labels
};

struct Pass {
    int n_features;
    int n_components;         // of all members together
    int n_members;
    bool diagonal;            // whether whitening factors are
    bool moments;             // whether they are added up; if not, log max_k r_nk is, weighted
    const Member *members;
    const void *coefficients; // of all components, as `pack` has written them
};

// Some consecutive rows of the data.
struct Strip {
    const void *rows;         // (n, D), row by row
    int row_bytes;            // of a number: 4 or 8
    const double *weights;    // (n), or null
    int64_t position;         // of the first one among all rows
    int64_t n;
};

// Rows in memory as columns, padded with zeros to whole tiles.
struct Columns {
    int n_features;
    int64_t n, stride; // rows, and numbers from one column to the next
    const double *numbers;
};

// What partitions ask, in float64 alone.
struct PartitionKernels {
    int64_t tile; // rows that columns are padded to a multiple of
    // Of each row the nearest centre, the first where several are, and twice c·x − ½|c|² for it.
    void (*nearest)(const Columns &, int n_clusters, const double *centres, int32_t *labels, double *scores);
    // Of each row the smaller one of what is given and its squared distance from a point; answers their sum by weights.
    double (*lowered)(const Columns &, const double *point, const double *given, const double *weights, double *to);
    // Add weighted squares of rows (n, D) about the points of their labels to (K, D), or the lower triangles of products to (K, D, D).
    void (*add_squares)(
        int n_features, int64_t n, const double *rows, const double *weights, const int32_t *labels, const double *points, bool diagonal, double *to);
};

struct Kernels {
    int precision;                                               // bytes of a number
    double (*headroom)(int n_features);                          // added to scores, so that exponentials use the range of numbers
    size_t (*coefficients)(int n_features, bool diagonal);       // numbers for a component
    void (*pack)(int n_features, bool diagonal, double constant, const double *centre, const double *whitening, void *to);
    size_t (*memory)(const Pass &);                              // bytes that `strip` works in
    void (*strip)(const Pass &, const Strip &, double *totals, void *memory);
    const PartitionKernels *partitions;                             // null in float32
};

// Numbers in the totals of a component: count, first moments, and second ones, diagonal or the upper triangle row by row.
inline size_t totals_of_component(int d, bool diagonal) { return 1 + (size_t)d + (diagonal ? (size_t)d : (size_t)d * (d + 1) / 2); }

// Totals begin with a log-normaliser for each member; then come moments of each component, or a certainty for each member.
inline size_t totals_of_pass(const Pass &pass) {
    const size_t each = totals_of_component(pass.n_features, pass.diagonal);
    return pass.n_members + (pass.moments ? pass.n_components * each : (size_t)pass.n_members);
}

} // namespace mixtura
