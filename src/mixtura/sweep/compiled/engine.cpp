// The module: buffers in, buffers out, the GIL released; which kernels run is chosen when it is loaded.

#include "python.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "climb.hpp"
#include "density.hpp"
#include "instruction_sets.hpp"
#include "kmeans.hpp"
#include "passes.hpp"

using namespace mixtura;

namespace {

// ---- instruction sets ----

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

// ---- sweep(rows, weights, position, strip_rows, threads, constants, centres, whitening, starts, members, precision, moments, totals) ----

// Whether an array that begins with a row is there for all of those at hand.
bool reaches(const Py_buffer *array, int64_t first, const Strip &rows, Py_ssize_t bytes) {
    return array->ndim == 1 && first <= rows.position && array->shape[0] >= rows.position + rows.n - first && array->itemsize == bytes;
}

bool described(PyObject *of, const Strip &rows, Member &member, Buffers &buffers) {
    PyObject *item[7];
    for (int i = 0; i < 7; i++) {
        PyObject *one = PyTuple_GetItem(of, i); // borrowed
        if (!one) return false;
        item[i] = one;
    }
    member.sharing = (Sharing)PyLong_AsLong(item[0]);
    member.first_label = PyLong_AsLongLong(item[5]);
    member.n_open = (int)PyLong_AsLong(item[6]);
    if (PyErr_Occurred()) return false;
    if (member.n_open < 0) member.n_open = member.size;
    if (member.n_open > member.size || (member.sharing == SAMPLED && !member.n_open)) return refuse("open components");
    const Py_buffer *buffer;
    if (item[1] != Py_None) {
        if (!(buffer = buffers.of(item[1]))) return false;
        if (!reaches(buffer, 0, rows, 8)) return refuse("weights");
        member.weights = (const double *)buffer->buf;
    }
    if (item[2] != Py_None) {
        if (!(buffer = buffers.of(item[2]))) return false;
        if (buffer->len != (Py_ssize_t)sizeof member.key) return refuse("key");
        std::memcpy(member.key, buffer->buf, sizeof member.key);
    }
    if (item[3] != Py_None) {
        if (!(buffer = buffers.of(item[3], true))) return false;
        if (!reaches(buffer, member.first_label, rows, buffer->itemsize == 8 ? 8 : 4)) return refuse("labels");
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

PyObject *sweep(PyObject *const *a) {
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
        if (totals->len != (Py_ssize_t)(sizeof(double) * totals_of_pass(pass)))
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

PyObject *unpacked(PyObject *const *a) {
    Buffers buffers(4);
    const Py_buffer *totals = buffers.of(a[0]);
    const Py_buffer *count = totals ? buffers.of(a[1], true) : nullptr;
    const Py_buffer *first = count ? buffers.of(a[2], true) : nullptr;
    const Py_buffer *second = first ? buffers.of(a[3], true) : nullptr;
    if (!second) return nullptr;
    const size_t m = (size_t)first->shape[0], d = (size_t)first->shape[1];
    const bool diagonal = second->ndim == 2;
    const size_t each = totals_of_component((int)d, diagonal);
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
    Py_RETURN_NONE;
}

// ---- climb(rows, weights, row_weights, family, sharing, rules, sizes, before, threads, weights, means, blocks, factors, totals, bounds, passes) ----

// Whether sticks are of components that there are, each of one.
bool sound_orders(const int64_t *order, const int64_t *size, Py_ssize_t n_climbs) {
    for (Py_ssize_t r = 0; r < n_climbs; order += size[3 * r], r++) {
        std::vector<bool> seen((size_t)size[3 * r]);
        for (int64_t j = 0; j < size[3 * r]; j++) {
            if (order[j] < 0 || order[j] >= size[3 * r] || seen[(size_t)order[j]]) return false;
            seen[(size_t)order[j]] = true;
        }
    }
    return true;
}

PyObject *climbs(PyObject *const *a) {
    Buffers buffers(20);
    // family: shape, shared, equal_weights, floor or None, None or (mean, mean_precision, scale, degrees), None or what is believed:
    // (sticks, prior of the weights, second parameters of sticks, their order, precisions of means, degrees of freedom)
    int shape, shared, equal, sticks = 0;
    PyObject *of_floor, *of_prior, *of_belief, *of_mean = nullptr, *of_scale = nullptr, *of_parts[4] = {};
    Prior prior{};
    double prior_of_weights = 0;
    if (!PyArg_ParseTuple(a[3], "iiiOOO", &shape, &shared, &equal, &of_floor, &of_prior, &of_belief)) return nullptr;
    if (of_belief != Py_None && !PyArg_ParseTuple(of_belief, "idOOOO", &sticks, &prior_of_weights, &of_parts[0], &of_parts[1], &of_parts[2], &of_parts[3]))
        return nullptr;
    if (of_belief != Py_None && of_prior == Py_None) return refuse("prior"), nullptr;
    if (of_prior != Py_None && !PyArg_ParseTuple(of_prior, "OdOd", &of_mean, &prior.mean_precision, &of_scale, &prior.degrees)) return nullptr;
    Patience patience;
    if (!PyArg_ParseTuple(a[5], "ddiiii", &patience.goal, &patience.steadiness, &patience.least_passes, &patience.passes_left, &patience.in_all, &patience.at_last)) return nullptr;
    const Sharing sharing = (Sharing)PyLong_AsLong(a[4]);
    const int threads = (int)PyLong_AsLong(a[8]);
    if (PyErr_Occurred()) return nullptr;

    const Py_buffer *rows = buffers.of(a[0]), *of_rows = nullptr, *of_each = nullptr, *floor = nullptr;
    if (!rows || (a[1] != Py_None && !(of_rows = buffers.of(a[1]))) || (a[2] != Py_None && !(of_each = buffers.of(a[2])))) return nullptr;
    if (rows->ndim != 2 || rows->shape[1] < 1) return refuse("rows"), nullptr;
    const Py_ssize_t d = rows->shape[1];
    if (of_rows && of_rows->len != (Py_ssize_t)sizeof(double) * rows->shape[0]) return refuse("weights"), nullptr;
    if (of_floor != Py_None && (!(floor = buffers.of(of_floor)) || floor->len != (Py_ssize_t)sizeof(double) * d)) return refuse("floor"), nullptr;
    if (of_mean) {
        const Py_buffer *mean = buffers.of(of_mean), *scale = mean ? buffers.of(of_scale) : nullptr;
        if (!scale) return nullptr;
        if (mean->len != (Py_ssize_t)sizeof(double) * d || scale->len != mean->len * d) return refuse("prior"), nullptr;
        prior.mean = (const double *)mean->buf;
        prior.scale = (const double *)scale->buf;
    }
    const Family family{(Shape)shape, shared != 0, equal != 0, floor ? (const double *)floor->buf : nullptr, of_mean ? &prior : nullptr};

    // Of each climb: its mixture's size, four bounds before the first, how many there were, and how many passes it may take.
    const Py_buffer *sizes = buffers.of(a[6]), *before = sizes ? buffers.of(a[7]) : nullptr;
    if (!before) return nullptr;
    const Py_ssize_t n_climbs = sizes->ndim == 2 && sizes->shape[1] == 3 && sizes->itemsize == 8 ? sizes->shape[0] : -1;
    if (n_climbs < 1 || before->len != (Py_ssize_t)sizeof(double) * 4 * n_climbs) return refuse("sizes"), nullptr;
    if (of_each && of_each->len != (Py_ssize_t)sizeof(double) * rows->shape[0] * n_climbs) return refuse("weights"), nullptr;
    const int64_t *size = (const int64_t *)sizes->buf;
    Py_ssize_t n_components = 0;
    for (Py_ssize_t r = 0; r < n_climbs; r++) {
        if (size[3 * r] < 1) return refuse("sizes"), nullptr;
        n_components += size[3 * r];
    }
    const Py_ssize_t width = shape == MATRIX ? d * d : d, block = shape == SPHERE ? 1 : width;
    const Py_ssize_t n_blocks = shared ? n_climbs : n_components;
    const Py_ssize_t each = (Py_ssize_t)totals_of_component((int)d, shape != MATRIX);
    double *arrays[6];
    const Py_ssize_t lengths[] = {n_components, n_components * d, n_blocks * block, n_blocks * block, n_climbs + n_components * each, -1};
    Py_ssize_t cap = 0;
    for (int i = 0; i < 6; i++) {
        const Py_buffer *array = buffers.of(a[9 + i], true);
        if (!array) return nullptr;
        const Py_ssize_t numbers = array->len / (Py_ssize_t)sizeof(double);
        if (i == 5) cap = numbers / n_climbs;
        if (i < 5 && numbers != lengths[i]) return refuse("climbs"), nullptr;
        arrays[i] = (double *)array->buf;
    }
    double *parts[4] = {};
    for (int i = 0; i < 4 && of_belief != Py_None; i++) {
        const Py_buffer *array = buffers.of(of_parts[i], true);
        if (!array) return nullptr;
        if (array->len != (Py_ssize_t)sizeof(double) * (i == 3 ? n_blocks : n_components)) return refuse("belief"), nullptr;
        parts[i] = (double *)array->buf;
    }
    double *seconds = parts[0], *mean_precisions = parts[2], *degrees = parts[3];
    int64_t *order = (int64_t *)parts[1];
    if (of_belief != Py_None && sticks && !sound_orders(order, size, n_climbs)) return refuse("order"), nullptr;
    const Py_buffer *passes = buffers.of(a[15], true);
    if (!passes) return nullptr;
    if (passes->len != (Py_ssize_t)sizeof(int64_t) * n_climbs) return refuse("passes"), nullptr;

    std::vector<Climb> all;
    const double *last = (const double *)before->buf;
    double *weights = arrays[0], *means = arrays[1], *blocks = arrays[2], *factors = arrays[3], *totals = arrays[4];
    for (Py_ssize_t r = 0; r < n_climbs; r++) {
        const int k = (int)size[3 * r];
        all.push_back(
            {k, of_each ? (const double *)of_each->buf + r * rows->shape[0] : nullptr, weights, means, blocks, factors,
             {sticks != 0, prior_of_weights, weights, seconds, order}, mean_precisions, degrees, last + 4 * r, (int)size[3 * r + 1],
             std::min<int64_t>(size[3 * r + 2], cap), totals, arrays[5] + r * cap, 0});
        const Py_ssize_t own = (shared ? 1 : k) * block;
        weights += k, means += k * d, blocks += own, factors += own, totals += 1 + k * each;
        if (degrees) seconds += k, order += k, mean_precisions += k, degrees += shared ? 1 : k;
    }
    const Strip block_of_rows{rows->buf, (int)rows->itemsize, of_rows ? (const double *)of_rows->buf : nullptr, 0, rows->shape[0]};
    const Kernels &kernels = kernels_in(8);
    {
        const Unlocked unlocked;
        in_threads(std::min<int64_t>(threads, n_climbs), n_climbs, [&] {
            return [&](int64_t r) { climb(kernels, block_of_rows, family, sharing, patience, (int)d, all[r]); };
        });
    }
    for (Py_ssize_t r = 0; r < n_climbs; r++) ((int64_t *)passes->buf)[r] = all[r].n_passes;
    Py_RETURN_NONE;
}

// ---- k_means(rows, weights, uniforms, n_candidates, most_rounds, least_gain, threads, centres, labels) ----

PyObject *k_means_starts(PyObject *const *a) {
    Buffers buffers(5);
    const Py_buffer *rows = buffers.of(a[0]), *weights = rows ? buffers.of(a[1]) : nullptr;
    const Py_buffer *uniforms = weights ? buffers.of(a[2]) : nullptr;
    const Py_buffer *centres = uniforms ? buffers.of(a[7], true) : nullptr;
    const Py_buffer *labels = centres ? buffers.of(a[8], true) : nullptr;
    if (!labels) return nullptr;
    const int n_candidates = (int)PyLong_AsLong(a[3]), most_rounds = (int)PyLong_AsLong(a[4]), threads = (int)PyLong_AsLong(a[6]);
    const double least_gain = PyFloat_AsDouble(a[5]);
    if (PyErr_Occurred()) return nullptr;
    if (rows->ndim != 2 || rows->itemsize != 8 || rows->shape[0] < 1) return refuse("rows"), nullptr;
    if (centres->ndim != 3 || centres->shape[2] != rows->shape[1]) return refuse("centres"), nullptr;
    const int64_t m = rows->shape[0], d = rows->shape[1], s = centres->shape[0], k = centres->shape[1];
    const int64_t draws = 1 + (k - 1) * n_candidates;
    if (weights->len != (Py_ssize_t)sizeof(double) * m) return refuse("weights"), nullptr;
    if (uniforms->len != (Py_ssize_t)sizeof(double) * s * draws) return refuse("uniforms"), nullptr;
    if (labels->len != (Py_ssize_t)sizeof(int32_t) * s * m) return refuse("labels"), nullptr;
    const PartitionKernels &kernels = *kernels_in(8).partitions;
    {
        const Unlocked unlocked;
        const int64_t padded = (m + kernels.tile - 1) / kernels.tile * kernels.tile;
        const Memory memory = memory_of(sizeof(double) * padded * (d + 2));
        double *turned = (double *)memory.get(), *masses = turned + padded * d, *cumulative = masses + padded, total = 0, so_far = 0;
        const double *from = (const double *)rows->buf, *w = (const double *)weights->buf;
        std::memset(turned, 0, sizeof(double) * padded * (d + 1));
        for (int64_t i = 0; i < m; i++) {
            masses[i] = w[i];
            cumulative[i] = so_far += w[i];
            for (int64_t j = 0; j < d; j++) {
                turned[j * padded + i] = from[i * d + j];
                total += w[i] * from[i * d + j] * from[i * d + j];
            }
        }
        const Columns columns{(int)d, m, padded, turned};
        const KMeans of{columns, from, masses, cumulative, total, (int)k, n_candidates, most_rounds, least_gain};
        in_threads(std::min<int64_t>(threads, s), s, [&] {
            return [&](int64_t i) {
                k_means(
                    kernels, of, (const double *)uniforms->buf + i * draws, (double *)centres->buf + i * k * d, (int32_t *)labels->buf + i * m);
            };
        });
    }
    Py_RETURN_NONE;
}

// ---- different(labels, weights, n_clusters, most, kept) ----

// Whether labels are there for all rows, and of clusters that are there.
bool sound_labels(const Py_buffer *labels, int64_t n, int64_t n_clusters) {
    if (labels->itemsize != 4 || n < 1 || labels->len % (4 * n)) return false;
    const int32_t *first = (const int32_t *)labels->buf, *last = first + labels->len / 4;
    return std::all_of(first, last, [=](int32_t label) { return 0 <= label && label < n_clusters; });
}

PyObject *different_partitions(PyObject *const *a) {
    Buffers buffers(3);
    const Py_buffer *labels = buffers.of(a[0]), *weights = labels ? buffers.of(a[1]) : nullptr;
    const Py_buffer *kept = weights ? buffers.of(a[4], true) : nullptr;
    if (!kept) return nullptr;
    const long n_clusters = PyLong_AsLong(a[2]);
    const double most = PyFloat_AsDouble(a[3]);
    if (PyErr_Occurred()) return nullptr;
    const int64_t m = weights->len / (Py_ssize_t)sizeof(double);
    if (!sound_labels(labels, m, n_clusters)) return refuse("labels"), nullptr;
    const int64_t n_partitions = labels->len / (4 * m);
    if (kept->len != 4 * n_partitions) return refuse("kept"), nullptr;
    return PyLong_FromLong(different(
        (const int32_t *)labels->buf, (const double *)weights->buf, n_partitions, m, (int)n_clusters, most, (int32_t *)kept->buf));
}

// ---- of_partition(rows, weights, labels, count, means, second) ----

// Moments of each cluster about its own mean; a cluster without rows has that of all.
PyObject *of_partition(PyObject *const *a) {
    Buffers buffers(6);
    const Py_buffer *rows = buffers.of(a[0]), *weights = nullptr;
    if (!rows || (a[1] != Py_None && !(weights = buffers.of(a[1])))) return nullptr;
    const Py_buffer *labels = buffers.of(a[2]), *count = labels ? buffers.of(a[3], true) : nullptr;
    const Py_buffer *means = count ? buffers.of(a[4], true) : nullptr, *second = means ? buffers.of(a[5], true) : nullptr;
    if (!second) return nullptr;
    if (rows->ndim != 2 || rows->itemsize != 8) return refuse("rows"), nullptr;
    const int64_t m = rows->shape[0], d = rows->shape[1], k = count->shape[0];
    const bool diagonal = second->ndim == 2;
    if (weights && weights->len != (Py_ssize_t)sizeof(double) * m) return refuse("weights"), nullptr;
    if (labels->len != 4 * m || !sound_labels(labels, m, k)) return refuse("labels"), nullptr;
    if (means->len != count->len * d || second->len != means->len * (diagonal ? 1 : d)) return refuse("moments"), nullptr;
    const double *x = (const double *)rows->buf, *w = weights ? (const double *)weights->buf : nullptr;
    const int32_t *own = (const int32_t *)labels->buf;
    double *counts = (double *)count->buf, *centres = (double *)means->buf, *squares = (double *)second->buf, all = 0;
    std::memset(counts, 0, count->len), std::memset(centres, 0, means->len), std::memset(squares, 0, second->len);
    std::vector<double> everywhere((size_t)d);
    for (int64_t r = 0; r < m; r++) {
        const double weight = w ? w[r] : 1.0;
        counts[own[r]] += weight;
        for (int64_t i = 0; i < d; i++) centres[own[r] * d + i] += weight * x[r * d + i];
    }
    for (int64_t c = 0; c < k; c++) {
        all += counts[c];
        for (int64_t i = 0; i < d; i++) everywhere[i] += centres[c * d + i];
    }
    for (int64_t c = 0; c < k; c++)
        for (int64_t i = 0; i < d; i++) centres[c * d + i] = counts[c] > 0 ? centres[c * d + i] / counts[c] : everywhere[i] / all;
    kernels_in(8).partitions->add_squares((int)d, m, x, w, own, centres, diagonal, squares);
    if (!diagonal)
        for (int64_t c = 0; c < k; c++)
            for (int64_t i = 0; i < d; i++)
                for (int64_t j = 0; j < i; j++) squares[(c * d + j) * d + i] = squares[(c * d + i) * d + j];
    Py_RETURN_NONE;
}

PyObject *headroom(PyObject *const *a) {
    const long d = PyLong_AsLong(a[0]), precision = PyLong_AsLong(a[1]);
    if (PyErr_Occurred()) return nullptr;
    return PyFloat_FromDouble(kernels_in(precision).headroom((int)d));
}

#define METHOD(n, entry) (PyCFunction)(void (*)(void))called<n, entry>

PyMethodDef methods[] = {
    {"instruction_sets", instruction_sets, METH_NOARGS, "Names of those that this processor runs, the best one last."},
    {"instruction_set", instruction_set, METH_NOARGS, "The name of the one in use, or None."},
    {"use", use, METH_O, "Use the kernels of this instruction set from now on."},
    {"sweep", METHOD(13, sweep), METH_FASTCALL, "Totals of a stack of mixtures over rows."},
    {"unpacked", METHOD(4, unpacked), METH_FASTCALL, "Totals of components as count, first and second moments."},
    {"climb", METHOD(16, climbs), METH_FASTCALL, "EM of some mixtures over rows, pass by pass, until there is something to decide."},
    {"k_means", METHOD(9, k_means_starts), METH_FASTCALL, "Several runs of k-means from k-means++ seeds."},
    {"different", METHOD(5, different_partitions), METH_FASTCALL, "Which of several partitions are so in ways of their own."},
    {"of_partition", METHOD(6, of_partition), METH_FASTCALL, "Moments of each cluster about its mean."},
    {"headroom", METHOD(2, headroom), METH_FASTCALL, "What is added to scores before exponentials are taken."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_engine", "The compiled engine of the sweeps.", -1, methods, nullptr, nullptr, nullptr, nullptr,
};

} // namespace

PyMODINIT_FUNC PyInit__engine(void) {
    if (const int n = runnable()) in_use = &compiled[n - 1];
    PyObject *made = PyModule_Create(&module);
    PyObject *type = made ? PyType_FromSpec(&density_type) : nullptr;
    if (made && (!type || PyModule_AddObjectRef(made, "LogPosterior", type) < 0)) Py_CLEAR(made);
    Py_XDECREF(type);
    return made;
}
