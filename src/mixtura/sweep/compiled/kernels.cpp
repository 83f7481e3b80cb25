// What the engine does with rows, compiled once for each instruction set and precision.
//
// A placeholder, which no pass calls: it only says how many numbers its vectors hold.
//
// Nothing is defined at namespace scope but what engine.cpp calls. The linker keeps one copy of inline functions of the same name, of
// whichever instruction set, and constants of vectors would be set up when the module is loaded: both before an instruction set is chosen.
#define JOINED(set, real) mixtura_##set##_##real
#define ENTRY(set, real) JOINED(set, real)

extern "C" int ENTRY(MIXTURA_SET, MIXTURA_REAL)() { return MIXTURA_VECTOR_BYTES / sizeof(MIXTURA_REAL); }
