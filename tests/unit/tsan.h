/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * For tests of several threads that ThreadSanitizer watches: everything runs some ten times slower then, so that less
 * has to do. What it reports wrongly is in tests/tsan.supp, by function; here is what cannot be named there.
 */

#ifndef WEIR_TESTS_TSAN_H
#define WEIR_TESTS_TSAN_H

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif

#ifdef UNDER_TSAN

/* Of 100 rounds, so many. */
#define TSAN_LESS(rounds) ((rounds) / 20)

void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);

/*
 * What this thread reads between the two is read while its owner writes it, and judged afterwards by a sequence
 * number behind fences, of which the sanitizer knows nothing. A suppression by function would do where the report
 * still has the reader's stack; a reader that does nothing else overruns the sanitizer's memory of them.
 */
#define TSAN_READS_HIDE() AnnotateIgnoreReadsBegin(__FILE__, __LINE__)
#define TSAN_READS_SHOW() AnnotateIgnoreReadsEnd(__FILE__, __LINE__)

#else

#define TSAN_LESS(rounds) (rounds)
#define TSAN_READS_HIDE() ((void)0)
#define TSAN_READS_SHOW() ((void)0)

#endif
#endif
