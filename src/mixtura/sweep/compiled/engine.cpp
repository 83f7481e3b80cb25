// The module: buffers in, buffers out, the GIL released; which kernels run is chosen when it is loaded.

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "kernels.hpp"
#include "processor.hpp"

using mixtura::Kernels;
using mixtura::Member;
using mixtura::Pass;
using mixtura::Strip;

// ---- instruction sets ----

#if defined(MIXTURA_SETS_BASELINE)
extern "C" const Kernels mixtura_baseline_double, mixtura_baseline_float;
#else
extern "C" const Kernels mixtura_v2_double, mixtura_v2_float, mixtura_v3_double, mixtura_v3_float, mixtura_v4_double, mixtura_v4_float;
#endif

namespace {

struct InstructionSet {
    const char *name;
    const Kernels *in_double;
    const Kernels *in_float;
};

// From the oldest to the newest.
const InstructionSet compiled[] = {
#if defined(MIXTURA_SETS_BASELINE)
    {"baseline", &mixtura_baseline_double, &mixtura_baseline_float},
#else
    {"x86-64-v2", &mixtura_v2_double, &mixtura_v2_float},
    {"x86-64-v3", &mixtura_v3_double, &mixtura_v3_float},
    {"x86-64-v4", &mixtura_v4_double, &mixtura_v4_float},
#endif
};

// How many of them the processor runs; those are the first ones.
int runnable() {
#if defined(MIXTURA_SETS_BASELINE)
    return 1;
#else
    return mixtura::x86_64_generation() - 1;
#endif
}

const InstructionSet *in_use = nullptr;

const Kernels &kernels_in(long precision) { return precision == 4 ? *in_use->in_float : *in_use->in_double; }

PyObject *instruction_sets(PyObject *, PyObject *) {
    const int n = runnable();
    PyObject *names = PyTuple_New(n);
    for (int i = 0; names && i < n; i++) {
        PyObject *name = PyUnicode_FromString(compiled[i].name);
        if (!name || PyTuple_SetItem(names, i, name) < 0) Py_CLEAR(names);
    }
    return names;
}

PyObject *use(PyObject *, PyObject *wanted) {
    const char *name = PyUnicode_AsUTF8AndSize(wanted, nullptr);
    if (!name) return nullptr;
    for (int i = 0, n = runnable(); i < n; i++)
        if (!std::strcmp(compiled[i].name, name)) {
            in_use = &compiled[i];
            Py_RETURN_NONE;
        }
    return PyErr_Format(PyExc_ValueError, "this processor does not run %R", wanted);
}

PyObject *instruction_set(PyObject *, PyObject *) {
    if (!in_use) Py_RETURN_NONE;
    return PyUnicode_FromString(in_use->name);
}

// ---- buffers ----

// Those of the arrays of a call, released at its end.
class Buffers {
  public:
    ~Buffers() {
        for (Py_buffer &buffer : held_) PyBuffer_Release(&buffer);
    }
    Buffers(size_t most) { held_.reserve(most); }

    // The buffer of an array that lies row after row; null, with an exception, where it does not.
    const Py_buffer *of(PyObject *array, bool writable = false) {
        Py_buffer buffer;
        if (PyObject_GetBuffer(array, &buffer, PyBUF_ND | PyBUF_C_CONTIGUOUS | (writable ? PyBUF_WRITABLE : 0))) return nullptr;
        held_.push_back(buffer);
        return &held_.back();
    }

  private:
    std::vector<Py_buffer> held_; // never grows beyond what was reserved: pointers into it stay
};

struct Freed {
    void operator()(void *p) const { ::operator delete(p, std::align_val_t(64)); }
};
using Memory = std::unique_ptr<void, Freed>;
Memory memory_of(size_t bytes) { return Memory(::operator new(bytes, std::align_val_t(64))); }

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

// Totals of all rows of a block, which is cut into strips of so many; strips are worked on by so many threads.
void sum_strips(const Kernels &kernels, const Pass &pass, const Strip &block, int64_t strip_rows, int n_threads, double *to) {
    const int64_t n_strips = block.n ? (block.n + strip_rows - 1) / strip_rows : 1;
    const size_t size = mixtura::totals_of_pass(pass), bytes = kernels.memory(pass);
    if (n_strips == 1) {
        const Memory memory = memory_of(bytes);
        kernels.strip(pass, block, to, memory.get());
        return;
    }
    TreeSum sum(size);
    std::atomic<int64_t> next{0};
    std::atomic<bool> failed{false};
    const auto work = [&] {
        try {
            const Memory memory = memory_of(bytes);
            for (int64_t i; !failed && (i = next++) < n_strips;) {
                Strip strip = block;
                const int64_t start = i * strip_rows;
                strip.rows = (const char *)block.rows + start * pass.n_features * block.row_bytes;
                strip.weights = block.weights ? block.weights + start : nullptr;
                strip.position += start;
                strip.n = std::min(strip_rows, block.n - start);
                std::unique_ptr<double[]> totals(new double[size]);
                kernels.strip(pass, strip, totals.get(), memory.get());
                sum.put(i, std::move(totals));
            }
        } catch (const std::bad_alloc &) {
            failed = true;
        }
    };
    std::vector<std::thread> others;
    try {
        for (int i = 1; i < std::min<int64_t>(n_threads, n_strips); i++) others.emplace_back(work);
    } catch (const std::system_error &) { // no more threads are to be had: those there are do it
    }
    work();
    for (std::thread &other : others) other.join();
    if (failed) throw std::bad_alloc();
    std::memcpy(to, sum.total(), sizeof(double) * size);
}

// The coefficients of a stack, relative to the ceilings of its members.
Memory packed(const Kernels &kernels, Pass &pass, std::vector<Member> &members, const double *constants, const double *centres, const double *whitening) {
    const int d = pass.n_features;
    const size_t each = kernels.coefficients(d, pass.diagonal) * kernels.precision, factor = pass.diagonal ? d : (size_t)d * d;
    Memory coefficients = memory_of(each * pass.n_components + 64);
    for (Member &member : members) {
        const double *own = constants + member.first;
        member.ceiling = *std::max_element(own, own + member.size);
        for (int k = member.first; k < member.first + member.size; k++)
            kernels.pack(
                d, pass.diagonal, constants[k] - member.ceiling, centres + (size_t)k * d, whitening + k * factor,
                (char *)coefficients.get() + k * each);
    }
    pass.members = members.data();
    pass.coefficients = coefficients.get();
    return coefficients;
}

// ---- sweep(rows, weights, position, strip_rows, threads, constants, centres, whitening, starts, members, precision, moments, totals) ----

bool refuse(const char *what) {
    PyErr_Format(PyExc_ValueError, "%s of another size", what);
    return false;
}

// Whether an array is there for all rows up to the last of those at hand.
bool reaches(const Py_buffer *array, const Strip &rows, Py_ssize_t bytes) {
    return array->ndim == 1 && array->shape[0] >= rows.position + rows.n && array->itemsize == bytes;
}

bool described(PyObject *of, const Strip &rows, Member &member, Buffers &buffers) {
    PyObject *item[5];
    for (int i = 0; i < 5; i++) {
        PyObject *one = PyTuple_GetItem(of, i); // borrowed
        if (!one) return false;
        item[i] = one;
    }
    member.sharing = (mixtura::Sharing)PyLong_AsLong(item[0]);
    if (PyErr_Occurred()) return false;
    const Py_buffer *buffer;
    if (item[1] != Py_None) {
        if (!(buffer = buffers.of(item[1]))) return false;
        if (!reaches(buffer, rows, 8)) return refuse("weights");
        member.weights = (const double *)buffer->buf;
    }
    if (item[2] != Py_None) {
        if (!(buffer = buffers.of(item[2]))) return false;
        if (buffer->len != (Py_ssize_t)sizeof member.key) return refuse("key");
        std::memcpy(member.key, buffer->buf, sizeof member.key);
    }
    if (item[3] != Py_None) {
        if (!(buffer = buffers.of(item[3], true))) return false;
        if (!reaches(buffer, rows, buffer->itemsize == 8 ? 8 : 4)) return refuse("labels");
        member.labels = buffer->buf;
        member.label_bytes = (int)buffer->itemsize;
    }
    if (item[4] != Py_None) {
        if (!(buffer = buffers.of(item[4]))) return false;
        if (buffer->len < (Py_ssize_t)(sizeof(int64_t) * member.size)) return refuse("names");
        member.names = (const int64_t *)buffer->buf;
    }
    return true;
}

PyObject *sweep(PyObject *, PyObject *const *a, Py_ssize_t n) {
    if (n != 13) return PyErr_SetString(PyExc_TypeError, "sweep takes 13 arguments"), nullptr;
    const Py_ssize_t n_members = PyObject_Length(a[8]);
    if (n_members < 0) return nullptr;
    try {
        Buffers buffers(8 + 4 * (size_t)n_members);
        const Py_buffer *rows = buffers.of(a[0]), *weights = nullptr;
        if (!rows || (a[1] != Py_None && !(weights = buffers.of(a[1])))) return nullptr;
        Strip block{rows->buf, (int)rows->itemsize, weights ? (const double *)weights->buf : nullptr, PyLong_AsLongLong(a[2]), rows->shape[0]};
        const int64_t strip_rows = PyLong_AsLongLong(a[3]);
        const int threads = (int)PyLong_AsLong(a[4]);
        const Py_buffer *constants = buffers.of(a[5]);
        const Py_buffer *centres = constants ? buffers.of(a[6]) : nullptr;
        const Py_buffer *whitening = centres ? buffers.of(a[7]) : nullptr;
        if (!whitening) return nullptr;
        Pass pass{(int)rows->shape[1], (int)constants->shape[0], (int)n_members, whitening->ndim == 2, true, nullptr, nullptr};
        const Py_ssize_t d = pass.n_features, factor = pass.diagonal ? d : d * d;
        if (rows->ndim != 2 || d < 1 || (rows->itemsize != 4 && rows->itemsize != 8)) return refuse("rows"), nullptr;
        if (weights && (weights->len != (Py_ssize_t)sizeof(double) * block.n)) return refuse("weights"), nullptr;
        if (centres->len != constants->len * d) return refuse("centres"), nullptr;
        if (whitening->len != constants->len * factor) return refuse("whitening"), nullptr;
        if (strip_rows < 1) return refuse("strips"), nullptr;
        std::vector<Member> members((size_t)n_members);
        for (Py_ssize_t m = 0, first = 0; m < n_members; m++) {
            PyObject *size = PySequence_GetItem(a[8], m);
            if (!size) return nullptr;
            members[m].first = (int)first;
            members[m].size = (int)PyLong_AsLong(size);
            if (members[m].size < 1) return Py_DecRef(size), refuse("sizes"), nullptr;
            first += members[m].size;
            Py_DecRef(size);
            if (a[9] == Py_None) continue;
            PyObject *member = PySequence_GetItem(a[9], m);
            const bool sound = member && described(member, block, members[m], buffers);
            if (member) Py_DecRef(member);
            if (!sound) return nullptr;
        }
        if (members.empty() || members.back().first + members.back().size != pass.n_components) return refuse("sizes"), nullptr;
        const long precision = PyLong_AsLong(a[10]);
        pass.moments = PyObject_IsTrue(a[11]) == 1;
        const Py_buffer *totals = buffers.of(a[12], true);
        if (!totals || PyErr_Occurred()) return nullptr;
        if (totals->len != (Py_ssize_t)(sizeof(double) * mixtura::totals_of_pass(pass)))
            return refuse("totals"), nullptr;
        const Kernels &kernels = kernels_in(precision);
        bool failed = false;
        Py_BEGIN_ALLOW_THREADS
        try {
            const Memory coefficients = packed(
                kernels, pass, members, (const double *)constants->buf, (const double *)centres->buf, (const double *)whitening->buf);
            sum_strips(kernels, pass, block, strip_rows, threads, (double *)totals->buf);
        } catch (const std::bad_alloc &) {
            failed = true;
        }
        Py_END_ALLOW_THREADS
        if (failed) return PyErr_NoMemory();
    } catch (const std::bad_alloc &) {
        return PyErr_NoMemory();
    }
    Py_RETURN_NONE;
}

// ---- unpacked(totals, count, first, second) ----

// A component whose rows weigh less than this beside those of another has none: it is where its centre is.
constexpr double TRACE = 1e-32;

PyObject *unpacked(PyObject *, PyObject *const *a, Py_ssize_t n) {
    if (n != 4) return PyErr_SetString(PyExc_TypeError, "unpacked takes 4 arguments"), nullptr;
    try {
        Buffers buffers(4);
        const Py_buffer *totals = buffers.of(a[0]);
        const Py_buffer *count = totals ? buffers.of(a[1], true) : nullptr;
        const Py_buffer *first = count ? buffers.of(a[2], true) : nullptr;
        const Py_buffer *second = first ? buffers.of(a[3], true) : nullptr;
        if (!second) return nullptr;
        const size_t m = (size_t)first->shape[0], d = (size_t)first->shape[1];
        const bool diagonal = second->ndim == 2;
        const size_t each = mixtura::totals_of_component((int)d, diagonal);
        if (totals->len != (Py_ssize_t)(sizeof(double) * m * each)) return refuse("totals"), nullptr;
        const double *from = (const double *)totals->buf;
        double *counts = (double *)count->buf, *firsts = (double *)first->buf, *seconds = (double *)second->buf, most = 0;
        for (size_t k = 0; k < m; k++) most = std::max(most, from[k * each]);
        for (size_t k = 0; k < m; k++, from += each) {
            const bool kept = from[0] > TRACE * most;
            counts[k] = kept ? from[0] : 0.0;
            for (size_t i = 0; i < d; i++) firsts[k * d + i] = kept ? from[1 + i] : 0.0;
            const double *pair = from + 1 + d;
            for (size_t i = 0; i < d; i++)
                if (diagonal)
                    seconds[k * d + i] = kept ? pair[i] : 0.0;
                else
                    for (size_t j = i; j < d; j++, pair++) seconds[(k * d + i) * d + j] = seconds[(k * d + j) * d + i] = kept ? *pair : 0.0;
        }
    } catch (const std::bad_alloc &) {
        return PyErr_NoMemory();
    }
    Py_RETURN_NONE;
}

PyObject *headroom(PyObject *, PyObject *const *a, Py_ssize_t n) {
    if (n != 2) return PyErr_SetString(PyExc_TypeError, "headroom takes 2 arguments"), nullptr;
    const long d = PyLong_AsLong(a[0]), precision = PyLong_AsLong(a[1]);
    if (PyErr_Occurred()) return nullptr;
    return PyFloat_FromDouble(kernels_in(precision).headroom((int)d));
}

PyMethodDef methods[] = {
    {"instruction_sets", instruction_sets, METH_NOARGS, "Names of those that this processor runs, the best one last."},
    {"instruction_set", instruction_set, METH_NOARGS, "The name of the one in use, or None."},
    {"use", use, METH_O, "Use the kernels of this instruction set from now on."},
    {"sweep", (PyCFunction)(void (*)(void))sweep, METH_FASTCALL, "Totals of a stack of mixtures over rows."},
    {"unpacked", (PyCFunction)(void (*)(void))unpacked, METH_FASTCALL, "Totals of components as count, first and second moments."},
    {"headroom", (PyCFunction)(void (*)(void))headroom, METH_FASTCALL, "What is added to scores before exponentials are taken."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_engine", "The compiled engine of the sweeps.", -1, methods, nullptr, nullptr, nullptr, nullptr,
};

} // namespace

PyMODINIT_FUNC PyInit__engine(void) {
    if (const int n = runnable()) in_use = &compiled[n - 1];
    return PyModule_Create(&module);
}
