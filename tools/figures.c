//  figures.c - figures of a device's status: found by their names, printed with units
//
//  SPDX-License-Identifier: MPL-2.0

#include "figures.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *
figure_text (zconfig_t *node, const char *path)
{
    return zconfig_get (node, path, "");
}

uint64_t
figure_number (zconfig_t *node, const char *path)
{
    return strtoull (zconfig_get (node, path, "0"), NULL, 10);
}

zconfig_t *
figure_out (zconfig_t *status)
{
    return *figure_text (status, "device/out")? zconfig_locate (status, "out"): NULL;
}

zconfig_t *
figure_first_feed (zconfig_t *status)
{
    zconfig_t *feeds = zconfig_locate (status, "feed");
    return feeds? zconfig_child (feeds): NULL;
}

static bool
s_is_out (zconfig_t *status, zconfig_t *outlet)
{
    return outlet == zconfig_locate (status, "out");
}

bool
figure_is_pub (zconfig_t *status, zconfig_t *outlet)
{
    return s_is_out (status, outlet) && strcmp (figure_text (status, "device/out_type"), "pub") == 0;
}

const char *
figure_policy (zconfig_t *status, zconfig_t *outlet)
{
    if (figure_is_pub (status, outlet))
        return "sent";
    return s_is_out (status, outlet)? figure_text (status, "device/ack"): figure_text (outlet, "ack");
}

bool
figure_is_inproc (zconfig_t *status, zconfig_t *outlet)
{
    const char *endpoint = s_is_out (status, outlet)? figure_text (status, "device/out"):
                                                      figure_text (outlet, "endpoint");
    return strncmp (endpoint, "inproc:", 7) == 0;
}

uint64_t
figure_rate (zconfig_t *status, zconfig_t *outlet)
{
    return figure_number (s_is_out (status, outlet)? status: outlet, "rate/out");
}

uint64_t
figure_unsent (zconfig_t *status, zconfig_t *outlet)
{
    uint64_t last = figure_number (status, "store/last_sequence");
    uint64_t sent_to = figure_number (outlet, "sent_to");
    return last > sent_to? last - sent_to: 0;
}

void
figure_print_us (uint64_t us)
{
    if (us < 1000)
        printf ("%" PRIu64 " us", us);
    else if (us < 1000000)
        printf ("%.2f ms", (double) us / 1e3);
    else if (us < 600 * 1000000ULL)
        printf ("%.2f s", (double) us / 1e6);
    else
        printf ("%.1f h", (double) us / 3600e6);
}

void
figure_print_bytes (uint64_t bytes)
{
    static const char *const units [] = { "B", "KiB", "MiB", "GiB", "TiB" };
    size_t unit = 0;
    double shown = (double) bytes;
    for (; shown >= 1024 && unit < 4; unit++)
        shown /= 1024;
    printf ("%.*f %s", unit == 0 || shown >= 100? 0: 1, shown, units [unit]);
}
