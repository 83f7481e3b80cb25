// The kernels of each instruction set, and which of them are in use.
#pragma once

#include "kernels.hpp"
#include "processor.hpp"

#if defined(MIXTURA_SETS_BASELINE)
extern "C" const mixtura::Kernels mixtura_baseline_double, mixtura_baseline_float;
#else
extern "C" const mixtura::Kernels mixtura_v2_double, mixtura_v2_float, mixtura_v3_double, mixtura_v3_float, mixtura_v4_double, mixtura_v4_float;
#endif

namespace mixtura {

struct InstructionSet {
    const char *name;
    const Kernels *in_double;
    const Kernels *in_float;
};

// From the oldest to the newest.
inline const InstructionSet compiled[] = {
#if defined(MIXTURA_SETS_BASELINE)
    {"baseline", &mixtura_baseline_double, &mixtura_baseline_float},
#else
    {"x86-64-v2", &mixtura_v2_double, &mixtura_v2_float},
    {"x86-64-v3", &mixtura_v3_double, &mixtura_v3_float},
    {"x86-64-v4", &mixtura_v4_double, &mixtura_v4_float},
#endif
};

// How many of them the processor runs; those are the first ones.
inline int runnable() {
#if defined(MIXTURA_SETS_BASELINE)
    return 1;
#else
    return x86_64_generation() - 1;
#endif
}

inline const InstructionSet *in_use = nullptr;

inline const Kernels &kernels_in(long precision) { return precision == 4 ? *in_use->in_float : *in_use->in_double; }

} // namespace mixtura
