//  fault.c - makes the system's calls fail that write a store, and records what they write
//
//  SPDX-License-Identifier: MPL-2.0

#include "crash/fault.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char s_directory [PATH_MAX];    //  watched; "" when none is
static fault_plan_t s_plans [FAULT_KINDS];
static fault_settings_t s_settings;
static unsigned s_memory_paused;

void
fault_watch (const char *directory)
{
    memset (s_plans, 0, sizeof s_plans);
    s_directory [0] = 0;
    char path [PATH_MAX] = "";
    if (directory [0] != '/' && !getcwd (path, sizeof path))
        abort ();
    size_t length = strlen (path);
    snprintf (path + length, sizeof path - length, "%s%s", length? "/": "", directory);
    memcpy (s_directory, path, sizeof path);
}

void
fault_fail (fault_kind_t kind, unsigned after, unsigned times, fault_way_t way, int error)
{
    //  Threads that count calls meanwhile see all of the plan, or none of it.
    fault_plan_t *plan = &s_plans [kind];
    __atomic_store_n (&plan->times, 0, __ATOMIC_RELAXED);
    plan->way = way;
    plan->error = error;
    __atomic_store_n (&plan->after, after, __ATOMIC_RELAXED);
    __atomic_store_n (&plan->times, times, __ATOMIC_RELEASE);
}

unsigned
fault_calls (fault_kind_t kind)
{
    return __atomic_load_n (&s_plans [kind].calls, __ATOMIC_RELAXED);
}

void
fault_record (recording_t *recording)
{
    s_settings.recording = recording;
}

void
fault_record_sends (void)
{
    s_settings.sends = true;
}

void
fault_skip_syncs (void)
{
    s_settings.skip_syncs = true;
}

void
fault_slow_syncs (unsigned us)
{
    s_settings.slow_sync_us = us;
}

void
fault_plant (fault_plant_t plant)
{
    s_settings.plant = plant;
}

void
fault_pause_memory (void)
{
    __atomic_fetch_add (&s_memory_paused, 1, __ATOMIC_RELAXED);
}

void
fault_resume_memory (void)
{
    __atomic_fetch_sub (&s_memory_paused, 1, __ATOMIC_RELAXED);
}

const fault_settings_t *
fault_settings (void)
{
    return &s_settings;
}

//  Take one of what is left; false: nothing is.
static bool
s_take (unsigned *left)
{
    unsigned seen = __atomic_load_n (left, __ATOMIC_RELAXED);
    while (seen > 0
           && !__atomic_compare_exchange_n (left, &seen, seen - 1, false, __ATOMIC_RELAXED,
                                            __ATOMIC_RELAXED))
        ;
    return seen > 0;
}

const fault_plan_t *
fault_count (fault_kind_t kind)
{
    fault_plan_t *plan = &s_plans [kind];
    if (kind == FAULT_MEMORY && __atomic_load_n (&s_memory_paused, __ATOMIC_RELAXED))
        return NULL;
    __atomic_fetch_add (&plan->calls, 1, __ATOMIC_RELAXED);
    if (__atomic_load_n (&plan->times, __ATOMIC_ACQUIRE) == 0 || s_take (&plan->after))
        return NULL;
    return s_take (&plan->times)? plan: NULL;
}

bool
fault_is_watching (void)
{
    return s_directory [0] != 0;
}

bool
fault_is_watched (const char *path)
{
    size_t length = strlen (s_directory);
    return length > 0 && strncmp (path, s_directory, length) == 0
           && (path [length] == 0 || path [length] == '/');
}

bool
fault_is_parent (const char *path)
{
    const char *name = strrchr (s_directory, '/');
    size_t length = name? (size_t) (name - s_directory): 0;
    return length > 0 && strlen (path) == length && memcmp (path, s_directory, length) == 0;
}
