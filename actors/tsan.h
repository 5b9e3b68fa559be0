//  tsan.h - tells ThreadSanitizer of hand-overs through libzmq, whose synchronisation it does not
//  see
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_TSAN_H_INCLUDED
#define ZSPOOL_TSAN_H_INCLUDED

#if defined(__SANITIZE_THREAD__)
#define ZSPOOL_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ZSPOOL_TSAN 1
#endif
#endif

#ifdef ZSPOOL_TSAN
void __tsan_acquire (void *address);
void __tsan_release (void *address);
#endif

//  What was written before is seen by whoever acquires the same pointer.
static inline void
zspool_tsan_release (void *pointer)
{
#ifdef ZSPOOL_TSAN
    if (pointer)
        __tsan_release (pointer);
#else
    (void) pointer;
#endif
}

static inline void
zspool_tsan_acquire (void *pointer)
{
#ifdef ZSPOOL_TSAN
    if (pointer)
        __tsan_acquire (pointer);
#else
    (void) pointer;
#endif
}

#endif
