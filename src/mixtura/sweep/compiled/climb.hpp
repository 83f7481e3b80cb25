// Whole climbs in one call, for rows that fit a cache: pass, bound, M-step (or update), until there is something to decide.
//
// The rules of stopping are those of inference/rules/stopping.py, which has the last word: a climb comes back wherever it might have one.
#pragma once

#include <cmath>
#include <vector>

#include "belief.hpp"
#include "maximisation.hpp"
#include "passes.hpp"

namespace mixtura {

struct Patience {
    double goal;       // gain still to come at which a climb is at its end
    double steadiness; // from which EM's rate counts as known, or zero where nothing else would take over
    int least_passes;
    int passes_left;   // to the goal, from which EM counts as slow,
    int in_all;        // where they are so many with those it has taken
    int at_last;       // it does, after so many passes, where nothing is known
};

// Bounds so far, with those of the climb before, of which the last few matter.
class Trail {
  public:
    // The last four of so many before; fewer where there are no more.
    Trail(const double *last, int n) : b_{last[0], last[1], last[2], last[3]}, n_(n) {}

    void append(double bound) {
        for (int i = 0; i < 3; i++) b_[i] = b_[i + 1];
        b_[3] = bound, n_++;
    }

    // Aitken's estimate, by the larger of the last two rates; zero once steps are rounding, infinite while they grow.
    double remaining_gain() const {
        if (n_ < 2) return INFINITY;
        const double step = b_[3] - b_[2];
        if (step <= 4 * EPS * std::fabs(b_[3])) return 0;
        if (n_ < 3 || step >= b_[2] - b_[1]) return INFINITY;
        const double before = b_[2] - b_[1];
        double rate = step / before;
        if (n_ > 3 && b_[1] > b_[0]) rate = std::max(rate, before / (b_[1] - b_[0]));
        return rate < 1 ? step * rate / (1 - rate) : INFINITY;
    }

    bool is_slow(const Patience &patience) const {
        const double remaining = remaining_gain();
        if (!(patience.steadiness > 0) || n_ < patience.least_passes || !(remaining > patience.goal && patience.goal > 0)) return false;
        const double a = b_[1] - b_[0], b = b_[2] - b_[1], c = b_[3] - b_[2];
        const bool at_last = n_ >= patience.at_last;
        if (!(a > b && b > c && c > 0)) return at_last;
        const double before = b / a, rate = c / b;
        if (std::fabs(rate - before) > patience.steadiness * (1 - rate)) return at_last;
        return std::log(patience.goal / remaining) / std::log(rate) > std::max(patience.passes_left, patience.in_all - n_);
    }

  private:
    double b_[4];
    int n_;
};

// One climb: of a point, or of a belief where that is asked for.
struct Climb {
    int size;
    const double *row_weights;                  // (N), beside those of the data, or null
    double *weights, *means, *blocks, *factors; // where it begins, then where it has come to; of a belief what is believed of the weights
    WeightBelief belief;
    double *mean_precisions, *degrees;
    const double *last;                         // four bounds before the first
    int n_before;
    int64_t most;                               // passes
    double *totals;                             // of the last pass: log-normaliser and moments
    double *bounds;                             // of each pass
    int64_t n_passes;
};

// Passes until there is something to decide: after the last of them, or because the next step is for others.
template <class Estimate>
void ascend(
    const Kernels &kernels, const Strip &rows, const Family &family, Sharing sharing, const Patience &patience, int d, Estimate &&estimate,
    Climb &climb) {
    const bool diagonal = family.shape != MATRIX;
    Member member{0, climb.size, sharing, 0, climb.row_weights, {0, 0}, nullptr, 0, climb.size, 0, nullptr};
    Pass pass{d, climb.size, 1, diagonal, true, &member, nullptr};
    const size_t each = kernels.coefficients(d, diagonal) * kernels.precision;
    const Memory memory = memory_of(kernels.memory(pass)), coefficients = memory_of(each * climb.size + 64);
    Trail trail(climb.last, climb.n_before);
    for (;;) {
        pack(kernels, d, diagonal, estimate.constants(), estimate.centres(), estimate.whitening(), member, coefficients.get());
        pass.coefficients = coefficients.get();
        kernels.strip(pass, rows, climb.totals, memory.get());
        const double bound = climb.totals[0] + estimate.log_prior();
        climb.bounds[climb.n_passes++] = bound;
        trail.append(bound);
        if (climb.n_passes >= climb.most || !std::isfinite(bound)) return;
        if (trail.remaining_gain() <= patience.goal || trail.is_slow(patience)) return;
        if (!estimate.maximise(climb.totals + 1)) return;
    }
}

inline void climb(const Kernels &kernels, const Strip &rows, const Family &family, Sharing sharing, const Patience &patience, int d, Climb &c) {
    if (c.degrees)
        ascend(kernels, rows, family, sharing, patience, d, Belief(c.size, d, family, c.belief, c.means, c.mean_precisions, c.blocks, c.factors, c.degrees), c);
    else
        ascend(kernels, rows, family, sharing, patience, d, Parameters(c.size, d, family, c.weights, c.means, c.blocks, c.factors), c);
}

} // namespace mixtura
