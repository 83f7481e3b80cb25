// Vectors of one instruction set, in the extensions that GCC and Clang share, and the two functions a mixture needs of them.
//
// Everything here is of one translation unit: a function that another one could take for its own would run on processors it was not
// compiled for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__clang__)
#define UNROLLED _Pragma("clang loop unroll(full)")
#else
#define UNROLLED _Pragma("GCC unroll 64")
#endif
#define INLINED inline __attribute__((always_inline))
#define APART __attribute__((noinline))

namespace {

constexpr int VECTOR_BYTES = MIXTURA_VECTOR_BYTES;
constexpr int REGISTERS = MIXTURA_REGISTERS;

template <class T> struct Vectors;
template <> struct Vectors<double> {
    typedef double Reals __attribute__((vector_size(VECTOR_BYTES)));
    typedef int64_t Integers __attribute__((vector_size(VECTOR_BYTES)));
    typedef uint64_t Patterns __attribute__((vector_size(VECTOR_BYTES)));
};
template <> struct Vectors<float> {
    typedef float Reals __attribute__((vector_size(VECTOR_BYTES)));
    typedef int32_t Integers __attribute__((vector_size(VECTOR_BYTES)));
    typedef uint32_t Patterns __attribute__((vector_size(VECTOR_BYTES)));
};
template <class T> using Vec = typename Vectors<T>::Reals;
template <class T> using Int = typename Vectors<T>::Integers;
template <class T> using Bits = typename Vectors<T>::Patterns; // whose sums and shifts may run over
template <class T> constexpr int LANES = VECTOR_BYTES / (int)sizeof(T);

template <class T> INLINED Vec<T> all(T x) { return x - (Vec<T>){}; }
template <class T> INLINED Vec<T> load(const T *from) { return *(const Vec<T> *)from; }
template <class T> INLINED void store(T *to, Vec<T> v) { *(Vec<T> *)to = v; }

// Between float32 and float64, half a vector of the one and a vector of the other.
typedef float HalfOfFloats __attribute__((vector_size(VECTOR_BYTES / 2), aligned(4), may_alias));
INLINED Vec<double> widened(const float *from) { return __builtin_convertvector(*(const HalfOfFloats *)from, Vec<double>); }
INLINED void narrow(float *to, Vec<double> v) { *(HalfOfFloats *)to = __builtin_convertvector(v, HalfOfFloats); }

INLINED int least(int a, int b) { return a < b ? a : b; }

// Sums over lanes by halves: by way of memory they would cost half as much again as the products that they end.
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define MIXTURA_SHUFFLES
#endif
#endif
#ifdef MIXTURA_SHUFFLES
template <class V> INLINED auto over_lanes(V v) {
    constexpr int n = sizeof(V) / sizeof(v[0]);
    if constexpr (n == 2)
        return v[0] + v[1];
    else if constexpr (n == 4)
        return over_lanes(__builtin_shufflevector(v, v, 0, 1) + __builtin_shufflevector(v, v, 2, 3));
    else if constexpr (n == 8)
        return over_lanes(__builtin_shufflevector(v, v, 0, 1, 2, 3) + __builtin_shufflevector(v, v, 4, 5, 6, 7));
    else
        return over_lanes(__builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) + __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15));
}
#else
template <class V> INLINED auto over_lanes(V v) {
    auto sum = v[0];
    for (int i = 1; i < (int)(sizeof(V) / sizeof(v[0])); i++) sum += v[i];
    return sum;
}
#endif

// exp(x): 2^k exp(r) with |r| <= ln(2)/2 (Cody and Waite's two parts of it), 1 + r + r² Q(r) with Q by Chebyshev's points; nothing below the
// smallest normal number, and nothing of what is no number. Arguments up to 500 (float: 80) do not overflow.
INLINED Vec<double> exponential(Vec<double> x) {
    constexpr double MAGIC = 6755399441055744.0; // 1.5 · 2^52: adding it rounds to whole numbers
    const Vec<double> shifted = x * 1.4426950408889634 + MAGIC, k = shifted - MAGIC;
    const Vec<double> r = x - k * 6.93147180369123816490e-01 - k * 1.90821492927058770002e-10;
    Vec<double> p = all(2.5100385495510319078e-8);
    p = p * r + 2.7620088445409748161e-7;
    p = p * r + 2.7557268459997064772e-6;
    p = p * r + 2.4801521295954375131e-5;
    p = p * r + 1.9841269863053616878e-4;
    p = p * r + 1.3888888917213716901e-3;
    p = p * r + 8.3333333333300618325e-3;
    p = p * r + 4.1666666666624127873e-2;
    p = p * r + 1.6666666666666667453e-1;
    p = p * r + 5.0000000000000010221e-1;
    p = p * r + 1.0;
    p = p * r + 1.0;
    const Bits<double> scaled = (Bits<double>)p + ((Bits<double>)shifted << 52);
    return (Vec<double>)(scaled & (Bits<double>)(x > -708.0));
}
INLINED Vec<float> exponential(Vec<float> x) {
    constexpr float MAGIC = 12582912.0f; // 1.5 · 2^23
    const Vec<float> shifted = x * 1.44269504f + MAGIC, k = shifted - MAGIC;
    const Vec<float> r = x - k * 0.693359375f + k * 2.12194440e-4f;
    Vec<float> p = all(1.3926183587713494542e-3f);
    p = p * r + 8.3631790527225773704e-3f;
    p = p * r + 4.1666554617204574203e-2f;
    p = p * r + 1.6666576989698775683e-1f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    const Bits<float> scaled = (Bits<float>)p + ((Bits<float>)shifted << 23);
    return (Vec<float>)(scaled & (Bits<float>)(x > -87.0f));
}

// log(x) of positive normal numbers: k ln 2 + log(m) with m between √½ and √2, log(m) = 2s + s³ Q(s²) with s = (m − 1)/(m + 1).
INLINED Vec<double> logarithm(Vec<double> x) {
    const Int<double> bits = (Int<double>)x, exponent = (bits - 0x3fe6a09e667f3bcdLL) >> 52;
    const Vec<double> m = (Vec<double>)((Bits<double>)bits - ((Bits<double>)exponent << 52)), s = (m - 1.0) / (m + 1.0), w = s * s;
    Vec<double> q = all(1.4616585424888621989e-1);
    q = q * w + 1.5331710618210771568e-1;
    q = q * w + 1.8182889455674946039e-1;
    q = q * w + 2.2222211130259877029e-1;
    q = q * w + 2.8571428626003268742e-1;
    q = q * w + 3.9999999999899443233e-1;
    q = q * w + 6.6666666666666696883e-1;
    const Vec<double> k = __builtin_convertvector(exponent, Vec<double>);
    return k * 6.93147180369123816490e-01 + (2.0 * s + (s * w * q + k * 1.90821492927058770002e-10));
}

} // namespace
