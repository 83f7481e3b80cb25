// Calls from Python: arguments counted, arrays as buffers, the lock let go of, memory that has run out.
#pragma once

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <new>
#include <vector>

namespace mixtura {

// What work answers, or an error where memory has run out.
template <class Work> PyObject *guarded(const Work &work) {
    try {
        return work();
    } catch (const std::bad_alloc &) {
        return PyErr_NoMemory();
    }
}

inline bool counted(Py_ssize_t n, int expected) {
    if (n != expected) PyErr_Format(PyExc_TypeError, "takes %d arguments; %zd were given", expected, n);
    return n == expected;
}

// A function of so many arguments, as Python calls it.
using Entry = PyObject *(PyObject *const *arguments);
template <int N, Entry *entry> PyObject *called(PyObject *, PyObject *const *arguments, Py_ssize_t n) {
    return counted(n, N) ? guarded([&] { return entry(arguments); }) : nullptr;
}

// While it lives, other threads of Python go on.
class Unlocked {
  public:
    Unlocked() : state_(PyEval_SaveThread()) {}
    ~Unlocked() { PyEval_RestoreThread(state_); }
    Unlocked(const Unlocked &) = delete;

  private:
    PyThreadState *state_;
};

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

// An error for an array that is not of the size that others ask for.
inline bool refuse(const char *what) {
    PyErr_Format(PyExc_ValueError, "%s of another size", what);
    return false;
}

} // namespace mixtura
