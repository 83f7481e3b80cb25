// The instruction sets of x86-64, as its psABI defines them, that this processor and its operating system run.
//
// Not __builtin_cpu_supports: zig, which compiles the engine where there is no other compiler, answers no to everything.
#pragma once

#if defined(__x86_64__)

#include <cpuid.h>

#include <cstdint>

namespace mixtura {

inline bool has(std::uint32_t word, std::uint32_t bits) { return (word & bits) == bits; }

// The generation, 1 to 4, of which the processor has all and the operating system saves the registers.
inline int x86_64_generation() {
    std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0, first = 0, extended = 0;
    if (!__get_cpuid(1, &eax, &ebx, &first, &edx) || !__get_cpuid(0x80000001, &eax, &ebx, &extended, &edx)) return 1;
    constexpr std::uint32_t second = bit_SSE3 | bit_SSSE3 | bit_CMPXCHG16B | bit_SSE4_1 | bit_SSE4_2 | bit_POPCNT;
    if (!has(first, second) || !has(extended, bit_LAHF_LM)) return 1;

    if (!has(first, bit_FMA | bit_MOVBE | bit_OSXSAVE | bit_AVX | bit_F16C) || !has(extended, bit_LZCNT)) return 2;
    std::uint32_t saved = 0;
    __asm__("xgetbv" : "=a"(saved), "=d"(edx) : "c"(0));
    constexpr std::uint32_t of_avx = 0x06, of_avx512 = 0xe0;
    if (!has(saved, of_avx) || !__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return 2;
    if (!has(ebx, bit_BMI | bit_AVX2 | bit_BMI2)) return 2;

    constexpr std::uint32_t fourth = bit_AVX512F | bit_AVX512DQ | bit_AVX512CD | bit_AVX512BW | bit_AVX512VL;
    return has(saved, of_avx512) && has(ebx, fourth) ? 4 : 3;
}

}  // namespace mixtura

#endif
