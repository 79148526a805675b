/* SPDX-License-Identifier: Apache-2.0 */
/**
 * dsm_type.h: what the bytes of a region are.
 *
 * Machines of the two byte orders can share a region's numbers only if the nodes know where they
 * are. A region that is made with a type (options.type of dsm_shm_open()) is converted on its way
 * between nodes of different orders, so each program finds all numbers as its own machine writes
 * them. Nodes of one order do not look at the type. A region without one is bytes: what a program
 * wrote is what every other one reads, byte for byte.
 *
 * The text of a type
 *
 *   region  = element { element }
 *   element = kind { "[" number "]" } | "pad" number      the last element, if it is no pad, may
 *                                                         end in "[]": it goes on without end
 *   kind    = scalar | "struct" "{" field { field } "}"
 *   field   = kind { "[" number "]" } name ";" | "pad" number ";"
 *   scalar  = "u8" | "i8" | "u16" | "i16" | "u32" | "i32" | "u64" | "i64" | "f32" | "f64" | "ref"
 *   name    = letter { letter | digit }                   letters: a to z, A to Z, _
 *   number  = digit { digit }                             at least 1
 *
 * Blanks and line ends may stand between words, numbers and signs. Examples:
 *
 *   f32[]                                                 a raster, however large
 *   u32[4] struct { u16 red; u16 green; pad 4; f64 value; }[]
 *   struct { u64 count; struct { f32 x; f32 y; }[16] corners; ref next; }
 *
 *   * Elements lie one behind the other from offset 0, fields from the struct's start, without a
 *     gap: what is left empty is written as pad and its bytes, which are never converted.
 *   * A scalar lies at a multiple of its size, so that none is on two pages; a ref, which is two
 *     words that are never converted (struct dsm_ref), at a multiple of 8. Otherwise the region is
 *     not made, and the error says where which pad is missing. A struct of which there are more,
 *     [number] or [], must have a size that keeps this for all of them.
 *   * [2][3] are 2 times 3, as in C. i8, i16 ... are two's complement, f32 and f64 IEEE 754. They
 *     are not interpreted: NaNs, infinities and denormals arrive bit for bit.
 *   * Without [] at its end a type says nothing of what follows its last element: bytes. A region
 *     may be smaller or larger than its type, and grow; its type stays.
 *   * 1023 bytes of text; 255 elements, fields and pads; 8 structs within each other; names of 63
 *     bytes, each once in its struct; nothing beyond the largest region.
 *   * Two types are the same if their texts are, blanks apart: also the names of fields count.
 *
 * The same from a C struct
 *
 *   struct pixel { uint16_t red, green; uint32_t unused; double value; };
 *   #define PIXEL (u16, red), (u16, green), (pad, 4), (f64, value)
 *   DSM_TYPE_CHECK(struct pixel, PIXEL);
 *   const struct dsm_shm_options options = {.type = DSM_TYPE_TEXT(PIXEL) "[]"};
 *
 * DSM_TYPE_CHECK does not compile unless each member of the list is in the struct, of this kind and
 * size, where the type has it, on this machine, and the struct ends where the type does; so the
 * struct that another ABI lays out otherwise is found by that machine's compiler.
 *
 *   (u16, red)                      uint16_t red;       the other scalars alike; for u8 and i8 also
 *                                                       char, for u8 bool; struct dsm_ref is ref
 *   (u16, red, 4)                   uint16_t red[4];    4: in digits, for they go into the text
 *   (pad, 4)                        bytes of the struct that no member of the list has
 *   (struct, corner, POINT)         a struct, whose list is POINT
 *   (structs, corners, 4, POINT)    an array of them
 *
 * Members may be _Atomic, const or volatile. 32 of them in a struct, 3 structs within each other.
 * An array of arrays is an array of structs with an array, or left to the text. What is checked is
 * also that an array of the whole struct would do.
 */
#ifndef DSM_TYPE_H
#define DSM_TYPE_H

#include <stddef.h>
#include <stdint.h>

/** Bytes of a type's text at most, the final NUL not. */
#define DSM_TYPE_MAX 1023

#ifdef __cplusplus
#define DSM_TYPE_ALIGN_8 alignas(8)
#else
#define DSM_TYPE_ALIGN_8 _Alignas(8)
#endif

/**
 * A place in a region, as a value that may lie in regions: 16 bytes, the same on every machine, not
 * converted. dsm_ref_make(), dsm_ref_slot(), ... make and read it. All zero: none.
 */
struct dsm_ref {
    DSM_TYPE_ALIGN_8 unsigned char bytes[16];
};

/** Write a number of `count` bytes at byte `at`, the low one first, on every machine. */
static inline void dsm_ref_put(struct dsm_ref *ref, unsigned at, unsigned count, uint64_t value)
{
    for (unsigned i = 0; i < count; i++) {
        ref->bytes[at + i] = (unsigned char)(value >> (8 * i));
    }
}

/** Read what dsm_ref_put() has written. */
static inline uint64_t dsm_ref_get(const struct dsm_ref *ref, unsigned at, unsigned count)
{
    uint64_t value = 0;

    for (unsigned i = count; i > 0; i--) {
        value = value << 8 | ref->bytes[at + i - 1];
    }
    return value;
}

/**
 * Make a reference.
 *
 * @slot       the region's id, as dsm_shm_stat() tells it
 * @generation of the same
 * @offset     bytes from the region's start
 */
static inline struct dsm_ref dsm_ref_make(uint32_t slot, uint32_t generation, uint64_t offset)
{
    struct dsm_ref ref;

    dsm_ref_put(&ref, 0, 4, slot);
    dsm_ref_put(&ref, 4, 4, generation);
    dsm_ref_put(&ref, 8, 8, offset);
    return ref;
}

/** The slot of a reference's region. */
static inline uint32_t dsm_ref_slot(const struct dsm_ref *ref)
{
    return (uint32_t)dsm_ref_get(ref, 0, 4);
}

/** The generation of a reference's region; 0: the reference is none. */
static inline uint32_t dsm_ref_generation(const struct dsm_ref *ref)
{
    return (uint32_t)dsm_ref_get(ref, 4, 4);
}

/** The offset of a reference, bytes from its region's start. */
static inline uint64_t dsm_ref_offset(const struct dsm_ref *ref)
{
    return dsm_ref_get(ref, 8, 8);
}

#ifndef __cplusplus

/** The text of the list, a string constant: "struct { u16 red; ... }". */
#define DSM_TYPE_TEXT(...) "struct { " DSM_TYPE_EACH_1(TEXT, , , , , __VA_ARGS__) "}"

/** Compile only if the struct is laid out as the list says; once for each struct. */
#define DSM_TYPE_CHECK(T, ...)                                                                     \
    DSM_TYPE_CHECK_A(T, DSM_TYPE_JOIN(dsm_type_of_, DSM_TYPE_TAG_##T), __VA_ARGS__)

/* --- how: for each member, what its sort means for the purpose --- */

/* A struct of bytes with the same members has no padding but what the list says. */
#define DSM_TYPE_CHECK_A(T, tag, ...)                                                              \
    struct tag {                                                                                   \
        DSM_TYPE_EACH_1(SHADOW, , , , , __VA_ARGS__)                                               \
    };                                                                                             \
    DSM_TYPE_EACH_1(ASSERT, T, struct tag, , *(struct tag *)0, __VA_ARGS__)                        \
    _Static_assert(sizeof(T) == sizeof(struct tag),                                                \
                   "the struct ends elsewhere than its type: is a member missing, or a (pad, n)?")

#define DSM_TYPE_JOIN(a, b) DSM_TYPE_JOIN_A(a, b)
#define DSM_TYPE_JOIN_A(a, b) a##b
#define DSM_TYPE_TAG_struct
#define DSM_TYPE_TAG_union
#define DSM_TYPE_UNWRAP(...) __VA_ARGS__
#define DSM_TYPE_FOURTH(a, b, c, d, ...) d

/* Behind the last member all are (end); the 33rd must be. */
#define DSM_TYPE_LAST(...) DSM_TYPE_LAST_A(__VA_ARGS__, )
#define DSM_TYPE_LAST_A(kind, ...) DSM_TYPE_32_MEMBERS_AT_MOST_##kind
#define DSM_TYPE_32_MEMBERS_AT_MOST_end
#define DSM_TYPE_ENDS                                                                              \
    (end), (end), (end), (end), (end), (end), (end), (end), (end), (end), (end), (end), (end),     \
    (end), (end), (end), (end), (end), (end), (end), (end), (end), (end), (end), (end), (end),     \
    (end), (end), (end), (end), (end), (end), (end), (end)

#define DSM_TYPE_SORT_u8(level) SCALAR
#define DSM_TYPE_SORT_i8(level) SCALAR
#define DSM_TYPE_SORT_u16(level) SCALAR
#define DSM_TYPE_SORT_i16(level) SCALAR
#define DSM_TYPE_SORT_u32(level) SCALAR
#define DSM_TYPE_SORT_i32(level) SCALAR
#define DSM_TYPE_SORT_u64(level) SCALAR
#define DSM_TYPE_SORT_i64(level) SCALAR
#define DSM_TYPE_SORT_f32(level) SCALAR
#define DSM_TYPE_SORT_f64(level) SCALAR
#define DSM_TYPE_SORT_ref(level) SCALAR
#define DSM_TYPE_SORT_pad(level) PAD
#define DSM_TYPE_SORT_end(level) END
#define DSM_TYPE_SORT_struct(level) STRUCT_##level
#define DSM_TYPE_SORT_structs(level) STRUCTS_##level

#define DSM_TYPE_SIZE_u8 1
#define DSM_TYPE_SIZE_i8 1
#define DSM_TYPE_SIZE_u16 2
#define DSM_TYPE_SIZE_i16 2
#define DSM_TYPE_SIZE_u32 4
#define DSM_TYPE_SIZE_i32 4
#define DSM_TYPE_SIZE_u64 8
#define DSM_TYPE_SIZE_i64 8
#define DSM_TYPE_SIZE_f32 4
#define DSM_TYPE_SIZE_f64 8
#define DSM_TYPE_SIZE_ref 16

#define DSM_TYPE_ALIGN_u8 1
#define DSM_TYPE_ALIGN_i8 1
#define DSM_TYPE_ALIGN_u16 2
#define DSM_TYPE_ALIGN_i16 2
#define DSM_TYPE_ALIGN_u32 4
#define DSM_TYPE_ALIGN_i32 4
#define DSM_TYPE_ALIGN_u64 8
#define DSM_TYPE_ALIGN_i64 8
#define DSM_TYPE_ALIGN_f32 4
#define DSM_TYPE_ALIGN_f64 8
#define DSM_TYPE_ALIGN_ref 8

/* Of which C types each may be; their sizes are checked as well. */
#define DSM_TYPE_IS_u8(x) _Generic((x), unsigned char: 1, char: 1, _Bool: 1, default: 0)
#define DSM_TYPE_IS_i8(x) _Generic((x), signed char: 1, char: 1, default: 0)
#define DSM_TYPE_IS_u16(x) _Generic((x), unsigned short: 1, default: 0)
#define DSM_TYPE_IS_i16(x) _Generic((x), short: 1, default: 0)
#define DSM_TYPE_IS_u32(x) _Generic((x), unsigned int: 1, unsigned long: 1, default: 0)
#define DSM_TYPE_IS_i32(x) _Generic((x), int: 1, long: 1, default: 0)
#define DSM_TYPE_IS_u64(x) _Generic((x), unsigned long: 1, unsigned long long: 1, default: 0)
#define DSM_TYPE_IS_i64(x) _Generic((x), long: 1, long long: 1, default: 0)
#define DSM_TYPE_IS_f32(x) _Generic((x), float: 1, default: 0)
#define DSM_TYPE_IS_f64(x) _Generic((x), double: 1, default: 0)
#define DSM_TYPE_IS_ref(x) _Generic((x), struct dsm_ref: 1, default: 0)

#define DSM_TYPE_SHADOW_END(...)
#define DSM_TYPE_ASSERT_END(...)
#define DSM_TYPE_TEXT_END(...)

#define DSM_TYPE_SHADOW_PAD(i, T, S, path, outer, kind, count, ...)                                \
    unsigned char dsm_pad_##i[count];
#define DSM_TYPE_ASSERT_PAD(...)
#define DSM_TYPE_TEXT_PAD(i, T, S, path, outer, kind, count, ...) "pad " #count "; "

/* A scalar has its count, or none, before the last (end). */
#define DSM_TYPE_SHADOW_SCALAR(i, T, S, path, outer, kind, ...)                                    \
    DSM_TYPE_FOURTH(__VA_ARGS__, DSM_TYPE_SHADOW_MANY, DSM_TYPE_SHADOW_ONE, )(kind, __VA_ARGS__)
#define DSM_TYPE_SHADOW_ONE(kind, name, end) unsigned char name[DSM_TYPE_SIZE_##kind];
#define DSM_TYPE_SHADOW_MANY(kind, name, count, end)                                               \
    unsigned char name[count][DSM_TYPE_SIZE_##kind];

#define DSM_TYPE_TEXT_SCALAR(i, T, S, path, outer, kind, ...)                                      \
    DSM_TYPE_FOURTH(__VA_ARGS__, DSM_TYPE_TEXT_MANY, DSM_TYPE_TEXT_ONE, )(kind, __VA_ARGS__)
#define DSM_TYPE_TEXT_ONE(kind, name, end) #kind " " #name "; "
#define DSM_TYPE_TEXT_MANY(kind, name, count, end) #kind "[" #count "] " #name "; "

#define DSM_TYPE_ASSERT_SCALAR(i, T, S, path, outer, kind, ...)                                    \
    DSM_TYPE_FOURTH(__VA_ARGS__, DSM_TYPE_ASSERT_MANY, DSM_TYPE_ASSERT_ONE, )                      \
    (T, S, path, outer, kind, __VA_ARGS__)
#define DSM_TYPE_ASSERT_ONE(T, S, path, outer, kind, name, end)                                    \
    DSM_TYPE_SAME_PLACE(T, S, path, name)                                                          \
    DSM_TYPE_SAME_KIND(T, S, path, outer, kind, name, )
#define DSM_TYPE_ASSERT_MANY(T, S, path, outer, kind, name, count, end)                            \
    DSM_TYPE_SAME_PLACE(T, S, path, name)                                                          \
    DSM_TYPE_SAME_KIND(T, S, path, outer, kind, name, [0])

#define DSM_TYPE_SAME_PLACE(T, S, path, name)                                                      \
    _Static_assert(offsetof(T, path name) == offsetof(S, path name),                               \
                   "member " #name " lies elsewhere in the struct than in the type: is a member "  \
                   "missing before it, or a (pad, n)?");                                           \
    _Static_assert(sizeof(((T *)0)->path name) == sizeof(((S *)0)->path name),                     \
                   "member " #name " has another size in the struct than in the type");
#define DSM_TYPE_SAME_STRIDE(T, S, path, name)                                                     \
    _Static_assert(sizeof(((T *)0)->path name[0]) == sizeof(((S *)0)->path name[0]),               \
                   "member " #name " has another count in the struct than in the type");
#define DSM_TYPE_SAME_KIND(T, S, path, outer, kind, name, first)                                   \
    _Static_assert(DSM_TYPE_IS_##kind(((T *)0)->path name first),                                  \
                   "member " #name " is no " #kind " in the struct");                              \
    _Static_assert(sizeof(((T *)0)->path name first) == DSM_TYPE_SIZE_##kind,                      \
                   "member " #name " has not the size of a " #kind " in the struct");              \
    _Static_assert(offsetof(S, path name) % DSM_TYPE_ALIGN_##kind == 0,                            \
                   "member " #name " must lie at a multiple of its size: put (pad, n) before it, " \
                   "and the same bytes into the struct");                                          \
    _Static_assert(sizeof(outer) % DSM_TYPE_ALIGN_##kind == 0,                                     \
                   "member " #name " of an array of structs would not always lie at a multiple "   \
                   "of its size: put (pad, n) at the struct's end, and the same bytes into it");

/* Each level of structs has its own copy, for no macro is expanded within itself. */
#define DSM_TYPE_EACH_1(...)                                                                       \
    DSM_TYPE_EACH_1A(__VA_ARGS__, DSM_TYPE_ENDS)
#define DSM_TYPE_EACH_1A(...) DSM_TYPE_EACH_1B(__VA_ARGS__)
#define DSM_TYPE_EACH_1B(purpose, T, S, path, outer, a1, a2, a3, a4, a5, a6, a7, a8, a9,           \
                           a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, a22,        \
                           a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, ...)             \
    DSM_TYPE_ITEM_1(purpose, 1, T, S, path, outer, a1)                                             \
    DSM_TYPE_ITEM_1(purpose, 2, T, S, path, outer, a2)                                             \
    DSM_TYPE_ITEM_1(purpose, 3, T, S, path, outer, a3)                                             \
    DSM_TYPE_ITEM_1(purpose, 4, T, S, path, outer, a4)                                             \
    DSM_TYPE_ITEM_1(purpose, 5, T, S, path, outer, a5)                                             \
    DSM_TYPE_ITEM_1(purpose, 6, T, S, path, outer, a6)                                             \
    DSM_TYPE_ITEM_1(purpose, 7, T, S, path, outer, a7)                                             \
    DSM_TYPE_ITEM_1(purpose, 8, T, S, path, outer, a8)                                             \
    DSM_TYPE_ITEM_1(purpose, 9, T, S, path, outer, a9)                                             \
    DSM_TYPE_ITEM_1(purpose, 10, T, S, path, outer, a10)                                           \
    DSM_TYPE_ITEM_1(purpose, 11, T, S, path, outer, a11)                                           \
    DSM_TYPE_ITEM_1(purpose, 12, T, S, path, outer, a12)                                           \
    DSM_TYPE_ITEM_1(purpose, 13, T, S, path, outer, a13)                                           \
    DSM_TYPE_ITEM_1(purpose, 14, T, S, path, outer, a14)                                           \
    DSM_TYPE_ITEM_1(purpose, 15, T, S, path, outer, a15)                                           \
    DSM_TYPE_ITEM_1(purpose, 16, T, S, path, outer, a16)                                           \
    DSM_TYPE_ITEM_1(purpose, 17, T, S, path, outer, a17)                                           \
    DSM_TYPE_ITEM_1(purpose, 18, T, S, path, outer, a18)                                           \
    DSM_TYPE_ITEM_1(purpose, 19, T, S, path, outer, a19)                                           \
    DSM_TYPE_ITEM_1(purpose, 20, T, S, path, outer, a20)                                           \
    DSM_TYPE_ITEM_1(purpose, 21, T, S, path, outer, a21)                                           \
    DSM_TYPE_ITEM_1(purpose, 22, T, S, path, outer, a22)                                           \
    DSM_TYPE_ITEM_1(purpose, 23, T, S, path, outer, a23)                                           \
    DSM_TYPE_ITEM_1(purpose, 24, T, S, path, outer, a24)                                           \
    DSM_TYPE_ITEM_1(purpose, 25, T, S, path, outer, a25)                                           \
    DSM_TYPE_ITEM_1(purpose, 26, T, S, path, outer, a26)                                           \
    DSM_TYPE_ITEM_1(purpose, 27, T, S, path, outer, a27)                                           \
    DSM_TYPE_ITEM_1(purpose, 28, T, S, path, outer, a28)                                           \
    DSM_TYPE_ITEM_1(purpose, 29, T, S, path, outer, a29)                                           \
    DSM_TYPE_ITEM_1(purpose, 30, T, S, path, outer, a30)                                           \
    DSM_TYPE_ITEM_1(purpose, 31, T, S, path, outer, a31)                                           \
    DSM_TYPE_ITEM_1(purpose, 32, T, S, path, outer, a32)                                           \
    DSM_TYPE_LAST a33
#define DSM_TYPE_ITEM_1(purpose, i, T, S, path, outer, a)                                          \
    DSM_TYPE_ITEM_1A(purpose, i, T, S, path, outer, DSM_TYPE_UNWRAP a, (end))
#define DSM_TYPE_ITEM_1A(purpose, i, T, S, path, outer, ...)                                       \
    DSM_TYPE_ITEM_1B(purpose, i, T, S, path, outer, __VA_ARGS__)
#define DSM_TYPE_ITEM_1B(purpose, i, T, S, path, outer, kind, ...)                                 \
    DSM_TYPE_ITEM_1C(purpose, DSM_TYPE_SORT_##kind(1), i, T, S, path, outer, kind, __VA_ARGS__)
#define DSM_TYPE_ITEM_1C(purpose, sort, ...)                                                       \
    DSM_TYPE_ITEM_1D(purpose, sort, __VA_ARGS__)
#define DSM_TYPE_ITEM_1D(purpose, sort, ...) DSM_TYPE_##purpose##_##sort(__VA_ARGS__)
#define DSM_TYPE_SHADOW_STRUCT_1(i, T, S, path, outer, kind, name, ...)                            \
    struct {                                                                                       \
        DSM_TYPE_EACH_2(SHADOW, , , , , __VA_ARGS__)                                               \
    } name;
#define DSM_TYPE_SHADOW_STRUCTS_1(i, T, S, path, outer, kind, name, count, ...)                    \
    struct {                                                                                       \
        DSM_TYPE_EACH_2(SHADOW, , , , , __VA_ARGS__)                                               \
    } name[count];
#define DSM_TYPE_ASSERT_STRUCT_1(i, T, S, path, outer, kind, name, ...)                            \
    DSM_TYPE_SAME_PLACE(T, S, path, name)                                                          \
    DSM_TYPE_EACH_2(ASSERT, T, S, path name., ((S *)0)->path name, __VA_ARGS__)
#define DSM_TYPE_ASSERT_STRUCTS_1(i, T, S, path, outer, kind, name, count, ...)                    \
    DSM_TYPE_SAME_PLACE(T, S, path, name)                                                          \
    DSM_TYPE_SAME_STRIDE(T, S, path, name)                                                         \
    DSM_TYPE_EACH_2(ASSERT, T, S, path name[0]., ((S *)0)->path name[0], __VA_ARGS__)
#define DSM_TYPE_TEXT_STRUCT_1(i, T, S, path, outer, kind, name, ...)                              \
    "struct { " DSM_TYPE_EACH_2(TEXT, , , , , __VA_ARGS__) "} " #name "; "
#define DSM_TYPE_TEXT_STRUCTS_1(i, T, S, path, outer, kind, name, count, ...)                      \
    "struct { " DSM_TYPE_EACH_2(TEXT, , , , , __VA_ARGS__) "}[" #count "] " #name "; "

#define DSM_TYPE_EACH_2(...)                                                                       \
    DSM_TYPE_EACH_2A(__VA_ARGS__, DSM_TYPE_ENDS)
#define DSM_TYPE_EACH_2A(...) DSM_TYPE_EACH_2B(__VA_ARGS__)
#define DSM_TYPE_EACH_2B(purpose, T, S, path, outer, a1, a2, a3, a4, a5, a6, a7, a8, a9,           \
                           a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, a22,        \
                           a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, ...)             \
    DSM_TYPE_ITEM_2(purpose, 1, T, S, path, outer, a1)                                             \
    DSM_TYPE_ITEM_2(purpose, 2, T, S, path, outer, a2)                                             \
    DSM_TYPE_ITEM_2(purpose, 3, T, S, path, outer, a3)                                             \
    DSM_TYPE_ITEM_2(purpose, 4, T, S, path, outer, a4)                                             \
    DSM_TYPE_ITEM_2(purpose, 5, T, S, path, outer, a5)                                             \
    DSM_TYPE_ITEM_2(purpose, 6, T, S, path, outer, a6)                                             \
    DSM_TYPE_ITEM_2(purpose, 7, T, S, path, outer, a7)                                             \
    DSM_TYPE_ITEM_2(purpose, 8, T, S, path, outer, a8)                                             \
    DSM_TYPE_ITEM_2(purpose, 9, T, S, path, outer, a9)                                             \
    DSM_TYPE_ITEM_2(purpose, 10, T, S, path, outer, a10)                                           \
    DSM_TYPE_ITEM_2(purpose, 11, T, S, path, outer, a11)                                           \
    DSM_TYPE_ITEM_2(purpose, 12, T, S, path, outer, a12)                                           \
    DSM_TYPE_ITEM_2(purpose, 13, T, S, path, outer, a13)                                           \
    DSM_TYPE_ITEM_2(purpose, 14, T, S, path, outer, a14)                                           \
    DSM_TYPE_ITEM_2(purpose, 15, T, S, path, outer, a15)                                           \
    DSM_TYPE_ITEM_2(purpose, 16, T, S, path, outer, a16)                                           \
    DSM_TYPE_ITEM_2(purpose, 17, T, S, path, outer, a17)                                           \
    DSM_TYPE_ITEM_2(purpose, 18, T, S, path, outer, a18)                                           \
    DSM_TYPE_ITEM_2(purpose, 19, T, S, path, outer, a19)                                           \
    DSM_TYPE_ITEM_2(purpose, 20, T, S, path, outer, a20)                                           \
    DSM_TYPE_ITEM_2(purpose, 21, T, S, path, outer, a21)                                           \
    DSM_TYPE_ITEM_2(purpose, 22, T, S, path, outer, a22)                                           \
    DSM_TYPE_ITEM_2(purpose, 23, T, S, path, outer, a23)                                           \
    DSM_TYPE_ITEM_2(purpose, 24, T, S, path, outer, a24)                                           \
    DSM_TYPE_ITEM_2(purpose, 25, T, S, path, outer, a25)                                           \
    DSM_TYPE_ITEM_2(purpose, 26, T, S, path, outer, a26)                                           \
    DSM_TYPE_ITEM_2(purpose, 27, T, S, path, outer, a27)                                           \
    DSM_TYPE_ITEM_2(purpose, 28, T, S, path, outer, a28)                                           \
    DSM_TYPE_ITEM_2(purpose, 29, T, S, path, outer, a29)                                           \
    DSM_TYPE_ITEM_2(purpose, 30, T, S, path, outer, a30)                                           \
    DSM_TYPE_ITEM_2(purpose, 31, T, S, path, outer, a31)                                           \
    DSM_TYPE_ITEM_2(purpose, 32, T, S, path, outer, a32)                                           \
    DSM_TYPE_LAST a33
#define DSM_TYPE_ITEM_2(purpose, i, T, S, path, outer, a)                                          \
    DSM_TYPE_ITEM_2A(purpose, i, T, S, path, outer, DSM_TYPE_UNWRAP a, (end))
#define DSM_TYPE_ITEM_2A(purpose, i, T, S, path, outer, ...)                                       \
    DSM_TYPE_ITEM_2B(purpose, i, T, S, path, outer, __VA_ARGS__)
#define DSM_TYPE_ITEM_2B(purpose, i, T, S, path, outer, kind, ...)                                 \
    DSM_TYPE_ITEM_2C(purpose, DSM_TYPE_SORT_##kind(2), i, T, S, path, outer, kind, __VA_ARGS__)
#define DSM_TYPE_ITEM_2C(purpose, sort, ...)                                                       \
    DSM_TYPE_ITEM_2D(purpose, sort, __VA_ARGS__)
#define DSM_TYPE_ITEM_2D(purpose, sort, ...) DSM_TYPE_##purpose##_##sort(__VA_ARGS__)
#define DSM_TYPE_SHADOW_STRUCT_2(i, T, S, path, outer, kind, name, ...)                            \
    struct {                                                                                       \
        DSM_TYPE_EACH_3(SHADOW, , , , , __VA_ARGS__)                                               \
    } name;
#define DSM_TYPE_SHADOW_STRUCTS_2(i, T, S, path, outer, kind, name, count, ...)                    \
    struct {                                                                                       \
        DSM_TYPE_EACH_3(SHADOW, , , , , __VA_ARGS__)                                               \
    } name[count];
#define DSM_TYPE_ASSERT_STRUCT_2(i, T, S, path, outer, kind, name, ...)                            \
    DSM_TYPE_SAME_PLACE(T, S, path, name)                                                          \
    DSM_TYPE_EACH_3(ASSERT, T, S, path name., ((S *)0)->path name, __VA_ARGS__)
#define DSM_TYPE_ASSERT_STRUCTS_2(i, T, S, path, outer, kind, name, count, ...)                    \
    DSM_TYPE_SAME_PLACE(T, S, path, name)                                                          \
    DSM_TYPE_SAME_STRIDE(T, S, path, name)                                                         \
    DSM_TYPE_EACH_3(ASSERT, T, S, path name[0]., ((S *)0)->path name[0], __VA_ARGS__)
#define DSM_TYPE_TEXT_STRUCT_2(i, T, S, path, outer, kind, name, ...)                              \
    "struct { " DSM_TYPE_EACH_3(TEXT, , , , , __VA_ARGS__) "} " #name "; "
#define DSM_TYPE_TEXT_STRUCTS_2(i, T, S, path, outer, kind, name, count, ...)                      \
    "struct { " DSM_TYPE_EACH_3(TEXT, , , , , __VA_ARGS__) "}[" #count "] " #name "; "

#define DSM_TYPE_EACH_3(...)                                                                       \
    DSM_TYPE_EACH_3A(__VA_ARGS__, DSM_TYPE_ENDS)
#define DSM_TYPE_EACH_3A(...) DSM_TYPE_EACH_3B(__VA_ARGS__)
#define DSM_TYPE_EACH_3B(purpose, T, S, path, outer, a1, a2, a3, a4, a5, a6, a7, a8, a9,           \
                           a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, a22,        \
                           a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, ...)             \
    DSM_TYPE_ITEM_3(purpose, 1, T, S, path, outer, a1)                                             \
    DSM_TYPE_ITEM_3(purpose, 2, T, S, path, outer, a2)                                             \
    DSM_TYPE_ITEM_3(purpose, 3, T, S, path, outer, a3)                                             \
    DSM_TYPE_ITEM_3(purpose, 4, T, S, path, outer, a4)                                             \
    DSM_TYPE_ITEM_3(purpose, 5, T, S, path, outer, a5)                                             \
    DSM_TYPE_ITEM_3(purpose, 6, T, S, path, outer, a6)                                             \
    DSM_TYPE_ITEM_3(purpose, 7, T, S, path, outer, a7)                                             \
    DSM_TYPE_ITEM_3(purpose, 8, T, S, path, outer, a8)                                             \
    DSM_TYPE_ITEM_3(purpose, 9, T, S, path, outer, a9)                                             \
    DSM_TYPE_ITEM_3(purpose, 10, T, S, path, outer, a10)                                           \
    DSM_TYPE_ITEM_3(purpose, 11, T, S, path, outer, a11)                                           \
    DSM_TYPE_ITEM_3(purpose, 12, T, S, path, outer, a12)                                           \
    DSM_TYPE_ITEM_3(purpose, 13, T, S, path, outer, a13)                                           \
    DSM_TYPE_ITEM_3(purpose, 14, T, S, path, outer, a14)                                           \
    DSM_TYPE_ITEM_3(purpose, 15, T, S, path, outer, a15)                                           \
    DSM_TYPE_ITEM_3(purpose, 16, T, S, path, outer, a16)                                           \
    DSM_TYPE_ITEM_3(purpose, 17, T, S, path, outer, a17)                                           \
    DSM_TYPE_ITEM_3(purpose, 18, T, S, path, outer, a18)                                           \
    DSM_TYPE_ITEM_3(purpose, 19, T, S, path, outer, a19)                                           \
    DSM_TYPE_ITEM_3(purpose, 20, T, S, path, outer, a20)                                           \
    DSM_TYPE_ITEM_3(purpose, 21, T, S, path, outer, a21)                                           \
    DSM_TYPE_ITEM_3(purpose, 22, T, S, path, outer, a22)                                           \
    DSM_TYPE_ITEM_3(purpose, 23, T, S, path, outer, a23)                                           \
    DSM_TYPE_ITEM_3(purpose, 24, T, S, path, outer, a24)                                           \
    DSM_TYPE_ITEM_3(purpose, 25, T, S, path, outer, a25)                                           \
    DSM_TYPE_ITEM_3(purpose, 26, T, S, path, outer, a26)                                           \
    DSM_TYPE_ITEM_3(purpose, 27, T, S, path, outer, a27)                                           \
    DSM_TYPE_ITEM_3(purpose, 28, T, S, path, outer, a28)                                           \
    DSM_TYPE_ITEM_3(purpose, 29, T, S, path, outer, a29)                                           \
    DSM_TYPE_ITEM_3(purpose, 30, T, S, path, outer, a30)                                           \
    DSM_TYPE_ITEM_3(purpose, 31, T, S, path, outer, a31)                                           \
    DSM_TYPE_ITEM_3(purpose, 32, T, S, path, outer, a32)                                           \
    DSM_TYPE_LAST a33
#define DSM_TYPE_ITEM_3(purpose, i, T, S, path, outer, a)                                          \
    DSM_TYPE_ITEM_3A(purpose, i, T, S, path, outer, DSM_TYPE_UNWRAP a, (end))
#define DSM_TYPE_ITEM_3A(purpose, i, T, S, path, outer, ...)                                       \
    DSM_TYPE_ITEM_3B(purpose, i, T, S, path, outer, __VA_ARGS__)
#define DSM_TYPE_ITEM_3B(purpose, i, T, S, path, outer, kind, ...)                                 \
    DSM_TYPE_ITEM_3C(purpose, DSM_TYPE_SORT_##kind(3), i, T, S, path, outer, kind, __VA_ARGS__)
#define DSM_TYPE_ITEM_3C(purpose, sort, ...)                                                       \
    DSM_TYPE_ITEM_3D(purpose, sort, __VA_ARGS__)
#define DSM_TYPE_ITEM_3D(purpose, sort, ...) DSM_TYPE_##purpose##_##sort(__VA_ARGS__)

#endif
#endif
