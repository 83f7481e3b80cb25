// The Python module mixtura.sweep.compiled._engine: the kernels of the instruction set in use.
//
// This file is compiled for any processor of its kind, and chooses among kernels that are not.
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <cstring>

#include "processor.hpp"

#define DECLARED(set)                        \
    extern "C" int mixtura_##set##_double(); \
    extern "C" int mixtura_##set##_float();
#define KERNELS(set) mixtura_##set##_double, mixtura_##set##_float

#if defined(MIXTURA_SETS_BASELINE)
DECLARED(baseline)
#else
DECLARED(v2)
DECLARED(v3)
DECLARED(v4)
#endif

namespace {

struct InstructionSet {
    const char* name;
    int (*lanes_double)();
    int (*lanes_float)();
};

// From the oldest to the newest.
const InstructionSet compiled[] = {
#if defined(MIXTURA_SETS_BASELINE)
    {"baseline", KERNELS(baseline)},
#else
    {"x86-64-v2", KERNELS(v2)},
    {"x86-64-v3", KERNELS(v3)},
    {"x86-64-v4", KERNELS(v4)},
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

const InstructionSet* in_use = nullptr;

PyObject* instruction_sets(PyObject*, PyObject*) {
    const int n = runnable();
    PyObject* names = PyTuple_New(n);
    for (int i = 0; names && i < n; ++i) {
        PyObject* name = PyUnicode_FromString(compiled[i].name);
        if (!name || PyTuple_SetItem(names, i, name) < 0) Py_CLEAR(names);
    }
    return names;
}

PyObject* use(PyObject*, PyObject* wanted) {
    const char* name = PyUnicode_AsUTF8AndSize(wanted, nullptr);
    if (!name) return nullptr;
    const int n = runnable();
    for (int i = 0; i < n; ++i) {
        if (std::strcmp(compiled[i].name, name) == 0) {
            in_use = &compiled[i];
            Py_RETURN_NONE;
        }
    }
    return PyErr_Format(PyExc_ValueError, "this processor does not run %R", wanted);
}

PyObject* instruction_set(PyObject*, PyObject*) {
    if (!in_use) Py_RETURN_NONE;
    return PyUnicode_FromString(in_use->name);
}

PyObject* lanes(PyObject*, PyObject*) {
    if (!in_use) return PyErr_Format(PyExc_RuntimeError, "no instruction set is in use");
    return Py_BuildValue("(ii)", in_use->lanes_double(), in_use->lanes_float());
}

PyMethodDef functions[] = {
    {"instruction_sets", instruction_sets, METH_NOARGS, "Names of those that this processor runs, the best one last."},
    {"use", use, METH_O, "Use the kernels of this instruction set from now on."},
    {"instruction_set", instruction_set, METH_NOARGS, "The name of the one in use, or None."},
    {"lanes", lanes, METH_NOARGS, "How many float64 and float32 numbers are in a vector of the one in use."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_engine", "The compiled engine of the sweeps.", -1, functions, nullptr, nullptr, nullptr, nullptr,
};

}  // namespace

PyMODINIT_FUNC PyInit__engine() {
    if (const int n = runnable()) in_use = &compiled[n - 1];
    return PyModule_Create(&definition);
}
