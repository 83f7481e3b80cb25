// LogPosterior(rows, weights, coordinates, prior) as Python sees it: called with a vector it answers with value and gradient, and counts.
//
// No frame of Python is needed for a call. A thread that is not Python's has memory mapped for its first one each time it comes, which costs
// more than a pass over a few hundred rows.
#pragma once

#include "python.hpp"

#include <memory>
#include <utility>
#include <vector>

#include "instruction_sets.hpp"
#include "log_posterior.hpp"

namespace mixtura {

// Multiplications of a pass, some 10 µs, from which the lock is let go of. To take it again costs 2.6 µs where four chains want it: at 272 rows
// of two columns a gradient of nutpie's, all in, takes 7.2 µs with it and 4.6 without.
constexpr double WORTH_UNLOCKING = 1 << 15;

struct Density {
    Buffers arrays;
    std::unique_ptr<const LogPosterior> of;
    PyObject *empty = nullptr; // numpy's
    double work = 0;
    Py_ssize_t n_asked = 0;
    bool closed = false;
    std::vector<std::unique_ptr<LogPosterior::Room>> idle;

    Density() : arrays(2) {}
    ~Density() { Py_XDECREF(empty); }

    // At vectors (M, size).
    void at(const double *q, Py_ssize_t m, double *values, double *gradients) {
        std::unique_ptr<LogPosterior::Room> room;
        if (idle.empty())
            room = std::make_unique<LogPosterior::Room>(*of);
        else
            room = std::move(idle.back()), idle.pop_back();
        const auto evaluate = [&] {
            for (Py_ssize_t i = 0; i < m; i++, q += of->size(), gradients += of->size()) values[i] = (*of)(q, gradients, *room);
        };
        if (work * (double)m < WORTH_UNLOCKING) {
            evaluate();
        } else {
            const Unlocked unlocked;
            evaluate();
        }
        idle.push_back(std::move(room));
    }
};

struct DensityObject {
    PyObject_HEAD
    Density *state;
};

inline Density &density_of(PyObject *self) { return *((DensityObject *)self)->state; }

// So many numbers of an array.
inline bool read(PyObject *array, size_t n, Numbers &to, const char *what) {
    Buffers buffers(1);
    const Py_buffer *buffer = buffers.of(array);
    if (!buffer) return false;
    if (buffer->itemsize != sizeof(double) || buffer->len != (Py_ssize_t)(sizeof(double) * n)) return refuse(what);
    to.assign((const double *)buffer->buf, (const double *)buffer->buf + n);
    return true;
}

// shape, shared, log_weights, scales, means, roots, block_scales, basis, log_jacobian_slopes, log_jacobian, noise or None
inline bool read_reference(PyObject *given, Reference &about, Numbers &noise) {
    int shape, shared;
    PyObject *log_weights, *scales, *means, *roots, *block_scales, *basis, *slopes, *of_noise;
    if (!PyArg_ParseTuple(
            given, "iiOOOOOOOdO", &shape, &shared, &log_weights, &scales, &means, &roots, &block_scales, &basis, &slopes, &about.log_jacobian,
            &of_noise))
        return false;
    about.shape = (Shape)shape, about.shared = shared != 0;
    const Py_ssize_t k = PyObject_Length(log_weights);
    if (k < 0) return false;
    if (k < 1 || shape < SPHERE || shape > MATRIX) return refuse("reference");
    about.n_components = (int)k;
    const size_t n = about.n_blocks();
    return read(log_weights, k, about.log_weights, "log weights") && read(scales, k, about.scales, "scales") &&
           read(means, k * about.d(), about.means, "means") && read(roots, n * about.width(), about.roots, "roots") &&
           read(block_scales, n * about.n_coordinates(), about.block_scales, "scales of blocks") &&
           read(basis, k * (k - 1), about.basis, "basis") && read(slopes, n * about.n_coordinates(), about.log_jacobian_slopes, "slopes") &&
           (of_noise == Py_None || read(of_noise, about.n_spreads(), noise, "noise"));
}

// concentration, constant, mean, mean_precision, and of blocks either scale, degrees and those of all blocks together
// or law, log_scales, log_spread, correlation_excess and common_log_spread
inline bool read_prior(PyObject *given, const Reference &about, SmoothPrior &prior) {
    PyObject *mean, *precision, *of_blocks, *array;
    if (!PyArg_ParseTuple(given, "ddOOO", &prior.concentration, &prior.constant, &mean, &precision, &of_blocks)) return false;
    const size_t d = about.d();
    if (!read(mean, d, prior.mean, "mean") || !read(precision, d * d, prior.mean_precision, "precision of means")) return false;
    Numbers numbers;
    if (PyObject_Length(of_blocks) == 3) {
        double degrees, all_degrees;
        if (!PyArg_ParseTuple(of_blocks, "Odd", &array, &degrees, &all_degrees) || !read(array, about.width(), numbers, "scale")) return false;
        prior.of_blocks = std::make_unique<LearntScale>(std::move(numbers), degrees, all_degrees);
        return true;
    }
    int law;
    double log_spread, excess, common;
    if (!PyArg_ParseTuple(of_blocks, "iOddd", &law, &array, &log_spread, &excess, &common)) return false;
    if (!read(array, about.n_spreads(), numbers, "scales of spreads")) return false;
    prior.of_blocks = std::make_unique<IndependentSpreads>(ScaleLaw{(Law)law, log_spread}, std::move(numbers), excess, common);
    return true;
}

inline bool prepare(Density &density, PyObject *arguments) {
    PyObject *of_rows, *of_weights, *of_reference, *of_prior, *numpy = PyImport_ImportModule("numpy");
    if (!numpy) return false;
    density.empty = PyObject_GetAttrString(numpy, "empty");
    Py_DecRef(numpy);
    if (!density.empty || !PyArg_ParseTuple(arguments, "OOOO", &of_rows, &of_weights, &of_reference, &of_prior)) return false;
    const Py_buffer *rows = density.arrays.of(of_rows), *weights = nullptr;
    if (!rows || (of_weights != Py_None && !(weights = density.arrays.of(of_weights)))) return false;
    if (rows->ndim != 2 || rows->shape[1] < 1 || (rows->itemsize != 4 && rows->itemsize != 8)) return refuse("rows");
    if (weights && weights->len != (Py_ssize_t)sizeof(double) * rows->shape[0]) return refuse("weights");
    Reference about{};
    Numbers noise;
    SmoothPrior prior{};
    about.n_features = (int)rows->shape[1];
    if (!read_reference(of_reference, about, noise) || !read_prior(of_prior, about, prior)) return false;
    density.work = (double)rows->shape[0] * about.n_components * (about.matrices() ? about.d() * about.d() : about.d());
    const Strip all{rows->buf, (int)rows->itemsize, weights ? (const double *)weights->buf : nullptr, 0, rows->shape[0]};
    density.of = std::make_unique<const LogPosterior>(kernels_in(8), all, Coordinates(std::move(about)), std::move(noise), std::move(prior));
    return true;
}

// ---- what Python calls ----

inline PyObject *new_density(PyTypeObject *type, PyObject *arguments, PyObject *) {
    return guarded([&]() -> PyObject * {
        auto state = std::make_unique<Density>();
        if (!prepare(*state, arguments)) return nullptr;
        PyObject *self = ((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
        if (self) ((DensityObject *)self)->state = state.release();
        return self;
    });
}

inline void end_density(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    delete ((DensityObject *)self)->state;
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DecRef((PyObject *)type);
}

// The value and the gradient at a vector (size).
inline PyObject *call_density(PyObject *self, PyObject *arguments, PyObject *) {
    return guarded([&]() -> PyObject * {
        Density &density = density_of(self);
        const size_t size = density.of->size();
        if (!counted(PyTuple_Size(arguments), 1)) return nullptr;
        PyObject *answer = PyObject_CallFunction(density.empty, "n", (Py_ssize_t)size);
        if (!answer) return nullptr;
        double value = -INFINITY;
        {
            Buffers buffers(2);
            const Py_buffer *q = buffers.of(PyTuple_GetItem(arguments, 0)), *gradient = q ? buffers.of(answer, true) : nullptr;
            const bool sound = gradient && (q->len == (Py_ssize_t)(sizeof(double) * size) || refuse("vector"));
            if (!sound) return Py_DecRef(answer), nullptr;
            if (density.closed) {
                std::fill((double *)gradient->buf, (double *)gradient->buf + size, 0.0);
            } else {
                density.n_asked++;
                density.at((const double *)q->buf, 1, &value, (double *)gradient->buf);
            }
        }
        return Py_BuildValue("(dN)", value, answer);
    });
}

// of_each(q, values, gradients): the same for vectors (M, size), whoever counts.
inline PyObject *of_each(PyObject *self, PyObject *const *a, Py_ssize_t n) {
    return guarded([&]() -> PyObject * {
        Density &density = density_of(self);
        if (!counted(n, 3)) return nullptr;
        Buffers buffers(3);
        const Py_buffer *q = buffers.of(a[0]), *values = q ? buffers.of(a[1], true) : nullptr;
        const Py_buffer *gradients = values ? buffers.of(a[2], true) : nullptr;
        if (!gradients) return nullptr;
        const Py_ssize_t m = values->len / (Py_ssize_t)sizeof(double);
        if (q->len != values->len * (Py_ssize_t)density.of->size() || gradients->len != q->len) return refuse("vectors"), nullptr;
        density.at((const double *)q->buf, m, (double *)values->buf, (double *)gradients->buf);
        Py_RETURN_NONE;
    });
}

inline PyObject *close_density(PyObject *self, PyObject *) {
    density_of(self).closed = true;
    Py_RETURN_NONE;
}

inline PyObject *n_asked(PyObject *self, void *) { return PyLong_FromSsize_t(density_of(self).n_asked); }

inline PyMethodDef density_methods[] = {
    {"of_each", (PyCFunction)(void (*)(void))of_each, METH_FASTCALL, "Values and gradients at some vectors, written into arrays."},
    {"close", close_density, METH_NOARGS, "Answer calls with minus infinity and zeros from now on, and count them no more."},
    {nullptr, nullptr, 0, nullptr},
};
inline PyGetSetDef density_attributes[] = {
    {"n_asked", n_asked, nullptr, "How often it has been called.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};
inline PyType_Slot density_slots[] = {
    {Py_tp_doc, (void *)"The log posterior density of vectors, over rows that fit a cache."},
    {Py_tp_new, (void *)new_density},
    {Py_tp_dealloc, (void *)end_density},
    {Py_tp_call, (void *)call_density},
    {Py_tp_methods, density_methods},
    {Py_tp_getset, density_attributes},
    {0, nullptr},
};
inline PyType_Spec density_type = {"mixtura.sweep.compiled._engine.LogPosterior", sizeof(DensityObject), 0, Py_TPFLAGS_DEFAULT, density_slots};

} // namespace mixtura
