/* A wall clock that jumps, for LD_PRELOAD: the seconds in the file INSPECTD_TEST_CLOCK (eight bytes, as the machine has
 * them) are added to the time of day and to nothing else. Monotonic clocks and sleeps stay as they are. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static int64_t offset(void)
{
    static const volatile int64_t *seconds;
    if (!seconds) {
        int file = open(getenv("INSPECTD_TEST_CLOCK"), O_RDONLY);
        void *page = mmap(0, sizeof *seconds, PROT_READ, MAP_SHARED, file, 0);
        if (page == MAP_FAILED)
            abort();
        seconds = page;
    }
    return *seconds;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
        now->tv_sec += offset();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec fine;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &fine);
    now->tv_sec = fine.tv_sec;
    now->tv_usec = fine.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *into)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (into)
        *into = now.tv_sec;
    return now.tv_sec;
}
