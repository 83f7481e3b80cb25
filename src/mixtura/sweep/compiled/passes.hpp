// A pass over rows in memory: strips, threads, and sums that do not depend on either.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "kernels.hpp"

namespace mixtura {

struct Freed {
    void operator()(void *p) const { ::operator delete(p, std::align_val_t(64)); }
};
using Memory = std::unique_ptr<void, Freed>;
inline Memory memory_of(size_t bytes) { return Memory(::operator new(bytes, std::align_val_t(64))); }

// ---- sums of strips along a binary tree over their places: the same bits whoever computed them, and in whatever order ----

class TreeSum {
  public:
    explicit TreeSum(size_t size) : size_(size) {}

    void put(int64_t place, std::unique_ptr<double[]> answer) {
        std::lock_guard<std::mutex> lock(mutex_);
        int level = 0;
        for (;;) {
            auto at = std::find_if(nodes_.begin(), nodes_.end(), [&](const Node &n) { return n.level == level && n.place == (place ^ 1); });
            if (at == nodes_.end()) break;
            std::unique_ptr<double[]> sibling = std::move(at->sum);
            nodes_.erase(at);
            if (place % 2) answer.swap(sibling);
            add(answer.get(), sibling.get());
            level++, place /= 2;
        }
        nodes_.push_back({level, place, std::move(answer)});
    }

    // The sum of all; what is left is added from the right.
    const double *total() {
        std::sort(nodes_.begin(), nodes_.end(), [](const Node &a, const Node &b) { return (a.place << a.level) > (b.place << b.level); });
        for (size_t i = 1; i < nodes_.size(); i++) add(nodes_[i].sum.get(), nodes_[i - 1].sum.get());
        return nodes_.back().sum.get();
    }

  private:
    struct Node {
        int level;
        int64_t place;
        std::unique_ptr<double[]> sum;
    };
    void add(double *left, const double *right) const {
        for (size_t i = 0; i < size_; i++) left[i] += right[i];
    }

    size_t size_;
    std::mutex mutex_;
    std::vector<Node> nodes_;
};

// So many tasks, each done once, in so many threads, this one among them; in fewer, where no more are to be had. Each thread makes itself
// what does a task. Where one runs out of memory, all end, and then it is said.
template <class Maker> void in_threads(int64_t n_threads, int64_t n_tasks, const Maker &make) {
    std::atomic<int64_t> next{0};
    std::atomic<bool> failed{false};
    const auto work = [&] {
        try {
            const auto task = make();
            for (int64_t i; !failed && (i = next++) < n_tasks;) task(i);
        } catch (const std::bad_alloc &) {
            failed = true;
        }
    };
    std::vector<std::thread> others;
    try {
        for (int64_t i = 1; i < n_threads; i++) others.emplace_back(work);
    } catch (const std::system_error &) {
    }
    work();
    for (std::thread &other : others) other.join();
    if (failed) throw std::bad_alloc();
}

// Totals of all rows of a block, which is cut into strips of so many; strips are worked on by so many threads.
inline void sum_strips(const Kernels &kernels, const Pass &pass, const Strip &block, int64_t strip_rows, int n_threads, double *to) {
    const int64_t n_strips = block.n ? (block.n + strip_rows - 1) / strip_rows : 1;
    const size_t size = mixtura::totals_of_pass(pass), bytes = kernels.memory(pass);
    if (n_strips == 1) {
        const Memory memory = memory_of(bytes);
        kernels.strip(pass, block, to, memory.get());
        return;
    }
    TreeSum sum(size);
    in_threads(std::min<int64_t>(n_threads, n_strips), n_strips, [&] {
        return [&, memory = memory_of(bytes)](int64_t i) {
            Strip strip = block;
            const int64_t start = i * strip_rows;
            strip.rows = (const char *)block.rows + start * pass.n_features * block.row_bytes;
            strip.weights = block.weights ? block.weights + start : nullptr;
            strip.position += start;
            strip.n = std::min(strip_rows, block.n - start);
            std::unique_ptr<double[]> totals(new double[size]);
            kernels.strip(pass, strip, totals.get(), memory.get());
            sum.put(i, std::move(totals));
        };
    });
    std::memcpy(to, sum.total(), sizeof(double) * size);
}

// The coefficients of a member's components, relative to its ceiling, in their places among those of all members.
inline void pack(
    const Kernels &kernels, int d, bool diagonal, const double *constants, const double *centres, const double *whitening, Member &member,
    void *coefficients) {
    const size_t each = kernels.coefficients(d, diagonal) * kernels.precision, factor = diagonal ? d : (size_t)d * d;
    member.ceiling = *std::max_element(constants + member.first, constants + member.first + member.size);
    for (int k = member.first; k < member.first + member.size; k++)
        kernels.pack(
            d, diagonal, constants[k] - member.ceiling, centres + (size_t)k * d, whitening + k * factor, (char *)coefficients + k * each);
}

// The same of a stack.
inline Memory packed(
    const Kernels &kernels, Pass &pass, std::vector<Member> &members, const double *constants, const double *centres, const double *whitening) {
    Memory coefficients = memory_of(kernels.coefficients(pass.n_features, pass.diagonal) * kernels.precision * pass.n_components + 64);
    for (Member &member : members) pack(kernels, pass.n_features, pass.diagonal, constants, centres, whitening, member, coefficients.get());
    pass.members = members.data();
    pass.coefficients = coefficients.get();
    return coefficients;
}

} // namespace mixtura
