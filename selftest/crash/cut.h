//  cut.h - holds every disk that a power cut may leave against the model
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef CUT_H_INCLUDED
#define CUT_H_INCLUDED

#include "crash/disk.h"
#include "crash/model.h"

//  How many disks to make
typedef struct {
    uint64_t seed;                     //  from which each disk follows, with its number
    unsigned disks;                    //  at each cut
    unsigned cuts_max;                 //  cuts, evenly spread; 0: all there are
    uint64_t only;                     //  the number of the only disk to make, from 1; 0: all
} cut_plan_t;

//  From SELFTEST_SEED, and SELFTEST_DISK for `only`
cut_plan_t
    cut_plan_new (kit_chance_t *chance, unsigned disks, unsigned cuts_max);

//  Make disks at all cuts of a recording of a model's work in KIT_STORE. Each must open, be sound,
//  have what was confirmed, or that and the commit under way, and can be gone on with. Fails the
//  test when one does not; the last line printed says which. Gives the number of disks.
size_t
    cut_check (const recording_t *recording, const cut_plan_t *plan);

#endif
